package daemon

import (
	"context"
	"slices"

	"github.com/tokenbridge/tokend/daemon/otp"
	"github.com/tokenbridge/tokend/daemon/secret"
	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// ExportAccounts implements [ipc.Accounts].
func (d *Daemon) ExportAccounts(ctx context.Context, p ipc.Principal, r ipc.ExportRequest) (ipc.Export, error) {
	defer wipeAuth(&r.Auth)
	w := wish{action: ipc.GrantReveal, who: p}
	var err error
	if w.agent, err = withAgent(r.Interaction); err != nil {
		return ipc.Export{}, err
	}
	u, s, err := d.openedFor(ctx, &p, w)
	if err != nil {
		return ipc.Export{}, err
	}
	leaving, refused, err := u.chosen(s, r.Accounts)
	if err != nil {
		return ipc.Export{}, err
	}
	if err := u.allowAll(ctx, s, leaving, w); err != nil {
		return ipc.Export{}, err
	}
	out := ipc.Export{Version: ipc.Version, Accounts: []ipc.Exported{}, Refused: refused}
	if len(leaving) > 0 {
		err = u.asked(ctx, p, onlyTouch(leaving), r.Auth, w, func(auth ipc.Auth) (err error) {
			out.Accounts, err = u.exportAll(ctx, p, s, leaving, auth)
			return err
		})
	}
	for _, x := range refused {
		u.audit(entry{action: actExport, object: x.ID, by: p, detail: "refused"})
	}
	u.auditExport(p, leaving, err)
	if err != nil {
		return ipc.Export{}, mapError(err)
	}
	return out, nil
}

const actExport = "account-export"

// auditExport writes an entry for each account, and has the disk asked once for
// all of them.
func (u *user) auditExport(p ipc.Principal, accounts []vault.Account, err error) {
	for i, a := range accounts {
		e := entry{action: actExport, object: a.ID, by: p, ok: err == nil, sync: i == len(accounts)-1}
		if err != nil {
			e.detail = string(mapError(err).Kind)
		}
		u.audit(e)
	}
}

// chosen are the accounts that are meant and may leave, and those that may not.
func (u *user) chosen(s *session, ids []string) (leaving []vault.Account, refused []ipc.Item, err error) {
	if len(ids) == 0 {
		return nil, nil, ipc.Errorf(ipc.InvalidArgument, "no account was named")
	}
	refused = []ipc.Item{}
	known := make(map[string]vault.Account)
	for _, a := range s.index.Load().list {
		known[a.ID] = a
	}
	modes := u.modesOf()
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		a, ok := known[id]
		switch {
		case !ok:
			return nil, nil, ipc.Errorf(ipc.NotFound, "there is no account with the id %q; nothing was handed out", id)
		case seen[id]:
			continue
		}
		seen[id] = true
		reason := mayNotLeave(a)
		if reason == "" && modes.of(id) == ipc.GrantDeny {
			reason = "its grant mode is deny"
		}
		if reason != "" {
			refused = append(refused, ipc.Item{ID: a.ID, Name: display(a), Reason: reason})
			continue
		}
		leaving = append(leaving, a)
	}
	return leaving, refused, nil
}

// mayNotLeave says why an account's secret is not handed out, if so.
func mayNotLeave(a vault.Account) string {
	switch {
	case a.Kind == vault.Managed:
		return "it is a managed account, whose secret is for this device alone"
	case a.NoExport:
		return "it is marked as not to be exported"
	case a.Inactive:
		return "its secret is not on this device"
	}
	return ""
}

// exportAll makes the URIs. The touch class is opened once for all accounts in it.
func (u *user) exportAll(ctx context.Context, p ipc.Principal, s *session, accounts []vault.Account, auth ipc.Auth) ([]ipc.Exported, error) {
	ids := make([]string, len(accounts))
	for i, a := range accounts {
		ids[i] = a.ID
	}
	made := make(map[string]ipc.Exported, len(accounts))
	one := func(id string, key []byte) (err error) {
		secret.Do(func() {
			var a vault.Account
			if a, err = s.vault.Account(id); err != nil { // with the counter as it is now
				return
			}
			uri := []byte(otp.Key{Issuer: a.Issuer, Name: a.Name, Params: params(a), Secret: key}.URI())
			made[id] = ipc.Exported{Account: wireAccount(a), URI: uri}
		})
		return err
	}
	if err := u.useAll(ctx, p, s, accounts, auth, ids, one); err != nil {
		for _, x := range made {
			x.URI.Wipe()
		}
		return nil, err
	}
	out := make([]ipc.Exported, 0, len(ids))
	for _, id := range ids {
		out = append(out, made[id])
	}
	return out, nil
}

func wantsTouch(a vault.Account) bool { return a.Class == tokens.ClassTouch }

// onlyTouch is the account that a touch is for; none where it is for several, for
// it names none then.
func onlyTouch(accounts []vault.Account) vault.Account {
	at := slices.IndexFunc(accounts, wantsTouch)
	if at < 0 || slices.ContainsFunc(accounts[at+1:], wantsTouch) {
		return vault.Account{}
	}
	return accounts[at]
}

// useAll is use for several accounts: f has the secret of each for the time of
// its call, and a token is asked once.
func (u *user) useAll(ctx context.Context, p ipc.Principal, s *session, accounts []vault.Account, auth ipc.Auth, ids []string, f func(id string, key []byte) error) error {
	if !slices.ContainsFunc(accounts, wantsTouch) {
		return s.vault.UseAll(ctx, ids, vault.Way{}, f)
	}
	o, ctx, done, err := u.touchWay(ctx, p, s, auth, onlyTouch(accounts), false)
	if err != nil {
		return err
	}
	defer done()
	defer u.d.collectSoon()
	err = u.opened(ctx, o, false, func(ctx context.Context) error { return s.vault.UseAll(ctx, ids, o.way, f) })
	if err == nil {
		u.noteUse(o.slot)
	}
	return err
}
