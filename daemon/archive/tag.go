package archive

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
)

// tagSize is the length of a tag in bytes.
const tagSize = 8

// Tagger makes the tags of secrets: by them touch accounts of one epoch of a
// vault are compared without a touch. Whoever can make tags can test a guess at a
// secret, so the key is the vault's own. It is for one goroutine; call Wipe.
type Tagger struct {
	key []byte
	mac hash.Hash
}

// NewTagger makes tags under a vault's journal key.
func NewTagger(journalKey []byte) (*Tagger, error) {
	key, err := hkdf.Key(sha256.New, journalKey, nil, "tokend vault v1 account tag", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("cannot derive the key of tags: %w", err)
	}
	return &Tagger{key, hmac.New(sha256.New, key)}, nil
}

// Tag is a secret's tag: 16 hexadecimal digits.
func (t *Tagger) Tag(secret []byte) string {
	t.mac.Reset()
	t.mac.Write(secret)
	var sum [sha256.Size]byte
	return hex.EncodeToString(t.mac.Sum(sum[:0])[:tagSize])
}

// Wipe overwrites the key.
func (t *Tagger) Wipe() { clear(t.key) }
