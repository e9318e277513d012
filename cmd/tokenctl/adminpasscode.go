package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

// passcodes gets what a fob showed: from the file that flag names, or, a question
// each, from the terminal, where they are shown as they are typed: each is good
// for one use, and a fob that is a keyboard ends it with Enter.
func (c *cli) passcodes(ctx context.Context, path string, questions ...string) (ipc.Secret, error) {
	const flag = "--passcode-file"
	if path != "" && (path != "-" || !c.canAsk()) {
		b, err := c.readInput(ctx, flag, path, maxSecretFile)
		b = bytes.TrimRight(b, "\x00") // pam_exec ends it with one
		if err == nil && len(bytes.TrimSpace(b)) == 0 {
			err = usage("the file given with "+flag+" is empty", adviceFilesOnly()...)
		}
		return b, err
	}
	var all ipc.Secret
	for _, q := range questions {
		one, err := c.ask(ctx, q, "", flag+" FILE")
		if err == nil && one == "" {
			err = cancelled("cancelled: nothing was typed")
		}
		if err != nil {
			all.Wipe()
			return nil, err
		}
		if len(all) > 0 {
			all = append(all, ' ')
		}
		all = append(all, one...)
	}
	return all, nil
}

const verifyHelp = `Ask whether a passcode is a user's, and use it up. It is asked for, or read from
a file; a fob that is a keyboard can type it.

As one of the helpdesk you are told which fob it was, or why not: wrong, used
before, of a fob that is lost or disabled, or not looked at after too many wrong
ones. In that case two passcodes in a row, "123456 654321", prove the fob at
once, and the failures before count no more, at any service. Where single ones are
refused all the same you are told, and until when.

--account asks for a code of a managed account in place of a fob's passcode: one
that a device of the user's makes (tokenctl code).

--quiet asks as a service does, and is told yes or no: the exit code is 0, or 16
whatever was wrong. That is all that the role verifier may do. For PAM, give
"--passcode-file -": docs/authority.md has an example.

Where RADIUS or Duo verifies the user's fob, it is asked; where it gives no answer
the exit code is 23, and nothing was accepted or counted. What it asks for in
addition is asked at a terminal; without one the exit code is 20.`

// maxChallenges is how often in a row a verifier may ask for something more.
const maxChallenges = 10

// asChallenged asks, and where the verifier wants something more has the person at
// the terminal answer.
func asChallenged[T any](ctx context.Context, c *cli, r ipc.VerifyRequest, verify func(context.Context, ipc.VerifyRequest) (T, error)) (T, error) {
	for range maxChallenges {
		v, err := verify(ctx, r)
		var e *ipc.Error
		if !errors.As(err, &e) || e.Kind != ipc.Conflict || len(e.Items) == 0 || e.Items[0].Reason != "challenged" || !c.canAsk() {
			return v, err
		}
		prompt := either(e.Items[0].Name == "", "What is asked for in addition", strings.TrimRight(clean(e.Items[0].Name), " :?"))
		p, err := c.askSecret(ctx, prompt+" (not shown)", "a terminal")
		if err != nil {
			return v, err
		}
		defer p.Wipe()
		r.Challenge, r.Passcode = e.Items[0].ID, p
	}
	return verify(ctx, r)
}

