package main

import (
	"context"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// What the fake does for those who leave.

func (f *fake) RemoveAccounts(_ context.Context, _ ipc.Principal, r ipc.RemoveAccountsRequest) (ipc.RemoveAccountsResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	res := ipc.RemoveAccountsResult{Version: 1, Accounts: []ipc.RemovedAccount{}, Applied: r.Apply, LastBackup: f.status.Vault.LastBackup}
	if err := f.enter(true); err != nil {
		return res, err
	}
	for _, ref := range r.Accounts {
		i, err := f.find(ref)
		if err != nil {
			return res, err
		}
		if r.Apply && f.accounts[i].ID != ref {
			return res, ipc.Errorf(ipc.InvalidArgument, "not confirmed")
		}
		res.Accounts = append(res.Accounts, ipc.RemovedAccount{Account: f.accounts[i], InBackups: []string{"stick of Monday"}, InSpool: 2})
	}
	for _, a := range res.Accounts {
		if r.Apply {
			f.accounts = slices.DeleteFunc(f.accounts, func(b ipc.Account) bool { return a.Account.ID == b.ID })
		}
	}
	return res, nil
}

func (f *fake) DeclineRecovery(context.Context, ipc.Principal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.declined = true
	return nil
}

func (f *fake) Leaving(context.Context, ipc.Principal) (ipc.Leaving, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := ipc.Leaving{Version: 1, Vault: f.status.Vault, Accounts: []ipc.Account{}, Changes: -1, Backups: []ipc.LeftBackup{}, Tokens: []ipc.LeftToken{}, Files: []ipc.LeftFiles{}}
	if f.status.Vault.State == ipc.VaultNone {
		return left, nil
	}
	left.Files = []ipc.LeftFiles{{Kind: "vault", Path: "/state/users/1000", Count: 1}, {Kind: "generations", Count: 3}, {Kind: "audit", Count: 1, Stays: true}}
	if left.Listed = f.status.Vault.State == ipc.VaultUnlocked; left.Listed {
		left.Accounts = slices.Clone(f.accounts)
		for _, a := range f.accounts {
			if a.Type == "hotp" {
				left.Counting = append(left.Counting, a.ID)
			}
		}
	}
	for _, t := range f.tokens {
		if t.Enrolled {
			left.Tokens = append(left.Tokens, ipc.LeftToken{Token: ipc.TokenRef{ID: t.ID, Label: t.Label, Kind: t.Kind},
				Enrolled: true, Hardware: t.Hardware, Present: t.Present, Slots: []string{"82", "83"}})
		}
	}
	if f.backedAt != "" {
		left.Backed, left.Changes = true, 2
		left.Backups = []ipc.LeftBackup{{Path: f.backedAt, SHA256: f.backedSum, Made: time.Unix(1000, 0).UTC(), Accounts: 1, Opened: time.Unix(1000, 0).UTC(),
			OpenedBy: []string{"recovery password"}}}
	}
	return left, nil
}

func (f *fake) Purge(ctx context.Context, p ipc.Principal, r ipc.PurgeRequest) (ipc.PurgeResult, error) {
	left, err := f.Leaving(ctx, p)
	if err != nil {
		return ipc.PurgeResult{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Confirm != f.status.Vault.ID || f.backedAt == "" && !r.WithoutBackup {
		return ipc.PurgeResult{}, ipc.Errorf(ipc.Conflict, "nothing was removed")
	}
	f.status.Vault, f.accounts = ipc.Vault{State: ipc.VaultNone}, nil
	return ipc.PurgeResult{Version: 1, VaultID: r.Confirm, Left: left, Warnings: []ipc.Warning{}}, nil
}
