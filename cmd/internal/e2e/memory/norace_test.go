//go:build linux && !race

package memory

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/cmd/internal/e2e"
)

// perClass is how many accounts of each class there are: as many as
// docs/threat-model.md says.
const perClass = 200

// TestMemoryWithoutErasing is the control: the same day of programs that were
// built without GOEXPERIMENT=runtimesecret leaves copies, and the search finds
// them.
func TestMemoryWithoutErasing(t *testing.T) {
	if e2e.NeedRoot(t) {
		return
	}
	dir, err := folder()
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "plain")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := e2e.Build(dir, false, "GOEXPERIMENT=")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, p)
	b.history()
	time.Sleep(time.Second)
	s := b.look("not erasing, unlocked, between touches")
	touch := 0
	for _, kind := range touchKinds() {
		touch += s.Count(kind)
	}
	b.must(b.c.Lock(b.ctx))
	time.Sleep(time.Second)
	s = b.look("not erasing, locked")
	session := 0
	for _, kind := range sessionKinds() {
		session += s.Count(kind)
	}
	t.Logf("without erasing: %d copies of the touch class between touches, %d of the session class after lock", touch, session)
	if touch == 0 || session == 0 {
		t.Error("nothing was left where nothing is erased: the search sees nothing")
	}
}
