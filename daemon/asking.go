package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// askLimit is how long a call waits for one answer of the user's.
const askLimit = 2 * time.Minute

// agentBack is the part of it for which a question waits for an agent to come
// back: a twelfth, ten seconds.
const agentBack = 12

func (d *Daemon) askLimit() time.Duration {
	if d.cfg.AskLimit > 0 {
		return d.cfg.AskLimit
	}
	return askLimit
}

// However programs ask, the user is not shown more than this.
const (
	openQuestions   = 8  // at one time
	questionsMinute = 12 // begun within a minute
)

// Why a question found no answer.
var (
	errNoAgent     = errors.New("no agent can ask the user")
	errNoAnswer    = errors.New("nobody answered in time")
	errAgentGone   = errors.New("the agent that asked the user is gone")
	errAgentUnable = errors.New("the agent cannot ask the user")
	errManyAsked   = errors.New("too many questions were put to the user")
)

// asking is what one user is being asked.
type asking struct {
	mu    sync.Mutex
	open  map[string]*question // by operation
	begun []time.Duration      // by Clock.Elapsed, within the last minute
	turns map[grantKey]*turn
}

// question is open until it is taken out of the map, by an answer or by who
// asked.
type question struct {
	event  ipc.Event
	done   chan struct{}   // closed when answer or err is there
	answer ipc.AgentAnswer // with a PIN that is the asker's to wipe
	err    error

	// guarded by asking.mu
	unable []*agent // said that they cannot ask it
	lapses int      // how often no agent was left that asks it
}

// turn is had by one of several equal requests at a time.
type turn struct {
	gate gate
	n    int // who has it or waits
}

// turn waits until no equal request is asking; leave must be called.
func (a *asking) turn(ctx context.Context, key grantKey, limit time.Duration) (leave func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	a.mu.Lock()
	if a.turns == nil {
		a.turns = make(map[grantKey]*turn)
	}
	t := a.turns[key]
	if t == nil {
		t = &turn{gate: make(gate, 1)}
		a.turns[key] = t
	}
	t.n++
	a.mu.Unlock()
	out := func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if t.n--; t.n == 0 {
			delete(a.turns, key)
		}
	}
	free, err := t.gate.enter(ctx)
	if err != nil {
		out()
		return nil, err
	}
	return sync.OnceFunc(func() { free(); out() }), nil
}

// begin opens a question.
func (a *asking) begin(e ipc.Event, now time.Duration) (*question, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begun = slices.DeleteFunc(a.begun, func(t time.Duration) bool { return now-t >= time.Minute })
	if len(a.open) >= openQuestions || len(a.begun) >= questionsMinute {
		return nil, errManyAsked
	}
	a.begun = append(a.begun, now)
	if a.open == nil {
		a.open = make(map[string]*question)
	}
	q := &question{event: e, done: make(chan struct{})}
	a.open[e.Operation] = q
	return q, nil
}

// close takes a question out; it says whether it was still open.
func (a *asking) close(q *question) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[q.event.Operation] != q {
		return false
	}
	delete(a.open, q.event.Operation)
	return true
}

// all are the open questions.
func (a *asking) all() []*question {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]*question, 0, len(a.open))
	for _, q := range a.open {
		list = append(list, q)
	}
	return list
}

// of is the open question of an operation, nil for none.
func (a *asking) of(operation string) *question {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open[operation]
}

// cannot notes that an agent cannot ask q.
func (a *asking) cannot(q *question, g *agent) {
	a.mu.Lock()
	defer a.mu.Unlock()
	q.unable = append(q.unable, g)
}

// unable are the agents that cannot ask q.
func (a *asking) unable(q *question) []*agent {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(q.unable)
}

// lapse notes that no agent asks q any more, and numbers that.
func (a *asking) lapse(q *question) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	q.lapses++
	return q.lapses
}

// abandon ends a question that no agent asks, if that is still the lapse of that
// number.
func (a *asking) abandon(q *question, lapse int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[q.event.Operation] != q || q.lapses != lapse {
		return
	}
	delete(a.open, q.event.Operation)
	q.err = errAgentGone
	close(q.done)
}

func errNotAsked() *ipc.Error { return ipc.Errorf(ipc.NotFound, "nothing of that name is being asked") }

// reply closes the question of an operation with an answer that fits it.
func (a *asking) reply(r ipc.AgentAnswer) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	q := a.open[r.Operation]
	if q == nil {
		return errNotAsked()
	}
	pin := q.event.Type == ipc.EventPINWanted
	if r.For == "" {
		r.For = ipc.GrantOnce
	}
	switch {
	case r.Unable && r.Allow, !r.Allow && len(r.PIN) > 0:
		return ipc.Errorf(ipc.InvalidArgument, "only who allows it has an answer")
	case pin && r.Allow && len(r.PIN) == 0:
		return ipc.Errorf(ipc.InvalidArgument, "a PIN was asked for and none is given")
	case !pin && len(r.PIN) > 0:
		return ipc.Errorf(ipc.InvalidArgument, "no PIN was asked for")
	}
	if err := checkScope(r.For); err != nil {
		return err
	}
	delete(a.open, r.Operation)
	q.answer, q.answer.PIN = r, slices.Clone(r.PIN)
	if r.Unable {
		q.err = errAgentUnable
	}
	close(q.done)
	return nil
}

// question begins the event by which the user is asked something for p.
func (u *user) question(ctx context.Context, kind string, p ipc.Principal) ipc.Event {
	e := u.d.event(kind)
	// Not numbered like other operations: the number would tell how many there
	// are of other users.
	e.Operation = rand.Text()
	e.Requester, e.From = requester(p), new(p.Requester())
	e.Request = ipc.RequestName(ctx)
	return e
}

// put shows a question to the user through his agent. The PIN in the answer is
// the caller's to wipe.
func (u *user) put(ctx context.Context, e ipc.Event) (ipc.AgentAnswer, error) {
	if !u.agents.heard(e) {
		return ipc.AgentAnswer{}, errNoAgent
	}
	q, err := u.asking.begin(e, u.d.clock.Elapsed())
	if err != nil {
		return ipc.AgentAnswer{}, err
	}
	u.wait(e)
	u.unheard(q) // the agent may have left in between
	limit := time.NewTimer(u.d.askLimit())
	defer limit.Stop()
	err = errNoAnswer
	select {
	case <-q.done:
	case <-limit.C:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if !u.asking.close(q) { // it is answered, if only just
		<-q.done
		err = q.err
	}
	u.waits.remove(e.Operation)
	done := u.d.event(doneOf(e.Type))
	done.Operation, done.OK = e.Operation, new(err == nil && q.answer.Allow)
	u.d.hub.publish(u.uid, done)
	if err != nil {
		q.answer.PIN.Wipe()
		return ipc.AgentAnswer{}, err
	}
	return q.answer, nil
}

func doneOf(wanted string) string {
	if wanted == ipc.EventPINWanted {
		return ipc.EventPINDone
	}
	return ipc.EventConsentDone
}

// AnswerAgent implements [ipc.Agents].
func (d *Daemon) AnswerAgent(_ context.Context, p ipc.Principal, r ipc.AgentAnswer) error {
	defer r.PIN.Wipe()
	u, err := d.user(&p)
	if err != nil {
		return err
	}
	if r.Unable && !r.Allow {
		return u.cannotAsk(p, r)
	}
	return u.asking.reply(r)
}
