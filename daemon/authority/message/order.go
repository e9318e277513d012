package message

import (
	"fmt"
	"maps"
	"time"
)

// Order is what an authority remembers of a conversation. It is plain data, to be
// stored together with what a request did and with the bytes of its answer.
type Order struct {
	Conversation ID
	Device       ID
	Account      string
	Step         int
	Request      Hash // the last request that was answered
	Answer       Hash // AnswerHash of that answer
}

// NewOrder begins a conversation with its first request and the answer to that.
func NewOrder(o *Opened, answer []byte) *Order {
	return &Order{Conversation: o.Conversation, Device: o.Device.DeviceID(), Account: o.Account, Step: o.Step,
		Request: o.Hash, Answer: AnswerHash(answer)}
}

// Check says whether a request may be served now. With again it is the last one,
// sent once more: it gets the same bytes and does nothing. A nil Order is that of
// a conversation that is not known.
func (r *Order) Check(o *Opened) (again bool, err error) {
	if again, err = r.check(o); err != nil {
		return false, fmt.Errorf("cannot serve the request: %w", err)
	}
	return again, nil
}

func (r *Order) check(o *Opened) (bool, error) {
	switch {
	case r == nil && o.Step == 1:
		return false, nil
	case r == nil:
		return false, ErrReordered
	case r.Device != o.Device.DeviceID():
		return false, ErrOtherDevice
	case r.Conversation != o.Conversation:
		return false, ErrReordered
	case r.Request == o.Hash:
		return true, nil
	case o.Step <= r.Step:
		return false, ErrReplayed
	case o.Step != r.Step+1, o.After != r.Answer, r.Account != "" && o.Account != "" && r.Account != o.Account:
		return false, ErrReordered
	}
	return false, nil
}

// Advance is the Order after a request that Check let pass was answered.
func (r *Order) Advance(o *Opened, answer []byte) *Order {
	next := NewOrder(o, answer)
	if next.Account == "" {
		next.Account = r.Account
	}
	return next
}

// Seen remembers requests until they expire, so that none is served twice. It is
// not safe for use by several goroutines. Whoever must remember over a restart
// stores Hash and Expires of each first request, and adds them again.
type Seen struct {
	most int
	till map[Hash]time.Time
}

// NewSeen remembers at most that many requests at once.
func NewSeen(most int) *Seen { return &Seen{most: most, till: map[Hash]time.Time{}} }

// Add remembers a request: ErrReplayed if it is remembered already, ErrFull if
// no more can be.
func (s *Seen) Add(request Hash, expires, now time.Time) error {
	if until, ok := s.till[request]; ok && now.Before(until) {
		return fmt.Errorf("cannot serve the request: %w", ErrReplayed)
	}
	if len(s.till) >= s.most {
		maps.DeleteFunc(s.till, func(_ Hash, until time.Time) bool { return !now.Before(until) })
	}
	if len(s.till) >= s.most {
		return fmt.Errorf("cannot serve the request: %w", ErrFull)
	}
	s.till[request] = expires
	return nil
}
