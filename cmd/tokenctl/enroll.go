package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

// enrollFlags describe a new keyslot, in init and in token enroll.
type enrollFlags struct {
	kind, reader, device, slot, touchSlot, algorithm string
	label, pinFile, managementKeyFile                string
	useExisting, lastTry, attested                   bool
	overwrite, classes                               []string

	// at is what the daemon finds the token by, once that is known.
	at string
	// pin is one that was set a moment ago, so that it is not asked for again.
	pin ipc.Secret
}

func (f *enrollFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.kind, "token", "", "`KIND` of token: piv, fido2 or soft")
	fl.StringVar(&f.reader, "reader", "", "PIV: `READER` or a part of its name, or the token's id or serial number, when several are plugged in")
	fl.StringVar(&f.device, "device", "", "FIDO2: device `PATH`, or the token's id or serial number, when several are plugged in")
	fl.StringVar(&f.slot, "slot", "", "PIV `SLOT` of the session key (82)")
	fl.StringVar(&f.touchSlot, "touch-slot", "", "PIV `SLOT` of the touch key (83)")
	fl.StringVar(&f.algorithm, "algorithm", "", "PIV: `CURVE`, P-256 or P-384 (P-256)")
	fl.BoolVar(&f.useExisting, "use-existing", false, "PIV: use the keys that are in the slots")
	fl.StringSliceVar(&f.overwrite, "overwrite", nil, "PIV `SLOT` whose present key may be destroyed (repeatable)")
	fl.StringSliceVar(&f.classes, "classes", nil, "`CLASSES`: session, touch or both (all the token can do)")
	fl.StringVar(&f.managementKeyFile, "management-key-file", "", "read the PIV management key, hexadecimal, from `FILE`")
	fl.BoolVar(&f.attested, "require-attestation", false, "refuse a token that no trusted maker vouches for")
	fl.StringVar(&f.label, "label", "", "`NAME` you give the token")
	fl.StringVar(&f.pinFile, "pin-file", "", "read its PIN, or the software token's new passphrase, from `FILE` (- is standard input)")
	fl.BoolVar(&f.lastTry, "spend-last-try", false, "allow the PIN to be tried when one try is left")
}

// infer takes the kind of token from flags that one kind alone has.
func (f *enrollFlags) infer() {
	switch {
	case f.kind != "":
	case f.device != "":
		f.kind = kindFIDO2
	case f.reader != "":
		f.kind = "piv"
	}
}

// kindFIDO2 is the kind of FIDO2 keys.
const kindFIDO2 = "fido2"

// check refuses flags that the kind of token has no use for.
func (f *enrollFlags) check() error {
	given := func(set bool, flags ...string) []string {
		if set {
			return flags
		}
		return nil
	}
	what, known := map[string]string{
		"piv": "a PIV card", kindFIDO2: "a FIDO2 key", "soft": "a software token", "none": "a vault without a token",
	}[f.kind]
	if !known {
		return usage(fmt.Sprintf("no such kind of token: %s", f.kind), adviceKinds()...)
	}
	var wrong []string
	if f.kind != "piv" {
		wrong = slices.Concat(given(f.reader != "", "--reader"), given(f.slot != "", "--slot"), given(f.touchSlot != "", "--touch-slot"),
			given(f.algorithm != "", "--algorithm"), given(f.useExisting, "--use-existing"), given(len(f.overwrite) > 0, "--overwrite"),
			given(f.managementKeyFile != "", "--management-key-file"))
	}
	if f.kind != kindFIDO2 {
		wrong = append(wrong, given(f.device != "", "--device")...)
	}
	if f.kind == "soft" || f.kind == "none" {
		wrong = append(wrong, given(f.attested, "--require-attestation")...)
	}
	if f.kind == "none" {
		wrong = slices.Concat(wrong, given(f.label != "", "--label"), given(f.pinFile != "", "--pin-file"), given(len(f.classes) > 0, "--classes"))
	}
	if len(wrong) == 0 {
		return nil
	}
	return usage(fmt.Sprintf("%s has no use for %s", what, strings.Join(wrong, ", ")), adviceFlags(f.kind)...)
}

// where is what the user said of the place of the token.
func (f *enrollFlags) where() string { return f.reader + f.device }

// again is the beginning of the flags by which the same token is meant.
func (f *enrollFlags) again() string {
	s := " --token " + f.kind
	place, _, _ := strings.Cut(placeFlag(f.kind), " ")
	for _, x := range []struct{ flag, value string }{{place, cmp.Or(f.at, f.where())}, {"--label", f.label}} {
		if x.value != "" {
			s += " " + x.flag + " " + quoted(x.value)
		}
	}
	return s
}

