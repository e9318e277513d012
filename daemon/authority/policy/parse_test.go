package policy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestFindings reads wrong texts: each is told with line, rule, field and a
// remedy.
func TestFindings(t *testing.T) {
	rules := strings.Count(base, "\n") + 1 // the line where with's rules begin
	for _, c := range []struct {
		name, text  string
		line        int
		rule, field string
		severity    Severity
		message     string
	}{
		{"empty", "", 1, "", "version", Error, "does not say which version"},
		{"newer", strings.Replace(base, "version = 1", "version = 2", 1), 1, "", "version", Error, "is 2; it must lie between 1 and 1"},
		{"no reactivation", "version = 1\n", 1, "", "reactivation", Error, "nothing is allowed"},
		{"syntax", "version = 1\nfoo bar\n", 2, "", "", Error, "a key has no value"},
		{"a syntax that the library finds", "version = 1\nversion = 1\n", 2, "", "", Error, "already been defined"},
		{"not UTF-8", "version = 1\n# \xff\n", 2, "", "", Error, "not UTF-8"},
		{"unknown table", with("[reactivaton]\nallow = []\n"), rules, "", "reactivaton", Error, `there is no key "reactivaton"`},
		{"unknown key", strings.Replace(base, "old_device", "old_devices", 1), 9, "reactivation", "old_devices", Error, `no key "old_devices"`},
		{"missing key", strings.Replace(base, `after_restore = "allowed"`, "", 1), 6, "reactivation", "after_restore", Error, "is missing"},
		{"unknown factor", strings.Replace(base, `"fob"`, `"fobb"`, 1), 7, "reactivation", "allow", Error, `no factor "fobb"`},
		{"unknown factor on a line of its own", strings.Replace(base, `["fob", "bypass_code"]`, "[\n  \"fob\", # ]\n\n  \"Fob\",\n]", 1), 10, "reactivation", "allow", Error, `no factor "Fob"`},
		{"wrong type", strings.Replace(base, `["fob", "bypass_code"]`, `"fob"`, 1), 7, "reactivation", "allow", Error, "holds a text, not a list"},
		{"wrong word", strings.Replace(base, `"revoke"`, `"revoked"`, 1), 9, "reactivation", "old_device", Error, `"revoked" is none of revoke, keep`},
		{"who forbade it", strings.Replace(base, `"allowed"`, `"forbidden"`, 1), 6, "reactivation", "forbidden_by", Error, "nobody is named"},
		{"forbade what", with("[[rule]]\nname='a'\neverybody=true\nafter_restore='allowed'\nforbidden_by='x'\n"), rules + 4, "a", "forbidden_by", Error, "what is not forbidden"},
		{"portal", strings.Replace(base, "https://", "http://", 1), 5, "contact", "portal", Error, "not an https address"},
		{"lifetime", with("[lifetimes]\nactivation = \"25h\"\n"), rules + 1, "lifetimes", "activation", Error, "is 25h; it must lie between 1m and 24h"},
		{"no time", with("[lifetimes]\nactivation = \"1h30m\"\n"), rules + 1, "lifetimes", "activation", Error, `"1h30m" is not a time`},
		{"a number for a time", with("[lifetimes]\nactivation = 24\n"), rules + 1, "lifetimes", "activation", Error, "holds a number"},
		{"an admin for an admin", strings.Replace(base, `for_admin = ["owner"]`, `for_admin = ["admin"]`, 1), 12, "help", "for_admin", Error, "the role admin cannot stand here"},
		{"a verifier who helps", strings.Replace(base, `for_user = ["admin", "owner"]`, `for_user = ["verifier"]`, 1), 11, "help", "for_user", Error, "cannot stand here"},
		{"second approver for nobody", strings.Replace(base, `for_owner = ["owner"]`, ``, 1), 14, "help", "second_approver_for", Warning, "whom nobody may help"},
		{"remote bypass", with("[verifiers]\nbypass_code = [\"duo\"]\n"), rules + 1, "verifiers", "bypass_code", Error, "by the authority itself"},
		{"local sms", with("[verifiers]\nsms = [\"local\"]\n"), rules + 1, "verifiers", "sms", Error, `"local" cannot verify sms`},

		{"a rule of no name", with("[[rule]]\neverybody = true\ndeny = ['sms']\n"), rules, "rule 1", "name", Error, "has no name"},
		{"two of a name", with("[[rule]]\nname='a'\neverybody = true\ndeny = ['sms']\n[[rule]]\nname='A'\nusers=['x']\ndeny=['push']\n"), rules + 5, "A", "name", Error, fmt.Sprintf("(line %d)", rules)},
		{"for nobody", with("[[rule]]\nname='a'\ndeny = ['sms']\n"), rules, "a", "everybody", Error, "whom it is for"},
		{"for everybody and some", with("[[rule]]\nname='a'\neverybody=true\nusers=['x']\ndeny = ['sms']\n"), rules + 2, "a", "everybody", Error, "everybody and for some"},
		{"says nothing", with("[[rule]]\nname='a'\neverybody=true\n"), rules, "a", "", Error, "says nothing"},
		{"allows and denies", with("[[rule]]\nname='a'\neverybody=true\nallow=['fob']\ndeny=['fob']\n"), rules + 3, "a", "allow", Error, "which the same rule denies"},
		{"can never match", with("[[rule]]\nname='a'\nusers=['alice','bob']\nexcept_users=['*o*','ALICE']\ndeny=['fob']\n"), rules, "a", "", Error, "matches nobody"},
		{"no role", with("[[rule]]\nname='a'\nroles=['root']\ndeny=['fob']\n"), rules + 2, "a", "roles", Error, `no role "root"`},
		{"in vain", with("[[rule]]\nname='a'\nusers=['alice']\nallow=['sms']\n[[rule]]\nname='no'\neverybody=true\ndeny=['sms']\n[verifiers]\nsms=['duo']\n"), rules, "a", "allow", Warning, fmt.Sprintf(`in vain: rule "no" (line %d) denies it`, rules+4)},
		{"nobody verifies", with("[[rule]]\nname='a'\nusers=['alice']\nallow=['sms']\n"), rules, "a", "allow", Warning, "which nobody verifies"},
		{"allowed already", with("[[rule]]\nname='a'\nusers=['alice']\nallow=['fob']\n"), rules, "a", "allow", Warning, "allows nothing that"},
		{"contradiction", with("[[rule]]\nname='a'\nusers=['alice']\nold_device='keep'\n[[rule]]\nname='b'\nusers=['al*']\nold_device='revoke'\n"), rules, "a", "old_device", Warning, `contradicted by rule "b"`},
		{"devices", with("[[rule]]\nname='a'\neverybody=true\ndevices=['kiosk*']\ndeny=['fob']\n"), rules, "a", "devices", Warning, "its own word"},
		{"too many factors", strings.Replace(base, `old_device`, "factors = 3\nold_device", 1), 6, "reactivation", "factors", Error, "only 2 can ever be offered"},
		{"too many patterns", with("[[rule]]\nname='a'\nusers=[" + strings.Repeat("'x*',", maxGlobs) + "\n'y*']\ndeny=['fob']\n"), rules + 3, "a", "users", Error, "more than 500 patterns"},
		{"ladder of one", strings.Replace(base, `old_device`, "ladder = ['fob']\nold_device", 1), 9, "reactivation", "ladder", Error, "one rung"},
		{"ladder with a factor twice", strings.Replace(base, `old_device`, "ladder = ['fob', ['bypass_code', 'fob']]\nold_device", 1), 9, "reactivation", "ladder", Error, "names fob twice"},
		{"a rung out of reach", strings.Replace(base, `old_device`, "ladder = ['fob', 'push']\nold_device", 1), 6, "reactivation", "ladder", Warning, "rung 2 names push, which is never offered"},
		{"a ladder out of reach", with("[[rule]]\nname='a'\nusers=['*']\nladder=['fob','bypass_code']\n[[rule]]\nname='b'\nusers=['bob']\nladder=['bypass_code','fob']\n"), rules + 4, "b", "ladder", Warning, "the ladder is never used"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, findings := Parse([]byte(c.text))
			if (p == nil) != Failed(findings) {
				t.Fatalf("policy %v, findings %v", p != nil, findings)
			}
			for _, f := range findings {
				if f.Line == c.line && f.Rule == c.rule && f.Field == c.field && f.Severity == c.severity && strings.Contains(f.Message, c.message) {
					if f.Remedy == "" || strings.HasSuffix(f.Message, ".") {
						t.Fatalf("%+v", f)
					}
					return
				}
			}
			t.Fatalf("not found among %d:\n%+v", len(findings), findings)
		})
	}
}

