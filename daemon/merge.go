package daemon

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// mostItems bounds what a plan is asked to look at.
const mostItems = 20_000

// ImportAccounts implements [ipc.Accounts].
func (d *Daemon) ImportAccounts(ctx context.Context, p ipc.Principal, r ipc.ImportRequest) (ipc.Plan, error) {
	defer func() {
		for i := range r.Accounts {
			r.Accounts[i].URI.Wipe()
			r.Accounts[i].Secret.Wipe()
		}
	}()
	o, err := mergeOptions(r.Source, r.Keep, r.Resolve, r.Apply)
	if err != nil {
		return ipc.Plan{}, err
	}
	return d.changed(ctx, p, r.Apply, "account-import", func(u *user, s *session) (vault.Merged, error) {
		in, err := importing(s.vault, r)
		if err != nil {
			return vault.Merged{}, err
		}
		defer in.Wipe()
		return s.vault.Merge(ctx, in, o)
	})
}

// importing reads the accounts of a request.
func importing(v *vault.Vault, r ipc.ImportRequest) (*vault.Incoming, error) {
	class := tokens.Class(r.Class)
	switch {
	case len(r.Accounts) == 0:
		return nil, ipc.Errorf(ipc.InvalidArgument, "no account was given")
	case len(r.Accounts) > mostItems:
		return nil, ipc.Errorf(ipc.InvalidArgument, "at most %d accounts can be brought in at once", mostItems)
	case class == "" && v.HasTouch():
		class = tokens.ClassTouch
	case class == "":
		class = tokens.ClassSession
	case class == tokens.ClassTouch && !v.HasTouch():
		return nil, ipc.Errorf(ipc.NoKeyslot, "no enrolled token can guard an account by touch")
	}
	list := make([]vault.NewAccount, 0, len(r.Accounts))
	defer func() {
		for i := range list {
			clear(list[i].Secret)
		}
	}()
	var bad []ipc.Item
	for i, n := range r.Accounts {
		a, err := newAccount(n, class)
		if err != nil {
			bad = append(bad, ipc.Item{ID: strconv.Itoa(i + 1), Name: n.Name, Reason: mapError(err).Message})
			continue
		}
		list = append(list, a)
	}
	if len(bad) > 0 {
		e := ipc.Errorf(ipc.InvalidArgument, "%d of %d accounts cannot be read; nothing was changed", len(bad), len(r.Accounts))
		e.Items = bad[:min(len(bad), 100)]
		return nil, e
	}
	return vault.NewIncoming(list)
}

// mergeOptions reads what a request decides.
func mergeOptions(source string, keep bool, decided []ipc.Resolution, apply bool) (vault.MergeOptions, error) {
	o := vault.MergeOptions{Source: source, Keep: keep, Apply: apply, Decide: make(map[int]vault.Decision, len(decided))}
	if err := checkText("source", source, longestName); err != nil {
		return o, err
	}
	for _, r := range decided {
		n, err := strconv.Atoi(r.Item)
		if err != nil || n < 1 || n > mostItems || strconv.Itoa(n) != r.Item {
			return o, ipc.Errorf(ipc.InvalidArgument, "an item is named by its number")
		}
		if _, twice := o.Decide[n]; twice {
			return o, ipc.Errorf(ipc.InvalidArgument, "item %d is decided twice", n)
		}
		switch r.Action {
		case ipc.PlanKeep, ipc.PlanReplace, ipc.PlanLeave:
			if r.Issuer != "" || r.Name != "" {
				return o, ipc.Errorf(ipc.InvalidArgument, "item %d: only a rename takes a name", n)
			}
		case ipc.PlanRename:
		default:
			return o, ipc.Errorf(ipc.InvalidArgument, "item %d: there is no decision %q", n, r.Action)
		}
		o.Decide[n] = vault.Decision{Action: r.Action, Issuer: r.Issuer, Name: r.Name}
	}
	return o, nil
}

// changed runs what plans, or does, a change of several accounts.
func (d *Daemon) changed(ctx context.Context, p ipc.Principal, apply bool, action string,
	run func(u *user, s *session) (vault.Merged, error),
) (ipc.Plan, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.Plan{}, err
	}
	if apply {
		leave, err := u.alone(ctx)
		if err != nil {
			return ipc.Plan{}, err
		}
		defer leave()
	}
	s, err := u.open(true)
	if err != nil {
		return ipc.Plan{}, err
	}
	m, err := run(u, s)
	defer d.collectSoon()
	if apply {
		s.reindex() // after a failure too: a change may be there all the same
		u.tellMerged(p, action, m, err)
	}
	if err != nil {
		return ipc.Plan{}, mergeError(m, err)
	}
	out := wirePlan(m)
	out.Vault = u.vaultInfo()
	return out, nil
}

