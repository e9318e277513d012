package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) tokenCommand() *cobra.Command {
	return group("token", "List, enrol, test and revoke the tokens that open the vault",
		c.tokenListCommand(), c.tokenInfoCommand(), c.tokenEnrollCommand(), c.tokenRevokeCommand(),
		c.tokenTestCommand(), c.tokenRenameCommand(), c.tokenPINCommand(), c.tokenWipeCommand())
}

func (c *cli) tokenListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List enrolled tokens and those plugged in", Args: noArgs,
		Long: `List the tokens that open the vault and those that are plugged in. In a pipe the
fields are: name, kind, enrolled or not, present or not, classes, id.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := c.daemon().Tokens(cmd.Context())
			if err != nil {
				return fail("list the tokens", err)
			}
			if c.json {
				return c.printJSON(list)
			}
			if len(list.Tokens) == 0 {
				c.say("no token is enrolled, and none is plugged in")
				return nil
			}
			t := &table{head: []string{"TOKEN", "KIND", "ENROLLED", "PRESENT", "CLASSES", "ID"}}
			for _, k := range list.Tokens {
				name := tokenLabel(k)
				if !c.outTTY && k.Label != "" {
					name = k.Label // a script hands it back
				}
				t.add(name, k.Kind, either(k.Enrolled, "enrolled", "not enrolled"),
					either(k.Present, "present", "not present"), orDash(strings.Join(k.Classes, ",")), k.ID)
			}
			c.show(t)
			var warnings []ipc.Warning
			for _, k := range list.Tokens {
				c.sayTokenProblems(k, func(w []ipc.Warning) { warnings = append(warnings, w...) })
			}
			c.warn(warnings)
			return nil
		},
	}
}

func either(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// sayTokenProblems shows what is wrong with a token; say shows its warnings.
func (c *cli) sayTokenProblems(t ipc.Token, say func([]ipc.Warning)) {
	if t.Problem != nil {
		c.say("%s cannot be used: %s", tokenLabel(t), clean(t.Problem.Message))
		for _, h := range c.advise(t.Problem) {
			c.say("  %s", clean(h))
		}
	}
	for i, w := range t.Warnings {
		t.Warnings[i].Fix = adviceFix(w.Code, w.Fix, t.Serial)
	}
	say(t.Warnings)
}

func (c *cli) tokenInfoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "info [TOKEN]", Short: "Show what a token is, its keys and how many PIN tries are left", Args: named(0, "TOKEN"), ValidArgsFunction: c.completeTokens,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			t, err := c.pickToken(cmd, args, func(t ipc.Token) bool { return t.Present })
			if err != nil {
				return fail("read the token", err)
			}
			var info ipc.TokenInfo
			err = c.announced(ctx, func(ctx context.Context) (err error) {
				info, err = c.daemon().TokenInfo(ctx, t.ID)
				return err
			})
			if err != nil {
				return fail("read "+tokenLabel(t), err)
			}
			if c.json {
				return c.printJSON(info)
			}
			c.printTokenInfo(info)
			return nil
		},
	}
}

func (c *cli) printTokenInfo(i ipc.TokenInfo) {
	t := &table{head: []string{"", ""}, flexible: 1}
	pair := func(name, value string) {
		if value != "" {
			t.add(name, value)
		}
	}
	pair("token", tokenLabel(i.Token))
	pair("id", i.Token.ID)
	pair("kind", i.Token.Kind)
	pair("model", i.Token.Model)
	pair("serial", i.Token.Serial)
	pair("firmware", i.Token.Firmware)
	pair("at", i.Token.Locator)
	pair("classes", strings.Join(i.Token.Classes, ", "))
	pair("PIN tries left", tries(i.PINTries)+either(i.FactoryPIN, " (factory PIN: change it)", ""))
	pair("PUK tries left", tries(i.PUKTries)+either(i.FactoryPUK, " (factory PUK: change it)", ""))
	pair("management key", either(i.FactoryKey, "factory default: change it", ""))
	pair("maker's word", either(i.Attested, either(i.AttestationOK, "given, and verified", "given, not verified"), "none"))
	for _, k := range i.Keys {
		pair("key "+k.Slot, fmt.Sprintf("%s, PIN %s, touch %s%s%s", k.Algorithm, k.PINPolicy, k.TouchPolicy,
			either(k.Attested, ", attested", ""), either(k.Ours, ", of this vault", "")))
	}
	c.showPairs(t)
	c.sayTokenProblems(i.Token, c.warnAll)
}

func tries(n int) string {
	if n < 0 {
		return "not told"
	}
	return strconv.Itoa(n)
}

// pickToken is the token that args name, by label, id or serial number; without
// args the only one that fits.
func (c *cli) pickToken(cmd *cobra.Command, args []string, fits func(ipc.Token) bool) (ipc.Token, error) {
	list, err := c.daemon().Tokens(cmd.Context())
	if err != nil {
		return ipc.Token{}, err
	}
	var found []ipc.Token
	for _, t := range list.Tokens {
		switch {
		case len(args) == 0 && fits(t),
			len(args) == 1 && (t.ID == args[0] || t.Label == args[0] || t.Serial != "" && t.Serial == args[0]):
			found = append(found, t)
		}
	}
	// One that is enrolled is what a command without a name is about.
	if len(args) == 0 && len(found) > 1 {
		if known := slices.DeleteFunc(slices.Clone(found), func(t ipc.Token) bool { return !t.Enrolled }); len(known) == 1 {
			found = known
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0 && len(args) == 0:
		return ipc.Token{}, &ipc.Error{Kind: ipc.TokenNotPresent, Message: "no token is there that this could be done with"}
	case len(found) == 0:
		return ipc.Token{}, failWith("find the token", &ipc.Error{Kind: ipc.NotFound, Message: "no token is called " + args[0]}, adviceNoToken()...)
	}
	e := &ipc.Error{Kind: ipc.AmbiguousToken, Message: "there are several tokens; name one"}
	for _, t := range found {
		e.Items = append(e.Items, ipc.Item{ID: t.ID, Name: tokenLabel(t)})
	}
	return ipc.Token{}, failWith("choose a token", e, adviceWhichToken(cmd.CommandPath())...)
}

// enrollFlags describe a new keyslot, in init and in token enroll.
type enrollFlags struct {
	kind, reader, device, slot, touchSlot, algorithm string
	label, pinFile, managementKeyFile                string
	useExisting, lastTry                             bool
	overwrite, classes                               []string
}

func (f *enrollFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.kind, "token", "", "`KIND` of token: piv or soft")
	fl.StringVar(&f.reader, "reader", "", "`READER` or a part of its name, or the token's id or serial number, when several are plugged in")
	fl.StringVar(&f.device, "device", "", "the device `PATH` of a FIDO2 token")
	fl.StringVar(&f.slot, "slot", "", "PIV `SLOT` of the session key (82)")
	fl.StringVar(&f.touchSlot, "touch-slot", "", "PIV `SLOT` of the touch key (83)")
	fl.StringVar(&f.algorithm, "algorithm", "", "`CURVE`: P-256 or P-384 (P-256)")
	fl.BoolVar(&f.useExisting, "use-existing", false, "use the keys that are in the slots")
	fl.StringSliceVar(&f.overwrite, "overwrite", nil, "`SLOT` whose present key may be destroyed (repeatable)")
	fl.StringSliceVar(&f.classes, "classes", nil, "`CLASSES`: session, touch or both (all the token can do)")
	fl.StringVar(&f.managementKeyFile, "management-key-file", "", "read the PIV management key, hexadecimal, from `FILE`")
	fl.StringVar(&f.label, "label", "", "`NAME` you give the token")
	fl.StringVar(&f.pinFile, "pin-file", "", "read its PIN, or the software token's new passphrase, from `FILE` (- is standard input)")
	fl.BoolVar(&f.lastTry, "spend-last-try", false, "allow the PIN to be tried when one try is left")
}

// again is the beginning of the flags by which the same token is meant.
func (f *enrollFlags) again() string {
	s := " --token " + f.kind
	if f.reader != "" {
		s += " --reader " + quoted(f.reader)
	}
	if f.label != "" {
		s += " --label " + quoted(f.label)
	}
	return s
}

// request is the request for a keyslot. A software token's new passphrase is
// asked for here; a card's PIN when the card wants it.
func (f *enrollFlags) request(ctx context.Context, c *cli) (*ipc.EnrollRequest, error) {
	switch f.kind {
	case "piv", "soft":
	case "fido2":
		return nil, failWith("", &ipc.Error{Kind: ipc.Unsupported, Message: "FIDO2 tokens are not supported yet"}, adviceFIDO2()...)
	case "":
		return nil, noTerminal("the kind of token", "--token piv|soft")
	default:
		return nil, usage(fmt.Sprintf("no such kind of token: %s", f.kind), adviceKinds()...)
	}
	if f.kind == "soft" && (f.reader != "" || f.slot != "" || f.touchSlot != "" || f.useExisting || len(f.overwrite) > 0 || f.managementKeyFile != "") {
		return nil, usage("a software token has no reader, slots or management key")
	}
	if f.device != "" {
		return nil, usage("--device is for FIDO2 tokens", adviceFIDO2()...)
	}
	r := &ipc.EnrollRequest{
		Kind: f.kind, Locator: f.reader, Label: f.label, Classes: f.classes, SessionSlot: f.slot, TouchSlot: f.touchSlot,
		Algorithm: f.algorithm, UseExisting: f.useExisting, Overwrite: f.overwrite, SpendLastTry: f.lastTry,
	}
	var err error
	if f.managementKeyFile != "" {
		if r.ManagementKey, err = c.readSecret(ctx, "--management-key-file", f.managementKeyFile); err != nil {
			return nil, err
		}
	}
	switch {
	case f.pinFile != "":
		if r.PIN, err = c.readSecret(ctx, "--pin-file", f.pinFile); err == nil {
			err = refuseMalformed(f.kind, pinWord(&ipc.TokenRef{Kind: f.kind}), r.PIN)
		}
	case f.kind == "soft":
		r.PIN, err = c.askNewPassword(ctx, "passphrase of the software token", "--pin-file FILE")
	}
	return r, err
}

const enrollHelp = `Make another token a way into the vault, so that one can be lost. The vault must
be open; where accounts need a touch, a token that opens them (or the recovery
password) has to agree.`

func (c *cli) tokenEnrollCommand() *cobra.Command {
	var ef enrollFlags
	var af authFlags
	var authToken, authPIN string
	cmd := &cobra.Command{
		Use: "enroll --token piv|soft", Aliases: []string{"enrol"}, SuggestFor: []string{"add"}, Short: "Make a token a way into the vault", Long: enrollHelp, Args: noArgs,
		Example: "  tokenctl token enroll --token piv --label spare\n  tokenctl token enroll --token piv --reader 'Reader 01' --use-existing --slot 9d",
	}
	ef.add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&authToken, "auth-token", "", "the enrolled `TOKEN` that agrees")
	fl.StringVar(&authPIN, "auth-pin-file", "", "read that token's PIN from `FILE`")
	fl.BoolVar(&af.recovery, "recovery", false, "ask for the recovery password to agree")
	fl.StringVar(&af.passwordFile, "recovery-password-file", "", "read the recovery password from `FILE` (- is standard input)")
	fl.StringVar(&af.keyFile, "recovery-key-file", "", "read the recovery key from `FILE` (- is standard input)")
	cmd.MarkFlagsMutuallyExclusive("auth-pin-file", "recovery", "recovery-password-file", "recovery-key-file")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		af.token, af.pinFile = authToken, authPIN
		if ef.kind == "" {
			kind, err := c.chooseKind(ctx, "piv, soft")
			if err != nil {
				return fail("enrol a token", err)
			}
			ef.kind = kind
		}
		if err := c.chooseToken(ctx, &ef); err != nil {
			return fail("enrol a token", err)
		}
		r, err := ef.request(ctx, c)
		if err != nil {
			return fail("enrol a token", err)
		}
		var res ipc.EnrollResult
		err = c.onUsedCard(ctx, r, func(given bool) (err error) {
			res, err = c.enroll(ctx, &af, r, given)
			return err
		}, ef.pinFile != "")
		if err != nil {
			return enrollFailure("enrol a token", "tokenctl token enroll"+ef.again(), err)
		}
		if c.json {
			return c.printJSON(res)
		}
		c.say("enrolled %s for %s; it was opened once to be sure", tokenLabel(res.Token), strings.Join(res.Token.Classes, " and "))
		c.warn(res.Warnings)
		return nil
	}
	return cmd
}

// enrollFailure gives a failure the advice for a new token; command is what was
// tried.
func enrollFailure(doing, command string, err error) error {
	var f *failure
	var e *ipc.Error
	if errors.As(err, &f) || !errors.As(err, &e) {
		return fail(doing, err)
	}
	if hints := adviceEnroll(e, command); hints != nil {
		return failWith(doing, err, hints...)
	}
	return fail(doing, err)
}

// enroll makes a keyslot. Two PINs may be wanted: the new token's, and that of
// the enrolled one which agrees; the error's token tells them apart.
func (c *cli) enroll(ctx context.Context, af *authFlags, r *ipc.EnrollRequest, given bool) (ipc.EnrollResult, error) {
	var res ipc.EnrollResult
	list, err := c.daemon().Tokens(ctx)
	if err != nil {
		return res, err
	}
	enrolled := map[string]bool{}
	for _, t := range list.Tokens {
		if t.Enrolled {
			enrolled[t.ID] = true
		}
	}
	isOld := func(e *ipc.Error) bool { return e.Token != nil && enrolled[e.Token.ID] }
	isNew := func(e *ipc.Error) bool { return !isOld(e) }
	fresh := ipc.Auth{PIN: r.PIN, SpendLastTry: r.SpendLastTry}
	defer wipeAuth(&fresh)
	how := attempt{given: af.given(), typed: af.recovery, mine: isOld, quiet: true, flag: "--auth-pin-file"}
	// Not where it is the new token that is missing.
	how.agree = r.Kind == "soft" || slices.ContainsFunc(list.Tokens, func(t ipc.Token) bool { return t.Present && !t.Enrolled && t.Kind == r.Kind })
	err = c.openAs(ctx, af, how, func(ctx context.Context, old ipc.Auth) error {
		r.Auth = old
		return c.withPIN(ctx, &fresh, attempt{given: given, mine: isNew}, func(ctx context.Context, n ipc.Auth) (err error) {
			r.PIN, r.SpendLastTry = n.PIN, n.SpendLastTry
			res, err = c.daemon().EnrollToken(ctx, *r)
			return err
		})
	})
	return res, err
}
