package policy

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const noCalls = "[[rule]]\nname = \"no-calls\"\neverybody = true\ndeny = [\"sms\", \"phone_call\"]\nbecause = \"numbers can be taken over\"\n"

func TestDenials(t *testing.T) {
	p := mustParse(t, with(noCalls))
	d := Decide(p, Subject{User: alice(), Account: "vpn", Has: map[Factor]Holding{SMS: {Working: 1}, Push: {Working: 1}, BypassCode: {Broken: 2}}})
	if d.Outcome != NothingLeft || len(d.Offers) > 0 || d.Required != 1 || d.OldDevice != Revoke {
		t.Fatalf("%+v", d)
	}
	for f, want := range map[Factor]string{
		SMS:         `sms: not allowed by rule "no-calls" (line 15)`,
		Fob:         `fob: you have none assigned`,
		BypassCode:  `bypass_code: yours is used or has expired`,
		Push:        `push: not allowed: neither [reactivation] (line 6) nor a rule that matches names it`,
		SecurityKey: `security_key: not allowed: neither [reactivation] (line 6) nor a rule that matches names it`,
	} {
		if got := denial(t, d, f).String(); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	if b := denial(t, d, SMS).Because; b != "numbers can be taken over" {
		t.Errorf("because %q", b)
	}
	want := []Alternative{{"portal", "https://help.example.org"}, {"administrator", "admin, owner"}, {"contact", "IT helpdesk, +41 44 000 00 00"}}
	if !reflect.DeepEqual(d.Alternatives, want) {
		t.Errorf("%+v", d.Alternatives)
	}
}

// TestDecide goes through rules and subjects. The user has one of each factor
// unless has says otherwise.
func TestDecide(t *testing.T) {
	remote := "[verifiers]\npush=['duo']\nsms=['radius']\nphone_call=['duo']\n"
	ladder := strings.Replace(base, "old_device", "ladder = [['fob', 'security_key'], 'other_device', 'bypass_code']\nold_device", 1)
	ladder = strings.Replace(ladder, `"bypass_code"]`, `"bypass_code", "security_key", "other_device"]`, 1)
	two := strings.Replace(ladder, "old_device =", "factors = 2\nold_device =", 1)
	for _, c := range []struct {
		name, text string
		subject    Subject
		want       string // offers in order
		required   int
		old        OldDevice
	}{
		{"the default", base, Subject{}, "fob bypass_code", 1, Revoke},
		{"a rule adds", with("[[rule]]\nname='a'\nusers=['alice']\nallow=['sms']\n" + remote), Subject{}, "fob bypass_code sms", 1, Revoke},
		{"for another", with("[[rule]]\nname='a'\nusers=['bob']\nallow=['sms']\n" + remote), Subject{}, "fob bypass_code", 1, Revoke},
		{"nobody verifies", with("[[rule]]\nname='a'\nusers=['alice']\nallow=['sms']\n"), Subject{}, "fob bypass_code", 1, Revoke},
		{"a denial before", with("[[rule]]\nname='a'\neverybody=true\ndeny=['fob']\n[[rule]]\nname='b'\nusers=['alice']\nallow=['fob','push']\n" + remote), Subject{}, "bypass_code push", 1, Revoke},
		{"a denial after", with("[[rule]]\nname='b'\nusers=['alice']\nallow=['push']\n[[rule]]\nname='a'\neverybody=true\ndeny=['push']\n" + remote), Subject{}, "fob bypass_code", 1, Revoke},
		{"case does not matter", with("[[rule]]\nname='a'\nusers=['ALICE']\ndeny=['fob']\n"), Subject{User: Person{Name: "Alice"}}, "bypass_code", 1, Revoke},
		{"by id", with("[[rule]]\nname='a'\nusers=['U1']\ndeny=['fob']\n"), Subject{}, "bypass_code", 1, Revoke},
		{"a pattern", with("[[rule]]\nname='a'\nusers=['a*ce']\ndeny=['fob']\n"), Subject{}, "bypass_code", 1, Revoke},
		{"an exception", with("[[rule]]\nname='a'\nusers=['a*']\nexcept_users=['alice']\ndeny=['fob']\n"), Subject{}, "fob bypass_code", 1, Revoke},
		{"a group", with("[[rule]]\nname='a'\ngroups=['staff']\ndeny=['fob']\n"), Subject{User: Person{Name: "x", Groups: []string{"y", "Staff"}}}, "bypass_code", 1, Revoke},
		{"a group but not another", with("[[rule]]\nname='a'\ngroups=['staff']\nexcept_groups=['y']\ndeny=['fob']\n"), Subject{User: Person{Name: "x", Groups: []string{"y", "staff"}}}, "fob bypass_code", 1, Revoke},
		{"a role", with("[[rule]]\nname='a'\nroles=['admin']\nfactors=2\nold_device='keep'\n"), Subject{User: Person{Name: "x", Roles: []Role{RoleAdmin}}}, "fob bypass_code", 2, Keep},
		{"no role", with("[[rule]]\nname='a'\nroles=['admin']\nfactors=2\n"), Subject{}, "fob bypass_code", 1, Revoke},
		{"everybody is a user", with("[[rule]]\nname='a'\nroles=['user']\ndeny=['fob']\n"), Subject{User: Person{Name: "x", Roles: []Role{RoleAdmin}}}, "bypass_code", 1, Revoke},
		{"an account", with("[[rule]]\nname='a'\neverybody=true\naccounts=['vpn*']\ndeny=['fob']\n"), Subject{Account: "VPN-2"}, "bypass_code", 1, Revoke},
		{"another account", with("[[rule]]\nname='a'\neverybody=true\naccounts=['vpn*']\ndeny=['fob']\n"), Subject{Account: "mail"}, "fob bypass_code", 1, Revoke},
		{"a device", with("[[rule]]\nname='a'\neverybody=true\ndevices=['kiosk-?','kiosk-*']\ndeny=['fob']\n"), Subject{Device: Device{Name: "kiosk-7"}}, "bypass_code", 1, Revoke},
		{"user and account", with("[[rule]]\nname='a'\nusers=['bob']\naccounts=['vpn']\ndeny=['fob']\n"), Subject{Account: "vpn"}, "fob bypass_code", 1, Revoke},
		{"the strictest of two", with("[[rule]]\nname='a'\nusers=['a*']\nold_device='keep'\n[[rule]]\nname='b'\nusers=['*e']\nold_device='revoke'\nfactors=2\n[[rule]]\nname='c'\nusers=['*c*']\nfactors=1\n"), Subject{}, "fob bypass_code", 2, Revoke},
		{"a rule against the default", strings.Replace(with("[[rule]]\nname='a'\nusers=['a*']\nold_device='keep'\n"), "x", "x", 1), Subject{}, "fob bypass_code", 1, Keep},

		{"the first rung", ladder, Subject{}, "fob security_key", 1, Revoke},
		{"the second rung", ladder, Subject{Has: has(OtherDevice, BypassCode)}, "other_device", 1, Revoke},
		{"the last rung", ladder, Subject{Has: has(BypassCode)}, "bypass_code", 1, Revoke},
		{"a rung that is denied holds nothing back", ladder + "[[rule]]\nname='a'\neverybody=true\ndeny=['fob','security_key']\n", Subject{}, "other_device", 1, Revoke},
		{"two factors from one rung", two, Subject{}, "fob security_key", 2, Revoke},
		{"two factors from two rungs", two, Subject{Has: has(Fob, OtherDevice, BypassCode)}, "fob other_device", 2, Revoke},
		{"two factors from far rungs", two, Subject{Has: has(Fob, BypassCode)}, "fob bypass_code", 2, Revoke},
		{"two factors, one there", two, Subject{Has: has(Fob)}, "", 2, Revoke},
		{"the first ladder counts", ladder + "[[rule]]\nname='a'\nusers=['alice']\nladder=['bypass_code','fob']\n[[rule]]\nname='b'\nusers=['a*']\nladder=['other_device','fob']\n", Subject{}, "bypass_code security_key other_device", 1, Revoke},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.subject.User.Name == "" {
				c.subject.User = alice()
			}
			if c.subject.Has == nil {
				c.subject.Has = everything()
			}
			d := Decide(mustParse(t, c.text), c.subject)
			if offers(d) != c.want || d.Required != c.required || d.OldDevice != c.old {
				t.Fatalf("%q, %d, %s; denied %v", offers(d), d.Required, d.OldDevice, d.Denials)
			}
			if (d.Outcome == Offered) != (c.want != "") || len(d.Offers)+len(d.Denials) != len(Factors()) {
				t.Fatalf("%+v", d)
			}
		})
	}
}

