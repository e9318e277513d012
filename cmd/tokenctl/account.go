package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) accountCommand() *cobra.Command {
	return group("account", "Add, list, show, edit, move and remove accounts",
		c.accountAddCommand(), c.accountListCommand(), c.accountShowCommand(),
		c.accountEditCommand(), c.accountMoveCommand(), c.accountRemoveCommand())
}

// accountDocument is one account as a document of its own.
type accountDocument struct {
	Version int         `json:"version"`
	Account ipc.Account `json:"account"`
}

func (c *cli) accountListCommand() *cobra.Command {
	var f authFlags
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the accounts in your order", Args: noArgs,
		Long: `List the accounts in your order. In a pipe the fields are: place, name, class,
type, id.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list ipc.AccountList
			err := c.open(cmd.Context(), &f, func(ctx context.Context, _ ipc.Auth) (err error) {
				list, err = c.daemon().Accounts(ctx)
				return err
			})
			if err != nil {
				return fail("list the accounts", err)
			}
			if c.json {
				return c.printJSON(list)
			}
			if len(list.Accounts) == 0 {
				c.say("no accounts yet; add one: tokenctl account add")
				return nil
			}
			c.show(accountTable(list.Accounts))
			for _, line := range adviceInactives(list.Accounts) {
				c.say("%s", line)
			}
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

func accountTable(accounts []ipc.Account) *table {
	t := &table{head: []string{"#", "ACCOUNT", "CLASS", "TYPE", "ID"}, flexible: 1}
	for i, a := range accounts {
		t.add(strconv.Itoa(i+1), accountName(a.Issuer, a.Name), a.Class, typeText(a), a.ID)
	}
	return t
}

// typeText is an account's type, with what differs from the usual.
func typeText(a ipc.Account) string {
	parts := []string{a.Type}
	if a.Algorithm != "" && a.Algorithm != "SHA1" {
		parts = append(parts, a.Algorithm)
	}
	if a.Type != "steam" && a.Digits != 0 && a.Digits != 6 {
		parts = append(parts, fmt.Sprintf("%d digits", a.Digits))
	}
	if a.Type != "hotp" && a.Period != 0 && a.Period != 30 {
		parts = append(parts, fmt.Sprintf("%d s", a.Period))
	}
	if a.Kind == "managed" {
		parts = append(parts, "managed"+either(a.Inactive, ", inactive", ""))
	}
	return strings.Join(parts, " ")
}

// findAccount reads one account, unlocking in passing.
func (c *cli) findAccount(ctx context.Context, f *authFlags, ref string) (ipc.Account, error) {
	var a ipc.Account
	err := c.open(ctx, f, func(ctx context.Context, _ ipc.Auth) (err error) {
		a, err = c.daemon().Account(ctx, ref)
		return err
	})
	return a, fail("find the account "+ref, err)
}

func (c *cli) printAccount(a ipc.Account) error {
	if c.json {
		return c.printJSON(accountDocument{ipc.Version, a})
	}
	t := &table{head: []string{"", ""}, flexible: 1}
	t.add("name", a.Name)
	t.add("issuer", a.Issuer)
	t.add("class", classText(a.Class))
	t.add("type", a.Type)
	t.add("algorithm", a.Algorithm)
	t.add("digits", strconv.Itoa(a.Digits))
	if a.Type != "hotp" {
		t.add("period", span(time.Duration(a.Period)*time.Second))
	}
	if a.Counter != nil {
		t.add("counter", strconv.FormatUint(*a.Counter, 10))
	}
	if a.Note != "" {
		t.add("note", a.Note)
	}
	t.add("kind", a.Kind)
	if a.Inactive {
		t.add("state", "inactive: its secret is not on this device; tokenctl reactivate "+accountArg(refOf(a)))
	}
	if a.NoExport {
		t.add("export", "never")
	}
	t.add("added", ago(c.now(), a.Created))
	t.add("id", a.ID)
	c.showPairs(t)
	return nil
}

func classText(class string) string {
	switch class {
	case "touch":
		return "touch (every code needs the token and a touch)"
	case "session":
		return "session (codes while the vault is unlocked)"
	}
	return class
}

func (c *cli) accountEditCommand() *cobra.Command {
	var f authFlags
	var e struct {
		issuer, name, note, class string
		digits, period            int
		counter                   uint64
		noExport                  bool
	}
	cmd := &cobra.Command{
		Use: "edit ACCOUNT", SuggestFor: []string{"rename", "change"}, Short: "Change the name or settings of an account", Args: named(1, "ACCOUNT"),
		Long: `Change what the flags name, and nothing else. Taking an account out of the
class "touch" needs the token and a touch; taking --no-export back needs a token or
the recovery password.`,
		Example:           "  tokenctl account edit github --name work\n  tokenctl account edit github --class session",
		ValidArgsFunction: c.completeAccounts,
	}
	fl := cmd.Flags()
	fl.StringVar(&e.issuer, "issuer", "", "`NAME` of whom the account is with")
	fl.StringVar(&e.name, "name", "", "new `NAME`")
	fl.StringVar(&e.note, "note", "", "a note: `TEXT` (empty removes it)")
	fl.StringVar(&e.class, "class", "", "`CLASS`: session or touch")
	fl.IntVar(&e.digits, "digits", 0, "`N` digits, 6 to 10")
	fl.IntVar(&e.period, "period", 0, "period in `SECONDS`")
	fl.Uint64Var(&e.counter, "counter", 0, "next counter `N` (HOTP)")
	fl.BoolVar(&e.noExport, "no-export", false, "never export the secret; --no-export=false takes that back")
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var r ipc.EditAccountRequest
		setIf(cmd, "issuer", &r.Issuer, &e.issuer)
		setIf(cmd, "name", &r.Name, &e.name)
		setIf(cmd, "note", &r.Note, &e.note)
		setIf(cmd, "class", &r.Class, &e.class)
		setIf(cmd, "digits", &r.Digits, &e.digits)
		setIf(cmd, "period", &r.Period, &e.period)
		setIf(cmd, "counter", &r.Counter, &e.counter)
		setIf(cmd, "no-export", &r.NoExport, &e.noExport)
		if r.Issuer == nil && r.Name == nil && r.Note == nil && r.Class == nil &&
			r.Digits == nil && r.Period == nil && r.Counter == nil && r.NoExport == nil {
			return usage("nothing to change was named")
		}
		if r.Name != nil && strings.TrimSpace(*r.Name) == "" {
			return usage("an account needs a name, to tell it from your others")
		}
		before, err := c.findAccount(cmd.Context(), &f, args[0])
		if err != nil {
			return err
		}
		var after ipc.Account
		err = c.open(cmd.Context(), &f, func(ctx context.Context, a ipc.Auth) (err error) {
			r.Auth = a
			after, err = c.daemon().EditAccount(ctx, before.ID, r)
			return err
		})
		if err != nil {
			return fail("change "+accountName(before.Issuer, before.Name), err)
		}
		c.say("changed %s", accountName(after.Issuer, after.Name))
		return c.printAccount(after)
	}
	return cmd
}

// setIf sets a request's field when its flag was given.
func setIf[T any](cmd *cobra.Command, flag string, field **T, value *T) {
	if cmd.Flags().Changed(flag) {
		*field = value
	}
}

func (c *cli) accountMoveCommand() *cobra.Command {
	var f authFlags
	var to int
	var before, after string
	var first, last bool
	cmd := &cobra.Command{
		Use:   "move ACCOUNT --to N|--before ACCOUNT|--after ACCOUNT|--first|--last",
		Short: "Put an account at another place of the list", Args: named(1, "ACCOUNT"),
		Example:           "  tokenctl account move github --first\n  tokenctl account move github --after gitlab",
		ValidArgsFunction: c.completeAccounts,
	}
	fl := cmd.Flags()
	fl.IntVar(&to, "to", 0, "place `N`, 1 being first")
	fl.StringVar(&before, "before", "", "before this `ACCOUNT`")
	fl.StringVar(&after, "after", "", "after this `ACCOUNT`")
	fl.BoolVar(&first, "first", false, "to the beginning")
	fl.BoolVar(&last, "last", false, "to the end")
	cmd.MarkFlagsMutuallyExclusive("to", "before", "after", "first", "last")
	cmd.MarkFlagsOneRequired("to", "before", "after", "first", "last")
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		a, err := c.findAccount(ctx, &f, args[0])
		if err != nil {
			return err
		}
		list, err := c.daemon().Accounts(ctx)
		if err != nil {
			return fail("list the accounts", err)
		}
		n := len(list.Accounts)
		place := to - 1
		switch {
		case first:
			place = 0
		case last:
			place = n - 1
		case before != "" || after != "":
			if place, err = c.placeBeside(ctx, &f, list.Accounts, a, before, after); err != nil {
				return err
			}
		case to < 1 || to > n:
			return usage(fmt.Sprintf("--to must be 1 to %d", n))
		}
		list, err = c.daemon().MoveAccount(ctx, a.ID, ipc.MoveAccountRequest{Position: place})
		if err != nil {
			return fail("move "+accountName(a.Issuer, a.Name), err)
		}
		if c.json {
			return c.printJSON(list)
		}
		c.say("moved %s to place %d", accountName(a.Issuer, a.Name), place+1)
		return nil
	}
	return cmd
}

// placeBeside is the place, in the list without moved, right before or after
// another account.
func (c *cli) placeBeside(ctx context.Context, f *authFlags, list []ipc.Account, moved ipc.Account, before, after string) (int, error) {
	ref, add := before, 0
	if before == "" {
		ref, add = after, 1
	}
	other, err := c.findAccount(ctx, f, ref)
	if err != nil {
		return 0, err
	}
	if other.ID == moved.ID {
		return 0, usage("an account cannot be moved beside itself")
	}
	place := 0
	for _, a := range list {
		switch a.ID {
		case moved.ID:
		case other.ID:
			return place + add, nil
		default:
			place++
		}
	}
	return 0, usage("the list changed meanwhile; repeat")
}

// completeTokens offers the names of enrolled tokens to the shell.
func (c *cli) completeTokens(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	list, err := c.daemon().Tokens(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, t := range list.Tokens {
		if t.Enrolled && t.Label != "" {
			names = append(names, clean(t.Label))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeAccounts offers the names of accounts to the shell. It asks nothing
// and unlocks nothing, and it gives up soon.
func (c *cli) completeAccounts(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	list, err := c.daemon().Accounts(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := make([]string, 0, len(list.Accounts))
	for _, a := range list.Accounts {
		names = append(names, accountName(a.Issuer, a.Name))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
