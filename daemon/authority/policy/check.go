package policy

import (
	"fmt"
	"iter"
	"strings"
)

// Member is a user of an authority, as Check sees him.
type Member struct {
	Person
	// Accounts are his managed accounts. One who has none is checked as if he
	// were to get one that no rule names.
	Accounts []string
	// Has is what he has of each factor. OtherDevice is not looked at: see
	// Devices.
	Has map[Factor]Holding
	// Devices is how many active devices he has. One of them is the one that is
	// lost.
	Devices int
}

// Population is the users of an authority.
type Population interface {
	// Members goes through all users; Check does so twice. An error ends it.
	Members() iter.Seq2[Member, error]
	// Ready says whether a remote verifier is set up.
	Ready(v Verifier) bool
}

// maxNamed is how many users are named for one thing before they are counted.
const maxNamed = 50

// Check says what cannot be seen in the policy's text alone: factors that a
// remote verifier only asserts, users who would have no way back after losing a
// device, and rules that match nobody. Without a population (nil) only the first.
// Its error is the population's.
func Check(p *Policy, all Population) ([]Finding, error) {
	r := &report{}
	checkVerifiers(p, r)
	if all == nil {
		return r.sorted(), nil
	}
	checkReady(p, all.Ready, r)
	c := &checker{p: p, r: r, ready: all.Ready, matched: make([]bool, len(p.rules)), helpers: map[Role][]Person{}}
	for m, err := range all.Members() {
		if err != nil {
			return nil, fmt.Errorf("cannot read the users: %w", err)
		}
		c.meet(m)
	}
	for m, err := range all.Members() {
		if err != nil {
			return nil, fmt.Errorf("cannot read the users: %w", err)
		}
		c.member(m)
	}
	c.rest()
	return r.sorted(), nil
}

// checkVerifiers warns where a factor is what a remote verifier says it was.
func checkVerifiers(p *Policy, r *report) {
	possible := p.possible()
	for _, f := range possible {
		for _, v := range p.verifiers[f] {
			var message string
			switch v {
			case Radius:
				message = fmt.Sprintf("%s is verified by RADIUS, which says accept and not by which factor: it may have been any other", f)
			case Duo:
				message = fmt.Sprintf("%s is verified by Duo, whose word is all there is for which factor it was", f)
			default:
				continue
			}
			severity, remedy := Note, fmt.Sprintf("see to it that the verifier is set up to take nothing else for %s", f)
			if f == Fob {
				severity = Warning
				remedy = `write fob = ["local"] below [verifiers], or see to it that the verifier takes nothing but fobs`
				if len(possible) == 1 {
					message = "only fobs are allowed, and that cannot be enforced: " + message
				}
			}
			r.add(Finding{Line: p.verifierLine[f], Rule: "verifiers", Field: string(f), Severity: severity, Message: message, Remedy: remedy})
		}
	}
}

// checkReady warns of factors whose remote verifiers are not set up.
func checkReady(p *Policy, ready func(Verifier) bool, r *report) {
	for _, f := range p.possible() {
		for _, v := range p.verifiers[f] {
			if v == Local || ready(v) {
				continue
			}
			severity, rest := Note, ", and the others are asked alone"
			if len(p.verifying(f, ready)) == 0 {
				severity, rest = Warning, ", and so nobody verifies it: it is not offered"
			}
			r.add(Finding{Line: p.verifierLine[f], Rule: "verifiers", Field: string(f), Severity: severity,
				Message: fmt.Sprintf("%s is to be verified by %s, which is not set up%s", f, v, rest),
				Remedy:  fmt.Sprintf("set it up: `tokenctl admin verifier set %s FILE`, or take it out of the list", v)})
		}
	}
}

// checker goes through a population.
type checker struct {
	p       *Policy
	r       *report
	ready   func(Verifier) bool
	matched []bool
	// helpers are up to three persons of each role above user: with whoever is
	// helped among them there are still two.
	helpers map[Role][]Person
	// lost have no way back at all, alone none without help.
	lost, alone int
}

