package archive

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"reflect"
	"testing"
)

// testKey makes a key pair and returns its Diffie-Hellman and its public half.
func testKey(tb testing.TB, alg string) (func([]byte) ([]byte, error), Key) {
	tb.Helper()
	k := Key{Kind: "piv", Class: ClassSession, Algorithm: alg}
	curve, err := k.curve()
	if err != nil {
		tb.Fatal(err)
	}
	var priv *ecdh.PrivateKey
	if priv, err = curve.GenerateKey(rand.Reader); err != nil {
		tb.Fatal(err)
	}
	k.Public = priv.PublicKey().Bytes()
	return func(peer []byte) ([]byte, error) {
		p, err := curve.NewPublicKey(peer)
		if err != nil {
			return nil, err
		}
		return priv.ECDH(p)
	}, k
}

// seed adds the golden files and says how many there were.
func seedGolden(f *testing.F, add func(data []byte)) {
	n := 0
	for _, name := range []string{"full", "rotated", "tokens-only", "tagged"} {
		if data := golden(f, name+".tokend"); len(data) > 0 {
			add(data)
			n++
		}
	}
	if n == 0 {
		f.Fatal("no seeds")
	}
}

// FuzzParse feeds foreign bytes to Parse: what it accepts is what Build would
// have written, byte for byte.
func FuzzParse(f *testing.F) {
	seedGolden(f, func(data []byte) {
		f.Add(data)
		f.Add(data[:len(data)/2])
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := Parse(data)
		if err != nil {
			if a != nil {
				t.Fatal("both an archive and an error")
			}
			return
		}
		files, unix, err := readTar(data)
		if err != nil || !bytes.Equal(buildTar(files, unix), data) {
			t.Fatal("accepted, but not what would be written")
		}
		if !a.HasDevice() && !bytes.Equal(a.Backup(), data) {
			t.Fatal("a backup of a backup is another one")
		}
	})
}

// FuzzHeader feeds foreign bytes to the header's reader, past the signature.
func FuzzHeader(f *testing.F) {
	seedGolden(f, func(data []byte) {
		a, err := Parse(data)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(a.members[nameHeader])
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := headerV1(data)
		if err != nil || h.check() != nil {
			return
		}
		for _, k := range h.Keyslots {
			if _, ok := k.Key(ClassSession); !ok || k.Label == "" {
				t.Fatalf("keyslot %+v is accepted", k)
			}
		}
		_, _ = h.succeed("")
	})
}

// FuzzManifest feeds foreign bytes to the manifest's reader.
func FuzzManifest(f *testing.F) {
	seedGolden(f, func(data []byte) {
		a, err := Parse(data)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(a.members[nameManifest])
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		var m Manifest
		if decodeStrict(data, &m) == nil && m.check() == nil && len(m.Members) > maxMembers {
			t.Fatalf("%+v is accepted", m)
		}
	})
}

// FuzzSession feeds foreign bytes to the reader of the accounts: what it accepts
// survives being written and read again.
func FuzzSession(f *testing.F) {
	n := 0
	for _, name := range []string{"full", "rotated", "tagged"} {
		a, err := Parse(golden(f, name+".tokend"))
		if err != nil {
			f.Fatal(err)
		}
		k, err := OpenRecoveryKey(a.members[nameRecovery], goldenPassword(f))
		if err != nil {
			f.Fatal(err)
		}
		raw, err := Decrypt(a.members[nameSession], k.Identity)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		n++
	}
	if n == 0 {
		f.Fatal("no seeds")
	}
	for _, doc := range []string{
		`{"accounts":[{"id":"0011223344556677","name":"n","created":1,"secret":"GEZDGNBV"}],"format":"tokend-vault-session","version":1,"journal":"0000000000000001","journal_before":"0000000000000002"}`,
		` { "version" : 1 , "accounts" : null , "format" : "tokend-vault-session" , "journal" : "0000000000000001" , "journal_before" : "0000000000000002" } `,
		`{"accounts":[null]}`, `{"accounts":{}}`, `{"accounts":[{}]`, `{"version":null,"vault_id":7}`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		inOneGo(t, data)
		s, err := sessionV1(data)
		if err != nil || len(data) > 1<<20 {
			return
		}
		raw, err := EncodeSession(s)
		if err != nil {
			t.Fatal(err)
		}
		again, err := sessionV1(raw)
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Fatalf("%v\n%+v\n%+v", err, s, again)
		}
	})
}

// sessionWhole is session.json as encoding/json decodes it in one go.
type sessionWhole struct {
	Format        string     `json:"format"`
	Version       int        `json:"version"`
	VaultID       string     `json:"vault_id"`
	Journal       string     `json:"journal"`
	JournalBefore string     `json:"journal_before"`
	Accounts      []recordV1 `json:"accounts"`
}

// inOneGo sees that a document which is read piece by piece says the same as one that
// encoding/json decodes in one go, and is refused where that is.
func inOneGo(t *testing.T, data []byte) {
	t.Helper()
	var whole sessionWhole
	var d sessionDoc
	wholeErr, err := decodeStrict(data, &whole), decodeStrict(data, &d)
	if (wholeErr == nil) != (err == nil) {
		t.Fatalf("piece by piece %v, in one go %v", err, wholeErr)
	}
	if err != nil {
		return
	}
	want := sessionDoc{format: whole.Format, version: whole.Version, Session: Session{VaultID: whole.VaultID,
		Journal: whole.Journal, JournalBefore: whole.JournalBefore, Records: []Record{}}}
	for i := range whole.Accounts {
		want.Records = append(want.Records, whole.Accounts[i].record())
	}
	if !reflect.DeepEqual(d, want) {
		t.Fatalf("piece by piece %+v\nin one go %+v", d, want)
	}
}

// FuzzKeys feeds foreign bytes to the reader of keys.age and device.age.
func FuzzKeys(f *testing.F) {
	s := newSample(f)
	raw, err := EncodeKeys(s.keys)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"format":"tokend-vault-device","version":1,"vault_id":"00","accounts":[{"id":"0011223344556677","secret":"GEZDGNBV"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if k, err := keysV1(data); err == nil {
			if raw, err := EncodeKeys(k); err != nil || len(raw) == 0 {
				t.Fatal(err)
			}
		}
		_, _ = deviceV1(data)
		_, _ = parseRecoveryKey(data)
		_ = Salvage(data, s.identity)
	})
}
