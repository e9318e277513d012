package issue

import (
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
)

// question is what a device asks the others of its user.
type question struct {
	ID     message.ID `cbor:"1,keyasint"`
	Number int        `cbor:"2,keyasint"`
	Asked  time.Time  `cbor:"3,keyasint"`
	Until  time.Time  `cbor:"4,keyasint"`
	State  CodeState  `cbor:"5,keyasint"` // Open, Used where it was approved, Off where not
}

// pollAfter is how long a device waits between polls, in seconds.
const pollAfter = 2

// ask asks the user's other devices.
func (i *Issuer) ask(s *step) (message.Result, error) {
	if r, err := i.throttled(s, serviceDevice); err != nil || r != nil {
		return r, err
	}
	if s.talk.Asked++; s.talk.Asked > maxAsked {
		return s.again(codeOffered, "other devices were asked often enough", 0), nil
	}
	id, err := message.NewID(i.random)
	if err != nil {
		return nil, err
	}
	number, err := message.NewNumber(i.random)
	if err != nil {
		return nil, err
	}
	until := s.now.Add(i.lifetimes().DeviceApproval)
	if until.After(s.talk.Until) {
		until = s.talk.Until
	}
	s.talk.Question = &question{ID: id, Number: number, Asked: s.now, Until: until, State: Open}
	s.tell("device-ask", true, "")
	return s.talk.Question.waiting(), nil
}

func (i *Issuer) lifetimes() policy.Lifetimes {
	if p := i.policy(); p != nil {
		return p.Lifetimes()
	}
	return policy.DefaultLifetimes()
}

func (q *question) waiting() message.Result {
	return &message.Waiting{Factor: string(policy.OtherDevice), Number: q.Number, RetryAfter: pollAfter, Until: q.Until.Unix()}
}

// poll says what became of the question.
func (i *Issuer) poll(s *step) (message.Result, error) {
	q := s.talk.Question
	switch {
	case q == nil:
		return nil, notNext()
	case !slices.Contains(s.account.Keys, s.talk.Key):
		// Polls are not signed by the account; begin was, and its key is no more.
		return i.unknown(s), nil
	case q.State == Used:
		// The approval counts at the time of the poll: the policy may have changed.
		s.talk.Question = nil
		d, err := i.decide(s)
		if err != nil {
			return nil, err
		}
		if !d.Offering(policy.OtherDevice) {
			s.tell("reactivate-factor", false, codeOffered)
			return i.left(s, d)
		}
		return i.proved(s, policy.OtherDevice)
	case q.State != Open:
		s.talk.Question = nil
		s.tell("reactivate-factor", false, codeApproval)
		return s.again(codeApproval, "the other device did not approve", 0), nil
	case !s.now.Before(q.Until):
		s.talk.Question = nil
		s.tell("reactivate-factor", false, codeLate)
		return s.again(codeLate, "no other device answered in time", 0), nil
	}
	return q.waiting(), nil
}

// asker says whether the device that asks is known and active, and whose it is.
// With revokedToo neither it nor its user need be active.
func (i *Issuer) asker(s *step, revokedToo bool) (deviceRecord, bool, error) {
	d, found, err := get[deviceRecord](s.tx, devicesBucket, s.device())
	if err != nil || !found || d.State != Active && !revokedToo {
		return d, false, err
	}
	ok, err := i.loadUser(s, d.User)
	return d, ok || revokedToo && s.user.ID != "", err
}

// questions lists what the user's other devices ask.
func (i *Issuer) questions(s *step) (message.Result, error) {
	d, ok, err := i.asker(s, false)
	if err != nil || !ok {
		return i.unknown(s), err
	}
	out := &message.Questions{}
	err = i.eachQuestion(s, func(_ message.ID, c conversation) (bool, error) {
		a, found, err := get[accountRecord](s.tx, accountsBucket, c.Account)
		a.wipe()
		if err != nil || !found {
			return true, err
		}
		q := c.Question
		out.List = append(out.List, message.Question{ID: q.ID, Account: a.title(), Device: c.Device, Asked: q.Asked.Unix(), Until: q.Until.Unix()})
		return len(out.List) < 32, nil
	})
	if err != nil {
		return nil, err
	}
	if s.talk.Stage == "" {
		// Where there is nothing to answer, nothing needs to be remembered.
		s.passing = len(out.List) == 0
		s.talk = conversation{Kind: message.KindPoll, Stage: asking, User: d.User, Until: s.now.Add(s.life())}
	}
	return out, i.seen(s, d)
}

// seen notes now and then that a device is in use.
func (i *Issuer) seen(s *step, d deviceRecord) error {
	if s.now.Sub(d.Last) < time.Hour {
		return nil
	}
	d.Last = s.now
	return put(s.tx, devicesBucket, s.device(), d)
}

// title is how an account is shown on another device.
func (r *accountRecord) title() string {
	if r.Issuer == "" {
		return r.Label
	}
	return shown(r.Issuer+": "+r.Label, 128)
}

// eachQuestion calls f for the open questions of the user's other devices.
func (i *Issuer) eachQuestion(s *step, f func(id message.ID, c conversation) (bool, error)) error {
	for _, t := range s.mine.Talks {
		c, found, err := get[conversation](s.tx, conversationsBucket, t.ID)
		if err != nil {
			return err
		}
		q := c.Question
		if !found || c.Stage != choosing || q == nil || q.State != Open || !s.now.Before(q.Until) || c.Order.Device == s.device() {
			continue
		}
		if more, err := f(t.ID, c); err != nil || !more {
			return err
		}
	}
	return nil
}

// approve answers a question. One wrong number ends it. It counts as a failure, and
// so does a no: until the user may be asked again it takes longer each time.
func (i *Issuer) approve(s *step, b *message.Approve) (message.Result, error) {
	if _, ok, err := i.asker(s, false); err != nil || !ok {
		return i.unknown(s), err
	}
	var r message.Result
	err := i.eachQuestion(s, func(id message.ID, c conversation) (bool, error) {
		if c.Question.ID != b.Question {
			return true, nil
		}
		switch {
		case !b.Yes:
			c.Question.State, r = Off, &message.Done{}
			s.tell("device-approve", true, "no")
			// So that who is asked again and again has some peace.
			if err := i.reg.Failed(s.tx, serviceDevice, s.user.ID, s.now); err != nil {
				return false, err
			}
		case message.SameNumber(c.Question.Number, b.Number):
			c.Question.State, r = Used, &message.Done{}
			s.tell("device-approve", true, "yes")
		default:
			c.Question.State = Off
			r = s.again(codeApproval, "this is not the number on the other device: it has to ask anew", 0)
			s.tell("device-approve", false, "wrong number")
			if err := i.reg.Failed(s.tx, serviceDevice, s.user.ID, s.now); err != nil {
				return false, err
			}
		}
		last := &s.entries[len(s.entries)-1]
		last.Account, last.Reference = c.Account.String(), c.Reference
		return false, put(s.tx, conversationsBucket, id, c)
	})
	if r == nil {
		r = s.again(codeLate, "this is not asked any more", 0)
	}
	return r, err
}
