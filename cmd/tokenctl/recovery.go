package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) recoveryCommand() *cobra.Command {
	return group("recovery", "The way back without a token: set, check and print it",
		c.recoverySetCommand(), c.recoveryCheckCommand(), c.recoveryShowCommand(), c.recoveryRotateCommand())
}

// recoveryFlags are those of the commands that set a new recovery password. The
// old one agrees under a name of its own.
type recoveryFlags struct {
	auth    authFlags
	newFile string
}

func (f *recoveryFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.newFile, "recovery-password-file", "", "read the new recovery password from `FILE` (- is standard input)")
	fl.StringVar(&f.auth.passwordFile, "old-recovery-password-file", "", "agree with the old recovery password from `FILE`")
	fl.StringVar(&f.auth.token, "token", "", "agree with this `TOKEN`, where accounts need a touch")
	fl.StringVar(&f.auth.pinFile, "pin-file", "", "read its PIN from `FILE`; it is tried once")
	fl.BoolVar(&f.auth.lastTry, "spend-last-try", false, "allow the PIN to be tried when one try is left")
	fl.StringVar(&f.auth.keyFile, "recovery-key-file", "", "agree with the old recovery key from `FILE`")
	cmd.MarkFlagsMutuallyExclusive("pin-file", "old-recovery-password-file", "recovery-key-file")
}

type setRecovery func(context.Context, ipc.SetRecoveryRequest) (ipc.RecoveryResult, error)

func (c *cli) setRecovery(ctx context.Context, f *recoveryFlags, doing string, rotated bool, set setRecovery) error {
	var password ipc.Secret
	var err error
	if f.newFile != "" {
		password, err = c.readSecret(ctx, "--recovery-password-file", f.newFile)
	} else {
		if c.canAsk() {
			c.explainRecovery()
		}
		password, err = c.askNewPassword(ctx, "recovery password", "--recovery-password-file FILE")
	}
	if err != nil {
		return fail(doing, err)
	}
	defer password.Wipe()
	var res ipc.RecoveryResult
	before := ""
	err = c.openAgreed(ctx, &f.auth, func(ctx context.Context, a ipc.Auth) (err error) {
		before = c.signer(ctx)
		res, err = set(ctx, ipc.SetRecoveryRequest{Auth: a, Password: password})
		return err
	})
	var e *ipc.Error
	if errors.As(err, &e) && (e.Kind == ipc.TokenNotPresent || e.Kind == ipc.NoKeyslot) {
		return failWith(doing, err, adviceAgree(e, "--old-recovery-password-file")...)
	}
	if err != nil {
		return fail(doing, err)
	}
	if c.json {
		return c.printJSON(res)
	}
	if rotated {
		c.say("the vault has a new recovery key: one that was printed before opens older backups only")
	}
	c.say("the recovery password is set; older backups keep the one they were made with")
	c.sayOldBackups(either(rotated, "the former key and password still open", "the former password still opens"), res.OldBackups)
	c.say("make a backup now: tokenctl backup create FILE")
	c.sayNewSigner(before, res.Vault.Signer)
	return nil
}

// signer is what signs the vault now; empty when that is not known.
func (c *cli) signer(ctx context.Context) string {
	st, err := c.daemon().Status(ctx)
	if err != nil {
		return ""
	}
	return st.Vault.Signer
}

// sayNewSigner tells of a key that signs the vault from now on: who noted the
// former one would take the next backup for a stranger's.
func (c *cli) sayNewSigner(before, after string) {
	if after != "" && after != before {
		c.say("its backups are signed by another key from now on: %s", clean(after))
		c.say("  note it in place of the former one, which older backups keep")
	}
}

func (c *cli) recoverySetCommand() *cobra.Command {
	var f recoveryFlags
	cmd := &cobra.Command{
		Use: "set-password", Short: "Set or change the recovery password", Args: noArgs,
		Long: `Set the password that opens the vault and its later backups without any token:
10 to 128 characters. It is asked for twice.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.setRecovery(cmd.Context(), &f, "set the recovery password", false, c.daemon().SetRecoveryPassword)
		},
	}
	f.add(cmd)
	return cmd
}

func (c *cli) recoveryRotateCommand() *cobra.Command {
	var f recoveryFlags
	var yes bool
	cmd := &cobra.Command{
		Use: "rotate", Short: "Make a new recovery key and give the vault new keys", Args: noArgs,
		Long: `Replace the recovery key itself, when the old key, or the old password together
with a backup, may be in wrong hands. The old ones open no later vault or
backup; old backups stay as they are.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				c.sayRotation(cmd.Context())
				if err := c.confirm(cmd.Context(), "Make a new recovery key?", "--yes"); err != nil {
					return fail("rotate the recovery key", err)
				}
			}
			return c.setRecovery(cmd.Context(), &f, "rotate the recovery key", true, c.daemon().RotateRecovery)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	f.add(cmd)
	return cmd
}

// sayRotation says what a new recovery key does, before it is asked for.
func (c *cli) sayRotation(ctx context.Context) {
	c.say("What will be:")
	c.say("- The vault gets a new recovery key, which your new password opens, and new keys.")
	c.say("- The old password, and an old key on paper, open it no more, nor any later backup.")
	c.say("- Tokens go on opening it. None need be plugged in: the old password can agree.")
	c.say("- Backups made until now the old ones still open: they will be named.")
	if st, err := c.daemon().Status(ctx); err == nil && !st.Vault.LastBackup.IsZero() {
		c.say("  The last was copied out of the daemon's folder %s.", ago(c.now(), st.Vault.LastBackup))
	}
	c.say("- If the old password and an old copy of the vault may be in one hand: renew the accounts at their services as well. Nothing else helps then.")
}

