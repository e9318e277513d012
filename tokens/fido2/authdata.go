package fido2

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/tokenbridge/tokend/tokens/fido2/hid"
)

// Flags of authenticator data (WebAuthn, section 6.1).
const (
	flagUP = 0x01 // a user was present
	flagUV = 0x04 // the user was verified
	flagAT = 0x40 // a credential is in it
	flagED = 0x80 // extensions' outputs are in it
)

// maxCredentialID is the longest credential id, in bytes (WebAuthn, section 4).
const maxCredentialID = 1023

// errAuthData is wrapped by every error about authenticator data.
var errAuthData = errors.New("malformed authenticator data")

// authData is authenticator data (WebAuthn, section 6.1).
type authData struct {
	raw    []byte
	rpHash [32]byte
	flags  byte
	// The rest is there with flagAT alone.
	aaguid     [16]byte
	credential credential
	// hmacSecret is what a new credential says of the extension.
	hmacSecret bool
}

// credential is how a key's credential is found and its signatures checked.
type credential struct {
	id []byte
	// point is its ES256 public key, an uncompressed P-256 point.
	point []byte
}

// public returns the credential's public key.
func (c credential) public() (*ecdsa.PublicKey, error) {
	k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), c.point)
	if err != nil {
		return nil, fmt.Errorf("credential's public key: %w", err)
	}
	return k, nil
}

// parseWrapped reads authenticator data as libfido2 hands it out, as a CBOR
// byte string.
func parseWrapped(b []byte) (*authData, error) {
	var raw []byte
	if err := hid.Decode(b, &raw); err != nil {
		return nil, fmt.Errorf("%w: %w", errAuthData, err)
	}
	return parseAuthData(raw)
}

// parseAuthData reads authenticator data.
func parseAuthData(b []byte) (*authData, error) {
	if len(b) < 37 {
		return nil, fmt.Errorf("%d bytes: %w", len(b), errAuthData)
	}
	a := &authData{raw: b, rpHash: [32]byte(b[:32]), flags: b[32]}
	rest := b[37:]
	var err error
	if a.flags&flagAT != 0 {
		if rest, err = a.parseCredential(rest); err != nil {
			return nil, err
		}
	}
	if a.flags&flagED != 0 {
		var outputs map[string]cbor.RawMessage
		if rest, err = hid.DecodeFirst(rest, &outputs); err != nil {
			return nil, fmt.Errorf("%w: extensions: %w", errAuthData, err)
		}
		// An assertion's output is a byte string, a new credential's a boolean.
		a.hmacSecret = bytes.Equal(outputs["hmac-secret"], []byte{0xf5})
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes too many: %w", len(rest), errAuthData)
	}
	return a, nil
}

// parseCredential reads attested credential data (WebAuthn, section 6.5.2).
func (a *authData) parseCredential(b []byte) ([]byte, error) {
	if len(b) < 18 {
		return nil, fmt.Errorf("credential of %d bytes: %w", len(b), errAuthData)
	}
	a.aaguid = [16]byte(b[:16])
	n := int(binary.BigEndian.Uint16(b[16:]))
	b = b[18:]
	if n == 0 || n > maxCredentialID || n > len(b) {
		return nil, fmt.Errorf("credential id of %d bytes: %w", n, errAuthData)
	}
	a.credential.id = bytes.Clone(b[:n])
	var k coseKey
	rest, err := hid.DecodeFirst(b[n:], &k)
	if err != nil {
		return nil, fmt.Errorf("%w: public key: %w", errAuthData, err)
	}
	if a.credential.point, err = k.point(); err != nil {
		return nil, err
	}
	return rest, nil
}

// coseKey is an elliptic-curve key (RFC 9053, section 7.1).
type coseKey struct {
	Type  int    `cbor:"1,keyasint"`
	Alg   int    `cbor:"3,keyasint"`
	Curve int    `cbor:"-1,keyasint"`
	X     []byte `cbor:"-2,keyasint"`
	Y     []byte `cbor:"-3,keyasint"`
}

// algES256 is ECDSA with SHA-256 (RFC 9053, section 2.1).
const algES256 = -7

// point returns the uncompressed point of an ES256 key.
func (k *coseKey) point() ([]byte, error) {
	if k.Type != 2 || k.Alg != algES256 || k.Curve != 1 || len(k.X) != 32 || len(k.Y) != 32 {
		return nil, fmt.Errorf("public key is not of ES256: %w", errAuthData)
	}
	p := append(append([]byte{4}, k.X...), k.Y...)
	if _, err := (credential{point: p}).public(); err != nil {
		return nil, fmt.Errorf("%w: %w", errAuthData, err)
	}
	return p, nil
}

// ours says whether the data is about our relying party.
func (a *authData) ours() bool { return a.rpHash == sha256.Sum256([]byte(RPID)) }

// signed says whether sig is the credential's over the data and the hash of the
// client data (WebAuthn, section 7.2).
func (a *authData) signed(c credential, clientDataHash, sig []byte) bool {
	public, err := c.public()
	if err != nil {
		return false
	}
	digest := sha256.Sum256(append(bytes.Clone(a.raw), clientDataHash...))
	return ecdsa.VerifyASN1(public, digest[:], sig)
}
