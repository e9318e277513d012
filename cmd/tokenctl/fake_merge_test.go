package main

import (
	"context"
	"encoding/base32"
	"fmt"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
)

// ImportAccounts knows accounts by issuer and name: what is called like one that
// is there is in conflict with it, unless the secret is the same.
func (f *fake) ImportAccounts(_ context.Context, _ ipc.Principal, r ipc.ImportRequest) (ipc.Plan, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(true); err != nil {
		return ipc.Plan{}, err
	}
	p := ipc.Plan{Version: 1, Source: r.Source, Items: []ipc.PlanItem{}, Notices: []ipc.Warning{}, Vault: f.status.Vault}
	var add []int
	for i, n := range r.Accounts {
		it := ipc.PlanItem{Item: fmt.Sprint(i + 1), Action: ipc.PlanAdd, Account: ipc.Account{Issuer: n.Issuer, Name: n.Name,
			Kind: "third-party", Class: "session", Type: "totp", Algorithm: "SHA1", Digits: 6, Period: 30}}
		for _, a := range f.accounts {
			if a.Issuer != n.Issuer || a.Name != n.Name {
				continue
			}
			it.Existing = &a
			it.Action, it.Differs = ipc.PlanConflict, []string{"secret"}
			if base32.StdEncoding.EncodeToString(f.secrets[a.ID]) == strings.ToUpper(string(n.Secret)) {
				it.Action, it.Differs = ipc.PlanSame, nil
			}
		}
		f.decide(&it, r)
		switch it.Action {
		case ipc.PlanAdd:
			p.Added++
			add = append(add, i)
		case ipc.PlanSame:
			p.Same++
		case ipc.PlanConflict:
			p.Conflicts++
		case ipc.PlanRename:
			p.Renamed++
			add = append(add, i)
		case ipc.PlanReplace:
			p.Replaced++
		default:
			p.Left++
		}
		p.Items = append(p.Items, it)
	}
	if !r.Apply {
		return p, nil
	}
	if p.Conflicts > 0 {
		return ipc.Plan{}, ipc.Errorf(ipc.Conflict, "%d conflicts are not decided; nothing was changed", p.Conflicts)
	}
	for _, i := range add {
		a := p.Items[i].Account
		f.add(a.Issuer, a.Name, "session", "totp")
		id := f.accounts[len(f.accounts)-1].ID
		f.secrets[id], _ = base32.StdEncoding.DecodeString(strings.ToUpper(string(r.Accounts[i].Secret)))
	}
	p.Applied = true
	if len(add) > 0 || p.Replaced > 0 {
		p.Undo = "undo1"
	}
	return p, nil
}

func (f *fake) decide(it *ipc.PlanItem, r ipc.ImportRequest) {
	if r.Keep && it.Action == ipc.PlanConflict {
		it.Action = ipc.PlanKeep
	}
	for _, d := range r.Resolve {
		if d.Item != it.Item {
			continue
		}
		it.Action = d.Action
		if d.Action == ipc.PlanRename {
			it.Account.Issuer, it.Account.Name = d.Issuer, d.Name
		}
	}
}

// MergeBackup finds in every backup one account that is not there.
func (f *fake) MergeBackup(ctx context.Context, p ipc.Principal, r ipc.MergeBackupRequest) (ipc.Plan, error) {
	f.mu.Lock()
	err := f.enter(true)
	if err == nil {
		_, err = f.openWith(r.Auth)
	}
	f.mu.Unlock()
	if err != nil {
		return ipc.Plan{}, err
	}
	return f.ImportAccounts(ctx, p, ipc.ImportRequest{Source: r.Source, Keep: r.Keep, Resolve: r.Resolve, Apply: r.Apply,
		Accounts: []ipc.NewAccount{{Issuer: "Example", Name: "from the backup", Secret: ipc.Secret("GEZDGNBVGY3TQOJQ")}}})
}

// Undos lists f.undos, the newest first.
func (f *fake) Undos(context.Context, ipc.Principal) (ipc.UndoList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return ipc.UndoList{Version: 1, Undos: append([]ipc.UndoStep{}, f.undos...)}, nil
}

// Undo notes what was taken back.
func (f *fake) Undo(_ context.Context, _ ipc.Principal, r ipc.UndoRequest) (ipc.Plan, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.undos) == 0 {
		return ipc.Plan{}, ipc.Errorf(ipc.NotFound, "there is nothing to take back")
	}
	if r.ID == "" {
		r.ID = f.undos[0].ID
	}
	p := ipc.Plan{Version: 1, Source: r.ID, Removed: 1, Notices: []ipc.Warning{}, Applied: r.Apply,
		Items: []ipc.PlanItem{{Item: "1", Action: ipc.PlanRemove, Account: ipc.Account{Name: "of " + r.ID}}}}
	if r.Apply {
		f.undid, p.Undo = r.ID, "undo2"
	}
	return p, nil
}
