package soft_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/soft"
)

// cheap is the least that a file may cost: tests are about the format.
func cheap() soft.Cost { return soft.Cost{Memory: 8 << 10, Passes: 1, Lanes: 1} }

func enroll(t testing.TB, d *soft.Driver, pass string) tokens.Enrollment {
	t.Helper()
	e, err := d.Enroll(context.Background(), tokens.EnrollRequest{
		Locator: soft.Locator, Classes: []tokens.Class{tokens.ClassSession}, PIN: []byte(pass),
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func agree(d *soft.Driver, e tokens.Enrollment, file []byte, pass string) ([]byte, *ecdh.PrivateKey, error) {
	peer, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	out, err := d.Agree(context.Background(), tokens.AgreeRequest{
		Key: e.Keys[0], Peer: peer.PublicKey().Bytes(), PIN: []byte(pass), KeyFile: file,
	})
	return out, peer, err
}

func wantCode(t *testing.T, err error, code tokens.Code) {
	t.Helper()
	if !errors.Is(err, &tokens.Error{Code: code}) {
		t.Fatalf("error %v, want code %s", err, code)
	}
}

func TestPassphraseLengthIsCountedInNFC(t *testing.T) {
	d := soft.New(rand.Reader, cheap())
	decomposed := strings.Repeat("e\u0301", 10) // 20 code points, 10 after NFC
	for _, c := range []struct {
		name, pass string
		ok         bool
	}{
		{"nine", "123456789", false},
		{"ten", "1234567890", true},
		{"ten after NFC", decomposed, true},
		{"nine after NFC", decomposed[3:], false},
		{"128 wide", strings.Repeat("語", 128), true},
		{"129 wide", strings.Repeat("語", 129), false},
		{"not UTF-8", "12345678901\xff", false},
		{"huge", strings.Repeat("a", 1<<20), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := d.Enroll(context.Background(), tokens.EnrollRequest{Classes: []tokens.Class{tokens.ClassSession}, PIN: []byte(c.pass)})
			if c.ok && err != nil {
				t.Fatal(err)
			}
			if !c.ok {
				wantCode(t, err, tokens.CodeInvalid)
			}
		})
	}
}

func TestBothFormsOfOnePassphraseOpen(t *testing.T) {
	d := soft.New(rand.Reader, cheap())
	e := enroll(t, d, "ångström lamp")
	got, peer, err := agree(d, e, e.KeyFile, "a\u030angstro\u0308m lamp")
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ecdh.X25519().NewPublicKey(e.Keys[0].Public)
	if err != nil {
		t.Fatal(err)
	}
	want, err := peer.ECDH(pub)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("the shared secrets differ")
	}
}

func TestEveryMemberIsBound(t *testing.T) {
	d := soft.New(rand.Reader, cheap())
	e := enroll(t, d, "correct horse")
	changes := map[string]any{
		"memory_kib": 16 << 10, "passes": 2, "lanes": 2, "salt": make([]byte, 16), "nonce": make([]byte, 24), "sealed": make([]byte, 48),
		"public": make([]byte, 32), "kdf": "scrypt", "aead": "none", "format": "other", "version": 2, "extra": 1,
	}
	for name, value := range changes {
		t.Run(name, func(t *testing.T) {
			var m map[string]any
			if err := json.Unmarshal(e.KeyFile, &m); err != nil {
				t.Fatal(err)
			}
			m[name] = value
			file, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := agree(d, e, file, "correct horse"); err == nil {
				t.Fatal("a changed file was used")
			}
		})
	}
}

func TestAFileCannotCostMoreThanTheBound(t *testing.T) {
	d := soft.New(rand.Reader, cheap())
	e := enroll(t, d, "correct horse")
	for _, c := range []struct {
		name                  string
		memory, passes, lanes uint64
	}{
		{"memory", 2 << 20, 1, 1}, {"passes", 8 << 10, 33, 1}, {"lanes", 8 << 10, 1, 17}, {"product", 1 << 20, 5, 1},
		{"no memory", 0, 1, 1}, {"no passes", 8 << 10, 0, 1}, {"no lanes", 8 << 10, 1, 0}, {"overflow", 1 << 40, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m map[string]any
			if err := json.Unmarshal(e.KeyFile, &m); err != nil {
				t.Fatal(err)
			}
			m["memory_kib"], m["passes"], m["lanes"] = c.memory, c.passes, c.lanes
			file, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = agree(d, e, file, "correct horse")
			wantCode(t, err, tokens.CodeInvalid)
		})
	}
}

func TestNewerVersionIsRefusedByName(t *testing.T) {
	d := soft.New(rand.Reader, cheap())
	e := enroll(t, d, "correct horse")
	newer := bytes.Replace(e.KeyFile, []byte(`"version": 1`), []byte(`"version": 7`), 1)
	_, _, err := agree(d, e, newer, "correct horse")
	wantCode(t, err, tokens.CodeUnsupported)
	if !strings.Contains(err.Error(), "version 7") {
		t.Fatalf("error %q does not name the version", err)
	}
}

func TestChangePINMakesANewFileForTheSameKey(t *testing.T) {
	d := soft.New(rand.Reader, cheap())
	e := enroll(t, d, "correct horse")
	file, err := d.ChangePIN(context.Background(), tokens.PINRequest{
		Which: "pin", Old: []byte("correct horse"), New: []byte("battery staple"), KeyFile: e.KeyFile,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := agree(d, e, file, "battery staple"); err != nil {
		t.Fatal(err)
	}
	_, _, err = agree(d, e, file, "correct horse")
	wantCode(t, err, tokens.CodePINInvalid)
	_, err = d.ChangePIN(context.Background(), tokens.PINRequest{
		Which: "pin", Old: []byte("wrong horses"), New: []byte("battery staple"), KeyFile: e.KeyFile,
	})
	wantCode(t, err, tokens.CodePINInvalid)
}

func TestTouchIsNotOffered(t *testing.T) {
	d := soft.New(rand.Reader, cheap())
	_, err := d.Enroll(context.Background(), tokens.EnrollRequest{Classes: []tokens.Class{tokens.ClassTouch}, PIN: []byte("correct horse")})
	wantCode(t, err, tokens.CodeUnsupported)
	e, err := d.Enroll(context.Background(), tokens.EnrollRequest{
		Classes: []tokens.Class{tokens.ClassSession, tokens.ClassTouch}, PIN: []byte("correct horse"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Keys) != 1 || e.Keys[0].Class != tokens.ClassSession || len(e.Warnings) != 2 {
		t.Fatalf("keys %v, warnings %v", e.Keys, e.Warnings)
	}
}

// FuzzKeyFile: no file makes Agree panic, or succeed with another key.
func FuzzKeyFile(f *testing.F) {
	d := soft.New(rand.Reader, cheap())
	e := enroll(f, d, "correct horse")
	seeds := [][]byte{
		e.KeyFile, e.KeyFile[:len(e.KeyFile)/2], []byte("{}"), []byte("null"), nil,
		bytes.Replace(e.KeyFile, []byte("8192"), []byte("-1"), 1),
		append(bytes.Clone(e.KeyFile), e.KeyFile...),
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		if len(seeds) == 0 {
			t.Fatal("no seeds")
		}
		got, peer, err := agree(d, e, file, "correct horse")
		if err != nil {
			var told *tokens.Error
			if !errors.As(err, &told) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		pub, err := ecdh.X25519().NewPublicKey(e.Keys[0].Public)
		if err != nil {
			t.Fatal(err)
		}
		want, err := peer.ECDH(pub)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("another key was used: %v", err)
		}
	})
}
