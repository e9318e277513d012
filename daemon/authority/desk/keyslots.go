package desk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/tokenbridge/tokend/daemon/authority/keyslot"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/secret"
	"github.com/tokenbridge/tokend/ipc"
)

// Tokens are the tokens of this machine, and their keyslots in callers' vaults.
type Tokens interface {
	// Keyslots are those of the caller's vault, be it open or not, without an
	// authority key.
	Keyslots(p ipc.Principal) ([]keyslot.Slot, error)
	// Use finds the one among slots that the caller means, whose token is plugged in,
	// and has f use it, by a PIN that the caller gives or his agent asks for: f can be
	// called several times. It fails with *ipc.Error, or as f does.
	// interaction is as in ipc.UnlockRequest.
	Use(ctx context.Context, p ipc.Principal, a ipc.Auth, interaction string, slots []keyslot.Slot,
		f func(ctx context.Context, id string, x keyslot.Exchange) error) error
}

// byToken is how a caller opens a keyslot.
type byToken struct {
	Auth        ipc.Auth
	Interaction string // as in ipc.UnlockRequest
}

func (b *byToken) wipe() {
	b.Auth.PIN.Wipe()
	b.Auth.RecoveryPassword.Wipe()
	b.Auth.RecoveryKey.Wipe()
}

// kindKeyslot is the kind of source that a key from a keyslot has.
const kindKeyslot = "keyslot"

// heldKey is the key of an office, as a source.
type heldKey struct {
	desk   *Desk
	office *office
}

// Key implements [store.KeySource].
func (h heldKey) Key() (*secret.Buffer, error) {
	var out *secret.Buffer
	err := h.office.key.Use(func(raw []byte) error {
		out = secret.From(bytes.Clone(raw))
		return nil
	})
	return out, err
}

// Kind implements [store.KeySource].
func (h heldKey) Kind() string {
	if h.office.byToken {
		return kindKeyslot
	}
	return h.desk.cfg.Key.Kind()
}

// use has a token do something with a keyslot.
func (d *Desk) use(ctx context.Context, p ipc.Principal, by byToken, slots []keyslot.Slot, f func(ctx context.Context, id string, x keyslot.Exchange) error) error {
	if d.cfg.Tokens == nil {
		return ipc.Errorf(ipc.Unsupported, "this daemon cannot use tokens")
	}
	if len(by.Auth.RecoveryPassword)+len(by.Auth.RecoveryKey) > 0 {
		return ipc.Errorf(ipc.InvalidArgument, "no recovery password opens an authority, a token does")
	}
	return d.cfg.Tokens.Use(ctx, p, by.Auth, by.Interaction, slots, f)
}

// sealed is set with a keyslot more, of the caller's vault, whose token has opened
// it once.
func (d *Desk) sealed(ctx context.Context, p ipc.Principal, by byToken, set *keyslot.Set, key *secret.Buffer) (next *keyslot.Set, id string, err error) {
	if d.cfg.Tokens == nil {
		return nil, "", ipc.Errorf(ipc.Unsupported, "this daemon cannot use tokens")
	}
	own, err := d.cfg.Tokens.Keyslots(p)
	if err != nil {
		return nil, "", err
	}
	err = d.use(ctx, p, by, own, func(ctx context.Context, chosen string, x keyslot.Exchange) (err error) {
		for _, slot := range own {
			if slot.ID != chosen {
				continue
			}
			slot.By, slot.Added, id = p.UID, wireTime(d.cfg.Now()), chosen
			if next, err = set.With(slot, key); err != nil {
				return err
			}
			opened, err := next.Open(ctx, chosen, x)
			if err != nil {
				return err
			}
			defer opened.Wipe()
			if !keyslot.Same(opened, key) {
				return keyslot.ErrWrongKey
			}
			return nil
		}
		return keyslot.ErrNone
	})
	return next, id, err
}

func (d *Desk) keyslotsPath() string { return filepath.Join(d.cfg.Dir, keyslotsName) }

// readKeyslots reads the file of keyslots; nil where there is none.
func (d *Desk) readKeyslots() (*keyslot.Set, error) {
	path := d.keyslotsPath()
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil && !info.Mode().IsRegular() {
		err = keyslot.ErrDamaged
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the authority's keyslots: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, keyslot.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	set, err := keyslot.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return set, nil
}

func (d *Desk) writeKeyslots(set *keyslot.Set) ([]byte, error) {
	text, err := set.Encode()
	if err != nil {
		return nil, err
	}
	return text, store.ReplaceFile(d.keyslotsPath(), text)
}

// change puts another set in the place of an office's, in the file and then in the
// registry's copy: after a crash between the two the newer one counts. It is to be
// called with d.mu held, and after an error all is as it was.
func (d *Desk) change(o *office, next *keyslot.Set) error {
	text, err := d.writeKeyslots(next)
	if err != nil {
		return err
	}
	if err := o.authority.KeepKeyslots(text); err != nil {
		var back error
		if o.slots == nil {
			back = os.Remove(d.keyslotsPath())
		} else {
			_, back = d.writeKeyslots(o.slots)
		}
		return errors.Join(err, back)
	}
	o.slots = next
	return nil
}

// settle compares the file of keyslots with the registry's copy of it. The newer
// one counts: an older file, another one or none gives way to the copy. A keyslot
// that the copy has no more opens nothing, by way of which the office was opened. It
// is to be called with d.mu held.
func (d *Desk) settle(o *office, file *keyslot.Set, through string) error {
	kept, err := o.authority.Keyslots()
	if err != nil {
		return err
	}
	if kept == nil && file == nil {
		return nil
	}
	var copied *keyslot.Set
	if kept != nil {
		if copied, err = keyslot.Parse(kept); err != nil {
			return err
		}
	}
	if file != nil {
		text, err := file.Encode()
		switch {
		case err != nil:
			return err
		case bytes.Equal(text, kept):
			o.slots = file
			return nil
		case copied == nil || copied.ID == file.ID && copied.Generation < file.Generation:
			o.slots = file
			return o.authority.KeepKeyslots(text)
		}
	}
	if _, err := d.writeKeyslots(copied); err != nil {
		return err
	}
	o.slots = copied
	o.chain.note("authority-keyslots-restored", "the file was older than the registry, another one, or gone")
	d.cfg.Log.Warn("the file of the authority's keyslots was not the newest, and was replaced by the registry's copy", "dir", d.cfg.Dir)
	if through != "" && copied.Slot(through) == nil {
		return ipc.Errorf(ipc.NoKeyslot, "this token's keyslot was removed from the authority, and an older file of keyslots was put back")
	}
	return nil
}
