package issue

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/daemon/authority/remote"
)

// scripted is a remote verifier that says what it is told to.
type scripted struct {
	mu       sync.Mutex
	asked    []remote.Question
	went     []string // token and passcode of what went on
	begin    func(ctx context.Context, q remote.Question) (remote.Answer, error)
	goesOn   func(ctx context.Context, token, passcode string) (remote.Answer, error)
	accepted int
}

func (s *scripted) Begin(ctx context.Context, q remote.Question) (remote.Answer, error) {
	s.mu.Lock()
	q.Passcode = slices.Clone(q.Passcode)
	s.asked = append(s.asked, q)
	f := s.begin
	s.mu.Unlock()
	return s.count(f(ctx, q))
}

func (s *scripted) Continue(ctx context.Context, token, passcode []byte) (remote.Answer, error) {
	s.mu.Lock()
	s.went = append(s.went, string(token)+" "+string(passcode))
	f := s.goesOn
	s.mu.Unlock()
	return s.count(f(ctx, string(token), string(passcode)))
}

func (s *scripted) Check(context.Context) error { return nil }

func (s *scripted) count(a remote.Answer, err error) (remote.Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && a.State == remote.Accepted {
		s.accepted++
	}
	return a, err
}

func (s *scripted) questions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

// says is a verifier's only answer.
func says(a remote.Answer, err error) func(context.Context, remote.Question) (remote.Answer, error) {
	return func(context.Context, remote.Question) (remote.Answer, error) { return a, err }
}

func no(why remote.Reason) remote.Answer { return remote.Answer{State: remote.Rejected, Reason: why} }

// once takes each of some passcodes once, as a server of one-time passcodes does.
func once(good ...string) func(context.Context, remote.Question) (remote.Answer, error) {
	var mu sync.Mutex
	return func(_ context.Context, q remote.Question) (remote.Answer, error) {
		mu.Lock()
		defer mu.Unlock()
		at := slices.Index(good, string(q.Passcode))
		if at < 0 {
			return no(remote.Wrong), nil
		}
		good = slices.Delete(good, at, at+1)
		return remote.Answer{State: remote.Accepted}, nil
	}
}

const remoteRules = "version = 1\n" + contact + `
[reactivation]
allow = ["fob", "push", "sms", "bypass_code"]
after_restore = "allowed"
old_device = "revoke"
[help]
for_user = ["admin"]
[verifiers]
fob = FOB
push = ["duo", "radius"]
sms = ["duo"]
`

// remoteRig has a restored device of Alice's, who is asked which factor it is to be.
func remoteRig(t *testing.T, fob string) (r *rig, d *device, radius, duo *scripted) {
	t.Helper()
	r = newRig(t)
	radius, duo = &scripted{}, &scripted{}
	r.elsewhere = map[policy.Verifier]remote.Verifier{policy.Radius: radius, policy.Duo: duo}
	old := r.active("old", "alice", "vpn")
	r.policyIs(strings.Replace(remoteRules, "FOB", fob, 1))
	return r, old.restored("new"), radius, duo
}

func typed(f, passcode string) message.RequestBody { return factor(f, message.Secret(passcode)) }

func TestRemoteAccepts(t *testing.T) {
	r, d, radius, _ := remoteRig(t, `["radius"]`)
	radius.begin = once("111111")
	offer := expect[*message.Offer](d, d.begin(true), true)
	if !reflect.DeepEqual(offer.Factors, []string{"fob", "push", "sms"}) || !reflect.DeepEqual(offer.By, []string{"radius", "duo", "duo"}) {
		t.Fatalf("%+v", offer)
	}
	expect[*message.NewSecret](d, typed("fob", "111111"), false)
	q := radius.asked[0]
	if q.User != "alice" || q.Factor != "fob" || string(q.Passcode) != "111111" || q.Device != "new" || q.Account != "Example: vpn" || !strings.HasPrefix(q.Reference, "R-") {
		t.Errorf("%+v", q)
	}
	again, err := r.Serve(t.Context(), d.sealed)
	if err != nil || string(again) != string(d.answer) || radius.questions() != 1 {
		t.Errorf("%v, %d questions", err, radius.questions())
	}
	expect[*message.Done](d, d.proof(), false)
	if !d.logsIn() {
		t.Error("it does not log in")
	}
	told := r.told.all("verifier-answer")
	if len(r.told.all("verifier-ask")) != 1 || len(told) != 1 || told[0].Detail != "radius fob accepted" || !told[0].OK || told[0].User != r.alice.ID || told[0].Reference == "" {
		t.Errorf("%+v", told)
	}
}

