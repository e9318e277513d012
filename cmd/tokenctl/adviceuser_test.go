package main

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// TestAdviceUser: each state of a user leads to the command that comes next.
func TestAdviceUser(t *testing.T) {
	yes := ipc.ReportedHelp{Allowed: true}
	offered := []ipc.ReportedAccount{{Name: "vpn", Activated: true, Policy: ipc.PolicyExplanation{Outcome: "offered"}}}
	stuck := []ipc.ReportedAccount{{Name: "web mail", Activated: true, Policy: ipc.PolicyExplanation{Outcome: "nothing-left"}}}
	never := []ipc.ReportedAccount{{Name: "mail", Policy: ipc.PolicyExplanation{Outcome: "offered"}}}
	for name, c := range map[string]struct {
		r    ipc.UserReport
		want []string // one a line
	}{
		"disabled":     {ipc.UserReport{User: ipc.User{Disabled: true}, Accounts: offered}, []string{"admin user edit alice --enable"}},
		"no account":   {ipc.UserReport{MayHelp: yes}, []string{"admin activation create alice --account NAME"}},
		"his own way":  {ipc.UserReport{MayHelp: yes, Accounts: offered}, []string{"reactivate vpn"}},
		"stuck":        {ipc.UserReport{MayHelp: yes, Accounts: stuck}, []string{"admin activation create alice --account 'web mail'"}},
		"not by you":   {ipc.UserReport{MayHelp: ipc.ReportedHelp{Reason: "nobody may help himself"}, Accounts: stuck}, []string{"nobody may help himself"}},
		"lost":         {ipc.UserReport{MayHelp: yes, Accounts: offered, Fobs: []ipc.Fob{{Serial: "7", State: ipc.FobLost}}}, []string{"admin fob replace 7 WITH", "reactivate vpn"}},
		"throttled":    {ipc.UserReport{MayHelp: yes, Accounts: offered, Fobs: []ipc.Fob{{Serial: "7", State: ipc.FobActive, Throttled: time.Unix(1, 0)}}}, []string{"two in a row", "reactivate vpn"}},
		"at a service": {ipc.UserReport{MayHelp: yes, Accounts: offered, Fobs: []ipc.Fob{{Serial: "7", State: ipc.FobActive}}, Throttled: []ipc.ThrottledService{{Service: "vpn"}}}, []string{"two in a row", "reactivate vpn"}},
		"elsewhere":    {ipc.UserReport{MayHelp: yes, Accounts: offered, Throttled: []ipc.ThrottledService{{Service: "vpn"}}}, []string{"he has no fob here", "reactivate vpn"}},
		"never":        {ipc.UserReport{MayHelp: yes, Accounts: never}, []string{"activation create alice --account mail"}},
		"link":         {ipc.UserReport{MayHelp: yes, Accounts: never, Activations: []ipc.Activation{{ID: "A2", Account: "mail", State: ipc.CodeOpen}}}, []string{"tokenctl activate"}},
		"never by you": {ipc.UserReport{MayHelp: ipc.ReportedHelp{Reason: "nobody may help himself"}, Accounts: never}, []string{"nobody may help himself"}},
		"waiting":      {ipc.UserReport{MayHelp: yes, Accounts: offered, Activations: []ipc.Activation{{ID: "A1", State: ipc.CodeWaiting}}}, []string{"activation approve A1", "reactivate vpn"}},
		"copied":       {ipc.UserReport{MayHelp: yes, Accounts: offered, SecurityKeys: []ipc.SecurityKey{{Name: "blue", Doubted: time.Unix(1, 0)}}}, []string{"user key remove alice blue", "reactivate vpn"}},
	} {
		c.r.User.Name = "alice"
		got := adviceUser(c.r)
		if len(got) != len(c.want) {
			t.Errorf("%s: %q", name, got)
			continue
		}
		for i, want := range c.want {
			if !strings.Contains(got[i], want) {
				t.Errorf("%s: %q does not say %q", name, got[i], want)
			}
		}
	}
}
