package issue

import (
	"slices"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/daemon/authority/remote"
)

// maxRetry is the longest that a verifier can have a device wait between polls.
const maxRetry = 30 * time.Second

// answered goes by what became of a question, which was asked in between; d is what
// the policy says now, and offers the factor. before has the time until which there
// is to be an answer, and the token by which it is asked for again.
func (i *Issuer) answered(s *step, d policy.Decision, f policy.Factor, before *elsewhere) (message.Result, error) {
	o := s.outcome
	at := &elsewhere{Factor: string(f), Verifier: o.verifier, Token: o.answer.Token, Until: before.Until}
	switch {
	case o.busy:
		return s.again(codeThrottle, "too much is being verified now", 2*time.Second), nil
	case o.lost:
		return s.again(codeLate, "what was asked is not known any more: ask once more", 0), nil
	case o.pending:
		at.Request, at.Verifier, at.Token = o.request, before.Verifier, before.Token
		s.talk.Elsewhere = at
		return at.waiting(0), nil
	case o.err != nil:
		s.tell("verifier-answer", false, string(o.verifier)+" "+string(f)+" unavailable")
		return s.again(codeDown, shown(cannotAsk(o.verifier, d, f), 400), 0), nil
	}
	if asked := asks(d, f); !slices.Contains(asked, o.verifier) {
		// The policy, or who is set up, has changed while the question was asked.
		s.tell("verifier-answer", false, string(o.verifier)+" "+string(f)+" "+codeOffered)
		return s.again(codeOffered, "this factor is verified by others now", 0), nil
	}
	why := string(o.answer.State)
	if o.answer.State == remote.Rejected {
		why += " " + string(o.answer.Reason)
	}
	s.tell("verifier-answer", o.answer.State != remote.Rejected, string(o.verifier)+" "+string(f)+" "+why)
	switch o.answer.State {
	case remote.Accepted:
		return i.proved(s, f)
	case remote.Waiting:
		s.talk.Elsewhere = at
		return at.waiting(o.answer.RetryAfter), nil
	case remote.Challenged:
		at.Challenged = true
		s.talk.Elsewhere = at
		return &message.Challenge{Factor: at.Factor, Prompt: shown(o.answer.Prompt, 400), Until: at.Until.Unix()}, nil
	}
	return i.rejected(s, f)
}

func (e *elsewhere) waiting(retry time.Duration) message.Result {
	after := pollAfter
	if retry > 0 {
		after = int((min(retry, maxRetry) + time.Second - 1) / time.Second)
	}
	return &message.Waiting{Factor: e.Factor, RetryAfter: after, Until: e.Until.Unix()}
}

// cannotAsk says that nothing was verified, and what is left.
func cannotAsk(v policy.Verifier, d policy.Decision, f policy.Factor) string {
	text := verifierName(v) + " gave no answer that counts: nothing was verified, and nothing is counted against you"
	var left []string
	for _, o := range d.Offers {
		if o.Factor != f {
			left = append(left, strings.ReplaceAll(string(o.Factor), "_", " "))
		}
	}
	if len(left) > 0 {
		text += "; other factors: " + strings.Join(left, ", ")
	}
	return text
}

func verifierName(v policy.Verifier) string {
	if v == policy.Duo {
		return "Duo"
	}
	return strings.ToUpper(string(v))
}

// rejected says why a verifier did not accept.
func (i *Issuer) rejected(s *step, f policy.Factor) (message.Result, error) {
	a, name := s.outcome.answer, verifierName(s.outcome.verifier)
	switch a.Reason {
	case remote.Wrong:
		return s.again(codePasscode, "this passcode is not good", 0), nil
	case remote.Fraud:
		return s.end(codeReported, "the user reported that it was not he who asked"), nil
	case remote.TimedOut:
		return s.again(codeLate, "nobody answered "+name+" in time", 0), nil
	case remote.LockedOut:
		return s.again(codeLocked, name+" has locked you out", 0), nil
	case remote.Unknown:
		return i.unenrolled(s, f, name)
	}
	return s.again(codeApproval, "the user, or "+name+" itself, said no", 0), nil
}

// unenrolled is about a user whom the verifier does not know. He is told how to
// become known, or else goes on with what is left without this factor.
func (i *Issuer) unenrolled(s *step, f policy.Factor, name string) (message.Result, error) {
	r := s.again(codeEnrol, name+" does not know you, or not by this factor", 0)
	if link := s.outcome.answer.Enrolment; strings.HasPrefix(link, "https://") && len(link) <= 800 && shown(link, 800) == link {
		r.Alternatives = []message.Alternative{{Kind: "enrolment", Value: link}}
		return r, nil
	}
	s.talk.Unknown = append(s.talk.Unknown, string(f))
	return i.proceed(s, "reactivate-factor")
}

// pollElsewhere says what became of a question that a remote verifier has.
func (i *Issuer) pollElsewhere(s *step) (message.Result, error) {
	at := s.talk.Elsewhere
	switch {
	case at.Challenged:
		return nil, notNext()
	case !slices.Contains(s.account.Keys, s.talk.Key):
		return i.unknown(s), nil
	case !s.now.Before(at.Until):
		s.talk.Elsewhere = nil
		s.tell("reactivate-factor", false, codeLate)
		return s.again(codeLate, "nobody answered in time", 0), nil
	}
	d, err := i.decide(s)
	if err != nil {
		return nil, err
	}
	f := policy.Factor(at.Factor)
	if !d.Offering(f) {
		s.talk.Elsewhere = nil
		s.tell("reactivate-factor", false, codeOffered)
		return i.left(s, d)
	}
	s.talk.Elsewhere = nil
	if s.outcome != nil {
		return i.answered(s, d, f, at)
	}
	k := &ask{request: at.Request, user: s.user.ID, until: at.Until, was: at, join: true}
	if len(at.Token) > 0 && i.asked.find(s.o.Conversation, at.Request) == nil {
		*k = ask{request: s.o.Hash, user: s.user.ID, by: []policy.Verifier{at.Verifier}, token: at.Token, until: at.Until, was: at}
		k.join = i.asked.find(s.o.Conversation, s.o.Hash) != nil
	}
	s.ask = k
	return nil, nil
}
