package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) accountRemoveCommand() *cobra.Command {
	var f authFlags
	var yes bool
	cmd := &cobra.Command{
		Use: "remove ACCOUNT...", Aliases: []string{"rm"}, SuggestFor: []string{"delete", "del"},
		Short: "Remove accounts for good", Args: atLeastOne("ACCOUNT"),
		Long: `Remove accounts and their secrets from the vault: all that are named in one step,
or none. This is final: only a backup made before still holds them. Turn
two-factor login off at the service first, or have another way in there: it goes
on asking for the code.

Backups stay as they are, and are named. Earlier states of the vault, which are
kept beside it for when the newest is damaged, hold the accounts until later
ones take their place.`,
		Example:           "  tokenctl account remove github\n  tokenctl account remove old-bank old-shop --yes",
		ValidArgsFunction: c.completeMoreAccounts,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.removeAccounts(cmd.Context(), &f, args, yes)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	f.add(cmd)
	return cmd
}

// atLeastOne takes one argument or more.
func atLeastOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return named(1, what)(cmd, args)
		}
		return nil
	}
}

func (c *cli) removeAccounts(ctx context.Context, f *authFlags, refs []string, yes bool) error {
	doing := "remove " + strings.Join(refs, ", ")
	var plan ipc.RemoveAccountsResult
	err := c.open(ctx, f, func(ctx context.Context, _ ipc.Auth) (err error) {
		plan, err = c.daemon().RemoveAccounts(ctx, ipc.RemoveAccountsRequest{Accounts: refs})
		return err
	})
	if err != nil {
		return fail(doing, err)
	}
	ids := make([]string, len(plan.Accounts))
	for i, a := range plan.Accounts {
		ids[i] = a.Account.ID
	}
	what := removedName(plan)
	if !yes {
		c.sayRemoval(plan)
		if err := c.confirm(ctx, "Remove "+what+"?", "--yes"); err != nil {
			return fail(doing, err)
		}
	}
	var res ipc.RemoveAccountsResult
	err = c.open(ctx, f, func(ctx context.Context, _ ipc.Auth) (err error) {
		res, err = c.daemon().RemoveAccounts(ctx, ipc.RemoveAccountsRequest{Accounts: ids, Apply: true})
		return err
	})
	if err != nil {
		return fail(doing, err)
	}
	if c.json {
		return c.printJSON(res)
	}
	for _, a := range res.Accounts {
		c.say("removed %s", accountName(a.Account.Issuer, a.Account.Name))
	}
	if yes { // before the question it was said
		c.sayHolders(res.Accounts)
	}
	c.sayCannotRestore(res)
	return nil
}

// removedName is what is removed, in a question.
func removedName(r ipc.RemoveAccountsResult) string {
	if len(r.Accounts) == 1 {
		return accountName(r.Accounts[0].Account.Issuer, r.Accounts[0].Account.Name)
	}
	return "these " + plural(len(r.Accounts), "account")
}

// sayRemoval says what removing accounts means, before it is asked for.
func (c *cli) sayRemoval(r ipc.RemoveAccountsResult) {
	c.say("Removing is final. To be removed:")
	for _, a := range r.Accounts {
		c.say("- %s", accountName(a.Account.Issuer, a.Account.Name))
	}
	c.sayHolders(r.Accounts)
	c.say("The service goes on asking for the code, and none can be made here any more: turn its second factor off first, or have another way in there.")
	c.sayCopied(r)
}

// completeMoreAccounts is completeAccounts for a command that takes several.
func (c *cli) completeMoreAccounts(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	return c.completeAccounts(cmd, nil, typed)
}
