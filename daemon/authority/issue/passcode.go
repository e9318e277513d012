package issue

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/daemon/authority/remote"
	"github.com/tokenbridge/tokend/daemon/authority/store"
)

const (
	// turnPatience is how long a passcode waits for another of the same user's that is
	// being asked about, and turnEvery how often it looks.
	turnPatience = 10 * time.Second
	turnEvery    = 20 * time.Millisecond
	// challengeLife is how long a challenge stands, maxChallenges how many do.
	challengeLife = 2 * time.Minute
	maxChallenges = 256
)

// ErrBusy says that too much is being verified elsewhere.
var ErrBusy = errors.New("too much is being verified now")

// The reasons of a verifier elsewhere, beside those of package authority.
const (
	ReasonDenied    authority.Reason = "denied"       // the verifier's own policy said no
	ReasonLockedOut authority.Reason = "locked-out"   // by the verifier
	ReasonNotThere  authority.Reason = "not-enrolled" // the verifier does not know the user
)

// PasscodeVerdict is what became of a passcode that a remote verifier was asked about.
type PasscodeVerdict struct {
	authority.Verdict
	// Verifier is whose word it is.
	Verifier policy.Verifier
	// Challenge is what the verifier wants in addition, where it was not decided; nil
	// where it was.
	Challenge *PasscodeChallenge
}

// PasscodeChallenge is what a remote verifier wants in addition to a passcode.
type PasscodeChallenge struct {
	ID     string // by which VerifyElsewhere goes on with it, once
	Prompt string // what the user is asked; printable, may be empty
	Until  time.Time
}

// standingChallenge is a challenge that was not answered.
type standingChallenge struct {
	by, user, service string
	verifier          policy.Verifier
	token             []byte
	until             time.Time
}

// VerifyElsewhere has a remote verifier look at a passcode of a user whose fob the
// authority does not verify itself, or at what a challenge of its own asked for. It
// returns nil where it is for the authority to verify. Failures are counted as
// passcodes' are: of the user at the service, and of the user at the verifier. What is
// asked is asked to its end and counted, also where nobody waits for it any more. What
// comes to nothing is no failure, and bounded all the same (maxUndecidedHour).
//
// It fails with an *remote.Unavailable where no answer counts, with ErrBusy, and with
// NotFound for a challenge that does not stand. An error is never an acceptance. How long
// it takes is the verifier's.
func (i *Issuer) VerifyElsewhere(ctx context.Context, at authority.Attempt, challenge string) (*PasscodeVerdict, error) {
	begun := i.now()
	k, err := i.whomToAsk(at, challenge)
	if k == nil || err != nil {
		return nil, err
	}
	v, err := i.inTurn(ctx, at, k)
	if err == nil && (v.Accepted || v.Challenge != nil) {
		return &v, nil
	}
	v.Accepted = false
	if late := i.reg.HoldBack(ctx, begun); err == nil {
		err = late
	}
	return &v, err
}

// whomToAsk is the question, nil where the authority verifies it.
func (i *Issuer) whomToAsk(at authority.Attempt, challenge string) (*ask, error) {
	p := i.policy()
	remotely := p != nil && slices.ContainsFunc(p.Verifiers(policy.Fob), func(v policy.Verifier) bool { return v != policy.Local })
	if !remotely && challenge == "" {
		return nil, nil
	}
	if err := checkService(at.Service); err != nil {
		return nil, err
	}
	typed := bytes.TrimRight(at.Passcode, "\r\n")
	var k *ask
	err := i.store.View(func(tx *store.Tx) error {
		u, err := i.reg.UserIn(tx, at.User)
		var missing *authority.Error
		switch {
		case errors.As(err, &missing), err == nil && (u.Disabled || at.Within != nil && !at.Within(u.Authority)):
			return nil // the registry knows what to say
		case err != nil:
			return err
		}
		if challenge != "" {
			k, err = i.asked.takeChallenge(challenge, at, u.ID, i.now())
			if k != nil && (p == nil || !slices.Contains(i.verifiersOf(p, u), k.by[0])) {
				k, err = nil, noChallenge()
			}
		} else {
			k, err = i.whoKnows(tx, p, u, typed)
		}
		if k != nil {
			k.user, k.q = u.ID, remote.Question{User: u.Name, Factor: string(policy.Fob), Passcode: typed}
		}
		return err
	})
	if k == nil && err == nil && challenge != "" {
		err = noChallenge()
	}
	return k, err
}

