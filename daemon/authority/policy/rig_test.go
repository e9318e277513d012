package policy

import (
	"iter"
	"strings"
	"testing"
)

// base is a policy of which tests change a line or add rules.
const base = `version = 1
[contact]
name = "IT helpdesk"
phone = "+41 44 000 00 00"
portal = "https://help.example.org"
[reactivation]
allow = ["fob", "bypass_code"]
after_restore = "allowed"
old_device = "revoke"
[help]
for_user = ["admin", "owner"]
for_admin = ["owner"]
for_owner = ["owner"]
second_approver_for = ["owner"]
`

// with is base with rules after it.
func with(rules string) string { return base + rules }

func mustParse(tb testing.TB, text string) *Policy {
	tb.Helper()
	p, findings := Parse([]byte(text))
	if p == nil {
		tb.Fatalf("refused: %v", findings)
	}
	return p
}

// everything is a user who has one of each.
func everything() map[Factor]Holding {
	has := map[Factor]Holding{}
	for _, f := range Factors() {
		has[f] = Holding{Working: 1}
	}
	return has
}

func has(list ...Factor) map[Factor]Holding {
	out := map[Factor]Holding{}
	for _, f := range list {
		out[f] = Holding{Working: 1}
	}
	return out
}

func offers(d Decision) string {
	var out []string
	for _, o := range d.Offers {
		out = append(out, string(o.Factor))
	}
	return strings.Join(out, " ")
}

func denial(tb testing.TB, d Decision, f Factor) Denial {
	tb.Helper()
	for _, x := range d.Denials {
		if x.Factor == f {
			return x
		}
	}
	tb.Fatalf("%s is not denied: %+v", f, d)
	return Denial{}
}

// people is a population.
type people []Member

func (p people) Members() iter.Seq2[Member, error] {
	return func(yield func(Member, error) bool) {
		for _, m := range p {
			if !yield(m, nil) {
				return
			}
		}
	}
}

// Ready is so of all verifiers.
func (p people) Ready(Verifier) bool { return true }

func alice() Person { return Person{ID: "u1", Name: "alice"} }
