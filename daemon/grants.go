package daemon

import (
	"context"
	"slices"
	"sort"

	"github.com/tokenbridge/tokend/ipc"
)

// Grants implements [ipc.Grants].
func (d *Daemon) Grants(_ context.Context, p ipc.Principal) (ipc.GrantList, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.GrantList{}, err
	}
	return u.grantList(), nil
}

func (u *user) grantList() ipc.GrantList {
	modes := u.modesOf().get()
	list := ipc.GrantList{
		Version: ipc.Version, Mode: modes.Mode, Accounts: []ipc.AccountMode{},
		Grants: u.grants.all(u.d.clock.Elapsed(), u.d.now()), Agents: u.agents.all(),
	}
	names := u.accountNames()
	for id, mode := range modes.Accounts {
		ref, ok := names[id]
		switch {
		case names == nil: // locked
			ref = ipc.AccountRef{ID: id}
		case !ok: // removed
			continue
		}
		list.Accounts = append(list.Accounts, ipc.AccountMode{Account: ref, Mode: mode})
	}
	sort.Slice(list.Accounts, func(i, j int) bool { return list.Accounts[i].Account.ID < list.Accounts[j].Account.ID })
	return list
}

// accountNames are those of the open vault by id, none while it is locked.
func (u *user) accountNames() map[string]ipc.AccountRef {
	s, err := u.open(false)
	if err != nil {
		return nil
	}
	names := make(map[string]ipc.AccountRef)
	for _, a := range s.index.Load().list {
		names[a.ID] = accountRef(a)
	}
	return names
}

// grantState is what Status tells.
func (u *user) grantState() ipc.GrantState {
	modes := u.modesOf().get()
	return ipc.GrantState{
		Mode: modes.Mode, Accounts: len(modes.Accounts),
		Grants: u.grants.count(u.d.clock.Elapsed()), Agents: u.agents.asking(),
	}
}

// grantWarnings says what is wrong with the modes.
func (u *user) grantWarnings() []ipc.Warning {
	if u.modesOf().damaged() == nil {
		return nil
	}
	return []ipc.Warning{{
		Code:    "grants-damaged",
		Message: "it cannot be read which programs may have codes: you are asked about every account",
		Fix:     "tokenctl grant mode ask",
	}}
}

// SetGrantMode implements [ipc.Grants].
func (d *Daemon) SetGrantMode(_ context.Context, p ipc.Principal, r ipc.SetGrantModeRequest) (ipc.GrantList, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.GrantList{}, err
	}
	switch {
	case r.Inherit && (r.Account == "" || r.Mode != ""):
		return ipc.GrantList{}, ipc.Errorf(ipc.InvalidArgument, "only an account inherits, and it then has no mode of its own")
	case !r.Inherit && !r.Mode.Valid():
		return ipc.GrantList{}, ipc.Errorf(ipc.InvalidArgument, "the grant mode must be off, ask or deny")
	}
	if _, err := u.existing(); err != nil {
		return ipc.GrantList{}, err
	}
	id, err := u.modeAccount(r.Account)
	if err != nil {
		return ipc.GrantList{}, err
	}
	detail := string(r.Mode)
	if r.Inherit {
		detail = "inherit"
	}
	modes := u.modesOf()
	err = modes.set(id, r.Mode)
	u.audit(entry{action: "grant-mode", object: id, by: p, ok: err == nil, detail: detail, sync: true})
	if err != nil {
		return ipc.GrantList{}, mapError(err)
	}
	// What is denied now needs a new grant when it is denied no longer; who was
	// refused before may ask anew.
	u.grants.drop(func(g *grant) bool { return modes.of(g.key.account) == ipc.GrantDeny })
	u.grants.forgive(func(k grantKey) bool { return id == "" || k.account == id })
	return u.grantList(), nil
}