func TestRemoteRejects(t *testing.T) {
	r, d, radius, duo := remoteRig(t, `["radius"]`)
	radius.begin = once("111111")
	expect[*message.Offer](d, d.begin(true), true)
	d.refused(typed("fob", "000000"), false, codePasscode)
	if res := d.refused(typed("fob", "111111"), false, codeThrottle); res.RetryAfter < 1 || radius.questions() != 1 {
		t.Errorf("%+v, %d questions", res, radius.questions())
	}
	r.clock.pass(2 * time.Second)
	d.refused(typed("fob", ""), false, codePasscode)
	// The failure was RADIUS's: Duo's factors wait for nothing.
	for reason, code := range map[remote.Reason]string{remote.Denied: codeApproval, remote.TimedOut: codeLate, remote.LockedOut: codeLocked} {
		r.clock.pass(time.Hour)
		duo.begin = says(no(reason), nil)
		expect[*message.Offer](d, d.begin(true), true)
		d.refused(factor("push", nil), false, code)
	}
	duo.begin = says(no(remote.Fraud), nil)
	if res := d.refused(factor("push", nil), false, codeReported); !res.Final {
		t.Errorf("%+v", res)
	}
	d.refused(factor("push", nil), false, codeOver)
}

func TestRemoteUnavailable(t *testing.T) {
	r, d, radius, duo := remoteRig(t, `["radius"]`)
	dead := &remote.Unavailable{Verifier: "radius", Problem: "no answer", Err: context.DeadlineExceeded}
	radius.begin = says(remote.Answer{}, dead)
	expect[*message.Offer](d, d.begin(true), true)
	for range 3 {
		res := d.refused(typed("fob", "111111"), false, codeDown)
		if !strings.Contains(res.Message, "RADIUS gave no answer that counts") || !strings.HasSuffix(res.Message, "other factors: push, sms") || res.Final {
			t.Fatalf("%+v", res)
		}
	}
	// An answer that says nothing is none; nor is one beside an error.
	for _, a := range []remote.Answer{{}, {State: "yes"}, {State: remote.Waiting}, {State: remote.Rejected}, {State: remote.Challenged, Token: make([]byte, remote.MaxToken+1)}} {
		radius.begin = says(a, nil)
		d.refused(typed("fob", "111111"), false, codeDown)
	}
	radius.begin = says(remote.Answer{State: remote.Accepted}, dead)
	d.refused(typed("fob", "111111"), false, codeDown)
	radius.begin = once("111111")
	// Of several the next is asked where one does not answer, and where one does not
	// know the user; not where one said no.
	duo.begin = says(remote.Answer{}, dead)
	expect[*message.NewSecret](d, typed("fob", "111111"), false)
	radius.begin = says(no(remote.Denied), nil)
	expect[*message.Offer](d, d.begin(true), true)
	d.refused(factor("push", nil), false, codeApproval)
	duo.begin = says(no(remote.Denied), nil)
	radius.begin = says(remote.Answer{State: remote.Accepted}, nil)
	d.refused(factor("push", nil), false, codeApproval)
	duo.begin = says(no(remote.Unknown), nil)
	expect[*message.NewSecret](d, factor("push", nil), false)
	if n, err := r.talksOf(r.alice.ID); err != nil || n == 0 {
		t.Error(n, err)
	}
}

// TestRemoteLater: a push is asked for by polls, over a restart too.
func TestRemoteLater(t *testing.T) {
	r, d, _, duo := remoteRig(t, `["local"]`)
	duo.begin = says(remote.Answer{State: remote.Waiting, Token: []byte("tx-1"), RetryAfter: 3 * time.Second}, nil)
	duo.goesOn = func(context.Context, string, string) (remote.Answer, error) {
		return remote.Answer{State: remote.Waiting, Token: []byte("tx-2")}, nil
	}
	expect[*message.Offer](d, d.begin(true), true)
	w := expect[*message.Waiting](d, factor("push", nil), false)
	if w.Factor != "push" || w.Number != 0 || w.RetryAfter != 3 || w.Deadline() != r.clock.Now().Add(5*time.Minute).Truncate(time.Second) {
		t.Errorf("%+v", w)
	}
	if w = expect[*message.Waiting](d, &message.Poll{}, false); w.RetryAfter != pollAfter {
		t.Errorf("%+v", w)
	}
	r.reopen()
	d.r.d = r.d
	duo.goesOn = func(_ context.Context, token, passcode string) (remote.Answer, error) {
		if token != "tx-2" || passcode != "" {
			return remote.Answer{}, errors.New("what is this")
		}
		return remote.Answer{State: remote.Accepted}, nil
	}
	expect[*message.NewSecret](d, &message.Poll{}, false)
	// After the time for it an acceptance is none.
	expect[*message.Offer](d, d.begin(true), true)
	expect[*message.Waiting](d, factor("push", nil), false)
	r.clock.pass(6 * time.Minute)
	d.refused(&message.Poll{}, false, codeLate)
	d.seal(&message.Poll{}, false)
	if _, err := r.Serve(t.Context(), d.sealed); !errors.Is(err, message.ErrReordered) {
		t.Errorf("%v", err)
	}
	if duo.accepted != 1 {
		t.Errorf("%d", duo.accepted)
	}
}

