package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

const codeHelp = `Print the code of an account, alone on standard output.

ACCOUNT is a name, an issuer, issuer:name, a part of one of them that fits one
account only, or an id. A locked vault is unlocked in passing: at a terminal
the PIN is asked for; in a script give --pin-file, or unlock before.

--fresh and --min-remaining wait for the next code, up to a period of the account
(mostly 30 s) or more where codes were asked for ahead. A terminal on standard
error is told of it; elsewhere they wait without a word. Who locks the vault
meanwhile ends the wait: it is not unlocked again, not even with --pin-file.

--interaction agent has "tokenctl agent" ask you for the PIN, and for your consent
where the grant mode is ask: that is how a script without a terminal gets a code
from a locked vault. Without an agent it fails as it does without the flag.

Without ACCOUNT, at a terminal, the accounts are listed with their codes: type a
part of a name to filter, go up and down, and Enter copies the code, as --copy
does; Esc leaves. An account that needs a touch or your consent, and one that
counts (HOTP), is asked only when Enter is pressed on it. No code stays on the
screen or in its history. --plain lists the names and asks for one, for screen
readers and for terminals that cannot do more (TERM=dumb); NO_COLOR is heeded.

--all prints the codes of all accounts once, and --watch until Ctrl-C: they are
taken from the screen at once when the vault is locked. Both leave out the
accounts that need a touch or your consent, or count. Without a terminal --watch
and --json hand out all codes with --all only: a variable that is not set is no
account.`

const codeExamples = `  tokenctl code github
  tokenctl code github --copy             into the clipboard, for 30 s
  tokenctl code github --min-remaining 10 valid for 10 s at least
  tokenctl code                           pick one from a list
  tokenctl code --watch                   all codes, live
  code=$(tokenctl code github) || exit    in a script
  tokenctl code github --interaction agent  in a script that has no terminal`

type codeFlags struct {
	auth         authFlags
	fresh        bool
	minRemaining int
	copy         copyFlag
	clearAfter   time.Duration
	watch        bool
	all          bool
	plain        bool
	noTouchWait  bool
	interaction  string
}

func (c *cli) codeCommand() *cobra.Command {
	f := &codeFlags{}
	cmd := &cobra.Command{
		Use: "code [ACCOUNT]", Short: "Print the code of an account, or pick one from a list", Long: codeHelp, Example: codeExamples,
		Args:              named(0, "ACCOUNT"),
		ValidArgsFunction: c.completeAccounts,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(args); err != nil {
				return err
			}
			var err error
			if f.interaction, err = c.interaction(f.interaction); err != nil {
				return err
			}
			switch {
			case len(args) == 0 && (f.watch || c.json) && !f.all && !c.canAsk():
				return usage("without ACCOUNT there has to be a terminal, or --all for the codes of all accounts", adviceAccount()...)
			case len(args) == 0 && (f.all || f.watch || c.json):
				return c.codeList(cmd.Context(), f)
			case len(args) == 0:
				return c.pickCode(cmd.Context(), f)
			case f.watch:
				return c.watchOne(cmd.Context(), f, args[0])
			}
			return c.codeOne(cmd.Context(), f, args[0])
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.fresh, "fresh", false, "wait for a time step whose code was never handed out")
	fl.IntVar(&f.minRemaining, "min-remaining", 0, "wait for the next code if this one has fewer `SECONDS` left")
	fl.Var(&f.copy, "copy", "put the code into the clipboard instead of printing it; where no program can: --copy=terminal (OSC 52)")
	fl.Lookup("copy").NoOptDefVal = copyAlone
	spanFlag(fl, &f.clearAfter, "clear-after", 30*time.Second, "empty the clipboard after `TIME` if the code is still in it (0: never)")
	fl.BoolVar(&f.watch, "watch", false, "go on showing the code, with the time it has left, until Ctrl-C")
	fl.StringVar(&f.interaction, "interaction", "", "where a PIN or your consent is wanting: none, or `agent`, which asks you in your session (also "+envInteraction+")")
	fl.BoolVar(&f.all, "all", false, "print the codes of all accounts: once, or until Ctrl-C with --watch")
	fl.BoolVar(&f.plain, "plain", false, "a list of names and a question in place of the list to move in")
	fl.BoolVar(&f.noTouchWait, "no-touch-wait", false, "fail rather than wait for a touch")
	f.auth.add(cmd)
	return cmd
}

// copyFlag is --copy, alone or with the way to the clipboard behind "=". To the
// help it is a switch: its value without "=" is nothing that a person types.
type copyFlag string

func (f *copyFlag) String() string { return string(*f) }

