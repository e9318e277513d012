package archive

import (
	"bytes"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// The golden files are made by daemon/vault's TestGolden -update, once for each
// format version; they must open for ever.

const python = "/usr/bin/python3" // Debian's, which has python3-cryptography

func golden(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "golden", name))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func goldenPassword(tb testing.TB) []byte { return bytes.TrimSpace(golden(tb, "password")) }

// openSlot opens a golden file with the private keys of one of its keyslots and
// returns the touch key, too.
func openSlot(t *testing.T, a *Archive, name string) (*Contents, []byte) {
	t.Helper()
	var mine struct{ Slot, Session, Touch string }
	if err := json.Unmarshal(golden(t, name+".slot.json"), &mine); err != nil {
		t.Fatal(err)
	}
	unwrap := func(w Wrap, k Key, class, private string) []byte {
		raw, err := hex.DecodeString(private)
		if err != nil {
			t.Fatal(err)
		}
		curve, err := k.curve()
		if err != nil {
			t.Fatal(err)
		}
		priv, err := curve.NewPrivateKey(raw)
		if err != nil {
			t.Fatal(err)
		}
		out, err := w.Open(k, Binding{a.Header.VaultID, mine.Slot, class, a.Header.Epoch}, func(peer []byte) ([]byte, error) {
			p, err := curve.NewPublicKey(peer)
			if err != nil {
				return nil, err
			}
			return priv.ECDH(p)
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, s := range a.Header.Keyslots {
		if s.ID != mine.Slot {
			continue
		}
		k, _ := s.Key(ClassSession)
		c, err := a.OpenSession(unwrap(s.SessionWrap, k, ClassSession, mine.Session))
		if err != nil {
			t.Fatal(err)
		}
		k, ok := s.Key(ClassTouch)
		if !ok {
			return c, nil
		}
		return c, unwrap(*c.Keys().Slot(s.ID).TouchWrap, k, ClassTouch, mine.Touch)
	}
	t.Fatal("no such keyslot")
	return nil, nil
}

// document is what reader.py prints.
func document(t *testing.T, a *Archive, c *Contents, touch []byte) any {
	t.Helper()
	var accounts []any
	for _, r := range c.Session().Records {
		e := map[string]any{"id": r.ID, "issuer": r.Issuer, "name": r.Name, "note": r.Note, "kind": r.Kind, "class": r.Class,
			"type": r.Type, "algorithm": r.Algorithm, "digits": r.Digits, "period": r.Period, "counter": r.Counter, "created": r.Created.Unix(), "export": !r.NoExport}
		secret := r.Secret
		if r.Touch != nil {
			var err error
			if secret, err = Decrypt(r.Touch, touch); err != nil {
				t.Fatal(err)
			}
		}
		if r.Tag != "" {
			e["tag"] = r.Tag
		}
		if secret != nil {
			e["secret"] = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
		}
		accounts = append(accounts, e)
	}
	return roundTrip(t, map[string]any{"vault_id": c.VaultID, "epoch": c.Epoch, "generation": c.Generation,
		"time": c.Written.Format(time.RFC3339), "signer": c.Signer, "labels": c.Labels, "accounts": accounts})
}

func roundTrip(t *testing.T, v any) (out any) {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func reader(t *testing.T, args ...string) (any, error) {
	t.Helper()
	cmd := exec.Command(python, append([]string{"testdata/reader.py"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	if err != nil {
		if !strings.HasPrefix(stderr.String(), "reader: ") {
			t.Fatalf("the second reader did not run (it needs %s with python3-cryptography): %v\n%s", python, err, &stderr)
		}
		return nil, errors.New(stderr.String())
	}
	var out any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out, nil
}

func TestGoldenWithSecondReader(t *testing.T) {
	for name, want := range map[string]struct {
		accounts, succession int
		device, recovery     bool
	}{
		"full": {8, 0, true, true}, "rotated": {8, 2, false, true}, "tokens-only": {2, 0, false, false},
		"tagged": {8, 0, true, true}, "tagged-rotated": {8, 1, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := Parse(golden(t, name+".tokend"))
			if err != nil {
				t.Fatal(err)
			}
			if len(a.Header.Succession) != want.succession || a.HasDevice() != want.device || a.HasRecovery() != want.recovery {
				t.Fatalf("%+v", a.Header)
			}
			path := filepath.Join("testdata", "golden", name+".tokend")
			c, touch := openSlot(t, a, name)
			theirs, err := reader(t, path, "--slot-keys", filepath.Join("testdata", "golden", name+".slot.json"))
			if err != nil {
				t.Fatal(err)
			}
			ours := document(t, a, c, touch)
			if !reflect.DeepEqual(ours, theirs) || len(c.Accounts) != want.accounts {
				t.Fatalf("by keyslot:\n%v\n%v", ours, theirs)
			}
			if !want.recovery {
				_, err := a.OpenPassword(goldenPassword(t))
				wantErr(t, err, ErrNoRecovery)
				return
			}
			c, err = a.OpenPassword(goldenPassword(t))
			if err != nil || !c.SignerProved {
				t.Fatal(err)
			}
			if touch, err = c.TouchKey(); err != nil {
				t.Fatal(err)
			}
			if err := c.CheckTouch(); err != nil {
				t.Fatal(err)
			}
			theirs, err = reader(t, path, "--password-file", "testdata/golden/password")
			if ours := document(t, a, c, touch); err != nil || !reflect.DeepEqual(ours, theirs) {
				t.Fatalf("by password: %v\n%v\n%v", err, ours, theirs)
			}
		})
	}
}

// TestSecondReaderRefuses makes sure that the second reader checks something.
func TestSecondReaderRefuses(t *testing.T) {
	dir := t.TempDir()
	data := golden(t, "full.tokend")
	for i := 600; i < len(data)-1024; i += 601 {
		bad := bytes.Clone(data)
		bad[i] ^= 4
		a, err := Parse(bad)
		if err == nil {
			t.Fatalf("byte %d: %v", i, a.Manifest)
		}
	}
	bad := bytes.Clone(data)
	at := bytes.Index(bad, []byte("session.age\x00")) + 512 + 700
	bad[at] ^= 1
	path := filepath.Join(dir, "bad.tokend")
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := reader(t, path, "--password-file", "testdata/golden/password"); err == nil || !strings.Contains(err.Error(), "session.age was changed") {
		t.Fatalf("got %v", err)
	}
	wrong := filepath.Join(dir, "password")
	if err := os.WriteFile(wrong, []byte("wrong password"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := reader(t, "testdata/golden/full.tokend", "--password-file", wrong); err == nil || !strings.Contains(err.Error(), "wrong recovery password") {
		t.Fatalf("got %v", err)
	}
}

func run(t *testing.T, dir, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// ageWithPassword runs age on a terminal, which it wants for passwords.
func ageWithPassword(t *testing.T, dir string, password []byte, args ...string) {
	t.Helper()
	cmd := exec.Command("age", args...)
	cmd.Dir = dir
	tty, err := pty.Start(cmd)
	if err != nil {
		t.Fatalf("cannot start age: %v", err)
	}
	defer tty.Close()
	guard := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer guard.Stop()
	var said []byte
	buf := make([]byte, 256)
	for !bytes.Contains(said, []byte("passphrase")) {
		n, err := tty.Read(buf)
		if said = append(said, buf[:n]...); err != nil {
			t.Fatalf("age: %v\n%s", err, said)
		}
	}
	if _, err := tty.Write(append(bytes.Clone(password), '\n')); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(tty) // ends with an error when age closes the terminal
	if err := cmd.Wait(); err != nil {
		t.Fatalf("age: %v\n%s%s", err, said, rest)
	}
}

// TestStockTools recovers a vault with tar, age and openssl alone, as
// docs/vault-format.md tells people to.
func TestStockTools(t *testing.T) {
	dir := t.TempDir()
	path, err := filepath.Abs("testdata/golden/rotated.tokend")
	if err != nil {
		t.Fatal(err)
	}
	run(t, dir, "tar", "-xf", path)
	names := strings.Fields(string(run(t, dir, "tar", "-tf", path)))
	if want := []string{nameHeader, nameKeys, nameSession, nameTouch, nameRecovery, nameManifest, nameSignature}; !reflect.DeepEqual(names, want) {
		t.Fatalf("members %v", names)
	}
	a, err := Parse(golden(t, "rotated.tokend"))
	if err != nil {
		t.Fatal(err)
	}
	// An Ed25519 public key in DER is a fixed prefix and the key (RFC 8410).
	der, err := hex.DecodeString("302a300506032b6570032100" + a.Manifest.Signer)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "signer.der"), der, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, dir, "openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "signer.der", "-rawin",
		"-in", nameManifest, "-sigfile", nameSignature)
	ageWithPassword(t, dir, goldenPassword(t), "-d", "-o", "recovery.txt", nameRecovery)
	run(t, dir, "age", "-d", "-i", "recovery.txt", "-o", "session.json", nameSession)
	run(t, dir, "age", "-d", "-i", "recovery.txt", "-o", "touch.txt", nameTouch)
	raw, err := os.ReadFile(filepath.Join(dir, "session.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s touchDoc
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	c, err := a.OpenPassword(goldenPassword(t))
	if err != nil || len(s.Accounts) != len(c.Accounts) {
		t.Fatalf("%d accounts, %v", len(s.Accounts), err)
	}
	key, err := c.TouchKey()
	if err != nil {
		t.Fatal(err)
	}
	if n := touchWithAge(t, dir, s, c, key); n < 2 {
		t.Fatalf("%d touch secrets", n)
	}
}

// touchDoc is what of session.json the touch secrets are in.
type touchDoc struct {
	Accounts []struct {
		Touch []byte `json:"touch"`
	} `json:"accounts"`
}

// touchWithAge opens each touch secret with age and touch.txt.
func touchWithAge(t *testing.T, dir string, s touchDoc, c *Contents, key []byte) (opened int) {
	for i, r := range c.Session().Records {
		if r.Touch == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "secret.age"), s.Accounts[i].Touch, 0o600); err != nil {
			t.Fatal(err)
		}
		want, err := Decrypt(r.Touch, key)
		if got := run(t, dir, "age", "-d", "-i", "touch.txt", "secret.age"); err != nil || !bytes.Equal(got, want) {
			t.Errorf("account %d: %v", i, err)
		}
		opened++
	}
	return opened
}

func wantErr(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Fatalf("got %v, want %v", err, want)
	}
}
