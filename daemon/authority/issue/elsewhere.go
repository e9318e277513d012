package issue

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/daemon/authority/remote"
	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// How often remote verifiers are asked: about what disturbs the user, so that nobody
// makes him agree by tiring him out, and about passcodes, beside the throttle.
const (
	maxDisturbed     = 3 // in one conversation
	maxDisturbedHour = 10
	maxGuessed       = 10
	maxGuessedHour   = 30
)

// elsewhere is a question that a remote verifier has not decided.
type elsewhere struct {
	Factor   string          `cbor:"1,keyasint"`
	Verifier policy.Verifier `cbor:"2,keyasint,omitempty"` // whose token it is
	Token    []byte          `cbor:"3,keyasint,omitempty"`
	// Challenged says that the user is to type something more.
	Challenged bool      `cbor:"4,keyasint,omitempty"`
	Until      time.Time `cbor:"5,keyasint"`
	// Request is the request whose question is still asked, in this process.
	Request message.Hash `cbor:"6,keyasint,omitzero"`
}

// ask is what a remote verifier is to be asked, before the request is served.
type ask struct {
	request message.Hash
	user    string
	by      []policy.Verifier // the next where the one before knows nothing
	q       remote.Question
	token   []byte // of a question that goes on
	until   time.Time
	// join says that it is asked already, counted that something is to be noted.
	join, counted bool
	// was is where the conversation is until there is an answer.
	was *elsewhere
}

// typed says that it is about something that was typed, and so may be guessed.
func (k *ask) typed() bool { return len(k.q.Passcode) > 0 }

// asks are the remote verifiers of a factor that is offered; none where the
// authority verifies it.
func asks(d policy.Decision, f policy.Factor) []policy.Verifier {
	for _, o := range d.Offers {
		if o.Factor == f && o.Verifiers[0] != policy.Local {
			return o.Verifiers
		}
	}
	return nil
}

// elsewhere has a factor verified by a remote verifier, or goes by what that said.
func (i *Issuer) elsewhere(s *step, d policy.Decision, b *message.Factor, by []policy.Verifier, was *elsewhere) (message.Result, error) {
	f := policy.Factor(b.Factor)
	if s.outcome != nil {
		until := s.until(i.lifetimes().DeviceApproval)
		if was != nil && was.Challenged && was.Factor == b.Factor {
			until = was.Until
		}
		return i.answered(s, d, f, &elsewhere{Until: until})
	}
	k := &ask{request: s.o.Hash, user: s.user.ID, by: by, until: s.talk.Until, was: was}
	if i.asked.find(s.o.Conversation, s.o.Hash) != nil {
		k.join, s.ask = true, k
		return nil, nil
	}
	goesOn := was != nil && was.Challenged && was.Factor == b.Factor && len(b.Passcode) > 0
	switch {
	case goesOn && !s.now.Before(was.Until):
		return s.again(codeLate, "this is not asked any more", 0), nil
	case goesOn:
		k.by, k.token = []policy.Verifier{was.Verifier}, was.Token
	case f == policy.Fob && len(b.Passcode) == 0:
		return s.again(codePasscode, "this passcode is not good", 0), nil
	case f != policy.Fob && len(b.Passcode) > 0:
		return s.again(codeLate, "this is not asked any more", 0), nil
	}
	k.q = remote.Question{User: s.user.Name, Factor: b.Factor, Passcode: b.Passcode, Device: s.talk.Device, Account: s.account.title(), Reference: s.talk.Reference}
	if r, err := i.mayAsk(s, k, f); err != nil || r != nil {
		return r, err
	}
	k.counted, s.ask = true, k
	s.tell("verifier-ask", true, string(k.by[0])+" "+b.Factor)
	return nil, nil
}

// until is when something ends that is asked for now.
func (s *step) until(life time.Duration) time.Time {
	if t := s.now.Add(life); t.Before(s.talk.Until) {
		return t
	}
	return s.talk.Until
}

// mayAsk counts a question, or refuses it; nil where it may be asked.
func (i *Issuer) mayAsk(s *step, k *ask, f policy.Factor) (message.Result, error) {
	if !k.typed() {
		return s.room(&s.talk.Disturbed, maxDisturbed, &s.mine.Disturbed, maxDisturbedHour), nil
	}
	for _, v := range k.by {
		if r, err := i.throttled(s, string(v)); err != nil || r != nil {
			return r, err
		}
	}
	// A passcode of a fob that was lost here, or used up, is told to nobody else.
	if pol := i.policy(); f == policy.Fob && k.token == nil && pol != nil && slices.Contains(pol.Verifiers(f), policy.Local) {
		known, err := i.reg.Recognises(s.tx, s.user.ID, k.q.Passcode)
		if err != nil {
			return nil, err
		}
		if known {
			s.tell("reactivate-factor", false, "fob known here")
			return s.again(codePasscode, "this passcode is not good", 0), nil
		}
	}
	return s.room(&s.talk.Guessed, maxGuessed, &s.mine.Guessed, maxGuessedHour), nil
}

