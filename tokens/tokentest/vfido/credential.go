package vfido

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Protection levels of credProtect (section 12.1).
const (
	protectOptional = 1
	protectList     = 2 // userVerificationOptionalWithCredentialIDList
	protectRequired = 3
)

// credential is one that the key made. All lie in memory; the id is but a name.
type credential struct {
	id       []byte
	rp       rpEntity
	rpHash   [32]byte
	user     userEntity
	resident bool
	protect  int
	hmac     bool
	alg      int
	private  crypto.Signer
	public   []byte // COSE
	// CredRandomWithUV and CredRandomWithoutUV (section 12.5).
	randomUV, random []byte
}

// newCredential makes a key pair and all that comes with it.
func (k *Key) newCredential(alg int) (*credential, Status) {
	c := &credential{
		id: random(k.opts.CredentialIDLength), alg: alg, protect: protectOptional,
		random: random(32), randomUV: random(32),
	}
	if k.opts.OneCredRandom {
		c.randomUV = c.random
	}
	var s Status
	if alg == AlgEdDSA {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, StatusOther
		}
		c.private = private
		c.public, s = marshal(map[int]any{1: 1, 3: AlgEdDSA, -1: 6, -2: []byte(public)})
		return c, s
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, StatusOther
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		return nil, StatusOther
	}
	c.private = private
	c.public, s = marshal(map[int]any{1: 2, 3: AlgES256, -1: 1, -2: point[1:33], -3: point[33:]})
	return c, s
}

// sign signs the parts as the credential's algorithm wants it.
func (c *credential) sign(parts ...[]byte) ([]byte, Status) {
	message := bytes.Join(parts, nil)
	opts := crypto.SignerOpts(crypto.Hash(0))
	if c.alg == AlgES256 {
		h := sha256.Sum256(message)
		message, opts = h[:], crypto.SHA256
	}
	sig, err := c.private.Sign(rand.Reader, message, opts)
	if err != nil {
		return nil, StatusOther
	}
	return sig, StatusOK
}

// secretFor is the CredRandom for an assertion with or without verified user.
func (c *credential) secretFor(uv bool) []byte {
	if uv {
		return c.randomUV
	}
	return c.random
}

// usable says whether credProtect lets an assertion use the credential.
func (c *credential) usable(uv, listed bool) bool {
	switch c.protect {
	case protectRequired:
		return uv
	case protectList:
		return uv || listed
	}
	return true
}

func (k *Key) find(rpHash [32]byte, id []byte) *credential {
	for _, c := range k.credentials {
		if c.rpHash == rpHash && bytes.Equal(c.id, id) {
			return c
		}
	}
	return nil
}

// add keeps a new credential; a resident one takes the place of another of the
// same user (section 6.1.2 step 17).
func (k *Key) add(c *credential) Status {
	if c.resident {
		k.credentials = slices.DeleteFunc(k.credentials, func(o *credential) bool {
			return o.resident && o.rpHash == c.rpHash && bytes.Equal(o.user.ID, c.user.ID)
		})
		if k.residents() >= k.opts.MaxResident {
			return StatusKeyStoreFull
		}
	}
	k.credentials = append(k.credentials, c)
	return StatusOK
}

func (k *Key) residents() int {
	n := 0
	for _, c := range k.credentials {
		if c.resident {
			n++
		}
	}
	return n
}

// Credential is what a test may know of a credential.
type Credential struct {
	ID       []byte
	RP       string // "" for one made by U2F
	User     []byte
	Resident bool
	HMAC     bool // made with the extension hmac-secret
	Protect  int  // credProtect's level, 1 to 3
}

// Credentials are those the key would answer for, oldest first. A real key
// keeps only resident ones; the others are wrapped in their ids.
func (k *Key) Credentials() []Credential {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]Credential, len(k.credentials))
	for i, c := range k.credentials {
		all[i] = Credential{bytes.Clone(c.id), c.rp.ID, bytes.Clone(c.user.ID), c.resident, c.hmac, c.protect}
	}
	return all
}

// Residents is how many resident credentials the key holds.
func (k *Key) Residents() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.residents()
}

// Flags of authenticator data (WebAuthn section 6.1).
const (
	flagUP = 0x01
	flagUV = 0x04
	flagAT = 0x40
	flagED = 0x80
)

// authData is the authenticator data up to and with the signature counter.
func authData(rpHash [32]byte, flags byte, counter uint32) []byte {
	return binary.BigEndian.AppendUint32(append(bytes.Clone(rpHash[:]), flags), counter)
}

// attested is attested credential data (WebAuthn section 6.5.1).
func (c *credential) attested(aaguid [16]byte) []byte {
	out := binary.BigEndian.AppendUint16(aaguid[:], uint16(len(c.id)))
	return append(append(out, c.id...), c.public...)
}
