package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

const purgeHelp = `Remove your vault from this machine for good: the accounts, the key files of
software tokens, earlier states, what restores put aside, the audit log. Of that
log one entry stays, which says that the vault was purged and when.

First it is said what would be lost and what remains where: backups stay, and so
do keys on tokens. Then the first 8 characters of the vault's id have to be
typed, or given in full with --confirm. A locked vault can be purged too: nobody
can then say which accounts are in it.

Without a backup that was opened or proved, and that is still where it was
written, nothing is removed unless --without-backup says so.`

type purgeFlags struct {
	confirm       string
	withoutBackup bool
	list          bool
}

func (c *cli) purgeCommand() *cobra.Command {
	f := &purgeFlags{}
	cmd := &cobra.Command{
		Use: "purge", SuggestFor: []string{"uninstall", "destroy", "wipe", "reset"},
		Short: "Remove your vault from this machine for good", Long: purgeHelp, Args: noArgs,
		Example: "  tokenctl purge --list\n  tokenctl purge",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.purge(cmd.Context(), f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.confirm, "confirm", "", "do not ask: `VAULTID` is the vault to be removed")
	fl.BoolVar(&f.withoutBackup, "without-backup", false, "go on although nothing is known from which it could be restored")
	fl.BoolVar(&f.list, "list", false, "only say what would be lost and what remains")
	return cmd
}

func (c *cli) purge(ctx context.Context, f *purgeFlags) error {
	const doing = "purge the vault"
	left, err := c.daemon().Leaving(ctx)
	if err != nil {
		return fail(doing, err)
	}
	st, err := c.daemon().Status(ctx)
	if err != nil {
		return fail(doing, err)
	}
	r := &remains{Leaving: left, Here: c.lookAround(ctx, left), mode: st.Daemon.Mode}
	if left.Vault.State == ipc.VaultNone && !f.list {
		if !c.json {
			c.sayLeftovers(r)
		}
		return failWith(doing, &ipc.Error{Kind: ipc.NoVault, Message: "there is no vault"}, adviceNothingToPurge(len(left.Tokens) > 0)...)
	}
	if f.list {
		if c.json {
			return c.printJSON(r)
		}
		c.sayLeaving(r)
		return nil
	}
	if !c.json || f.confirm == "" {
		c.sayLeaving(r)
	}
	if err := c.mayPurge(ctx, f, r); err != nil {
		return fail(doing, err)
	}
	id := left.Vault.ID
	if id == "" {
		id = ipc.UnreadableVault
	}
	res, err := c.daemon().Purge(ctx, ipc.PurgeRequest{Confirm: id, WithoutBackup: f.withoutBackup})
	if err != nil {
		return fail(doing, err)
	}
	if c.json {
		return c.printJSON(res)
	}
	c.sayPurged(res, r)
	return nil
}

// shortID is how many characters of a vault's id are typed.
const shortID = 8

// mayPurge refuses what would be for ever, and asks for the rest.
func (c *cli) mayPurge(ctx context.Context, f *purgeFlags, r *remains) error {
	id := r.Vault.ID
	want := id[:min(shortID, len(id))]
	if id == "" {
		id, want = ipc.UnreadableVault, ipc.UnreadableVault
	}
	if why := r.unbacked(); why != "" && !f.withoutBackup {
		missing := "--without-backup"
		if f.confirm == "" && !c.canAsk() {
			missing = "--confirm " + id + " and " + missing
		}
		return failWith("", &ipc.Error{Kind: ipc.Conflict, Message: why + "; nothing was removed"}, adviceUnbacked(r.Vault, missing)...)
	}
	switch {
	case f.confirm == id || len(f.confirm) >= shortID && strings.HasPrefix(id, f.confirm):
		return nil
	case f.confirm != "":
		return usage("--confirm is not the id of this vault, which is "+clean(id), adviceConfirmID(id)...)
	case !c.canAsk():
		return usage("the removal has to be confirmed", adviceNoTerminal("--confirm "+id)...)
	}
	answer, err := c.ask(ctx, "To remove it for good, type "+either(r.Vault.ID == "", "the word "+want, "the first "+fmt.Sprint(len(want))+" characters of the vault's id ("+want+")"), "", "--confirm "+id)
	if err != nil {
		return err
	}
	if !strings.EqualFold(answer, want) && answer != id {
		return cancelled("cancelled: that is not how the vault's id begins; nothing was removed")
	}
	return nil
}

// remains is what is lost and what remains: what the daemon says, and what can be
// seen with the user's own rights.
type remains struct {
	ipc.Leaving
	Here here `json:"here"`
	mode string
}

// unbacked says why the vault could not be restored once it is gone; empty where
// it can.
func (r *remains) unbacked() string {
	if !r.Backed {
		return "no backup is known that was opened or proved and that something opens once the vault is gone"
	}
	if slices.ContainsFunc(r.Here.Backups, func(b seenBackup) bool { return b.Whole && b.Usable }) {
		return ""
	}
	return "no backup that was opened or proved is where it was written"
}
