package vfido

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

const (
	testRP  = "tokend.example"
	testPIN = "1234"
)

// client is a platform that speaks to a key, with its own half of the PIN/UV
// auth protocols.
type client struct {
	t        testing.TB
	k        *Key
	protocol int
	mac, aes []byte         // of the last key agreement
	peer     map[int]any    // the platform's public key of that
	token    []byte         // the last pinUvAuthToken
	answer   map[int]cborer // the last answer
}

// cborer is a value in an answer, still encoded.
type cborer = cbor.RawMessage

// newClient makes a key and a client that speaks protocol 2, or 1 where that is
// the key's first.
func newClient(t testing.TB, o Options) *client {
	t.Helper()
	k, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return &client{t: t, k: k, protocol: k.Options().Protocols[0]}
}

// call sends a command and decodes the answer.
func (c *client) call(cmd Command, params any) Status {
	c.t.Helper()
	request := []byte{byte(cmd)}
	if params != nil {
		p, err := cbor.Marshal(params)
		if err != nil {
			c.t.Fatal(err)
		}
		request = append(request, p...)
	}
	out := c.k.CBOR(c.t.Context(), request)
	if len(out) == 0 {
		c.t.Fatalf("%v has no answer", cmd)
	}
	c.answer = nil
	if len(out) > 1 {
		if err := cbor.Unmarshal(out[1:], &c.answer); err != nil {
			c.t.Fatalf("%v: %x: %v", cmd, out, err)
		}
	}
	return Status(out[0])
}

// want wants a status.
func (c *client) want(s Status, cmd Command, params any) {
	c.t.Helper()
	if got := c.call(cmd, params); got != s {
		c.t.Errorf("%v: %v, not %v", cmd, got, s)
	}
}

// get decodes a value of the last answer.
func (c *client) get(key int, v any) {
	c.t.Helper()
	if err := cbor.Unmarshal(c.answer[key], v); err != nil {
		c.t.Fatalf("value %d of %v: %v", key, c.answer, err)
	}
}

// m is a CBOR map with numbers for keys.
type m = map[int]any

// agree makes a key agreement.
func (c *client) agree() {
	c.t.Helper()
	c.want(StatusOK, CommandClientPIN, m{1: c.protocol, 2: 2})
	var key map[int]any
	c.get(1, &key)
	x, _ := key[-2].([]byte)
	y, _ := key[-3].([]byte)
	peer, err := ecdh.P256().NewPublicKey(append(append([]byte{4}, x...), y...))
	if err != nil {
		c.t.Fatal(err)
	}
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	z, err := private.ECDH(peer)
	if err != nil {
		c.t.Fatal(err)
	}
	p := private.PublicKey().Bytes()
	c.peer = m{1: 2, 3: -25, -1: 1, -2: p[1:33], -3: p[33:]}
	if c.protocol == 1 {
		h := sha256.Sum256(z)
		c.mac, c.aes = h[:], h[:]
		return
	}
	derive := func(info string) []byte {
		k, err := hkdf.Key(sha256.New, z, make([]byte, 32), info, 32)
		if err != nil {
			c.t.Fatal(err)
		}
		return k
	}
	c.mac, c.aes = derive("CTAP2 HMAC key"), derive("CTAP2 AES key")
}

func (c *client) seal(plain []byte) []byte {
	block, _ := aes.NewCipher(c.aes)
	iv := make([]byte, 16)
	var out []byte
	if c.protocol == 2 {
		_, _ = rand.Read(iv)
		out = append(out, iv...)
	}
	body := make([]byte, len(plain))
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(body, plain)
	return append(out, body...)
}

func (c *client) open(sealed []byte) []byte {
	block, _ := aes.NewCipher(c.aes)
	iv := make([]byte, 16)
	if c.protocol == 2 {
		iv, sealed = sealed[:16], sealed[16:]
	}
	plain := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, sealed)
	return plain
}

// auth is a MAC by a key of the platform's.
func (c *client) auth(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(bytes.Join(parts, nil))
	if c.protocol == 1 {
		return h.Sum(nil)[:16]
	}
	return h.Sum(nil)
}

func pad(pin string) []byte { return append([]byte(pin), make([]byte, 64-len(pin))...) }

func pinHash(pin string) []byte {
	h := sha256.Sum256([]byte(pin))
	return h[:16]
}

func (c *client) setPIN(pin string) Status {
	c.t.Helper()
	c.agree()
	sealed := c.seal(pad(pin))
	return c.call(CommandClientPIN, m{1: c.protocol, 2: 3, 3: c.peer, 4: c.auth(c.mac, sealed), 5: sealed})
}