func (f *copyFlag) Set(s string) error {
	*f = copyFlag(s)
	if s == copyAlone {
		*f = copyProgram
	}
	return nil
}

func (f *copyFlag) Type() string { return "bool" }

// copyAlone is what a switch is set to that has no value.
const copyAlone = "true"

func (f *codeFlags) check(args []string) error {
	switch {
	case f.minRemaining < 0:
		return usage("--min-remaining must not be negative")
	case f.copy != "" && f.copy != copyProgram && f.copy != copyTerminal:
		return usage(fmt.Sprintf("--copy can be %q or nothing", copyTerminal))
	case len(args) == 0 && (f.fresh || f.minRemaining > 0 || f.noTouchWait),
		len(args) == 0 && f.copy != "" && (f.all || f.watch):
		return usage("this flag needs an account: tokenctl code ACCOUNT")
	case len(args) > 0 && f.all:
		return usage("--all cannot be given together with ACCOUNT")
	case len(args) > 0 && f.plain:
		return usage("--plain cannot be given together with ACCOUNT")
	case f.plain && (f.all || f.watch):
		return usage("only one can be given of --plain, --all or --watch")
	case f.watch && (f.fresh || f.minRemaining > 0 || f.copy != ""):
		return usage("--watch shows codes as they come; it goes with no other choice of code")
	}
	return nil
}

func (f *codeFlags) request(a ipc.Auth) ipc.CodeRequest {
	return ipc.CodeRequest{Auth: a, Fresh: f.fresh, MinRemaining: f.minRemaining, NoTouchWait: f.noTouchWait, Interaction: f.interaction}
}

// agreement is to a code of an account, which the user is asked about as name.
func (f *codeFlags) agreement(ref, name string) agreement {
	return agreement{action: ipc.GrantCode, account: ref, name: name, agent: f.interaction == ipc.InteractionAgent}
}

// codeOne prints one code.
func (c *cli) codeOne(ctx context.Context, f *codeFlags, ref string) error {
	doing := "make a code for " + ref
	var clip *clipboard
	if f.copy == copyProgram {
		// Looked for first: a HOTP code made in vain is a code lost.
		var err error
		if clip, err = c.findClipboard(); err != nil {
			return fail("copy the code", err)
		}
	}
	if f.copy == copyTerminal && !c.errTTY {
		return usage("--copy=terminal needs a terminal on standard error")
	}
	if (f.fresh || f.minRemaining > 0) && c.errTTY {
		stop := c.sayIfSlow(f.whyWait())
		defer stop()
	}
	code, err := c.askedCode(ctx, f, ref, ref)
	if ipc.KindOf(err) == ipc.AccountInactive {
		return failWith(doing, err, adviceInactive("tokenctl reactivate "+quoted(ref))...)
	}
	if err != nil {
		return fail(doing, err)
	}
	switch {
	case clip != nil:
		said, err := c.putCode(ctx, clip, code, f.clearAfter)
		if err == nil {
			c.say("%s", said)
		}
		return err
	case f.copy == copyTerminal:
		return c.copyThroughTerminal(code)
	case c.json:
		return c.printJSON(code)
	}
	c.print("%s", clean(code.Code))
	return nil
}

// askedCode makes a code, with the questions that this takes at a terminal. There
// the account is called name.
func (c *cli) askedCode(ctx context.Context, f *codeFlags, ref, name string) (code ipc.Code, err error) {
	err = c.open(ctx, &f.auth, func(ctx context.Context, a ipc.Auth) error {
		return c.withConsent(ctx, f.agreement(ref, name), func() (err error) {
			code, err = c.daemon().Code(ctx, ref, f.request(a))
			return err
		})
	})
	return code, err
}

// whyWait is what a person is told whose code takes until the next time step.
func (f *codeFlags) whyWait() string {
	switch {
	case f.fresh && f.minRemaining > 0:
		return fmt.Sprintf("this code was handed out before, or has less than %d s left: waiting for the next …", f.minRemaining)
	case f.fresh:
		return "this code was handed out before: waiting for the next …"
	}
	return fmt.Sprintf("this code has less than %d s left: waiting for the next …", f.minRemaining)
}

// sayIfSlow says text if it is not stopped soon.
func (c *cli) sayIfSlow(text string) (stop func()) {
	// A second: shorter waits need no word, and a touch announces itself.
	t := time.AfterFunc(time.Second, func() { c.say("%s", text) })
	return func() { t.Stop() }
}

