package policy

import (
	"fmt"
	"slices"
)

// lint reports what can be read, and is not what its author can have wanted.
func lint(p *Policy, r *report) {
	if p.contact == (Contact{}) {
		r.add(Finding{Rule: "contact", Severity: Warning, Message: "nobody is named whom a user can turn to",
			Remedy: "write [contact] with name, phone or email"})
	}
	if len(p.help.by[RoleUser]) == 0 {
		r.add(Finding{Line: p.help.line, Rule: "help", Field: "for_user", Severity: Warning, Message: "nobody may help a user who has no factor left",
			Remedy: `write for_user = ["admin", "owner"] below [help]`})
	}
	base := p.reactivation
	possible := p.possible()
	lintFactors(p, base, nil, r)
	for i := range p.rules {
		lintFactors(p, p.rules[i].settings, &p.rules[i].match, r)
	}
	for i := range p.rules {
		lintRule(p, i, possible, r)
	}
	lintLadder(base, possible, r)
	if len(base.allow) == 0 {
		warn(r, base, "allow", "nothing is allowed but by rules", "name at least one factor, if that is not meant")
	}
	lintCount(base, possible, r)
	for _, x := range p.rules {
		lintCount(x.settings, possible, r)
	}
}

// lintCount refuses to ask for more factors than anybody can ever be offered.
func lintCount(s settings, possible []Factor, r *report) {
	if s.factors > 1 && s.factors > len(possible) {
		r.add(Finding{Line: s.line, Rule: s.name, Field: "factors", Severity: Error,
			Message: fmt.Sprintf("asks for %d factors, and only %d can ever be offered", s.factors, len(possible)),
			Remedy:  "allow more factors, or ask for fewer"})
	}
}

func warn(r *report, s settings, field, message, remedy string) {
	r.add(Finding{Line: s.line, Rule: s.name, Field: field, Severity: Warning, Message: message, Remedy: remedy})
}

// usable are those factors that somebody verifies.
func (p *Policy) usable(list []Factor) []Factor {
	var out []Factor
	for _, f := range list {
		if len(p.verifiers[f]) > 0 {
			out = append(out, f)
		}
	}
	return out
}

// possible are the factors that can be offered to anybody at all.
func (p *Policy) possible() []Factor {
	list := slices.Clone(p.reactivation.allow)
	for _, r := range p.rules {
		list = append(list, r.allow...)
	}
	var out []Factor
	for _, f := range p.usable(list) {
		if !slices.Contains(out, f) && p.deniedFor(f, match{everybody: true}) == nil {
			out = append(out, f)
		}
	}
	return out
}

// deniedFor is a rule that denies a factor to all of m.
func (p *Policy) deniedFor(f Factor, m match) *rule {
	for i := range p.rules {
		if slices.Contains(p.rules[i].deny, f) && p.rules[i].match.covers(m) {
			return &p.rules[i]
		}
	}
	return nil
}

// lintFactors reports factors that are allowed in vain.
func lintFactors(p *Policy, s settings, m *match, r *report) {
	whom := match{everybody: true}
	if m != nil {
		whom = *m
	}
	for _, f := range s.allow {
		if by := p.deniedFor(f, whom); by != nil {
			warn(r, s, "allow", fmt.Sprintf("allows %s in vain: rule %q (line %d) denies it", f, by.name, by.line),
				fmt.Sprintf("take %s out of one of them; a denial always wins", f))
		} else if len(p.verifiers[f]) == 0 {
			warn(r, s, "allow", fmt.Sprintf("allows %s, which nobody verifies", f),
				fmt.Sprintf("write %s = [\"duo\"] or [\"radius\"] below [verifiers], or take it out", f))
		}
	}
}

func lintRule(p *Policy, i int, possible []Factor, r *report) {
	x := p.rules[i]
	if x.match.devices.some() {
		warn(r, x.settings, "devices", "a device's name is its own word: whoever wants to be matched, or not to be, can choose it",
			"match users, groups or accounts where it matters")
	}
	lintLadder(x.settings, possible, r)
	if len(x.allow) > 0 && len(x.deny)+len(x.ladder)+x.factors == 0 && x.restore == "" && x.oldDevice == "" && subsetOf(x.allow, p.reactivation.allow) {
		warn(r, x.settings, "allow", "allows nothing that [reactivation] does not allow already", "remove the rule, or take the factors out of [reactivation]")
	}
	for j := range i {
		before := p.rules[j]
		if len(x.ladder) > 0 && len(before.ladder) > 0 && before.match.covers(x.match) {
			warn(r, x.settings, "ladder", fmt.Sprintf("the ladder is never used: rule %q (line %d) matches first", before.name, before.line),
				"put the narrower rule first")
		}
	}
	lintAgainst(p, x, r)
}

func subsetOf(inner, outer []Factor) bool {
	return !slices.ContainsFunc(inner, func(f Factor) bool { return !slices.Contains(outer, f) })
}

// lintAgainst reports settings that a stricter rule for the same users and more
// makes void.
func lintAgainst(p *Policy, x rule, r *report) {
	for _, y := range p.rules {
		if y.name == x.name || !y.match.covers(x.match) {
			continue
		}
		void := func(field, what string) {
			warn(r, x.settings, field, fmt.Sprintf("is contradicted by rule %q (line %d), which says %s; the stricter counts", y.name, y.line, what),
				"change one of them, or except these users there")
		}
		if x.oldDevice == Keep && y.oldDevice == Revoke {
			void("old_device", string(Revoke))
		}
		if x.restore == restoreAllowed && y.restore == restoreForbidden {
			void("after_restore", restoreForbidden)
		}
		if x.factors > 0 && y.factors > x.factors {
			void("factors", fmt.Sprint(y.factors))
		}
	}
}

// lintLadder reports rungs that nobody can reach or stand on.
func lintLadder(s settings, possible []Factor, r *report) {
	for i, rung := range s.ladder {
		var dead []Factor
		for _, f := range rung {
			if !slices.Contains(possible, f) {
				dead = append(dead, f)
			}
		}
		if len(dead) > 0 {
			warn(r, s, "ladder", fmt.Sprintf("rung %d names %s, which is never offered", i+1, joined(dead, ", ")),
				fmt.Sprintf("allow it in [reactivation] or a rule, or take %s out of the ladder", joined(dead, ", ")))
		}
	}
}
