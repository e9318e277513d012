package policy

import (
	"slices"
	"strings"
	"testing"
)

const remotely = `version = 1
[contact]
name = "x"
[reactivation]
allow = ["fob", "push", "bypass_code"]
ladder = [["fob", "push"], "bypass_code"]
after_restore = "allowed"
old_device = "revoke"
[help]
for_user = ["admin"]
[verifiers]
fob = ["local", "radius"]
push = ["duo", "radius"]
`

// TestReady: what is offered, and by whom, goes by which verifiers are set up and
// where the user's fobs are.
func TestReady(t *testing.T) {
	p := mustParse(t, remotely)
	works, lost := Holding{Working: 1}, Holding{Broken: 1}
	for _, c := range []struct {
		ready   []Verifier
		fob     Holding
		unknown []Factor
		want    string
	}{
		{nil, works, nil, "fob local"},
		{nil, lost, nil, "bypass_code local"},
		{[]Verifier{Radius}, works, nil, "fob local, push radius asserted"},
		{[]Verifier{Radius}, lost, nil, "fob radius asserted, push radius asserted"},
		{[]Verifier{Radius}, Holding{}, nil, "fob radius asserted, push radius asserted"},
		{[]Verifier{Duo}, Holding{}, nil, "push duo asserted"},
		{[]Verifier{Duo, Radius}, Holding{}, nil, "fob radius asserted, push duo radius asserted"},
		{[]Verifier{Duo, Radius}, Holding{}, []Factor{Fob, Push}, "bypass_code local"},
		{[]Verifier{Duo, Radius}, works, []Factor{Fob, Push}, "fob local"},
	} {
		d := Decide(p, Subject{User: alice(), Has: map[Factor]Holding{Fob: c.fob, BypassCode: works}, Unknown: c.unknown,
			Ready: func(v Verifier) bool { return slices.Contains(c.ready, v) }})
		var got []string
		for _, o := range d.Offers {
			s := string(o.Factor)
			for _, v := range o.Verifiers {
				s += " " + string(v)
			}
			if o.Asserted {
				s += " asserted"
			}
			got = append(got, s)
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%+v: %s", c, s)
		}
	}
}

// unready is a population of an authority to which no remote verifier is set up.
type unready struct{ people }

func (unready) Ready(Verifier) bool { return false }

func TestCheckReady(t *testing.T) {
	found := check(t, remotely, unready{})
	for _, want := range []string{
		"note: verifiers, fob: fob is to be verified by radius, which is not set up, and the others are asked alone",
		"warning: verifiers, push: push is to be verified by duo, which is not set up, and so nobody verifies it: it is not offered",
	} {
		if !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("%q is missing of %q", want, found)
		}
	}
	for _, s := range check(t, remotely, people{}) {
		if strings.Contains(s, "not set up") {
			t.Error(s)
		}
	}
}
