//go:build cgo

package daemon_test

import (
	"slices"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// left is what the list says is left over on the card in the first reader.
func (b *bench) left(t *testing.T) (id string, slots []string) {
	t.Helper()
	list, err := b.d.Tokens(t.Context(), b.p)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range list.Tokens {
		if k.Present && k.Locator == b.rig.Reader() {
			return k.ID, k.Left
		}
	}
	return "", nil
}

// wipe tries to wipe the card in the first reader.
func (b *bench) wipe(t *testing.T, id string, slots ...string) ([]string, error) {
	t.Helper()
	r, err := b.d.WipeToken(t.Context(), b.p, id, ipc.WipeTokenRequest{Confirm: id, Slots: slots, PIN: secretOf(factoryPIN)})
	return r.Cleared, err
}

// The keys of a purged vault are known when their card comes back, also to the next
// daemon, and go when that is asked for. What came since is left alone.
func TestKeysOfAPurgedVault(t *testing.T) {
	b := workbench(t, vpiv.YubiKey(5, 4, 3), nil)
	id := b.init(t).Vault.ID
	res, err := b.d.Purge(t.Context(), b.p, ipc.PurgeRequest{Confirm: id, WithoutBackup: true})
	if err != nil {
		t.Fatal(err)
	}
	token, slots := b.left(t)
	if !slices.Equal(slots, []string{"82", "83"}) || len(res.Left.Tokens) != 1 || res.Left.Tokens[0].Token.ID != token || !slices.Equal(res.Left.Tokens[0].Slots, slots) {
		t.Fatalf("left on %s are %v; it was said %+v", token, slots, res.Left.Tokens)
	}
	// Pulled out, all that is known is that it was a PIV card.
	if err := b.rig.Remove(0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the removal", 20*time.Second, func() bool { id, _ := b.left(t); return id == "" })
	left, err := b.d.Leaving(t.Context(), b.p)
	if err != nil || left.Vault.State != ipc.VaultNone || len(left.Tokens) != 1 || left.Tokens[0].Present || left.Tokens[0].Token.ID != "" {
		t.Fatalf("%+v, %v", left, err)
	}
	if err := b.rig.Insert(b.card, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the return", 20*time.Second, func() bool { _, slots := b.left(t); return len(slots) == 2 })
	if _, err := b.wipe(t, token); err != nil {
		t.Fatal(err)
	}
	if _, slots := b.left(t); len(slots) > 0 {
		t.Fatalf("left are %v", slots)
	}
	_, err = b.wipe(t, token)
	wantKind(t, err, ipc.NotFound)
	if left, err := b.d.Leaving(t.Context(), b.p); err != nil || len(left.Tokens) > 0 {
		t.Fatalf("%+v, %v", left, err)
	}
}

// Where nothing is known, the card itself shows which keys were made for a vault:
// those go when their slots are named, no others, and none that a vault here uses.
func TestWipeByWhatTheCardShows(t *testing.T) {
	b := workbench(t, vpiv.YubiKey(5, 4, 3), nil)
	b.init(t)
	// A stranger to the first daemon's notes, with the same card.
	stranger := b.p
	stranger.UID = "1001"
	own := *b
	own.p = stranger
	id, slots := own.left(t)
	if id == "" || len(slots) > 0 {
		t.Fatalf("%q, %v", id, slots)
	}
	info, err := b.d.TokenInfo(t.Context(), stranger, id)
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, k := range info.Keys {
		if k.Made && !k.Ours && !k.Left {
			made++
		}
	}
	if made != 2 {
		t.Fatalf("the keys are %+v", info.Keys)
	}
	_, err = own.wipe(t, id)
	wantKind(t, err, ipc.NotFound)
	_, err = own.wipe(t, id, "82", "9a")
	wantKind(t, err, ipc.TokenOccupied)
	if !holdsBoth(t, b) {
		t.Fatal("a wipe that was refused did something")
	}
	// Its owner's vault opens with them.
	list, err := b.d.Tokens(t.Context(), b.p)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.wipe(t, list.Tokens[0].ID, "82")
	wantKind(t, err, ipc.Conflict)
	_, err = b.wipe(t, list.Tokens[0].ID)
	wantKind(t, err, ipc.Conflict)
	cleared, err := own.wipe(t, id, "83")
	if err != nil || !slices.Equal(cleared, []string{"83"}) {
		t.Fatalf("%v, %v", cleared, err)
	}
}

func holdsBoth(t *testing.T, b *bench) bool {
	t.Helper()
	list, err := b.d.Tokens(t.Context(), b.p)
	if err != nil || len(list.Tokens) == 0 {
		t.Fatalf("%+v, %v", list, err)
	}
	_, err = b.d.TestToken(t.Context(), b.p, list.Tokens[0].ID, ipc.TestTokenRequest{Auth: ipc.Auth{PIN: secretOf(factoryPIN)}})
	return err == nil
}

// A key that was on the card before it was enrolled has other uses: it is told as
// none of ours, and no wipe takes it.
func TestKeysThatWereThereAreNeverWiped(t *testing.T) {
	b := workbench(t, vpiv.YubiKey(5, 4, 3), func(c *daemon.Config) { c.Mode = daemon.ModeSystem })
	b.init(t) // makes keys, which a second vault of another user takes over
	other := *b
	other.p.UID = "1001"
	token, _ := other.left(t)
	made, err := b.d.Init(t.Context(), other.p, ipc.InitRequest{
		Enroll:           &ipc.EnrollRequest{Kind: "piv", Label: "shared", PIN: secretOf(factoryPIN), Locator: b.rig.Reader(), UseExisting: true},
		RecoveryPassword: secretOf(recovery),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.d.RevokeToken(t.Context(), other.p, made.Token.ID, ipc.RevokeRequest{Confirm: made.Token.ID, Auth: ipc.Auth{RecoveryPassword: secretOf(recovery)}}); err != nil {
		t.Fatal(err)
	}
	if id, slots := other.left(t); id != token || len(slots) > 0 {
		t.Errorf("left on %s are %v", id, slots)
	}
	_, err = other.wipe(t, token)
	wantKind(t, err, ipc.NotFound)
	left, err := b.d.Leaving(t.Context(), other.p)
	if err != nil || len(left.Tokens) > 0 {
		t.Errorf("%+v, %v", left.Tokens, err)
	}
	if !holdsBoth(t, b) {
		t.Error("the keys are gone")
	}
}