func (c *checker) meet(m Member) {
	who := newFolded(m.Person, "", Device{})
	for i, r := range c.p.rules {
		c.matched[i] = c.matched[i] || r.match.user(who)
	}
	for _, role := range m.Roles {
		if role != RoleUser && len(c.helpers[role]) < 3 {
			c.helpers[role] = append(c.helpers[role], m.Person)
		}
	}
}

// member looks what is left to a user who has lost one device.
func (c *checker) member(m Member) {
	has := map[Factor]Holding{OtherDevice: {Working: max(m.Devices-1, 0)}}
	for f, h := range m.Has {
		if f != OtherDevice {
			has[f] = h
		}
	}
	accounts := m.Accounts
	if len(accounts) == 0 {
		accounts = []string{""}
	}
	for _, account := range accounts {
		d := Decide(c.p, Subject{User: m.Person, Account: account, Restored: true, Has: has, Ready: c.ready})
		if d.Outcome == Offered {
			continue
		}
		c.stuck(m, account, d)
		return
	}
}

// stuck reports a user to whom no factor is left.
func (c *checker) stuck(m Member, account string, d Decision) {
	name := m.Name
	if account != "" {
		name += " (account " + account + ")"
	}
	f := Finding{Line: c.p.reactivation.line, Rule: Base, Severity: Note,
		Message: fmt.Sprintf("%s could come back only with another person's help: %s", name, why(d)),
		Remedy:  "assign a fob or another factor that the policy allows"}
	kind := &c.alone
	if !c.helpable(m.Person) {
		kind = &c.lost
		f.Severity = Warning
		f.Message = fmt.Sprintf("%s would have no way back, and no other user could help: %s", name, why(d))
		f.Remedy = "assign a fob or another factor that the policy allows, or give a second person a role that [help] names"
	}
	if *kind++; *kind <= maxNamed {
		c.r.add(f)
	}
}

// why is, in a few words, what keeps back the factors that are allowed.
func why(d Decision) string {
	if d.Forbidden != nil {
		return "reactivation of a restored account is forbidden by " + d.Forbidden.Source.String()
	}
	var parts []string
	for _, x := range d.Denials {
		if x.Cause != NotNamed && x.Cause != ByRule {
			parts = append(parts, string(x.Factor)+": "+strings.ReplaceAll(string(x.Cause), "-", " "))
		}
	}
	if len(parts) == 0 {
		return "no factor is allowed"
	}
	return strings.Join(parts, ", ")
}

// helpable says whether anybody may help, with a second approver where one is
// asked for.
func (c *checker) helpable(u Person) bool {
	for _, role := range c.p.help.by[highest(u)] {
		for _, h := range c.helpers[role] {
			d := c.p.MayHelp(h, u)
			if d.Allowed && (!d.SecondApprover || c.approvable(h, u)) {
				return true
			}
		}
	}
	return false
}

func (c *checker) approvable(helper, u Person) bool {
	for _, role := range c.p.help.by[highest(u)] {
		for _, a := range c.helpers[role] {
			if c.p.MayApprove(a, helper, u).Allowed {
				return true
			}
		}
	}
	return false
}

// rest reports what was counted, and the rules that match nobody.
func (c *checker) rest() {
	for _, k := range []struct {
		n        int
		severity Severity
		what     string
	}{
		{c.lost, Warning, "would have no way back, and no other user could help"},
		{c.alone, Note, "could come back only with another person's help"},
	} {
		if k.n > maxNamed {
			c.r.add(Finding{Line: c.p.reactivation.line, Rule: Base, Severity: k.severity,
				Message: fmt.Sprintf("%d more users %s", k.n-maxNamed, k.what), Remedy: "look at `tokenctl admin policy explain USER` for each"})
		}
	}
	for i, r := range c.p.rules {
		if !c.matched[i] {
			c.r.add(Finding{Line: r.line, Rule: r.name, Severity: Note, Message: "matches none of the users that there are",
				Remedy: "look for a misspelt name, or remove the rule"})
		}
	}
}
