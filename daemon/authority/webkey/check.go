package webkey

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Flags of authenticator data (WebAuthn, section 6.1).
const (
	flagUP = 0x01 // a user was present
	flagUV = 0x04 // the user was verified
	flagAT = 0x40 // a credential is in it
	flagED = 0x80 // extensions' outputs are in it
)

// authData is authenticator data.
type authData struct {
	relyingParty [32]byte
	flags        byte
	count        uint32
	credential   *Credential // of a new one
}

// check checks an assertion (WebAuthn, section 7.2).
func (c Credential) check(a Assertion, hash [32]byte) (*authData, error) {
	d, err := parseAuthData(a.AuthData)
	if err != nil {
		return nil, err
	}
	signed := append(bytes.Clone(a.AuthData), hash[:]...)
	switch {
	case !bytes.Equal(a.Credential, c.ID):
		return nil, because(ErrNotThis, "credential")
	case d.credential != nil:
		return nil, because(ErrMalformed, "a credential in an assertion")
	case d.relyingParty != sha256.Sum256([]byte(RelyingParty)):
		return nil, because(ErrNotThis, "relying party")
	case !verify(c.Public, signed, a.Signature):
		return nil, because(ErrNotThis, "signature")
	case d.flags&flagUP == 0:
		return nil, because(ErrNobody, "no touch")
	case c.UV && d.flags&flagUV == 0:
		return nil, because(ErrNobody, "the user was not verified")
	case (d.count != 0 || c.Count != 0) && d.count <= c.Count:
		return nil, ErrCounter
	}
	return d, nil
}

// parseAuthData reads authenticator data to its end.
func parseAuthData(b []byte) (*authData, error) {
	if len(b) < 37 {
		return nil, because(ErrMalformed, "authenticator data")
	}
	d := &authData{relyingParty: [32]byte(b[:32]), flags: b[32], count: binary.BigEndian.Uint32(b[33:])}
	rest := b[37:]
	var err error
	if d.flags&flagAT != 0 {
		if d.credential, rest, err = parseCredential(rest); err != nil {
			return nil, err
		}
	}
	if d.flags&flagED != 0 {
		var outputs map[string]cbor.RawMessage
		if rest, err = decodeFirst(rest, &outputs); err != nil {
			return nil, err
		}
	}
	if len(rest) > 0 {
		return nil, because(ErrMalformed, "authenticator data is too long")
	}
	return d, nil
}

// parseCredential reads attested credential data (WebAuthn, section 6.5.2).
func parseCredential(b []byte) (*Credential, []byte, error) {
	if len(b) < 18 {
		return nil, nil, because(ErrMalformed, "credential")
	}
	c := &Credential{Model: [16]byte(b[:16])}
	n := int(binary.BigEndian.Uint16(b[16:]))
	b = b[18:]
	if n == 0 || n > maxCredentialID || n > len(b) {
		return nil, nil, because(ErrMalformed, "credential id")
	}
	c.ID, b = bytes.Clone(b[:n]), b[n:]
	var k coseKey
	rest, err := decodeFirst(b, &k)
	if err != nil {
		return nil, nil, err
	}
	c.Public = bytes.Clone(b[:len(b)-len(rest)])
	if len(c.Public) > maxPublic || !k.known() {
		return nil, nil, because(ErrMalformed, "public key")
	}
	return c, rest, nil
}

// coseKey is a public key (RFC 9053, section 7).
type coseKey struct {
	Type  int    `cbor:"1,keyasint"`
	Alg   int    `cbor:"3,keyasint"`
	Curve int    `cbor:"-1,keyasint"`
	X     []byte `cbor:"-2,keyasint"`
	Y     []byte `cbor:"-3,keyasint,omitempty"`
}

// Numbers of COSE (RFC 9053, sections 2.1, 2.2 and 7.1).
const (
	typeOKP, typeEC2        = 1, 2
	algES256, algEdDSA      = -7, -8
	curveP256, curveEd25519 = 1, 6
)

func (k *coseKey) known() bool { return k.ecdsa() != nil || k.ed25519() != nil }

// ecdsa is the key where it is of ES256, nil else.
func (k *coseKey) ecdsa() *ecdsa.PublicKey {
	if k.Type != typeEC2 || k.Alg != algES256 || k.Curve != curveP256 || len(k.X) != 32 || len(k.Y) != 32 {
		return nil
	}
	p, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, k.X...), k.Y...))
	if err != nil {
		return nil
	}
	return p
}

// ed25519 is the key where it is of EdDSA, nil else.
func (k *coseKey) ed25519() ed25519.PublicKey {
	if k.Type != typeOKP || k.Alg != algEdDSA || k.Curve != curveEd25519 || len(k.X) != ed25519.PublicKeySize || len(k.Y) != 0 {
		return nil
	}
	return k.X
}

func verify(public, signed, signature []byte) bool {
	var k coseKey
	if rest, err := decodeFirst(public, &k); err != nil || len(rest) > 0 {
		return false
	}
	if p := k.ecdsa(); p != nil {
		digest := sha256.Sum256(signed)
		return ecdsa.VerifyASN1(p, digest[:], signature)
	}
	p := k.ed25519()
	return p != nil && ed25519.Verify(p, signed, signature)
}

func because(kind error, detail string) error { return fmt.Errorf("%w: %s", kind, detail) }
