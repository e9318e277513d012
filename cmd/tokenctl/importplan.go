package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

type planFlags struct {
	apply, keep bool
}

func (f *planFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.apply, "apply", false, "do it, without asking")
	cmd.Flags().BoolVar(&f.keep, "keep", false, "where the same name has another secret, keep what is there")
}

// planGiven says that a flag of a plan was given.
func planGiven(f *planFlags) bool { return f.apply || f.keep }

type resolved struct {
	keep, apply bool
	resolve     []ipc.Resolution
}

type planned struct {
	doing string
	ask   func(ipc.Plan) string
	call  func(context.Context, resolved) (ipc.Plan, error)
}

// carryOut shows the plan and, where that was asked for or a person agrees, has
// it done.
func (c *cli) carryOut(ctx context.Context, f *planFlags, p planned) (ipc.Plan, error) {
	how := resolved{keep: f.keep}
	plan, err := p.call(ctx, how)
	if err != nil {
		return plan, err
	}
	if !c.json {
		c.showPlan(plan)
	}
	if changes(plan) == 0 && plan.Conflicts == 0 {
		return plan, nil
	}
	if !f.apply {
		if !c.canAsk() || c.json {
			return plan, nil
		}
		if err := c.confirm(ctx, p.ask(plan), "--apply"); err != nil {
			return plan, err
		}
	}
	how.apply = true
	return p.call(ctx, how)
}

func (c *cli) showPlan(plan ipc.Plan) {
	t := &table{head: []string{"#", "DOES", "ACCOUNT", "WHY"}, flexible: 3}
	for _, i := range plan.Items {
		t.add(i.Item, i.Action, accountName(i.Account.Issuer, i.Account.Name), i.Reason+strings.Join(i.Differs, ", "))
	}
	c.show(t)
}