// mergeError maps how a plan fails.
func mergeError(m vault.Merged, err error) error {
	var item *vault.ItemError
	switch {
	case errors.Is(err, vault.ErrUndecided):
		e := fault(ipc.Conflict, err, "%s not decided; nothing was changed", count(m.Count(vault.MergeConflict), "conflict is", "conflicts are"))
		for i, it := range m.Items {
			if it.Action == vault.MergeConflict && len(e.Items) < 100 {
				e.Items = append(e.Items, ipc.Item{ID: strconv.Itoa(i + 1), Name: display(it.Account), Reason: conflictReason(it)})
			}
		}
		return e
	case errors.As(err, &item):
		kind := mapError(item.Err).Kind
		if errors.Is(err, vault.ErrNameTaken) {
			kind = ipc.AlreadyExists
		}
		if kind != ipc.InvalidArgument && kind != ipc.AlreadyExists {
			return mapError(item.Err)
		}
		e := fault(kind, err, "item %d: %s; nothing was changed", item.Item, item.Err)
		e.Items = []ipc.Item{{ID: strconv.Itoa(item.Item), Reason: item.Err.Error()}}
		return e
	}
	return mapError(err)
}

func conflictReason(it vault.MergeItem) string {
	if it.Reason != "" {
		return it.Reason
	}
	return "another secret"
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// tellMerged puts a change into the audit log and tells of it.
func (u *user) tellMerged(p ipc.Principal, action string, m vault.Merged, err error) {
	if m.Applied && m.Undo != "" {
		for _, it := range m.Items {
			u.tellItem(p, it)
		}
	}
	e := entry{action: action, object: m.Undo, by: p, ok: err == nil, sync: true}
	switch {
	case err != nil:
		e.detail = string(ipc.KindOf(mergeError(m, err)))
	default:
		e.detail = fmt.Sprintf("%d added, %d replaced, %d renamed, %d removed, %d put back", m.Count(vault.MergeAdd), m.Count(vault.MergeReplace),
			m.Count(vault.MergeRename), m.Count(vault.MergeRemove), m.Count(vault.MergeRestore))
	}
	u.audit(e)
}

// tellItem tells what became of one account.
func (u *user) tellItem(p ipc.Principal, it vault.MergeItem) {
	say := func(action, kind string, a vault.Account) {
		u.audit(entry{action: action, object: a.ID, by: p, ok: true})
		u.tellAccount(kind, a)
	}
	was := it.Existing
	switch it.Action {
	case vault.MergeRemove:
		say("account-remove", ipc.EventAccountRemoved, it.Account)
	case vault.MergeAdd, vault.MergeRename, vault.MergeReplace, vault.MergeRestore:
		if was != nil && was.ID == it.Account.ID {
			say("account-edit", ipc.EventAccountChanged, it.Account)
			return
		}
		// A new one beside what is there leaves that alone.
		if was != nil && it.Action != vault.MergeRename {
			say("account-remove", ipc.EventAccountRemoved, *was)
		}
		say("account-add", ipc.EventAccountAdded, it.Account)
	}
}

// wirePlan is a plan as it travels.
func wirePlan(m vault.Merged) ipc.Plan {
	p := ipc.Plan{
		Version: ipc.Version, Source: m.Source, Items: make([]ipc.PlanItem, 0, len(m.Items)), Notices: []ipc.Warning{},
		Added: m.Count(vault.MergeAdd), Same: m.Count(vault.MergeSame), Conflicts: m.Count(vault.MergeConflict),
		Replaced: m.Count(vault.MergeReplace), Renamed: m.Count(vault.MergeRename), Left: m.Count(vault.MergeKeep, vault.MergeLeave),
		Removed: m.Count(vault.MergeRemove), Restored: m.Count(vault.MergeRestore),
		Touch: m.Touch, Applied: m.Applied, Undo: m.Undo,
	}
	for i, it := range m.Items {
		w := ipc.PlanItem{Item: strconv.Itoa(i + 1), Action: it.Action, Account: wireAccount(it.Account), Differs: it.Differs, Reason: it.Reason}
		if it.Existing != nil {
			w.Existing = new(wireAccount(*it.Existing))
		}
		if it.Action == vault.MergeSame && it.Existing != nil && it.Account.Counter > it.Existing.Counter {
			p.Raised++
		}
		p.Items = append(p.Items, w)
	}
	return p
}
