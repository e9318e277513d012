package vault

import (
	"bytes"
	"context"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/tokens"
)

func TestCreateUnlockUse(t *testing.T) {
	r := newRig(t)
	if r.store.Exists() {
		t.Fatal("a vault before one was made")
	}
	_, err := r.store.Head()
	wantErr(t, err, ErrNoVault)
	_, err = r.store.Unlock(t.Context(), passwordWay())
	wantErr(t, err, ErrNoVault)
	v := r.create()
	list := append(newAccounts(2, tokens.ClassSession, "totp"), newAccounts(2, tokens.ClassTouch, "hotp")...)
	added := r.add(v, list...)
	want := v.Accounts()
	v.Lock()
	v.Lock()
	_, err = v.Add(t.Context(), list)
	wantErr(t, err, ErrLocked)
	_, err = v.NextCounter(added[2].ID)
	wantErr(t, err, ErrLocked)
	_, err = r.store.Create(t.Context(), nil, []byte(testPassword))
	wantErr(t, err, ErrExists)

	for name, w := range map[string]Way{"token": r.key.way("one"), "password": passwordWay()} {
		t.Run(name, func(t *testing.T) {
			r.tb = t
			r.reopen()
			v := r.unlock(w)
			defer v.Lock()
			if got := v.Accounts(); !reflect.DeepEqual(got, want) {
				t.Fatalf("accounts differ:\n%+v\n%+v", got, want)
			}
			touches := r.key.calls[tokens.ClassTouch]
			for i, a := range added {
				if got := r.secret(v, a.ID, w); got != string(list[i].Secret) {
					t.Errorf("account %d: secret %q", i, got)
				}
			}
			if d := r.key.calls[tokens.ClassTouch] - touches; w.Exchange != nil && d != 2 {
				t.Errorf("%d touches for two touch accounts", d)
			}
			if n := v.Notices(); len(n) > 0 {
				t.Errorf("notices %q", n)
			}
		})
	}
}

func TestPasswordRules(t *testing.T) {
	r := newRig(t)
	for _, pw := range []string{"", "too short", strings.Repeat("x", 129), "\xff\xfe345678901"} {
		_, err := r.store.Create(t.Context(), nil, []byte(pw))
		wantErr(t, err, ErrPasswordRule)
	}
	// U+0061 U+0308 is one code point after NFC.
	decomposed, composed := strings.Repeat("a\u0308", 10), strings.Repeat("\u00e4", 10)
	v, err := r.store.Create(t.Context(), nil, []byte(decomposed))
	if err != nil {
		t.Fatal(err)
	}
	v.Lock()
	r.unlock(Way{Password: []byte(composed)}).Lock()
	_, err = r.store.Unlock(t.Context(), Way{Password: []byte("something else")})
	wantErr(t, err, ErrWrongPassword)
	_, err = r.store.Unlock(t.Context(), Way{Password: []byte{}})
	wantErr(t, err, ErrWrongPassword)
}

