package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) userShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show USER", Aliases: []string{"info"}, Short: "Show a user: factors, devices, what the policy allows, what failed", Args: named(1, "USER"),
		Long: `Show all there is of a user at the authority: his fobs, security keys and devices,
and which of them work; the managed accounts, each with what the policy would
allow now; open activations and bypass codes; what failed last, and why; and the
commands that come next. Of accounts that the authority did not make it knows
nothing.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := c.daemon().UserReport(cmd.Context(), args[0])
			if err != nil {
				return deskFail("show "+args[0], err)
			}
			return c.answer(r, func() {
				c.showPairs(c.reportPairs(r))
				for _, line := range adviceUser(r) {
					c.say("%s", line)
				}
			})
		},
	}
}

// reportPairs is what there is of a user, in the order in which who helps asks.
func (c *cli) reportPairs(r ipc.UserReport) *table {
	u := r.User
	t := userHead(u, words(u.Roles)+either(len(u.GroupRoles) > 0, " (by a group of this machine: "+words(u.GroupRoles)+")", ""))
	c.factorRows(t, r)
	for _, d := range r.Devices {
		var names []string
		for _, a := range d.Accounts {
			names = append(names, a.Name)
		}
		t.add("device", fmt.Sprintf("%s, %s, heard of %s, has %s, id %s", d.Name, d.State, ago(c.now(), d.Last), words(names), d.ID))
	}
	for _, a := range r.Accounts {
		t.add("account", fmt.Sprintf("%s, on %s: %s", a.Name, plural(a.Devices, "device"), either(a.Activated, allowedText(a.Policy), "never activated, so no backup has it")))
	}
	for _, a := range r.Activations {
		t.add("activation", fmt.Sprintf("%s for %s, until %s, id %s", a.State, a.Account, ago(c.now(), a.Expires), a.ID))
	}
	for _, b := range r.BypassCodes {
		t.add("bypass code", fmt.Sprintf("open, until %s, id %s", ago(c.now(), b.Expires), b.ID))
	}
	for _, s := range r.Throttled {
		t.add("throttled", fmt.Sprintf("at %s, until %s", serviceText(s.Service), clock(s.Until)))
	}
	for _, f := range r.Failures {
		t.add("failed", fmt.Sprintf("%s, %s", ago(c.now(), f.Time), failureText(r, f)))
	}
	t.add("you may help", helpableText(r.MayHelp))
	t.add("added", ago(c.now(), u.Created))
	return t
}

// factorRows are the things that he has, each with whether it works.
func (c *cli) factorRows(t *table, r ipc.UserReport) {
	for _, f := range r.Fobs {
		s := fmt.Sprintf("%s, %s, %s", f.Serial, fobTypeText(f.Type), f.State)
		if !f.Expiry.IsZero() && !c.now().Before(f.Expiry) {
			s += ", expired " + ago(c.now(), f.Expiry)
		}
		if !f.Throttled.IsZero() && c.now().Before(f.Throttled) {
			s += ", throttled until " + clock(f.Throttled)
		}
		if !f.Used.IsZero() {
			s += ", used " + ago(c.now(), f.Used)
		}
		t.add("fob", s)
	}
	for _, k := range r.SecurityKeys {
		s := k.Name
		if !k.Doubted.IsZero() {
			s += ", DOUBTED " + ago(c.now(), k.Doubted)
		}
		if !k.Used.IsZero() {
			s += ", used " + ago(c.now(), k.Used)
		}
		t.add("security key", s)
	}
	var nothing []string
	for _, h := range r.Has {
		if h.Working == 0 {
			nothing = append(nothing, factorText(h.Factor))
		}
	}
	if len(nothing) > 0 {
		t.add("has no working", strings.Join(nothing, ", "))
	}
}

// allowedText is what the policy leaves who wants an account back, in short.
func allowedText(e ipc.PolicyExplanation) string {
	if e.Outcome != "offered" {
		return outcomeText(e)
	}
	var names []string
	for _, o := range e.Offers {
		names = append(names, factorText(o.Factor))
	}
	return fmt.Sprintf("from a backup by %s (%d needed)", strings.Join(names, ", "), e.Required)
}

func helpableText(h ipc.ReportedHelp) string {
	if !h.Allowed {
		return "no: " + h.Reason
	}
	return either(h.SecondApprover, "yes, with another person's approval", "yes")
}

// serviceText is where a passcode was typed. A helper who names no service is
// "attended" to the authority.
func serviceText(service string) string {
	return either(service == "attended", "the help desk", service)
}

// failureText is a failure in words, with names in place of ids where the report
// has them.
func failureText(r ipc.UserReport, f ipc.UserFailure) string {
	s := f.Action + ": " + orDash(f.Reason)
	if i := slices.IndexFunc(r.Fobs, func(x ipc.Fob) bool { return x.ID == f.FobID }); i >= 0 {
		s += ", fob " + r.Fobs[i].Serial
	}
	if f.Service != "" {
		s += ", at " + serviceText(f.Service)
	}
	if i := slices.IndexFunc(r.Accounts, func(x ipc.ReportedAccount) bool { return x.ID == f.AccountID }); i >= 0 {
		s += ", account " + r.Accounts[i].Name
	}
	if i := slices.IndexFunc(r.Devices, func(x ipc.UserDevice) bool { return x.ID == f.DeviceID }); i >= 0 {
		s += ", device " + r.Devices[i].Name
	}
	if f.Times > 1 {
		s += fmt.Sprintf(", %d times", f.Times)
	}
	return s
}
