package message

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hpke"
	"fmt"
	"io"
)

// Keys are the two private keys of a device or an authority.
type Keys struct {
	Sign ed25519.PrivateKey
	Seal *ecdh.PrivateKey // X25519
}

// PublicKeys are the public halves.
type PublicKeys struct {
	Sign [32]byte // Ed25519
	Seal [32]byte // X25519
}

// NewKeys makes keys of 64 random bytes.
func NewKeys(random io.Reader) (Keys, error) {
	var seed [64]byte
	defer clear(seed[:])
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return Keys{}, fmt.Errorf("cannot make keys: %w", err)
	}
	return KeysOf(seed[:])
}

// KeysOf makes keys of a seed of 64 bytes: 32 for Ed25519, 32 for X25519.
func KeysOf(seed []byte) (Keys, error) {
	if len(seed) != 64 {
		return Keys{}, fmt.Errorf("cannot make keys of a seed of %d bytes", len(seed))
	}
	x, err := ecdh.X25519().NewPrivateKey(seed[32:])
	if err != nil {
		return Keys{}, fmt.Errorf("cannot make keys: %w", err)
	}
	return Keys{Sign: ed25519.NewKeyFromSeed(seed[:32]), Seal: x}, nil
}

// Public are the public halves.
func (k Keys) Public() PublicKeys {
	var p PublicKeys
	copy(p.Sign[:], k.Sign[32:])
	copy(p.Seal[:], k.Seal.PublicKey().Bytes())
	return p
}

// DeviceID is the id of the device that has these keys.
func (p PublicKeys) DeviceID() ID {
	h := digest(wordDevice, p.Sign[:], p.Seal[:])
	return ID(h[:16])
}

// NewID makes a random id.
func NewID(random io.Reader) (ID, error) {
	var id ID
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return ID{}, fmt.Errorf("cannot make an id: %w", err)
	}
	return id, nil
}

// sign signs with words before what is signed.
func sign(key ed25519.PrivateKey, word string, raw []byte) []byte {
	return ed25519.Sign(key, append([]byte(word), raw...))
}

func verify(key []byte, word string, raw, signature []byte) error {
	if len(key) != ed25519.PublicKeySize || len(signature) != ed25519.SignatureSize ||
		!ed25519.Verify(ed25519.PublicKey(key), append([]byte(word), raw...), signature) {
		return ErrForged
	}
	return nil
}

// seal seals with HPKE. crypto/hpke takes its randomness from the system.
func seal(to [32]byte, info, plain []byte) (enc, sealed []byte, err error) {
	public, err := ecdh.X25519().NewPublicKey(to[:])
	if err != nil {
		return nil, nil, fmt.Errorf("cannot seal: %w", err)
	}
	pk, err := hpke.NewDHKEMPublicKey(public)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot seal: %w", err)
	}
	enc, s, err := hpke.NewSender(pk, hpke.HKDFSHA256(), hpke.AES256GCM(), info)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot seal: %w", err)
	}
	if sealed, err = s.Seal(nil, plain); err != nil {
		return nil, nil, fmt.Errorf("cannot seal: %w", err)
	}
	return enc, sealed, nil
}

func open(key *ecdh.PrivateKey, enc, info, sealed []byte) ([]byte, error) {
	sk, err := hpke.NewDHKEMPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("cannot open: %w", err)
	}
	r, err := hpke.NewRecipient(enc, sk, hpke.HKDFSHA256(), hpke.AES256GCM(), info)
	if err != nil {
		return nil, because(ErrDamaged, "or sealed to another key")
	}
	plain, err := r.Open(nil, sealed)
	if err != nil {
		return nil, because(ErrDamaged, "or sealed to another key")
	}
	return plain, nil
}
