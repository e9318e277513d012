package fido2

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/tokenbridge/tokend/tokens"
)

// sample is well-formed data of a new credential, and its private key.
func sample(tb testing.TB, id []byte) ([]byte, *ecdsa.PrivateKey) {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	cose, err := cbor.Marshal(coseKey{Type: 2, Alg: algES256, Curve: 1, X: point[1:33], Y: point[33:]})
	if err != nil {
		tb.Fatal(err)
	}
	rp := sha256.Sum256([]byte(RPID))
	b := append(rp[:], flagUP|flagAT|flagED, 0, 0, 0, 1)
	b = append(b, make([]byte, 16)...)
	b = append(b, byte(len(id)>>8), byte(len(id)))
	b = append(append(b, id...), cose...)
	ext, err := cbor.Marshal(map[string]bool{"hmac-secret": true})
	if err != nil {
		tb.Fatal(err)
	}
	return append(b, ext...), private
}

func TestAuthData(t *testing.T) {
	for _, n := range []int{1, 64, 1023} {
		b, private := sample(t, bytes.Repeat([]byte{7}, n))
		wrapped, err := cbor.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		a, err := parseWrapped(wrapped)
		if err != nil {
			t.Fatal(err)
		}
		if !a.ours() || !a.hmacSecret || len(a.credential.id) != n || a.flags&flagUV != 0 {
			t.Errorf("read %+v", a)
		}
		challenge := make([]byte, 32)
		digest := sha256.Sum256(append(bytes.Clone(b), challenge...))
		sig, err := ecdsa.SignASN1(rand.Reader, private, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		if !a.signed(a.credential, challenge, sig) || a.signed(a.credential, make([]byte, 33), sig) || a.signed(credential{id: a.credential.id}, challenge, sig) {
			t.Error("signatures")
		}
		for cut := range b {
			if _, err := parseAuthData(b[:cut]); err == nil && cut != 37 {
				t.Errorf("%d of %d bytes were taken", cut, len(b))
			}
		}
		if _, err := parseAuthData(append(bytes.Clone(b), 0)); err == nil {
			t.Error("a byte too many was taken")
		}
	}
	for _, n := range []int{0, 1024} {
		b, _ := sample(t, make([]byte, n))
		if _, err := parseAuthData(b); !errors.Is(err, errAuthData) {
			t.Errorf("an id of %d bytes: %v", n, err)
		}
	}
}

// FuzzAuthData: no authenticator data makes the reader panic, or gives out a
// credential that is none.
func FuzzAuthData(f *testing.F) {
	good, _ := sample(f, []byte("id"))
	seeds := [][]byte{nil, good, good[:37], good[:60], make([]byte, 37), append(make([]byte, 32), 0xff, 0, 0, 0, 0)}
	for _, s := range seeds {
		f.Add(s)
		if w, err := cbor.Marshal(s); err == nil {
			f.Add(w)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(seeds) == 0 {
			t.Fatal("no seeds")
		}
		for _, parse := range []func([]byte) (*authData, error){parseAuthData, parseWrapped} {
			a, err := parse(b)
			if err != nil {
				if !errors.Is(err, errAuthData) {
					t.Fatalf("untyped error %v", err)
				}
				continue
			}
			if n := len(a.credential.id); a.flags&flagAT != 0 && (n == 0 || n > maxCredentialID) {
				t.Fatalf("a credential id of %d bytes", n)
			}
			if a.flags&flagAT != 0 {
				if _, err := a.credential.public(); err != nil {
					t.Fatal(err)
				}
			}
			if a.signed(a.credential, nil, nil) {
				t.Fatal("signed by nothing")
			}
		}
	})
}

// FuzzAttestation: no certificate makes the check panic, and none is verified
// without a root.
func FuzzAttestation(f *testing.F) {
	b, _ := sample(f, []byte("id"))
	auth, err := parseAuthData(b)
	if err != nil {
		f.Fatal(err)
	}
	seeds := [][2][]byte{{nil, nil}, {{0x30, 0x03, 0x02, 0x01, 0x01}, {1}}, {bytes.Repeat([]byte{0x30, 0x82}, 40), nil}}
	for _, s := range seeds {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, cert, sig []byte) {
		if len(seeds) == 0 {
			t.Fatal("no seeds")
		}
		s := statement{format: "packed", auth: auth, clientDataHash: make([]byte, 32), signature: sig, certificate: cert}
		if got := s.vouched(nil); got != nil && got.Verified {
			t.Fatal("verified by nobody")
		}
		s.vouched([][]byte{cert})
	})
}

