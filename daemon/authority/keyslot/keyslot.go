// Package keyslot keeps an authority key sealed to tokens: the file of an
// authority's keyslots. A keyslot is one of a vault's, without what is the vault's:
// the public half of its session key, to which the authority key is sealed as a
// vault's session key is (daemon/archive), and bound to this file and this keyslot.
// Whoever has the token and its PIN opens it, and needs the vault no more.
//
// Nothing in the file is secret but to guessing: the key file of a software token
// is sealed by a passphrase.
package keyslot

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/secret"
)

const (
	// MaxSlots is how many keyslots a file can have.
	MaxSlots = 16
	// MaxSize is the largest file, in bytes.
	MaxSize = 256 << 10

	format     = "tokend-authority-keyslots"
	version    = 1
	idSize     = 16
	keySize    = 32      // of an authority key, in bytes
	maxKeyFile = 8 << 10 // of a software token, in bytes
	maxBy      = 190     // of a uid or SID, in bytes

	// class keeps a wrap of an authority's from opening as a vault's, and the other
	// way round; epoch is that of vaults, which here is never another.
	class = "authority"
	epoch = 1
)

// The errors that a caller decides by.
var (
	// ErrDamaged: the file is cut off, was changed, or is none of keyslots.
	ErrDamaged = errors.New("the file of the authority's keyslots is damaged")
	// ErrNewer: a newer version of the program wrote the file.
	ErrNewer = errors.New("the file of the authority's keyslots was written by a newer version")
	// ErrWrongKey: the token answered, and what is sealed to it does not open.
	ErrWrongKey = errors.New("the keyslot holds no key for this token")
	// ErrNone: there is no such keyslot.
	ErrNone = errors.New("there is no such keyslot")
	// ErrThere: there is such a keyslot already.
	ErrThere = errors.New("the token has a keyslot already")
	// ErrFull: MaxSlots are there.
	ErrFull = errors.New("no more keyslots fit")
)

// Slot is one token's way to the authority key.
type Slot struct {
	// Keyslot is as in the vault that it came from, with the session key alone.
	// SessionWrap is the authority key.
	archive.Keyslot
	// By is the uid, or SID, of who added it.
	By string `json:"by"`
	// KeyFile is a software token's; nil for hardware.
	KeyFile []byte `json:"key_file,omitempty"`
}

// Session is the key that the authority's is sealed to.
func (s Slot) Session() archive.Key {
	k, _ := s.Key(archive.ClassSession)
	return k
}

// Set is the keyslots of one authority. It is not changed once it is made.
type Set struct {
	// ID is drawn when the authority gets its first keyslot; 32 hexadecimal digits.
	ID string
	// Generation counts the changes, from 1.
	Generation uint64
	Slots      []Slot
}

type document struct {
	Format     string `json:"format"`
	Version    int    `json:"version"`
	ID         string `json:"id"`
	Generation uint64 `json:"generation"`
	Slots      []Slot `json:"slots"`
}

// New is a set without keyslots, which is not to be stored.
func New() *Set {
	var id [idSize]byte
	_, _ = rand.Read(id[:]) // it never fails (Go 1.24)
	return &Set{ID: hex.EncodeToString(id[:])}
}

// Encode is the file.
func (s *Set) Encode() ([]byte, error) {
	text, err := json.Marshal(document{format, version, s.ID, s.Generation, s.Slots})
	if err != nil {
		return nil, fmt.Errorf("cannot encode the authority's keyslots: %w", err)
	}
	return append(text, '\n'), nil
}

// Parse reads a file. It takes what Encode writes, to the byte, and nothing else.
// It fails with ErrDamaged or ErrNewer.
func Parse(text []byte) (*Set, error) {
	var d document
	if len(text) > MaxSize {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrDamaged, MaxSize)
	}
	if err := json.Unmarshal(text, &d); err != nil || d.Format != format {
		return nil, fmt.Errorf("%w: it is none of keyslots", ErrDamaged)
	}
	if d.Version > version {
		return nil, fmt.Errorf("%w: it has format %d", ErrNewer, d.Version)
	}
	if d.Version != version || len(d.ID) != 2*idSize || strings.Trim(d.ID, "0123456789abcdef") != "" || d.Generation == 0 || len(d.Slots) > MaxSlots || d.Slots == nil {
		return nil, fmt.Errorf("%w: no version, id, generation or keyslots", ErrDamaged)
	}
	s := &Set{d.ID, d.Generation, d.Slots}
	for i := range s.Slots {
		if err := s.Slots[i].check(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if s.index(s.Slots[i].ID) != i {
			return nil, fmt.Errorf("%w: a keyslot twice", ErrDamaged)
		}
	}
	// A name that occurs twice, one in capitals, an unknown one, more behind the end:
	// none of that comes back.
	if again, err := s.Encode(); err != nil || !bytes.Equal(again, text) {
		return nil, fmt.Errorf("%w: it is not written as it has to be", ErrDamaged)
	}
	return s, nil
}

