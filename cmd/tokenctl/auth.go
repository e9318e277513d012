package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

// authFlags are the flags by which a command is told how to open the vault.
type authFlags struct {
	token        string
	pinFile      string
	passwordFile string
	keyFile      string
	recovery     bool
	lastTry      bool
	wayBack      wayBack
}

func (f *authFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.token, "token", "", "use this `TOKEN` (label or id)")
	f.addWithoutToken(cmd)
}

// addWithoutToken is for commands in which --token means something else.
func (f *authFlags) addWithoutToken(cmd *cobra.Command) {
	f.flags(cmd)
	cmd.MarkFlagsMutuallyExclusive("pin-file", "recovery", "recovery-password-file", "recovery-key-file")
}

// flags defines all of them but --token.
func (f *authFlags) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.pinFile, "pin-file", "", "read the PIN from `FILE` (- is standard input); it is tried once")
	fl.BoolVar(&f.lastTry, "spend-last-try", false, "allow the PIN to be tried when one try is left")
	fl.BoolVar(&f.recovery, "recovery", false, "ask for the recovery password rather than use a token")
	fl.StringVar(&f.passwordFile, "recovery-password-file", "", "read the recovery password from `FILE` (- is standard input)")
	fl.StringVar(&f.keyFile, "recovery-key-file", "", "read the recovery key, typed or as a picture of its QR code, from `FILE` (- is standard input)")
}

// given says that a flag supplies a secret, so that nothing is asked.
func (f *authFlags) given() bool {
	return f.pinFile != "" || f.passwordFile != "" || f.keyFile != "" || f.recovery
}

// attempt is how a call with these flags is repeated.
func (f *authFlags) attempt() attempt { return attempt{given: f.given(), typed: f.recovery} }

// load reads what the flags name.
func (f *authFlags) load(ctx context.Context, c *cli) (ipc.Auth, error) {
	a := ipc.Auth{Token: f.token, SpendLastTry: f.lastTry}
	var err error
	switch {
	case f.pinFile != "":
		if a.PIN, err = c.readSecret(ctx, "--pin-file", f.pinFile); err == nil {
			err = c.checkGivenPIN(ctx, f.token, a.PIN)
		}
	case f.passwordFile != "":
		a.RecoveryPassword, err = c.readSecret(ctx, "--recovery-password-file", f.passwordFile)
	case f.keyFile != "":
		a.RecoveryKey, err = c.readRecoveryKey(ctx, "--recovery-key-file", f.keyFile)
	case f.recovery:
		err = c.askRecovery(ctx, &a)
	}
	return a, err
}

func wipeAuth(a *ipc.Auth) {
	a.PIN.Wipe()
	a.RecoveryPassword.Wipe()
	a.RecoveryKey.Wipe()
}

// attempt says how a call is repeated until it has the PIN it wants.
type attempt struct {
	// given: the secret came from a file. It is tried once and nothing is asked.
	given bool
	// typed: the recovery password was asked for here; a wrong one is asked for
	// again.
	typed bool
	// mine says whether an error is about a PIN that this attempt can ask for;
	// nil means that every one is.
	mine func(*ipc.Error) bool
	// word is what is asked for, "PIN" when empty.
	word string
	// flag gives the PIN in a file, "--pin-file" when empty.
	flag string
	// agree: where no token can, the recovery password is asked for in its place.
	agree bool
	// quiet: somebody further in tells what is waited for.
	quiet bool
	// spare, when set, has a PIN that was typed a moment ago for the token that it
	// names, so that nobody has to type it twice.
	spare *ipc.Auth
}

// open runs call with what the flags offer and answers, at a terminal, the
// questions that its errors put: it unlocks the vault in passing and asks for
// the PIN of the token that the error names.
func (c *cli) open(ctx context.Context, f *authFlags, call func(context.Context, ipc.Auth) error) error {
	return c.openAs(ctx, f, f.attempt(), call)
}

func (c *cli) openAs(ctx context.Context, f *authFlags, how attempt, call func(context.Context, ipc.Auth) error) error {
	auth, err := f.load(ctx, c)
	if err != nil {
		return err
	}
	defer wipeAuth(&auth)
	err = c.withPIN(ctx, &auth, how, call)
	if how.agree && c.passwordInstead(ctx, f, err) {
		return c.openByPassword(ctx, f, how, call)
	}
	if !isLocked(err) || !f.given() && !c.canAsk() {
		return err
	}
	if err := c.unlockWith(ctx, &auth, f.attempt()); err != nil {
		if how.agree && c.passwordInstead(ctx, f, err) {
			return c.openByPassword(ctx, f, how, call)
		}
		return err
	}
	if !f.given() {
		// The PIN that was typed was for unlocking: it goes no further than to the
		// same token, should that want it once more.
		spare := auth
		if f.wayBack.keep {
			wipeAuth(&f.wayBack.spare)
			f.wayBack.spare = ipc.Auth{Token: spare.Token, PIN: bytes.Clone(spare.PIN), SpendLastTry: spare.SpendLastTry}
		}
		defer wipeAuth(&spare)
		how.spare = &spare
		auth = ipc.Auth{Token: f.token, SpendLastTry: f.lastTry}
	}
	return c.withPIN(ctx, &auth, how, call)
}

// isLocked says that a call failed because the vault was locked when it began.
// Where somebody locked it meanwhile, he meant it, and nothing opens it again.
func isLocked(err error) bool {
	var e *ipc.Error
	return errors.As(err, &e) && e.Kind == ipc.VaultLocked && !e.Meanwhile
}

