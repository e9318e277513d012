package desk

import (
	"context"
	"slices"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/mail"
	"github.com/tokenbridge/tokend/ipc"
)

// Users implements [ipc.Users].
func (d *Desk) Users(ctx context.Context, p ipc.Principal, q ipc.UserQuery) (ipc.UserPage, error) {
	c, err := d.require(ctx, p, actLook, ofAuthority(q.Authority), authority.RoleHelpdesk, authority.RoleAdmin)
	if err != nil {
		return ipc.UserPage{}, err
	}
	limit, err := pageSize(q.Limit)
	if err != nil {
		return ipc.UserPage{}, err
	}
	within := c.within()
	if q.Authority != "" {
		id, found := c.tree.Find(q.Authority)
		if !found {
			return ipc.UserPage{}, ipc.Errorf(ipc.NotFound, "there is no such authority")
		}
		within = func(home string) bool { return c.reaches(home) && c.tree.Reaches(id, home) }
	}
	page, err := c.authority.Users(authority.UserQuery{Prefix: q.Prefix, Role: authority.Role(q.Role), After: q.After, Limit: limit, Within: within})
	if err != nil {
		return ipc.UserPage{}, d.failed(err)
	}
	out := ipc.UserPage{Version: ipc.Version, Users: make([]ipc.User, 0, len(page.Users)), Next: page.Next}
	for _, u := range page.Users {
		out.Users = append(out.Users, wireUser(c.tree, u))
	}
	return out, nil
}

// User implements [ipc.Users].
func (d *Desk) User(ctx context.Context, p ipc.Principal, id string) (ipc.User, error) {
	c, err := d.require(ctx, p, actLook, ofUser(id), authority.RoleHelpdesk, authority.RoleAdmin)
	if err != nil {
		return ipc.User{}, err
	}
	u, err := c.authority.User(id)
	return d.user(c, u, err)
}

// user is a user, or what went wrong, as it is answered.
func (d *Desk) user(c *caller, u authority.User, err error) (ipc.User, error) {
	if err != nil {
		return ipc.User{}, d.failed(err)
	}
	return wireUser(c.tree, u), nil
}

// changed answers who added or edited a user: of logins that the host does not have
// he is told, for they let nobody in.
func (d *Desk) changed(c *caller, u authority.User, err error) (ipc.User, error) {
	wire, err := d.user(c, u, err)
	if err != nil || d.cfg.HasLogin == nil {
		return wire, err
	}
	for _, login := range u.Logins {
		if !d.cfg.HasLogin(login) {
			wire.UnknownLogins = append(wire.UnknownLogins, login)
		}
	}
	return wire, nil
}

// sendable refuses an e-mail address that no link could be sent to; none is one too.
func sendable(address string) error {
	if address != "" && mail.CheckAddress(address) != nil {
		return ipc.Errorf(ipc.InvalidArgument, "the e-mail address is not one such as name@example.org")
	}
	return nil
}

// AddUser implements [ipc.Users].
func (d *Desk) AddUser(ctx context.Context, p ipc.Principal, r ipc.NewUser) (ipc.User, error) {
	c, err := d.require(ctx, p, actUserAdd, ofAuthority(r.Authority), authority.RoleAdmin)
	if err != nil {
		return ipc.User{}, err
	}
	if err := sendable(r.Email); err != nil {
		return ipc.User{}, err
	}
	u := authority.User{Name: r.Name, Display: r.Display, Email: r.Email, Logins: r.Logins, Roles: ownRoles(r.Roles),
		Authority: c.orOwn(r.Authority)}
	if err := c.mayGrant(actUserAdd, u.Roles); err != nil {
		return ipc.User{}, err
	}
	if err := c.mayLogin(actUserAdd, u.Logins); err != nil {
		return ipc.User{}, d.failed(err)
	}
	u, err = c.authority.AddUser(c.by, u)
	return d.changed(c, u, err)
}

// EditUser implements [ipc.Users].
func (d *Desk) EditUser(ctx context.Context, p ipc.Principal, id string, r ipc.EditUserRequest) (ipc.User, error) {
	const action = "user-edit"
	of := ofUser(id)
	if r.Authority != nil {
		of = all(of, ofAuthority(*r.Authority))
	}
	c, err := d.require(ctx, p, action, of, authority.RoleAdmin)
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
	if r.Email != nil {
		if err := sendable(*r.Email); err != nil {
			return ipc.User{}, err
		}
	}
	e := authority.UserEdit{Name: r.Name, Display: r.Display, Email: r.Email, Logins: r.Logins, Disabled: r.Disabled}
	if r.Authority != nil {
		home := c.orOwn(*r.Authority)
		e.Authority = &home
	}
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
	u, err := c.authority.EditUser(c.by, who.ID, e)
	return d.changed(c, u, err)
}

// RemoveUser implements [ipc.Users].
func (d *Desk) RemoveUser(ctx context.Context, p ipc.Principal, id string, r ipc.RemoveUserRequest) (ipc.RemoveUserResult, error) {
	const action = "user-remove"
	c, err := d.require(ctx, p, action, ofUser(id), authority.RoleAdmin)
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
	return ipc.RemoveUserResult{Version: ipc.Version, Removed: wireUser(c.tree, who)}, nil
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

func wireUser(t authority.Tree, u authority.User) ipc.User {
	out := ipc.User{
		ID: u.ID, AuthorityID: u.Authority, Authority: t.Name(u.Authority), Name: u.Name, Display: u.Display, Email: u.Email, Logins: append([]string{}, u.Logins...), Roles: wireRoles(u.Roles), GroupRoles: wireRoles(u.ByGroup),
		Disabled: u.Disabled, Fobs: make([]ipc.UserFob, 0, len(u.Fobs)), Created: wireTime(u.Created),
	}
	for _, f := range u.Fobs {
		out.Fobs = append(out.Fobs, ipc.UserFob{ID: f.ID, Serial: f.Serial, Type: ipc.FobType(f.Type), State: ipc.FobState(f.State)})
	}
	slices.SortFunc(out.Fobs, func(a, b ipc.UserFob) int { return compare(a.Serial, b.Serial) })
	return out
}
