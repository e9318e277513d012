package main

import (
	"bytes"
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/text/unicode/norm"

	"github.com/tokenbridge/tokend/ipc"
)

// A vault that holds accounts of third parties and opens with tokens alone is one
// loss away from being lost. So whatever brings such accounts in (account add,
// import) asks once for a recovery password. It does three things:
//
//	f.addWithWayBack(cmd)           in place of f.add(cmd)
//	c.readWayBack(ctx, f)           before anything is added
//	c.offerWayBack(ctx, f)          when the accounts are in the vault

// wayBack is what such a command is told about a recovery password that is not
// set yet.
type wayBack struct {
	// keep says that a PIN which is typed to unlock the vault is kept in spare, so
	// that setting the password does not ask for it once more.
	keep  bool
	spare ipc.Auth
	// password is a new one, from the file.
	password ipc.Secret
}

// addWithWayBack is add for a command that brings accounts in: with it
// --recovery-password-file has the new password of a vault that has none.
func (f *authFlags) addWithWayBack(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.token, "token", "", "use this `TOKEN` (label or id)")
	f.flags(cmd)
	fl.Lookup("recovery-password-file").Usage = "read the recovery password from `FILE` (- is standard input); it is set where the vault has none"
	cmd.MarkFlagsMutuallyExclusive("pin-file", "recovery", "recovery-key-file")
	cmd.MarkFlagsMutuallyExclusive("recovery-password-file", "recovery", "recovery-key-file")
	f.wayBack.keep = true
}

// readWayBack finds out what --recovery-password-file is for, and reads a new
// password before anything is added. Call it first.
func (c *cli) readWayBack(ctx context.Context, f *authFlags) error {
	if f.passwordFile == "" {
		return nil
	}
	st, err := c.daemon().Status(ctx)
	if err != nil {
		return err
	}
	if !st.Vault.RecoverySet.IsZero() || st.Vault.State == ipc.VaultNone {
		if f.pinFile != "" {
			return usage("only one can be given of --pin-file, --recovery-password-file: a recovery password is set already")
		}
		return nil
	}
	password, err := c.readSecret(ctx, "--recovery-password-file", f.passwordFile)
	if err != nil {
		return err
	}
	if n := utf8.RuneCount(norm.NFC.Bytes(password)); n < minPassword || n > maxPassword {
		password.Wipe()
		return usage(fmt.Sprintf("the new recovery password has %s; it must have %d to %d", plural(n, "character"), minPassword, maxPassword))
	}
	f.wayBack.password, f.passwordFile = password, ""
	return nil
}

// offerWayBack asks for a recovery password where accounts of third parties are in
// a vault that has none, or sets the one that readWayBack read. Who declines is
// told what that means, and is not asked again soon. Without a terminal nothing is
// asked, and one line says what is missing. The accounts are there whatever comes
// of it.
func (c *cli) offerWayBack(ctx context.Context, f *authFlags) error {
	defer f.wayBack.wipe()
	st, err := c.daemon().Status(ctx)
	if err != nil || !st.Vault.RecoverySet.IsZero() {
		return nil //nolint:nilerr // what was to be done is done
	}
	switch {
	case len(f.wayBack.password) > 0:
		return c.setWayBack(ctx, f, f.wayBack.password)
	case !c.canAsk():
		c.say("no recovery password is set: without the token nobody can open the vault or its backups; mend it: tokenctl recovery set-password")
		return nil
	case !st.Vault.AskRecovery:
		return nil
	}
	c.say("")
	c.say("This vault opens with %s alone. If that is lost or breaks, every account in it is lost.", onlyTokens(st))
	c.say("A recovery password opens the vault and its later backups without any token, on any machine.")
	c.say("Write it down and keep it away from this machine: nobody can tell it to you again.")
	yes, err := c.yesNo(ctx, "Set one now?", "--recovery-password-file FILE")
	switch {
	case err != nil:
		c.say("no recovery password was set; later: tokenctl recovery set-password")
		return nil //nolint:nilerr // the accounts are there
	case !yes:
		return c.declineWayBack(ctx)
	}
	password, err := c.askNewPassword(ctx, "recovery password", "--recovery-password-file FILE")
	if err != nil {
		c.say("no recovery password was set; later: tokenctl recovery set-password")
		return nil //nolint:nilerr // the accounts are there
	}
	defer password.Wipe()
	return c.setWayBack(ctx, f, password)
}

// onlyTokens is what opens a vault without a recovery password.
func onlyTokens(st ipc.Status) string {
	name, n := "", 0
	for _, t := range st.Tokens {
		if t.Enrolled {
			name, n = tokenLabel(t), n+1
		}
	}
	if n == 1 {
		return name
	}
	return "its " + plural(n, "token")
}

// declineWayBack says what having no recovery password means, and notes that the
// owner knows.
func (c *cli) declineWayBack(ctx context.Context) error {
	c.say("Then nobody can open the vault or a backup once the token is lost or broken: each service has to let you in another way. tokenctl status goes on saying so.")
	c.say("Later: tokenctl recovery set-password; a second token helps, too: tokenctl token enroll")
	if err := c.daemon().DeclineRecovery(ctx); err != nil {
		c.say("that could not be noted, so you will be asked again")
	}
	return nil
}

// setWayBack sets the recovery password. A PIN that was typed a moment ago is not
// asked for again.
func (c *cli) setWayBack(ctx context.Context, f *authFlags, password ipc.Secret) error {
	const doing = "set the recovery password (the accounts are in the vault)"
	how := f.attempt()
	if len(f.wayBack.spare.PIN) > 0 {
		how.spare = &f.wayBack.spare
	}
	err := c.openAs(ctx, f, how, func(ctx context.Context, a ipc.Auth) error {
		_, err := c.daemon().SetRecoveryPassword(ctx, ipc.SetRecoveryRequest{Auth: a, Password: bytes.Clone(password)})
		return err
	})
	if err != nil {
		return fail(doing, err)
	}
	c.say("the recovery password is set; it opens no backup made before, so make one now: tokenctl backup create FILE")
	return nil
}

func (w *wayBack) wipe() {
	wipeAuth(&w.spare)
	w.password.Wipe()
}
