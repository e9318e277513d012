//go:build linux

package foreign

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/tokens/tokentest/rig"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// pcsc is one rig for all tests here: the PC/SC library reads where pcscd is
// once in the life of a process.
var pcsc *rig.Rig

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	r, err := rig.New(context.Background(), rig.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := r.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	pcsc = r
	for _, e := range r.Env() {
		name, value, _ := strings.Cut(e, "=")
		if err := os.Setenv(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// insert makes a card and puts it into the first reader until the test ends.
func insert(t *testing.T, o vpiv.Options) *vpiv.Card {
	t.Helper()
	card, err := vpiv.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := pcsc.Insert(card, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pcsc.Remove(0); err != nil {
			t.Error(err)
		}
	})
	return card
}