func (c *cli) adminVerifyCommand() *cobra.Command {
	var file, service, account string
	var quiet bool
	cmd := &cobra.Command{
		Use: "verify USER", Short: "Ask whether a passcode is a user's", Long: verifyHelp, Args: named(1, "USER"),
		Example: "  tokenctl admin verify alice\n  tokenctl admin verify alice --quiet --service vpn --passcode-file -",
		RunE: func(cmd *cobra.Command, args []string) error {
			of, doing := subject{user: args[0]}, "verify the passcode of "+args[0]
			question := "Passcode of " + args[0]
			if account != "" {
				doing = "verify the code of " + args[0]
				question = "Code of " + args[0] + "'s account " + account
			}
			p, err := c.passcodes(cmd.Context(), file, question)
			if err != nil {
				return fail(doing, err)
			}
			defer p.Wipe()
			r := ipc.VerifyRequest{User: args[0], Service: service, Passcode: p, Account: account}
			if quiet {
				if r.Service == "" {
					r.Service = "tokenctl"
				}
				v, err := asChallenged(cmd.Context(), c, r, c.daemon().Verify)
				switch {
				case err != nil && account != "":
					return filledFail(of, doing, err, adviceCode(err))
				case err != nil:
					return deskFailOf(of, doing, err)
				}
				return c.answer(v, func() { c.say("accepted") })
			}
			v, err := asChallenged(cmd.Context(), c, r, c.daemon().VerifyAttended)
			if err != nil {
				if account != "" {
					return filledFail(of, doing, err, adviceCode(err))
				}
				return filledFail(of.withFob(err), doing, err, adviceAttended(err))
			}
			return c.answer(v, func() {
				if account != "" {
					c.say("accepted: device %s", clean(v.DeviceID))
					return
				}
				if v.Verifier != "" {
					c.say("accepted, by the word of %s", verifierText(string(v.Verifier)))
					return
				}
				c.say("accepted: fob %s", clean(v.Serial))
				c.sayThrottles(args[0], v)
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&file, "passcode-file", "", "read the passcode from `FILE` (- is standard input)")
	fl.StringVar(&service, "service", "", "what asks: failures are counted by `NAME` and user")
	fl.StringVar(&account, "account", "", "it is a code of this managed account of the user's (`NAME`)")
	fl.BoolVar(&quiet, "quiet", false, "be told yes or no, and nothing else, as a service is")
	return cmd
}

// sayThrottles says whether failures before count still, after a passcode of a fob
// was accepted.
func (c *cli) sayThrottles(user string, v ipc.AttendedVerdict) {
	if v.Lifted {
		c.say("two in a row prove the fob: what failed before counts no more, at any service")
	}
	for _, f := range v.ThrottledFobs {
		c.say("single passcodes of fob %s are refused everywhere until %s", clean(f.Serial), clock(f.Until))
	}
	for _, s := range v.Throttled {
		c.say("single passcodes are refused at %s until %s", clean(serviceText(s.Service)), clock(s.Until))
	}
	if len(v.ThrottledFobs)+len(v.Throttled) > 0 {
		c.hints(adviceThrottled(user, v.Lifted))
	}
}

const resyncHelp = `Find a fob whose counter or clock went astray, as when its button was pressed
many times in a pocket: by two passcodes in a row, looked for within 1,000 steps.
Only with the person before you: whoever he says to be, you answer for it. It
can be tried five times a day, and the failures before count no more, of the fob and
of its users at every service.

--own is for a fob of your own, and takes three passcodes.`

func (c *cli) fobResyncCommand() *cobra.Command {
	var file, user string
	var own bool
	cmd := &cobra.Command{
		Use: "resync SERIAL", Short: "Find a fob again by passcodes in a row", Long: resyncHelp, Args: named(1, "SERIAL"),
		Example: "  tokenctl admin fob resync 10001",
		RunE: func(cmd *cobra.Command, args []string) error {
			doing := "resync fob " + args[0]
			questions := []string{"Passcode", "The next passcode"}
			if own {
				questions = append(questions, "And the next")
			} else if _, err := c.daemon().Fob(cmd.Context(), args[0]); err != nil { // before a passcode is used up
				return failWith(doing, err, adviceResync(err, own)...)
			}
			p, err := c.passcodes(cmd.Context(), file, questions...)
			if err != nil {
				return fail(doing, err)
			}
			defer p.Wipe()
			call := c.daemon().ResyncFob
			if own {
				call = c.daemon().ResyncOwnFob
			}
			f, err := call(cmd.Context(), args[0], ipc.ResyncFobRequest{User: user, Passcodes: p})
			if err != nil {
				return filledFail(subject{args[0], user}, doing, err, adviceResync(err, own))
			}
			return c.answer(fobDocument{ipc.Version, f}, func() {
				c.say("found fob %s again: the next passcode that it shows is accepted", clean(f.Serial))
				c.show(fobTable([]ipc.Fob{f}))
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&file, "passcode-file", "", "read the passcodes, with blanks between, from `FILE` (- is standard input)")
	fl.StringVar(&user, "user", "", "only if the fob is this `USER`'s")
	fl.BoolVar(&own, "own", false, "it is your own fob: three passcodes")
	return cmd
}

const burnHelp = `Use up passcodes that may have been accepted already. When the machine was set
back to a snapshot, or the registry to an old copy, it has forgotten which were
used since, and would accept them once more.

Fobs by time are raised to now. Of a fob by counter the next --margin passcodes
are skipped, and of Yubico OTP as many times of being plugged in: give more than
were used since the copy was made. Who did not use his fob meanwhile is refused
until he has pressed it as often, or until a resync.`

func (c *cli) fobBurnCommand() *cobra.Command {
	var r ipc.BurnFobsRequest
	var all, yes bool
	cmd := &cobra.Command{
		Use: "burn [SERIAL]", Short: "Use up passcodes after the registry was set back", Long: burnHelp, Args: named(0, "SERIAL"),
		Example: "  tokenctl admin fob burn --all --margin 20",
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return usage("which fobs? give a SERIAL, or --all", adviceHelp(cmd.CommandPath())...)
			}
			doing, what := "burn passcodes", "of all fobs"
			if len(args) > 0 {
				r.Serial, what = args[0], "of fob "+args[0]
			}
			if !yes {
				question := fmt.Sprintf("Use up the next %s %s?", plural(int(min(r.Margin, 1<<20)), "passcode"), what)
				if err := c.confirm(cmd.Context(), question, "--yes"); err != nil {
					return fail(doing, err)
				}
			}
			res, err := c.daemon().BurnFobs(cmd.Context(), r)
			if err != nil {
				return deskFail(doing, err)
			}
			return c.answer(res, func() { c.say("raised %s", plural(res.Raised, "fob")) })
		},
	}
	fl := cmd.Flags()
	fl.Uint64Var(&r.Margin, "margin", 10, "how many passcodes are skipped, up to 1000 (`N`)")
	fl.BoolVar(&all, "all", false, "of all fobs")
	fl.BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}