func (c *client) changePIN(old, pin string) Status {
	c.t.Helper()
	c.agree()
	sealed, hash := c.seal(pad(pin)), c.seal(pinHash(old))
	return c.call(CommandClientPIN, m{1: c.protocol, 2: 4, 3: c.peer, 4: c.auth(c.mac, sealed, hash), 5: sealed, 6: hash})
}

// login gets a token by PIN: with permissions, or with none by getPinToken.
func (c *client) login(pin string, permissions int, rp string) Status {
	c.t.Helper()
	c.agree()
	p := m{1: c.protocol, 2: 5, 3: c.peer, 6: c.seal(pinHash(pin))}
	if permissions != 0 {
		p[2], p[9] = 9, permissions
		if rp != "" {
			p[10] = rp
		}
	}
	return c.takeToken(c.call(CommandClientPIN, p))
}

// finger gets a token by fingerprint.
func (c *client) finger(permissions int, rp string) Status {
	c.t.Helper()
	c.agree()
	return c.takeToken(c.call(CommandClientPIN, m{1: c.protocol, 2: 6, 3: c.peer, 9: permissions, 10: rp}))
}

func (c *client) takeToken(s Status) Status {
	c.t.Helper()
	if s == StatusOK {
		var sealed []byte
		c.get(2, &sealed)
		c.token = c.open(sealed)
	}
	return s
}

func hash() []byte { return bytes.Repeat([]byte{5}, 32) }

// makeParams are those of a plain new credential; change may change them.
func makeParams(change ...func(m)) m {
	p := m{
		1: hash(), 2: map[string]any{"id": testRP}, 3: map[string]any{"id": []byte{1}, "name": "user"},
		4: []any{map[string]any{"type": "public-key", "alg": -7}},
	}
	for _, f := range change {
		f(p)
	}
	return p
}

func option(key int, name string, v bool) func(m) {
	return func(p m) { p[key] = map[string]bool{name: v} }
}

func set(key int, v any) func(m) { return func(p m) { p[key] = v } }

// withToken adds a MAC by the last token.
func (c *client) withToken(macKey, protocolKey int) func(m) {
	return func(p m) {
		data := hash()
		p[macKey], p[protocolKey] = c.auth(c.token, data), c.protocol
	}
}

// data are authenticator data taken apart.
type data struct {
	rpHash     []byte
	flags      byte
	id, rest   []byte
	extensions map[string]any
	raw        []byte
}

func (c *client) data() data {
	c.t.Helper()
	var b []byte
	c.get(2, &b)
	d := data{rpHash: b[:32], flags: b[32], rest: b[37:], raw: b}
	if d.flags&flagAT != 0 {
		n := int(d.rest[16])<<8 | int(d.rest[17])
		d.id, d.rest = d.rest[18:18+n], d.rest[18+n:]
		var key map[int]any
		rest, err := cbor.UnmarshalFirst(d.rest, &key)
		if err != nil {
			c.t.Fatal(err)
		}
		d.rest = rest
	}
	if d.flags&flagED != 0 {
		if err := cbor.Unmarshal(d.rest, &d.extensions); err != nil {
			c.t.Fatal(err)
		}
	} else if d.flags&flagAT != 0 && len(d.rest) > 0 {
		c.t.Errorf("%d bytes too many", len(d.rest))
	}
	return d
}

// make makes a credential with hmac-secret and returns its id.
func (c *client) make(change ...func(m)) []byte {
	c.t.Helper()
	change = append([]func(m){set(6, map[string]any{"hmac-secret": true})}, change...)
	c.want(StatusOK, CommandMakeCredential, makeParams(change...))
	if c.answer == nil {
		c.t.FailNow()
	}
	return c.data().id
}

func descriptors(ids ...[]byte) []any {
	var l []any
	for _, id := range ids {
		l = append(l, map[string]any{"type": "public-key", "id": id})
	}
	return l
}

func assertParams(id []byte, change ...func(m)) m {
	p := m{1: testRP, 2: hash()}
	if id != nil {
		p[3] = descriptors(id)
	}
	for _, f := range change {
		f(p)
	}
	return p
}

// withSalts adds hmac-secret.
func (c *client) withSalts(salts []byte) func(m) {
	return func(p m) {
		c.agree()
		sealed := c.seal(salts)
		p[4] = map[string]any{"hmac-secret": m{1: c.peer, 2: sealed, 3: c.auth(c.mac, sealed), 4: c.protocol}}
	}
}

// secrets is the output of hmac-secret in the last answer.
func (c *client) secrets() []byte {
	c.t.Helper()
	sealed, ok := c.data().extensions["hmac-secret"].([]byte)
	if !ok {
		c.t.Fatalf("no output in %v", c.data().extensions)
	}
	return c.open(sealed)
}

// clock is a clock that only moves when told.
type clock struct{ now time.Time }

func newClock() *clock                   { return &clock{time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)} }
func (c *clock) Now() time.Time          { return c.now }
func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }
