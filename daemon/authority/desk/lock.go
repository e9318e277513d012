package desk

import (
	"context"
	"errors"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/keyslot"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/secret"
	"github.com/tokenbridge/tokend/ipc"
)

// What the audit calls it.
const (
	actUnlock = "authority-unlock"
	actLock   = "authority-lock"
)

// errLocked is what all are answered whose call takes an open authority: who is one
// of its users cannot be told, and that there is one the descriptor tells everybody
// while it is open.
func errLocked() *ipc.Error { return ipc.Errorf(ipc.AuthorityKey, "the authority is locked") }

// Locked says whether the authority waits for a token.
func (d *Desk) Locked() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.locked != nil
}

// UnlockAuthority implements [ipc.AuthorityKeys].
func (d *Desk) UnlockAuthority(ctx context.Context, p ipc.Principal, r ipc.UnlockAuthorityRequest) (ipc.AuthorityInfo, error) {
	by := byToken(r)
	defer by.wipe()
	set, err := d.lockedFor(p)
	if err != nil {
		d.noted(d.chain().by(p.From()), actUnlock, "uid "+p.UID, "", err)
		return ipc.AuthorityInfo{}, err
	}
	if set != nil {
		id, err := d.unlock(ctx, p, by, set)
		if ipc.KindOf(err) != ipc.PINRequired { // a question, not a try
			d.noted(d.chain().by(p.From()), actUnlock, "uid "+p.UID, id, err)
		}
		if err != nil {
			return ipc.AuthorityInfo{}, d.failed(err)
		}
	}
	c, err := d.unlocked(ctx, p)
	if err != nil {
		return ipc.AuthorityInfo{}, err
	}
	return d.info(c)
}

// unlocked is the caller at an authority that is open: one who may unlock it need
// have no role there.
func (d *Desk) unlocked(ctx context.Context, p ipc.Principal) (*caller, error) {
	o, _ := d.current()
	if o != nil {
		d.mu.Lock()
		may := o.slots != nil && mayUnlock(p, o.slots)
		d.mu.Unlock()
		if may {
			return newCaller(o, p), nil
		}
	}
	return d.require(ctx, p, actUnlock, ofAll)
}

// chain is the audit chain of an authority that is locked or open.
func (d *Desk) chain() *chain {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log
}

// unlock has a token open the authority, and returns its keyslot's id.
func (d *Desk) unlock(ctx context.Context, p ipc.Principal, by byToken, set *keyslot.Set) (string, error) {
	var key *secret.Buffer
	var id string
	locks := d.locks.Load()
	err := d.use(ctx, p, by, set.Slots, func(ctx context.Context, chosen string, x keyslot.Exchange) (err error) {
		key, err = set.Open(ctx, chosen, x)
		id = chosen
		return err
	})
	switch {
	case id == "" && ipc.KindOf(err) == ipc.NotFound:
		return "", keyslot.ErrNone // in the words of vaults
	case err != nil:
		return id, err
	}
	d.moving.Lock()
	defer d.moving.Unlock()
	if err := d.enterBy(set, id, key, locks); err != nil {
		return id, err
	}
	d.cfg.Opened(true)
	return id, nil
}

// enterBy opens the authority with the key that a keyslot held, unless it was locked
// once more since locks were counted.
func (d *Desk) enterBy(set *keyslot.Set, id string, key *secret.Buffer, locks uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		key.Wipe()
		return store.ErrClosed
	case d.locks.Load() != locks:
		key.Wipe()
		return ipc.Errorf(ipc.Conflict, "the authority was locked meanwhile")
	case d.office != nil: // another call was faster
		key.Wipe()
		return nil
	}
	o := &office{key: key, byToken: true}
	err := d.furnish(o, func(opts authority.Options) (*authority.Authority, error) { return authority.Open(opts) })
	if err == nil {
		err = d.settle(o, set, id)
		if o.slots != nil {
			d.locked = o.slots
		}
	}
	if err == nil {
		d.office, d.locked, d.problem = o, nil, nil
		o.chain.note("authority-open", "policy "+o.policy.current().sum)
		d.cfg.Log.Info("an authority is open", "dir", d.cfg.Dir, "key", kindKeyslot)
		return nil
	}
	if err = d.vacate(o, err); errors.Is(err, store.ErrNone) {
		d.locked = nil
		return errors.Join(ipc.ErrNoAuthority(), d.dropUnmade())
	}
	return err
}

// LockAuthority implements [ipc.AuthorityKeys].
func (d *Desk) LockAuthority(ctx context.Context, p ipc.Principal) (ipc.AuthorityLock, error) {
	if set, err := d.lockedFor(p); set != nil || err != nil {
		return ipc.AuthorityLock{Version: ipc.Version, Locked: err == nil}, err
	}
	c, err := d.require(ctx, p, actLock, ofAll)
	if err != nil {
		return ipc.AuthorityLock{}, err
	}
	if d.unattended(c.office) {
		return ipc.AuthorityLock{}, ipc.Errorf(ipc.Conflict, "the authority opens by itself, for its key is outside of tokens (%s)", d.cfg.Key.Kind())
	}
	d.moving.Lock()
	defer d.moving.Unlock()
	d.mu.Lock()
	switch {
	case d.office != c.office:
		d.mu.Unlock()
		return ipc.AuthorityLock{}, d.failed(store.ErrClosed)
	case c.slots == nil || len(c.slots.Slots) == 0:
		d.mu.Unlock()
		return ipc.AuthorityLock{}, ipc.Errorf(ipc.Conflict, "no token could open the authority again")
	}
	d.office, d.locked = nil, c.slots
	d.locks.Add(1)
	d.mu.Unlock()
	d.cfg.Opened(false)
	err = c.close()
	d.noted(c.chain, actLock, c.by, "", err)
	d.cfg.Log.Info("the authority was locked", "dir", d.cfg.Dir)
	if err != nil {
		return ipc.AuthorityLock{}, d.failed(err)
	}
	return ipc.AuthorityLock{Version: ipc.Version, Locked: true}, nil
}
