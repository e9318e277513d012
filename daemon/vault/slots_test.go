package vault

import (
	"os"
	"testing"

	"github.com/tokenbridge/tokend/tokens"
)

// TestDropKeyFile removes the key file of a keyslot that never came to be, and
// of no other.
func TestDropKeyFile(t *testing.T) {
	r := newRig(t)
	v := r.create()
	k := newSoftKey(t, tokens.X25519, tokens.ClassSession)
	k.kind = tokens.KindSoft
	n := k.slot("soft-one", "spare")
	n.Enrollment.KeyFile = []byte("sealed")
	if _, err := v.AddSlot(t.Context(), n, Way{}); err != nil {
		t.Fatal(err)
	}
	wantErr(t, r.store.DropKeyFile("soft-one"), ErrConflict)
	wantErr(t, r.store.DropKeyFile("../vault"), ErrInvalid)
	writeAll(t, r.store.keyFile("never"), []byte("sealed"))
	for range 2 { // what is gone already is no failure
		if err := r.store.DropKeyFile("never"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(r.store.keyFile("never")); !os.IsNotExist(err) {
		t.Errorf("the key file is still there: %v", err)
	}
	if _, err := os.Stat(r.store.keyFile("soft-one")); err != nil {
		t.Errorf("the key file of a keyslot is gone: %v", err)
	}
}
