package desk_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// TestUserReport: who helps sees what there is, what works, what the policy allows
// now, and what failed.
func TestUserReport(t *testing.T) {
	b := furnished(t)
	ctx := t.Context()
	made, err := b.CreateActivation(ctx, as("helpdesk"), ipc.NewActivation{User: "bob", Account: "vpn"})
	if err != nil {
		t.Fatal(err)
	}
	newLaptop(t, b, as("bob")).activate(made.Link)
	open, err := b.CreateActivation(ctx, as("helpdesk"), ipc.NewActivation{User: "bob", Account: "mail"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.CreateBypassCode(ctx, as("helpdesk"), ipc.NewBypassCode{User: "bob"}); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		_, _ = b.Verify(ctx, as("verifier"), ipc.VerifyRequest{User: "bob", Service: "ssh", Passcode: ipc.Secret("000000")})
		b.pass(10 * time.Second)
	}
	// What somebody else has, and what helpers were refused, is none of it.
	_, _ = b.Verify(ctx, as("verifier"), ipc.VerifyRequest{User: "user", Service: "ssh", Passcode: ipc.Secret("000000")})
	_, _ = b.CreateActivation(ctx, as("user"), ipc.NewActivation{User: "bob", Account: "vpn"})
	b.pass(-9 * time.Second)

	r, err := b.UserReport(ctx, as("helpdesk"), "bob")
	if err != nil {
		t.Fatal(err)
	}
	if r.User.ID != b.ids["bob"] || !r.MayHelp.Allowed || len(r.Fobs) != 1 || r.Fobs[0].Serial != "bob-fob" || len(r.Devices) != 1 || len(r.BypassCodes) != 1 ||
		len(r.Activations) != 1 || r.Activations[0].ID != open.Activation.ID {
		t.Errorf("%+v", r)
	}
	if len(r.Accounts) != 2 || r.Accounts[0].Name != "vpn" || r.Accounts[0].Devices != 1 || r.Accounts[0].Policy.Outcome != "offered" || r.Accounts[0].Policy.Account != "vpn" || r.Accounts[1].Devices != 0 || !r.Accounts[0].Activated || r.Accounts[1].Activated {
		t.Errorf("%+v", r.Accounts)
	}
	if len(r.Failures) == 0 || len(r.Failures) > 10 {
		t.Fatalf("%+v", r.Failures)
	}
	seen := 0
	for _, f := range r.Failures {
		seen += f.Times
		if f.Action != "verify" || f.Reason != "wrong" || f.Service != "ssh" || f.Time.IsZero() {
			t.Errorf("%+v", f)
		}
	}
	if seen != 4 {
		t.Errorf("%d failures: %+v", seen, r.Failures)
	}
	if len(r.Throttled) != 1 || r.Throttled[0].Service != "ssh" || !r.Throttled[0].Until.After(b.clock.Now()) {
		t.Errorf("%+v", r.Throttled)
	}
	for who, want := range map[string]string{"admin": "yes", "user": "", "verifier": "", "stranger": ""} {
		if _, err := b.UserReport(ctx, as(who), "bob"); (err == nil) != (want != "") {
			t.Errorf("%s: %v", who, err)
		}
	}
	b.reportsRanks(t)
}

// reportsRanks: the report says beforehand what would be refused, and notes nothing.
func (b *bench) reportsRanks(t *testing.T) {
	t.Helper()
	before := len(b.entries(t, "activation-create"))
	for _, c := range []struct{ who, of, reason string }{
		{"helpdesk", "admin", "your role"}, {"helpdesk", "helpdesk2", "your role"}, {"admin", "owner", "your role"}, {"owner", "owner", "himself"}, {"helpdesk", "helpdesk", "himself"},
		{"admin", "ghost", "disabled"}, {"admin", "helpdesk", ""}, {"owner", "admin", ""},
	} {
		r, err := b.UserReport(t.Context(), as(c.who), c.of)
		if err != nil || r.MayHelp.Allowed != (c.reason == "") || !strings.Contains(r.MayHelp.Reason, c.reason) {
			t.Errorf("%s of %s: %+v, %v", c.who, c.of, r.MayHelp, err)
		}
		for _, list := range []any{r.Accounts, r.Fobs, r.SecurityKeys, r.Devices, r.Activations, r.BypassCodes, r.Throttled, r.Failures} {
			if reflect.ValueOf(list).IsNil() {
				t.Errorf("%s of %s: a list is null", c.who, c.of)
			}
		}
	}
	if after := len(b.entries(t, "activation-create")); after != before {
		t.Errorf("looking leaves %d entries", after-before)
	}
}