// TestRemoteSlow: a verifier that holds its answer back is waited for while the
// device polls; what it said is lost with the process.
func TestRemoteSlow(t *testing.T) {
	r, d, radius, _ := remoteRig(t, `["radius"]`)
	r.patience = 10 * time.Millisecond
	r.reopen()
	d.r.d = r.d
	hold := make(chan remote.Answer)
	radius.begin = func(ctx context.Context, _ remote.Question) (remote.Answer, error) {
		select {
		case a := <-hold:
			return a, nil
		case <-ctx.Done():
			return remote.Answer{}, ctx.Err()
		}
	}
	expect[*message.Offer](d, d.begin(true), true)
	expect[*message.Waiting](d, typed("fob", "111111"), false)
	expect[*message.Waiting](d, &message.Poll{}, false)
	hold <- remote.Answer{State: remote.Accepted}
	for {
		res := d.say(&message.Poll{}, false)
		if _, ok := res.(*message.NewSecret); ok {
			break
		}
		if _, ok := res.(*message.Waiting); !ok {
			t.Fatalf("%+v", res)
		}
	}
	expect[*message.Offer](d, d.begin(true), true)
	expect[*message.Waiting](d, typed("fob", "222222"), false)
	r.reopen()
	d.r.d = r.d
	d.refused(&message.Poll{}, false, codeLate)
	radius.begin = once("333333")
	r.patience = 0
	r.reopen()
	d.r.d = r.d
	expect[*message.NewSecret](d, typed("fob", "333333"), false)
}

// TestRemoteCrash: the process dies after the verifier has accepted, and before that
// is stored. Nothing was accepted, and the conversation goes on.
func TestRemoteCrash(t *testing.T) {
	r, d, radius, _ := remoteRig(t, `["radius"]`)
	server := once("111111", "222222")
	radius.begin = func(ctx context.Context, q remote.Question) (remote.Answer, error) {
		a, err := server(ctx, q)
		if err := r.reg.Close(); err != nil {
			t.Error(err)
		}
		return a, err
	}
	expect[*message.Offer](d, d.begin(true), true)
	d.seal(typed("fob", "111111"), false)
	if _, err := r.Serve(t.Context(), d.sealed); err == nil {
		t.Fatal("it was answered")
	}
	r.reopenClosed()
	d.r.d = r.d
	radius.begin = server
	answer, err := r.Serve(t.Context(), d.sealed) // the device's, once more
	if err != nil {
		t.Fatal(err)
	}
	if res, ok := d.open(answer).(*message.Refused); !ok || res.Code != codePasscode {
		t.Fatalf("%+v", res)
	}
	r.clock.pass(2 * time.Second)
	expect[*message.NewSecret](d, typed("fob", "222222"), false)
	expect[*message.Done](d, d.proof(), false)
	if !d.logsIn() {
		t.Error("it does not log in")
	}
}

// reopenClosed is reopen where the registry is closed.
func (r *rig) reopenClosed() {
	r.Helper()
	r.Issuer.Close()
	var err error
	if r.reg, err = authority.Open(r.o); err != nil {
		r.Fatal(err)
	}
	r.start()
}