// check completes a keyslot and says what of it is outside the format.
func (s *Slot) check() error {
	if err := s.Keyslot.Check(); err != nil {
		return err
	}
	switch {
	case len(s.Keys) != 1:
		return fmt.Errorf("keyslot %s: keys of other classes", s.ID)
	case len(s.KeyFile) > maxKeyFile || (s.Kind == "soft") != (len(s.KeyFile) > 0):
		return fmt.Errorf("keyslot %s: a software token, and no other, has a key file", s.ID)
	case s.By == "" || len(s.By) > maxBy || strings.Trim(s.By, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "":
		return fmt.Errorf("keyslot %s: nobody added it", s.ID)
	}
	return nil
}

func (s *Set) index(id string) int {
	return slices.IndexFunc(s.Slots, func(o Slot) bool { return o.ID == id })
}

// Slot is the keyslot with an id; nil where there is none.
func (s *Set) Slot(id string) *Slot {
	if i := s.index(id); i >= 0 {
		return &s.Slots[i]
	}
	return nil
}

// Holds says whether one of the keyslots is for a token's public key. A nil set has
// none.
func (s *Set) Holds(public []byte) bool {
	return s != nil && slices.ContainsFunc(s.Slots, func(o Slot) bool { return bytes.Equal(o.Session().Public, public) })
}

func (s *Set) binding(id string) archive.Binding {
	return archive.Binding{VaultID: s.ID, SlotID: id, Class: class, Epoch: epoch}
}

// With is the set with one keyslot more, to which the key is sealed. It fails with
// ErrThere or ErrFull.
func (s *Set) With(slot Slot, key *secret.Buffer) (*Set, error) {
	if len(s.Slots) >= MaxSlots {
		return nil, ErrFull
	}
	for _, o := range s.Slots {
		if o.ID == slot.ID || bytes.Equal(o.Session().Public, slot.Session().Public) {
			return nil, ErrThere
		}
	}
	session := slot.Session()
	slot.Keys = []archive.Key{session}
	var compact bytes.Buffer
	if len(session.Params) > 0 {
		if err := json.Compact(&compact, session.Params); err != nil {
			return nil, fmt.Errorf("cannot seal the authority key: %w", err)
		}
		slot.Keys[0].Params = compact.Bytes()
	}
	err := key.Use(func(raw []byte) (err error) {
		slot.SessionWrap, err = archive.Seal(session, s.binding(slot.ID), raw)
		return err
	})
	if err == nil {
		err = slot.check()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot seal the authority key: %w", err)
	}
	return &Set{s.ID, s.Generation + 1, append(slices.Clone(s.Slots), slot)}, nil
}

// Without is the set without a keyslot. It fails with ErrNone.
func (s *Set) Without(id string) (*Set, error) {
	if s.index(id) < 0 {
		return nil, ErrNone
	}
	rest := slices.DeleteFunc(slices.Clone(s.Slots), func(o Slot) bool { return o.ID == id })
	return &Set{s.ID, s.Generation + 1, rest}, nil
}

// Exchange is one Diffie-Hellman of a token's with peer.
type Exchange func(ctx context.Context, peer []byte) (shared []byte, err error)

// Open has a token open a keyslot, and returns the authority key, the caller's to
// wipe. What the exchange fails with comes back wrapped; other errors are ErrNone,
// ErrDamaged and ErrWrongKey.
func (s *Set) Open(ctx context.Context, id string, x Exchange) (*secret.Buffer, error) {
	slot := s.Slot(id)
	if slot == nil {
		return nil, ErrNone
	}
	peer, err := slot.SessionWrap.Peer(slot.Session())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	shared, err := x(ctx, peer) // outside secret.Do: it can take as long as a person needs
	if err != nil {
		return nil, fmt.Errorf("cannot open keyslot %s: %w", id, err)
	}
	var key *secret.Buffer
	secret.Do(func() {
		defer clear(shared)
		var raw []byte
		raw, err = slot.SessionWrap.Open(slot.Session(), s.binding(id), func([]byte) ([]byte, error) { return shared, nil })
		defer clear(raw)
		if err == nil && len(raw) != keySize {
			err = ErrDamaged
		}
		if err == nil {
			key = secret.From(raw)
		}
	})
	switch {
	case errors.Is(err, archive.ErrWrongKey):
		err = fmt.Errorf("%w: %w", ErrWrongKey, err)
	case errors.Is(err, archive.ErrDamaged):
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open keyslot %s: %w", id, err)
	}
	return key, nil
}

// Same says whether two keys are one.
func Same(a, b *secret.Buffer) bool {
	same := false
	_ = a.Use(func(x []byte) error {
		return b.Use(func(y []byte) error {
			same = subtle.ConstantTimeCompare(x, y) == 1
			return nil
		})
	})
	return same
}