// request is the request for a keyslot. A software token's new passphrase is
// asked for here; another token's PIN when it wants one.
func (f *enrollFlags) request(ctx context.Context, c *cli) (*ipc.EnrollRequest, error) {
	if f.kind == "none" {
		return nil, usage("no such kind of token: none", adviceKinds()...)
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	r := &ipc.EnrollRequest{
		Kind: f.kind, Locator: cmp.Or(f.at, f.where()), Label: f.label, Classes: f.classes, SessionSlot: f.slot, TouchSlot: f.touchSlot,
		Algorithm: f.algorithm, UseExisting: f.useExisting, Overwrite: f.overwrite, SpendLastTry: f.lastTry, RequireAttestation: f.attested,
		PIN: f.pin,
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
	if err == nil && f.kind == kindFIDO2 {
		c.say("enrolling takes up to seven touches of the key; each is announced")
	}
	return r, err
}

const enrollHelp = `Make another token a way into the vault, so that one can be lost. The vault must
be open; where accounts need a touch, a token that opens them (or the recovery
password) has to agree.

A token that the maker vouches for is shown as such; --require-attestation
refuses every other.`

const enrollExamples = `  tokenctl token enroll --token fido2 --label spare
  tokenctl token enroll --token fido2 --device /dev/hidraw3
  tokenctl token enroll --token piv --reader 'Reader 01' --slot 9d`

func (c *cli) tokenEnrollCommand() *cobra.Command {
	var ef enrollFlags
	var af authFlags
	var authToken, authPIN string
	cmd := &cobra.Command{
		Use: "enroll --token piv|fido2|soft", Aliases: []string{"enrol"}, SuggestFor: []string{"add"}, Short: "Make a token a way into the vault", Long: enrollHelp, Args: noArgs,
		Example: enrollExamples,
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
		res, err := c.enrollAsking(ctx, &ef, &af)
		if err != nil {
			return err
		}
		if c.json {
			return c.printJSON(res)
		}
		c.sayEnrolled(res)
		return nil
	}
	return cmd
}

// enrollAsking enrols the token that the flags name, and asks at a terminal for what
// they do not say.
func (c *cli) enrollAsking(ctx context.Context, ef *enrollFlags, af *authFlags) (res ipc.EnrollResult, err error) {
	if ef.infer(); ef.kind == "" {
		if err := c.proposeToken(ctx, ef, ""); err != nil {
			return res, fail("enrol a token", err)
		}
	}
	if err := ef.check(); err != nil {
		return res, err
	}
	if err := c.chooseToken(ctx, ef); err != nil {
		return res, fail("enrol a token", err)
	}
	if err := c.offerPIN(ctx, ef, false); err != nil {
		return res, fail("enrol a token", err)
	}
	r, err := ef.request(ctx, c)
	if err != nil {
		return res, fail("enrol a token", err)
	}
	err = c.onUsedCard(ctx, r, func(given bool) (err error) {
		res, err = c.enroll(ctx, af, r, given)
		return err
	}, ef.pinFile != "")
	if err != nil {
		return res, enrollFailure("enrol a token", "tokenctl token enroll", ef, err)
	}
	return res, nil
}

func (c *cli) sayEnrolled(res ipc.EnrollResult) {
	c.say("enrolled %s for %s; it was opened once to be sure", tokenLabel(res.Token), strings.Join(res.Token.Classes, " and "))
	if res.Token.Kind != "soft" {
		c.say("who vouches for it: %s", vouchText(res.Attested, res.AttestationOK, res.Maker))
	}
	for i, w := range res.Warnings {
		res.Warnings[i].Fix = adviceFix(w.Code, w.Fix, res.Token.Serial)
	}
	c.warn(res.Warnings)
}

// vouchText says what an attestation is worth.
func vouchText(attested, verified bool, maker string) string {
	maker = clean(maker)
	switch {
	case !attested:
		return "nobody; it gave no attestation"
	case verified:
		return cmp.Or(maker, "its maker") + ", verified"
	case maker == "":
		return "only itself; that says nothing of its maker"
	}
	return maker + ", by its own word; no root of that maker is trusted here"
}

// enrollFailure gives a failure the advice for a new token; command is what was
// tried.
func enrollFailure(doing, command string, ef *enrollFlags, err error) error {
	var f *failure
	var e *ipc.Error
	if errors.As(err, &f) || !errors.As(err, &e) {
		return fail(doing, err)
	}
	if hints := adviceEnroll(e, ef.kind, command+ef.again()); hints != nil {
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
