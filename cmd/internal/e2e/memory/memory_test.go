//go:build linux

package memory

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/cmd/internal/e2e"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// folder is where the programs are built.
var folder = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "tokend-memory-") })

// builtAsShipped are the programs as packaging/build.sh builds them, once for all
// tests, also under the race detector.
var builtAsShipped = sync.OnceValues(func() (e2e.Programs, error) {
	dir, err := folder()
	if err != nil {
		return e2e.Programs{}, err
	}
	p := e2e.Programs{Dir: filepath.Join(dir, "shipped")}
	if out, err := exec.Command("../../../../packaging/build.sh", p.Dir).CombinedOutput(); err != nil {
		return e2e.Programs{}, fmt.Errorf("cannot build the programs: %w\n%s", err, out)
	}
	return p, nil
})

func shipped(t *testing.T) e2e.Programs {
	t.Helper()
	p, err := builtAsShipped()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMain(m *testing.M) {
	if os.Getenv(holdEnv) != "" {
		hold()
	}
	code := m.Run()
	if dir, err := folder(); err == nil {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

// settled bounds the time that the daemon has for erasing after an answer. It
// needs some 30 ms; the rest is for a machine with much else to do.
const settled = 10 * time.Second

// namesLeft is how many copies of accounts' names may be left in a locked
// daemon: fewer than there are accounts. Names are not handled in
// runtime/secret where they arrive and leave: some stay in buffers that net/http
// and encoding/json keep, and, where pages hold what is in use too, on the heap.
const namesLeft = 2 * perClass

// touchKinds are what must be nowhere between touches, be the vault open or not.
func touchKinds() []string {
	return []string{"PIN", "recovery password", "recovery key", "touch key", "touch exchange", "touch secret"}
}

// sessionKinds are what must be nowhere once the vault is locked.
func sessionKinds() []string {
	return []string{"session key", "session exchange", "session members", "session secret", "signing key", "journal key"}
}

// look stops the daemon and searches it.
func (b *bench) look(when string) *Search {
	b.t.Helper()
	return b.lookFor(when, 0, func(*Search) bool { return true })
}

// lookUntil looks again and again until none of the kinds is found, or for so
// long; the last look counts.
func (b *bench) lookUntil(when string, limit time.Duration, kinds ...string) *Search {
	b.t.Helper()
	return b.lookFor(when, limit, func(s *Search) bool { return !s.any(kinds) })
}

// lookFor looks again and again until what was found is good, or until the
// daemon had so long; the last look counts. While it is searched the daemon
// stands still: only the time between the searches is the daemon's.
func (b *bench) lookFor(when string, limit time.Duration, good func(*Search) bool) *Search {
	b.t.Helper()
	needles := b.everything()
	had := time.Duration(0)
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		s, err := Process(b.PID(), needles)
		b.must(err)
		if good(s) || had >= limit {
			b.t.Logf("%s: searched %d KiB for %d needles, after %v; found %d:\n%s", when, s.Bytes/1024, len(needles),
				had, len(s.Hits), s.Table())
			return s
		}
		time.Sleep(pause)
		had += pause
	}
}

// any says whether one of the kinds was found.
func (s *Search) any(kinds []string) bool {
	return slices.ContainsFunc(kinds, func(kind string) bool { return s.Count(kind) > 0 })
}

// none fails the test for each hit of the kinds, and says what is about it.
func (s *Search) none(t *testing.T, kinds ...string) {
	t.Helper()
	for i := range s.Hits {
		if h := &s.Hits[i]; slices.Contains(kinds, h.Kind) {
			t.Errorf("%s, %s, %s, at %x in %s:\n%q", h.Kind, h.Form, h.Part, h.Address, h.Mapping, h.Around)
		}
	}
}

// TestMemory stops the daemon as it is shipped after a long day, between touches
// and after lock, and looks for every secret of that day in all forms.
func TestMemory(t *testing.T) {
	if e2e.NeedRoot(t) {
		return
	}
	b := newBench(t, shipped(t))
	b.history()
	b.look("unlocked, at the very moment of an answer by touch") // for the record
	s := b.lookUntil("unlocked, between touches", settled, touchKinds()...)
	s.none(t, touchKinds()...)
	b.wantSession(s)
	b.wantNoHelper()
	b.whileBlinking()

	b.must(b.c.Lock(b.ctx))
	s = b.lookUntil("locked", settled, append(touchKinds(), sessionKinds()...)...)
	s.none(t, touchKinds()...)
	s.none(t, sessionKinds()...)
	// Keys are wiped at the lock itself, names only collected.
	s = b.lookFor("locked, a little later", settled, func(s *Search) bool { return s.Count("name") < namesLeft })
	if n := s.Count("name"); n >= namesLeft {
		t.Errorf("%d names are left", n)
	}
	b.wantNoHelper()

	// The same daemon once more: what was wiped was not merely never there.
	_, err := b.c.Unlock(b.ctx, b.unlock(0))
	b.must(err)
	want, gone := b.expected(), append(touchKinds(), "session exchange", "session members")
	s = b.lookFor("unlocked again", settled, func(s *Search) bool { // what decoding the vault left is collected
		for kind, n := range want {
			if s.Count(kind) != n {
				return false
			}
		}
		return !s.any(gone)
	})
	s.none(t, touchKinds()...)
	b.wantSession(s)
}

// whileBlinking searches the daemon while the card waits for a touch: the PIN of
// that very request is there, and nothing that the touch would open.
func (b *bench) whileBlinking() {
	b.t.Helper()
	blinks, touched, done := make(chan struct{}), make(chan struct{}), make(chan error)
	b.cards[0].SetTouch(func(ctx context.Context, _ byte) bool {
		close(blinks)
		select {
		case <-touched:
			return true
		case <-ctx.Done():
			return false
		}
	})
	go func() {
		_, err := b.c.Code(b.ctx, b.list[perClass+62].id, ipc.CodeRequest{Auth: b.auth(0)})
		done <- err
	}()
	select {
	case <-blinks:
	case err := <-done:
		b.t.Fatalf("no touch was wanted: %v", err)
	}
	s := b.look("waiting for a touch")
	s.none(b.t, slices.DeleteFunc(touchKinds(), func(kind string) bool { return kind == "PIN" })...)
	if s.Count("PIN") == 0 {
		b.t.Error("the PIN of a request under way was not found: the search sees nothing")
	}
	close(touched)
	b.must(<-done)
	b.cards[0].SetTouch(vpiv.TouchYes)
	b.lookUntil("touched once more", settled, touchKinds()...).none(b.t, touchKinds()...)
}

// expected is what of the session class an open vault holds.
func (b *bench) expected() map[string]int {
	want := map[string]int{"session key": 1, "signing key": 1, "journal key": 1, "session secret": 0}
	for _, a := range b.list {
		if a.class == "session" {
			want["session secret"]++
		}
	}
	return want
}

// wantSession sees that the search finds what must be there: the keys and each
// session secret, once and in locked memory, and nowhere else. It holds after a
// collection; a code of the session class alone does not ask for one.
func (b *bench) wantSession(s *Search) {
	b.t.Helper()
	for kind, n := range b.expected() {
		if got := s.Count(kind); got != n {
			b.t.Errorf("%s: found %d times, want %d", kind, got, n)
		}
	}
	s.none(b.t, "session exchange", "session members")
	b.wantLocked(s)
}