// openByPassword is openAs with the recovery password in a token's place.
func (c *cli) openByPassword(ctx context.Context, f *authFlags, how attempt, call func(context.Context, ipc.Auth) error) error {
	other := *f
	other.token, other.recovery = "", true
	how.given, how.typed, how.agree = true, true, false
	return c.openAs(ctx, &other, how, call)
}

// passwordInstead says whether to ask for the recovery password because no token
// is there that could agree: after a loss that is the only way on.
func (c *cli) passwordInstead(ctx context.Context, f *authFlags, err error) bool {
	var e *ipc.Error
	if !errors.As(err, &e) || e.Kind != ipc.TokenNotPresent && e.Kind != ipc.NoKeyslot || f.given() || !c.canAsk() {
		return false
	}
	if st, err := c.daemon().Status(ctx); err != nil || st.Vault.RecoverySet.IsZero() {
		return false
	}
	c.say("%s; the recovery password can agree in its place%s", clean(e.Message), either(noTokenCan(e), "", " (Ctrl-C to plug it in and repeat)"))
	return true
}

// openAgreed is open for what an enrolled token has to agree to.
func (c *cli) openAgreed(ctx context.Context, f *authFlags, call func(context.Context, ipc.Auth) error) error {
	how := f.attempt()
	how.agree = true
	return c.openAs(ctx, f, how, call)
}

// unlockWith opens the session class.
func (c *cli) unlockWith(ctx context.Context, auth *ipc.Auth, how attempt) error {
	err := c.withPIN(ctx, auth, how, func(ctx context.Context, a ipc.Auth) error {
		res, err := c.daemon().Unlock(ctx, ipc.UnlockRequest{Auth: a})
		if err == nil {
			c.warn(res.Notices)
		}
		return err
	})
	return fail("unlock the vault", err)
}

// withPIN runs call until it succeeds, fails for another reason than a PIN, or
// no try should be spent any more.
func (c *cli) withPIN(ctx context.Context, auth *ipc.Auth, how attempt, call func(context.Context, ipc.Auth) error) error {
	once := func(ctx context.Context) error { return call(ctx, *auth) }
	for asked := 0; ; asked++ {
		var err error
		if how.quiet {
			err = once(ctx)
		} else {
			err = c.announced(ctx, once)
		}
		if how.typed && asked < maxPINs && ipc.KindOf(err) == ipc.WrongPassword && len(auth.RecoveryPassword)+len(auth.RecoveryKey) > 0 && c.canAsk() {
			if err := c.askPasswordAgain(ctx, auth); err != nil {
				return err
			}
			continue
		}
		e := pinError(err)
		if e == nil || how.given || asked >= maxPINs || how.mine != nil && !how.mine(e) {
			return err
		}
		if s := how.spare; s != nil && e.Kind == ipc.PINRequired && e.Token != nil && e.Token.ID == s.Token && len(s.PIN) > 0 {
			auth.Token, auth.PIN, auth.SpendLastTry = s.Token, bytes.Clone(s.PIN), s.SpendLastTry
			how.spare = nil
			continue
		}
		if !c.canAsk() {
			if e.Kind == ipc.PINRequired {
				return noTerminal("the "+pinWord(e.Token)+" of "+tokenName(e.Token), cmp.Or(how.flag, "--pin-file")+" FILE")
			}
			return err
		}
		pin, spend, err := c.askPIN(ctx, e, how.word)
		if err != nil {
			return err
		}
		auth.PIN.Wipe()
		auth.PIN, auth.SpendLastTry = pin, spend
		if e.Token != nil {
			auth.Token = e.Token.ID
		}
	}
}

// askPasswordAgain asks once more after a wrong recovery password. A person who
// mistyped it types it again at once, and must not do so into his shell.
func (c *cli) askPasswordAgain(ctx context.Context, auth *ipc.Auth) (err error) {
	c.say("%s", either(len(auth.RecoveryKey) > 0, "another recovery key than this one's", "wrong recovery password"))
	auth.RecoveryPassword.Wipe()
	auth.RecoveryKey.Wipe()
	return c.askRecovery(ctx, auth)
}

// recoveryPrompt asks for the recovery password.
const recoveryPrompt = "Recovery password"

// maxPINs is how often a PIN is asked for in one command.
const maxPINs = 5

// pinError is err if a PIN, typed by a person, could mend it.
func pinError(err error) *ipc.Error {
	var e *ipc.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Kind {
	case ipc.PINRequired, ipc.PINInvalid, ipc.PINLastTry:
		if e.TriesLeft != nil && *e.TriesLeft == 0 {
			return nil
		}
		return e
	}
	return nil
}

// askPIN asks for the PIN that e wants. The last try is never spent without a
// word.
func (c *cli) askPIN(ctx context.Context, e *ipc.Error, word string) (pin ipc.Secret, spend bool, err error) {
	name := tokenName(e.Token)
	if word == "" {
		word = upperFirst(pinWord(e.Token))
	}
	tries := ""
	if e.TriesLeft != nil {
		tries = fmt.Sprintf(" (%s left)", plural(*e.TriesLeft, "try"))
	}
	if e.Kind == ipc.PINInvalid {
		c.say("wrong %s", lowerFirst(word))
	}
	if e.Kind == ipc.PINLastTry || e.TriesLeft != nil && *e.TriesLeft == 1 {
		q := fmt.Sprintf("This is the last try: a wrong %s blocks %s.", lowerFirst(word), name)
		if err := c.confirm(ctx, q, "--spend-last-try"); err != nil {
			return nil, false, err
		}
		spend, tries = true, " (last try)"
	}
	kind := ""
	if e.Token != nil {
		kind = e.Token.Kind
	}
	pin, err = c.askWellFormed(ctx, kind, word, fmt.Sprintf("%s for %s%s", word, name, tries), "--pin-file FILE")
	return pin, spend, err
}