func TestRemoteChallenge(t *testing.T) {
	r, d, _, duo := remoteRig(t, `["local"]`)
	duo.begin = says(remote.Answer{State: remote.Challenged, Token: []byte("sent"), Prompt: "The code that was sent\x1b[2J"}, nil)
	duo.goesOn = func(_ context.Context, token, passcode string) (remote.Answer, error) {
		if token == "sent" && passcode == "4711" {
			return remote.Answer{State: remote.Accepted}, nil
		}
		return no(remote.Wrong), nil
	}
	expect[*message.Offer](d, d.begin(true), true)
	d.refused(typed("sms", "4711"), false, codeLate)
	c := expect[*message.Challenge](d, factor("sms", nil), false)
	if c.Factor != "sms" || c.Prompt != "The code that was sent [2J" {
		t.Errorf("%+v", c)
	}
	r.reopen()
	d.r.d = r.d
	d.refused(typed("sms", "0000"), false, codePasscode)
	expect[*message.Challenge](d, factor("sms", nil), false)
	d.refused(typed("sms", "4711"), false, codeThrottle)
	r.clock.pass(2 * time.Second)
	// A refusal gave it up, and so does another factor.
	d.refused(typed("sms", "4711"), false, codeLate)
	expect[*message.Challenge](d, factor("sms", nil), false)
	d.refused(typed("fob", "000000"), false, codePasscode)
	d.refused(typed("sms", "4711"), false, codeLate)
	expect[*message.Offer](d, d.begin(true), true)
	expect[*message.Challenge](d, factor("sms", nil), false)
	expect[*message.NewSecret](d, typed("sms", "4711"), false)
	if len(duo.went) != 2 {
		t.Errorf("%q", duo.went)
	}
}

// TestLocalFirst: who has a fob that works here is verified here alone, and a
// passcode of a fob that was lost here is told to nobody.
func TestLocalFirst(t *testing.T) {
	r, d, radius, _ := remoteRig(t, `["local", "radius"]`)
	radius.begin = says(remote.Answer{State: remote.Accepted}, nil)
	if offer := expect[*message.Offer](d, d.begin(true), true); !reflect.DeepEqual(offer.By, []string{"local", "duo", "duo"}) {
		t.Errorf("%+v", offer)
	}
	d.refused(typed("fob", "000000"), false, codePasscode)
	r.clock.pass(2 * time.Second)
	if radius.questions() > 0 {
		t.Fatal("a passcode went to RADIUS")
	}
	if _, err := r.reg.LoseFob("owner", "F1"); err != nil {
		t.Fatal(err)
	}
	if offer := expect[*message.Offer](d, d.begin(true), true); offer.By[0] != "radius" {
		t.Errorf("%+v", offer)
	}
	d.refused(typed("fob", hotp("F1", 0)), false, codePasscode)
	d.refused(typed("fob", hotp("F1", 7)), false, codePasscode)
	if radius.questions() > 0 {
		t.Fatal("a passcode of the lost fob went to RADIUS")
	}
	expect[*message.NewSecret](d, typed("fob", "999999"), false)
	// Where only others verify, fobs that are known here count for nothing.
	delete(r.elsewhere, policy.Radius)
	r.policyIs(strings.Replace(remoteRules, "FOB", `["radius"]`, 1))
	offer := expect[*message.Offer](d, d.begin(true), true)
	if slices.Contains(offer.Factors, "fob") || !slices.ContainsFunc(offer.Denials, func(x message.Denial) bool {
		return x.Factor == "fob" && strings.HasSuffix(x.Reason, "but nobody is set up to verify it")
	}) {
		t.Errorf("%+v", offer)
	}
}

