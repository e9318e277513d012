package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) adminPolicyCommand() *cobra.Command {
	return group("policy", "See, check, change and explain the policy",
		c.policyShowCommand(), c.policyCheckCommand(), c.policySetCommand(), c.policyExplainCommand())
}

// maxPolicyFile is the largest policy that is read, in bytes: more than is taken,
// so that the daemon says what the bound is.
const maxPolicyFile = 2 << 20

func (c *cli) policyShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Print the policy in force", Args: noArgs,
		Long: `Print the policy's text, to be saved, changed, checked and set again:

  tokenctl admin policy show >policy.toml
  tokenctl admin policy check policy.toml
  tokenctl admin policy set policy.toml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := c.daemon().Policy(cmd.Context())
			if err != nil {
				return deskFail("show the policy", err)
			}
			return c.answer(p, func() { _, _ = fmt.Fprint(c.out, p.Text) })
		},
	}
}

// policyText reads a policy file.
func (c *cli) policyText(ctx context.Context, path string) (string, error) {
	if path == "-" {
		b, err := c.readInput(ctx, "FILE", path, maxPolicyFile)
		return string(b), err
	}
	b, err := c.readFile(path, maxPolicyFile, false)
	return string(b), err
}

func (c *cli) policyCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check [FILE]", Short: "Say what is wrong with a policy, by line", Args: named(0, "FILE"),
		Long: `Check a policy, the one in force if none is named: errors with line, rule and
remedy, and warnings, such as of users who would have no way back. Nothing is
changed. The exit code is 2 where there is an error.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := "the policy in force"
			var r ipc.CheckPolicyRequest
			if len(args) > 0 {
				var err error
				if r.Text, err = c.policyText(cmd.Context(), args[0]); err != nil {
					return err
				}
				if name = args[0]; strings.TrimSpace(r.Text) == "" {
					return usage(name+" is empty", advicePolicyFile()...)
				}
			}
			found, err := c.daemon().CheckPolicy(cmd.Context(), r)
			if err != nil {
				return deskFail("check "+name, err)
			}
			if err := c.answer(found, func() { c.showPolicyFindings(name, found.Findings) }); err != nil {
				return err
			}
			if found.Failed {
				return silent{ipc.InvalidArgument.Info().Exit}
			}
			return nil
		},
	}
}

// showPolicyFindings prints each finding, and below it what mends it.
func (c *cli) showPolicyFindings(name string, all []ipc.PolicyFinding) {
	count := map[ipc.Severity]int{}
	for _, f := range all {
		count[f.Severity]++
		at := name
		if f.Line > 0 {
			at = fmt.Sprintf("%s:%d", name, f.Line)
		}
		var where []string
		if f.Rule != "" {
			where = append(where, fmt.Sprintf("rule %q", f.Rule))
		}
		if f.Field != "" {
			where = append(where, f.Field)
		}
		line := at + ": " + string(f.Severity) + ": "
		if len(where) > 0 {
			line += strings.Join(where, ", ") + ": "
		}
		c.printBroken(line + f.Message)
		if f.Remedy != "" {
			c.printBroken("  " + f.Remedy)
		}
	}
	c.say("%s, %s, %s", plural(count[ipc.SeverityError], "error"), plural(count[ipc.SeverityWarning], "warning"), plural(count[ipc.SeverityNote], "note"))
}

// printBroken prints a line of the result; a terminal gets it broken between
// words.
func (c *cli) printBroken(line string) {
	line = clean(line)
	if c.outTTY {
		line = strings.Join(broken(line, c.outWidth()), "\n")
	}
	c.print("%s", line)
}

func (c *cli) policySetCommand() *cobra.Command {
	var was string
	cmd := &cobra.Command{
		Use: "set FILE", Short: "Put a policy in force", Args: named(1, "FILE"),
		Long: `Put a policy in force. One with errors is refused, and the one in force stays;
warnings are shown. It counts from the next question on.

With --was, nothing is changed where another policy is in force by now than the
one that has this SHA-256 ("admin policy show --json").`,
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := c.policyText(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if strings.TrimSpace(text) == "" {
				return usage(args[0]+" is empty", advicePolicyFile()...)
			}
			found, err := c.daemon().SetPolicy(cmd.Context(), ipc.SetPolicyRequest{Text: text, Was: was})
			if ipc.KindOf(err) == ipc.InvalidArgument {
				return failWith("set the policy", err, advicePolicySet(args[0])...)
			}
			if err != nil {
				return deskFail("set the policy", err)
			}
			return c.answer(found, func() {
				c.showPolicyFindings(args[0], found.Findings)
				c.say("in force: %s", found.SHA256)
			})
		},
	}
	cmd.Flags().StringVar(&was, "was", "", "only in place of the policy with this `SHA256`")
	return cmd
}
