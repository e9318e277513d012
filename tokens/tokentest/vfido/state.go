package vfido

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/gob"
	"errors"
	"fmt"
)

// keptKey is what a key keeps without power.
type keptKey struct {
	PIN         []byte // hash
	Tries       int
	MustTurn    bool
	UVTries     int
	Counter     uint32
	Credentials []keptCredential
}

type keptCredential struct {
	ID               []byte
	RP               rpEntity
	RPHash           [32]byte
	User             userEntity
	Resident, HMAC   bool
	Protect, Alg     int
	Private          []byte // PKCS #8
	Public           []byte // COSE
	RandomUV, Random []byte
}

// Save is all that the key keeps without power: its PIN, tries and credentials.
// It guards nothing, as the key itself.
func (k *Key) Save() ([]byte, error) {
	k.op.Lock()
	defer k.op.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	kept := keptKey{PIN: k.pin.hash, Tries: k.pin.tries, MustTurn: k.pin.mustTurn, UVTries: k.uvTries, Counter: k.counter}
	for _, c := range k.credentials {
		private, err := x509.MarshalPKCS8PrivateKey(c.private)
		if err != nil {
			return nil, fmt.Errorf("cannot save a credential: %w", err)
		}
		kept.Credentials = append(kept.Credentials, keptCredential{
			ID: c.id, RP: c.rp, User: c.user, RPHash: c.rpHash, Resident: c.resident, HMAC: c.hmac,
			Protect: c.protect, Alg: c.alg, Private: private, Public: c.public, RandomUV: c.randomUV, Random: c.random,
		})
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(kept); err != nil {
		return nil, fmt.Errorf("cannot save a key: %w", err)
	}
	return b.Bytes(), nil
}

// Load makes the key what it was at Save; its options stay what they are.
func (k *Key) Load(saved []byte) error {
	var kept keptKey
	if err := gob.NewDecoder(bytes.NewReader(saved)).Decode(&kept); err != nil {
		return fmt.Errorf("cannot load a key: %w", err)
	}
	var all []*credential
	for _, c := range kept.Credentials {
		private, err := x509.ParsePKCS8PrivateKey(c.Private)
		signer, ok := private.(crypto.Signer)
		if err != nil || !ok {
			return errors.New("cannot load a credential: its key is damaged")
		}
		all = append(all, &credential{
			id: c.ID, rp: c.RP, user: c.User, rpHash: c.RPHash, resident: c.Resident, hmac: c.HMAC, protect: c.Protect, alg: c.Alg,
			private: signer, public: c.Public, randomUV: c.RandomUV, random: c.Random,
		})
	}
	k.op.Lock()
	defer k.op.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pin.hash, k.pin.tries, k.pin.mustTurn = kept.PIN, kept.Tries, kept.MustTurn
	k.uvTries, k.counter, k.credentials = kept.UVTries, kept.Counter, all
	return nil
}