// TestAllFindingsAtOnce: whoever edits a policy is told of all his slips.
func TestAllFindingsAtOnce(t *testing.T) {
	_, findings := Parse([]byte(with("[[rule]]\nnam='a'\nuser=['x']\ndeny=['fax']\n")))
	if len(findings) < 5 {
		t.Fatalf("%v", findings)
	}
	for i, f := range findings[1:] {
		if f.Line < findings[i].Line {
			t.Fatalf("not in the order of lines: %v", findings)
		}
	}
}

// TestNoFindings: what is right is not talked about.
func TestNoFindings(t *testing.T) {
	for _, text := range []string{base, "\ufeff" + base, strings.ReplaceAll(base, "\n", "\r\n"),
		with("[lifetimes]\nbypass_code = \"7d\"\n[[rule]] # one\nname = \"\"\"no-calls\"\"\"\ngroups = [\n  'staff', # two\n  \"con]tractors\" ]\ndeny = ['sms']\n")} {
		p, findings := Parse([]byte(text))
		if p == nil || len(findings) > 0 {
			t.Errorf("%v", findings)
		}
	}
}

func TestLifetimes(t *testing.T) {
	p := mustParse(t, with("[lifetimes]\nbypass_code = \"7d\"\npending_secret = \"10m\"\n"))
	want := Lifetimes{24 * time.Hour, 10 * time.Minute, 5 * time.Minute, 7 * 24 * time.Hour}
	if p.Lifetimes() != want {
		t.Fatalf("%+v", p.Lifetimes())
	}
	if w := p.Lifetimes().InWords(); w != (LifetimesInWords{"24h", "10m", "5m", "7d"}) {
		t.Fatalf("%+v", w)
	}
}

