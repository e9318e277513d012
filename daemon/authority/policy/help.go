package policy

import (
	"fmt"
	"slices"
)

// HelpDecision says whether one person may help another.
type HelpDecision struct {
	Allowed bool `json:"allowed"`
	// SecondApprover says that a third person must approve; see MayApprove.
	SecondApprover bool   `json:"second_approver"`
	By             Source `json:"by"`
	// Reason is why not; empty where Allowed.
	Reason string `json:"reason,omitempty"`
}

// highest is the highest of a person's roles.
func highest(u Person) Role {
	best := 0
	for _, r := range u.Roles {
		best = max(best, slices.Index(Roles(), r))
	}
	return Roles()[best]
}

// HelpsHimself is why nobody may help himself, by whatever policy.
const HelpsHimself = "nobody may help himself"

// MayHelp says whether helper may give beneficiary an activation or a bypass
// code. Nobody may help himself, whatever his roles, and somebody of several
// roles is helped by who may help the highest of them.
func (p *Policy) MayHelp(helper, beneficiary Person) HelpDecision {
	role := highest(beneficiary)
	d := HelpDecision{By: Source{"help", p.help.lines[role]}, SecondApprover: slices.Contains(p.help.second, role)}
	switch {
	case helper.ID == "" || beneficiary.ID == "":
		d.Reason = "a person is not known"
	case same(helper, beneficiary):
		d.Reason = HelpsHimself
	case !anyRole(p.help.by[role], helper.Roles):
		d.Reason = fmt.Sprintf("the policy lets nobody help a person who is %s", role)
		if by := p.help.by[role]; len(by) > 0 {
			d.Reason = fmt.Sprintf("a person who is %s is helped by %s only (line %d)", role, joined(by, ", "), d.By.Line)
		}
	default:
		d.Allowed = true
	}
	d.SecondApprover = d.SecondApprover && d.Allowed
	return d
}

// MayApprove says whether approver may be the second one to help: he could help
// himself, and is neither of the two.
func (p *Policy) MayApprove(approver, helper, beneficiary Person) HelpDecision {
	d := p.MayHelp(approver, beneficiary)
	d.SecondApprover = false
	if d.Allowed && (helper.ID == "" || same(approver, helper)) {
		d.Allowed, d.Reason = false, "the second approver must be another person than the first"
	}
	return d
}

// same compares persons by id.
func same(a, b Person) bool { return fold(a.ID) == fold(b.ID) }