// TestRemoteDecidedAnew: what became of the policy, the user or the account while a
// verifier was asked counts.
func TestRemoteDecidedAnew(t *testing.T) {
	for what, change := range map[string]func(r *rig){
		"the policy": func(r *rig) { r.policyIs(usual) },
		"who verifies": func(r *rig) {
			r.policyIs(strings.NewReplacer("FOB", `["local"]`, `["duo", "radius"]`, `["radius"]`).Replace(remoteRules))
		},
		"the user": func(r *rig) {
			yes := true
			if _, err := r.reg.EditUser("owner", r.alice.ID, authority.UserEdit{Disabled: &yes}); err != nil {
				r.Fatal(err)
			}
		},
		"the account": func(r *rig) {
			if err := r.Forget("owner", "alice"); err != nil {
				r.Fatal(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			r, d, _, duo := remoteRig(t, `["local"]`)
			duo.begin = func(context.Context, remote.Question) (remote.Answer, error) {
				change(r)
				return remote.Answer{State: remote.Accepted}, nil
			}
			expect[*message.Offer](d, d.begin(true), true)
			d.seal(factor("push", nil), false)
			answer, err := r.Serve(t.Context(), d.sealed)
			if err != nil {
				return // forgotten: there is no conversation any more
			}
			if res, ok := d.open(answer).(*message.Refused); !ok {
				t.Errorf("%+v", res)
			}
		})
	}
}

// TestRemoteBounds: nobody makes a user agree by tiring him out.
func TestRemoteBounds(t *testing.T) {
	r, d, radius, duo := remoteRig(t, `["radius"]`)
	duo.begin = says(no(remote.TimedOut), nil)
	radius.begin = says(no(remote.Unknown), nil)
	for n := range 4 {
		expect[*message.Offer](d, d.begin(true), true)
		for m := range maxDisturbed {
			if n*maxDisturbed+m < maxDisturbedHour {
				d.refused(factor("push", nil), false, codeLate)
			} else if res := d.refused(factor("push", nil), false, codeThrottle); res.RetryAfter < 60 {
				t.Errorf("%+v", res)
			}
		}
		if n < 3 {
			d.refused(factor("sms", nil), false, codeOffered)
		}
	}
	if duo.questions() != maxDisturbedHour {
		t.Errorf("%d questions", duo.questions())
	}
	r.clock.pass(time.Hour)
	d.refusedAnew("push", codeLate)
}

func (d *device) refusedAnew(f, code string) {
	d.r.Helper()
	expect[*message.Offer](d, d.begin(true), true)
	d.refused(factor(f, nil), false, code)
}

// TestRemoteAtOnce: the same request many times at once is one question, and guesses
// in several conversations are made one after the other.
func TestRemoteAtOnce(t *testing.T) {
	r, d, radius, _ := remoteRig(t, `["radius"]`)
	began := make(chan struct{}, 100)
	release := make(chan struct{})
	radius.begin = func(_ context.Context, q remote.Question) (remote.Answer, error) {
		began <- struct{}{}
		<-release
		if string(q.Passcode) == "111111" {
			return remote.Answer{State: remote.Accepted}, nil
		}
		return no(remote.Wrong), nil
	}
	var others []*device
	for range 5 {
		o := d.restored("other")
		expect[*message.Offer](o, o.begin(true), true)
		o.seal(typed("fob", "000000"), false)
		others = append(others, o)
	}
	expect[*message.Offer](d, d.begin(true), true)
	d.seal(typed("fob", "111111"), false)
	var wg sync.WaitGroup
	answers := make([]string, 8)
	for n := range answers {
		wg.Go(func() {
			a, err := r.Serve(t.Context(), d.sealed)
			if err != nil {
				t.Error(err)
			}
			answers[n] = string(a)
		})
	}
	<-began
	for _, o := range others {
		answer, err := r.Serve(t.Context(), o.sealed)
		if err != nil {
			t.Fatal(err)
		}
		if res, ok := o.open(answer).(*message.Refused); !ok || res.Code != codeThrottle {
			t.Errorf("%+v", res)
		}
	}
	close(release)
	wg.Wait()
	for _, a := range answers {
		if a != answers[0] || a == "" {
			t.Error("the answers differ")
		}
	}
	if radius.questions() != 1 {
		t.Errorf("%d questions", radius.questions())
	}
}

// TestRemoteUnknown: who is not known elsewhere goes on with what the ladder has
// below, or is told how to become known.
func TestRemoteUnknown(t *testing.T) {
	r, d, radius, duo := remoteRig(t, `["radius"]`)
	r.policyIs(strings.Replace(strings.Replace(remoteRules, "FOB", `["radius"]`, 1), "after_restore", "ladder = [[\"fob\"], \"bypass_code\"]\nafter_restore", 1))
	radius.begin = says(no(remote.Unknown), nil)
	_, code, err := r.CreateBypass("owner", "alice", 0)
	if err != nil {
		t.Fatal(err)
	}
	if offer := expect[*message.Offer](d, d.begin(true), true); slices.Contains(offer.Factors, "bypass_code") {
		t.Fatalf("%+v", offer)
	}
	offer := expect[*message.Offer](d, typed("fob", "111111"), false)
	if slices.Contains(offer.Factors, "fob") || !slices.Contains(offer.Factors, "bypass_code") || !slices.ContainsFunc(offer.Denials, func(x message.Denial) bool {
		return x.Factor == "fob" && x.Reason == "who verifies it does not know you"
	}) {
		t.Fatalf("%+v", offer)
	}
	duo.begin = says(remote.Answer{State: remote.Rejected, Reason: remote.Unknown, Enrolment: "https://enrol.example.org/x"}, nil)
	res := d.refused(factor("sms", nil), false, codeEnrol)
	if !reflect.DeepEqual(res.Alternatives, []message.Alternative{{Kind: "enrolment", Value: "https://enrol.example.org/x"}}) {
		t.Errorf("%+v", res)
	}
	duo.begin = says(remote.Answer{State: remote.Rejected, Reason: remote.Unknown, Enrolment: "javascript:alert(1)"}, nil)
	expect[*message.Offer](d, factor("sms", nil), false)
	expect[*message.NewSecret](d, factor("bypass_code", code), false)
}
