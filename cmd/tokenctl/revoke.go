package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) tokenRevokeCommand() *cobra.Command {
	var f authFlags
	var yes bool
	cmd := &cobra.Command{
		Use: "revoke TOKEN", SuggestFor: []string{"remove", "delete", "rm"}, Short: "Take a lost token's way into the vault away", Args: named(1, "TOKEN"), ValidArgsFunction: c.completeTokens,
		Long: `Remove a token's keyslot and give the vault new keys, so that the token opens
no later vault or backup. It need not be plugged in, and nor need any other: without
one the recovery password agrees.

Old backups stay as they are, and the token still opens those: they are named
before you are asked, and again afterwards.`,
		Example: "  tokenctl token revoke lost-key\n  tokenctl token revoke lost-key --recovery",
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	// --token would look like the token to be revoked.
	cmd.Flags().StringVar(&f.token, "auth-token", "", "the `TOKEN` that agrees, where accounts need a touch")
	f.addWithoutToken(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		t, err := c.pickToken(cmd, args, isEnrolled)
		if err != nil {
			return fail("revoke "+args[0], err)
		}
		doing := "revoke " + tokenLabel(t)
		if !yes {
			c.sayRevocation(ctx, t)
			if err := c.confirm(ctx, "Revoke "+tokenLabel(t)+"?", "--yes"); err != nil {
				return fail(doing, err)
			}
		}
		var res ipc.RevokeResult
		before := ""
		err = c.openAgreed(ctx, &f, func(ctx context.Context, a ipc.Auth) (err error) {
			before = c.signer(ctx)
			res, err = c.daemon().RevokeToken(ctx, t.ID, ipc.RevokeRequest{Auth: a, Confirm: t.ID})
			return err
		})
		switch kind := ipc.KindOf(err); {
		case kind == ipc.LastKeyslot:
			return failWith(doing, err, adviceLastWay(c.opensOtherwise(ctx, t))...)
		case kind == ipc.AmbiguousToken:
			return failWith(doing, err, adviceAuthToken()...)
		case err != nil:
			return fail(doing, err)
		}
		if c.json {
			return c.printJSON(res)
		}
		c.sayRevoked(ctx, t, before, res)
		return nil
	}
	return cmd
}

// sayRevoked says what was done; before is the signer until then.
func (c *cli) sayRevoked(ctx context.Context, t ipc.Token, before string, res ipc.RevokeResult) {
	c.say("revoked %s; the vault has new keys", tokenLabel(t))
	if !slices.ContainsFunc(res.Warnings, func(w ipc.Warning) bool { return w.Code == "signer-changed" }) {
		c.sayNewSigner(before, res.Vault.Signer)
	}
	c.sayStillOn(ctx, t)
	c.sayOldBackups(tokenLabel(t)+" still opens", res.OldBackups)
	c.warn(res.Warnings)
	if len(res.Warnings) == 0 {
		for _, a := range adviceRevoked() {
			c.say("%s", a)
		}
	}
}

// sayRevocation says what revoking a token does, before it is asked for.
func (c *cli) sayRevocation(ctx context.Context, t ipc.Token) {
	name := tokenLabel(t)
	c.say("What will be:")
	c.say("- %s opens the vault no more, nor any later backup: the vault gets new keys.", name)
	c.say("- It can be enrolled again, but this cannot be undone.")
	if ways, err := c.otherWays(ctx, t); err == nil {
		c.say("- Left to open the vault: %s.", clean(strings.Join(ways, ", ")))
	}
	info, err := c.daemon().TokenInfo(ctx, t.ID)
	switch {
	case err != nil:
		c.say("- Backups made until now it still opens; they will be named afterwards.")
	case len(info.Backups) == 0:
		c.say("- No backup outside of the daemon's folder is known that it opens; one that was copied elsewhere it still does.")
	default:
		c.say("- These backups it still opens (destroy them when a new one is made):")
		for _, b := range info.Backups {
			c.say("    %s", backupText(b))
		}
	}
	c.say("- If the token, its %s and an old copy of the vault may be in one hand: renew the accounts at their services as well. Nothing else helps then.", pinWord(&ipc.TokenRef{Kind: t.Kind}))
}

// sayStillOn says that the keys of a revoked token are on it still, and how they
// are removed.
func (c *cli) sayStillOn(ctx context.Context, t ipc.Token) {
	if len(t.Slots) == 0 {
		return
	}
	list, err := c.daemon().Tokens(ctx)
	if err != nil {
		return
	}
	for _, now := range list.Tokens {
		if t.Present && now.Present && now.Locator == t.Locator && len(now.Left) > 0 {
			c.say("its keys are still on it, in %s; remove them: %s", slotsText(now.Left), adviceWipe(ipc.TokenRef{ID: now.ID}, true))
			return
		}
	}
	if !t.Present {
		c.say("its keys are still on it, in %s; should you find it: %s", slotsText(t.Slots), adviceWipe(ipc.TokenRef{}, false))
	}
}

// otherWays are the ways into the vault that are left without t.
func (c *cli) otherWays(ctx context.Context, t ipc.Token) ([]string, error) {
	st, err := c.daemon().Status(ctx)
	if err != nil {
		return nil, err
	}
	var ways []string
	for _, other := range st.Tokens {
		if other.Enrolled && other.ID != t.ID {
			ways = append(ways, tokenLabel(other)+either(slices.Contains(other.Classes, "touch"), "", " (not what needs a touch)"))
		}
	}
	if !st.Vault.RecoverySet.IsZero() {
		ways = append(ways, "the recovery password")
	}
	if len(ways) == 0 {
		ways = []string{"nothing, so it will be refused"}
	}
	return ways, nil
}

// opensOtherwise says that something else than t opens the vault: if t is the
// last way then, it is so to the accounts that need a touch.
func (c *cli) opensOtherwise(ctx context.Context, t ipc.Token) bool {
	list, err := c.daemon().Tokens(ctx)
	return err == nil && slices.ContainsFunc(list.Tokens, func(other ipc.Token) bool {
		return other.Enrolled && other.ID != t.ID && slices.Contains(other.Classes, "session")
	})
}

// sayOldBackups names backups that what was taken away still opens.
func (c *cli) sayOldBackups(what string, backups []string) {
	if len(backups) == 0 {
		return
	}
	c.say("backups that %s, to be destroyed when a new one is made:", what)
	for _, b := range backups {
		c.say("  %s", backupText(b))
	}
}

// backupText is a backup's path, with when the file was written if it is there.
func backupText(path string) string {
	if !filepath.IsAbs(path) {
		return clean(path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return clean(path) + " (not there now)"
	}
	return clean(path) + " (of " + info.ModTime().Local().Format("2006-01-02 15:04") + ")"
}
