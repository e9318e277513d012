package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

// planFlags are the flags by which a plan is decided and applied.
type planFlags struct {
	keep    bool
	replace []string
	leave   []string
	rename  []string
	apply   bool
}

func (f *planFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&f.keep, "keep", false, "in conflicts keep what is there, unless another flag names the account")
	fl.StringArrayVar(&f.replace, "replace", nil, "let the new account `NAME` take the place of what is there (can be repeated)")
	fl.StringArrayVar(&f.rename, "rename", nil, "bring the account in under another name: `NAME=NEW`, or NAME=ISSUER:NEW (can be repeated)")
	fl.StringArrayVar(&f.leave, "leave", nil, "leave the account `NAME` out (can be repeated)")
	fl.BoolVar(&f.apply, "apply", false, "do it, and ask nothing")
}

// names says that flags name accounts.
func (f *planFlags) names() bool { return len(f.replace)+len(f.rename)+len(f.leave) > 0 }

// decisions is what a plan is asked with.
type decisions struct {
	keep    bool
	resolve []ipc.Resolution
	apply   bool
}

// flags are the decisions as they are typed, each after a space.
func (d decisions) flags() string {
	var b strings.Builder
	if d.keep {
		b.WriteString(" --keep")
	}
	for _, r := range d.resolve {
		switch r.Action {
		case ipc.PlanRename:
			name := r.Name
			if r.Issuer != "" {
				name = r.Issuer + ":" + r.Name
			}
			b.WriteString(" --rename " + quoted(r.Item+"="+name))
		case ipc.PlanReplace, ipc.PlanLeave:
			b.WriteString(" --" + r.Action + " " + r.Item)
		}
	}
	return b.String()
}

// planner asks the daemon for a plan or, with apply, has it done.
type planner func(ctx context.Context, d decisions) (ipc.Plan, error)

// runPlan shows what call would do, has conflicts decided by the flags or at the
// terminal, and does it where that is wanted. doing completes "cannot …"; again is
// the command that applies it.
func (c *cli) runPlan(ctx context.Context, doing, again string, f *planFlags, call planner) (ipc.Plan, error) {
	d := decisions{keep: f.keep}
	if f.apply && !f.names() {
		return c.applyPlan(ctx, d, call)
	}
	p, err := call(ctx, d)
	if err != nil {
		return p, err
	}
	if d.resolve, err = f.resolve(p.Items); err != nil {
		return p, fail(doing, err)
	}
	if f.apply {
		return c.applyPlan(ctx, d, call)
	}
	if f.names() {
		if p, err = call(ctx, d); err != nil {
			return p, err
		}
	}
	if c.json {
		return p, c.printJSON(p)
	}
	c.showPlan(p)
	c.warn(p.Notices)
	if !willChange(p) {
		c.say("there is nothing to do")
		return p, nil
	}
	if !c.canAsk() {
		c.say("nothing was changed; %s", adviceApply(again+d.flags(), p.Conflicts))
		return p, nil
	}
	return c.askAndApply(ctx, again, p, d, call)
}

// applyPlan does it without a question.
func (c *cli) applyPlan(ctx context.Context, d decisions, call planner) (ipc.Plan, error) {
	d.apply = true
	p, err := call(ctx, d)
	if err != nil {
		return p, err
	}
	if c.json {
		return p, c.printJSON(p)
	}
	c.showPlan(p)
	c.warn(p.Notices)
	c.sayApplied(p)
	return p, nil
}

// willChange says whether applying a plan can do anything.
func willChange(p ipc.Plan) bool {
	return p.Added+p.Conflicts+p.Replaced+p.Renamed+p.Removed+p.Restored+p.Raised > 0
}

// sayApplied says what was done and how to take it back.
func (c *cli) sayApplied(p ipc.Plan) {
	if p.Undo == "" && p.Raised == 0 {
		c.say("there was nothing to do")
		return
	}
	c.say("done: %s", planCounts(p, true))
	if p.Undo != "" {
		c.say("within 30 days it can be taken back: tokenctl backup undo %s", clean(p.Undo))
	}
}