// sealed is a key whose private half lies in its parameters.
func sealed(tb testing.TB, secret []byte) (tokens.Key, *params) {
	tb.Helper()
	_, credentialKey := sample(tb, []byte("id"))
	point, err := credentialKey.PublicKey.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	p := &params{Version: paramsVersion, Credential: []byte("id"), CredentialKey: point, Salt: make([]byte, saltSize), SaltMode: saltRaw, UV: true}
	if err := p.seal(secret, tokens.ClassSession, tokens.X25519, private, make([]byte, nonceSize)); err != nil {
		tb.Fatal(err)
	}
	b, err := json.Marshal(p)
	if err != nil {
		tb.Fatal(err)
	}
	return tokens.Key{Kind: tokens.KindFIDO2, Class: tokens.ClassSession, Algorithm: tokens.X25519, Public: private.PublicKey().Bytes(), Params: b}, p
}

// TestSealing: a private key opens with its secret alone, and with nothing that
// stands beside it changed.
func TestSealing(t *testing.T) {
	secret := bytes.Repeat([]byte{9}, secretSize)
	k, p := sealed(t, secret)
	if _, err := p.unseal(secret, k); err != nil {
		t.Fatal(err)
	}
	wrong := bytes.Clone(secret)
	wrong[0] ^= 1
	if _, err := p.unseal(wrong, k); !errors.Is(err, errSecret) {
		t.Errorf("another secret: %v", err)
	}
	if _, err := p.unseal(secret[:16], k); err == nil {
		t.Error("half a secret did")
	}
	flip := func(b []byte) []byte { b = bytes.Clone(b); b[len(b)-1] ^= 1; return b }
	for name, alter := range map[string]func(*params, *tokens.Key){
		"credential":     func(p *params, _ *tokens.Key) { p.Credential = flip(p.Credential) },
		"credential key": func(p *params, _ *tokens.Key) { p.CredentialKey = flip(p.CredentialKey) },
		"salt":           func(p *params, _ *tokens.Key) { p.Salt = flip(p.Salt) },
		"salt mode":      func(p *params, _ *tokens.Key) { p.SaltMode = saltPRF },
		"verification":   func(p *params, _ *tokens.Key) { p.UV = !p.UV },
		"sealed key":     func(p *params, _ *tokens.Key) { p.Sealed = flip(p.Sealed) },
		"class":          func(_ *params, k *tokens.Key) { k.Class = tokens.ClassTouch },
		"public key":     func(_ *params, k *tokens.Key) { k.Public = flip(k.Public) },
	} {
		p, k := *p, k
		alter(&p, &k)
		if _, err := p.unseal(secret, k); !errors.Is(err, errSecret) {
			t.Errorf("%s altered: %v", name, err)
		}
	}
}

// FuzzParams: foreign parameters give what has the right form, or an error.
func FuzzParams(f *testing.F) {
	k, _ := sealed(f, make([]byte, secretSize))
	seeds := []string{
		string(k.Params), `{}`, `null`, ``, `{"v":1}`, string(k.Params) + `{}`,
		string(bytes.Replace(k.Params, []byte(`"raw"`), []byte(`"x"`), 1)), string(bytes.Replace(k.Params, []byte(`"v":1`), []byte(`"v":2`), 1)),
	}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(seeds) == 0 {
			t.Fatal("no seeds")
		}
		p, err := parseParams(b)
		if err != nil {
			var typed *tokens.Error
			if !errors.As(err, &typed) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if n := len(p.Credential); n == 0 || n > maxCredentialID || len(p.salt()) != saltSize {
			t.Fatalf("parameters %+v", p)
		}
		if _, err := p.unseal(make([]byte, secretSize), tokens.Key{Class: tokens.ClassTouch, Algorithm: tokens.P256}); err == nil {
			t.Fatal("it opened")
		}
	})
}
