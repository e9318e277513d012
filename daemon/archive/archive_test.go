package archive

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// sample is a small container with a recovery key and no keyslot, and what it
// was built from.
type sample struct {
	parts    Parts
	keys     *Keys
	session  *Session
	identity []byte
	recovery []byte
}

const samplePassword = "sample password"

func newSample(tb testing.TB) *sample {
	tb.Helper()
	s := &sample{}
	id, public, err := NewIdentity()
	if err != nil {
		tb.Fatal(err)
	}
	recovery, recoveryTo, err := NewIdentity()
	if err != nil {
		tb.Fatal(err)
	}
	s.identity, s.recovery = id, recovery
	vault := strings.Repeat("ab", 16)
	signing := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s.keys = &Keys{VaultID: vault, Epoch: 1, SessionKey: id, SigningKey: signing, JournalKey: make([]byte, 32), RecoveryRecipient: recoveryTo}
	rec := Record{Account: Account{ID: "0011223344556677", Name: "name", Created: now}, Secret: []byte("secret secret")}
	rec.Defaults()
	s.session = &Session{VaultID: vault, Journal: "0000000000000001", JournalBefore: "0000000000000002", Records: []Record{rec}}
	s.parts = Parts{Header: Header{VaultID: vault, Epoch: 1, RecoverySet: now}, Generation: 7, Time: now, SigningKey: signing}
	file, err := SealRecoveryKey(RecoveryKey{vault, Signer(signing), now, recovery}, []byte(samplePassword), 1)
	if err != nil {
		tb.Fatal(err)
	}
	s.parts.RecoveryKey = file
	s.encode(tb, public, recoveryTo)
	return s
}

func (s *sample) encode(tb testing.TB, to ...string) {
	tb.Helper()
	must := func(b []byte, err error) []byte {
		if err != nil {
			tb.Fatal(err)
		}
		return b
	}
	s.parts.Keys = must(Encrypt(must(EncodeKeys(s.keys)), to...))
	s.parts.Session = must(Encrypt(must(EncodeSession(s.session)), to...))
}

