package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func isEnrolled(t ipc.Token) bool { return t.Enrolled }
func isPresent(t ipc.Token) bool  { return t.Present }

func (c *cli) tokenRevokeCommand() *cobra.Command {
	var f authFlags
	var yes bool
	cmd := &cobra.Command{
		Use: "revoke TOKEN", SuggestFor: []string{"remove", "delete", "rm"}, Short: "Take a lost token's way into the vault away", Args: named(1, "TOKEN"), ValidArgsFunction: c.completeTokens,
		Long: `Remove a token's keyslot and give the vault new keys, so that the token opens
no later vault or backup. Old backups stay as they are: the token still opens
those, and they are named.`,
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
			c.say("%s will not open the vault any more. This cannot be undone, but it can be enrolled again.", tokenLabel(t))
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
		if err != nil {
			return fail(doing, err)
		}
		if c.json {
			return c.printJSON(res)
		}
		c.say("revoked %s; the vault has new keys", tokenLabel(t))
		c.sayNewSigner(before, res.Vault.Signer)
		for _, b := range res.OldBackups {
			c.say("an old backup that it still opens, to be destroyed: %s", clean(b))
		}
		c.warn(res.Warnings)
		if len(res.Warnings) == 0 {
			for _, a := range adviceRevoked() {
				c.say("%s", a)
			}
		}
		return nil
	}
	return cmd
}

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

const pinHelp = `Change a token's PIN, or the passphrase of a software token. --puk changes the
PUK; --unblock sets a new PIN with the PUK, when the PIN is forgotten or blocked.`

type pinFlags struct {
	pinFile, pukFile, newFile string
	puk, unblock, lastTry     bool
}

func (c *cli) tokenPINCommand() *cobra.Command {
	f := &pinFlags{}
	cmd := &cobra.Command{
		Use: "pin [TOKEN]", Short: "Change a token's PIN or PUK, or unblock it", Long: pinHelp, Args: named(0, "TOKEN"), ValidArgsFunction: c.completeTokens,
		Example: "  tokenctl token pin\n  tokenctl token pin --unblock",
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := c.pickToken(cmd, args, isPresent)
			if err != nil {
				return fail("change the PIN", err)
			}
			return c.changePIN(cmd.Context(), f, t)
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.puk, "puk", false, "change the PUK")
	fl.BoolVar(&f.unblock, "unblock", false, "set a new PIN with the PUK")
	fl.StringVar(&f.pinFile, "pin-file", "", "read the present PIN from `FILE` (- is standard input)")
	fl.StringVar(&f.pukFile, "puk-file", "", "read the present PUK from `FILE` (- is standard input)")
	fl.StringVar(&f.newFile, "new-pin-file", "", "read the new PIN or PUK from `FILE` (- is standard input)")
	fl.BoolVar(&f.lastTry, "spend-last-try", false, "allow the last try to be spent")
	cmd.MarkFlagsMutuallyExclusive("puk", "unblock")
	cmd.MarkFlagsMutuallyExclusive("pin-file", "puk-file")
	return cmd
}

// words are what is changed, what the old secret is called, and the new one.
func (f *pinFlags) words(t ipc.Token) (which, old, fresh string) {
	switch {
	case f.puk:
		return "puk", "PUK", "PUK"
	case f.unblock:
		return "unblock", "PUK", "PIN"
	case t.Kind == "soft":
		return "pin", "Passphrase", "passphrase"
	}
	return "pin", "PIN", "PIN"
}

func (c *cli) changePIN(ctx context.Context, f *pinFlags, t ipc.Token) error {
	which, word, newWord := f.words(t)
	flag, file := "--pin-file", f.pinFile
	if word == "PUK" {
		flag, file = "--puk-file", f.pukFile
	}
	if file == "" && (f.pinFile != "" || f.pukFile != "") {
		return usage("this needs the " + word + ": " + flag)
	}
	r := ipc.ChangePINRequest{Which: which, SpendLastTry: f.lastTry}
	doing := fmt.Sprintf("change the %s of %s", newWord, tokenLabel(t))
	var err error
	if file != "" {
		if r.Old, err = c.readSecret(ctx, flag, file); err == nil {
			err = refuseMalformed(t.Kind, lowerFirst(word), r.Old)
		}
	} else {
		r.Old, err = c.askWellFormed(ctx, t.Kind, word, fmt.Sprintf("Present %s of %s", lowerFirst(word), tokenLabel(t)), flag+" FILE")
	}
	if err != nil {
		return fail(doing, err)
	}
	auth := ipc.Auth{PIN: r.Old, SpendLastTry: f.lastTry}
	defer wipeAuth(&auth)
	if r.New, err = c.newPIN(ctx, t, newWord, f.newFile); err != nil {
		return fail(doing, err)
	}
	defer r.New.Wipe()
	err = c.withPIN(ctx, &auth, attempt{given: file != "", word: word}, func(ctx context.Context, a ipc.Auth) error {
		r.Old, r.SpendLastTry = a.PIN, a.SpendLastTry
		return c.daemon().ChangePIN(ctx, t.ID, r)
	})
	if err != nil {
		return fail(doing, err)
	}
	c.say("changed the %s of %s", newWord, tokenLabel(t))
	return nil
}

// secretOrAsk reads a secret from the file that flag names, or asks for it.
func (c *cli) secretOrAsk(ctx context.Context, prompt, flag, file string) (ipc.Secret, error) {
	if file != "" {
		return c.readSecret(ctx, flag, file)
	}
	return c.askSecret(ctx, prompt, flag+" FILE")
}

// newPIN asks for a new PIN twice.
func (c *cli) newPIN(ctx context.Context, t ipc.Token, word, file string) (ipc.Secret, error) {
	switch {
	case file != "":
		pin, err := c.readSecret(ctx, "--new-pin-file", file)
		if err == nil {
			err = refuseMalformed(t.Kind, word, pin)
		}
		return pin, err
	case t.Kind == "soft":
		return c.askNewPassword(ctx, word+" of the software token", "--new-pin-file FILE")
	}
	for {
		prompt := fmt.Sprintf("New %s (%d to %d characters)", word, minPIN, maxPIN)
		first, err := c.askWellFormed(ctx, t.Kind, word, prompt, "--new-pin-file FILE")
		if err != nil {
			return nil, err
		}
		if same, err := c.askAgain(ctx, first, "--new-pin-file FILE"); same || err != nil {
			return first, err
		}
	}
}

func (c *cli) tokenWipeCommand() *cobra.Command {
	var pinFile, keyFile string
	var lastTry, yes bool
	cmd := &cobra.Command{
		Use: "wipe TOKEN", Short: "Remove a revoked keyslot's keys from a token", Args: named(1, "TOKEN"), ValidArgsFunction: c.completeTokens,
		Long: `Remove from a token the keys that enrolling made, after it was revoked. Keys
that are not of a revoked keyslot of this vault are never touched.`,
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
		c.say("removed from %s: %s", tokenLabel(t), clean(orDash(strings.Join(res.Cleared, ", "))))
		return nil
	}
	return cmd
}
