package vault

import (
	"context"
	"fmt"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/secret"
	"github.com/tokenbridge/tokend/tokens"
)

// check says whether exactly one way is given, and a whole one.
func (w Way) check() error {
	n := 0
	for _, set := range []bool{w.SlotID != "", w.Password != nil, w.RecoveryKey != nil} {
		if set {
			n++
		}
	}
	if n == 0 {
		return fmt.Errorf("%w: no keyslot, recovery password or recovery key given", ErrNoKeyslot)
	}
	if n > 1 || (w.SlotID != "") != (w.Exchange != nil) {
		return fmt.Errorf("%w: more or less than one way to open the vault", ErrInvalid)
	}
	return nil
}

// lockedWrap is a key sealed to a keyslot, and all it takes to open it.
type lockedWrap struct {
	wrap    archive.Wrap
	key     archive.Key
	binding archive.Binding
}

// agree lets the token do its part. It runs outside secret.Do and without any
// lock: it can take as long as a person needs to touch a key.
func (l lockedWrap) agree(ctx context.Context, x Exchange) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("cannot open keyslot %s: %w", l.binding.SlotID, err)
	}
	peer, err := l.wrap.Peer(l.key)
	if err != nil {
		return nil, err
	}
	shared, err := x(ctx, tokenKey(l.key), peer)
	if err != nil {
		return nil, fmt.Errorf("cannot open keyslot %s: %w", l.binding.SlotID, err)
	}
	return shared, nil
}

// open finishes what agree began; shared is wiped. Call it inside secret.Do.
func (l lockedWrap) open(shared []byte) ([]byte, error) {
	defer clear(shared)
	return l.wrap.Open(l.key, l.binding, func([]byte) ([]byte, error) { return shared, nil })
}

// sessionWrap finds a keyslot's session key.
func sessionWrap(h archive.Header, slotID string) (lockedWrap, error) {
	for _, k := range h.Keyslots {
		if k.ID != slotID {
			continue
		}
		key, _ := k.Key(archive.ClassSession)
		return lockedWrap{k.SessionWrap, key, archive.Binding{
			VaultID: h.VaultID, SlotID: k.ID, Class: archive.ClassSession, Epoch: h.Epoch}}, nil
	}
	return lockedWrap{}, fmt.Errorf("%w: %s", ErrNoKeyslot, slotID)
}

// open opens a container in the given way. The contents are to be wiped.
func open(ctx context.Context, a *archive.Archive, w Way) (*archive.Contents, error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	var c *archive.Contents
	var err error
	switch {
	case w.Password != nil:
		secret.Do(func() { c, err = a.OpenPassword(w.Password) })
	case w.RecoveryKey != nil:
		secret.Do(func() { c, err = a.OpenRecoveryKey(w.RecoveryKey) })
	default:
		var l lockedWrap
		if l, err = sessionWrap(a.Header, w.SlotID); err != nil {
			return nil, err
		}
		var shared []byte
		if shared, err = l.agree(ctx, w.Exchange); err != nil {
			return nil, err
		}
		secret.Do(func() {
			var key []byte
			if key, err = l.open(shared); err == nil {
				c, err = a.OpenSession(key)
				clear(key)
			}
		})
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the vault: %w", err)
	}
	if err := ctx.Err(); err != nil {
		c.Wipe()
		return nil, fmt.Errorf("cannot open the vault: %w", err)
	}
	return c, nil
}

// touchLock is what stands before the touch key, copied out of a vault so that
// no lock is held while a token is waited for. None of it is secret.
type touchLock struct {
	lockedWrap
	recipient   string
	touchKey    []byte // touch-key.age
	recoveryKey []byte // recovery-key.age
	epoch       uint64
}

// touchLock finds the way to the touch key.
func (v *Vault) touchLock(w Way) (touchLock, error) {
	if err := w.check(); err != nil {
		return touchLock{}, fmt.Errorf("cannot open the touch class: %w", err)
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.st == nil {
		return touchLock{}, ErrLocked
	}
	return touchLockOf(&v.st.parts.Header, v.st.keys.Keys, v.st.parts.TouchKey, v.st.parts.RecoveryKey, w)
}

// touchLockOf finds the way to the touch key of a container; touchKey and recovery
// are its members.
func touchLockOf(h *archive.Header, keys *archive.Keys, touchKey, recovery []byte, w Way) (touchLock, error) {
	t := touchLock{recipient: keys.TouchRecipient, touchKey: touchKey, recoveryKey: recovery, epoch: h.Epoch}
	if t.recipient == "" {
		return t, fmt.Errorf("%w: no keyslot of the touch class", ErrNoKeyslot)
	}
	if w.SlotID == "" {
		if t.recoveryKey == nil {
			return t, ErrNoRecovery
		}
		return t, nil
	}
	for _, k := range h.Keyslots {
		key, ok := k.Key(archive.ClassTouch)
		if k.ID != w.SlotID || !ok {
			continue
		}
		t.lockedWrap = lockedWrap{*keys.Slot(k.ID).TouchWrap, key, archive.Binding{
			VaultID: h.VaultID, SlotID: k.ID, Class: archive.ClassTouch, Epoch: h.Epoch}}
		return t, nil
	}
	return t, fmt.Errorf("%w: %s has no key of the touch class", ErrNoKeyslot, w.SlotID)
}

// with opens the touch key in the given way and lends it to f, inside
// secret.Do; it is wiped before with returns.
func (t touchLock) with(ctx context.Context, w Way, f func(key []byte) error) (err error) {
	var shared []byte
	if w.SlotID != "" {
		if shared, err = t.agree(ctx, w.Exchange); err != nil {
			return err
		}
	}
	secret.Do(func() {
		var key []byte
		if key, err = t.open(w, shared); err != nil {
			err = fmt.Errorf("cannot open the touch class: %w", err)
			return
		}
		defer clear(key)
		if err = ctx.Err(); err == nil {
			err = f(key)
		}
	})
	return err
}

func (t touchLock) open(w Way, shared []byte) (key []byte, err error) {
	recovery := w.RecoveryKey
	switch {
	case w.SlotID != "":
		key, err = t.lockedWrap.open(shared)
	case w.Password != nil:
		var k *archive.RecoveryKey
		if k, err = archive.OpenRecoveryKey(t.recoveryKey, w.Password); err != nil {
			return nil, err
		}
		defer clear(k.Identity)
		recovery = k.Identity
		fallthrough
	default:
		if key, err = archive.Decrypt(t.touchKey, recovery); err != nil {
			return nil, fmt.Errorf("%w: another recovery key", ErrWrongPassword)
		}
	}
	if err != nil {
		return nil, err
	}
	return key, archive.CheckTouchKey(key, t.recipient)
}

// archiveKeyslot turns an enrolment into a keyslot of the format.
func archiveKeyslot(id string, e tokens.Enrollment) archive.Keyslot {
	k := archive.Keyslot{ID: id, Kind: string(e.Token.Kind), Model: e.Token.Model, Serial: e.Token.Serial}
	for _, key := range e.Keys {
		k.Keys = append(k.Keys, archive.Key{Kind: string(key.Kind), Class: string(key.Class),
			Algorithm: string(key.Algorithm), Public: key.Public, Params: key.Params})
	}
	return k
}
