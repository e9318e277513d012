// Package webkey checks what a FIDO2 key signs for an authority: that a new
// credential is a user's, and later that he has the key and touches it. The package
// is pure: it keeps nothing, and time and randomness have no part in it.
//
// What a key signs is its authenticator data (WebAuthn, section 6.1) and a hash that
// is made here, of words of this project's and of what the signature is for. No web
// site can have the relying party, and no web site's challenge makes such a hash:
// what is signed here is good nowhere else, and the other way round.
//
// A statement is what travels: CBOR in the one deterministic encoding (RFC 8949,
// section 4.2.1).
//
//	an assertion   {1: credential id, 2: authenticator data, 3: signature}
//	a new key      {1: authenticator data of the new credential, 2: an assertion by it}
//
// With a new key comes an assertion by the new credential, so that a key that makes
// credentials it cannot use is found out when somebody is there to see to it. There
// is no attestation: who registers a key has it in his hand, and the model is the
// key's own word.
package webkey

import (
	"crypto/sha256"
	"errors"
)

// RelyingParty is the relying party of users' credentials, for ever: a credential
// answers to no other. RFC 6761 keeps the domain from ever being one that a web site
// could have.
const RelyingParty = "authority.tokend.invalid"

// MaxStatement is how many bytes a statement has at most.
const MaxStatement = 4096

// The bounds of what is in a statement, in bytes.
const (
	maxCredentialID = 1023 // WebAuthn, section 4
	maxPublic       = 256
)

// The reasons for refusing a statement, for errors.Is.
var (
	// ErrMalformed: not a statement at all.
	ErrMalformed = errors.New("no statement of a security key")
	// ErrNotThis: made for something else, or by another key.
	ErrNotThis = errors.New("not signed by this key for this")
	// ErrNobody: nobody touched the key, or it did not verify who.
	ErrNobody = errors.New("nobody was there, or was not verified")
	// ErrCounter: the key's counter has not grown. There may be a copy of it.
	ErrCounter = errors.New("the counter has not grown")
)

// Credential is what is kept of a user's key. Nothing in it is secret.
type Credential struct {
	ID []byte
	// Public is the public key in COSE's encoding (RFC 9053, section 7): ES256 or
	// EdDSA with Ed25519.
	Public []byte
	// Model is the AAGUID, by the key's own word; zero where it tells none.
	Model [16]byte
	// UV says that the key verifies its user, by a PIN or a finger.
	UV bool
	// Count is the highest signature counter that was seen; 0 where a key has none.
	Count uint32
}

// The words that begin what is hashed.
const (
	wordNew    = "tokend authority new security key v1\n"
	wordFactor = "tokend authority security key v1\n"
)

// ForNew is what a key signs when it is registered, for a user of that id.
func ForNew(user string) [32]byte {
	return sha256.Sum256(append([]byte(wordNew), user...))
}

// ForFactor is what a key signs as a factor. It names the authority by its keys, the
// device and the conversation: what one authority asks cannot be answered to another.
func ForFactor(authority [32]byte, device, conversation [16]byte, challenge []byte) [32]byte {
	h := sha256.New()
	for _, b := range [][]byte{[]byte(wordFactor), authority[:], device[:], conversation[:], challenge} {
		_, _ = h.Write(b)
	}
	return [32]byte(h.Sum(nil))
}

// Assertion is what a key answers.
type Assertion struct {
	Credential []byte `cbor:"1,keyasint"`
	AuthData   []byte `cbor:"2,keyasint"`
	Signature  []byte `cbor:"3,keyasint"`
}

// newKey is what a new key is registered by.
type newKey struct {
	AuthData []byte    `cbor:"1,keyasint"`
	Proof    Assertion `cbor:"2,keyasint"`
}

// Encode writes the statement. It fails for one that could not be read.
func (a Assertion) Encode() ([]byte, error) { return packed(a) }

// EncodeNew writes the statement of a new key: the authenticator data of its
// credential, and an assertion by that.
func EncodeNew(authData []byte, proof Assertion) ([]byte, error) {
	return packed(newKey{authData, proof})
}

// ReadNew checks the statement of a new key that signed hash, and returns what is to
// be kept. It fails with the errors of this package.
func ReadNew(statement []byte, hash [32]byte) (Credential, error) {
	var n newKey
	if err := unpacked(statement, &n); err != nil {
		return Credential{}, err
	}
	made, err := parseAuthData(n.AuthData)
	if err != nil {
		return Credential{}, err
	}
	switch {
	case made.credential == nil:
		return Credential{}, because(ErrMalformed, "no credential in it")
	case made.relyingParty != sha256.Sum256([]byte(RelyingParty)):
		return Credential{}, because(ErrNotThis, "relying party")
	case made.flags&flagUP == 0:
		return Credential{}, because(ErrNobody, "no touch")
	}
	c := *made.credential
	proof, err := c.check(n.Proof, hash)
	if err != nil {
		return Credential{}, err
	}
	c.Count, c.UV = proof.count, proof.flags&flagUV != 0
	return c, nil
}

// Named is the id of the credential that an assertion is by, so that it can be
// found. Nothing of it is true yet.
func Named(statement []byte) ([]byte, error) {
	var a Assertion
	err := unpacked(statement, &a)
	return a.Credential, err
}

// Check checks an assertion of hash by this credential, and returns the counter to
// be kept. A credential that was registered by a key that verifies its user has to
// be used so. It fails with the errors of this package.
func (c Credential) Check(statement []byte, hash [32]byte) (uint32, error) {
	var a Assertion
	if err := unpacked(statement, &a); err != nil {
		return 0, err
	}
	d, err := c.check(a, hash)
	if err != nil {
		return 0, err
	}
	return d.count, nil
}
