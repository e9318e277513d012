// Package softkey is a FIDO2 key without a device: it makes one credential for an
// authority and signs with it, well or as badly as a test wants it.
package softkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/tokenbridge/tokend/daemon/authority/webkey"
)

// Flags of authenticator data (WebAuthn, section 6.1).
const (
	UP = 0x01
	UV = 0x04
	AT = 0x40
	ED = 0x80
)

// Key is a key with one credential. Its fields may be changed at any time.
type Key struct {
	testing.TB
	ID           []byte
	Private      crypto.Signer // of crypto/ecdsa with P-256, or crypto/ed25519
	RelyingParty string
	Flags        byte   // of assertions
	Count        uint32 // of the last signature; see Still
	Still        bool   // the counter does not move
	Model        [16]byte
	// Extensions follows authenticator data as it is; ED is to be in Flags.
	Extensions []byte
}

// New makes a key of ES256 whose user has a PIN.
func New(tb testing.TB) *Key {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return with(tb, private)
}

// NewEd25519 makes a key of EdDSA.
func NewEd25519(tb testing.TB) *Key {
	tb.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return with(tb, private)
}

func with(tb testing.TB, private crypto.Signer) *Key {
	tb.Helper()
	k := &Key{TB: tb, ID: make([]byte, 64), Private: private, RelyingParty: webkey.RelyingParty, Flags: UP | UV, Model: [16]byte{0xaa, 1}}
	if _, err := rand.Read(k.ID); err != nil {
		tb.Fatal(err)
	}
	return k
}

// COSE is the public key (RFC 9053, section 7).
func (k *Key) COSE() []byte {
	k.Helper()
	m := map[int]any{}
	switch p := k.Private.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := p.Bytes()
		if err != nil {
			k.Fatal(err)
		}
		m = map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]}
	case ed25519.PublicKey:
		m = map[int]any{1: 1, 3: -8, -1: 6, -2: []byte(p)}
	}
	return k.encode(m)
}

func (k *Key) encode(v any) []byte {
	k.Helper()
	m, err := cbor.CTAP2EncOptions().EncMode()
	if err != nil {
		k.Fatal(err)
	}
	raw, err := m.Marshal(v)
	if err != nil {
		k.Fatal(err)
	}
	return raw
}

func (k *Key) authData(flags byte, credential []byte) []byte {
	if !k.Still {
		k.Count++
	}
	rp := sha256.Sum256([]byte(k.RelyingParty))
	b := append(rp[:], flags)
	b = binary.BigEndian.AppendUint32(b, k.Count)
	return append(append(b, credential...), k.Extensions...)
}

// Made is the authenticator data of the new credential.
func (k *Key) Made() []byte {
	k.Helper()
	c := append(k.Model[:], byte(len(k.ID)>>8), byte(len(k.ID)))
	return k.authData(k.Flags|AT, append(append(c, k.ID...), k.COSE()...))
}

// Assert signs a hash.
func (k *Key) Assert(hash [32]byte) webkey.Assertion {
	k.Helper()
	data := k.authData(k.Flags, nil)
	return webkey.Assertion{Credential: k.ID, AuthData: data, Signature: k.Sign(data, hash)}
}

// Sign signs authenticator data and a hash.
func (k *Key) Sign(data []byte, hash [32]byte) []byte {
	k.Helper()
	message, opts := append(append([]byte{}, data...), hash[:]...), crypto.Hash(0)
	if _, ok := k.Private.(*ecdsa.PrivateKey); ok {
		sum := sha256.Sum256(message)
		message, opts = sum[:], crypto.SHA256
	}
	sig, err := k.Private.Sign(rand.Reader, message, opts)
	if err != nil {
		k.Fatal(err)
	}
	return sig
}

// Statement is an assertion as it travels.
func (k *Key) Statement(hash [32]byte) []byte {
	k.Helper()
	raw, err := k.Assert(hash).Encode()
	if err != nil {
		k.Fatal(err)
	}
	return raw
}

// New is the statement that registers the key for a user's id.
func (k *Key) New(user string) []byte {
	k.Helper()
	raw, err := webkey.EncodeNew(k.Made(), k.Assert(webkey.ForNew(user)))
	if err != nil {
		k.Fatal(err)
	}
	return raw
}