func TestExchangeErrorsPassThrough(t *testing.T) {
	r := newRig(t)
	v := r.create()
	id := r.add(v, newAccounts(1, tokens.ClassTouch, "")...)[0].ID
	r.key.fail = &tokens.Error{Code: tokens.CodePINInvalid, Tries: 2}
	_, err := r.store.Unlock(t.Context(), r.key.way("one"))
	if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Tries != 2 {
		t.Fatalf("got %v", err)
	}
	err = v.Use(t.Context(), id, r.key.way("one"), func([]byte) error { t.Error("used"); return nil })
	if _, ok := errors.AsType[*tokens.Error](err); !ok {
		t.Fatalf("got %v", err)
	}
	r.key.fail = nil
	other := newSoftKey(t, tokens.P256, tokens.ClassSession, tokens.ClassTouch)
	_, err = r.store.Unlock(t.Context(), other.way("one"))
	wantErr(t, err, ErrWrongKey)
	wantErr(t, v.Use(t.Context(), id, other.way("one"), func([]byte) error { t.Error("used"); return nil }), ErrWrongKey)
	_, err = r.store.Unlock(t.Context(), r.key.way("two"))
	wantErr(t, err, ErrNoKeyslot)
	_, err = r.store.Unlock(t.Context(), Way{})
	wantErr(t, err, ErrNoKeyslot)
	for _, bad := range [][]byte{nil, make([]byte, 32), make([]byte, 31)} {
		_, err = r.store.Unlock(t.Context(), Way{SlotID: "one", Exchange: func(context.Context, tokens.Key, []byte) ([]byte, error) { return bad, nil }})
		wantErr(t, err, ErrWrongKey)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.store.Unlock(ctx, r.key.way("one"))
	wantErr(t, err, context.Canceled)
}

func TestEditMoveRemoveClass(t *testing.T) {
	r := newRig(t)
	v := r.create()
	a := r.add(v, newAccounts(3, tokens.ClassSession, "hotp")...)
	if _, err := v.NextCounter(a[0].ID); err != nil {
		t.Fatal(err)
	}
	got, err := v.Edit(t.Context(), a[0].ID, func(a *Account) error { a.Name, a.Note = "new name", "two\nlines"; return nil })
	if err != nil || got.Name != "new name" || got.Counter != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err = v.Edit(t.Context(), a[0].ID, func(a *Account) error { a.Counter = 0; return nil }); err != nil || got.Counter != 0 {
		t.Fatalf("a counter cannot be set back: %+v, %v", got, err)
	}
	_, err = v.Edit(t.Context(), a[0].ID, func(a *Account) error { a.ID = a.ID[1:] + "0"; return nil })
	wantErr(t, err, ErrInvalid)
	_, err = v.Edit(t.Context(), a[0].ID, func(a *Account) error { a.Name = "\x00"; return nil })
	wantErr(t, err, ErrInvalid)
	_, err = v.Edit(t.Context(), "0000000000000000", func(*Account) error { return nil })
	wantErr(t, err, ErrNotFound)
	if err := v.Move(t.Context(), a[2].ID, 0); err != nil {
		t.Fatal(err)
	}
	wantErr(t, v.Move(t.Context(), a[2].ID, 3), ErrInvalid)
	if _, err := v.Remove(t.Context(), a[1].ID); err != nil {
		t.Fatal(err)
	}
	if got, err = v.SetClass(t.Context(), a[0].ID, tokens.ClassTouch, Way{}); err != nil || got.Class != tokens.ClassTouch {
		t.Fatalf("%+v, %v", got, err)
	}
	secret := r.secret(v, a[0].ID, r.key.way("one"))
	wantErr(t, v.Use(t.Context(), a[0].ID, Way{}, nil), ErrNoKeyslot)
	_, err = v.SetClass(t.Context(), a[0].ID, tokens.ClassSession, Way{})
	wantErr(t, err, ErrNoKeyslot)
	if _, err = v.SetClass(t.Context(), a[0].ID, tokens.ClassSession, r.key.way("one")); err != nil {
		t.Fatal(err)
	}
	want := v.Accounts()
	v.Lock()
	v = r.unlock(r.key.way("one"))
	if got := v.Accounts(); !reflect.DeepEqual(got, want) || len(got) != 2 || got[0].ID != a[2].ID {
		t.Fatalf("%+v", got)
	}
	if again := r.secret(v, a[0].ID, Way{}); again != secret {
		t.Fatalf("secret %q, not %q", again, secret)
	}
}

func TestLimits(t *testing.T) {
	r := newRig(t)
	v := r.create()
	ok := newAccounts(1, tokens.ClassSession, "")[0]
	for name, change := range map[string]func(*NewAccount){
		"no secret":   func(a *NewAccount) { a.Secret = nil },
		"long secret": func(a *NewAccount) { a.Secret = make([]byte, 513) },
		"no name":     func(a *NewAccount) { a.Name = "" },
		"long name":   func(a *NewAccount) { a.Name = strings.Repeat("x", 257) },
		"bad utf-8":   func(a *NewAccount) { a.Name = "\xff" },
		"long issuer": func(a *NewAccount) { a.Issuer = strings.Repeat("x", 257) },
		"long note":   func(a *NewAccount) { a.Note = strings.Repeat("x", 2049) },
		"type":        func(a *NewAccount) { a.Type = "motp" },
		"algorithm":   func(a *NewAccount) { a.Algorithm = "MD5" },
		"digits":      func(a *NewAccount) { a.Digits = 11 },
		"period":      func(a *NewAccount) { a.Period = -1 },
		"class":       func(a *NewAccount) { a.Class = "other" },
		"kind":        func(a *NewAccount) { a.Kind = "other" },
	} {
		bad := ok
		change(&bad)
		if _, err := v.Add(t.Context(), []NewAccount{ok, bad}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(v.Accounts()) != 0 || v.Generation() != 1 {
		t.Fatal("a refused account was added")
	}
	_, err := v.Add(t.Context(), make([]NewAccount, archive.MaxAccounts+1))
	wantErr(t, err, ErrInvalid)
	big := ok
	big.Secret = bytes.Repeat([]byte{7}, 512)
	big.Class = tokens.ClassTouch
	id := r.add(v, big)[0].ID
	if got := r.secret(v, id, passwordWay()); got != string(big.Secret) {
		t.Fatal("a secret of 512 bytes is not what it was")
	}
}

func TestSlots(t *testing.T) {
	r := newRig(t)
	v := r.create()
	ids := r.add(v, append(newAccounts(1, tokens.ClassSession, ""), newAccounts(2, tokens.ClassTouch, "")...)...)
	want := r.secret(v, ids[1].ID, r.key.way("one"))
	keys := map[string]*softKey{"one": r.key}
	for i, alg := range []tokens.Algorithm{tokens.P384, tokens.X25519, tokens.P256, tokens.P384, tokens.X25519, tokens.P256, tokens.P256, tokens.X25519} {
		classes := []tokens.Class{tokens.ClassSession, tokens.ClassTouch}[:1+i%2]
		k := newSoftKey(t, alg, classes...)
		id := string(rune('a' + i))
		n := k.slot(id, "key "+id)
		if len(classes) == 1 {
			k.kind = tokens.KindSoft
			n = k.slot(id, "key "+id)
			n.Enrollment.KeyFile = []byte("sealed " + id)
		}
		slot, err := v.AddSlot(t.Context(), n, r.key.way("one"))
		if err != nil {
			t.Fatal(err)
		}
		if slot.Label != "key "+id || slot.Kind != k.kind || (slot.KeyFile != nil) != (k.kind == tokens.KindSoft) {
			t.Fatalf("%+v", slot)
		}
		keys[id] = k
	}
	if err := v.RenameSlot(t.Context(), "a", "renamed"); err != nil {
		t.Fatal(err)
	}
	n := keys["b"].slot("zz", "")
	_, err := v.AddSlot(t.Context(), n, r.key.way("one"))
	wantErr(t, err, ErrConflict)
	stranger := newSoftKey(t, tokens.P256, tokens.ClassSession)
	n = stranger.slot("zz", "")
	n.Exchange = r.key.exchange
	_, err = v.AddSlot(t.Context(), n, Way{})
	wantErr(t, err, ErrWrongKey)
	v.Lock()
	r.checkSlots(keys, ids[1].ID, want, stranger)
}

// checkSlots opens the vault by each of nine keyslots.
func (r *rig) checkSlots(keys map[string]*softKey, touchID, want string, stranger *softKey) {
	t := r.tb
	t.Helper()
	head, err := r.store.Head()
	if err != nil || len(head.Slots) != 9 || head.Slots[1].Label == "renamed" || string(head.Slots[1].KeyFile) != "sealed a" {
		t.Fatalf("%+v, %v", head, err)
	}
	for id, k := range keys {
		v := r.unlock(k.way(id))
		if id == "a" && v.Slots()[1].Label != "renamed" {
			t.Errorf("label %q", v.Slots()[1].Label)
		}
		if k.keys[tokens.ClassTouch] != nil {
			if got := r.secret(v, touchID, k.way(id)); got != want {
				t.Errorf("%s: secret %q", id, got)
			}
			if err := v.CheckSlot(t.Context(), id, tokens.ClassTouch, k.exchange); err != nil {
				t.Error(err)
			}
		}
		if err := v.CheckSlot(t.Context(), id, tokens.ClassSession, k.exchange); err != nil {
			t.Error(err)
		}
		if k.alg == stranger.alg {
			wantErr(t, v.CheckSlot(t.Context(), id, tokens.ClassSession, stranger.exchange), ErrWrongKey)
		}
		v.Lock()
	}
}

func TestTouchComesWithTheFirstSlotThatCan(t *testing.T) {
	r := newRig(t)
	soft := newSoftKey(t, tokens.X25519, tokens.ClassSession)
	n := soft.slot("soft", "")
	v, err := r.store.Create(t.Context(), &n, nil)
	if err != nil {
		t.Fatal(err)
	}
	if v.HasTouch() {
		t.Fatal("touch without a slot for it")
	}
	_, err = v.Add(t.Context(), newAccounts(1, tokens.ClassTouch, ""))
	wantErr(t, err, ErrNoKeyslot)
	wantErr(t, r.store.CheckRecovery(t.Context(), passwordWay()), ErrNoRecovery)
	first, second := newSoftKey(t, tokens.P256, tokens.ClassSession, tokens.ClassTouch), newSoftKey(t, tokens.P256, tokens.ClassSession, tokens.ClassTouch)
	for id, k := range map[string]*softKey{"first": first, "second": second} {
		if _, err := v.AddSlot(t.Context(), k.slot(id, ""), Way{}); err != nil {
			t.Fatal(err)
		}
	}
	id := r.add(v, newAccounts(1, tokens.ClassTouch, "")...)[0].ID
	for _, k := range []struct {
		id  string
		key *softKey
	}{{"first", first}, {"second", second}} {
		r.secret(v, id, k.key.way(k.id))
	}
	third := newSoftKey(t, tokens.P256, tokens.ClassSession, tokens.ClassTouch)
	_, err = v.AddSlot(t.Context(), third.slot("third", ""), Way{})
	wantErr(t, err, ErrNoKeyslot)
	if _, err := v.RevokeSlot(t.Context(), "first", second.way("second")); err != nil {
		t.Fatal(err)
	}
	_, err = v.RevokeSlot(t.Context(), "second", second.way("second"))
	wantErr(t, err, ErrLastWay)
	if err := v.SetRecovery(t.Context(), []byte(testPassword), second.way("second")); err != nil {
		t.Fatal(err)
	}
	info, err := v.RevokeSlot(t.Context(), "second", passwordWay())
	if err != nil || len(info.RecoveryOnly) != 1 || info.RecoveryOnly[0] != tokens.ClassTouch {
		t.Fatalf("%+v, %v", info, err)
	}
	r.secret(v, id, passwordWay())
	if v.HasTouch() {
		t.Fatal("touch although no slot has it")
	}
	if _, err := v.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err = v.RevokeSlot(t.Context(), "soft", Way{}); err != nil {
		t.Fatal(err)
	}
	v.Lock()
	r.unlock(passwordWay()).Lock()
}

func TestRevoke(t *testing.T) {
	r := newRig(t)
	v := r.create()
	lost := newSoftKey(t, tokens.P256, tokens.ClassSession, tokens.ClassTouch)
	if _, err := v.AddSlot(t.Context(), lost.slot("lost", ""), Way{}); err != nil {
		t.Fatal(err)
	}
	a := r.add(v, append(newAccounts(2, tokens.ClassSession, "hotp"), newAccounts(2, tokens.ClassTouch, "hotp")...)...)
	if _, err := v.NextCounter(a[0].ID); err != nil {
		t.Fatal(err)
	}
	old, _, err := r.store.Backup()
	if err != nil {
		t.Fatal(err)
	}
	signer, accounts := v.Signer(), v.Accounts()
	info, err := v.RevokeSlot(t.Context(), "lost", r.key.way("one"))
	if err != nil || info.Epoch != 2 || info.Revoked.ID != "lost" {
		t.Fatalf("%+v, %v", info, err)
	}
	if v.Signer() == signer || !reflect.DeepEqual(v.Accounts(), accounts) {
		t.Fatal("the signer stayed, or the accounts did not")
	}
	if left := r.store.earlier(); len(left) != 0 {
		t.Fatalf("earlier generations left: %v", left)
	}
	v.Lock()
	_, err = r.store.Unlock(t.Context(), lost.way("lost"))
	wantErr(t, err, ErrNoKeyslot)
	for _, w := range []Way{r.key.way("one"), passwordWay()} {
		v := r.unlock(w)
		for i := range a {
			if got := r.secret(v, a[i].ID, w); !strings.Contains(got, "secret") {
				t.Errorf("secret %q", got)
			}
		}
		v.Lock()
	}
	// The old generation in place of the new one is an old one, not another's.
	if err := os.WriteFile(r.store.vaultFile(), old, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = r.store.Unlock(t.Context(), lost.way("lost"))
	wantErr(t, err, ErrRolledBack)
	_, _, err = r.store.Recover(t.Context(), lost.way("lost"), true)
	wantErr(t, err, ErrRolledBack)
}

func TestRecoveryKeys(t *testing.T) {
	r := newRig(t)
	v := r.create()
	id := r.add(v, newAccounts(1, tokens.ClassTouch, "")...)[0].ID
	key, err := r.store.ShowRecoveryKey(t.Context(), []byte(testPassword))
	if err != nil || !strings.HasPrefix(string(key), "AGE-SECRET-KEY-1") {
		t.Fatal(err)
	}
	byKey := Way{RecoveryKey: key}
	if err := r.store.CheckRecovery(t.Context(), byKey); err != nil {
		t.Fatal(err)
	}
	r.secret(v, id, byKey)
	_, err = r.store.ShowRecoveryKey(t.Context(), []byte("another password"))
	wantErr(t, err, ErrWrongPassword)
	wantErr(t, r.store.CheckRecovery(t.Context(), Way{RecoveryKey: []byte("AGE-SECRET-KEY-1NONSENSE")}), ErrWrongPassword)
	before, _, err := r.store.Backup()
	if err != nil {
		t.Fatal(err)
	}
	const second, third = "the second password", "the third password"
	wantErr(t, v.SetRecovery(t.Context(), []byte(second), Way{}), ErrNoKeyslot)
	if err := v.SetRecovery(t.Context(), []byte(second), r.key.way("one")); err != nil {
		t.Fatal(err)
	}
	wantErr(t, r.store.CheckRecovery(t.Context(), passwordWay()), ErrWrongPassword)
	wantErr(t, r.store.CheckRecovery(t.Context(), byKey), ErrWrongPassword)
	if err := r.store.CheckRecovery(t.Context(), Way{Password: []byte(second)}); err != nil {
		t.Fatal(err)
	}
	if c, err := r.store.Inspect(t.Context(), before, passwordWay()); err != nil || len(c.Accounts) != 1 || !c.SignerProved {
		t.Fatalf("%+v, %v", c, err)
	}
	if err := v.RotateRecovery(t.Context(), []byte(third), Way{Password: []byte(second)}); err != nil {
		t.Fatal(err)
	}
	if v.Epoch() != 2 || len(r.store.earlier()) != 0 {
		t.Fatal("no new epoch, or earlier generations left")
	}
	r.secret(v, id, Way{Password: []byte(third)})
	v.Lock()
	v = r.unlock(Way{Password: []byte(third)})
	// Opened by recovery, a vault can still enrol.
	k := newSoftKey(t, tokens.P384, tokens.ClassSession, tokens.ClassTouch)
	if _, err := v.AddSlot(t.Context(), k.slot("new", ""), Way{Password: []byte(third)}); err != nil {
		t.Fatal(err)
	}
	v.Lock()
	v = r.unlock(k.way("new"))
	r.secret(v, id, k.way("new"))
	v.Lock()
}

func TestManagedSecretsStayOnTheDevice(t *testing.T) {
	r := newRig(t)
	v := r.create()
	list := append(newAccounts(1, tokens.ClassSession, ""), newAccounts(1, tokens.ClassTouch, "")...)
	for i := range list {
		list[i].Kind = Managed
	}
	own := newAccounts(1, tokens.ClassSession, "")
	a := r.add(v, append(list, own...)...)
	backup, info, err := r.store.Backup()
	if err != nil {
		t.Fatal(err)
	}
	full, err := os.ReadFile(r.store.vaultFile())
	if err != nil || len(full) <= len(backup) {
		t.Fatal("the backup holds as much as the vault")
	}
	v.Lock()
	for _, w := range []Way{r.key.way("one"), passwordWay()} {
		v = r.unlock(w)
		for i := range a {
			r.secret(v, a[i].ID, w)
		}
		v.Lock()
	}
	other := newRig(t)
	v, err = other.store.Restore(t.Context(), backup, r.key.way("one"), info.Signer)
	if err != nil {
		t.Fatal(err)
	}
	for i, acc := range v.Accounts() {
		err := v.Use(t.Context(), acc.ID, r.key.way("one"), func([]byte) error { return nil })
		if managed := i < 2; acc.Inactive != managed || errors.Is(err, ErrNoSecret) != managed {
			t.Errorf("account %d: inactive %v, %v", i, acc.Inactive, err)
		}
	}
	if _, err := v.RevokeSlot(t.Context(), "one", passwordWay()); err != nil {
		t.Fatal(err)
	}
}
