package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) grantCommand() *cobra.Command {
	return group("grant", "Say which programs may have your codes",
		c.grantModeCommand(), c.grantListCommand(), c.grantRevokeCommand())
}

const grantModeHelp = `Say what a program of yours needs before it is handed a code, or the secret of
an account:

  off    nothing (as it is at first)
  ask    a grant: you are asked, by "tokenctl agent" or where you run tokenctl at a
         terminal, and say for how long: once, ten minutes, until the vault is locked
  deny   nothing is handed out, to tokenctl neither

Without --account it is for all accounts that have no mode of their own. Without a
mode the present one is shown. Modes are kept over restarts, grants are not.

A grant is for one account, and for the programs of one login session and unit of
systemd, or where there is none of one terminal (mostly: one window), that are the
same file. It protects from
accidents, not from a program of yours that means harm: such a one could answer
in your place. For that there is --class touch.`

func (c *cli) grantModeCommand() *cobra.Command {
	var account string
	var inherit bool
	cmd := &cobra.Command{
		Use: "mode [off|ask|deny]", Short: "Show or set what programs need to be handed codes", Long: grantModeHelp,
		Example: "  tokenctl grant mode ask\n  tokenctl grant mode deny --account github\n  tokenctl grant mode --inherit --account github",
		Args:    named(0, "MODE"), ValidArgs: []string{string(ipc.GrantOff), string(ipc.GrantAsk), string(ipc.GrantDeny)},
		RunE: func(cmd *cobra.Command, args []string) error {
			r := ipc.SetGrantModeRequest{Account: account, Inherit: inherit}
			switch {
			case inherit && (account == "" || len(args) > 0):
				return usage("--inherit takes from an --account the mode of its own, and no other is given")
			case len(args) == 0 && !inherit && account != "":
				return c.showAccountMode(cmd.Context(), account)
			case len(args) == 0 && !inherit:
				return c.showMode(cmd.Context())
			case len(args) > 0:
				r.Mode = ipc.GrantMode(args[0])
				if !r.Mode.Valid() {
					return usage(fmt.Sprintf("there is no mode %q: it can be off, ask or deny", args[0]), adviceHelp(cmd.CommandPath())...)
				}
			}
			return c.setMode(cmd.Context(), r)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&account, "account", "", "show it, or set it, for this `ACCOUNT` alone")
	fl.BoolVar(&inherit, "inherit", false, "take away the account's own mode")
	return cmd
}

func (c *cli) showMode(ctx context.Context) error {
	list, err := c.daemon().Grants(ctx)
	if err != nil {
		return fail("read the grant mode", err)
	}
	if c.json {
		return c.printJSON(list)
	}
	c.print("%s", clean(string(list.Mode)))
	c.sayOwnModes(list)
	return nil
}

// accountMode is the --json form of the mode of one account.
type accountMode struct {
	Version int            `json:"version"`
	Account ipc.AccountRef `json:"account"`
	Mode    ipc.GrantMode  `json:"mode"`
	Own     bool           `json:"own"` // and not that of all accounts
}

// showAccountMode shows which mode holds for an account, and whether it is its own.
func (c *cli) showAccountMode(ctx context.Context, ref string) error {
	doing := "read the grant mode of " + ref
	list, err := c.daemon().Grants(ctx)
	if err != nil {
		return fail(doing, err)
	}
	own := func(id string) int {
		return slices.IndexFunc(list.Accounts, func(a ipc.AccountMode) bool { return a.Account.ID == id })
	}
	m := accountMode{Version: ipc.Version, Account: ipc.AccountRef{ID: ref}, Mode: list.Mode}
	at := own(ref) // by its id it is known while the vault is locked, too
	if at < 0 {
		a, err := c.daemon().Account(ctx, ref)
		if err != nil {
			return fail(doing, err)
		}
		m.Account = ipc.AccountRef{ID: a.ID, Issuer: a.Issuer, Name: a.Name}
		at = own(a.ID)
	}
	if at >= 0 {
		m.Account, m.Mode, m.Own = list.Accounts[at].Account, list.Accounts[at].Mode, true
	}
	if c.json {
		return c.printJSON(m)
	}
	c.print("%s", clean(string(m.Mode)))
	if !m.Own {
		c.say("%s has no mode of its own; this is the one of all", grantAccount(m.Account))
	}
	return nil
}

// sayOwnModes names the accounts for which the user's mode does not hold.
func (c *cli) sayOwnModes(list ipc.GrantList) {
	for _, a := range list.Accounts {
		c.say("%s has a mode of its own: %s", grantAccount(a.Account), clean(string(a.Mode)))
	}
}

func (c *cli) setMode(ctx context.Context, r ipc.SetGrantModeRequest) error {
	list, err := c.daemon().SetGrantMode(ctx, r)
	if err != nil {
		return fail("set the grant mode", err)
	}
	if c.json {
		return c.printJSON(list)
	}
	switch {
	case r.Inherit:
		c.say("done: the account has no mode of its own any more")
	case r.Account != "":
		c.say("done: the mode of %s is %s", clean(r.Account), r.Mode)
	default:
		c.say("done: the mode is %s", r.Mode)
		c.sayOwnModes(list)
	}
	if r.Mode == ipc.GrantAsk && len(list.Agents) == 0 {
		c.say("no agent runs in your session: programs without a terminal get no codes until one does")
		c.hints(adviceStartAgent())
	}
	return nil
}

// grantAccount names an account of a list that may have no names.
func grantAccount(a ipc.AccountRef) string {
	if a.Name == "" && a.Issuer == "" {
		return clean(a.ID)
	}
	return accountName(a.Issuer, a.Name)
}

// requesterText names a program to the person whose vault it asks for. A name that
// it gives itself can be a path, too, and must not be taken for that of its file.
func requesterText(r ipc.Requester) string {
	name, word := r.Exe, ""
	if name == "" && r.Program != "" {
		name, word = r.Program, ", by its own word"
	}
	if name == "" {
		name = "a program that is not known"
	}
	if r.PID != 0 {
		name += fmt.Sprintf(" (%d)", r.PID)
	}
	return clean(name) + word
}

// placeText is where a program runs: its unit, or where there is none its terminal
// and who leads the process session on it; empty where neither is known.
func placeText(r ipc.Requester) string {
	switch {
	case r.Unit != "":
		return clean(r.Unit)
	case r.Leader == 0:
		return clean(r.Terminal)
	case r.Terminal == "":
		return fmt.Sprintf("session of process %d", r.Leader)
	}
	return fmt.Sprintf("%s, session of process %d", clean(r.Terminal), r.Leader)
}

func (c *cli) grantListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List grants, modes of accounts, and who may ask you", Args: noArgs,
		Long: `List what you granted. In a pipe the fields are: account, code or reveal, program,
unit (where there is none: terminal and process session), how long it holds, how
often it was used, id. They end when the vault is locked.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := c.daemon().Grants(cmd.Context())
			if err != nil {
				return fail("list the grants", err)
			}
			if c.json {
				return c.printJSON(list)
			}
			if len(list.Grants) == 0 {
				c.say("nothing is granted")
			} else {
				c.show(grantTable(list.Grants, c.now(), c.outTTY))
			}
			c.say("mode: %s", grantModes(list))
			for _, a := range list.Agents {
				c.say("%s", agentLine(a))
			}
			return nil
		},
	}
}

// grantTable lists grants. Where a person reads, there is no column in which all is
// empty.
func grantTable(grants []ipc.Grant, now time.Time, person bool) *table {
	const place = 3
	t := &table{head: []string{"ACCOUNT", "FOR", "PROGRAM", "UNIT", "HOLDS", "USES", "ID"}, below: []int{place, 2}}
	placed := slices.ContainsFunc(grants, func(g ipc.Grant) bool { return placeText(g.Requester) != "" })
	if slices.ContainsFunc(grants, func(g ipc.Grant) bool { return g.Requester.Leader != 0 }) {
		t.head[place] = "PLACE"
	}
	for _, g := range grants {
		holds := "until locked"
		switch g.For {
		case ipc.GrantOnce:
			holds = "once"
		case ipc.Grant10Min:
			holds = span(g.Until.Sub(now))
		}
		g.Requester.PID = 0 // it holds for all processes of that file
		t.add(grantAccount(g.Account), string(g.Action), requesterText(g.Requester), orDash(placeText(g.Requester)),
			holds, fmt.Sprint(g.Uses), g.ID)
	}
	if person && !placed {
		t.drop(place)
	}
	return t
}

// grantModes are the modes in a line.
func grantModes(list ipc.GrantList) string {
	s := clean(string(list.Mode))
	for _, a := range list.Accounts {
		s += fmt.Sprintf("; %s: %s", grantAccount(a.Account), clean(string(a.Mode)))
	}
	return s
}

func (c *cli) grantRevokeCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "revoke [ID]...", Short: "Take grants back", Example: "  tokenctl grant revoke --all",
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return usage("which grants? give their ids, or --all", adviceNoGrant()...)
			}
			list, err := c.daemon().RevokeGrants(cmd.Context(), ipc.RevokeGrantsRequest{IDs: args, All: all})
			if ipc.KindOf(err) == ipc.NotFound {
				return failWith("take the grants back", err, adviceNoGrant()...)
			}
			if err != nil {
				return fail("take the grants back", err)
			}
			if c.json {
				return c.printJSON(list)
			}
			c.say("done: %s left", plural(len(list.Grants), "grant"))
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "take every grant back")
	return cmd
}
