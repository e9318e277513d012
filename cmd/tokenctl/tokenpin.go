package main

import (
	"context"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

const pinHelp = `Change a token's PIN, or the passphrase of a software token. A FIDO2 key that
has no PIN yet is given one.

--puk changes the PUK of a PIV card; --unblock sets a new PIN with the PUK, when
the PIN is forgotten or blocked. A FIDO2 key has no PUK: a PIN that is blocked
takes a reset, which destroys all that is on the key.`

type pinFlags struct {
	pinFile, pukFile, newFile string
	puk, unblock, lastTry     bool
}

func (c *cli) tokenPINCommand() *cobra.Command {
	f := &pinFlags{}
	cmd := &cobra.Command{
		Use: "pin [TOKEN]", Short: "Set or change a token's PIN or PUK, or unblock it", Long: pinHelp, Args: named(0, "TOKEN"), ValidArgsFunction: c.completeTokens,
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
	fl.BoolVar(&f.puk, "puk", false, "PIV: change the PUK")
	fl.BoolVar(&f.unblock, "unblock", false, "PIV: set a new PIN with the PUK")
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

// check refuses flags that the token has no use for.
func (f *pinFlags) check(t ipc.Token) error {
	puk := f.puk || f.unblock || f.pukFile != ""
	switch {
	case t.Kind == kindFIDO2 && puk:
		return failWith("", &ipc.Error{Kind: ipc.InvalidArgument, Message: tokenLabel(t) + " is a FIDO2 key, and those have no PUK"}, adviceNoPUK(t)...)
	case t.Kind == "soft" && puk:
		return usage("a software token has no PUK; its passphrase cannot be replaced without it", adviceSoftPUK()...)
	case t.NoPIN && f.pinFile != "":
		return usage("no PIN is set on "+tokenLabel(t)+", so there is none to give with --pin-file", adviceFirstPIN(t)...)
	}
	return nil
}

func (c *cli) changePIN(ctx context.Context, f *pinFlags, t ipc.Token) error {
	if err := f.check(t); err != nil {
		return err
	}
	which, word, newWord := f.words(t)
	first := t.NoPIN && which == "pin"
	doing := fmt.Sprintf("%s the %s of %s", either(first, "set", "change"), newWord, tokenLabel(t))
	r := ipc.ChangePINRequest{Which: which, SpendLastTry: f.lastTry}
	given := false
	var err error
	if first {
		if c.canAsk() {
			c.say("no PIN is set on %s; this is its first", tokenLabel(t))
		}
	} else if r.Old, given, err = c.oldPIN(ctx, f, t, word); err != nil {
		return fail(doing, err)
	}
	auth := ipc.Auth{PIN: r.Old, SpendLastTry: f.lastTry}
	defer wipeAuth(&auth)
	if r.New, err = c.newPIN(ctx, t, newWord, f.newFile); err != nil {
		return fail(doing, err)
	}
	defer r.New.Wipe()
	err = c.withPIN(ctx, &auth, attempt{given: given, word: word}, func(ctx context.Context, a ipc.Auth) error {
		r.Old, r.SpendLastTry = a.PIN, a.SpendLastTry
		return c.daemon().ChangePIN(ctx, t.ID, r)
	})
	if err != nil {
		return fail(doing, err)
	}
	c.say("%s the %s of %s", either(first, "set", "changed"), newWord, tokenLabel(t))
	if first && t.Enrolled {
		for _, a := range adviceEnrolAnew(t, c.isOnlyWay(ctx)) {
			c.say("%s", a)
		}
	}
	return nil
}

// oldPIN is the present PIN or PUK, as word says, from a file or asked for.
func (c *cli) oldPIN(ctx context.Context, f *pinFlags, t ipc.Token, word string) (old ipc.Secret, given bool, err error) {
	flag, file := "--pin-file", f.pinFile
	if word == "PUK" {
		flag, file = "--puk-file", f.pukFile
	}
	if file == "" && (f.pinFile != "" || f.pukFile != "") {
		return nil, false, usage("this needs the " + word + ": " + flag)
	}
	if file == "" {
		old, err = c.askWellFormed(ctx, t.Kind, word, fmt.Sprintf("Present %s of %s", lowerFirst(word), tokenLabel(t)), flag+" FILE")
		return old, false, err
	}
	if old, err = c.readSecret(ctx, flag, file); err == nil {
		err = refuseMalformed(t.Kind, lowerFirst(word), old)
	}
	return old, true, err
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
	least, most := minPIN, maxPIN
	if t.Kind == kindFIDO2 {
		least, most = c.leastPIN(ctx, t), maxFIDO2PIN
	}
	for {
		prompt := fmt.Sprintf("New %s (%d to %d characters)", word, least, most)
		first, err := c.askWellFormed(ctx, t.Kind, word, prompt, "--new-pin-file FILE")
		if err != nil {
			return nil, err
		}
		if n := utf8.RuneCount(first); n < least {
			first.Wipe()
			c.say("this token wants at least %d characters, and that has %d; it was not used", least, n)
			continue
		}
		if same, err := c.askAgain(ctx, first, "--new-pin-file FILE"); same || err != nil {
			return first, err
		}
	}
}

// leastPIN is how many characters a FIDO2 key wants a PIN to have.
func (c *cli) leastPIN(ctx context.Context, t ipc.Token) int {
	info, err := c.daemon().TokenInfo(ctx, t.ID)
	if err != nil {
		return minFIDO2PIN // what the key thinks of it, it will say
	}
	for _, f := range info.Facts {
		if n, err := strconv.Atoi(f.Value); err == nil && f.Name == factMinPIN && n > minFIDO2PIN && n <= maxFIDO2PIN {
			return n
		}
	}
	return minFIDO2PIN
}

// factMinPIN is what the fact is called that tells the least length of a PIN.
const factMinPIN = "shortest PIN"
