package keyslot_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/authority/keyslot"
	"github.com/tokenbridge/tokend/daemon/secret"
)

// token is a key pair and its keyslot.
type token struct {
	private *ecdh.PrivateKey
	slot    keyslot.Slot
	asked   int
}

func newToken(tb testing.TB, id, kind string) *token {
	tb.Helper()
	curve, algorithm := ecdh.P256(), "P-256"
	if kind != "piv" {
		curve, algorithm = ecdh.X25519(), "X25519"
	}
	private, err := curve.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	t := &token{private: private, slot: keyslot.Slot{By: "0", Keyslot: archive.Keyslot{
		ID: id, Kind: kind, Model: "YubiKey <5>", Serial: "1234", Added: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC),
		Keys: []archive.Key{
			{Kind: kind, Class: "session", Algorithm: algorithm, Public: private.PublicKey().Bytes(), Params: json.RawMessage("{\n \"slot\": \"82\", \"x\": \"<>\"}")},
			{Kind: kind, Class: "touch", Algorithm: algorithm, Public: private.PublicKey().Bytes()},
		},
	}}}
	if kind == "soft" {
		t.slot.KeyFile = []byte("a sealed key file")
	}
	return t
}

func (t *token) exchange(_ context.Context, peer []byte) ([]byte, error) {
	t.asked++
	p, err := t.private.Curve().NewPublicKey(peer)
	if err != nil {
		return nil, err
	}
	return t.private.ECDH(p)
}

func newKey() *secret.Buffer { return secret.From(bytes.Repeat([]byte{7}, 32)) }