// mustHaveRecovery fails before anything is asked when the vault has no
// recovery password.
func (c *cli) mustHaveRecovery(ctx context.Context, doing string) error {
	st, err := c.daemon().Status(ctx)
	if err != nil {
		return fail(doing, err)
	}
	if st.Vault.RecoverySet.IsZero() && (st.Vault.State == ipc.VaultIsLocked || st.Vault.State == ipc.VaultUnlocked) {
		return failWith(doing, &ipc.Error{Kind: ipc.NotFound, Message: "no recovery password is set"}, adviceNoRecovery()...)
	}
	return nil
}

func (c *cli) recoveryCheckCommand() *cobra.Command {
	var passwordFile, keyFile string
	cmd := &cobra.Command{
		Use: "check", Short: "Check that you still know the recovery password", Args: noArgs,
		Long: `Try the recovery password, or a printed recovery key, against the vault. Nothing is
opened. That the password was right is remembered, with the day; "tokenctl status"
asks for it again when that is long ago. What is wrong costs nothing but a wait.`,
	}
	fl := cmd.Flags()
	fl.StringVar(&passwordFile, "recovery-password-file", "", "read the password from `FILE` (- is standard input)")
	fl.StringVar(&keyFile, "recovery-key-file", "", "try the recovery key from `FILE` instead (- is standard input)")
	cmd.MarkFlagsMutuallyExclusive("recovery-password-file", "recovery-key-file")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		const doing = "check the recovery password"
		if err := c.mustHaveRecovery(ctx, doing); err != nil {
			return err
		}
		var auth ipc.Auth
		var err error
		if keyFile != "" {
			auth.RecoveryKey, err = c.readRecoveryKey(ctx, "--recovery-key-file", keyFile)
		} else {
			auth.RecoveryPassword, err = c.secretOrAsk(ctx, recoveryPrompt, "--recovery-password-file", passwordFile)
		}
		if err != nil {
			return fail(doing, err)
		}
		defer wipeAuth(&auth)
		var res ipc.CheckRecoveryResult
		err = c.withPIN(ctx, &auth, attempt{given: true, typed: passwordFile == ""}, func(ctx context.Context, a ipc.Auth) (err error) {
			res, err = c.daemon().CheckRecovery(ctx, ipc.CheckRecoveryRequest{Password: a.RecoveryPassword, Key: a.RecoveryKey})
			return err
		})
		if err != nil {
			return c.checkFailure(ctx, doing, err)
		}
		if c.json {
			return c.printJSON(res)
		}
		c.say("it is right; set %s", ago(c.now(), res.Set))
		if keyFile == "" {
			c.say("that is remembered: it is asked for again in some months")
		}
		return nil
	}
	return cmd
}

func (c *cli) recoveryShowCommand() *cobra.Command {
	var passwordFile string
	var yes bool
	cmd := &cobra.Command{
		Use: "show-key", Short: "Print the recovery key, for paper", Args: noArgs,
		Long: `Print the recovery key itself: whoever has it and a backup has all secrets of
the vault, without the password. For paper in a safe place. At a terminal it comes
in groups, to be typed in, and as a QR code; in a pipe alone on its line.`,
	}
	cmd.Flags().StringVar(&passwordFile, "recovery-password-file", "", "read the password from `FILE` (- is standard input)")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		const doing = "show the recovery key"
		if err := c.mustHaveRecovery(ctx, doing); err != nil {
			return err
		}
		if !yes {
			c.say("Whoever sees the recovery key and gets a backup has every secret in it.")
			if err := c.confirm(ctx, "Show it?", "--yes"); err != nil {
				return fail(doing, err)
			}
		}
		var auth ipc.Auth
		var err error
		if auth.RecoveryPassword, err = c.secretOrAsk(ctx, recoveryPrompt, "--recovery-password-file", passwordFile); err != nil {
			return fail(doing, err)
		}
		defer wipeAuth(&auth)
		var res ipc.RecoveryKey
		err = c.withPIN(ctx, &auth, attempt{given: true, typed: passwordFile == ""}, func(ctx context.Context, a ipc.Auth) (err error) {
			res, err = c.daemon().ShowRecoveryKey(ctx, ipc.ShowRecoveryKeyRequest{Password: a.RecoveryPassword})
			return err
		})
		if err != nil {
			return fail(doing, err)
		}
		defer res.Key.Wipe()
		if c.json {
			return c.printJSON(res)
		}
		c.say("vault %s, signed by %s", clean(res.VaultID), clean(res.Signer))
		return c.showKey(res.Key)
	}
	return cmd
}

// checkFailure is how a check of the recovery password fails: with when the
// right one was set, and what opens the vault without it.
func (c *cli) checkFailure(ctx context.Context, doing string, err error) error {
	if !isKind(err, ipc.WrongPassword) {
		return fail(doing, err)
	}
	st, statusErr := c.daemon().Status(ctx)
	if statusErr != nil {
		return fail(doing, err)
	}
	var others []string
	for _, t := range st.Tokens {
		if t.Enrolled {
			others = append(others, tokenLabel(t)+either(t.Present, "", " (not plugged in)"))
		}
	}
	return failWith(doing, err, adviceCheckedWrong(ago(c.now(), st.Vault.RecoverySet), strings.Join(others, ", "))...)
}
