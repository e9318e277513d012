package transfer

import (
	"context"
	"crypto/sha1" //nolint:gosec // what FreeOTP derives its keys with
	"crypto/sha512"
	"encoding/json"
	"hash"
	"sort"
	"strings"
)

// freeOTPToken is a token as FreeOTP and FreeOTP+ write it. Counters are taken as
// they are: the apps make the next code from what they stored.
type freeOTPToken struct {
	Algo                            loose
	Type                            loose
	Label, LabelAlt                 loose
	IssuerExt, IssuerInt, IssuerAlt loose
	Counter, Digits, Period         number
	Secret                          []int
}

func (t freeOTPToken) entry(where string, secret []byte) entry {
	first := func(names ...loose) string {
		for _, n := range names {
			if n = loose(strings.TrimSpace(string(n))); n != "" {
				return string(n)
			}
		}
		return ""
	}
	e := entry{
		where: where, issuer: first(t.IssuerAlt, t.IssuerExt, t.IssuerInt), name: first(t.LabelAlt, t.Label),
		kind: string(t.Type), algorithm: string(t.Algo), digits: t.Digits, period: t.Period, counter: t.Counter, secret: secret,
	}
	if t.IssuerExt == "Steam" && strings.EqualFold(e.kind, typeTOTP) {
		e.kind = typeSteam // the app knows it by this name alone
	}
	return e
}

// signedBytes makes bytes of Java's signed ones; nil where one is none.
func signedBytes(list []int) []byte {
	out := make([]byte, len(list))
	for i, v := range list {
		if v < -128 || v > 255 {
			return nil
		}
		out[i] = byte(v)
	}
	return out
}

func (c *collector) addFreeOTP(where, text string) {
	var t freeOTPToken
	if json.Unmarshal([]byte(text), &t) != nil {
		c.skip(where, "", "", badEntry)
		return
	}
	secret := signedBytes(t.Secret)
	if secret == nil {
		secret = []byte{}
	}
	c.add(t.entry(where, secret))
}

// freeOTP1 is what FreeOTP 1 keeps on the phone (tokens.xml): Android preferences
// with a JSON object for each token.
type freeOTP1 struct{}

// Name implements Format.
func (freeOTP1) Name() string { return "FreeOTP 1" }

const freeOTPOrder = "tokenOrder"

// Detect implements Format.
func (freeOTP1) Detect(f *File) Confidence {
	if _, ok := f.prefs().get(freeOTPOrder); ok {
		return Sure
	}
	return No
}

// Read implements Format.
func (x freeOTP1) Read(_ context.Context, f *File, _ Options) (Result, error) {
	c := collect(x.Name())
	order, _ := f.prefs().get(freeOTPOrder)
	var names []string
	_ = json.Unmarshal([]byte(order), &names) // the order alone would be lost
	place := map[string]int{}
	for i, n := range names {
		place[n] = i
	}
	n := 0
	for _, p := range f.prefs().list {
		if p.name == freeOTPOrder || !strings.HasPrefix(strings.TrimSpace(p.value), "{") {
			continue
		}
		before := len(c.Rows)
		c.addFreeOTP(nth(n), p.value)
		if at, ok := place[p.name]; ok && len(c.Rows) > before {
			c.Rows[before].Order = at
		}
		n++
	}
	return c.Result, nil
}

// freeOTPPlus is the JSON export of FreeOTP+.
type freeOTPPlus struct{}

// Name implements Format.
func (freeOTPPlus) Name() string { return "FreeOTP+" }

// Detect implements Format.
func (freeOTPPlus) Detect(f *File) Confidence {
	switch {
	case f.has("tokens", "tokenOrder"):
		return Sure
	case f.has("tokens") && strings.Contains(f.text(), `"issuerExt"`):
		return Likely
	}
	return No
}

// Read implements Format.
func (x freeOTPPlus) Read(_ context.Context, f *File, _ Options) (Result, error) {
	var tokens []json.RawMessage
	if json.Unmarshal(f.json().object["tokens"], &tokens) != nil {
		return Result{}, damaged(x.Name(), "it has not the form of an export")
	}
	c := collect(x.Name())
	for i, raw := range tokens {
		c.addFreeOTP(nth(i), string(raw))
	}
	return c.Result, nil
}

// freeOTP2 is the backup of FreeOTP 2: a serialized Java HashMap, even when it is
// named .xml. For each token it has what is not secret and, encrypted with a
// master key that the password opens, what is.
type freeOTP2 struct{}

// Name implements Format.
func (freeOTP2) Name() string { return "FreeOTP 2" }

