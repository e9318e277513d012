package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) policyExplainCommand() *cobra.Command {
	var r ipc.ExplainPolicyRequest
	cmd := &cobra.Command{
		Use: "explain USER", Short: "Say what the policy leaves a user, and by which rule", Args: named(1, "USER"),
		Long: `Say what a user is offered who wants an account back from a backup: which
factors, in which order, by which rule; which not, and why; whom he is sent to
where none is left; what becomes of his old device.`,
		Example: "  tokenctl admin policy explain alice\n  tokenctl admin policy explain alice --account \"Example VPN\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			r.User = args[0]
			e, err := c.daemon().ExplainPolicy(cmd.Context(), r)
			if err != nil {
				return deskFail("explain the policy", err)
			}
			return c.answer(e, func() { c.showPairs(explanationTable(e)) })
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&r.Account, "account", "", "for this `ACCOUNT`, as rules match it")
	fl.StringVar(&r.Device, "device", "", "on this `DEVICE`, as it names itself")
	fl.BoolVar(&r.Activation, "activation", false, "for an account that comes by an activation, and not from a backup")
	return cmd
}

// explanationTable puts an explanation into words, in the order in which it
// matters to the user.
func explanationTable(e ipc.PolicyExplanation) *table {
	t := &table{head: []string{"", ""}, flexible: 1}
	t.add("user", e.User)
	if e.Account != "" {
		t.add("account", e.Account)
	}
	if e.Device != "" {
		t.add("device", e.Device)
	}
	t.add("outcome", outcomeText(e))
	for i, o := range e.Offers {
		s := factorText(o.Factor) + ruleText(o.Allowed)
		if o.Asserted {
			s += "; what it was is the word of " + strings.Join(o.Verifiers, ", ") + " alone"
		}
		t.add(either(i == 0, "offered", ""), s)
	}
	if e.Outcome == "offered" {
		t.add("needed", fmt.Sprintf("%d of them%s", e.Required, ruleText(e.RequiredFrom)))
	}
	for i, d := range e.Denials {
		s := factorText(d.Factor) + ": " + d.Reason
		if d.Because != "" {
			s += ": " + d.Because
		}
		t.add(either(i == 0, "not offered", ""), s)
	}
	for i, a := range e.Alternatives {
		t.add(either(i == 0, "what is left", ""), a.Kind+": "+a.Value)
	}
	t.add("old device", either(e.OldDevice == "revoke", "revoked after the proof", "kept after the proof")+ruleText(e.OldDeviceFrom))
	t.add("helped by", helpText(e.Help))
	has := "has"
	for _, h := range e.Has {
		if h.Working+h.Broken == 0 {
			continue
		}
		s := fmt.Sprintf("%s: %d", factorText(h.Factor), h.Working)
		if h.Broken > 0 {
			s += fmt.Sprintf(", and %d that do not work", h.Broken)
		}
		t.add(has, s)
		has = ""
	}
	var rules []string
	for _, m := range e.Matching {
		rules = append(rules, fmt.Sprintf("%q (line %d)", m.Rule, m.Line))
	}
	t.add("rules that match", orDash(strings.Join(rules, ", ")))
	return t
}

func outcomeText(e ipc.PolicyExplanation) string {
	switch e.Outcome {
	case "offered":
		return "may reactivate it"
	case "no-policy":
		return "the authority has no policy that can be used"
	case "nothing-left":
		return "no factor is left"
	case "restore-forbidden":
		s := "an account from a backup may not be reactivated"
		if f := e.Forbidden; f != nil {
			s += ", says " + f.By + ruleText(f.Source)
			if f.Because != "" {
				s += ": " + f.Because
			}
		}
		return s
	}
	return e.Outcome
}

// factorText is a factor in words.
func factorText(f ipc.Factor) string { return strings.ReplaceAll(string(f), "_", " ") }

// ruleText says by which rule, where one has a part in it.
func ruleText(r ipc.PolicyRule) string {
	switch {
	case r.Line == 0:
		return ""
	case r.Rule == "":
		return fmt.Sprintf(" (line %d)", r.Line)
	}
	return fmt.Sprintf(" (%s, line %d)", r.Rule, r.Line)
}

func helpText(h ipc.PolicyHelp) string {
	if len(h.Roles) == 0 {
		return "nobody" + ruleText(h.From)
	}
	return words(h.Roles) + either(h.SecondApprover, ", with another person's approval", "") + ruleText(h.From)
}
