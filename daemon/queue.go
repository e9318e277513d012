package daemon

import (
	"context"
	"sync"

	"github.com/tokenbridge/tokend/ipc"
)

// A token does one thing at a time. Whoever comes later waits behind the
// others, is told his place, and is turned away when the queue is full.
const (
	queueLength  = 64 // waiting for one token
	queuePerUser = 16 // of these, one user's
)

// queues holds one queue per place where a token can be (its locator). A queue
// exists only while somebody uses or waits for its token.
type queues struct {
	mu     sync.Mutex
	places map[string][]*ticket // the first holds the token
}

// ticket is one caller in a queue.
type ticket struct {
	uid   string
	turn  chan struct{} // closed when it holds the token
	moved chan int      // newest place, 1 being next; holds one
}

// enter waits until the token at locator is free. It tells each place in the
// queue to told (from this goroutine, never after it returned). The caller
// must call leave.
func (q *queues) enter(ctx context.Context, locator, uid string, told func(place int)) (leave func(), err error) {
	t, err := q.join(locator, uid)
	if err != nil {
		return nil, err
	}
	leave = sync.OnceFunc(func() { q.quit(locator, t) })
	for {
		select {
		case <-t.turn:
			if ctx.Err() != nil {
				leave()
				return nil, context.Cause(ctx)
			}
			return leave, nil
		case place := <-t.moved:
			told(place)
		case <-ctx.Done():
			leave()
			return nil, context.Cause(ctx)
		}
	}
}

func (q *queues) join(locator, uid string) (*ticket, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	line := q.places[locator]
	own := 0
	for _, t := range line {
		if t.uid == uid {
			own++
		}
	}
	if len(line) > queueLength || own > queuePerUser {
		return nil, &ipc.Error{Kind: ipc.Busy, Message: "too many operations wait for the token", RetryAfter: 1}
	}
	t := &ticket{uid: uid, turn: make(chan struct{}), moved: make(chan int, 1)}
	if len(line) == 0 {
		close(t.turn)
	} else {
		t.moved <- len(line)
	}
	if q.places == nil {
		q.places = make(map[string][]*ticket)
	}
	q.places[locator] = append(line, t)
	return t, nil
}

func (q *queues) quit(locator string, t *ticket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	line := q.places[locator]
	kept := make([]*ticket, 0, len(line))
	for _, other := range line {
		if other != t {
			kept = append(kept, other)
		}
	}
	if len(kept) == 0 {
		delete(q.places, locator)
		return
	}
	q.places[locator] = kept
	for i, other := range kept {
		if other == line[i] {
			continue
		}
		if i == 0 {
			close(other.turn)
			continue
		}
		select { // the newest place replaces one not yet read
		case <-other.moved:
		default:
		}
		other.moved <- i
	}
}

// gate admits a bounded number of callers at once to slow key derivations, so
// that guessing costs the one who guesses and not everybody's processor.
type gate chan struct{}

// enter waits for a place; leave must be called.
func (g gate) enter(ctx context.Context) (leave func(), err error) {
	select {
	case g <- struct{}{}:
		return sync.OnceFunc(func() { <-g }), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