// Detect implements Format.
func (freeOTP2) Detect(f *File) Confidence {
	if len(f.Data) > 4 && string(f.Data[:4]) == javaMagic {
		return Sure
	}
	return No
}

type freeOTPBox struct {
	Cipher     string `json:"mCipher"`
	CipherText []int  `json:"mCipherText"`
	Parameters []int  `json:"mParameters"`
	Token      string `json:"mToken"`
}

type freeOTPMaster struct {
	Algorithm    string     `json:"mAlgorithm"`
	EncryptedKey freeOTPBox `json:"mEncryptedKey"`
	Iterations   number     `json:"mIterations"`
	Salt         []int      `json:"mSalt"`
}

const freeOTPMasterKey = "masterKey"

// Read implements Format.
func (x freeOTP2) Read(ctx context.Context, f *File, o Options) (Result, error) {
	values, err := javaStrings(f.Data)
	if err != nil {
		return Result{}, damaged(x.Name(), err.Error())
	}
	text, ok := values[freeOTPMasterKey]
	if !ok {
		return Result{}, damaged(x.Name(), "it has no master key")
	}
	master, err := x.open(ctx, text, o)
	if err != nil {
		return Result{}, err
	}
	defer clear(master)
	c := collect(x.Name())
	var ids []string
	for id := range values {
		if name, is := strings.CutSuffix(id, "-token"); is {
			ids = append(ids, name)
		} else if _, has := values[id+"-token"]; !has && id != freeOTPMasterKey && strings.Contains(values[id], "mCipherText") {
			c.skip("token "+id, "", "", "the part of it that is not secret is missing")
		}
	}
	sort.Strings(ids) // a HashMap has no order
	for i, id := range ids {
		x.add(c, nth(i), values[id+"-token"], values[id], master)
	}
	return c.Result, nil
}

func (freeOTP2) add(c *collector, where, token, sealed string, master []byte) {
	var t freeOTPToken
	if json.Unmarshal([]byte(token), &t) != nil {
		c.skip(where, "", "", badEntry)
		return
	}
	e := t.entry(where, nil)
	var outer struct{ Key string }
	var box freeOTPBox
	if json.Unmarshal([]byte(sealed), &outer) != nil || json.Unmarshal([]byte(outer.Key), &box) != nil {
		c.skip(where, e.issuer, e.name, "its secret is missing or not in the form of one")
		return
	}
	var ok bool
	if e.secret, ok = box.open(master); !ok {
		c.skip(where, e.issuer, e.name, "its secret is damaged: it does not decrypt")
		return
	}
	if e.algorithm == "" {
		// The key is stored for the hash that it is used with.
		e.algorithm = box.Token
	}
	c.add(e)
}

// open derives the key that opens the master key.
func (x freeOTP2) open(ctx context.Context, text string, o Options) ([]byte, error) {
	var m freeOTPMaster
	if json.Unmarshal([]byte(text), &m) != nil || len(m.Salt) == 0 {
		return nil, damaged(x.Name(), "its master key has not the form of one")
	}
	var h func() hash.Hash
	switch strings.ToUpper(m.Algorithm) {
	case "PBKDF2WITHHMACSHA1":
		h = sha1.New
	case "PBKDF2WITHHMACSHA512":
		h = sha512.New
	default:
		return nil, problem(NewerVersion, x.Name(), "its key derivation is not known")
	}
	password, err := o.ask(ctx, x.Name(), "backup password")
	if err != nil {
		return nil, err
	}
	defer clear(password)
	key, err := o.pbkdf2Key(ctx, x.Name(), password, signedBytes(m.Salt), m.Iterations.value, keySize, h)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	master, ok := m.EncryptedKey.open(key)
	if !ok {
		return nil, wrongPassword(x.Name())
	}
	return master, nil
}

// open decrypts AES-GCM whose parameters are Java's: the DER sequence of nonce and
// length of the tag (RFC 5084, section 3.2), or by Android 6 the nonce alone.
func (b freeOTPBox) open(key []byte) ([]byte, bool) {
	der := signedBytes(b.Parameters)
	if len(der) > 2 && der[0] == 0x30 {
		der = der[2:]
	}
	if b.Cipher != "AES/GCM/NoPadding" || len(der) < 2 || der[0] != 0x04 {
		return nil, false
	}
	size := int(der[1])
	if size == 0 || size > 64 || len(der) < 2+size {
		return nil, false
	}
	plain, ok := openGCM(key, der[2:2+size], signedBytes(b.CipherText), []byte(b.Token))
	return nonNil(plain), ok
}
