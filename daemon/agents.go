package daemon

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// agents are the programs in a user's sessions that can ask him.
type agents struct {
	mu   sync.Mutex
	list []*agent
}

type agent struct {
	ipc.Agent
}

// join makes a the agent of its session. One that registers anew, because it can
// do other things now, takes its own place.
func (g *agents) join(a *agent) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, other := range g.list {
		if other.Session != a.Session {
			continue
		}
		if other.PID != a.PID || a.PID == 0 {
			return ipc.Errorf(ipc.AlreadyExists, "an agent answers for this session already: process %d", other.PID)
		}
		g.list[i] = a
		return nil
	}
	g.list = append(g.list, a)
	return nil
}

func (g *agents) leave(a *agent) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list = slices.DeleteFunc(g.list, func(other *agent) bool { return other == a })
}

func (g *agents) all() []ipc.Agent {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]ipc.Agent, 0, len(g.list))
	for _, a := range g.list {
		list = append(list, a.Agent)
	}
	return list
}

// asking is how many can ask the user anything.
func (g *agents) asking() int {
	n := 0
	for _, a := range g.all() {
		if slices.Contains(a.Can, ipc.AgentCanPIN) || slices.Contains(a.Can, ipc.AgentCanConsent) {
			n++
		}
	}
	return n
}

// heard says whether some agent is told of e, other than those in not.
func (g *agents) heard(e ipc.Event, not ...*agent) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.list, func(a *agent) bool { return g.hears(a, e) && !slices.Contains(not, a) })
}

// of is the agent of a session, if it is told of e.
func (g *agents) of(session string, e ipc.Event) *agent {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, a := range g.list {
		if a.Session == session && g.hears(a, e) {
			return a
		}
	}
	return nil
}

// tells is heard for one agent.
func (g *agents) tells(a *agent, e ipc.Event) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.hears(a, e)
}

// hears needs g.mu. What a person is to do goes to the agent of the session that
// it is for, where one is and can; else to all that can. All else is told to
// all, also that a question is withdrawn.
func (g *agents) hears(a *agent, e ipc.Event) bool {
	var able string
	switch e.Type {
	case ipc.EventTouchWanted:
		able = ipc.AgentCanTouch
	case ipc.EventPINWanted:
		able = ipc.AgentCanPIN
	case ipc.EventConsentWanted:
		able = ipc.AgentCanConsent
	default:
		return true
	}
	if !slices.Contains(a.Can, able) {
		return false
	}
	if e.From == nil || e.From.Session == a.Session {
		return true
	}
	return !slices.ContainsFunc(g.list, func(other *agent) bool {
		return other.Session == e.From.Session && slices.Contains(other.Can, able)
	})
}

// agentLeft puts the questions of an agent that left to those that hear of them
// now. Some are told of a question twice.
func (u *user) agentLeft() {
	for _, q := range u.asking.all() {
		if !u.unheard(q) {
			u.d.hub.publish(u.uid, q.event)
		}
	}
}

// unheard says that no agent asks a question. It then ends, unless one comes back
// soon: an agent is started again, or its notification service is.
func (u *user) unheard(q *question) bool {
	if u.isAsked(q) {
		return false
	}
	lapse := u.asking.lapse(q)
	time.AfterFunc(u.d.askLimit()/agentBack, func() {
		if !u.isAsked(q) {
			u.asking.abandon(q, lapse)
		}
	})
	return true
}

// isAsked says whether an agent asks a question that did not say that it cannot.
func (u *user) isAsked(q *question) bool { return u.agents.heard(q.event, u.asking.unable(q)...) }

// cannotAsk is told by the agent of p's session that it could not ask. The
// question ends where no other asks it.
func (u *user) cannotAsk(p ipc.Principal, r ipc.AgentAnswer) error {
	q := u.asking.of(r.Operation)
	if q == nil {
		return errNotAsked()
	}
	a := u.agents.of(p.Session, q.event)
	if a == nil { // it was not put to it
		return errNotAsked()
	}
	u.asking.cannot(q, a)
	if u.isAsked(q) {
		return nil
	}
	return u.asking.reply(r)
}

// Agent implements [ipc.Agents].
func (d *Daemon) Agent(ctx context.Context, p ipc.Principal, can string, send func(ipc.Event) error) error {
	u, err := d.user(&p)
	if err != nil {
		return err
	}
	a := &agent{Agent: ipc.Agent{Session: p.Session, PID: p.PID, Can: []string{}}}
	if can != "" && can != ipc.AgentCanNothing { // one that can ask nothing still locks, and is the session's
		a.Can = strings.Split(can, ",")
	}
	for _, word := range a.Can {
		switch word {
		case ipc.AgentCanTouch, ipc.AgentCanPIN, ipc.AgentCanConsent:
		default:
			return ipc.Errorf(ipc.InvalidArgument, "an agent can do %s, %s and %s", ipc.AgentCanTouch, ipc.AgentCanPIN, ipc.AgentCanConsent)
		}
	}
	if err := u.agents.join(a); err != nil {
		return err
	}
	defer u.agentLeft()
	defer u.agents.leave(a)
	return u.follow(ctx, p, func(e ipc.Event) bool { return u.agents.tells(a, e) }, send)
}
