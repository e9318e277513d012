package daemon

import (
	"context"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
)

// RemoveAccount implements [ipc.Accounts].
func (d *Daemon) RemoveAccount(ctx context.Context, p ipc.Principal, id string, r ipc.RemoveAccountRequest) (ipc.RemoveAccountResult, error) {
	u, s, a, err := d.account(&p, id, true)
	if err != nil {
		return ipc.RemoveAccountResult{}, err
	}
	if r.Confirm != a.ID {
		return ipc.RemoveAccountResult{}, ipc.Errorf(ipc.InvalidArgument, "the confirmation is not the account's id")
	}
	gone, err := u.remove(ctx, p, s, a.ID)
	if err != nil {
		return ipc.RemoveAccountResult{}, err
	}
	return ipc.RemoveAccountResult{
		Version: ipc.Version, Removed: wireAccount(gone[0]), InBackups: u.backupsSince(s.vault.ID(), gone[0].Created),
	}, nil
}

// mostRemoved bounds how many accounts one call names.
const mostRemoved = 10_000

// RemoveAccounts implements [ipc.Accounts].
func (d *Daemon) RemoveAccounts(ctx context.Context, p ipc.Principal, r ipc.RemoveAccountsRequest) (ipc.RemoveAccountsResult, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.RemoveAccountsResult{}, err
	}
	s, err := u.open(r.Apply)
	if err != nil {
		return ipc.RemoveAccountsResult{}, err
	}
	list, err := s.index.Load().meant(r)
	if err != nil {
		return ipc.RemoveAccountsResult{}, err
	}
	ids := make([]string, len(list))
	for i, a := range list {
		ids[i] = a.ID
	}
	held := make(map[string]ipc.RemovedAccount, len(list)) // as it is before: what is made afterwards holds none
	for _, a := range list {
		held[a.ID] = ipc.RemovedAccount{
			InBackups: u.backupsSince(s.vault.ID(), a.Created), InSpool: u.spooledSince(s.vault.ID(), a.Created),
		}
	}
	if r.Apply {
		if list, err = u.remove(ctx, p, s, ids...); err != nil {
			return ipc.RemoveAccountsResult{}, err
		}
	}
	res := ipc.RemoveAccountsResult{
		Version: ipc.Version, Accounts: []ipc.RemovedAccount{}, Applied: r.Apply, LastBackup: wireTime(u.notesOf().get().LastBackup),
	}
	if store, err := u.existing(); err == nil {
		res.Earlier = store.Earlier()
	}
	undos := s.vault.UndosHolding(ids...)
	for _, a := range list {
		gone := held[a.ID]
		gone.Account, gone.InUndo = wireAccount(a), undos[a.ID]
		res.Accounts = append(res.Accounts, gone)
	}
	return res, nil
}

// meant are the accounts that a request names, each once.
func (x *index) meant(r ipc.RemoveAccountsRequest) ([]vault.Account, error) {
	if len(r.Accounts) == 0 {
		return nil, ipc.Errorf(ipc.InvalidArgument, "no account was named")
	}
	if len(r.Accounts) > mostRemoved {
		return nil, ipc.Errorf(ipc.InvalidArgument, "at most %d accounts can be removed at once", mostRemoved)
	}
	var list []vault.Account
	named := make(map[string]bool, len(r.Accounts))
	for _, ref := range r.Accounts {
		a, err := x.find(ref)
		if err != nil {
			return nil, about(ref, err)
		}
		if r.Apply && a.ID != ref {
			return nil, ipc.Errorf(ipc.InvalidArgument, "the confirmation is not the account's id; nothing was removed")
		}
		if !named[a.ID] {
			named[a.ID] = true
			list = append(list, a)
		}
	}
	return list, nil
}

// about says which of several names an error is about.
func about(ref string, err error) error {
	e := *mapError(err)
	if text := checkText("name", ref, longestName); text == nil {
		e.Message = e.Message + ": " + ref
	}
	return &e
}

// remove removes accounts, tells their owner, and writes it down.
func (u *user) remove(ctx context.Context, p ipc.Principal, s *session, ids ...string) ([]vault.Account, error) {
	leave, err := u.alone(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	gone, err := s.vault.Remove(ctx, ids...)
	s.reindex()
	for _, id := range ids {
		u.auditResult(p, "account-remove", id, err)
	}
	if err != nil {
		return nil, mapError(err)
	}
	for _, a := range gone {
		u.tellAccount(ipc.EventAccountRemoved, a)
	}
	return gone, nil
}