// codeDocument is the --json form of a list of codes.
type codeDocument struct {
	Version int        `json:"version"`
	Codes   []ipc.Code `json:"codes"`
	// NotAsked are accounts that make a code only when asked by name.
	NotAsked []notAsked `json:"not_asked"`
}

type notAsked struct {
	Account ipc.AccountRef `json:"account"`
	Reason  string         `json:"reason"` // "touch", "counter", "consent", "denied", "inactive", or what failed
}

// row is one account of a list of codes.
type row struct {
	account ipc.Account
	code    ipc.Code
	reason  string // why there is no code
}

// codeList prints the codes of all accounts, once or until Ctrl-C.
func (c *cli) codeList(ctx context.Context, f *codeFlags) error {
	const doing = "list the codes"
	var list ipc.AccountList
	err := c.open(ctx, &f.auth, func(ctx context.Context, _ ipc.Auth) (err error) {
		list, err = c.daemon().Accounts(ctx)
		return err
	})
	if err != nil {
		return fail(doing, err)
	}
	if f.watch {
		if len(list.Accounts) == 0 {
			return noAccount()
		}
		return fail(doing, c.watchList(ctx, list.Accounts))
	}
	rows := make([]row, len(list.Accounts))
	for i, a := range list.Accounts {
		rows[i].account = a
	}
	if err := c.refresh(ctx, rows); err != nil {
		return fail(doing, err)
	}
	if c.json {
		return c.printJSON(document(rows))
	}
	if len(rows) == 0 {
		c.say(noAccounts)
		return nil
	}
	c.show(codeTable(rows, c.now()))
	return nil
}

// refresh asks for the codes that are not valid any more. Touch and HOTP
// accounts are left alone: nobody asked for their very code.
func (c *cli) refresh(ctx context.Context, rows []row) error {
	now := c.now()
	for i := range rows {
		r := &rows[i]
		switch {
		case r.account.Inactive:
			r.reason = "inactive"
			continue
		case r.account.Class == "touch":
			r.reason = "touch"
			continue
		case r.account.Type == "hotp":
			r.reason = "counter"
			continue
		case now.Before(r.code.ValidUntil):
			continue
		}
		if err := c.passiveCode(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// passiveCode asks for a code that is only to be shown: it keeps no vault open.
func (c *cli) passiveCode(ctx context.Context, r *row) error {
	code, err := c.daemon().Code(ctx, r.account.ID, ipc.CodeRequest{Passive: true})
	switch ipc.KindOf(err) {
	case ipc.NotFound:
		r.code, r.reason = ipc.Code{}, "removed"
		return nil
	case ipc.ConsentRequired:
		r.code, r.reason = ipc.Code{}, "consent"
		return nil
	case ipc.NotAuthorized:
		r.code, r.reason = ipc.Code{}, "denied"
		return nil
	case ipc.AccountInactive:
		r.code, r.reason = ipc.Code{}, "inactive"
		return nil
	}
	if err != nil {
		return err
	}
	r.code, r.reason = code, ""
	return nil
}

// noAccounts is said where a list would be empty.
const noAccounts = "no accounts yet; add one: tokenctl account add"

// noAccount is the failure where a code was wanted and no account is there.
func noAccount() error {
	return failWith("", &ipc.Error{Kind: ipc.NotFound, Message: "there are no accounts yet"}, adviceNoAccount()...)
}

func document(rows []row) codeDocument {
	d := codeDocument{Version: ipc.Version, Codes: []ipc.Code{}, NotAsked: []notAsked{}}
	for _, r := range rows {
		if r.reason != "" {
			ref := ipc.AccountRef{ID: r.account.ID, Issuer: r.account.Issuer, Name: r.account.Name}
			d.NotAsked = append(d.NotAsked, notAsked{Account: ref, Reason: r.reason})
			continue
		}
		d.Codes = append(d.Codes, r.code)
	}
	return d
}

func codeTable(rows []row, now time.Time) *table {
	t := &table{head: []string{"ACCOUNT", "CODE", "LEFT"}, oneLine: true}
	for _, r := range rows {
		name := accountName(r.account.Issuer, r.account.Name)
		if r.reason != "" {
			t.add(name, "-", whyNot(r.reason))
			continue
		}
		t.add(name, r.code.Code, span(r.code.ValidUntil.Sub(now)))
	}
	return t
}

func whyNot(reason string) string {
	switch reason {
	case "touch":
		return "needs a touch: ask by name"
	case "counter":
		return "counts each code: ask by name"
	case "consent":
		return "wants your consent: ask by name"
	case "denied":
		return "its grant mode is deny"
	case "inactive":
		return "inactive: tokenctl reactivate"
	}
	return reason
}
