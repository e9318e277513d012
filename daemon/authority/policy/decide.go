package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Holding is what a user has of a factor.
type Holding struct {
	// Working is how many he could use now. For OtherDevice those are his other
	// active devices, for BypassCode the codes that are neither used nor expired.
	Working int `json:"working"`
	// Broken is how many he has that are lost, disabled, revoked or expired.
	Broken int `json:"broken"`
}

// Subject is who wants an account back, and what he has.
type Subject struct {
	User    Person
	Account string // the account's name or id, as rules match it
	Device  Device // the device that asks
	// Restored says that the account came from a backup and not from an
	// activation.
	Restored bool
	Has      map[Factor]Holding
	// Ready says which remote verifiers are set up: others verify nothing. What a
	// remote verifier could verify the user is taken to have, for it alone knows. nil
	// says that all are set up, and that Has knows what they know.
	Ready func(Verifier) bool
	// Unknown are the factors for which the remote verifiers have said that they do
	// not know the user.
	Unknown []Factor
}

// Outcome is what a decision comes to.
type Outcome string

// The outcomes.
const (
	Offered          Outcome = "offered"           // the factors in Offers may be tried
	NothingLeft      Outcome = "nothing-left"      // no factor, or too few, can be offered
	RestoreForbidden Outcome = "restore-forbidden" // nothing reactivates what was restored
)

// Source is the rule that a part of a decision comes from.
type Source struct {
	Rule string `json:"rule"` // a rule's name, or "reactivation"
	Line int    `json:"line"`
}

func (s settings) source() Source { return Source{s.name, s.line} }

func (s Source) String() string {
	if s.Rule == Base {
		return fmt.Sprintf("[%s] (line %d)", s.Rule, s.Line)
	}
	return fmt.Sprintf("rule %q (line %d)", s.Rule, s.Line)
}

// Offer is a factor that may be asked for.
type Offer struct {
	Factor Factor `json:"factor"`
	// Verifiers are who is asked: the first, and each other where the one before
	// cannot be reached or does not know the user.
	Verifiers []Verifier `json:"verifiers"`
	// Asserted says that a verifier's word is all that there is for which factor
	// it was.
	Asserted bool   `json:"asserted"`
	Allowed  Source `json:"allowed_by"`
}

// Cause is why a factor is not offered.
type Cause string

// The causes.
const (
	ByRule       Cause = "denied-by-rule"
	NotNamed     Cause = "not-allowed"
	NoVerifier   Cause = "no-verifier"
	NoneAssigned Cause = "none-assigned"
	NoneWorking  Cause = "none-working"
	ByLadder     Cause = "ladder"
	TooFew       Cause = "too-few"
	ByRestore    Cause = "restore-forbidden"
)

// Denial is a factor that is not offered, and why.
type Denial struct {
	Factor Factor `json:"factor"`
	Cause  Cause  `json:"cause"`
	// By is the rule that it comes from; its line is 0 where no rule has a part
	// in it.
	By Source `json:"by"`
	// Reason is for people: lower case, no full stop.
	Reason string `json:"reason"`
	// Because is what the rule's author says of it.
	Because string `json:"because,omitempty"`
}

func (d Denial) String() string { return string(d.Factor) + ": " + d.Reason }

// Alternative is a way that is left where no factor is.
type Alternative struct {
	Kind string `json:"kind"` // "portal", "administrator" or "contact"
	// Value is the portal's address, the roles that may help, or the contact.
	Value string `json:"value"`
}

// Forbidden is who forbade that a restored account is reactivated.
type Forbidden struct {
	By      string `json:"by"`
	Source  Source `json:"source"`
	Because string `json:"because,omitempty"`
}

// Decision is what a policy says of one subject.
type Decision struct {
	Outcome Outcome `json:"outcome"`
	// Required is how many different factors of Offers must be proved.
	Required int `json:"required"`
	// Offers are in the order in which they are proposed. It is empty unless
	// Outcome is Offered.
	Offers  []Offer  `json:"offers"`
	Denials []Denial `json:"denials"`
	// Alternatives are the ways that are left; empty where Outcome is Offered.
	Alternatives []Alternative `json:"alternatives"`
	Forbidden    *Forbidden    `json:"forbidden,omitempty"`
	// OldDevice is what becomes of the old device after the proof.
	OldDevice     OldDevice `json:"old_device"`
	OldDeviceFrom Source    `json:"old_device_from"`
	RequiredFrom  Source    `json:"required_from"`
	Lifetimes     Lifetimes `json:"-"`
}

// Offering says whether a factor is among those offered.
func (d Decision) Offering(f Factor) bool {
	return slices.ContainsFunc(d.Offers, func(o Offer) bool { return o.Factor == f })
}

// Decide says what the policy leaves a subject. A nil policy leaves nothing.
func Decide(p *Policy, s Subject) Decision {
	if p == nil {
		p = &Policy{reactivation: settings{name: Base}}
	}
	m := p.matching(s)
	d := Decision{Outcome: Offered, Lifetimes: p.Lifetimes(), Offers: []Offer{}, Denials: []Denial{}, Alternatives: []Alternative{}}
	d.Required, d.RequiredFrom = m.required()
	d.OldDevice, d.OldDeviceFrom = m.oldDevice()
	for _, f := range m.order() {
		has, by := s.reckon(p, f)
		if denial := m.denial(f, has, by); denial != nil {
			d.Denials = append(d.Denials, *denial)
		} else {
			d.Offers = append(d.Offers, m.offer(f, by))
		}
	}
	m.climb(&d)
	if from := m.restore(); s.Restored && from != nil {
		d.Forbidden = &Forbidden{By: from.forbidden, Source: from.source(), Because: from.because}
		d.withdraw(RestoreForbidden, Denial{Cause: ByRestore, By: from.source(), Because: from.because,
			Reason: "reactivation of a restored account is forbidden by " + from.source().String()})
	}
	if n := len(d.Offers); d.Outcome == Offered && n < d.Required {
		reason := fmt.Sprintf("not enough: %s asks for %d factors, and %d %s left", d.RequiredFrom, d.Required, n, map[bool]string{true: "is", false: "are"}[n == 1])
		d.withdraw(NothingLeft, Denial{Cause: TooFew, By: d.RequiredFrom, Reason: reason})
	}
	if d.Outcome != Offered {
		d.Alternatives = p.alternatives(s.User)
	}
	slices.SortStableFunc(d.Denials, func(a, b Denial) int {
		return slices.Index(Factors(), a.Factor) - slices.Index(Factors(), b.Factor)
	})
	return d
}

// withdraw makes denials of all offers.
func (d *Decision) withdraw(o Outcome, why Denial) {
	for _, offer := range d.Offers {
		why.Factor = offer.Factor
		d.Denials = append(d.Denials, why)
	}
	d.Outcome, d.Offers = o, []Offer{}
}

func (p *Policy) alternatives(u Person) []Alternative {
	out := []Alternative{}
	if p.contact.Portal != "" {
		out = append(out, Alternative{"portal", p.contact.Portal})
	}
	if roles := p.help.by[highest(u)]; len(roles) > 0 {
		out = append(out, Alternative{"administrator", joined(roles, ", ")})
	}
	if c := p.contact.String(); c != "" {
		out = append(out, Alternative{"contact", c})
	}
	return out
}

// String is the contact without the portal, on one line.
func (c Contact) String() string {
	var parts []string
	for _, s := range []string{c.Name, c.Phone, c.Email} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ", ")
}