// with is a set with a keyslot more.
func with(tb testing.TB, s *keyslot.Set, t *token) *keyslot.Set {
	tb.Helper()
	out, err := s.With(t.slot, newKey())
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func encode(tb testing.TB, s *keyslot.Set) []byte {
	tb.Helper()
	text, err := s.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func TestEachTokenOpens(t *testing.T) {
	set := keyslot.New()
	var all []*token
	for i, kind := range []string{"piv", "fido2", "soft"} {
		all = append(all, newToken(t, fmt.Sprintf("slot%d", i), kind))
		set = with(t, set, all[i])
	}
	read, err := keyslot.Parse(encode(t, set))
	if err != nil {
		t.Fatal(err)
	}
	if read.Generation != 3 || read.ID != set.ID || len(read.Slots) != 3 {
		t.Errorf("read back: %+v", read)
	}
	for _, k := range all {
		key, err := read.Open(t.Context(), k.slot.ID, k.exchange)
		if err != nil || !keyslot.Same(key, newKey()) {
			t.Errorf("%s: %v", k.slot.Kind, err)
		}
		if !read.Holds(k.private.PublicKey().Bytes()) || len(read.Slot(k.slot.ID).Keys) != 1 {
			t.Errorf("%s: %+v", k.slot.Kind, read.Slot(k.slot.ID))
		}
	}
	for what, try := range map[string]struct {
		id   string
		by   keyslot.Exchange
		want error
	}{
		"another token":  {"slot0", newToken(t, "x", "piv").exchange, keyslot.ErrWrongKey},
		"none":           {"slot9", all[0].exchange, keyslot.ErrNone},
		"a refusing one": {"slot0", func(context.Context, []byte) ([]byte, error) { return nil, context.Canceled }, context.Canceled},
		"nonsense":       {"slot0", func(context.Context, []byte) ([]byte, error) { return make([]byte, 32), nil }, keyslot.ErrWrongKey},
	} {
		if _, err := read.Open(t.Context(), try.id, try.by); !errors.Is(err, try.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	less, err := read.Without("slot1")
	if err != nil || less.Generation != 4 || less.Slot("slot1") != nil || len(read.Slots) != 3 {
		t.Errorf("%+v, %v", less, err)
	}
	if _, err := less.Without("slot1"); !errors.Is(err, keyslot.ErrNone) {
		t.Errorf("twice: %v", err)
	}
}

// TestBinding: what is sealed to a token opens in its own keyslot of its own file,
// and as no vault's.
func TestBinding(t *testing.T) {
	k := newToken(t, "slot0", "piv")
	set := with(t, keyslot.New(), k)
	for what, change := range map[string]func(*keyslot.Set){
		"another file":    func(s *keyslot.Set) { s.ID = strings.Repeat("ab", 16) },
		"another keyslot": func(s *keyslot.Set) { s.Slots[0].ID = "slot1" },
		"a changed text":  func(s *keyslot.Set) { s.Slots[0].SessionWrap.CT[3] ^= 1 },
	} {
		other, err := keyslot.Parse(encode(t, set))
		if err != nil {
			t.Fatal(err)
		}
		change(other)
		if _, err := other.Open(t.Context(), other.Slots[0].ID, k.exchange); !errors.Is(err, keyslot.ErrWrongKey) {
			t.Errorf("%s: %v", what, err)
		}
	}
	other, _ := keyslot.Parse(encode(t, set))
	other.Slots[0].SessionWrap.Enc = []byte{4, 1, 2}
	if _, err := other.Open(t.Context(), "slot0", k.exchange); !errors.Is(err, keyslot.ErrDamaged) {
		t.Errorf("no point: %v", err)
	}
	for _, class := range []string{"session", "touch"} {
		b := archive.Binding{VaultID: set.ID, SlotID: "slot0", Class: class, Epoch: 1}
		_, err := set.Slots[0].SessionWrap.Open(set.Slots[0].Session(), b, func(p []byte) ([]byte, error) { return k.exchange(t.Context(), p) })
		if !errors.Is(err, archive.ErrWrongKey) {
			t.Errorf("as a vault's, of class %s: %v", class, err)
		}
	}
}

func TestWithRefuses(t *testing.T) {
	k := newToken(t, "slot0", "piv")
	set := with(t, keyslot.New(), k)
	same := newToken(t, "slot1", "piv")
	same.slot.Keys = k.slot.Keys
	for what, slot := range map[string]keyslot.Slot{"the same keyslot": k.slot, "the same key": same.slot} {
		if _, err := set.With(slot, newKey()); !errors.Is(err, keyslot.ErrThere) {
			t.Errorf("%s: %v", what, err)
		}
	}
	file, none, nobody := newToken(t, "f", "piv"), newToken(t, "n", "soft"), newToken(t, "b", "piv")
	file.slot.KeyFile, none.slot.KeyFile, nobody.slot.By = []byte("x"), nil, ""
	for _, bad := range []*token{file, none, nobody} {
		if _, err := set.With(bad.slot, newKey()); err == nil {
			t.Errorf("%+v is taken", bad.slot)
		}
	}
	for n := 1; n < keyslot.MaxSlots; n++ {
		set = with(t, set, newToken(t, fmt.Sprintf("slot%d", n), "fido2"))
	}
	if _, err := set.With(newToken(t, "more", "piv").slot, newKey()); !errors.Is(err, keyslot.ErrFull) {
		t.Errorf("too many: %v", err)
	}
	if n := len(encode(t, set)); n > keyslot.MaxSize {
		t.Errorf("a full file has %d bytes", n)
	}
}

func TestParseRefuses(t *testing.T) {
	text := string(encode(t, with(t, keyslot.New(), newToken(t, "slot0", "soft"))))
	for what, c := range map[string]struct {
		old, new string
		want     error
	}{
		"newer":            {`"version":1`, `"version":2`, keyslot.ErrNewer},
		"no version":       {`"version":1`, `"version":0`, keyslot.ErrDamaged},
		"another file":     {`tokend-authority-keyslots`, `tokend-vault`, keyslot.ErrDamaged},
		"a name in caps":   {`"generation"`, `"Generation"`, keyslot.ErrDamaged},
		"a name twice":     {`"generation":1`, `"generation":7,"generation":1`, keyslot.ErrDamaged},
		"an unknown name":  {`"generation":1`, `"generation":1,"x":1`, keyslot.ErrDamaged},
		"generation 0":     {`"generation":1`, `"generation":0`, keyslot.ErrDamaged},
		"blanks":           {`"generation":1`, `"generation": 1`, keyslot.ErrDamaged},
		"more behind":      {"\n", "\n{}", keyslot.ErrDamaged},
		"no end":           {"}\n", "\n", keyslot.ErrDamaged},
		"without keyslots": {`"slots":[`, `"slots":null,"x":[`, keyslot.ErrDamaged},
		"no key file":      {`"key_file":"`, `"key_fill":"`, keyslot.ErrDamaged},
		"nobody":           {`"by":"0"`, `"by":""`, keyslot.ErrDamaged},
		"another class":    {`"class":"session"`, `"class":"touch"`, keyslot.ErrDamaged},
	} {
		changed := strings.Replace(text, c.old, c.new, 1)
		if changed == text {
			t.Fatalf("%s: the file has no %q", what, c.old)
		}
		if _, err := keyslot.Parse([]byte(changed)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for n := range len(text) {
		if _, err := keyslot.Parse([]byte(text[:n])); !errors.Is(err, keyslot.ErrDamaged) {
			t.Fatalf("cut off at %d: %v", n, err)
		}
	}
	if _, err := keyslot.Parse(make([]byte, keyslot.MaxSize+1)); !errors.Is(err, keyslot.ErrDamaged) {
		t.Errorf("too large: %v", err)
	}
}

// FuzzParse: what is read is what is written, to the byte, and opens for nobody else.
func FuzzParse(f *testing.F) {
	set := keyslot.New()
	for i, kind := range []string{"piv", "fido2", "soft"} {
		set = with(f, set, newToken(f, fmt.Sprintf("slot%d", i), kind))
		f.Add(encode(f, set))
	}
	empty, err := set.Without("slot0")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encode(f, empty))
	f.Add([]byte(`{"format":"tokend-authority-keyslots","version":1,"id":"0123456789abcdef0123456789abcdef","generation":1,"slots":[]}` + "\n"))
	stranger := newToken(f, "x", "piv")
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := keyslot.Parse(text)
		if err != nil {
			if !errors.Is(err, keyslot.ErrDamaged) && !errors.Is(err, keyslot.ErrNewer) {
				t.Fatalf("%v", err)
			}
			return
		}
		if again := encode(t, s); !bytes.Equal(again, text) {
			t.Fatalf("%q is written as %q", text, again)
		}
		for _, slot := range s.Slots {
			if _, err := s.Open(t.Context(), slot.ID, stranger.exchange); err == nil {
				t.Fatal("a stranger opens it")
			}
		}
	})
}