// room counts in a conversation and of a user, and refuses where there is no room.
func (s *step) room(inTalk *int, mostInTalk int, lately *[]int64, mostLately int) message.Result {
	now := s.now.Unix()
	*lately = slices.DeleteFunc(*lately, func(at int64) bool { return at <= now-3600 || at > now })
	switch {
	case *inTalk >= mostInTalk:
		return s.again(codeOffered, "this was asked often enough: another factor, or begin anew later", 0)
	case len(*lately) >= mostLately:
		return s.again(codeThrottle, "this was asked too often within an hour", time.Duration((*lately)[0]+3600-now)*time.Second)
	}
	*inTalk++
	*lately = append(*lately, now)
	return nil
}

// note stores that a verifier is asked. The conversation stays where it is.
func (i *Issuer) note(s *step) error {
	if !s.ask.counted {
		return nil
	}
	s.talk.Elsewhere = s.ask.was
	if err := s.mine.put(s.tx, s.user.ID); err != nil {
		return err
	}
	return put(s.tx, conversationsBucket, s.o.Conversation, s.talk)
}

// askAndServe asks outside of any transaction, and then serves the request with what
// was answered. The answer is kept until that is stored.
func (i *Issuer) askAndServe(ctx context.Context, s *step) error {
	i.audited(s)
	k := s.ask
	var q *inquiry
	if k.join {
		q = i.asked.find(s.o.Conversation, k.request)
	} else {
		k.q.Passcode = bytes.Clone(k.q.Passcode)
		var began bool
		if q, began = i.asked.begin(s.o.Conversation, k, s.now, func(ctx context.Context) outcome { return i.inquire(ctx, k) }); !began {
			clear(k.q.Passcode)
		}
	}
	o := outcome{request: k.request, lost: true}
	switch {
	case q != nil && s.o.Files:
		o = q.wait(ctx, max(i.asked.patience, filesPatience))
	case q != nil:
		o = q.wait(ctx, i.asked.patience)
	case !k.join:
		o.lost, o.busy = false, true
	}
	s.outcome, s.now = &o, i.now()
	err := i.store.Update(func(tx *store.Tx) error { return i.transact(tx, s) })
	if err == nil && q != nil && !o.pending {
		i.asked.drop(s.o.Conversation, q)
	}
	return err
}

// inquire asks the verifiers one after the other, until one knows. A wrong passcode
// is counted before anybody is told.
func (i *Issuer) inquire(ctx context.Context, k *ask) (o outcome) {
	defer clear(k.q.Passcode)
	for _, v := range k.by {
		next := outcome{verifier: v}
		next.answer, next.err = i.inquireOf(ctx, v, k)
		if next.err != nil && !errors.Is(next.err, context.Canceled) && i.trouble != nil {
			i.trouble(v, next.err)
		}
		// That one could not be reached says more than that another knows nothing.
		if o.err == nil || next.err == nil && !next.unknown() {
			o = next
		}
		if next.err == nil && !next.unknown() || ctx.Err() != nil {
			break
		}
	}
	if k.typed() && o.err == nil && o.answer.State == remote.Rejected && o.answer.Reason == remote.Wrong {
		o.err = i.store.Update(func(tx *store.Tx) error { return i.reg.Failed(tx, string(o.verifier), k.user, i.now()) })
	}
	return o
}

func (o outcome) unknown() bool {
	return o.answer.State == remote.Rejected && o.answer.Reason == remote.Unknown
}

func (i *Issuer) inquireOf(ctx context.Context, v policy.Verifier, k *ask) (remote.Answer, error) {
	r := i.remote(v)
	if r == nil {
		return remote.Answer{}, &remote.Unavailable{Verifier: string(v), Problem: errGone.Error(), Err: errGone}
	}
	var a remote.Answer
	var err error
	if k.token != nil {
		a, err = r.Continue(ctx, k.token, k.q.Passcode)
	} else {
		a, err = r.Begin(ctx, k.q)
	}
	if err != nil {
		return remote.Answer{}, err
	}
	return a, sound(v, a)
}

// sound refuses an answer that says nothing.
func sound(v policy.Verifier, a remote.Answer) error {
	ok := false
	switch a.State {
	case remote.Accepted:
		ok = true
	case remote.Rejected:
		ok = a.Reason != ""
	case remote.Waiting, remote.Challenged:
		ok = len(a.Token) > 0 && len(a.Token) <= remote.MaxToken
	}
	if !ok {
		return &remote.Unavailable{Verifier: string(v), Problem: "an answer came that says nothing"}
	}
	return nil
}
