package main

import (
	"bytes"
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

const initHelp = `Make a vault that a token opens. For people, quickstart is easier; init is the
same in one command, for scripts too.

  --token piv    a PIV card such as a YubiKey: the keys never leave it
  --token fido2  a FIDO2 security key with hmac-secret: nothing is stored on it
  --token soft   a file sealed by a passphrase: not hardware, for trying
  --token none   no token: only the recovery password opens the vault

The recovery password opens the vault and its backups without any token. Without
one, a lost token is a lost vault: enrol a second token then.`

const initExamples = `  tokenctl init --token piv
  tokenctl init --token fido2 --device /dev/hidraw3
  tokenctl init --token piv --reader Yubico --slot 9d --use-existing
  tokenctl init --token soft --pin-file pass.txt --recovery-password-file rp.txt`

func (c *cli) initCommand() *cobra.Command {
	var ef enrollFlags
	var passwordFile string
	var noPassword bool
	var bf backupFlags
	cmd := &cobra.Command{
		Use: "init --token piv|fido2|soft|none", Short: "Make a vault", Long: initHelp, Example: initExamples, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if err := c.mustHaveNoVault(ctx, "make a vault"); err != nil {
				return err
			}
			var r ipc.InitRequest
			var err error
			if ef.infer(); ef.kind == "" {
				if err = c.proposeToken(ctx, &ef, "none"); err != nil {
					return fail("make a vault", err)
				}
			}
			if err := ef.check(); err != nil {
				return err
			}
			if err := c.chooseToken(ctx, &ef); err != nil {
				return fail("make a vault", err)
			}
			if err := c.offerPIN(ctx, &ef, false); err != nil {
				return fail("make a vault", err)
			}
			if ef.kind != "none" {
				if r.Enroll, err = ef.request(ctx, c); err != nil {
					return fail("make a vault", err)
				}
			}
			if r.RecoveryPassword, err = c.newRecoveryPassword(ctx, passwordFile, noPassword); err != nil {
				return fail("make a vault", err)
			}
			defer r.RecoveryPassword.Wipe()
			if r.Enroll == nil && len(r.RecoveryPassword) == 0 {
				return usage("a vault without a token needs a recovery password")
			}
			var res ipc.InitResult
			err = c.onUsedCard(ctx, r.Enroll, func(given bool) (err error) {
				res, err = c.makeVault(ctx, r, given, nil)
				return err
			}, ef.pinFile != "")
			if err != nil {
				return enrollFailure("make a vault", "tokenctl init", &ef, err)
			}
			return c.showVaultMade(ctx, res, &bf)
		},
	}
	ef.add(cmd)
	fl := cmd.Flags()
	fl.Lookup("token").Usage = "`KIND` of token: piv, fido2, soft or none"
	fl.StringVar(&passwordFile, "recovery-password-file", "", "read the new recovery password from `FILE` (- is standard input)")
	fl.BoolVar(&noPassword, "no-recovery-password", false, "set no recovery password")
	bf.add(cmd)
	cmd.MarkFlagsMutuallyExclusive("recovery-password-file", "no-recovery-password")
	return cmd
}

// mustHaveNoVault fails before anything is asked when there is a vault already.
func (c *cli) mustHaveNoVault(ctx context.Context, doing string) error {
	st, err := c.daemon().Status(ctx)
	if err != nil {
		return fail(doing, err)
	}
	if st.Vault.State != ipc.VaultNone {
		return failWith(doing, &ipc.Error{Kind: ipc.AlreadyExists, Message: "you have a vault already"}, adviceVaultExists()...)
	}
	return nil
}

// isDamaged says of a vault that it cannot be used as it is.
func isDamaged(st ipc.Status) bool {
	return st.Vault.State == ipc.VaultBroken || st.Vault.State == ipc.VaultReadOnly || st.Vault.Problem != nil ||
		slices.ContainsFunc(st.Warnings, func(w ipc.Warning) bool { return w.Code == "vault-damaged" })
}

