package issue

import (
	"slices"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
)

// The services by which failures are counted and told of.
const (
	serviceFob        = "reactivation"
	serviceBypass     = "bypass-code"
	serviceKey        = "security-key"
	serviceDevice     = "other-device"
	serviceActivation = "activation"
	serviceOwn        = "own-devices"
)

// maxAsked is how often one conversation may ask other devices.
const maxAsked = 3

// factor tries a factor.
func (i *Issuer) factor(s *step, b *message.Factor) (message.Result, error) {
	if s.key != s.talk.Key || !slices.Contains(s.account.Keys, s.key) {
		return i.unknown(s), nil
	}
	s.talk.Question = nil
	d, err := i.decide(s)
	if err != nil {
		return nil, err
	}
	if d.Outcome != policy.Offered {
		s.tell("reactivate-factor", false, string(d.Outcome))
		return i.left(s, d)
	}
	f := policy.Factor(b.Factor)
	if !d.Offering(f) || slices.Contains(s.talk.Proved, b.Factor) {
		s.tell("reactivate-factor", false, codeOffered)
		r := s.again(codeOffered, "this factor is not offered", 0)
		r.Denials = denials(d)
		return r, nil
	}
	switch f {
	case policy.Fob:
		return i.fob(s)
	case policy.BypassCode:
		return i.bypass(s, b.Passcode)
	case policy.OtherDevice:
		return i.ask(s)
	case policy.SecurityKey:
		return i.securityKey(s, b.Assertion)
	}
	return s.again(codeOffered, "nobody is set up to verify this factor", 0), nil
}

// fob goes by the verdict that was reached in this same step.
func (i *Issuer) fob(s *step) (message.Result, error) {
	switch v := s.verdict; {
	case v == nil:
		return nil, errVerify
	case v.Accepted:
		return i.proved(s, policy.Fob)
	case v.Reason == authority.ReasonThrottled:
		return s.again(codeThrottle, "too many wrong passcodes", v.RetryAfter), nil
	}
	s.tell("reactivate-factor", false, "fob "+string(s.verdict.Reason))
	return s.again(codePasscode, "this passcode is not good", 0), nil
}

// proved notes a factor and goes on.
func (i *Issuer) proved(s *step, f policy.Factor) (message.Result, error) {
	s.talk.Proved = append(s.talk.Proved, string(f))
	return i.proceed(s, "reactivate-factor")
}

// throttled refuses where too many failures came before; nil where not.
func (i *Issuer) throttled(s *step, service string) (message.Result, error) {
	wait, err := i.reg.Waits(s.tx, service, s.user.ID, s.now)
	if err != nil || wait <= 0 {
		return nil, err
	}
	return s.again(codeThrottle, "too many failures", wait), nil
}

// wrong counts a failure of a factor, unless too many came before.
func (i *Issuer) wrong(s *step, service, code, text string) (message.Result, error) {
	if r, err := i.throttled(s, service); err != nil || r != nil {
		return r, err
	}
	s.tell("reactivate-factor", false, service+" wrong")
	return s.again(code, text, 0), i.reg.Failed(s.tx, service, s.user.ID, s.now)
}