// modeAccount is the id that ref means. While the vault is locked an id is taken
// as it is, if an account of that id has a mode; others cannot be known.
func (u *user) modeAccount(ref string) (string, error) {
	if ref == "" {
		return "", nil
	}
	s, err := u.open(false)
	if err != nil {
		if _, known := u.modesOf().get().Accounts[ref]; known && ipc.KindOf(err) == ipc.VaultLocked {
			return ref, nil
		}
		return "", err
	}
	a, err := s.index.Load().find(ref)
	if err != nil {
		return "", err
	}
	return a.ID, nil
}

// maxAllowed is for how many accounts at once a caller may grant himself.
const maxAllowed = 10_000

// AllowGrant implements [ipc.Grants].
func (d *Daemon) AllowGrant(_ context.Context, p ipc.Principal, r ipc.AllowRequest) (ipc.GrantList, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.GrantList{}, err
	}
	if err := checkGrant(r.Action, r.For); err != nil {
		return ipc.GrantList{}, err
	}
	if len(r.Accounts) == 0 || len(r.Accounts) > maxAllowed {
		return ipc.GrantList{}, ipc.Errorf(ipc.InvalidArgument, "a grant is for 1 to %d accounts", maxAllowed)
	}
	s, err := u.open(true)
	if err != nil {
		return ipc.GrantList{}, err
	}
	modes := u.modesOf()
	var refs []ipc.AccountRef
	for _, ref := range r.Accounts {
		a, err := s.index.Load().find(ref)
		if err != nil {
			return ipc.GrantList{}, err
		}
		if modes.of(a.ID) == ipc.GrantDeny {
			return ipc.GrantList{}, errDenied()
		}
		refs = append(refs, accountRef(a))
	}
	for _, ref := range refs {
		if err := u.grant(p, s, ref, r.Action, r.For); err != nil {
			return ipc.GrantList{}, err
		}
	}
	return u.grantList(), nil
}

func checkGrant(action ipc.GrantAction, scope ipc.GrantScope) error {
	if action != ipc.GrantCode && action != ipc.GrantReveal {
		return ipc.Errorf(ipc.InvalidArgument, "a grant is for %q or %q", ipc.GrantCode, ipc.GrantReveal)
	}
	return checkScope(scope)
}

func checkScope(scope ipc.GrantScope) error {
	if scope.Valid() {
		return nil
	}
	return ipc.Errorf(ipc.InvalidArgument, "a grant holds %q, %q or until %q", ipc.GrantOnce, ipc.Grant10Min, ipc.GrantToLock)
}

// grant lets p and those like him do action with an account.
func (u *user) grant(p ipc.Principal, s *session, a ipc.AccountRef, action ipc.GrantAction, scope ipc.GrantScope) error {
	key := grantKey{asker: askerOf(p), action: action, account: a.ID}
	scope = key.atMost(scope)
	made := ipc.Grant{Action: action, Account: a, Requester: p.Requester(), For: scope, Made: wireTime(u.d.now())}
	if !u.grants.add(s, key, made, u.d.clock.Elapsed()) {
		return mapError(context.Cause(s.ctx))
	}
	u.auditGrant(p, a.ID, action, scope)
	return nil
}

func (u *user) auditGrant(p ipc.Principal, account string, action ipc.GrantAction, scope ipc.GrantScope) {
	u.audit(entry{action: "grant", object: account, by: p, ok: true, detail: string(action) + " " + string(scope)})
}

// RevokeGrants implements [ipc.Grants].
func (d *Daemon) RevokeGrants(_ context.Context, p ipc.Principal, r ipc.RevokeGrantsRequest) (ipc.GrantList, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.GrantList{}, err
	}
	if r.All == (len(r.IDs) > 0) {
		return ipc.GrantList{}, ipc.Errorf(ipc.InvalidArgument, "either ids of grants or all")
	}
	gone := u.grants.drop(func(g *grant) bool { return r.All || slices.Contains(r.IDs, g.ID) })
	for _, g := range gone {
		u.audit(entry{action: "grant-revoke", object: g.key.account, by: p, ok: true, detail: string(g.key.action), sync: true})
	}
	if len(gone) == 0 && !r.All {
		return ipc.GrantList{}, ipc.Errorf(ipc.NotFound, "there is no such grant")
	}
	return u.grantList(), nil
}