// TestHostile: what is made to be slow or to overflow a stack is refused at once.
func TestHostile(t *testing.T) {
	many := func(s string) string { return strings.Repeat(s, MaxSize/len(s)-100) }
	rules := strings.Repeat("[[rule]]\nname='x'\nusers=['"+strings.Repeat("a*", 60)+"']\ndeny=['sms']\n", MaxRules+1)
	for name, text := range map[string]string{
		"too large":           strings.Repeat("#", MaxSize+1),
		"deep arrays":         "a = " + many("["),
		"deep arrays, closed": "a = " + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000),
		"deep tables":         "a = " + many("{a="),
		"a dotted key":        many("a.") + "a = 1",
		"a dotted table":      "[" + many("a.") + "a]",
		"a long key":          many("a") + " = ['','']",
		"elements":            "a = [" + many("1,") + "]",
		"keys":                "version = 1\n" + many("[a]\n"),
		"rules":               with(rules),
		"an endless string":   `a = """` + many("x"),
		"after a syntax slip": "a = \x00 " + many("["),
	} {
		t.Run(name, func(t *testing.T) {
			if p, findings := Parse([]byte(text)); p != nil || !Failed(findings) || len(findings) > maxFindings+2 {
				t.Fatalf("accepted, or %d findings", len(findings))
			}
		})
	}
}

// TestLargest: a policy at its bounds is read and decides.
func TestLargest(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(base)
	for i := range MaxRules {
		fmt.Fprintf(&b, "[[rule]]\nname='r%d'\ndeny=['sms']\nusers=[", i)
		for j := range MaxEntries/MaxRules - 3 {
			fmt.Fprintf(&b, "'user%d-%d',", i, j)
		}
		b.WriteString("'*x']\n")
	}
	p := mustParse(t, b.String())
	if d := Decide(p, Subject{User: alice(), Has: has(Fob)}); offers(d) != "fob" {
		t.Fatalf("%+v", d)
	}
}

func FuzzParse(f *testing.F) {
	n := 0
	for _, name := range Presets() {
		text, err := Preset(name, Contact{Name: "x"})
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(text))
		n++
	}
	if n == 0 {
		f.Fatal("no seeds")
	}
	f.Add([]byte(with("[[rule]]\nname = \"\"\"a\\\"\"\"\"\"\nusers = ['*a*', \"b\" ]\nallow = ['sms']\nladder = [['fob'], 'sms']\n[verifiers]\nsms = ['duo']\n")))
	f.Add([]byte("a = {b = [[1, '''x''']], \"c.d\" = 1979-05-27T07:32:00Z}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, findings := Parse(data)
		if (p == nil) != Failed(findings) {
			t.Fatalf("a policy is there: %v; findings: %v", p != nil, findings)
		}
		lines := bytes.Count(data, []byte("\n")) + 1
		for _, x := range findings {
			if x.Line < 0 || x.Line > lines || x.Message == "" || !printable(x.Message+x.Rule+x.Field) {
				t.Fatalf("%+v", x)
			}
		}
		if p == nil {
			return
		}
		d := Decide(p, Subject{User: alice(), Account: "vpn", Has: everything()})
		for _, o := range d.Offers {
			if !bytes.Contains(data, []byte(o.Factor)) && !bytes.ContainsRune(data, '\\') {
				t.Fatalf("%s is offered, and nobody named it", o.Factor)
			}
		}
		if len(d.Offers)+len(d.Denials) != len(Factors()) || (d.Outcome == Offered) != (len(d.Offers) >= d.Required) {
			t.Fatalf("%+v", d)
		}
		if _, err := Check(p, people{{Person: alice()}}); err != nil {
			t.Fatal(err)
		}
	})
}
