package issue

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/secret"
)

// keyring is the authority's keys: a seed of the two that messages use, and one
// by which secrets are stored that are only ever compared.
type keyring struct {
	seed *secret.Buffer // 64 bytes
	mac  *secret.Buffer // 32 bytes
	self message.Descriptor
}

const (
	seedSize = 64
	macSize  = 32
)

// openKeys reads the keys, or makes them.
func (i *Issuer) openKeys(p authority.Profile) (*keyring, error) {
	var r keysRecord
	err := i.store.Update(func(tx *store.Tx) error {
		found, err := tx.Get(issuerBucket, []byte(keysKey), &r)
		if err != nil || found {
			return err
		}
		r = keysRecord{Seed: make([]byte, seedSize), MAC: make([]byte, macSize)}
		for _, b := range [][]byte{r.Seed, r.MAC} {
			if _, err := io.ReadFull(i.random, b); err != nil {
				return fmt.Errorf("cannot make keys: %w", err)
			}
		}
		return tx.Put(issuerBucket, []byte(keysKey), r)
	})
	if err != nil {
		return nil, err
	}
	if len(r.Seed) != seedSize || len(r.MAC) != macSize {
		return nil, fmt.Errorf("%w: the authority's keys", store.ErrDamaged)
	}
	k := &keyring{seed: secret.From(r.Seed), mac: secret.From(r.MAC)}
	if id, err := hex.DecodeString(p.ID); err == nil {
		copy(k.self.ID[:], id)
	}
	err = k.use(func(keys message.Keys) error { k.self.Keys = keys.Public(); return nil })
	return k, err
}

func (k *keyring) wipe() {
	k.seed.Wipe()
	k.mac.Wipe()
}

// use lends the keys of messages.
func (k *keyring) use(f func(message.Keys) error) error {
	return k.seed.Use(func(seed []byte) error {
		keys, err := message.KeysOf(seed)
		if err != nil {
			return err
		}
		defer clear(keys.Sign)
		return f(keys)
	})
}

// Signer is the public key that the authority signs with, in hexadecimal.
func (i *Issuer) Signer() string { return hex.EncodeToString(i.keys.self.Keys.Sign[:]) }

// Sign signs a message with the key that descriptors and answers are signed with.
// By its first words it must be none of these.
func (i *Issuer) Sign(m []byte) (signature []byte, err error) {
	err = i.keys.use(func(k message.Keys) error {
		signature = ed25519.Sign(k.Sign, m)
		return nil
	})
	return signature, err
}

// sum is how a secret is stored that is only compared. what says what it is for.
func (k *keyring) sum(what string, id message.ID, s []byte) (out [macSize]byte, err error) {
	err = k.mac.Use(func(key []byte) error {
		h := hmac.New(sha256.New, key)
		_, _ = h.Write([]byte(what + "\n"))
		_, _ = h.Write(id[:])
		_, _ = h.Write(s)
		copy(out[:], h.Sum(nil))
		return nil
	})
	return out, err
}

func same(a, b [macSize]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

// Descriptor is what devices are told of the authority, signed. Its text for a
// file is message.FileText of it.
func (i *Issuer) Descriptor(endpoints []message.Endpoint) (*message.Descriptor, []byte, error) {
	p, err := i.reg.Profile()
	if err != nil {
		return nil, nil, err
	}
	d := i.keys.self
	d.Name, d.Contact, d.Endpoints, d.Issued = shown(p.Name, 64), shown(i.contact(p), 400), endpoints, i.now().UTC().Truncate(time.Second)
	if strings.HasPrefix(p.Portal, "https://") && len(p.Portal) <= 400 {
		d.Portal = p.Portal
	}
	var raw []byte
	err = i.keys.use(func(k message.Keys) error {
		raw, err = d.Encode(k)
		return err
	})
	return &d, raw, err
}

// contact is whom a user is told to turn to.
func (i *Issuer) contact(p authority.Profile) string {
	if pol := i.policy(); pol != nil {
		if c := pol.Contact().String(); c != "" {
			return c
		}
	}
	return p.Contact
}

// shown is a text as messages can carry it.
func shown(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	for len(s) > limit {
		r := []rune(s)
		s = string(r[:len(r)-1])
	}
	return s
}