func noChallenge() error { return fail(authority.NotFound, "challenge", "this is not asked any more") }

// whoKnows is whom the policy has asked about a passcode of a user's, nil where it is
// the authority itself. A passcode of a fob that was lost here, or used up, is told to
// nobody else.
func (i *Issuer) whoKnows(tx *store.Tx, p *policy.Policy, u authority.User, typed []byte) (*ask, error) {
	if len(typed) == 0 {
		return nil, nil
	}
	by := i.verifiersOf(p, u)
	if slices.Contains(by, policy.Local) {
		return nil, nil
	}
	if slices.Contains(p.Verifiers(policy.Fob), policy.Local) {
		if known, err := i.reg.Recognises(tx, u.ID, typed); known || err != nil {
			return nil, err
		}
	}
	if len(by) == 0 {
		return nil, &remote.Unavailable{Verifier: string(p.Verifiers(policy.Fob)[0]), Problem: "it is not set up"}
	}
	return &ask{by: by}, nil
}

// verifiersOf are who verifies a user's fob.
func (i *Issuer) verifiersOf(p *policy.Policy, u authority.User) []policy.Verifier {
	var has policy.Holding
	for _, f := range u.Fobs {
		if f.Works(i.now()) {
			has.Working++
		}
	}
	return p.VerifiersOf(policy.Fob, has, i.Ready)
}

// inTurn asks when no other passcode of the user's is asked about.
func (i *Issuer) inTurn(ctx context.Context, at authority.Attempt, k *ask) (PasscodeVerdict, error) {
	id, err := message.NewID(i.random)
	if err == nil {
		_, err = io.ReadFull(i.random, k.request[:])
	}
	if err != nil {
		return PasscodeVerdict{}, err
	}
	k.q.Passcode = bytes.Clone(k.q.Passcode)
	k.until = i.now().Add(longestAsked)
	var v PasscodeVerdict
	var failed error
	question := func(ctx context.Context) outcome {
		v, failed = i.askAbout(ctx, at, k)
		return outcome{}
	}
	q, err := i.asked.turn(ctx, id, k, i.now, question)
	if err != nil {
		clear(k.q.Passcode)
		return PasscodeVerdict{Verdict: authority.Verdict{UserID: k.user}}, err
	}
	select {
	case <-q.done:
		i.asked.drop(id, q)
		return v, failed
	case <-ctx.Done():
		return PasscodeVerdict{Verdict: authority.Verdict{UserID: k.user}}, context.Cause(ctx)
	}
}

