package main

import (
	"context"
	"slices"

	"github.com/tokenbridge/tokend/ipc"
)

// fakeGrants is what the fake has of modes, grants and what is being asked.
type fakeGrants struct {
	mode    ipc.GrantMode // off when empty
	own     []ipc.AccountMode
	given   []ipc.Grant
	answers []ipc.AgentAnswer
	asked   string // the last code's account and interaction
}

func (g *fakeGrants) modeOf(id string) ipc.GrantMode {
	for _, m := range g.own {
		if m.Account.ID == id {
			return m.Mode
		}
	}
	if g.mode == "" {
		return ipc.GrantOff
	}
	return g.mode
}

// consent keeps the rules of modes; an agent that could be asked there is not.
func (g *fakeGrants) consent(a ipc.AccountRef, action ipc.GrantAction) error {
	switch g.modeOf(a.ID) {
	case ipc.GrantOff:
		return nil
	case ipc.GrantDeny:
		return ipc.Errorf(ipc.NotAuthorized, "the grant mode of this account is deny")
	}
	for i, grant := range g.given {
		if grant.Account.ID == a.ID && grant.Action == action {
			if grant.For == ipc.GrantOnce {
				g.given = slices.Delete(g.given, i, i+1)
			}
			return nil
		}
	}
	return ipc.Errorf(ipc.ConsentRequired, "codes of this account are handed out with the user's consent only")
}

// mayExport names the accounts that the user has to agree to first; then it spends
// what he agreed to.
func (f *fake) mayExport(ids []string) error {
	refs, without := []ipc.AccountRef{}, []ipc.Item{}
	for _, id := range ids {
		a, err := f.accountRef(id)
		if err != nil {
			return err
		}
		refs = append(refs, a)
		given := func(g ipc.Grant) bool { return g.Account.ID == a.ID && g.Action == ipc.GrantReveal }
		if f.grants.modeOf(a.ID) == ipc.GrantAsk && !slices.ContainsFunc(f.grants.given, given) {
			without = append(without, ipc.Item{ID: a.ID, Name: a.Issuer + " " + a.Name})
		}
	}
	if len(without) > 0 {
		return &ipc.Error{Kind: ipc.ConsentRequired, Message: "secrets of these accounts are handed out with the user's consent only", Items: without}
	}
	for _, a := range refs {
		if err := f.grants.consent(a, ipc.GrantReveal); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) grantList() ipc.GrantList {
	return ipc.GrantList{
		Version: 1, Mode: f.grants.modeOf(""), Accounts: f.grants.own, Grants: f.grants.given,
		Agents: []ipc.Agent{},
	}
}

func (f *fake) Grants(context.Context, ipc.Principal) (ipc.GrantList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.grantList(), f.enter(false)
}

func (f *fake) accountRef(ref string) (ipc.AccountRef, error) {
	i, err := f.find(ref)
	if err != nil {
		return ipc.AccountRef{}, err
	}
	a := f.accounts[i]
	return ipc.AccountRef{ID: a.ID, Issuer: a.Issuer, Name: a.Name}, nil
}

func (f *fake) SetGrantMode(_ context.Context, _ ipc.Principal, r ipc.SetGrantModeRequest) (ipc.GrantList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(r.Account != ""); err != nil {
		return ipc.GrantList{}, err
	}
	if r.Account == "" {
		f.grants.mode = r.Mode
		return f.grantList(), nil
	}
	a, err := f.accountRef(r.Account)
	if err != nil {
		return ipc.GrantList{}, err
	}
	f.grants.own = slices.DeleteFunc(f.grants.own, func(m ipc.AccountMode) bool { return m.Account.ID == a.ID })
	if !r.Inherit {
		f.grants.own = append(f.grants.own, ipc.AccountMode{Account: a, Mode: r.Mode})
	}
	return f.grantList(), nil
}

func (f *fake) AllowGrant(_ context.Context, p ipc.Principal, r ipc.AllowRequest) (ipc.GrantList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(true); err != nil {
		return ipc.GrantList{}, err
	}
	for _, ref := range r.Accounts {
		a, err := f.accountRef(ref)
		if err != nil {
			return ipc.GrantList{}, err
		}
		f.grants.given = append(f.grants.given, ipc.Grant{ID: "g" + a.ID, Action: r.Action, Account: a, Requester: p.Requester(), For: r.For})
	}
	return f.grantList(), nil
}

func (f *fake) RevokeGrants(_ context.Context, _ ipc.Principal, r ipc.RevokeGrantsRequest) (ipc.GrantList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := len(f.grants.given)
	f.grants.given = slices.DeleteFunc(f.grants.given, func(g ipc.Grant) bool { return r.All || slices.Contains(r.IDs, g.ID) })
	if before == len(f.grants.given) && !r.All {
		return ipc.GrantList{}, ipc.Errorf(ipc.NotFound, "there is no such grant")
	}
	return f.grantList(), nil
}

func (f *fake) Agent(ctx context.Context, p ipc.Principal, _ string, send func(ipc.Event) error) error {
	return f.Events(ctx, p, send)
}

func (f *fake) AnswerAgent(_ context.Context, _ ipc.Principal, r ipc.AgentAnswer) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.PIN = slices.Clone(r.PIN)
	f.grants.answers = append(f.grants.answers, r)
	return nil
}
