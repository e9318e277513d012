package issue

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/daemon/authority/remote"
)

const (
	// defaultPatience is how long a request waits for a remote verifier; one that
	// travels as a file waits longer, for asking again takes another file.
	defaultPatience = 5 * time.Second
	filesPatience   = 20 * time.Second
	// longestAsked is how long one question takes at most.
	longestAsked = 3 * time.Minute
	// maxAsking is how many questions are under way at once.
	maxAsking = 64
)

// asked are the questions that remote verifiers are asked, and their answers until
// a request has fetched them. They are in memory alone: what is lost with the process
// was not accepted.
type asked struct {
	patience time.Duration
	ctx      context.Context // ends with the Issuer
	cancel   context.CancelFunc
	wg       sync.WaitGroup

	mu      sync.Mutex
	all     map[message.ID]*inquiry // by conversation
	running int
	// typed are the users of whom a passcode is asked about: one at a time, so that
	// no guess is made before the one before it was counted.
	typed map[string]bool
	// challenges are those of passcodes of which services and helpers asked.
	challenges map[string]standingChallenge
	// open are when passcodes of users came to nothing, lately.
	open map[string][]time.Time
}

// inquiry is a question.
type inquiry struct {
	request message.Hash // that began it
	until   time.Time
	cancel  context.CancelFunc
	done    chan struct{} // closed when outcome is there
	outcome outcome
}

// outcome is what became of a question.
type outcome struct {
	request  message.Hash
	pending  bool // it is still asked
	busy     bool // too much is asked already
	lost     bool // nobody knows: the process ended in between
	verifier policy.Verifier
	answer   remote.Answer
	err      error
}

var errGone = errors.New("the verifier is not set up any more")

func newAsked(o Options) *asked {
	a := &asked{patience: o.Patience, all: map[message.ID]*inquiry{}, typed: map[string]bool{}, challenges: map[string]standingChallenge{}, open: map[string][]time.Time{}}
	if a.patience == 0 {
		a.patience = defaultPatience
	}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

func (a *asked) close() {
	a.cancel()
	a.wg.Wait()
}

// find is a conversation's question; nil if there is none, or another request's.
func (a *asked) find(conversation message.ID, request message.Hash) *inquiry {
	a.mu.Lock()
	defer a.mu.Unlock()
	if q := a.all[conversation]; q != nil && q.request == request {
		return q
	}
	return nil
}

// begin has question run for a conversation, unless the very request has it run
// already; began is then false. Another of the conversation is given up. It returns
// nil where too much is asked.
func (a *asked) begin(conversation message.ID, k *ask, now time.Time, question func(ctx context.Context) outcome) (q *inquiry, began bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweep(now)
	if q := a.all[conversation]; q != nil {
		if q.request == k.request {
			return q, false
		}
		q.cancel()
	}
	if a.ctx.Err() != nil || a.running >= maxAsking || k.typed() && a.typed[k.user] {
		return nil, false
	}
	q = &inquiry{request: k.request, until: k.until, done: make(chan struct{})}
	var ctx context.Context
	ctx, q.cancel = context.WithTimeout(a.ctx, longestAsked)
	a.all[conversation] = q
	a.running++
	if k.typed() {
		a.typed[k.user] = true
	}
	a.wg.Go(func() {
		defer q.cancel()
		q.outcome = question(ctx)
		q.outcome.request = k.request
		a.mu.Lock()
		defer a.mu.Unlock()
		a.running--
		if k.typed() {
			delete(a.typed, k.user)
		}
		close(q.done)
	})
	return q, true
}

// sweep forgets answers that nobody fetched; it is to be called with a.mu held.
func (a *asked) sweep(now time.Time) {
	for id, q := range a.all {
		select {
		case <-q.done:
			if !now.Before(q.until) {
				delete(a.all, id)
			}
		default:
		}
	}
}

// drop forgets a question whose answer was fetched and stored.
func (a *asked) drop(conversation message.ID, q *inquiry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all[conversation] == q {
		delete(a.all, conversation)
	}
}

// wait waits for an answer, but not for ever.
func (q *inquiry) wait(ctx context.Context, patience time.Duration) outcome {
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-q.done:
		return q.outcome
	case <-t.C:
	case <-ctx.Done():
	}
	return outcome{request: q.request, pending: true}
}
