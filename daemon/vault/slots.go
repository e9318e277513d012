package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/secret"
	"github.com/tokenbridge/tokend/tokens"
)

// NewSlotID draws an id for a keyslot; rnd may be nil.
func NewSlotID(rnd io.Reader) (string, error) {
	if rnd == nil {
		rnd = rand.Reader
	}
	return randomHex(rnd, 8)
}

// newSlot turns an enrolment into a keyslot, without wraps yet.
func (s *Store) newSlot(n NewSlot) (archive.Keyslot, error) {
	id := n.ID
	if id == "" {
		var err error
		if id, err = randomHex(s.rand, 8); err != nil {
			return archive.Keyslot{}, err
		}
	}
	k := archiveKeyslot(id, n.Enrollment)
	k.Added = s.now().UTC().Truncate(time.Second)
	if err := k.Check(); err != nil {
		return k, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if !archive.Label(n.Label) {
		return k, fmt.Errorf("%w: a label has at most %d bytes of plain text", ErrInvalid, archive.MaxName)
	}
	if (k.Kind == string(tokens.KindSoft)) != (n.Enrollment.KeyFile != nil) {
		return k, fmt.Errorf("%w: a software token, and no other, has a key file", ErrInvalid)
	}
	if n.Exchange == nil {
		return k, fmt.Errorf("%w: a new keyslot must be opened once", ErrInvalid)
	}
	return k, nil
}

// try opens a wrap with the token and sees whether it holds the key whose public
// half is want.
func (l lockedWrap) try(ctx context.Context, x Exchange, want string) error {
	shared, err := l.agree(ctx, x)
	if err != nil {
		return err
	}
	secret.Do(func() {
		var key []byte
		if key, err = l.open(shared); err != nil {
			return
		}
		if recipient(key) != want {
			err = fmt.Errorf("keyslot %s: %w", l.binding.SlotID, ErrWrongKey)
		}
		clear(key)
	})
	return err
}

// MaxSlots is how many keyslots a vault can have.
const MaxSlots = archive.MaxKeyslots

// AddSlot makes a keyslot. touch opens the touch class if the slot is to have
// it and there are touch accounts; it is not looked at otherwise. The new
// token is asked once for each of its classes before anything is written.
func (v *Vault) AddSlot(ctx context.Context, n NewSlot, touch Way) (Slot, error) {
	slot, err := v.store.newSlot(n)
	if err != nil {
		return Slot{}, err
	}
	if touchKey, ok := slot.Key(archive.ClassTouch); !ok {
		err = v.addSlot(ctx, n, slot, nil)
	} else if !v.NeedsTouch() {
		err = v.addFirstTouch(ctx, n, slot)
	} else {
		var t touchLock
		if t, err = v.touchLock(touch); err != nil {
			return Slot{}, err
		}
		sealed := &sealedTouch{epoch: t.epoch, recipient: t.recipient}
		b := archive.Binding{VaultID: v.ID(), SlotID: slot.ID, Class: archive.ClassTouch, Epoch: t.epoch}
		err = t.with(ctx, touch, func(key []byte) (err error) {
			sealed.wrap, err = archive.Seal(touchKey, b, key)
			return err
		})
		if err == nil {
			err = v.addSlot(ctx, n, slot, sealed)
		}
	}
	if err != nil {
		return Slot{}, err
	}
	for _, s := range v.Slots() {
		if s.ID == slot.ID {
			return s, nil
		}
	}
	return Slot{}, ErrConflict
}

// sealedTouch is the touch key as it will stand in the new keyslot.
type sealedTouch struct {
	wrap      archive.Wrap
	recipient string
	epoch     uint64
	fresh     []byte // the key itself, where it is a new one
}

// addFirstTouch is for a vault without touch accounts: the class gets a new key,
// for which no other token is needed.
func (v *Vault) addFirstTouch(ctx context.Context, n NewSlot, slot archive.Keyslot) (err error) {
	sealed := &sealedTouch{epoch: v.Epoch()}
	touchKey, _ := slot.Key(archive.ClassTouch)
	b := archive.Binding{VaultID: v.ID(), SlotID: slot.ID, Class: archive.ClassTouch, Epoch: sealed.epoch}
	secret.Do(func() {
		if sealed.fresh, sealed.recipient, err = archive.NewIdentity(); err == nil {
			sealed.wrap, err = archive.Seal(touchKey, b, sealed.fresh)
		}
	})
	defer clear(sealed.fresh)
	if err != nil {
		return err
	}
	return v.addSlot(ctx, n, slot, sealed)
}

// addSlot opens the new keyslot with its token and then commits it.
func (v *Vault) addSlot(ctx context.Context, n NewSlot, slot archive.Keyslot, touch *sealedTouch) error {
	epoch, err := v.sealAndTry(ctx, n, &slot, touch)
	if err != nil {
		return err
	}
	v.write.Lock()
	defer v.write.Unlock()
	if n.Enrollment.KeyFile != nil {
		if err := v.store.writeNewKeyFile(slot.ID, n.Enrollment.KeyFile); err != nil {
			return err
		}
	}
	err = v.changeHeld(ctx, func(d *draft) error { return d.addSlot(n.Label, slot, epoch, touch) })
	if err != nil && n.Enrollment.KeyFile != nil && !v.hasSlot(slot.ID) {
		_ = remove(v.store.fs, v.store.keyFile(slot.ID))
	}
	return err
}

func (v *Vault) hasSlot(id string) (yes bool) {
	v.view(func(st *state) { yes = st.keys.Slot(id) != nil })
	return yes
}

func (v *Vault) sealAndTry(ctx context.Context, n NewSlot, slot *archive.Keyslot, touch *sealedTouch) (uint64, error) {
	l := lockedWrap{binding: archive.Binding{SlotID: slot.ID, Class: archive.ClassSession}}
	l.key, _ = slot.Key(archive.ClassSession)
	var want string
	err := ErrLocked
	v.view(func(st *state) {
		if st.keys.Slot(slot.ID) != nil {
			err = fmt.Errorf("%w: keyslot %s is there already", ErrConflict, slot.ID)
			return
		}
		l.binding.VaultID, l.binding.Epoch = st.parts.Header.VaultID, st.parts.Header.Epoch
		secret.Do(func() {
			want = recipient(st.keys.SessionKey)
			l.wrap, err = archive.Seal(l.key, l.binding, st.keys.SessionKey)
		})
	})
	if err != nil {
		return 0, err
	}
	if err := l.try(ctx, n.Exchange, want); err != nil {
		return 0, fmt.Errorf("the new token: %w", err)
	}
	slot.SessionWrap = l.wrap
	if touch != nil {
		t := lockedWrap{wrap: touch.wrap, binding: l.binding}
		t.key, _ = slot.Key(archive.ClassTouch)
		t.binding.Class = archive.ClassTouch
		if err := t.try(ctx, n.Exchange, touch.recipient); err != nil {
			return 0, fmt.Errorf("the new token: %w", err)
		}
	}
	return l.binding.Epoch, nil
}

func (d *draft) addSlot(label string, slot archive.Keyslot, epoch uint64, touch *sealedTouch) error {
	h := &d.parts.Header
	if h.Epoch != epoch || touch != nil && touch.epoch != epoch {
		return fmt.Errorf("%w: its keys were rotated", ErrConflict)
	}
	if d.keys.Slot(slot.ID) != nil {
		return fmt.Errorf("%w: keyslot %s is there already", ErrConflict, slot.ID)
	}
	if len(h.Keyslots) >= MaxSlots {
		return fmt.Errorf("%w: a vault has at most %d keyslots", ErrInvalid, MaxSlots)
	}
	for _, other := range h.Keyslots {
		for _, a := range other.Keys {
			for _, b := range slot.Keys {
				if bytes.Equal(a.Public, b.Public) {
					return fmt.Errorf("%w: keyslot %s has the same key", ErrConflict, other.ID)
				}
			}
		}
	}
	h.Keyslots = append(slices.Clone(h.Keyslots), slot)
	sealed := archive.SlotSecret{ID: slot.ID, Label: label}
	if touch != nil {
		sealed.TouchWrap = &touch.wrap
	}
	d.keys = d.keys.with(func(k *archive.Keys) { k.Slots = append(k.Slots, sealed) })
	d.keysChanged = true
	switch {
	case touch == nil:
		return nil
	case touch.fresh == nil:
		if d.keys.TouchRecipient != touch.recipient {
			return fmt.Errorf("%w: the touch key was replaced", ErrConflict)
		}
		return nil
	case d.touchAccounts() > 0:
		return fmt.Errorf("%w: the first touch account was added", ErrConflict)
	}
	if err := d.setTouchKey(touch.fresh); err != nil {
		return err
	}
	// The wrap that the token was seen to open is the one that stays.
	d.keys.Slot(slot.ID).TouchWrap = &touch.wrap
	return nil
}

// writeNewKeyFile is writeKeyFile under the store's lock.
func (s *Store) writeNewKeyFile(id string, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writeKeyFile(id, data)
}

// CheckSlot opens a keyslot's class once, to see that it works.
func (v *Vault) CheckSlot(ctx context.Context, id string, c tokens.Class, x Exchange) error {
	w := Way{SlotID: id, Exchange: x}
	if c == tokens.ClassTouch {
		t, err := v.touchLock(w)
		if err != nil {
			return err
		}
		return t.with(ctx, w, func([]byte) error { return nil })
	}
	if err := w.check(); err != nil {
		return err
	}
	var l lockedWrap
	var want string
	err := ErrLocked
	v.view(func(st *state) {
		secret.Do(func() { want = recipient(st.keys.SessionKey) })
		l, err = sessionWrap(st.parts.Header, id)
	})
	if err != nil {
		return err
	}
	return l.try(ctx, x, want)
}

// RenameSlot changes the label of a keyslot.
func (v *Vault) RenameSlot(ctx context.Context, id, label string) error {
	if !archive.Label(label) {
		return fmt.Errorf("%w: a label has at most %d bytes of plain text", ErrInvalid, archive.MaxName)
	}
	return v.change(ctx, func(d *draft) error {
		if d.keys.Slot(id) == nil {
			return fmt.Errorf("%w: %s", ErrNoKeyslot, id)
		}
		d.keys = d.keys.with(func(k *archive.Keys) { k.Slot(id).Label = label })
		d.keysChanged = true
		return nil
	})
}
