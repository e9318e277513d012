package vault

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenbridge/tokend/tokens"
)

var update = flag.Bool("update", false, "write new golden files: only for a new format version, old ones must open for ever")

const goldenDir = "../archive/testdata/golden"

// slotKeys is a soft test key as the second reader takes it.
type slotKeys struct {
	Slot    string `json:"slot"`
	Session string `json:"session"`
	Touch   string `json:"touch,omitempty"`
}

func (k *softKey) golden(id string) slotKeys {
	out := slotKeys{Slot: id, Session: hex.EncodeToString(k.keys[tokens.ClassSession].Bytes())}
	if t := k.keys[tokens.ClassTouch]; t != nil {
		out.Touch = hex.EncodeToString(t.Bytes())
	}
	return out
}

func goldenAccounts() []NewAccount {
	session, touch := tokens.ClassSession, tokens.ClassTouch
	s := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i*7 + n)
		}
		return b
	}
	return []NewAccount{
		{Account{Issuer: "Example", Name: "alice@example.com", Class: session}, []byte("12345678901234567890")},
		{Account{Name: "no issuer", Class: session, Type: "hotp", Digits: 8, Counter: 41}, s(10)},
		{Account{Issuer: "Ünïcode \"quoted\" \\ <&>", Name: "名前 🔑\u2028", Note: "two\nlines\tand a tab", Class: session, Algorithm: "SHA256", Period: 60}, s(32)},
		{Account{Issuer: "Game", Name: "player", Class: session, Type: "steam"}, s(20)},
		{Account{Issuer: "Bank", Name: "alice", Class: touch, NoExport: true, Algorithm: "SHA512", Digits: 10}, s(64)},
		{Account{Issuer: "Shop", Name: "alice", Class: touch, Type: "hotp"}, s(512)},
		{Account{Issuer: "Work", Name: "alice", Kind: Managed, Class: session}, s(20)},
		{Account{Issuer: "Work", Name: "alice, by touch", Kind: Managed, Class: touch}, s(20)},
	}
}

// TestGolden writes golden files with -update, those of before stay as they are;
// without, it restores from the committed ones, as a later version of this program
// must for ever.
func TestGolden(t *testing.T) {
	if *update {
		writeGolden(t)
	}
	for _, name := range []string{"full", "rotated", "tokens-only", "tagged", "tagged-rotated"} {
		data := readAll(t, filepath.Join(goldenDir, name+".tokend"))
		var keys slotKeys
		if err := json.Unmarshal(readAll(t, filepath.Join(goldenDir, name+".slot.json")), &keys); err != nil {
			t.Fatal(err)
		}
		ways := map[string]Way{"token": goldenKey(t, data, keys).way(keys.Slot)}
		if name != "tokens-only" {
			ways["password"] = passwordWay()
		}
		for by, w := range ways {
			r := newRig(t)
			v, err := r.store.Restore(t.Context(), data, w, "")
			if err != nil {
				t.Fatalf("%s by %s: %v", name, by, err)
			}
			for _, a := range v.Accounts() {
				if a.Inactive {
					continue
				}
				r.secret(v, a.ID, w)
			}
			if len(v.Accounts()) < 2 {
				t.Errorf("%s: %d accounts", name, len(v.Accounts()))
			}
			v.Lock()
		}
	}
}

// goldenKey makes the test key of a golden file's keyslot again.
func goldenKey(t *testing.T, data []byte, keys slotKeys) *softKey {
	head, err := HeadOf(data)
	if err != nil {
		t.Fatal(err)
	}
	k := &softKey{keys: map[tokens.Class]*ecdhPrivate{}, kind: tokens.KindPIV, calls: map[tokens.Class]int{}}
	for _, s := range head.Slots {
		if s.ID != keys.Slot {
			continue
		}
		for class, private := range map[tokens.Class]string{tokens.ClassSession: keys.Session, tokens.ClassTouch: keys.Touch} {
			key, ok := s.Key(class)
			if !ok {
				continue
			}
			raw, err := hex.DecodeString(private)
			if err != nil {
				t.Fatal(err)
			}
			if k.keys[class], err = key.Algorithm.Curve().NewPrivateKey(raw); err != nil {
				t.Fatal(err)
			}
		}
	}
	return k
}

func writeGolden(t *testing.T) {
	put := func(name string, data []byte) { writeAll(t, filepath.Join(goldenDir, name), data) }
	keysOf := func(name, id string, k *softKey) {
		raw, err := json.MarshalIndent(k.golden(id), "", " ")
		if err != nil {
			t.Fatal(err)
		}
		put(name+".slot.json", append(raw, '\n'))
	}
	if err := os.MkdirAll(goldenDir, 0o755); err != nil {
		t.Fatal(err)
	}
	put("password", []byte(testPassword+"\n"))

	r := newRig(t)
	r.create()
	v := r.unlock(passwordWay())
	k := newSoftKey(t, tokens.X25519, tokens.ClassSession, tokens.ClassTouch)
	if _, err := v.AddSlot(t.Context(), k.slot("golden", "Älice's key"), Way{}); err != nil {
		t.Fatal(err)
	}
	r.add(v, goldenAccounts()...)
	put("tagged.tokend", readAll(t, r.store.vaultFile()))
	keysOf("tagged", "golden", k)

	p := newSoftKey(t, tokens.P256, tokens.ClassSession, tokens.ClassTouch)
	if _, err := v.AddSlot(t.Context(), p.slot("curve", ""), k.way("golden")); err != nil {
		t.Fatal(err)
	}
	if _, err := v.RevokeSlot(t.Context(), "golden", p.way("curve")); err != nil {
		t.Fatal(err)
	}
	backup, _, err := r.store.Backup()
	if err != nil {
		t.Fatal(err)
	}
	put("tagged-rotated.tokend", backup)
	keysOf("tagged-rotated", "curve", p)
	v.Lock()
}
