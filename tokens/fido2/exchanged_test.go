//go:build cgo && linux && !nofido2

package fido2_test

import (
	"os"
	"testing"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/tokentest/conformance"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// TestExchangedBeforeThePIN: another key that comes into the place of one that has
// proved itself, before the PIN is shown, sees no PIN.
func TestExchangedBeforeThePIN(t *testing.T) {
	for name, call := range map[string]func(d tokens.Driver, s slot, k tokens.Key, exchange func()) error{
		"agree": func(d tokens.Driver, s slot, k tokens.Key, exchange func()) error {
			_, err := d.Agree(t.Context(), tokens.AgreeRequest{
				Locator: s.path(), Key: k, Peer: conformance.Peer(t, k).PublicKey().Bytes(), PIN: []byte(rightPIN), OnTouch: exchange,
			})
			return err
		},
		"enroll": func(d tokens.Driver, s slot, _ tokens.Key, exchange func()) error {
			_, err := d.Enroll(t.Context(), tokens.EnrollRequest{Locator: s.path(), Classes: both, PIN: []byte(rightPIN), OnTouch: exchange})
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
			err = call(d, mine, keyOf(t, e, tokens.ClassSession), func() {
				if err := mine.port.Remove(); err != nil {
					t.Error(err)
				}
				_ = os.Remove(mine.path())
				if err := os.Symlink(behind, mine.path()); err != nil {
					t.Error(err)
				}
			})
			conformance.Code(t, err, tokens.CodeRemoved)
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
	got, err := d.Agree(t.Context(), tokens.AgreeRequest{
		Locator: mine.path(), Key: k, Peer: peer.PublicKey().Bytes(), PIN: []byte(rightPIN),
		OnTouch: func() {
			_ = os.Remove(mine.path())
			if err := os.Symlink(behind, mine.path()); err != nil {
				t.Error(err)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	conformance.Want(t, got, k, peer)
	if n := other.Counts(); n.PINsSeen != 0 || n.TouchesAsked != 0 {
		t.Errorf("the other key saw %d PINs and was asked for %d touches", n.PINsSeen, n.TouchesAsked)
	}
}
