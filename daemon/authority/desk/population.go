package desk

import (
	"context"
	"iter"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
)

// population is the authority's users, for a policy to be checked with. It is a
// policy.Population.
type population struct {
	ctx    context.Context // of the one check that it is made for
	office *office
	now    time.Time
}

// Members implements [policy.Population]. Users who are disabled are left out:
// nothing brings them back, and nothing is to.
func (p *population) Members() iter.Seq2[policy.Member, error] {
	return func(yield func(policy.Member, error) bool) {
		for after := ""; ; {
			if err := p.ctx.Err(); err != nil {
				yield(policy.Member{}, err)
				return
			}
			page, err := p.office.authority.Users(authority.UserQuery{After: after})
			if err != nil {
				yield(policy.Member{}, err)
				return
			}
			for _, u := range page.Users {
				if u.Disabled {
					continue
				}
				has, err := p.office.holdings(u, p.now)
				if !yield(policy.Member{Person: person(u), Has: has}, err) || err != nil {
					return
				}
			}
			if after = page.Next; after == "" {
				return
			}
		}
	}
}

// Ready implements [policy.Population].
func (p *population) Ready(v policy.Verifier) bool { return p.office.verifiers.ready(v) }

// person is a user as a policy sees him.
func person(u authority.User) policy.Person {
	out := policy.Person{ID: u.ID, Name: u.Name, Groups: u.Groups, Authorities: u.Authorities}
	for _, r := range u.Roles {
		out.Roles = append(out.Roles, policy.Role(r))
	}
	return out
}

// holdings are what a user has of each factor.
func (o *office) holdings(u authority.User, now time.Time) (map[policy.Factor]policy.Holding, error) {
	var fobs policy.Holding
	for _, f := range u.Fobs {
		if f.Works(now) {
			fobs.Working++
		} else {
			fobs.Broken++
		}
	}
	held, err := o.issuer.Holds(u.ID)
	return map[policy.Factor]policy.Holding{
		policy.Fob:         fobs,
		policy.OtherDevice: {Working: held.DevicesActive, Broken: held.DevicesRevoked},
		policy.SecurityKey: {Working: held.SecurityKeys},
		policy.BypassCode:  {Working: held.BypassOpen, Broken: held.BypassDead},
	}, err
}
