//go:build cgo && linux && !nofido2

package fido2_test

import (
	"crypto/rand"
	"os"
	"testing"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/fido2"
	"github.com/tokenbridge/tokend/tokens/tokentest/conformance"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// hook calls then when random bytes are wanted for the n-th time: a challenge is
// made right before the key is asked, after it has proved itself.
type hook struct {
	n    int
	then func()
}

func (h *hook) Read(b []byte) (int, error) {
	if h.n--; h.n == 0 {
		h.then()
	}
	return rand.Read(b)
}

// hooked is a driver of the key at path with such a hook.
func hooked(path string, n int, then func()) *fido2.Driver {
	return fido2.New(fido2.Options{Devices: []string{path}, Random: &hook{n, then}})
}

// TestExchangedBeforeThePIN: another key that comes into the place of one that has
// proved itself, before the PIN is shown, sees no PIN.
func TestExchangedBeforeThePIN(t *testing.T) {
	for name, call := range map[string]func(s slot, k tokens.Key, exchange func()) error{
		"agree": func(s slot, k tokens.Key, exchange func()) error {
			_, err := hooked(s.path(), 2, exchange).Agree(t.Context(), tokens.AgreeRequest{
				Locator: s.path(), Key: k, Peer: conformance.Peer(t, k).PublicKey().Bytes(), PIN: []byte(rightPIN),
			})
			return err
		},
		"enroll": func(s slot, _ tokens.Key, exchange func()) error {
			_, err := hooked(s.path(), 1, exchange).Enroll(t.Context(), tokens.EnrollRequest{Locator: s.path(), Classes: both, PIN: []byte(rightPIN)})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			mine, other := plug(t, vfido.Options{PIN: rightPIN}), plug(t, vfido.Options{PIN: rightPIN})
			d := driver(mine.path())
			e, _ := enroll(t, d, mine, rightPIN)
			behind, err := os.Readlink(other.path())
			if err != nil {
				t.Fatal(err)
			}
			seen := mine.Counts().PINsSeen
			exchanged := false
			err = call(mine, keyOf(t, e, tokens.ClassSession), func() {
				exchanged = true
				if err := mine.port.Remove(); err != nil {
					t.Error(err)
				}
				_ = os.Remove(mine.path())
				if err := os.Symlink(behind, mine.path()); err != nil {
					t.Error(err)
				}
			})
			conformance.Code(t, err, tokens.CodeRemoved)
			if !exchanged {
				t.Error("it failed before the key was exchanged")
			}
			if n := other.Counts(); n.PINsSeen != 0 || n.TouchesAsked != 0 || mine.Counts().PINsSeen != seen {
				t.Errorf("the other key saw %d PINs and was asked for %d touches, the first saw %d PINs", n.PINsSeen, n.TouchesAsked, mine.Counts().PINsSeen-seen)
			}
		})
	}
}

// TestALinkThatLeadsElsewhere: while a key is used, a link that leads to another
// one since then changes nothing.
func TestALinkThatLeadsElsewhere(t *testing.T) {
	mine, other := plug(t, vfido.Options{PIN: rightPIN}), plug(t, vfido.Options{PIN: rightPIN})
	d := driver(mine.path())
	e, _ := enroll(t, d, mine, rightPIN)
	behind, err := os.Readlink(other.path())
	if err != nil {
		t.Fatal(err)
	}
	k := keyOf(t, e, tokens.ClassSession)
	peer := conformance.Peer(t, k)
	led := false
	got, err := hooked(mine.path(), 2, func() {
		led = true
		_ = os.Remove(mine.path())
		if err := os.Symlink(behind, mine.path()); err != nil {
			t.Error(err)
		}
	}).Agree(t.Context(), tokens.AgreeRequest{
		Locator: mine.path(), Key: k, Peer: peer.PublicKey().Bytes(), PIN: []byte(rightPIN),
	})
	if err != nil {
		t.Fatal(err)
	}
	conformance.Want(t, got, k, peer)
	if !led {
		t.Error("the link was not changed")
	}
	if n := other.Counts(); n.PINsSeen != 0 || n.TouchesAsked != 0 {
		t.Errorf("the other key saw %d PINs and was asked for %d touches", n.PINsSeen, n.TouchesAsked)
	}
}
