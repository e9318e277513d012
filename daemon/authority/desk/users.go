package desk

import (
	"context"
	"slices"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/ipc"
)

// Users implements [ipc.Users].
func (d *Desk) Users(ctx context.Context, p ipc.Principal, q ipc.UserQuery) (ipc.UserPage, error) {
	c, err := d.require(ctx, p, actLook, authority.RoleHelpdesk, authority.RoleAdmin)
	if err != nil {
		return ipc.UserPage{}, err
	}
	limit, err := pageSize(q.Limit)
	if err != nil {
		return ipc.UserPage{}, err
	}
	page, err := c.authority.Users(authority.UserQuery{Prefix: q.Prefix, Role: authority.Role(q.Role), After: q.After, Limit: limit})
	if err != nil {
		return ipc.UserPage{}, d.failed(err)
	}
	out := ipc.UserPage{Version: ipc.Version, Users: make([]ipc.User, 0, len(page.Users)), Next: page.Next}
	for _, u := range page.Users {
		out.Users = append(out.Users, wireUser(u))
	}
	return out, nil
}

// User implements [ipc.Users].
func (d *Desk) User(ctx context.Context, p ipc.Principal, id string) (ipc.User, error) {
	c, err := d.require(ctx, p, actLook, authority.RoleHelpdesk, authority.RoleAdmin)
	if err != nil {
		return ipc.User{}, err
	}
	return d.user(c.authority.User(id))
}

// user is a user, or what went wrong, as it is answered.
func (d *Desk) user(u authority.User, err error) (ipc.User, error) {
	if err != nil {
		return ipc.User{}, d.failed(err)
	}
	return wireUser(u), nil
}

// AddUser implements [ipc.Users].
func (d *Desk) AddUser(ctx context.Context, p ipc.Principal, r ipc.NewUser) (ipc.User, error) {
	c, err := d.require(ctx, p, actUserAdd, authority.RoleAdmin)
	if err != nil {
		return ipc.User{}, err
	}
	u := authority.User{Name: r.Name, Display: r.Display, Email: r.Email, Logins: r.Logins, Roles: ownRoles(r.Roles)}
	if err := c.mayGrant(actUserAdd, u.Roles); err != nil {
		return ipc.User{}, err
	}
	if err := c.mayLogin(actUserAdd, u.Logins); err != nil {
		return ipc.User{}, d.failed(err)
	}
	return d.user(c.authority.AddUser(c.by, u))
}

// EditUser implements [ipc.Users].
func (d *Desk) EditUser(ctx context.Context, p ipc.Principal, id string, r ipc.EditUserRequest) (ipc.User, error) {
	const action = "user-edit"
	c, err := d.require(ctx, p, action, authority.RoleAdmin)
	if err != nil {
		return ipc.User{}, err
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	who, err := c.authority.User(id)
	if err != nil {
		return ipc.User{}, d.failed(err)
	}
	if err := c.mayChange(action, who); err != nil {
		return ipc.User{}, err
	}
	e := authority.UserEdit{Name: r.Name, Display: r.Display, Email: r.Email, Logins: r.Logins, Disabled: r.Disabled}
	if r.Roles != nil {
		roles := ownRoles(*r.Roles)
		if err := c.mayGrant(action, roles); err != nil {
			return ipc.User{}, err
		}
		e.Roles = &roles
	}
	if r.Logins != nil {
		if err := c.mayLogin(action, *r.Logins); err != nil {
			return ipc.User{}, d.failed(err)
		}
	}
	return d.user(c.authority.EditUser(c.by, who.ID, e))
}

// RemoveUser implements [ipc.Users].
func (d *Desk) RemoveUser(ctx context.Context, p ipc.Principal, id string, r ipc.RemoveUserRequest) (ipc.RemoveUserResult, error) {
	const action = "user-remove"
	c, err := d.require(ctx, p, action, authority.RoleAdmin)
	if err != nil {
		return ipc.RemoveUserResult{}, err
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	who, err := c.authority.User(id)
	if err != nil {
		return ipc.RemoveUserResult{}, d.failed(err)
	}
	if err := c.mayChange(action, who); err != nil {
		return ipc.RemoveUserResult{}, err
	}
	if r.Confirm != who.ID {
		return ipc.RemoveUserResult{}, ipc.Errorf(ipc.InvalidArgument, "what was confirmed is not the user's id")
	}
	if err := c.issuer.Forget(c.by, who.ID); err != nil {
		return ipc.RemoveUserResult{}, d.failed(err)
	}
	if err := c.authority.RemoveUser(c.by, who.ID); err != nil {
		return ipc.RemoveUserResult{}, d.failed(err)
	}
	return ipc.RemoveUserResult{Version: ipc.Version, Removed: wireUser(who)}, nil
}

func ownRoles(roles []ipc.Role) []authority.Role {
	out := make([]authority.Role, 0, len(roles))
	for _, r := range roles {
		out = append(out, authority.Role(r))
	}
	return out
}

func wireRoles(roles []authority.Role) []ipc.Role {
	out := make([]ipc.Role, 0, len(roles))
	for _, r := range roles {
		out = append(out, ipc.Role(r))
	}
	return out
}

func wireUser(u authority.User) ipc.User {
	out := ipc.User{
		ID: u.ID, Name: u.Name, Display: u.Display, Email: u.Email, Logins: append([]string{}, u.Logins...), Roles: wireRoles(u.Roles), GroupRoles: wireRoles(u.ByGroup),
		Disabled: u.Disabled, Fobs: make([]ipc.UserFob, 0, len(u.Fobs)), Created: wireTime(u.Created),
	}
	for _, f := range u.Fobs {
		out.Fobs = append(out.Fobs, ipc.UserFob{ID: f.ID, Serial: f.Serial, Type: ipc.FobType(f.Type), State: ipc.FobState(f.State)})
	}
	slices.SortFunc(out.Fobs, func(a, b ipc.UserFob) int { return compare(a.Serial, b.Serial) })
	return out
}
