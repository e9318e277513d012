package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/tokenbridge/tokend/ipc"
)

// resolve finds the items that the flags name.
func (f *planFlags) resolve(items []ipc.PlanItem) ([]ipc.Resolution, error) {
	var out []ipc.Resolution
	add := func(flag, ref string, r ipc.Resolution) error {
		item, err := findItem(items, flag, ref)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(out, func(o ipc.Resolution) bool { return o.Item == item }) {
			return usage(fmt.Sprintf("item %s is named by two flags", item))
		}
		r.Item = item
		out = append(out, r)
		return nil
	}
	for _, ref := range f.replace {
		if err := add("--replace", ref, ipc.Resolution{Action: ipc.PlanReplace}); err != nil {
			return nil, err
		}
	}
	for _, ref := range f.leave {
		if err := add("--leave", ref, ipc.Resolution{Action: ipc.PlanLeave}); err != nil {
			return nil, err
		}
	}
	for _, s := range f.rename {
		ref, name, err := splitRename(items, s)
		if err != nil {
			return nil, err
		}
		r := ipc.Resolution{Action: ipc.PlanRename}
		if r.Issuer, r.Name, err = newItemName(items, ref, name); err != nil {
			return nil, err
		}
		if err := add("--rename", ref, r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// splitRename takes NAME=NEW apart. A name can have an equals sign in it: the
// first part that names an item counts.
func splitRename(items []ipc.PlanItem, s string) (ref, name string, err error) {
	for i := range len(s) {
		if s[i] != '=' {
			continue
		}
		if _, err = findItem(items, "--rename", s[:i]); err == nil {
			if strings.TrimSpace(s[i+1:]) == "" {
				return "", "", usage("--rename needs a new name: NAME=NEW")
			}
			return s[:i], strings.TrimSpace(s[i+1:]), nil
		}
	}
	if err == nil {
		err = usage("--rename takes NAME=NEW")
	}
	return "", "", err
}

// newItemName is the issuer and the name that an item is to have: ISSUER:NAME, or
// a name beside the issuer that it has.
func newItemName(items []ipc.PlanItem, ref, name string) (issuer, account string, err error) {
	item, err := findItem(items, "--rename", ref)
	if err != nil {
		return "", "", err
	}
	if before, after, ok := strings.Cut(name, ":"); ok && strings.TrimSpace(after) != "" {
		return strings.TrimSpace(before), strings.TrimSpace(after), nil
	}
	i := slices.IndexFunc(items, func(it ipc.PlanItem) bool { return it.Item == item })
	return items[i].Account.Issuer, name, nil
}

// findItem is the number of the item that ref means: its number, issuer:name,
// name or issuer, exactly or else without regard to case.
func findItem(items []ipc.PlanItem, flag, ref string) (string, error) {
	if n, err := strconv.Atoi(ref); err == nil && n >= 1 && n <= len(items) {
		return strconv.Itoa(n), nil
	}
	ref = norm.NFC.String(ref)
	for _, same := range []func(a, b string) bool{func(a, b string) bool { return a == b }, strings.EqualFold} {
		var found []ipc.Item
		for _, it := range items {
			if itemIs(it.Account, ref, same) {
				found = append(found, ipc.Item{ID: it.Item, Name: accountName(it.Account.Issuer, it.Account.Name)})
			}
		}
		switch {
		case len(found) == 1:
			return found[0].ID, nil
		case len(found) > 1:
			return "", failWith("", &ipc.Error{Kind: ipc.Ambiguous, Message: fmt.Sprintf("%s %q could mean %d items", flag, clean(ref), len(found)), Items: found},
				adviceItemNumber(flag)...)
		}
	}
	return "", failWith("", &ipc.Error{Kind: ipc.NotFound, Message: fmt.Sprintf("%s %q names no item of the plan", flag, clean(ref))}, adviceItemNumber(flag)...)
}

func itemIs(a ipc.Account, ref string, same func(a, b string) bool) bool {
	return same(a.Name, ref) || a.Issuer != "" && (same(a.Issuer, ref) || same(a.Issuer+":"+a.Name, ref))
}

// askAndApply has the conflicts decided by the person at the terminal, and asks
// whether to do it.
func (c *cli) askAndApply(ctx context.Context, again string, p ipc.Plan, d decisions, call planner) (ipc.Plan, error) {
	if p.Touch {
		c.say("touch accounts are compared when this is done: a touch is asked for then")
	}
	asked := false
	for i := range p.Items {
		it := &p.Items[i]
		if it.Action != ipc.PlanConflict || p.Touch && !slices.Contains(it.Differs, "secret") && it.Account.Class == "touch" {
			continue
		}
		r, all, err := c.askConflict(ctx, it.Item, it.Account, planWhy(it))
		if err != nil {
			return p, err
		}
		d.resolve, asked = append(d.resolve, r), true
		if all {
			d.keep = true
			break
		}
	}
	if asked {
		var err error
		if p, err = call(ctx, d); err != nil {
			return p, err
		}
		c.showPlan(p)
		if !willChange(p) {
			c.say("there is nothing to do")
			return p, nil
		}
	}
	yes, err := c.yesNo(ctx, "Apply this?", "--apply")
	if err != nil {
		return p, err
	}
	if !yes {
		d.keep = d.keep || slices.ContainsFunc(d.resolve, func(r ipc.Resolution) bool { return r.Action == ipc.PlanKeep })
		c.say("nothing was changed; %s", adviceApply(again+d.flags(), 0))
		return p, nil
	}
	return c.applyAsking(ctx, p, d, call)
}

// applyAsking applies a plan; conflicts that a touch brought to light are asked
// about, and it is tried once more.
func (c *cli) applyAsking(ctx context.Context, p ipc.Plan, d decisions, call planner) (ipc.Plan, error) {
	d.apply = true
	done, err := call(ctx, d)
	var e *ipc.Error
	if errors.As(err, &e) && e.Kind == ipc.Conflict && len(e.Items) > 0 && p.Touch {
		for _, conflict := range e.Items {
			n, bad := strconv.Atoi(conflict.ID)
			if bad != nil || n < 1 || n > len(p.Items) {
				return p, err
			}
			r, all, err := c.askConflict(ctx, conflict.ID, p.Items[n-1].Account, conflict.Reason)
			if err != nil {
				return p, err
			}
			d.resolve = append(d.resolve, r)
			if all {
				d.keep = true
				break
			}
		}
		done, err = call(ctx, d)
	}
	if err != nil {
		return p, err
	}
	c.warn(done.Notices)
	c.sayApplied(done)
	return done, nil
}

// askConflict has one conflict decided, or with all this and every other one.
func (c *cli) askConflict(ctx context.Context, item string, a ipc.Account, why string) (r ipc.Resolution, all bool, err error) {
	c.say("")
	c.say("item %s, %s: %s", clean(item), accountName(a.Issuer, a.Name), clean(why))
	c.say("keep what is there, replace it, rename the new one, or leave the new one out; all keeps what is there in every conflict from here on")
	for {
		answer, err := c.ask(ctx, "Type keep, replace, rename, leave or all", "keep", "--keep, --replace NAME, --rename NAME=NEW or --leave NAME")
		if err != nil {
			return r, false, err
		}
		switch strings.ToLower(answer) {
		case "k", "keep":
			return ipc.Resolution{Item: item, Action: ipc.PlanKeep}, false, nil
		case "all":
			return ipc.Resolution{Item: item, Action: ipc.PlanKeep}, true, nil
		case "replace":
			return ipc.Resolution{Item: item, Action: ipc.PlanReplace}, false, nil
		case "leave":
			return ipc.Resolution{Item: item, Action: ipc.PlanLeave}, false, nil
		case "rename":
			r, err := c.askRename(ctx, item, a)
			if err != nil || r.Name != "" {
				return r, false, err
			}
			c.say("no name was typed, so nothing is decided yet")
			continue
		}
		c.say("please type one of the words")
	}
}

// askRename asks what the new account is to be called; an empty name is none.
func (c *cli) askRename(ctx context.Context, item string, a ipc.Account) (r ipc.Resolution, err error) {
	r = ipc.Resolution{Item: item, Action: ipc.PlanRename, Issuer: a.Issuer}
	if r.Name, err = c.ask(ctx, "New name", "", "--rename NAME=NEW"); err != nil {
		return r, err
	}
	if before, after, ok := strings.Cut(r.Name, ":"); ok && strings.TrimSpace(after) != "" {
		r.Issuer, r.Name = strings.TrimSpace(before), strings.TrimSpace(after)
	}
	return r, nil
}