// newRecoveryPassword is the password of a new vault: from the file, asked for,
// or none if that was said.
func (c *cli) newRecoveryPassword(ctx context.Context, file string, none bool) (ipc.Secret, error) {
	switch {
	case none:
		return nil, nil
	case file != "":
		return c.readSecret(ctx, "--recovery-password-file", file)
	case !c.canAsk():
		return nil, noTerminal("a recovery password", "--recovery-password-file FILE, or --no-recovery-password")
	}
	c.explainRecovery()
	return c.askNewPassword(ctx, "recovery password", "--recovery-password-file FILE")
}

func (c *cli) explainRecovery() {
	c.say("The recovery password opens your vault and its backups without any token, on any machine.")
	c.say("Write it down and keep it away from this machine: nobody can tell it to you again.")
}

// makeVault asks for the token's PIN as often as sensible.
func (c *cli) makeVault(ctx context.Context, r ipc.InitRequest, given bool, kept *ipc.Auth) (ipc.InitResult, error) {
	var res ipc.InitResult
	var auth ipc.Auth
	if r.Enroll != nil {
		auth.PIN, auth.SpendLastTry = r.Enroll.PIN, r.Enroll.SpendLastTry
	}
	defer wipeAuth(&auth)
	err := c.withPIN(ctx, &auth, attempt{given: given}, func(ctx context.Context, a ipc.Auth) (err error) {
		if r.Enroll != nil {
			r.Enroll.PIN, r.Enroll.SpendLastTry = a.PIN, a.SpendLastTry
		}
		res, err = c.daemon().Init(ctx, r)
		if err == nil && kept != nil && res.Token != nil {
			*kept = ipc.Auth{Token: res.Token.ID, PIN: bytes.Clone(a.PIN)}
		}
		return err
	})
	return res, err
}

// showVaultMade tells of a new vault, and sets up where its backups go.
func (c *cli) showVaultMade(ctx context.Context, res ipc.InitResult, bf *backupFlags) error {
	if c.json {
		return errors.Join(c.printJSON(res), bf.setUp(ctx, c))
	}
	if len(bf.to) > 0 {
		// What follows mends it, or says why it could not.
		res.Warnings = slices.DeleteFunc(res.Warnings, func(w ipc.Warning) bool { return w.Code == ipc.BackupNone })
	}
	c.sayVaultMade(res)
	return bf.setUp(ctx, c)
}

func (c *cli) sayVaultMade(res ipc.InitResult) {
	c.say("made vault %s; it is unlocked", clean(res.Vault.ID))
	if res.Token != nil {
		c.say("it opens with %s", tokenLabel(*res.Token))
	}
	if !res.Vault.RecoverySet.IsZero() {
		c.say("and with the recovery password")
	}
	if res.Vault.Signer != "" {
		c.say("its backups are signed by %s: note it, to know them again", clean(res.Vault.Signer))
	}
	c.warn(res.Warnings)
}

