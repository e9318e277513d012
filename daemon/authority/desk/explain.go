package desk

import (
	"context"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/ipc"
)

// ExplainPolicy implements [ipc.Policies].
func (d *Desk) ExplainPolicy(ctx context.Context, p ipc.Principal, r ipc.ExplainPolicyRequest) (ipc.PolicyExplanation, error) {
	c, err := d.require(ctx, p, actLook, ofUser(r.User), authority.RoleHelpdesk, authority.RoleAdmin)
	if err != nil {
		return ipc.PolicyExplanation{}, err
	}
	u, err := c.authority.User(r.User)
	if err != nil {
		return ipc.PolicyExplanation{}, d.failed(err)
	}
	out, err := c.explain(policy.Subject{User: person(u), Account: r.Account, Device: policy.Device{Name: r.Device}, Restored: !r.Activation}, u, d.cfg.Now())
	if err != nil {
		return ipc.PolicyExplanation{}, d.failed(err)
	}
	return out, nil
}

// explain completes the case with what the user has now.
func (c *caller) explain(s policy.Subject, u authority.User, at time.Time) (ipc.PolicyExplanation, error) {
	profile, err := c.authority.Profile()
	if err != nil {
		return ipc.PolicyExplanation{}, err
	}
	now := c.policy.current()
	if now.problem != nil {
		return ipc.PolicyExplanation{}, noPolicy(now.problem)
	}
	if s.Has, err = c.holdings(u, at); err != nil {
		return ipc.PolicyExplanation{}, err
	}
	s.Ready = c.verifiers.ready
	e := policy.Explain(now.policy, s)
	e.Alternatives = completed(e.Decision, profile)
	out := wireExplanation(e)
	for _, f := range policy.Factors() {
		out.Has = append(out.Has, ipc.FactorHolding{Factor: ipc.Factor(f), Working: s.Has[f].Working, Broken: s.Has[f].Broken})
	}
	return out, nil
}

// completed adds to the ways that are left those that the authority names of
// itself, where the policy's text names none.
func completed(d policy.Decision, p authority.Profile) []policy.Alternative {
	out := d.Alternatives
	if d.Outcome == policy.Offered {
		return out
	}
	for _, own := range []policy.Alternative{{Kind: "portal", Value: p.Portal}, {Kind: "contact", Value: p.Contact}} {
		if own.Value != "" && !slices.ContainsFunc(out, func(a policy.Alternative) bool { return a.Kind == own.Kind }) {
			out = append(out, own)
		}
	}
	return out
}

func wireExplanation(e policy.Explanation) ipc.PolicyExplanation {
	out := ipc.PolicyExplanation{
		Version: ipc.Version, User: e.User, Account: e.Account, Device: e.Device, Restored: e.Restored,
		Outcome: string(e.Outcome), Required: e.Required, RequiredFrom: wireRule(e.RequiredFrom),
		OldDevice: string(e.OldDevice), OldDeviceFrom: wireRule(e.OldDeviceFrom), RestoreAllowed: e.RestoreAllowed,
		Lifetimes: ipc.PolicyLifetimes(e.Lifetimes),
		Help:      ipc.PolicyHelp{SecondApprover: e.Help.SecondApprover, From: wireRule(e.Help.From)},
	}
	for _, o := range e.Offers {
		offer := ipc.FactorOffer{Factor: ipc.Factor(o.Factor), Asserted: o.Asserted, Allowed: wireRule(o.Allowed)}
		for _, v := range o.Verifiers {
			offer.Verifiers = append(offer.Verifiers, string(v))
		}
		out.Offers = append(out.Offers, offer)
	}
	for _, x := range e.Denials {
		out.Denials = append(out.Denials, ipc.FactorDenial{Factor: ipc.Factor(x.Factor), Cause: string(x.Cause), By: wireRule(x.By), Reason: x.Reason, Because: x.Because})
	}
	for _, a := range e.Alternatives {
		out.Alternatives = append(out.Alternatives, ipc.PolicyAlternative{Kind: a.Kind, Value: a.Value})
	}
	if f := e.Forbidden; f != nil {
		out.Forbidden = &ipc.PolicyForbidden{By: f.By, Source: wireRule(f.Source), Because: f.Because}
	}
	for _, m := range e.Matching {
		out.Matching = append(out.Matching, ipc.MatchingRule{
			Rule: m.Rule, Line: m.Line, Allow: wireFactors(m.Allow), Deny: wireFactors(m.Deny), Factors: m.Factors,
			AfterRestore: m.AfterRestore, ForbiddenBy: m.ForbiddenBy, OldDevice: string(m.OldDevice), Because: m.Because,
		})
	}
	for _, rung := range e.Ladder {
		out.Ladder = append(out.Ladder, wireFactors(rung))
	}
	if e.LadderFrom != nil {
		from := wireRule(*e.LadderFrom)
		out.LadderFrom = &from
	}
	for _, r := range e.Help.Roles {
		out.Help.Roles = append(out.Help.Roles, ipc.Role(r))
	}
	return out
}

func wireRule(s policy.Source) ipc.PolicyRule { return ipc.PolicyRule{Rule: s.Rule, Line: s.Line} }

func wireFactors(all []policy.Factor) []ipc.Factor {
	var out []ipc.Factor
	for _, f := range all {
		out = append(out, ipc.Factor(f))
	}
	return out
}