func (s *sample) build(tb testing.TB) []byte {
	tb.Helper()
	data, _, err := Build(s.parts)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// raw builds a container around any header, correctly signed.
func (s *sample) raw(tb testing.TB, header, manifestVersion string) []byte {
	tb.Helper()
	m := Manifest{Format: formatManifest, Version: 1, VaultID: s.parts.Header.VaultID, Epoch: 1, Generation: 1,
		Time: s.parts.Time, Signer: Signer(s.parts.SigningKey)}
	files := []file{{nameHeader, []byte(header)}, {nameKeys, s.parts.Keys}, {nameSession, s.parts.Session}, {nameRecovery, s.parts.RecoveryKey}}
	for _, f := range files {
		m.Members = append(m.Members, Member{f.name, int64(len(f.data)), Sum(f.data)})
	}
	manifest, err := json.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	if manifestVersion != "" {
		manifest = bytes.Replace(manifest, []byte(`"version":1`), []byte(`"version":`+manifestVersion), 1)
	}
	files = append(files, file{nameManifest, manifest}, file{nameSignature, sign(s.parts.SigningKey, manifest)})
	return buildTar(files, m.Time.Unix())
}

func (s *sample) header(version, more string) string {
	return fmt.Sprintf(`{"format":"tokend-vault","version":%s,"vault_id":"%s","epoch":1,"recovery_set":"2026-01-02T03:04:05Z","keyslots":[]%s}`,
		version, s.parts.Header.VaultID, more)
}

func TestOpenWays(t *testing.T) {
	s := newSample(t)
	a, err := Parse(s.build(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() (*Contents, error){
		"session":      func() (*Contents, error) { return a.OpenSession(s.identity) },
		"recovery key": func() (*Contents, error) { return a.OpenRecoveryKey(append(bytes.Clone(s.recovery), '\n')) },
		"password":     func() (*Contents, error) { return a.OpenPassword([]byte(samplePassword)) },
	} {
		c, err := open()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(c.Session(), s.session) || c.SignerProved != (name == "password") || c.Generation != 7 {
			t.Errorf("%s: %+v", name, c)
		}
		secret := c.Session().Records[0].Secret
		c.Wipe()
		if !bytes.Equal(secret, make([]byte, len(secret))) {
			t.Error("Wipe left a secret")
		}
	}
	_, err = a.OpenPassword([]byte("sample passwore"))
	wantErr(t, err, ErrWrongPassword)
	_, err = a.OpenRecoveryKey(s.identity) // opens keys.age, but is not the recovery key
	wantErr(t, err, ErrDamaged)
	other, _, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.OpenRecoveryKey(other)
	wantErr(t, err, ErrWrongPassword)
	_, err = a.OpenSession(other)
	wantErr(t, err, ErrWrongKey)
}

func TestWorkFactorIsBounded(t *testing.T) {
	s := newSample(t)
	s.parts.RecoveryKey = bytes.Replace(s.parts.RecoveryKey, []byte(" 1\n"), []byte(" 21\n"), 1)
	a, err := Parse(s.build(t))
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	_, err = a.OpenPassword([]byte(samplePassword))
	wantErr(t, err, ErrDamaged)
	if d := time.Since(begun); d > time.Second {
		t.Errorf("it took %v", d)
	}
}

func TestStrictHeader(t *testing.T) {
	s := newSample(t)
	if _, err := Parse(s.raw(t, s.header("1", ""), "")); err != nil {
		t.Fatalf("the plain one: %v", err)
	}
	deep := strings.Repeat("[", 50) + strings.Repeat("]", 50)
	for name, header := range map[string]string{
		"unknown field":  s.header("1", `,"extra":1`),
		"field twice":    s.header("1", `,"epoch":1`),
		"other case":     s.header("1", `,"Epoch":1`),
		"too deep":       s.header("1", `,"extra":`+deep),
		"trailing data":  s.header("1", "") + "{}",
		"no object":      "[]",
		"wrong type":     strings.Replace(s.header("1", ""), `"epoch":1`, `"epoch":"1"`, 1),
		"negative":       strings.Replace(s.header("1", ""), `"epoch":1`, `"epoch":-1`, 1),
		"other vault":    strings.Replace(s.header("1", ""), "abab", "abac", 1),
		"no recovery":    strings.Replace(s.header("1", ""), `"recovery_set":"2026-01-02T03:04:05Z",`, "", 1),
		"bad keyslot":    strings.Replace(s.header("1", ""), `[]`, `[{"id":"../x"}]`, 1),
		"other format":   strings.Replace(s.header("1", ""), "tokend-vault", "tokend-vaulu", 1),
		"version gone":   strings.Replace(s.header("1", ""), `"version":1,`, "", 1),
		"version twice":  strings.Replace(s.header("1", ""), `"version":1,`, `"version":1,"version":1,`, 1),
		"version 0":      s.header("0", ""),
		"negative vers.": s.header("-1", ""),
	} {
		if _, err := Parse(s.raw(t, header, "")); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestVersions shows that a newer format is refused by name, whatever else it
// holds.
func TestVersions(t *testing.T) {
	s := newSample(t)
	_, err := Parse(s.raw(t, s.header("2", `,"entirely":{"New":"things"}`), ""))
	wantErr(t, err, ErrNewer)
	if e, ok := errors.AsType[*NewerError](err); !ok || e.Version != 2 || !strings.Contains(err.Error(), "tokend-vault format version 2") {
		t.Fatalf("got %v", err)
	}
	_, err = Parse(s.raw(t, s.header("1", ""), "3"))
	wantErr(t, err, ErrNewer)
}

// withVersion0 adds a version that never was: its header calls the epoch an era, its accounts
// have titles.
func withVersion0() map[int]dialect {
	known := dialects()
	v0 := known[1]
	v0.header = func(raw []byte) (Header, error) {
		var old struct {
			Format  string    `json:"format"`
			Version int       `json:"version"`
			Vault   string    `json:"vault_id"`
			Era     uint64    `json:"era"`
			Set     time.Time `json:"recovery_set"`
		}
		err := decodeStrict(raw, &old)
		return Header{Format: old.Format, Version: Version, VaultID: old.Vault, Epoch: old.Era, RecoverySet: old.Set}, err
	}
	v0.session = func(raw []byte) (*Session, error) {
		return sessionV1(bytes.ReplaceAll(raw, []byte(`"title"`), []byte(`"name"`)))
	}
	known[0] = v0
	return known
}

// TestOlderVersion reads one through its own reader and writes it as today's.
func TestOlderVersion(t *testing.T) {
	s := newSample(t)
	known := withVersion0()
	raw, err := EncodeSession(s.session)
	if err != nil {
		t.Fatal(err)
	}
	to, err := Recipient(s.identity)
	if err != nil {
		t.Fatal(err)
	}
	if s.parts.Session, err = Encrypt(bytes.ReplaceAll(raw, []byte(`"name"`), []byte(`"title"`)), to, s.keys.RecoveryRecipient); err != nil {
		t.Fatal(err)
	}
	header := strings.NewReplacer(`"epoch"`, `"era"`, `,"keyslots":[]`, "").Replace(s.header("0", ""))
	old := s.raw(t, header, "")
	_, err = Parse(old)
	wantErr(t, err, ErrDamaged)
	a, err := parse(old, known)
	if err != nil || a.Version != 0 {
		t.Fatal(err)
	}
	c, err := a.OpenPassword([]byte(samplePassword))
	if err != nil || !reflect.DeepEqual(c.Session(), s.session) {
		t.Fatalf("%+v, %v", c, err)
	}
	// The next write has today's version.
	p := a.Parts()
	p.SigningKey = c.Keys().SigningKey
	raw, err = EncodeSession(c.Session())
	if err != nil {
		t.Fatal(err)
	}
	if p.Session, err = Encrypt(raw, to, s.keys.RecoveryRecipient); err != nil {
		t.Fatal(err)
	}
	data, _, err := Build(p)
	if err != nil {
		t.Fatal(err)
	}
	if a, err = Parse(data); err != nil || a.Header.Version != Version {
		t.Fatal(err)
	}
}

// TestMembersThatDoNotFit makes containers that are correctly signed but whose members
// do not belong together: as a program with a bug, or a thief of the signing
// key, would.
func TestMembersThatDoNotFit(t *testing.T) {
	for name, change := range map[string]func(s *sample){
		"other vault in keys":    func(s *sample) { s.keys.VaultID = strings.Repeat("cd", 16) },
		"other epoch in keys":    func(s *sample) { s.keys.Epoch = 2 },
		"other signing key":      func(s *sample) { s.keys.SigningKey = ed25519.NewKeyFromSeed(make([]byte, 32)) },
		"a keyslot too many":     func(s *sample) { s.keys.Slots = []SlotSecret{{ID: "x"}} },
		"touch without a member": func(s *sample) { s.keys.TouchRecipient = s.keys.RecoveryRecipient },
		"other vault in session": func(s *sample) { s.session.VaultID = strings.Repeat("cd", 16) },
		"an account twice":       func(s *sample) { s.session.Records = append(s.session.Records, s.session.Records[0]) },
	} {
		s := newSample(t)
		to, err := Recipient(s.identity)
		if err != nil {
			t.Fatal(err)
		}
		real := s.keys.RecoveryRecipient
		change(s)
		s.encode(t, to, real)
		a, err := Parse(s.build(t))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, open := range []func() (*Contents, error){
			func() (*Contents, error) { return a.OpenSession(s.identity) },
			func() (*Contents, error) { return a.OpenPassword([]byte(samplePassword)) },
		} {
			if _, err := open(); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	// Signed by somebody else throughout: the password tells.
	s := newSample(t)
	s.keys.SigningKey = ed25519.NewKeyFromSeed(make([]byte, 32))
	s.parts.SigningKey = s.keys.SigningKey
	to, _ := Recipient(s.identity)
	s.encode(t, to, s.keys.RecoveryRecipient)
	a, err := Parse(s.build(t))
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.OpenPassword([]byte(samplePassword))
	wantErr(t, err, ErrDamaged)
}

func TestTarTricks(t *testing.T) {
	s := newSample(t)
	data := s.build(t)
	at := bytes.Index(data, []byte(nameSession+"\x00"))
	for name, change := range map[string]func(b []byte) []byte{
		"a link":        func(b []byte) []byte { b[at+156] = '2'; return fixSum(b, at) },
		"pax header":    func(b []byte) []byte { b[at+156] = 'x'; return fixSum(b, at) },
		"gnu long name": func(b []byte) []byte { b[at+156] = 'L'; return fixSum(b, at) },
		"a mode":        func(b []byte) []byte { b[at+102] = '7'; return fixSum(b, at) },
		"an owner":      func(b []byte) []byte { copy(b[at+265:], "root"); return fixSum(b, at) },
		"a prefix":      func(b []byte) []byte { copy(b[at+345:], "dir"); return fixSum(b, at) },
		"other name":    func(b []byte) []byte { copy(b[at:], "sessiom"); return fixSum(b, at) },
		"other time":    func(b []byte) []byte { b[at+146] ^= 1; return fixSum(b, at) },
		"huge size":     func(b []byte) []byte { copy(b[at+124:], "77777777777"); return fixSum(b, at) },
		"negative size": func(b []byte) []byte { copy(b[at+124:], "-0000000001"); return fixSum(b, at) },
		"padding":       func(b []byte) []byte { b[at-1] ^= 1; return b },
		"trailer":       func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"gnu blocking":  func(b []byte) []byte { return append(b, make([]byte, 10240-len(b)%10240)...) },
	} {
		if _, err := Parse(change(bytes.Clone(data))); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, foreign := range [][]byte{nil, []byte("PK\x03\x04"), make([]byte, 4096), []byte(strings.Repeat("x", 5000))} {
		_, err := Parse(foreign)
		wantErr(t, err, ErrNotArchive)
	}
	_, err := Parse(append(bytes.Clone(data), make([]byte, MaxSize)...))
	wantErr(t, err, ErrDamaged)
}

// fixSum makes a tar header's checksum right again.
func fixSum(b []byte, at int) []byte {
	h := b[at : at+blockSize]
	copy(h[148:156], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

func TestWrapIsBound(t *testing.T) {
	for _, alg := range []string{"P-256", "P-384", "X25519"} {
		priv, key := testKey(t, alg)
		b := Binding{"v", "s", ClassSession, 1}
		w, err := Seal(key, b, []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := w.Open(key, b, priv); err != nil || string(got) != "secret" {
			t.Fatalf("%s: %q, %v", alg, got, err)
		}
		for _, other := range []Binding{{"w", "s", ClassSession, 1}, {"v", "t", ClassSession, 1}, {"v", "s", ClassTouch, 1}, {"v", "s", ClassSession, 2}} {
			_, err := w.Open(key, other, priv)
			wantErr(t, err, ErrWrongKey)
		}
		wrong, _ := testKey(t, alg)
		_, err = w.Open(key, b, wrong)
		wantErr(t, err, ErrWrongKey)
		mine := errors.New("pulled out")
		_, err = w.Open(key, b, func([]byte) ([]byte, error) { return nil, mine })
		wantErr(t, err, mine)
		w.Enc[3] ^= 1
		if _, err = w.Open(key, b, priv); err == nil {
			t.Error("a changed encapsulation opens")
		}
	}
}

func TestPasswordForm(t *testing.T) {
	long := strings.Repeat("ä", 128)
	for pw, ok := range map[string]bool{"ten chars.": true, "nine char": false, long: true, long + "x": false,
		strings.Repeat("a\u0308", 9): false, strings.Repeat("a\u0308", 128): true, "\xffabcdefghijk": false} {
		if _, err := NewPassword([]byte(pw)); (err == nil) != ok {
			t.Errorf("%q: %v", pw, err)
		}
	}
}

func TestErrorsHoldNoSecret(t *testing.T) {
	for _, raw := range []string{
		`{"format":"tokend-vault-session","version":1,"vault_id":"x","journal":"y","journal_before":"z","accounts":[{"id":"TOPSECRET","secret":"TOPSECRET!"}]}`,
		`{"accounts":[{"secret":TOPSECRET}]}`, `{"accounts":"TOPSECRET"}`, `{"TOPSECRET":1}`, `{"accounts":[{"digits":"TOPSECRET"}]}`,
	} {
		if _, err := sessionV1([]byte(raw)); err == nil || strings.Contains(err.Error(), "TOPSECRET") {
			t.Errorf("%v", err)
		}
		if _, err := keysV1([]byte(strings.ReplaceAll(raw, "accounts", "slots"))); err == nil || strings.Contains(err.Error(), "TOPSECRET") {
			t.Errorf("%v", err)
		}
	}
	if _, err := Decrypt(nil, []byte("AGE-SECRET-KEY-1TOPSECRET")); strings.Contains(err.Error(), "TOPSECRET") {
		t.Error(err)
	}
}

func TestIsHex(t *testing.T) {
	for s, want := range map[string]bool{
		"00ff": true, "0a1b": true, "00fF": false, "00f": false, "00ff0": false, "00ff00": false,
		"": false, "0g00": false, "g000": false, "000g": false, "0 00": false, "é00": false,
	} {
		if isHex(s, 2) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}
