package vault

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"os"
	"testing"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/tokens"
)

// lose removes the vault and leaves the pin.
func (r *rig) lose() {
	r.tb.Helper()
	// Windows removes no file that is open.
	if err := errors.Join(r.store.Close(), os.RemoveAll(r.opt.Dir)); err != nil {
		r.tb.Fatal(err)
	}
	r.reopen()
}

// TestRestoreMindsThePin restores where the vault is lost and its pin is left: a
// forged backup is refused before the token is asked, the real one is not.
func TestRestoreMindsThePin(t *testing.T) {
	r := newRig(t)
	v := r.create()
	r.add(v, newAccounts(2, tokens.ClassSession, "")...)
	v.Lock()
	real, _, err := r.store.Backup()
	if err != nil {
		t.Fatal(err)
	}
	forged := forge(t, real, 99)
	r.lose()
	calls := r.key.calls[tokens.ClassSession]
	_, err = r.store.Restore(t.Context(), forged, r.key.way("one"), "")
	wantErr(t, err, ErrNotVouched)
	if r.key.calls[tokens.ClassSession] != calls || r.store.Exists() {
		t.Error("the forged backup was used")
	}
	if v, err = r.store.Restore(t.Context(), real, r.key.way("one"), ""); err != nil || len(v.Accounts()) != 2 {
		t.Fatal(err)
	}
}

// successor forges what whoever had a token that was revoked later can make of
// his copy: a vault of the next epoch, signed by a key of his own which the old
// one vouches for, that the recovery password opens.
func successor(tb testing.TB, r *rig, copied []byte) []byte {
	tb.Helper()
	a, err := archive.Parse(copied)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := open(tb.Context(), a, r.key.way("one"))
	if err != nil {
		tb.Fatal(err)
	}
	_, own, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	keys, p := c.Keys(), a.Parts()
	p.Header.Succession = append(p.Header.Succession, archive.Succeed(p.Header.VaultID, 2, keys.SigningKey, own))
	p.Header.Epoch, keys.Epoch, keys.SigningKey = 2, 2, own
	raw, err := archive.EncodeKeys(keys)
	if err != nil {
		tb.Fatal(err)
	}
	if p.Keys, err = archive.Encrypt(raw, recipient(keys.SessionKey), keys.RecoveryRecipient); err != nil {
		tb.Fatal(err)
	}
	p.SigningKey, p.Generation = own, 99
	data, _, err := archive.Build(p)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// TestRestoreOfARevokedTokensSuccessor is about the one forgery that the
// recovery password does not find out: the pin does, where there is one.
func TestRestoreOfARevokedTokensSuccessor(t *testing.T) {
	r := newRig(t)
	v := r.create()
	second := newSoftKey(t, tokens.P256, tokens.ClassSession)
	if _, err := v.AddSlot(t.Context(), second.slot("two", "spare"), Way{}); err != nil {
		t.Fatal(err)
	}
	before, _, err := r.store.Backup()
	if err != nil {
		t.Fatal(err)
	}
	forged := successor(t, r, before)
	if _, err := v.RevokeSlot(t.Context(), "one", Way{}); err != nil {
		t.Fatal(err)
	}
	v.Lock()
	after, _, err := r.store.Backup()
	if err != nil {
		t.Fatal(err)
	}
	r.lose()
	_, err = r.store.Restore(t.Context(), forged, passwordWay(), "")
	wantErr(t, err, ErrNotVouched)
	if v, err = r.store.Restore(t.Context(), after, passwordWay(), ""); err != nil {
		t.Fatal(err)
	}
	v.Lock()
	r.lose()
	// A backup from before the revoke is still the user's own; it is said what it is.
	if v, err = r.store.Restore(t.Context(), before, passwordWay(), ""); err != nil || len(v.Notices()) == 0 {
		t.Fatal(v, err)
	}
	v.Lock()
	// A machine that knows nothing of the vault cannot tell; docs/threat-model.md.
	fresh := newRig(t)
	if v, err = fresh.store.Restore(t.Context(), forged, passwordWay(), ""); err != nil {
		t.Fatal(err)
	}
	v.Lock()
}
