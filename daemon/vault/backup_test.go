package vault

import (
	"bytes"
	"testing"

	"github.com/tokenbridge/tokend/tokens"
)

// newBackup makes a backup and looks at it from outside.
func (r *rig) newBackup() []byte {
	r.tb.Helper()
	data, info, err := r.store.Backup()
	if err != nil {
		r.tb.Fatal(err)
	}
	if head, err := HeadOfBackup(data); err != nil || head.SHA256 != info.SHA256 || head.Generation != info.Generation {
		r.tb.Fatalf("%+v, %v", head, err)
	}
	return data
}

func TestCompareBackup(t *testing.T) {
	r := newRig(t)
	v := r.create()
	r.add(v, newAccounts(3, tokens.ClassSession, "totp")...)
	r.add(v, newAccounts(2, tokens.ClassTouch, "totp")...)
	h := r.add(v, newAccounts(1, tokens.ClassSession, "hotp")...)[0]
	if _, err := v.NextCounter(h.ID); err != nil { // it is in the journal alone
		t.Fatal(err)
	}
	data := r.newBackup()
	got, err := v.CompareBackup(data)
	if err != nil || !got.Compared || got.Accounts != 6 || got.Generation != v.Generation() {
		t.Fatalf("%+v, %v", got, err)
	}
	r.add(v, newAccounts(1, tokens.ClassSession, "steam")...)
	if got, err := v.CompareBackup(data); err != nil || got.Compared || got.Accounts != 6 {
		t.Errorf("one of an earlier generation: %+v, %v", got, err)
	}
	// Every byte is under the signature, but for the tar's padding.
	for i := 0; i < len(data); i += 97 {
		bad := bytes.Clone(data)
		bad[i] ^= 0x40
		if _, err := v.CompareBackup(bad); err == nil {
			t.Errorf("byte %d: changed, and opened", i)
		}
	}
	if _, err := v.CompareBackup(nil); err == nil {
		t.Error("nothing was opened")
	}
	other := newRig(t)
	ov := other.create()
	_, err = ov.CompareBackup(data)
	wantErr(t, err, ErrOtherKeys)
	if err := v.RotateRecovery(t.Context(), []byte("another password"), r.key.way("one")); err != nil {
		t.Fatal(err)
	}
	_, err = v.CompareBackup(data)
	wantErr(t, err, ErrOtherKeys)
	v.Lock()
	_, err = v.CompareBackup(r.newBackup())
	wantErr(t, err, ErrLocked)
}

func TestFoldCounters(t *testing.T) {
	r := newRig(t)
	var told []Write
	r.opt.OnWrite = func(w Write) { told = append(told, w) }
	r.reopen()
	v := r.create()
	h := r.add(v, newAccounts(1, tokens.ClassSession, "hotp")...)[0]
	if n := len(told); n != 2 || told[1].Accounts != 1 || told[1].Generation != v.Generation() || told[1].VaultID != v.ID() || told[1].Epoch != 1 {
		t.Fatalf("%+v", told)
	}
	if err := v.FoldCounters(t.Context()); err != nil || len(told) != 2 {
		t.Fatalf("with nothing to fold: %+v, %v", told, err)
	}
	for range 3 {
		if _, err := v.NextCounter(h.ID); err != nil {
			t.Fatal(err)
		}
	}
	if n := v.CountersAhead(); n != 3 {
		t.Errorf("%d ahead", n)
	}
	if err := v.FoldCounters(t.Context()); err != nil || len(told) != 3 || v.CountersAhead() != 0 {
		t.Fatalf("%+v, %d ahead, %v", told, v.CountersAhead(), err)
	}
	if a, err := v.Account(h.ID); err != nil || a.Counter != 3 {
		t.Errorf("%+v, %v", a, err)
	}
	if got, err := v.CompareBackup(r.newBackup()); err != nil || !got.Compared {
		t.Errorf("%+v, %v", got, err)
	}
}
