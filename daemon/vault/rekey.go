package vault

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/tokens"
)

// withTouchKey calls f with the touch key, or with nil where there is no touch
// account: then a new touch key costs nothing and no token is asked. recipient
// says which key it was, so that f can see whether it still is.
func (v *Vault) withTouchKey(ctx context.Context, w Way, f func(key []byte, recipient string) error) error {
	if v.now() == nil {
		return ErrLocked
	}
	if !v.NeedsTouch() {
		return f(nil, "")
	}
	t, err := v.touchLock(w)
	if err != nil {
		return err
	}
	return t.with(ctx, w, func(key []byte) error { return f(key, t.recipient) })
}

// sameTouch says that the touch class is as it was when its key was opened.
func (d *draft) sameTouch(key []byte, recipient string) error {
	if key == nil && d.touchAccounts() > 0 || key != nil && d.keys.TouchRecipient != recipient {
		return fmt.Errorf("%w: the touch class changed while its key was opened", ErrConflict)
	}
	return nil
}

// setTouchKey makes key the touch key: wraps for all keyslots that can open the
// class, and the copy for the recovery key. Secrets are not encrypted again.
func (d *draft) setTouchKey(key []byte) error {
	public, err := archive.Recipient(key)
	if err != nil {
		return err
	}
	wraps := map[string]*archive.Wrap{}
	h := d.parts.Header
	for _, slot := range h.Keyslots {
		k, ok := slot.Key(archive.ClassTouch)
		if !ok {
			continue
		}
		wrap, err := archive.Seal(k, archive.Binding{VaultID: h.VaultID, SlotID: slot.ID,
			Class: archive.ClassTouch, Epoch: h.Epoch}, key)
		if err != nil {
			return err
		}
		wraps[slot.ID] = &wrap
	}
	d.keys = d.keys.with(func(k *archive.Keys) {
		k.TouchRecipient = public
		for i := range k.Slots {
			k.Slots[i].TouchWrap = wraps[k.Slots[i].ID]
		}
	})
	d.keysChanged = true
	return d.sealTouchKey(key)
}

// sealTouchKey writes touch-key.age where there is a recovery key.
func (d *draft) sealTouchKey(key []byte) (err error) {
	d.parts.TouchKey = nil
	if d.keys.RecoveryRecipient != "" {
		d.parts.TouchKey, err = archive.Encrypt(key, d.keys.RecoveryRecipient)
	}
	return err
}

// newTouchKey is setTouchKey with a new key, which is lent to f before it is
// wiped.
func (d *draft) newTouchKey(f func(key []byte) error) error {
	key, _, err := archive.NewIdentity()
	if err != nil {
		return err
	}
	defer clear(key)
	if err := d.setTouchKey(key); err != nil {
		return err
	}
	return f(key)
}

// rotation is what rekey is to do beside making new keys.
type rotation struct {
	revoke   string // a keyslot's id, or empty
	touch    []byte // the old touch key, nil where there are no touch accounts
	recovery bool   // a new recovery key under password, too
	password []byte
}

// rekey begins a new epoch: new session, touch, signing and journal keys, and
// everything encrypted anew.
func (v *Vault) rekey(d *draft, r rotation) error {
	old := d.keys
	h := &d.parts.Header
	h.Epoch++
	h.Keyslots = slices.Clone(h.Keyslots)
	h.Keyslots = slices.DeleteFunc(h.Keyslots, func(k archive.Keyslot) bool { return k.ID == r.revoke })
	keys, err := newKeys(v.store, h.VaultID, h.Epoch)
	if err != nil {
		return err
	}
	keys.RecoveryRecipient = old.RecoveryRecipient
	for _, s := range old.Slots {
		if s.ID != r.revoke {
			keys.Slots = append(keys.Slots, archive.SlotSecret{ID: s.ID, Label: s.Label})
		}
	}
	signing := old.SigningKey
	if err := d.setKeys(keys); err != nil {
		return err
	}
	d.recordsChanged = true
	switch {
	case r.recovery:
		if err := v.newRecovery(d, r.password); err != nil {
			return err
		}
	case old.RecoveryRecipient != "":
		if len(h.Succession) >= archive.MaxSuccession {
			return fmt.Errorf("%w: the keys were rotated %d times under one recovery password", ErrInvalid, len(h.Succession))
		}
		h.Succession = append(slices.Clone(h.Succession), archive.Succeed(h.VaultID, h.Epoch, signing, d.keys.SigningKey))
	}
	if err := d.wrapSession(); err != nil {
		return err
	}
	return d.rekeyTouch(r.touch)
}