func TestLadderReason(t *testing.T) {
	p := mustParse(t, strings.Replace(base, "old_device", "ladder = ['fob', 'bypass_code']\nold_device", 1))
	d := Decide(p, Subject{User: alice(), Has: has(Fob, BypassCode)})
	if got := denial(t, d, BypassCode).String(); got != "bypass_code: only for who has no working fob, by the ladder of [reactivation] (line 6)" {
		t.Fatal(got)
	}
	p = mustParse(t, strings.Replace(base, "old_device", "factors = 2\nold_device", 1))
	d = Decide(p, Subject{User: alice(), Has: has(Fob)})
	if got := denial(t, d, Fob).String(); got != "fob: not enough: [reactivation] (line 6) asks for 2 factors, and 1 is left" {
		t.Fatal(got)
	}
}

func TestRestore(t *testing.T) {
	p := mustParse(t, with("[[rule]]\nname='office-only'\ngroups=['office']\nafter_restore='forbidden'\nforbidden_by='Eve, eve@example.org'\nbecause='devices stay here'\n"))
	worker := Person{ID: "u2", Name: "bob", Groups: []string{"office"}}
	d := Decide(p, Subject{User: worker, Restored: true, Has: everything()})
	if d.Outcome != RestoreForbidden || len(d.Offers) > 0 || len(d.Alternatives) != 3 ||
		!reflect.DeepEqual(d.Forbidden, &Forbidden{"Eve, eve@example.org", Source{"office-only", 15}, "devices stay here"}) {
		t.Fatalf("%+v", d)
	}
	if x := denial(t, d, Fob); x.Cause != ByRestore || !strings.Contains(x.Reason, `forbidden by rule "office-only" (line 15)`) {
		t.Fatalf("%+v", x)
	}
	for _, s := range []Subject{{User: worker, Has: everything()}, {User: alice(), Restored: true, Has: everything()}} {
		if d := Decide(p, s); d.Outcome != Offered || d.Forbidden != nil {
			t.Fatalf("%+v", d)
		}
	}
}