// planCounts is a plan in one line: what was done, or what would be.
func planCounts(p ipc.Plan, done bool) string {
	var parts []string
	for _, k := range []struct {
		n             int
		done, planned string
	}{
		{p.Added, "added", "to add"}, {p.Replaced, "replaced", "to replace"}, {p.Renamed, "renamed", "to rename"},
		{p.Removed, "removed", "to remove"}, {p.Restored, "put back", "to put back"},
		{p.Conflicts, either(p.Conflicts == 1, "conflict", "conflicts"), either(p.Conflicts == 1, "conflict", "conflicts")},
		{p.Same, "there already", "there already"}, {p.Left, "left out", "to leave out"},
	} {
		if k.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", k.n, either(done, k.done, k.planned)))
		}
	}
	if len(parts) == 0 {
		return "no account"
	}
	return strings.Join(parts, ", ")
}

// manyRows is how many rows of a plan a terminal gets before those of which there
// is nothing to say are left out.
const manyRows = 20

// showPlan prints a plan: a row an account.
func (c *cli) showPlan(p ipc.Plan) {
	t := &table{head: []string{"ITEM", "ACTION", "ACCOUNT", "WHY"}, flexible: 2, below: []int{3}}
	short := c.outTTY && len(p.Items) > manyRows
	hidden := 0
	for i := range p.Items {
		it := &p.Items[i]
		if short && it.Action == ipc.PlanSame && it.Reason == "" {
			hidden++
			continue
		}
		t.add(it.Item, it.Action, accountName(it.Account.Issuer, it.Account.Name), planWhy(it))
	}
	c.show(t)
	if hidden > 0 {
		c.say("and %s that %s there already", plural(hidden, "account"), either(hidden == 1, "is", "are"))
	}
	if !p.Applied {
		c.say("%s", planCounts(p, false))
	}
}

// sameSecret is the daemon's reason for a conflict in which the secrets do not
// differ.
const sameSecret = "the secret is the same"

// planWhy is what there is to say about an item.
func planWhy(it *ipc.PlanItem) string {
	var parts []string
	e := it.Existing
	switch it.Action {
	case ipc.PlanConflict, ipc.PlanKeep:
		parts = append(parts, planDiffers(it)...)
	case ipc.PlanReplace, ipc.PlanRestore:
		if e != nil && e.ID == it.Account.ID {
			parts = append(parts, planDiffers(it)...)
		} else if e != nil {
			parts = append(parts, "in the place of "+accountName(e.Issuer, e.Name))
		}
	case ipc.PlanRename:
		if e != nil && e.ID == it.Account.ID {
			parts = append(parts, "now "+accountName(e.Issuer, e.Name))
		}
	}
	switch {
	case it.Reason == sameSecret && len(parts) > 0:
		// That alone would be no reason: it is the rest that makes it a conflict.
		return sameSecret + ", and not the rest: " + strings.Join(parts, "; ")
	case it.Reason != "":
		parts = append(parts, it.Reason)
	}
	return strings.Join(parts, "; ")
}

// planDiffers says by what an account differs from the one that is there.
func planDiffers(it *ipc.PlanItem) []string {
	var parts []string
	a, e := &it.Account, it.Existing
	if e == nil {
		return nil
	}
	for _, d := range it.Differs {
		switch d {
		case "secret":
			parts = append(parts, "another secret is there")
		case "digits":
			parts = append(parts, fmt.Sprintf("%d digits, %d there", a.Digits, e.Digits))
		case "period":
			if a.Type == "hotp" || e.Type == "hotp" {
				continue // it counts, and has no period
			}
			parts = append(parts, fmt.Sprintf("%d s, %d s there", a.Period, e.Period))
		case "type":
			parts = append(parts, fmt.Sprintf("type %s, %s there", a.Type, e.Type))
		case "algorithm":
			parts = append(parts, fmt.Sprintf("%s, %s there", a.Algorithm, e.Algorithm))
		case "kind":
			parts = append(parts, fmt.Sprintf("%s, %s there", a.Kind, e.Kind))
		}
	}
	if accountName(a.Issuer, a.Name) != accountName(e.Issuer, e.Name) {
		parts = append(parts, "called "+accountName(e.Issuer, e.Name)+" there")
	}
	return parts
}
