package desk

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/daemon/authority/remote"
	"github.com/tokenbridge/tokend/ipc"
)

// What the audit calls it, done and refused.
const (
	actVerifierSet = "verifier-set"
	actVerifierOff = "verifier-remove"
	actVerifierAsk = "verifier-check"
)

// checkTime is how long a server may take to say that it is there.
const checkTime = 20 * time.Second

// Verifiers implements [ipc.Verifiers].
func (d *Desk) Verifiers(ctx context.Context, p ipc.Principal) (ipc.VerifierList, error) {
	c, err := d.require(ctx, p, actLook, ofAll, authority.RoleHelpdesk, authority.RoleAdmin)
	if err != nil {
		return ipc.VerifierList{}, err
	}
	out := ipc.VerifierList{Version: ipc.Version, Verifiers: []ipc.SetUpVerifier{}}
	for _, v := range c.verifiers.list() {
		out.Verifiers = append(out.Verifiers, c.withFactors(v))
	}
	return out, nil
}

// withFactors adds what the policy has a verifier verify.
func (c *caller) withFactors(v ipc.SetUpVerifier) ipc.SetUpVerifier {
	v.Factors = []ipc.Factor{}
	p := c.policy.usable()
	if p == nil {
		return v
	}
	for _, f := range policy.Factors() {
		if slices.Contains(p.Verifiers(f), policy.Verifier(v.Name)) {
			v.Factors = append(v.Factors, ipc.Factor(f))
		}
	}
	return v
}

// SetVerifier implements [ipc.Verifiers]. Who sets one up can be accepted by it in
// everybody's name, and so it is for owners.
func (d *Desk) SetVerifier(ctx context.Context, p ipc.Principal, name string, r ipc.SetVerifierRequest) (ipc.SetUpVerifier, error) {
	c, err := d.require(ctx, p, actVerifierSet, ofAll)
	if err != nil {
		return ipc.SetUpVerifier{}, err
	}
	v, err := verifierNamed(name)
	if err != nil {
		return ipc.SetUpVerifier{}, err
	}
	if (v == policy.Radius) != (r.Radius != nil) || (v == policy.Duo) != (r.Duo != nil) {
		return ipc.SetUpVerifier{}, ipc.Errorf(ipc.InvalidArgument, "the settings are not those of %s", v)
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	out, err := c.verifiers.put(v, recordOfVerifier(r, c.by, d.cfg.Now()))
	return c.verifierChanged(d, actVerifierSet, v, out, err)
}

// verifierNamed is a verifier that can be set up.
func verifierNamed(name string) (policy.Verifier, error) {
	if v := policy.Verifier(name); slices.Contains(remoteVerifiers(), v) {
		return v, nil
	}
	return "", ipc.Errorf(ipc.InvalidArgument, "there is no verifier of that name: radius, duo")
}

// verifierChanged notes a change, and answers it.
func (c *caller) verifierChanged(d *Desk, action string, v policy.Verifier, out ipc.SetUpVerifier, err error) (ipc.SetUpVerifier, error) {
	e := authority.Entry{Kind: action, By: c.by, OK: err == nil, Detail: string(v)}
	if errors.Is(err, errNotSetUp) {
		err = ipc.Errorf(ipc.NotFound, "no such verifier is set up")
	}
	if err != nil {
		e.Detail += " " + string(failed(err).Kind)
	}
	c.chain.Audit(e)
	if err != nil {
		return ipc.SetUpVerifier{}, d.failed(err)
	}
	return c.withFactors(out), nil
}

// RemoveVerifier implements [ipc.Verifiers].
func (d *Desk) RemoveVerifier(ctx context.Context, p ipc.Principal, name string) (ipc.SetUpVerifier, error) {
	c, err := d.require(ctx, p, actVerifierOff, ofAll)
	if err != nil {
		return ipc.SetUpVerifier{}, err
	}
	v, err := verifierNamed(name)
	if err != nil {
		return ipc.SetUpVerifier{}, err
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	out, err := c.verifiers.remove(v)
	return c.verifierChanged(d, actVerifierOff, v, out, err)
}

// CheckVerifier implements [ipc.Verifiers].
func (d *Desk) CheckVerifier(ctx context.Context, p ipc.Principal, name string) (ipc.VerifierCheck, error) {
	c, err := d.require(ctx, p, actVerifierAsk, ofAll, authority.RoleAdmin)
	if err != nil {
		return ipc.VerifierCheck{}, err
	}
	v, err := verifierNamed(name)
	if err != nil {
		return ipc.VerifierCheck{}, err
	}
	out := ipc.VerifierCheck{Version: ipc.Version, Name: ipc.VerifierName(v)}
	err = c.verifiers.with(v, func(r *verifierRecord) error {
		out.Servers = c.verifiers.makers.check(ctx, eachServer(r.settings()))
		return nil
	})
	if errors.Is(err, errNotSetUp) {
		err = ipc.Errorf(ipc.NotFound, "no such verifier is set up")
	}
	if err != nil {
		return ipc.VerifierCheck{}, d.failed(err)
	}
	return out, nil
}

// eachServer are settings of one server each.
func eachServer(s ipc.SetVerifierRequest) (out []ipc.SetVerifierRequest) {
	if s.Radius == nil {
		return []ipc.SetVerifierRequest{s}
	}
	for _, server := range s.Radius.Servers {
		one := *s.Radius
		one.Servers = []ipc.RadiusServer{server}
		out = append(out, ipc.SetVerifierRequest{Radius: &one})
	}
	return out
}

// check asks servers at the same time.
func (m Makers) check(ctx context.Context, all []ipc.SetVerifierRequest) []ipc.VerifierServerCheck {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	out := make([]ipc.VerifierServerCheck, len(all))
	var wg sync.WaitGroup
	for n, s := range all {
		if s.Radius != nil {
			out[n].Server = s.Radius.Servers[0].Address
		} else {
			out[n].Server = s.Duo.Host
		}
		wg.Go(func() {
			asks, err := m.make(s)
			if err == nil {
				defer (&liveVerifier{asks: asks}).close()
				err = asks.Check(ctx)
			}
			if out[n].OK = err == nil; err != nil {
				out[n].Problem = checkProblem(err)
			}
		})
	}
	wg.Wait()
	return out
}

func checkProblem(err error) string {
	var u *remote.Unavailable
	if errors.As(err, &u) {
		return u.Problem
	}
	return err.Error()
}

// silence is how long it is told that a verifier gave no answer when it was asked.
const silence = time.Hour

// verifierWarnings are of verifiers that the policy names and that verify nothing, or
// gave no answer when they were asked last.
func (c *caller) verifierWarnings() (list []ipc.Warning) {
	p := c.policy.usable()
	for _, v := range remoteVerifiers() {
		named := p != nil && slices.ContainsFunc(policy.Factors(), func(f policy.Factor) bool { return slices.Contains(p.Verifiers(f), v) })
		if named && !c.verifiers.ready(v) {
			list = append(list, ipc.Warning{Code: "authority-verifier", Message: "the policy has " + string(v) + " verify factors, and it is not set up or cannot be used",
				Fix: "tokenctl admin verifier set " + string(v) + " FILE"})
			continue
		}
		if problem, when := c.verifiers.silent(v); named && problem != "" {
			list = append(list, ipc.Warning{Code: "authority-verifier", Fix: "tokenctl admin verifier check " + string(v),
				Message: shownVerifier(v) + " gave no answer that counts at " + when.UTC().Format("15:04:05") + " UTC: " + problem})
		}
	}
	return list
}
