package archive

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

func sampleUndo() *Undo {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	acc := func(id, name, class string) Account {
		a := Account{ID: id, Issuer: "Example", Name: name, Class: class, Created: at}
		a.Defaults()
		return a
	}
	session, touch := acc("0011223344556677", "alice", ClassSession), acc("0011223344556688", "bob", ClassTouch)
	managed := acc("0011223344556699", "carol", ClassSession)
	managed.Kind, managed.Inactive = Managed, true
	hotp := session
	hotp.Type, hotp.Period, hotp.Counter, hotp.NoExport = "hotp", 0, 7, true
	renamed := hotp
	renamed.Name = "alice at work"
	return &Undo{VaultID: "00112233445566778899aabbccddeeff", Epoch: 2, ID: "8899aabbccddeeff", Time: at, Source: "a file",
		Undoes: "0123456789abcdef", TouchRecipient: "age1x", Entries: []UndoEntry{
			{At: 3, After: &session},
			{At: 0, Before: &Record{Account: hotp, Secret: []byte("12345678901234567890")}, After: &renamed},
			{At: 1, Before: &Record{Account: touch, Touch: []byte("sealed"), Tag: "0123456789abcdef"}, After: &session},
			{At: 2, Before: &Record{Account: managed}},
		}}
}

func TestUndoRoundTrip(t *testing.T) {
	u := sampleUndo()
	raw, err := EncodeUndo(u)
	if err != nil {
		t.Fatal(err)
	}
	again, err := DecodeUndo(raw)
	if err != nil || !reflect.DeepEqual(u, again) {
		t.Fatalf("%v\n%+v\n%+v", err, u, again)
	}
	again.Wipe()
	if s := again.Entries[1].Before.Secret; s[0] != 0 {
		t.Error("a secret is left")
	}
	for name, spoil := range map[string]func(u *Undo){
		"empty entry": func(u *Undo) { u.Entries[0].After = nil },
		"no secret":   func(u *Undo) { u.Entries[1].Before.Secret = nil },
		"both":        func(u *Undo) { u.Entries[1].Before.Touch = []byte("x") },
		"place":       func(u *Undo) { u.Entries[1].At = -1 },
		"tag":         func(u *Undo) { u.Entries[2].Before.Tag = "xyz" },
	} {
		u := sampleUndo()
		spoil(u)
		if _, err := EncodeUndo(u); err == nil {
			t.Errorf("%s: written", name)
		}
	}
	_, err = DecodeUndo([]byte(`{"format":"tokend-vault-undo","version":2,"vault_id":"00112233445566778899aabbccddeeff","id":"8899aabbccddeeff"}`))
	if !errors.Is(err, ErrNewer) {
		t.Errorf("a newer one: %v", err)
	}
}

// FuzzUndo feeds foreign bytes to the reader of undo files: what it accepts
// survives being written and read again.
func FuzzUndo(f *testing.F) {
	raw, err := EncodeUndo(sampleUndo())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"format":"tokend-vault-undo","version":1,"vault_id":"00112233445566778899aabbccddeeff","epoch":1,"id":"8899aabbccddeeff","time":1,"entries":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		u, err := DecodeUndo(data)
		if err != nil || len(data) > 1<<20 {
			return
		}
		raw, err := EncodeUndo(u)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeUndo(raw)
		if err != nil || !reflect.DeepEqual(u, again) {
			t.Fatalf("%v\n%+v\n%+v", err, u, again)
		}
	})
}
