package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/cmd/tokenctl/carry"
	"github.com/tokenbridge/tokend/ipc"
)

const accountAddHelp = `Add an account. What is needed is the secret that the service shows as text or
as a QR code when two-factor login is set up there.

At a terminal the secret is asked for, without being shown; or it comes from a
picture of the QR code, from a file with otpauth:// addresses (one a line), or
from a file with the bare secret. Afterwards a first code is shown, for the
service to check.

Where the vault has no recovery password, one is asked for then, or taken from
--recovery-password-file; it can be declined.`

const accountAddExamples = `  tokenctl account add --issuer GitHub --name me@example.com
  tokenctl account add --qr screenshot.png
  wl-paste | tokenctl account add --uri-file -
  tokenctl account add --issuer Bank --name me --type hotp --secret-file s.txt`

type addFlags struct {
	auth       authFlags
	account    ipc.NewAccount
	counter    uint64
	uriFile    string
	qr         string
	secretFile string
	duplicate  bool
}

func (c *cli) accountAddCommand() *cobra.Command {
	f := &addFlags{}
	cmd := &cobra.Command{
		Use: "add", Short: "Add an account", Long: accountAddHelp, Example: accountAddExamples, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("counter") {
				f.account.Counter = &f.counter
			}
			if err := c.readWayBack(cmd.Context(), &f.auth); err != nil {
				return fail("add the account", err)
			}
			accounts, err := c.newAccounts(cmd.Context(), f)
			if err != nil {
				return fail("add the account", err)
			}
			return c.addAccounts(cmd.Context(), f, accounts)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.account.Issuer, "issuer", "", "`NAME` of whom the account is with, such as GitHub")
	fl.StringVar(&f.account.Name, "name", "", "`NAME` of the account there, such as me@example.com")
	fl.StringVar(&f.account.Type, "type", "", "`TYPE`: totp, hotp or steam (totp)")
	fl.StringVar(&f.account.Algorithm, "algorithm", "", "`HASH`: SHA1, SHA256 or SHA512 (SHA1)")
	fl.IntVar(&f.account.Digits, "digits", 0, "`N` digits, 6 to 10 (6)")
	fl.IntVar(&f.account.Period, "period", 0, "period in `SECONDS` (30)")
	fl.Uint64Var(&f.counter, "counter", 0, "first counter `N` of a hotp account")
	fl.StringVar(&f.account.Class, "class", "", "`CLASS`: session or touch (touch where a token can)")
	fl.StringVar(&f.account.Note, "note", "", "a note: `TEXT`")
	fl.BoolVar(&f.account.NoExport, "no-export", false, "never export the secret; taking that back needs a token or the recovery password")
	fl.StringVar(&f.uriFile, "uri-file", "", "read otpauth:// addresses from `FILE` (- is standard input)")
	fl.StringVar(&f.qr, "qr", "", "read a QR code from the picture `FILE`, PNG or JPEG (- is standard input)")
	fl.StringVar(&f.secretFile, "secret-file", "", "read the secret (base32) from `FILE` (- is standard input)")
	fl.BoolVar(&f.duplicate, "allow-duplicate", false, "add it although one of the same name is there")
	cmd.MarkFlagsMutuallyExclusive("uri-file", "qr", "secret-file")
	f.auth.addWithWayBack(cmd)
	return cmd
}

// newAccounts is what the flags, files and answers describe.
func (c *cli) newAccounts(ctx context.Context, f *addFlags) ([]ipc.NewAccount, error) {
	switch {
	case f.uriFile != "":
		b, err := c.readInput(ctx, "--uri-file", f.uriFile, maxURIFile)
		if err != nil {
			return nil, err
		}
		return f.fromURIs(strings.Split(string(b), "\n"))
	case f.qr != "":
		b, err := c.readInput(ctx, "--qr", f.qr, maxPictureFile)
		if err != nil {
			return nil, err
		}
		uri, err := readQR(b)
		if err != nil {
			return nil, fail("read the QR code in "+pictureName(f.qr), err)
		}
		return f.fromURIs([]string{uri})
	}
	a := f.account
	var err error
	if a.Name == "" && a.Issuer == "" {
		if a.Issuer, err = c.ask(ctx, "Issuer (who is it with, such as GitHub)", "", "--issuer NAME"); err != nil {
			return nil, err
		}
	}
	for a.Name == "" {
		if a.Name, err = c.ask(ctx, "Name (your name there)", "", "--name NAME"); err != nil {
			return nil, err
		}
		if a.Name == "" {
			c.say("an account needs a name, to tell it from your others; Ctrl-C ends")
		}
	}
	if a.Secret, err = c.accountSecret(ctx, f); err != nil {
		return nil, err
	}
	if isURI(string(a.Secret)) {
		// Pasted at the prompt, where a secret was asked for.
		return f.fromURIs([]string{string(a.Secret)})
	}
	return []ipc.NewAccount{a}, nil
}

