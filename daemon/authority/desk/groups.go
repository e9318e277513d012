package desk

import (
	"context"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/ipc"
)

// What the audit calls what is refused here; done, it has the registry's words.
const (
	actGroupAdd = "group-add"
	actGroupOff = "group-remove"
)

// Groups implements [ipc.Groups].
func (d *Desk) Groups(ctx context.Context, p ipc.Principal) (ipc.GroupList, error) {
	c, err := d.require(ctx, p, actLook, ofAll, helpers()...)
	if err != nil {
		return ipc.GroupList{}, err
	}
	list, err := c.authority.Groups()
	if err != nil {
		return ipc.GroupList{}, d.failed(err)
	}
	out := ipc.GroupList{Version: ipc.Version, Groups: make([]ipc.Group, 0, len(list))}
	for _, g := range list {
		out.Groups = append(out.Groups, d.wireGroup(g))
	}
	return out, nil
}

// AddGroup implements [ipc.Groups].
func (d *Desk) AddGroup(ctx context.Context, p ipc.Principal, r ipc.NewGroup) (ipc.Group, error) {
	c, err := d.require(ctx, p, actGroupAdd, ofAll, authority.RoleAdmin)
	if err != nil {
		return ipc.Group{}, err
	}
	roles := ownRoles(r.Roles)
	if err := c.mayGrant(actGroupAdd, roles); err != nil {
		return ipc.Group{}, err
	}
	g, err := c.authority.AddGroup(c.by, r.Name, roles)
	if err != nil {
		return ipc.Group{}, d.failed(err)
	}
	return d.wireGroup(g), nil
}

// RemoveGroup implements [ipc.Groups].
func (d *Desk) RemoveGroup(ctx context.Context, p ipc.Principal, r ipc.GroupRef) (ipc.Group, error) {
	c, err := d.require(ctx, p, actGroupOff, ofAll, authority.RoleAdmin)
	if err != nil {
		return ipc.Group{}, err
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	list, err := c.authority.Groups()
	if err != nil {
		return ipc.Group{}, d.failed(err)
	}
	for _, g := range list {
		if g.Name != r.Name {
			continue
		}
		if err := c.mayGrant(actGroupOff, g.Roles); err != nil {
			return ipc.Group{}, err
		}
	}
	g, err := c.authority.RemoveGroup(c.by, r.Name)
	if err != nil {
		return ipc.Group{}, d.failed(err)
	}
	return d.wireGroup(g), nil
}

func (d *Desk) wireGroup(g authority.Group) ipc.Group {
	return ipc.Group{ID: g.ID, Name: g.Name, Roles: wireRoles(g.Roles), Added: wireTime(g.Added), Known: d.cfg.HasGroup == nil || d.cfg.HasGroup(g.Name)}
}

// mayLogin says whether the caller may give somebody logins: not those that make
// their user an administrator by a group.
func (c *caller) mayLogin(action string, logins []string) error {
	roles, err := c.authority.RolesOfLogins(logins)
	if err != nil {
		return err
	}
	return c.mayGrant(action, roles)
}
