package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

// TestAfterLossPlugs tells to plug another token in only where one that is lost
// can be plugged in at all.
func TestAfterLossPlugs(t *testing.T) {
	card := ipc.Token{ID: "a", Label: "card", Kind: "piv", Enrolled: true}
	soft := ipc.Token{ID: "b", Label: "mine", Kind: "soft", Enrolled: true}
	for _, x := range []struct {
		gone []ipc.Token
		plug bool
	}{{[]ipc.Token{card}, true}, {[]ipc.Token{soft}, false}, {[]ipc.Token{soft, card}, true}} {
		said := strings.Join(adviceAfterLoss(x.gone), "\n")
		if strings.Contains(said, "plug another one in") != x.plug {
			t.Errorf("%v: %s", x.gone, said)
		}
	}
}

// TestTooManyFiles tells a pattern that means several files from a name that
// lacks its quotes.
func TestTooManyFiles(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.tokend"), filepath.Join(dir, "b.tokend")
	for _, f := range []string{a, b} {
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if said := strings.Join(adviceTooMany("tokenctl backup verify", []string{a, b}, 1), "\n"); !strings.Contains(said, "one file at a time") {
		t.Error(said)
	}
	if said := strings.Join(adviceTooMany("tokenctl code", []string{"My", "Bank"}, 1), "\n"); !strings.Contains(said, "My Bank") {
		t.Error(said)
	}
}
