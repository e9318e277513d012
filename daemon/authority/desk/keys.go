package desk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/keyslot"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/ipc"
)

// What the audit calls it.
const (
	actKeyslotAdd = "authority-key-add"
	actKeyslotOff = "authority-key-remove"
)

// unattended is whether the key lies where the daemon finds it by itself.
func (d *Desk) unattended(o *office) bool {
	key, err := d.cfg.Key.Key()
	if err != nil {
		return false
	}
	defer key.Wipe()
	return keyslot.Same(key, o.key)
}

// AuthorityKeys implements [ipc.AuthorityKeys].
func (d *Desk) AuthorityKeys(ctx context.Context, p ipc.Principal) (ipc.AuthorityKeyList, error) {
	if set, err := d.lockedFor(p); set != nil || err != nil {
		return wireKeys(set), err
	}
	c, err := d.require(ctx, p, actLook, ofAll)
	if err != nil {
		return ipc.AuthorityKeyList{}, err
	}
	d.mu.Lock()
	set := c.slots
	d.mu.Unlock()
	out := wireKeys(set)
	if d.unattended(c.office) {
		out.Keys = append([]ipc.AuthorityKeyHolder{{ID: unattendedID(d.cfg.Key), Kind: d.cfg.Key.Kind()}}, out.Keys...)
	}
	return out, nil
}

// unattendedID is what a source that is no keyslot is called where a keyslot's id
// stands.
func unattendedID(s store.KeySource) string {
	if _, ok := s.(store.KeyFile); ok {
		return ipc.KeyFileID
	}
	return s.Kind()
}

// lockedFor is the keyslots of an authority that is locked, for who may unlock it;
// nil where none is.
func (d *Desk) lockedFor(p ipc.Principal) (*keyslot.Set, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.Admin || d.locked != nil {
		d.tryOpen()
	}
	switch {
	case d.locked == nil:
		return nil, nil
	case !mayUnlock(p, d.locked):
		return nil, ipc.Errorf(ipc.NotAuthorized, "root, and who added one of its keyslots, may unlock the authority")
	}
	return d.locked, nil
}

// mayUnlock: who has which role stands in the registry, which is not open.
func mayUnlock(p ipc.Principal, set *keyslot.Set) bool {
	for _, s := range set.Slots {
		if s.By == p.UID {
			return true
		}
	}
	return p.Admin
}

func wireKeys(set *keyslot.Set) ipc.AuthorityKeyList {
	out := ipc.AuthorityKeyList{Version: ipc.Version, Keys: []ipc.AuthorityKeyHolder{}}
	if set == nil {
		return out
	}
	for _, s := range set.Slots {
		out.Keys = append(out.Keys, wireKey(s))
	}
	return out
}

func wireKey(s keyslot.Slot) ipc.AuthorityKeyHolder {
	return ipc.AuthorityKeyHolder{ID: s.ID, Kind: s.Kind, Label: s.Label, Hardware: s.KeyFile == nil, By: s.By, Added: wireTime(s.Added)}
}

// AddAuthorityKey implements [ipc.AuthorityKeys].
func (d *Desk) AddAuthorityKey(ctx context.Context, p ipc.Principal, r ipc.AddAuthorityKeyRequest) (ipc.AuthorityKeyHolder, error) {
	by := byToken(r)
	defer by.wipe()
	c, err := d.require(ctx, p, actKeyslotAdd, ofAll)
	if err != nil {
		return ipc.AuthorityKeyHolder{}, err
	}
	d.mu.Lock()
	was := c.slots
	d.mu.Unlock()
	set := was
	if set == nil {
		set = keyslot.New()
	}
	next, id, err := d.sealed(ctx, p, by, set, c.key)
	if err == nil {
		err = d.changeFrom(c.office, was, next)
	}
	if ipc.KindOf(err) != ipc.PINRequired { // a question, not a try
		d.noted(c.chain, actKeyslotAdd, c.by, id, err)
	}
	if err != nil {
		return ipc.AuthorityKeyHolder{}, d.failed(err)
	}
	return wireKey(*next.Slot(id)), nil
}

// noted writes what came of something that was done with a keyslot.
func (d *Desk) noted(c *chain, action, by, id string, err error) {
	if c == nil {
		return
	}
	e := authority.Entry{Kind: action, By: by, OK: err == nil}
	if id != "" {
		e.Detail = "keyslot=" + id
	}
	if err != nil {
		e.Detail = string(ipc.KindOf(failed(err)))
	}
	c.Audit(e)
}

// changeFrom is change, unless the keyslots are no longer those that were looked at.
func (d *Desk) changeFrom(o *office, was, next *keyslot.Set) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.office != o:
		return store.ErrClosed
	case o.slots != was:
		return ipc.Errorf(ipc.Conflict, "the authority's keyslots were changed meanwhile")
	}
	return d.change(o, next)
}

