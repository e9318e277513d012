package policy

import (
	"fmt"
	"slices"
	"strings"
)

// matching is [reactivation] and the rules that match a subject.
type matching struct {
	p     *Policy
	rules []rule
}

func (p *Policy) matching(s Subject) matching {
	who := newFolded(s.User, s.Account, s.Device)
	m := matching{p: p}
	for _, r := range p.rules {
		if r.match.all(who) {
			m.rules = append(m.rules, r)
		}
	}
	return m
}

// strictest is, of the matching rules that say something, the one that better
// prefers over the one before; else [reactivation].
func (m matching) strictest(says func(settings) bool, stricter func(a, b settings) bool) settings {
	found, any := m.p.reactivation, false
	for _, r := range m.rules {
		if says(r.settings) && (!any || stricter(r.settings, found)) {
			found, any = r.settings, true
		}
	}
	return found
}

func (m matching) required() (int, Source) {
	s := m.strictest(func(s settings) bool { return s.factors > 0 }, func(a, b settings) bool { return a.factors > b.factors })
	return max(s.factors, 1), s.source()
}

func (m matching) oldDevice() (OldDevice, Source) {
	s := m.strictest(func(s settings) bool { return s.oldDevice != "" }, func(a, b settings) bool { return a.oldDevice == Revoke && b.oldDevice != Revoke })
	if s.oldDevice == "" {
		return Revoke, s.source()
	}
	return s.oldDevice, s.source()
}

// restore is who forbids that a restored account is reactivated; nil where it is
// allowed.
func (m matching) restore() *settings {
	s := m.strictest(func(s settings) bool { return s.restore != "" },
		func(a, b settings) bool { return a.restore == restoreForbidden && b.restore != restoreForbidden })
	if s.restore == restoreAllowed {
		return nil
	}
	return &s
}

// ladder is that of the first matching rule that has one, else [reactivation]'s.
func (m matching) ladder() settings {
	for _, r := range m.rules {
		if len(r.ladder) > 0 {
			return r.settings
		}
	}
	return m.p.reactivation
}

// allowed is who allows a factor; nil where nobody does.
func (m matching) allowed(f Factor) *settings {
	if slices.Contains(m.p.reactivation.allow, f) {
		return &m.p.reactivation
	}
	for i := range m.rules {
		if slices.Contains(m.rules[i].allow, f) {
			return &m.rules[i].settings
		}
	}
	return nil
}

func (m matching) denied(f Factor) *settings {
	for i := range m.rules {
		if slices.Contains(m.rules[i].deny, f) {
			return &m.rules[i].settings
		}
	}
	return nil
}

// order is every factor once: the ladder's first, then as they are allowed, then
// the rest.
func (m matching) order() []Factor {
	var out []Factor
	add := func(list []Factor) {
		for _, f := range list {
			if !slices.Contains(out, f) {
				out = append(out, f)
			}
		}
	}
	for _, rung := range m.ladder().ladder {
		add(rung)
	}
	add(m.p.reactivation.allow)
	for _, r := range m.rules {
		add(r.allow)
	}
	add(Factors())
	return out
}

// denial is why a factor is not offered, ladders aside; nil where it is.
func (m matching) denial(f Factor, has Holding, by []Verifier) *Denial {
	d := Denial{Factor: f}
	denied, allowed := m.denied(f), m.allowed(f)
	switch {
	case denied != nil:
		d.Cause, d.By, d.Because = ByRule, denied.source(), denied.because
		d.Reason = "not allowed by " + denied.source().String()
	case allowed == nil:
		d.Cause, d.By = NotNamed, m.p.reactivation.source()
		d.Reason = "not allowed: neither " + d.By.String() + " nor a rule that matches names it"
	case len(by) == 0:
		d.Cause, d.By = NoVerifier, allowed.source()
		d.Reason = "allowed by " + d.By.String() + ", but nobody is set up to verify it"
	case has.Working < 1 && has.Broken > 0:
		d.Cause, d.Reason = NoneWorking, noneWorking(f)
	case has.Working < 1:
		d.Cause, d.Reason = NoneAssigned, noneAssigned(f)
	default:
		return nil
	}
	return &d
}

func noneAssigned(f Factor) string {
	switch f {
	case OtherDevice:
		return "you have no other active device"
	case SecurityKey:
		return "you have none registered"
	case BypassCode:
		return "none has been issued to you"
	case Push, SMS, PhoneCall:
		return "you have no phone registered for it"
	}
	return "you have none assigned"
}

func noneWorking(f Factor) string {
	switch f {
	case OtherDevice:
		return "your other devices are revoked"
	case BypassCode:
		return "yours is used or has expired"
	}
	return "yours is lost or disabled"
}

func (m matching) offer(f Factor, by []Verifier) Offer {
	o := Offer{Factor: f, Verifiers: by, Allowed: m.allowed(f).source()}
	o.Asserted = slices.ContainsFunc(o.Verifiers, func(v Verifier) bool { return v != Local })
	return o
}

// climb takes back offers that stand on a rung above which there is enough. A
// rung whose factors the user cannot use holds nothing back.
func (m matching) climb(d *Decision) {
	from := m.ladder()
	enough, above := 0, []Factor(nil)
	for _, rung := range from.ladder {
		var usable []Factor
		for _, f := range rung {
			if !d.Offering(f) {
				continue
			}
			if usable = append(usable, f); enough < d.Required {
				continue
			}
			d.Offers = slices.DeleteFunc(d.Offers, func(o Offer) bool { return o.Factor == f })
			d.Denials = append(d.Denials, Denial{Factor: f, Cause: ByLadder, By: from.source(), Because: from.because,
				Reason: fmt.Sprintf("only for who has no working %s, by the ladder of %s", strings.ReplaceAll(joined(above, " or "), "_", " "), from.source())})
		}
		if enough < d.Required {
			enough += len(usable)
			above = append(above, usable...)
		}
	}
}