// TestNothingIsDenied: a policy that does not exist, or says nothing, allows
// nothing, and no restore.
func TestNothingIsDenied(t *testing.T) {
	for _, p := range []*Policy{nil, {}} {
		d := Decide(p, Subject{User: alice(), Restored: true, Has: everything()})
		if d.Outcome == Offered || len(d.Offers) > 0 || d.OldDevice != Revoke || d.Lifetimes != DefaultLifetimes() {
			t.Fatalf("%+v", d)
		}
		if d := Decide(p, Subject{}); d.Outcome == Offered {
			t.Fatalf("%+v", d)
		}
	}
}

func TestAsserted(t *testing.T) {
	p := mustParse(t, with("[verifiers]\nfob = ['local', 'radius']\n"))
	d := Decide(p, Subject{User: alice(), Has: everything()})
	if !d.Offers[0].Asserted || d.Offers[1].Asserted || !reflect.DeepEqual(d.Offers[0].Verifiers, []Verifier{Local, Radius}) {
		t.Fatalf("%+v", d.Offers)
	}
}

func TestHelp(t *testing.T) {
	p := mustParse(t, base)
	person := func(id string, roles ...Role) Person { return Person{ID: id, Name: id, Roles: roles} }
	for _, c := range []struct {
		helper, who Person
		reason      string
		second      bool
	}{
		{person("a", RoleAdmin), person("u"), "", false},
		{person("o", RoleOwner), person("u"), "", false},
		{person("a", RoleAdmin), person("A", RoleAdmin), "nobody may help himself", false},
		{person("o", RoleOwner), person("o", RoleOwner), "nobody may help himself", false},
		{person("b", RoleAdmin), person("a", RoleAdmin), "is helped by owner only (line 12)", false},
		{person("a", RoleAdmin), person("x", RoleUser, RoleOwner, RoleAdmin), "is helped by owner only (line 13)", false},
		{person("p", RoleOwner), person("o", RoleOwner), "", true},
		{person("h", RoleHelpdesk), person("u"), "is helped by admin, owner only", false},
		{person("u2"), person("u"), "is helped by admin, owner only", false},
		{person("o", RoleOwner), person("h", RoleHelpdesk), "lets nobody help", false},
		{person("", RoleOwner), person("u"), "not known", false},
	} {
		d := p.MayHelp(c.helper, c.who)
		if d.Allowed != (c.reason == "") || !strings.Contains(d.Reason, c.reason) || d.SecondApprover != c.second {
			t.Errorf("%s helps %s: %+v", c.helper.ID, c.who.ID, d)
		}
	}
	o, p2, q := person("o", RoleOwner), person("p", RoleOwner), person("q", RoleOwner)
	for _, c := range []struct {
		approver Person
		ok       bool
	}{{q, true}, {p2, false}, {o, false}, {person("a", RoleAdmin), false}, {person("u"), false}} {
		if d := p.MayApprove(c.approver, p2, o); d.Allowed != c.ok || (d.Reason == "") != c.ok {
			t.Errorf("%s approves: %+v", c.approver.ID, d)
		}
	}
}