// RemoveAuthorityKey implements [ipc.AuthorityKeys].
func (d *Desk) RemoveAuthorityKey(ctx context.Context, p ipc.Principal, id string) (ipc.AuthorityKeyHolder, error) {
	c, err := d.require(ctx, p, actKeyslotOff, ofAll)
	if err != nil {
		return ipc.AuthorityKeyHolder{}, err
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	gone, err := d.removeKey(c.office, id)
	d.noted(c.chain, actKeyslotOff, c.by, id, err)
	if err != nil {
		return ipc.AuthorityKeyHolder{}, d.failed(err)
	}
	return gone, nil
}

func (d *Desk) removeKey(o *office, id string) (ipc.AuthorityKeyHolder, error) {
	d.mu.Lock()
	set := o.slots
	d.mu.Unlock()
	slots, alone := 0, d.unattended(o)
	if set != nil {
		slots = len(set.Slots)
	}
	last := ipc.Errorf(ipc.LastKeyslot, "this is the last way to the authority key")
	if alone && id == unattendedID(d.cfg.Key) {
		file, ok := d.cfg.Key.(store.KeyFile)
		switch {
		case !ok:
			return ipc.AuthorityKeyHolder{}, ipc.Errorf(ipc.Conflict, "the credential is handed to the daemon from outside")
		case slots == 0:
			return ipc.AuthorityKeyHolder{}, last
		}
		return ipc.AuthorityKeyHolder{ID: id, Kind: file.Kind()}, d.dropKeyFile(o, file)
	}
	if set == nil || set.Slot(id) == nil {
		return ipc.AuthorityKeyHolder{}, keyslot.ErrNone
	}
	if slots == 1 && !alone {
		return ipc.AuthorityKeyHolder{}, last
	}
	next, err := set.Without(id)
	if err != nil {
		return ipc.AuthorityKeyHolder{}, err
	}
	return wireKey(*set.Slot(id)), d.changeFrom(o, set, next)
}

// dropKeyFile removes the key file: from now on a token opens the authority.
func (d *Desk) dropKeyFile(o *office, file store.KeyFile) error {
	if err := file.Remove(); err != nil {
		return err
	}
	d.mu.Lock()
	o.byToken = true
	d.mu.Unlock()
	return nil
}

// Keeps says whether a keyslot of the authority is for a token's key, which so is
// not to be removed from the token.
func (d *Desk) Keeps(public []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	set := d.locked
	if d.office != nil {
		set = d.office.slots
	}
	return set.Holds(public)
}

// createByToken is create with a new key that a token of the caller's holds.
func (d *Desk) createByToken(ctx context.Context, p ipc.Principal, by byToken) (_ *office, err error) {
	if err := d.vacant(); err != nil {
		return nil, err
	}
	key, err := d.cfg.Key.Key()
	switch {
	case err == nil:
		key.Wipe()
		return nil, ipc.Errorf(ipc.Conflict, "there is an authority key already, outside of tokens (%s)", d.cfg.Key.Kind())
	case !errors.Is(err, store.ErrNoKey):
		return nil, err
	}
	if key, err = store.NewKey(); err != nil {
		return nil, err
	}
	set, _, err := d.sealed(ctx, p, by, keyslot.New(), key)
	if err != nil {
		key.Wipe()
		return nil, err
	}
	return &office{key: key, byToken: true, slots: set}, nil
}

// vacant fails where there is an authority.
func (d *Desk) vacant() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.isVacant()
}

// isVacant is vacant, to be called with d.mu held.
func (d *Desk) isVacant() error {
	d.tryOpen()
	switch {
	case d.closed:
		return store.ErrClosed
	case d.office != nil, d.locked != nil, d.problem != nil:
		return store.ErrExists
	}
	return nil
}

// storeKey puts the key of a new authority in its place, and says what it has made.
func (d *Desk) storeKey(o *office) (made []string, err error) {
	if o.byToken {
		_, err := d.writeKeyslots(o.slots)
		return []string{d.keyslotsPath()}, err // of which nobody needs a half
	}
	// One that a crash has left, of an authority that was not made.
	if err := os.Remove(d.keyslotsPath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot make the authority: %w", err)
	}
	if file, ok := d.cfg.Key.(store.KeyFile); ok {
		switch err := file.Create(); {
		case err == nil:
			made = append(made, string(file))
		case !errors.Is(err, os.ErrExist):
			return nil, err
		}
	}
	o.key, err = d.cfg.Key.Key()
	return made, err
}

// dropUnmade removes what a crash has left of an authority that was not made, once
// its registry was opened and seen to be empty.
func (d *Desk) dropUnmade() error {
	return errors.Join(os.Remove(filepath.Join(d.cfg.Dir, store.FileName)), os.Remove(d.keyslotsPath()))
}