func (c *cli) unlockCommand() *cobra.Command {
	var f authFlags
	cmd := &cobra.Command{
		Use: "unlock", Short: "Open the vault with a token or the recovery password", Args: noArgs,
		Long: `Open the vault until it locks: by itself when it was idle for some minutes, or
with tokenctl lock. A token that is plugged in is used; its PIN is asked for.`,
		Example: "  tokenctl unlock\n  tokenctl unlock --pin-file /run/secrets/pin\n  tokenctl unlock --recovery",
		RunE: func(cmd *cobra.Command, _ []string) error {
			auth, err := f.load(cmd.Context(), c)
			if err != nil {
				return fail("unlock the vault", err)
			}
			defer wipeAuth(&auth)
			var res ipc.UnlockResult
			err = c.withPIN(cmd.Context(), &auth, f.attempt(), func(ctx context.Context, a ipc.Auth) (err error) {
				res, err = c.daemon().Unlock(ctx, ipc.UnlockRequest{Auth: a})
				return err
			})
			if err != nil {
				return fail("unlock the vault", err)
			}
			if c.json {
				return c.printJSON(res)
			}
			c.say("unlocked%s", by(res.Vault.UnlockedBy))
			if !res.Vault.IdleLock.IsZero() {
				c.say("it locks when idle for %s", span(res.Vault.IdleLock.Sub(c.now())))
			}
			c.warn(res.Notices)
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

func by(what string) string {
	if what == "" {
		return ""
	}
	return " by " + clean(what)
}

func (c *cli) lockCommand() *cobra.Command {
	return &cobra.Command{
		Use: "lock", Short: "Close the vault now", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.daemon().Lock(cmd.Context()); err != nil {
				return fail("lock the vault", err)
			}
			c.say("locked")
			return nil
		},
	}
}

func (c *cli) vaultCommand() *cobra.Command {
	return group("vault", "Repair a damaged vault", c.vaultRecoverCommand())
}

func (c *cli) vaultRecoverCommand() *cobra.Command {
	var f authFlags
	var apply bool
	cmd := &cobra.Command{
		Use: "recover", Short: "Compare a damaged vault with the last good state, and go back to that", Args: noArgs,
		Long: `Say what is damaged, and what the last good state of the vault holds. With
--apply that state becomes the vault again; the damaged file is kept beside it.`,
		Example: "  tokenctl vault recover\n  tokenctl vault recover --apply",
	}
	cmd.Flags().BoolVar(&apply, "apply", false, "go back to the last good state")
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var res ipc.RecoverVaultResult
		auth, err := f.load(cmd.Context(), c)
		if err != nil {
			return fail("recover the vault", err)
		}
		defer wipeAuth(&auth)
		err = c.withPIN(cmd.Context(), &auth, f.attempt(), func(ctx context.Context, a ipc.Auth) (err error) {
			res, err = c.daemon().RecoverVault(ctx, ipc.RecoverVaultRequest{Auth: a, Apply: apply})
			return err
		})
		switch ipc.KindOf(err) {
		case ipc.VaultDamaged, ipc.VaultReplaced, ipc.VaultRolledBack:
			return failWith("recover the vault", err, adviceNothingLeft()...)
		}
		if err != nil {
			return fail("recover the vault", err)
		}
		if c.json {
			return c.printJSON(res)
		}
		c.sayRecovered(res)
		return nil
	}
	return cmd
}

func (c *cli) sayRecovered(res ipc.RecoverVaultResult) {
	switch {
	case res.Damaged:
		c.say("damaged: %s", clean(res.Problem))
	case res.Problem != "":
		c.say("not the vault as it was: %s", clean(res.Problem))
		c.say("signed by %s: compare it with what was noted when the vault was made, or with an earlier backup's", clean(res.Signer))
	default:
		c.say("the vault is whole; nothing was changed")
		return
	}
	c.say("last good state: number %d, written %s, with %s", res.Generation, ago(c.now(), res.Written), plural(len(res.Accounts), "account"))
	c.show(accountTable(res.Accounts))
	for _, l := range res.Lost {
		c.say("lost since then: %s", clean(l))
	}
	if res.Applied {
		c.say("that state is the vault again")
		if res.Kept != "" {
			c.say("the damaged file was kept: %s", clean(res.Kept))
		}
		c.say("make a backup now: tokenctl backup create FILE")
		return
	}
	c.say("nothing was changed; to go back to that state: tokenctl vault recover --apply")
}

// tokenPlace is a token's label with the place where it is.
func tokenPlace(t ipc.Token) string {
	label, at := tokenLabel(t), clean(t.Locator)
	if at == "" {
		return label
	}
	return label + " (" + at + ")"
}

// tokenLabel is how a token in a list is called.
func tokenLabel(t ipc.Token) string {
	const softName = "software token" // of one that nobody gave a name
	name := tokenName(&ipc.TokenRef{ID: t.ID, Label: t.Label})
	if t.Label == "" && t.Model != "" {
		name = clean(t.Model)
	}
	switch {
	case t.Enrolled:
	case t.Serial != "" && !strings.Contains(name, clean(t.Serial)):
		name += " " + clean(t.Serial) // two of a model are told apart by it
	case t.Kind == kindFIDO2 && t.Serial == "" && t.Locator != "":
		// FIDO2 keys tell no number of their own, and the model's tells nobody
		// anything.
		if i := strings.LastIndexByte(name, ' '); i > 0 && len(name)-i-1 == len("00000000-0000-0000-0000-000000000000") {
			name = name[:i]
		}
		name += " at " + clean(path.Base(t.Locator))
	}
	switch {
	case t.Hardware:
		return name
	case name == softName:
		return name + ", not hardware"
	}
	return name + " (software token, not hardware)"
}