func TestExplain(t *testing.T) {
	p := mustParse(t, with(noCalls+"[[rule]]\nname='vpn'\nusers=['alice']\naccounts=['vpn']\nfactors=2\nladder=['fob','bypass_code']\n"))
	raw, err := json.Marshal(Explain(p, Subject{User: alice(), Account: "vpn", Restored: true, Has: has(Fob, BypassCode)}))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"version":1`, `"user":"alice"`, `"outcome":"offered"`, `"required":2`, `"required_from":{"rule":"vpn","line":20}`,
		`"matching_rules":[{"rule":"no-calls","line":15,"deny":["sms","phone_call"],"because":"numbers can be taken over"},{"rule":"vpn","line":20,"factors":2}]`,
		`"ladder":[["fob"],["bypass_code"]]`, `"restore_allowed":true`, `"pending_secret":"15m"`, `"help":{"roles":["admin","owner"],"second_approver":false`,
		`{"factor":"sms","cause":"denied-by-rule","by":{"rule":"no-calls","line":15},"reason":"not allowed by rule \"no-calls\" (line 15)"`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("no %s in\n%s", want, raw)
		}
	}
	if e := Explain(nil, Subject{}); e.Outcome == Offered || e.RestoreAllowed {
		t.Fatalf("%+v", e)
	}
}

func TestPresets(t *testing.T) {
	full := Contact{Name: `The "desk" \ of IT`, Phone: "+41 44", Email: "a@b.c", Portal: "https://x.example"}
	for name, want := range map[string]string{
		"no-sms-no-calls": "fob security_key",
		"fob-only":        "fob",
		"open":            "fob security_key other_device push bypass_code sms phone_call",
	} {
		text, err := Preset(name, full)
		if err != nil {
			t.Fatal(err)
		}
		p, findings := Parse([]byte(text))
		if p == nil || len(findings) > 0 || p.Contact() != full {
			t.Fatalf("%s: %+v %+v", name, findings, p.Contact())
		}
		if d := Decide(p, Subject{User: alice(), Restored: true, Has: everything()}); offers(d) != want {
			t.Errorf("%s offers %q", name, offers(d))
		}
		bare, err := Preset(name, Contact{})
		if err != nil {
			t.Fatal(err)
		}
		if p, findings := Parse([]byte(bare)); p == nil || len(findings) != 1 || findings[0].Rule != "contact" {
			t.Errorf("%s: %+v", name, findings)
		}
	}
	if _, err := Preset("none", full); err == nil {
		t.Error("a preset that is not there")
	}
	if _, err := Preset("open", Contact{Name: "a\nb"}); err == nil {
		t.Error("a line break in a name")
	}
	if len(Presets()) != 3 {
		t.Error(Presets())
	}
}

// TestPresetsDenyForGood: no rule that is added brings back what a preset
// denies.
func TestPresetsDenyForGood(t *testing.T) {
	for name, list := range map[string][]Factor{"no-sms-no-calls": {SMS, PhoneCall}, "fob-only": {SecurityKey, OtherDevice, BypassCode, Push, SMS, PhoneCall}} {
		text, err := Preset(name, Contact{})
		if err != nil {
			t.Fatal(err)
		}
		text = strings.Replace(text, `fob = ["local"]`, "fob = [\"local\"]\npush = [\"duo\"]\nsms = [\"duo\"]\nphone_call = [\"duo\"]", 1)
		for _, f := range list {
			text += fmt.Sprintf("[[rule]]\nname = \"let-%s\"\neverybody = true\nallow = [%q]\n", f, f)
		}
		d := Decide(mustParse(t, text), Subject{User: alice(), Has: everything()})
		for _, f := range list {
			if x := denial(t, d, f); x.Cause != ByRule || x.By.Rule != name {
				t.Errorf("%s: %s", name, x)
			}
		}
	}
}
