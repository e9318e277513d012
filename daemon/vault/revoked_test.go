package vault

import (
	"bytes"
	"testing"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/tokens"
)

// former is all that somebody learned who once could open everything.
type former struct {
	session, recovery, touch []byte
	signer                   string
}

func learn(tb testing.TB, data []byte) former {
	tb.Helper()
	a, err := archive.Parse(data)
	if err != nil {
		tb.Fatal(err)
	}
	recovery, err := a.RecoveryIdentity([]byte(testPassword))
	if err != nil {
		tb.Fatal(err)
	}
	c, err := a.OpenRecoveryKey(recovery)
	if err != nil {
		tb.Fatal(err)
	}
	f := former{session: bytes.Clone(c.Keys().SessionKey), recovery: recovery, signer: a.Manifest.Signer}
	if f.touch, err = archive.Decrypt(a.Parts().TouchKey, recovery); err != nil {
		tb.Fatal(err)
	}
	return f
}

// opens names the members of a vault that one of the keys opens.
func opens(tb testing.TB, data []byte, keys ...[]byte) []string {
	tb.Helper()
	a, err := archive.Parse(data)
	if err != nil {
		tb.Fatal(err)
	}
	p := a.Parts()
	var list []string
	for name, member := range map[string][]byte{"keys": p.Keys, "session": p.Session, "touch key": p.TouchKey, "device": p.Device} {
		for _, k := range keys {
			if member != nil {
				if _, err := archive.Decrypt(member, k); err == nil {
					list = append(list, name)
				}
			}
		}
	}
	return list
}

// TestFormerKeysOpenNothingNew tries all keys of the time before a revoke and a
// rotation on every member and every touch secret written since.
func TestFormerKeysOpenNothingNew(t *testing.T) {
	r := newRig(t)
	v := r.create()
	second := newSoftKey(t, tokens.P384, tokens.ClassSession, tokens.ClassTouch)
	if _, err := v.AddSlot(t.Context(), second.slot("two", "spare"), Way{}); err != nil {
		t.Fatal(err)
	}
	r.add(v, append(newAccounts(2, tokens.ClassTouch, ""), newAccounts(2, tokens.ClassSession, "")...)...)
	f := learn(t, readAll(t, r.store.vaultFile()))

	check := func(when string, keys ...[]byte) {
		t.Helper()
		data := readAll(t, r.store.vaultFile())
		if got := opens(t, data, keys...); len(got) > 0 {
			t.Errorf("%s: former keys open %q", when, got)
		}
		for i := range v.st.records {
			if blob := v.st.records[i].Touch; blob != nil {
				if _, err := archive.Decrypt(blob, f.touch); err == nil {
					t.Errorf("%s: the former touch key opens a secret", when)
				}
			}
		}
		if v.Signer() == f.signer {
			t.Errorf("%s: the same signer", when)
		}
		if n := len(r.store.earlier()); n > 0 {
			t.Errorf("%s: %d earlier generations are left", when, n)
		}
	}
	if _, err := v.RevokeSlot(t.Context(), "one", second.way("two")); err != nil {
		t.Fatal(err)
	}
	check("revoked", f.session, f.touch)
	_, err := r.store.Unlock(t.Context(), r.key.way("one"))
	wantErr(t, err, ErrNoKeyslot)

	if err := v.RotateRecovery(t.Context(), []byte("quite another password"), second.way("two")); err != nil {
		t.Fatal(err)
	}
	check("rotated", f.session, f.touch, f.recovery)
	r.add(v, newAccounts(1, tokens.ClassTouch, "")...)
	if got := opens(t, readAll(t, r.store.vaultFile()), f.session, f.touch, f.recovery); len(got) > 0 {
		t.Errorf("later: former keys open %q", got)
	}
	wantErr(t, r.store.CheckRecovery(t.Context(), passwordWay()), ErrWrongPassword)
	wantErr(t, r.store.CheckRecovery(t.Context(), Way{RecoveryKey: f.recovery}), ErrWrongPassword)
}

// TestOldVaultUnderANewName puts an old vault in place of an open one's: it is
// kept as the generation that it replaced, and recovery sees through that.
func TestOldVaultUnderANewName(t *testing.T) {
	r := newRig(t)
	v := r.create()
	old := readAll(t, r.store.vaultFile())
	r.add(v, newAccounts(1, tokens.ClassSession, "")...)
	r.add(v, newAccounts(1, tokens.ClassSession, "")...)
	writeAll(t, r.store.vaultFile(), old)
	r.add(v, newAccounts(1, tokens.ClassSession, "")...)
	v.Lock()
	writeAll(t, r.store.vaultFile(), []byte("damaged"))
	rec, v, err := r.store.Recover(t.Context(), r.key.way("one"), false)
	if err != nil || rec.Generation != 2 || len(rec.Accounts) != 1 {
		t.Fatalf("%+v, %v", rec, err)
	}
	v.Lock()
}
