package desk

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/issue"
	"github.com/tokenbridge/tokend/ipc"
)

// strangersWait is how long after his login was looked up a caller who is no user
// is told that there is no authority, so that it takes as long where there is one.
const strangersWait = 20 * time.Millisecond

// caller is somebody who has to do with the authority.
type caller struct {
	*office
	// authority, issuer and chain are the office's, and tell the audit where the
	// caller calls from.
	authority *authority.Authority
	issuer    *issue.Issuer
	chain     *chain
	// by is what the audit calls him: his id, or else his uid.
	by string
	// user is who he is to the authority; empty for an administrator of the daemon
	// who is none of its users.
	user authority.User
	// tree are the authorities of the registry, by which it is known how far his roles
	// reach.
	tree authority.Tree
	// root says that he administers the daemon, which is as good as being an owner.
	root bool
}

// newCaller is a caller of whom no more is known yet than his uid.
func newCaller(o *office, p ipc.Principal) *caller {
	c := &caller{office: o, by: "uid " + p.UID, root: p.Admin}
	c.authority, c.issuer, c.chain = o.from(p.From())
	return c
}

// from is what tells the audit where a call comes from.
func (o *office) from(where string) (*authority.Authority, *issue.Issuer, *chain) {
	c := o.chain.by(where)
	a := o.authority.WithAudit(c)
	return a, o.issuer.WithAudit(a, c), c
}

// The ranks, by which it is known who may change whom.
const (
	rankUser = iota
	rankVerifier
	rankHelpdesk
	rankAdmin
	rankOwner
)

func rankOf(roles []authority.Role) int {
	ranks := []authority.Role{authority.RoleUser, authority.RoleVerifier, authority.RoleHelpdesk, authority.RoleAdmin, authority.RoleOwner}
	best := rankUser
	for _, r := range roles {
		best = max(best, slices.Index(ranks, r))
	}
	return best
}

func (c *caller) rank() int {
	if c.root {
		return rankOwner
	}
	return rankOf(c.user.Roles)
}

func (c *caller) roles() []authority.Role {
	if c.root && !slices.Contains(c.user.Roles, authority.RoleOwner) {
		return append(slices.Clone(c.user.Roles), authority.RoleOwner)
	}
	return c.user.Roles
}

// enter says who calls. To whoever is no user, and to everybody where there is no
// authority, it answers alike.
func (d *Desk) enter(ctx context.Context, p ipc.Principal) (*caller, error) {
	login := d.cfg.Login(p.UID)
	begun := d.cfg.Now()
	c, err := d.recognise(p, login)
	if c != nil || err != nil {
		return c, err
	}
	if !p.Admin {
		if err := d.cfg.Wait(ctx, strangersWait-min(max(0, d.cfg.Now().Sub(begun)), strangersWait)); err != nil {
			return nil, failed(err)
		}
	}
	return nil, ipc.ErrNoAuthority()
}

// recognise returns nothing for a stranger, and where there is no authority.
func (d *Desk) recognise(p ipc.Principal, login string) (*caller, error) {
	d.mu.Lock()
	if p.Admin {
		d.tryOpen()
	}
	o, locked, problem, closed := d.office, d.locked, d.problem, d.closed
	d.mu.Unlock()
	switch {
	case closed:
		return nil, ipc.Errorf(ipc.Cancelled, "the daemon is stopping")
	case locked != nil:
		return nil, errLocked()
	case o == nil && problem != nil && p.Admin:
		return nil, failed(problem)
	case o == nil:
		return nil, nil
	}
	c := newCaller(o, p)
	if login != "" {
		if err := d.known(c, login); err != nil {
			return nil, err
		}
	}
	if !c.root && c.user.ID == "" {
		return nil, nil
	}
	var err error
	if c.tree, err = o.authority.Tree(); err != nil {
		return nil, d.failed(err)
	}
	return c, nil
}

// known says who has a login, if he is a user.
func (d *Desk) known(c *caller, login string) error {
	u, err := c.authority.UserByLogin(login)
	var missing *authority.Error
	switch {
	case err == nil && !u.Disabled:
		c.user, c.by = u, u.ID
	case err != nil && !errors.As(err, &missing) && c.root:
		return d.failed(err)
	}
	return nil
}

// require returns the caller if his role is one of these and reaches what the call
// is about, or if he administers the daemon. What he wanted to do goes into the audit
// where it is not so.
func (d *Desk) require(ctx context.Context, p ipc.Principal, action string, of subject, roles ...authority.Role) (*caller, error) {
	c, err := d.enter(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, r := range c.roles() {
		if slices.Contains(roles, r) || r == authority.RoleOwner {
			if err := c.mayReach(action, of); err != nil {
				return nil, d.failed(err)
			}
			return c, nil
		}
	}
	return nil, c.refused(action, "your role at the authority does not allow this")
}

// refused notes what was not allowed, and says so.
func (c *caller) refused(action, message string) error {
	return c.refusedOf(action, "", message)
}

// refusedOf is refused where it is known whom it was about.
func (c *caller) refusedOf(action, user, message string) error {
	c.chain.Audit(authority.Entry{Kind: action, By: c.by, User: user, Detail: string(ipc.NotAuthorized)})
	return ipc.Errorf(ipc.NotAuthorized, "%s", message)
}

// mayChange says whether the caller may change somebody within his reach, or his
// fobs: owners everybody, others those who can do less than an administrator, and
// than themselves. So nobody makes himself an owner by way of an owner's login or
// fob. He may have been moved since the call was let in, so his reach is looked at
// again.
func (c *caller) mayChange(action string, who authority.User) error {
	if !c.reaches(who.Authority) {
		return c.beyond(action, belonging{user: who.ID, authority: who.Authority})
	}
	if !c.above(who) {
		return c.refusedOf(action, who.ID, "your role at the authority does not allow this for a user of such a role")
	}
	return nil
}

// above says whether the caller's rank lets him change somebody within his reach.
func (c *caller) above(who authority.User) bool {
	rank := rankOf(who.Roles)
	return c.reaches(who.Authority) && (c.rank() == rankOwner || rank < rankAdmin && rank < c.rank())
}

// mayGrant says whether the caller may give or take roles.
func (c *caller) mayGrant(action string, roles []authority.Role) error {
	if c.rank() < rankOwner && rankOf(roles) >= rankAdmin {
		return c.refused(action, "only an owner gives the roles of administrators and owners")
	}
	return nil
}

// mayTouch says whether the caller may change a fob, by whose it is.
func (c *caller) mayTouch(action, serial string) error {
	f, err := c.authority.Fob(serial)
	if err != nil {
		return err
	}
	if len(f.Users) == 0 && !c.reachesAll() {
		return c.beyond(action, belonging{fob: f.ID, authority: c.tree.Root()})
	}
	for _, u := range f.Users {
		who, err := c.authority.User(u.ID)
		if err != nil {
			return err
		}
		if err := c.mayChange(action, who); err != nil {
			return err
		}
	}
	return nil
}
