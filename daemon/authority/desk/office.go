package desk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/ipc"
)

// What the audit calls what is done here; the registry's own words are in
// authority.Entry.
const (
	actCreate  = "authority-create"
	actEdit    = "authority-edit"
	actVerify  = "verify"
	actPolicy  = "policy-set"
	actLook    = "look"
	actUserAdd = "user-add"
)

// maxPage is how many entries a page has.
const maxPage = authority.MaxPage

// pageSize is how many entries a caller gets who asks for so many.
func pageSize(limit int) (int, error) {
	if limit < 0 || limit > maxPage {
		return 0, ipc.Errorf(ipc.InvalidArgument, "a page has 1 to %d entries", maxPage)
	}
	if limit == 0 {
		limit = maxPage
	}
	return limit, nil
}

// Authority implements [ipc.AuthorityOffice].
func (d *Desk) Authority(ctx context.Context, p ipc.Principal) (ipc.AuthorityInfo, error) {
	c, err := d.require(ctx, p, actLook, ofReach, authority.RoleHelpdesk, authority.RoleAdmin)
	if err != nil {
		return ipc.AuthorityInfo{}, err
	}
	return d.info(c)
}

func (d *Desk) info(c *caller) (ipc.AuthorityInfo, error) {
	profile, err := c.authority.Profile()
	if err != nil {
		return ipc.AuthorityInfo{}, d.failed(err)
	}
	size, err := c.authority.Size()
	if err != nil {
		return ipc.AuthorityInfo{}, d.failed(err)
	}
	return ipc.AuthorityInfo{
		Version: ipc.Version, ID: profile.ID, Name: profile.Name, Contact: profile.Contact, Portal: profile.Portal,
		Created: wireTime(profile.Created), KeySource: d.keyKind(c.office), Endpoints: d.endpoints(), Size: int(size),
		Policy: c.policy.current().sum, Roles: wireRoles(c.roles()), Child: c.child(), Warnings: d.warnings(c),
	}, nil
}

// EditAuthority implements [ipc.AuthorityOffice].
func (d *Desk) EditAuthority(ctx context.Context, p ipc.Principal, r ipc.EditAuthorityRequest) (ipc.AuthorityInfo, error) {
	c, err := d.require(ctx, p, actEdit, ofAll, authority.RoleAdmin)
	if err == nil && r.AcceptCopy {
		err = d.acceptCopy(ctx, p)
	}
	if err != nil {
		return ipc.AuthorityInfo{}, err
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	profile, err := c.authority.Profile()
	if err != nil {
		return ipc.AuthorityInfo{}, d.failed(err)
	}
	for _, f := range []struct{ to, from *string }{{&profile.Name, r.Name}, {&profile.Contact, r.Contact}, {&profile.Portal, r.Portal}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if _, err := c.authority.SetProfile(c.by, profile); err != nil {
		return ipc.AuthorityInfo{}, d.failed(err)
	}
	return d.info(c)
}

// acceptCopy ends the warnings that registry and audit do not belong together.
func (d *Desk) acceptCopy(ctx context.Context, p ipc.Principal) error {
	c, err := d.require(ctx, p, actKnown, ofAll)
	if err != nil {
		return err
	}
	err = c.marks.accept()
	d.noted(c.chain, actKnown, c.by, "", err)
	if err != nil {
		return d.failed(err)
	}
	return nil
}

// CreateAuthority implements [ipc.AuthorityOffice].
func (d *Desk) CreateAuthority(ctx context.Context, p ipc.Principal, r ipc.CreateAuthorityRequest) (ipc.AuthorityInfo, error) {
	if !p.Admin {
		// A user of an authority that is there, or a stranger.
		if _, err := d.require(ctx, p, actCreate, ofAll); err != nil {
			return ipc.AuthorityInfo{}, err
		}
		return ipc.AuthorityInfo{}, failed(store.ErrExists)
	}
	if err := d.create(ctx, p, r); err != nil {
		return ipc.AuthorityInfo{}, d.failed(err)
	}
	d.made()
	return d.Authority(ctx, p)
}

// made tells that an authority is open which was not there before.
func (d *Desk) made() {
	d.moving.Lock()
	defer d.moving.Unlock()
	if d.Stands() == Serves {
		d.cfg.Opened(true)
	}
}

// keyKind is where the key of an office comes from.
func (d *Desk) keyKind(o *office) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return heldKey{d, o}.Kind()
}

func (d *Desk) create(ctx context.Context, p ipc.Principal, r ipc.CreateAuthorityRequest) (err error) {
	by := byToken{r.Auth, r.Interaction}
	defer by.wipe()
	if r.Key != "" && r.Key != ipc.AuthorityKeyToken {
		return ipc.Errorf(ipc.InvalidArgument, "an authority key is held by nothing of the kind %q", r.Key)
	}
	if r.Preset == "" {
		r.Preset = policy.DefaultPreset
	}
	text, err := policy.Preset(r.Preset, policy.Contact{Name: r.Contact, Portal: r.Portal})
	if err != nil {
		return ipc.Errorf(ipc.InvalidArgument, "%s", err)
	}
	if _, findings := policy.Parse([]byte(text)); policy.Failed(findings) {
		return refusedText(findings)
	}
	o := &office{}
	if r.Key == ipc.AuthorityKeyToken {
		if o, err = d.createByToken(ctx, p, by); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err = d.isVacant(); err == nil {
		err = d.found(o, "uid "+p.UID, text, authority.Profile{Name: r.Name, Contact: r.Contact, Portal: r.Portal})
	}
	if err != nil {
		return d.vacate(o, err)
	}
	d.office = o
	return nil
}

// found makes the folder and what is in it, the registry last: without that there
// is no authority, and what a crash leaves of the rest is used or written anew.
func (d *Desk) found(o *office, by, text string, profile authority.Profile) (err error) {
	if err := os.MkdirAll(d.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("cannot make the authority's folder: %w", err)
	}
	var made []string
	defer func() {
		if err == nil {
			return
		}
		if _, there := os.Stat(filepath.Join(d.cfg.Dir, store.FileName)); !errors.Is(there, os.ErrNotExist) {
			return // it may need its key
		}
		for _, path := range made {
			_ = os.Remove(path)
		}
	}()
	if made, err = d.storeKey(o); err != nil {
		return err
	}
	path := filepath.Join(d.cfg.Dir, policyName)
	if err := store.ReplaceFile(path, []byte(text)); err != nil {
		return err
	}
	made = append(made, path)
	if err = d.furnish(o, func(opts authority.Options) (*authority.Authority, error) { return authority.Create(by, opts, profile) }); err != nil {
		return err
	}
	return d.settle(o, o.slots, "")
}
