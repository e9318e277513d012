package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) adminVerifierCommand() *cobra.Command {
	return group("verifier", "RADIUS and Duo, which verify factors for the authority",
		c.verifierSetCommand(), c.verifierShowCommand(), c.verifierCheckCommand(), c.verifierEnrollCommand(), c.verifierRemoveCommand())
}

// verifierDocument is the --json form of one verifier.
type verifierDocument struct {
	Version  int               `json:"version"`
	Verifier ipc.SetUpVerifier `json:"verifier"`
}

// verifierChecksDocument is the --json form of what was asked.
type verifierChecksDocument struct {
	Version int                 `json:"version"`
	Checks  []ipc.VerifierCheck `json:"checks"`
}

func aVerifier(s string) (ipc.VerifierName, error) {
	v := ipc.VerifierName(strings.ToLower(strings.TrimSpace(s)))
	if !slices.Contains(allVerifiers(), v) {
		return "", usage(fmt.Sprintf("there is no verifier %q", s), adviceVerifiers()...)
	}
	return v, nil
}

func allVerifiers() []ipc.VerifierName {
	return []ipc.VerifierName{ipc.VerifierRadius, ipc.VerifierDuo}
}

func (c *cli) verifierSetCommand() *cobra.Command {
	return &cobra.Command{
		Use: "set radius|duo FILE", Short: "Set up who verifies factors elsewhere", Args: named(2, "VERIFIER", "FILE"),
		Long: `Set up RADIUS servers, or an application at Duo, by a settings file (TOML), in the
place of what was set up before. It counts from the next question on.

  nas_identifier = "tokend"
  [[server]]
  address = "radius1.example.org:1812"
  secret_file = "radius1.secret"

A secret is in a file beside, or is asked for. For which factors one is asked the
policy says, in [verifiers]. What it accepts it asserts: the authority has not seen
it. Only owners set one up, for who does can have anybody accepted.`,
		Example: "  tokenctl admin verifier set radius radius.toml\n  tokenctl admin verifier set duo duo.toml",
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := aVerifier(args[0])
			if err != nil {
				return err
			}
			r, err := c.readVerifier(cmd.Context(), name, args[1])
			if err != nil {
				return err
			}
			defer wipeVerifier(r)
			v, err := c.daemon().SetVerifier(cmd.Context(), string(name), r)
			if ipc.KindOf(err) == ipc.InvalidArgument {
				return failWith("set up "+string(name), err, adviceVerifierFile(name)...)
			}
			if err != nil {
				return deskFail("set up "+string(name), err)
			}
			return c.answer(verifierDocument{ipc.Version, v}, func() {
				c.say("%s is set up, and asked for: %s", name, words(v.Factors))
				for _, line := range adviceVerifierSet(v) {
					c.say("%s", line)
				}
			})
		},
	}
}

func (c *cli) verifierShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show", Aliases: []string{"list", "ls"}, Short: "Show who verifies factors elsewhere, without secrets", Args: noArgs,
		Long: `Show which verifiers are set up, for which factors the policy has them asked, and
why one gave no answer the last time that it did not. In a pipe the fields are:
verifier, server, factors, set up, the last failure, and what it was.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := c.daemon().Verifiers(cmd.Context())
			if err != nil {
				return deskFail("show the verifiers", err)
			}
			return c.answer(list, func() {
				if len(list.Verifiers) == 0 {
					c.say("no verifier is set up: fobs are verified here, and push, text messages and calls by nobody")
					return
				}
				t := &table{head: []string{"VERIFIER", "SERVER", "FACTORS", "SET UP", "FAILED", "PROBLEM"}, flexible: 5, below: []int{5, 3, 4}}
				for _, v := range list.Verifiers {
					for _, server := range serversOf(v) {
						t.add(string(v.Name), server, words(v.Factors), ago(c.now(), v.Changed), ago(c.now(), v.Failed), orDash(v.Problem))
					}
				}
				c.show(t)
			})
		},
	}
}

func serversOf(v ipc.SetUpVerifier) (out []string) {
	if v.Radius != nil {
		for _, s := range v.Radius.Servers {
			out = append(out, s.Address)
		}
	}
	if v.Duo != nil {
		out = append(out, v.Duo.Host)
	}
	return out
}

func (c *cli) verifierCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check [radius|duo]", Short: "Ask each verifier's servers whether they answer", Args: named(0, "VERIFIER"),
		Long: `Ask each server whether it answers and knows the authority. Nobody's passcode is
needed. The exit code is 23 where one does not answer.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			names, err := c.verifiersToCheck(cmd.Context(), args)
			if err != nil {
				return err
			}
			doc := verifierChecksDocument{Version: ipc.Version, Checks: []ipc.VerifierCheck{}}
			bad := false
			for _, name := range names {
				one, err := c.daemon().CheckVerifier(cmd.Context(), string(name))
				if err != nil {
					return deskFail("check "+string(name), err)
				}
				doc.Checks = append(doc.Checks, one)
				bad = bad || slices.ContainsFunc(one.Servers, func(s ipc.VerifierServerCheck) bool { return !s.OK })
			}
			if err := c.answer(doc, func() { c.showChecks(doc) }); err != nil {
				return err
			}
			if bad {
				for _, line := range adviceVerifierDown(doc.Checks) {
					c.say("%s", line)
				}
				return silent{ipc.VerifierDown.Info().Exit}
			}
			return nil
		},
	}
}

func (c *cli) verifiersToCheck(ctx context.Context, args []string) ([]ipc.VerifierName, error) {
	if len(args) > 0 {
		name, err := aVerifier(args[0])
		return []ipc.VerifierName{name}, err
	}
	list, err := c.daemon().Verifiers(ctx)
	if err != nil {
		return nil, deskFail("check the verifiers", err)
	}
	var names []ipc.VerifierName
	for _, v := range list.Verifiers {
		names = append(names, v.Name)
	}
	return names, nil
}

func (c *cli) showChecks(doc verifierChecksDocument) {
	if len(doc.Checks) == 0 {
		c.say("no verifier is set up")
		return
	}
	t := &table{head: []string{"VERIFIER", "SERVER", "ANSWERS", "PROBLEM"}, flexible: 3}
	for _, one := range doc.Checks {
		for _, s := range one.Servers {
			t.add(string(one.Name), s.Server, either(s.OK, "yes", "no"), orDash(s.Problem))
		}
	}
	c.show(t)
}

func (c *cli) verifierRemoveCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "remove radius|duo", Aliases: []string{"rm"}, Short: "Forget a verifier and its secrets", Args: named(1, "VERIFIER"),
		Long: `Forget a verifier and its secrets. It is asked no more; a factor that nobody else
verifies is not offered any more.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := aVerifier(args[0])
			if err != nil {
				return err
			}
			doing := "remove " + string(name)
			if !yes {
				if err := c.confirm(cmd.Context(), fmt.Sprintf("Forget %s and its secrets?", name), "--yes"); err != nil {
					return fail(doing, err)
				}
			}
			v, err := c.daemon().RemoveVerifier(cmd.Context(), string(name))
			if err != nil {
				return deskFail(doing, err)
			}
			return c.answer(verifierDocument{ipc.Version, v}, func() { c.say("removed %s: it is asked no more", name) })
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}