// newKeys draws session, signing and journal keys.
func newKeys(s *Store, vaultID string, epoch uint64) (*archive.Keys, error) {
	session, _, err := archive.NewIdentity()
	if err != nil {
		return nil, err
	}
	seed, err := randomBytes(s.rand, ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	defer clear(seed)
	journal, err := randomBytes(s.rand, 32)
	if err != nil {
		return nil, err
	}
	return &archive.Keys{VaultID: vaultID, Epoch: epoch, SessionKey: session,
		SigningKey: ed25519.NewKeyFromSeed(seed), JournalKey: journal}, nil
}

// wrapSession seals the session key to every keyslot; no token is needed.
func (d *draft) wrapSession() error {
	h := &d.parts.Header
	for i := range h.Keyslots {
		slot := &h.Keyslots[i]
		key, _ := slot.Key(archive.ClassSession)
		wrap, err := archive.Seal(key, archive.Binding{VaultID: h.VaultID, SlotID: slot.ID,
			Class: archive.ClassSession, Epoch: h.Epoch}, d.keys.SessionKey)
		if err != nil {
			return err
		}
		slot.SessionWrap = wrap
	}
	return nil
}

// rekeyTouch makes a new touch key where the class is still of use and encrypts
// the touch secrets to it.
func (d *draft) rekeyTouch(old []byte) error {
	if old == nil && !hasTouchSlot(d.parts.Header.Keyslots) {
		d.parts.TouchKey = nil // the class has neither accounts nor keyslots
		return nil
	}
	return d.newTouchKey(func([]byte) error {
		if old == nil {
			return nil
		}
		list := slices.Clone(d.records)
		for i := range list {
			if list[i].Touch == nil {
				continue
			}
			plain, err := archive.Decrypt(list[i].Touch, old)
			if err != nil {
				return fmt.Errorf("account %s: %w", list[i].ID, err)
			}
			err = sealSecret(d, &list[i], plain)
			clear(plain)
			if err != nil {
				return err
			}
		}
		d.records = list
		return nil
	})
}

// newRecovery makes a recovery key under a password that NewPassword passed. The
// touch key is not sealed to it yet.
func (v *Vault) newRecovery(d *draft, password []byte) error {
	identity, public, err := archive.NewIdentity()
	if err != nil {
		return err
	}
	defer clear(identity)
	now := v.store.now().UTC().Truncate(time.Second)
	file, err := archive.SealRecoveryKey(archive.RecoveryKey{VaultID: d.parts.Header.VaultID,
		Signer: archive.Signer(d.keys.SigningKey), Created: now, Identity: identity}, password, v.store.logN)
	if err != nil {
		return err
	}
	d.parts.RecoveryKey = file
	d.parts.Header.RecoverySet, d.parts.Header.Succession = now, nil
	d.keys = d.keys.with(func(k *archive.Keys) { k.RecoveryRecipient = public })
	d.keysChanged, d.recordsChanged = true, true
	return nil
}

// SetRecovery makes a recovery key under a new password; the old password opens
// only what was written before. touch as in RevokeSlot.
func (v *Vault) SetRecovery(ctx context.Context, password []byte, touch Way) error {
	return v.changeRecovery(ctx, password, touch, func(d *draft, pw, key []byte) error {
		if err := v.newRecovery(d, pw); err != nil {
			return err
		}
		switch {
		case key != nil:
			return d.sealTouchKey(key)
		case d.keys.TouchRecipient != "":
			return d.newTouchKey(func([]byte) error { return nil })
		}
		return nil
	})
}

// RotateRecovery is SetRecovery and a new epoch: new keys throughout, and all
// earlier generations removed, so that the old recovery key opens nothing that
// is written from now on.
func (v *Vault) RotateRecovery(ctx context.Context, password []byte, touch Way) error {
	return v.changeRecovery(ctx, password, touch, func(d *draft, pw, key []byte) error {
		return v.rekey(d, rotation{touch: key, recovery: true, password: pw})
	})
}

// changeRecovery runs change with a password that may be one, and with the touch
// key, nil where there are no touch accounts.
func (v *Vault) changeRecovery(ctx context.Context, password []byte, touch Way, change func(d *draft, pw, key []byte) error) error {
	pw, err := archive.NewPassword(password)
	if err != nil {
		return err
	}
	defer clear(pw)
	return v.withTouchKey(ctx, touch, func(key []byte, recipient string) error {
		return v.change(ctx, func(d *draft) error {
			if err := d.sameTouch(key, recipient); err != nil {
				return err
			}
			return change(d, pw, key)
		})
	})
}

// MayRevoke fails with ErrLastWay where a keyslot is the last way to a class of
// the vault, as RevokeSlot would after its way was opened. It asks no token.
func (v *Vault) MayRevoke(id string) error {
	err := ErrLocked
	v.view(func(st *state) { _, err = st.mayRevoke(id) })
	return err
}

// RevokeSlot removes a keyslot, makes new keys, encrypts everything anew and
// removes all earlier generations. touch opens the touch class where there are
// touch accounts, and is not looked at otherwise.
func (v *Vault) RevokeSlot(ctx context.Context, id string, touch Way) (RevokeInfo, error) {
	var info RevokeInfo
	for _, s := range v.Slots() {
		if s.ID == id {
			info.Revoked = s
		}
	}
	err := ErrLocked
	v.view(func(st *state) { info.RecoveryOnly, err = st.mayRevoke(id) })
	if err != nil {
		return RevokeInfo{}, err
	}
	err = v.withTouchKey(ctx, touch, func(key []byte, recipient string) error {
		return v.change(ctx, func(d *draft) error {
			var err error
			if info.RecoveryOnly, err = d.mayRevoke(id); err != nil {
				return err
			}
			if err := d.sameTouch(key, recipient); err != nil {
				return err
			}
			return v.rekey(d, rotation{revoke: id, touch: key})
		})
	})
	if err != nil {
		return RevokeInfo{}, err
	}
	info.Epoch = v.Epoch()
	if info.Revoked.Kind == tokens.KindSoft {
		if err := remove(v.store.fs, v.store.keyFile(id)); err != nil {
			return info, diskError("remove the software token's key file", err)
		}
	}
	return info, nil
}

// mayRevoke refuses to remove the last way to a class and tells which classes
// only the recovery password opens then. The session class always counts: a
// vault that nothing opens is of no use even when it is empty.
func (st *state) mayRevoke(id string) (recoveryOnly []tokens.Class, err error) {
	sessions, touches, found := 0, 0, false
	for _, k := range st.parts.Header.Keyslots {
		if k.ID == id {
			found = true
			continue
		}
		sessions++
		if _, ok := k.Key(archive.ClassTouch); ok {
			touches++
		}
	}
	if !found {
		return nil, fmt.Errorf("%w: %s", ErrNoKeyslot, id)
	}
	recovery := st.parts.RecoveryKey != nil
	if sessions == 0 {
		if !recovery {
			return nil, fmt.Errorf("%w: nothing else opens it", ErrLastWay)
		}
		recoveryOnly = append(recoveryOnly, tokens.ClassSession)
	}
	if n := st.touchAccounts(); touches == 0 && n > 0 {
		if !recovery {
			what := "1 account"
			if n > 1 {
				what = fmt.Sprintf("%d accounts", n)
			}
			return nil, fmt.Errorf("%w: nothing else opens %s of the touch class", ErrLastWay, what)
		}
		recoveryOnly = append(recoveryOnly, tokens.ClassTouch)
	}
	return recoveryOnly, nil
}