// accountSecret is the secret from the file, or asked for until it can be one.
func (c *cli) accountSecret(ctx context.Context, f *addFlags) (ipc.Secret, error) {
	if f.secretFile != "" {
		secret, err := c.readSecret(ctx, "--secret-file", f.secretFile)
		if err != nil {
			return nil, err
		}
		if wrong := notBase32(string(secret)); wrong != "" && !isURI(string(secret)) {
			return nil, usage("the secret in "+pictureName(f.secretFile)+" cannot be used: "+wrong, adviceBase32()...)
		}
		return secret, nil
	}
	for {
		secret, err := c.askSecret(ctx, "Secret (base32, as the service shows it)", "--secret-file, --uri-file or --qr FILE")
		if err != nil {
			return nil, err
		}
		wrong := notBase32(string(secret))
		if wrong == "" || isURI(string(secret)) {
			return secret, nil
		}
		secret.Wipe()
		c.say("that cannot be the secret: %s", wrong)
		for _, line := range adviceBase32() {
			c.say("  %s", line)
		}
	}
}

// notBase32 says what keeps a secret from being base32 (RFC 4648, section 6) as
// services show it, in groups and with or without padding. The daemon has the
// last word; this one can still ask again.
func notBase32(secret string) string {
	letters, at := 0, 0
	for _, r := range secret {
		at++
		switch {
		case unicode.IsSpace(r), r == '-', r == '=':
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '2' && r <= '7':
			letters++
		default:
			return fmt.Sprintf("character %d is not base32, which has the letters A to Z and the digits 2 to 7", at)
		}
	}
	switch letters % 8 {
	case 1, 3, 6:
		return "a character is missing, or one too many"
	}
	return either(letters == 0, "there is nothing in it", "")
}

func pictureName(path string) string {
	if path == "-" {
		return "standard input"
	}
	return path
}

func isURI(s string) bool {
	return len(s) >= len("otpauth") && strings.EqualFold(s[:len("otpauth")], "otpauth")
}

// fromURIs makes an account of every line that is not empty.
func (f *addFlags) fromURIs(lines []string) ([]ipc.NewAccount, error) {
	a := f.account
	if a.Type != "" || a.Algorithm != "" || a.Digits != 0 || a.Period != 0 || a.Counter != nil {
		return nil, usage("--type, --algorithm, --digits, --period and --counter are part of the otpauth:// address; they cannot be given beside it")
	}
	var list []ipc.NewAccount
	for n, line := range lines {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
			continue
		case isURI(line) && strings.HasPrefix(strings.ToLower(line), "otpauth-migration:"):
			return nil, failWith("", &ipc.Error{Kind: ipc.Unsupported, Message: "this is an export of several accounts, not an account"},
				adviceMigrationQR()...)
		case carry.IsLink(line):
			return nil, usage(fmt.Sprintf("line %d is an activation link of an authority", n+1), adviceActivationLink()...)
		case !isURI(line):
			return nil, usage(fmt.Sprintf("line %d is not an otpauth:// address", n+1))
		}
		one := a
		one.URI = ipc.Secret(line)
		list = append(list, one)
	}
	if len(list) == 0 {
		return nil, usage("there is no otpauth:// address in it")
	}
	if len(list) > 1 && (a.Name != "" || a.Issuer != "") {
		return nil, usage("--name and --issuer fit one account, and there are " + plural(len(list), "address"))
	}
	return list, nil
}

// addAccounts adds them in one step and shows what came of it.
func (c *cli) addAccounts(ctx context.Context, f *addFlags, accounts []ipc.NewAccount) error {
	defer func() {
		for _, a := range accounts {
			a.Secret.Wipe()
			a.URI.Wipe()
		}
	}()
	var res ipc.AccountList
	err := c.open(ctx, &f.auth, func(ctx context.Context, _ ipc.Auth) (err error) {
		res, err = c.daemon().AddAccounts(ctx, ipc.AddAccountsRequest{Accounts: accounts, AllowDuplicate: f.duplicate})
		return err
	})
	if ipc.KindOf(err) == ipc.AlreadyExists {
		return failWith("add the account", err, adviceDuplicate()...)
	}
	if err != nil {
		return fail("add the account", err)
	}
	if c.json {
		if err := c.printJSON(res); err != nil {
			return err
		}
	}
	for _, a := range res.Accounts {
		c.say("added %s, class %s", accountName(a.Issuer, a.Name), classText(a.Class))
	}
	if len(res.Accounts) == 1 && !c.json {
		c.firstCode(ctx, res.Accounts[0])
	}
	return c.offerWayBack(ctx, &f.auth)
}

// firstCode shows a code of a new account, for the service to check. It must
// not fail the adding, which is done.
func (c *cli) firstCode(ctx context.Context, a ipc.Account) {
	if a.Class == "touch" || a.Type == "hotp" {
		c.say("its first code: tokenctl code %s", a.ID)
		return
	}
	code, err := c.daemon().Code(ctx, a.ID, ipc.CodeRequest{})
	if err != nil {
		var e *ipc.Error
		if errors.As(err, &e) {
			c.say("the account is there; its first code could not be made: %s", clean(e.Message))
		}
		return
	}
	c.say("its code now, valid for %s:", validFor(code.ValidUntil.Sub(c.now())))
	c.print("%s", clean(code.Code))
}