// turn is begin for who waits until he may.
func (a *asked) turn(ctx context.Context, id message.ID, k *ask, now func() time.Time, question func(context.Context) outcome) (*inquiry, error) {
	over := time.NewTimer(turnPatience)
	defer over.Stop()
	again := time.NewTicker(turnEvery)
	defer again.Stop()
	for {
		if q, began := a.begin(id, k, now(), question); began {
			return q, nil
		}
		select {
		case <-again.C:
		case <-over.C:
			return nil, ErrBusy
		case <-a.ctx.Done():
			return nil, store.ErrClosed
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// askAbout asks, unless the throttle forbids it, and goes by the answer if things are
// still as they were. It is audited here, whoever waits for it.
func (i *Issuer) askAbout(ctx context.Context, at authority.Attempt, k *ask) (v PasscodeVerdict, err error) {
	defer clear(k.q.Passcode)
	v = PasscodeVerdict{Verdict: authority.Verdict{UserID: k.user}, Verifier: k.by[0]}
	err = i.store.View(func(tx *store.Tx) error {
		var err error
		if v.RetryAfter, err = i.reg.PasscodeWaits(tx, at.Service, k.user, i.now()); err != nil {
			return err
		}
		for _, verifier := range names(k.by) {
			wait, err := i.reg.Waits(tx, verifier, k.user, i.now())
			if err != nil {
				return err
			}
			v.RetryAfter = max(v.RetryAfter, wait)
		}
		return nil
	})
	v.RetryAfter = max(v.RetryAfter, i.asked.openWait(k.user, i.now()))
	if err == nil && v.RetryAfter > 0 {
		v.Reason = authority.ReasonThrottled
		return v, nil
	}
	if err == nil {
		var o outcome
		if o = i.inquire(ctx, k); o.verifier != "" {
			v.Verifier = o.verifier
		}
		if k.undecided(o) {
			i.asked.leftOpen(k.user, i.now())
		}
		err = i.goBy(at, k, o, &v)
	}
	e := authority.Entry{Kind: "verify", By: at.By, User: k.user, Service: at.Service, OK: v.Accepted && err == nil, Detail: string(v.Verifier)}
	switch {
	case err != nil:
		v.Accepted, v.Challenge = false, nil
		e.Detail += " unavailable"
	case v.Challenge != nil:
		e.OK = true
		e.Detail += " challenged"
	case !v.Accepted:
		e.Detail += " " + string(v.Reason)
	}
	i.audit.Audit(e)
	return v, err
}

func names(by []policy.Verifier) (out []string) {
	for _, v := range by {
		out = append(out, string(v))
	}
	return out
}

// goBy makes a verdict of what became of a question.
func (i *Issuer) goBy(at authority.Attempt, k *ask, o outcome, v *PasscodeVerdict) error {
	if o.err != nil {
		return o.err
	}
	if err := i.stillAsked(k, o.verifier); err != nil {
		return err
	}
	switch o.answer.State {
	case remote.Accepted:
		v.Accepted = true
	case remote.Challenged:
		c, err := i.asked.putChallenge(i.random, standingChallenge{by: at.By, user: k.user, service: at.Service, verifier: o.verifier,
			token: o.answer.Token, until: i.now().Add(challengeLife)}, i.now())
		if err != nil {
			return err
		}
		c.Prompt = shown(o.answer.Prompt, 400)
		v.Challenge = c
	case remote.Rejected:
		v.Reason = reasonOf(o.answer.Reason)
		if o.answer.Reason == remote.Wrong {
			return i.store.Update(func(tx *store.Tx) error { return i.reg.PasscodeFailed(tx, at.Service, k.user, i.now()) })
		}
	default:
		return &remote.Unavailable{Verifier: string(o.verifier), Problem: "it decides a passcode at another time, for which nobody waits"}
	}
	return nil
}

// stillAsked fails where the user, or who verifies his fob, has changed while the
// verifier was asked.
func (i *Issuer) stillAsked(k *ask, by policy.Verifier) error {
	p := i.policy()
	return i.store.View(func(tx *store.Tx) error {
		u, err := i.reg.UserIn(tx, k.user)
		var missing *authority.Error
		if err != nil && !errors.As(err, &missing) {
			return err
		}
		if err != nil || u.Disabled || u.Name != k.q.User || p == nil || !slices.Contains(i.verifiersOf(p, u), by) {
			return &remote.Unavailable{Verifier: string(by), Problem: "the user, or who verifies his fob, has changed meanwhile"}
		}
		return nil
	})
}

func reasonOf(r remote.Reason) authority.Reason {
	switch r {
	case remote.Wrong:
		return authority.ReasonWrong
	case remote.LockedOut:
		return ReasonLockedOut
	case remote.Unknown:
		return ReasonNotThere
	}
	return ReasonDenied
}

// putChallenge keeps a challenge until it is answered or too old.
func (a *asked) putChallenge(random io.Reader, c standingChallenge, now time.Time) (*PasscodeChallenge, error) {
	id, err := message.NewID(random)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for old, x := range a.challenges {
		if !now.Before(x.until) {
			delete(a.challenges, old)
		}
	}
	if len(a.challenges) >= maxChallenges {
		return nil, ErrBusy
	}
	a.challenges[id.String()] = c
	return &PasscodeChallenge{ID: id.String(), Until: c.until}, nil
}

// takeChallenge is the question that answers a challenge; nobody else can ask it, and
// he once.
func (a *asked) takeChallenge(id string, at authority.Attempt, user string, now time.Time) (*ask, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, ok := a.challenges[id]
	if !ok || c.by != at.By || c.user != user || c.service != at.Service {
		return nil, noChallenge()
	}
	delete(a.challenges, id)
	if !now.Before(c.until) {
		return nil, noChallenge()
	}
	return &ask{by: []policy.Verifier{c.verifier}, token: c.token}, nil
}
