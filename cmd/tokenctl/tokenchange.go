package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func isEnrolled(t ipc.Token) bool { return t.Enrolled }
func isPresent(t ipc.Token) bool  { return t.Present }

func (c *cli) tokenTestCommand() *cobra.Command {
	var f authFlags
	cmd := &cobra.Command{
		Use: "test [TOKEN]", Short: "Check that a token opens the vault", Args: named(0, "TOKEN"), ValidArgsFunction: c.completeTokens,
		Long: "Open the vault's keys with a token once for each of its classes. Nothing is changed.",
	}
	f.addWithoutToken(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		t, err := c.pickToken(cmd, args, func(t ipc.Token) bool { return t.Enrolled && t.Present })
		if err != nil {
			return fail("test the token", err)
		}
		f.token = t.ID
		var res ipc.TestTokenResult
		err = c.open(ctx, &f, func(ctx context.Context, a ipc.Auth) (err error) {
			res, err = c.daemon().TestToken(ctx, t.ID, ipc.TestTokenRequest{Auth: a})
			return err
		})
		if err != nil {
			return fail("test "+tokenLabel(t), err)
		}
		if c.json {
			return c.printJSON(res)
		}
		c.say("%s opens: %s", tokenLabel(t), strings.Join(res.Opened, ", "))
		return nil
	}
	return cmd
}

// tokenDocument is one token as a document of its own.
type tokenDocument struct {
	Version int       `json:"version"`
	Token   ipc.Token `json:"token"`
}

func (c *cli) tokenRenameCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rename TOKEN LABEL", Short: "Call a token something else", Args: named(2, "TOKEN", "LABEL"), ValidArgsFunction: c.completeTokens,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			t, err := c.pickToken(cmd, args[:1], isEnrolled)
			if err != nil {
				return fail("rename "+args[0], err)
			}
			t, err = c.daemon().RenameToken(ctx, t.ID, ipc.RenameTokenRequest{Label: args[1]})
			if err != nil {
				return fail("rename "+args[0], err)
			}
			if c.json {
				return c.printJSON(tokenDocument{ipc.Version, t})
			}
			c.say("it is called %s now", tokenLabel(t))
			return nil
		},
	}
}

func (c *cli) tokenWipeCommand() *cobra.Command {
	var pinFile, keyFile string
	var lastTry, yes bool
	cmd := &cobra.Command{
		Use: "wipe TOKEN", Short: "Remove a revoked keyslot's keys from a token", Args: named(1, "TOKEN"), ValidArgsFunction: c.completeTokens,
		Long: `Remove from a token the keys that enrolling made, after it was revoked. Keys
that are not of a revoked keyslot of this vault, or of an enrolment of it that
was interrupted, are never touched. A FIDO2 key
keeps nothing of a vault, so that there is mostly nothing to remove.`,
	}
	fl := cmd.Flags()
	fl.StringVar(&pinFile, "pin-file", "", "read the PIN from `FILE` (- is standard input)")
	fl.StringVar(&keyFile, "management-key-file", "", "read the PIV management key, hexadecimal, from `FILE`")
	fl.BoolVar(&lastTry, "spend-last-try", false, "allow the last try to be spent")
	fl.BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		t, err := c.pickToken(cmd, args, isPresent)
		if err != nil {
			return fail("wipe "+args[0], err)
		}
		doing := "wipe " + tokenLabel(t)
		if !yes {
			if err := c.confirm(ctx, "The keys of the revoked keyslot are destroyed on "+tokenLabel(t)+".", "--yes"); err != nil {
				return fail(doing, err)
			}
		}
		r := ipc.WipeTokenRequest{Confirm: t.ID}
		if keyFile != "" {
			if r.ManagementKey, err = c.readSecret(ctx, "--management-key-file", keyFile); err != nil {
				return fail(doing, err)
			}
			defer r.ManagementKey.Wipe()
		}
		auth := ipc.Auth{SpendLastTry: lastTry}
		if pinFile != "" {
			if auth.PIN, err = c.readSecret(ctx, "--pin-file", pinFile); err == nil {
				err = refuseMalformed(t.Kind, pinWord(&ipc.TokenRef{Kind: t.Kind}), auth.PIN)
			}
			if err != nil {
				return fail(doing, err)
			}
		}
		defer wipeAuth(&auth)
		var res ipc.WipeTokenResult
		err = c.withPIN(ctx, &auth, attempt{given: pinFile != ""}, func(ctx context.Context, a ipc.Auth) (err error) {
			r.PIN, r.SpendLastTry = a.PIN, a.SpendLastTry
			res, err = c.daemon().WipeToken(ctx, t.ID, r)
			return err
		})
		if err != nil {
			return fail(doing, err)
		}
		if c.json {
			return c.printJSON(res)
		}
		c.sayWiped(t, res.Cleared)
		return nil
	}
	return cmd
}

func (c *cli) sayWiped(t ipc.Token, cleared []string) {
	switch {
	case len(cleared) > 0:
		c.say("removed from %s: %s", tokenLabel(t), clean(strings.Join(cleared, ", ")))
	case t.Kind == kindFIDO2:
		c.say("nothing was on %s: a FIDO2 key keeps nothing of a vault, and one that was revoked opens nothing", tokenLabel(t))
	default:
		c.say("nothing of a revoked keyslot was on %s", tokenLabel(t))
	}
}
