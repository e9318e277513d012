package daemon

import (
	"context"
	"slices"
	"strings"
	"sync"

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

// join makes a the agent of its session.
func (g *agents) join(a *agent) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, other := range g.list {
		if other.Session == a.Session {
			return ipc.Errorf(ipc.AlreadyExists, "an agent answers for this session already: process %d", other.PID)
		}
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

// heard says whether some agent is told of e.
func (g *agents) heard(e ipc.Event) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.list, func(a *agent) bool { return g.hears(a, e) })
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

// agentLeft ends the questions that no agent asks any more, and puts the others
// to those that hear of them now. Some are told of a question twice.
func (u *user) agentLeft() {
	for _, q := range u.asking.all() {
		if !u.unheard(q) {
			u.d.hub.publish(u.uid, q.event)
		}
	}
}

// unheard ends a question if no agent asks it.
func (u *user) unheard(q *question) bool {
	if u.agents.heard(q.event) {
		return false
	}
	if u.asking.close(q) {
		q.err = errAgentGone
		close(q.done)
	}
	return true
}

// Agent implements [ipc.Agents].
func (d *Daemon) Agent(ctx context.Context, p ipc.Principal, can string, send func(ipc.Event) error) error {
	u, err := d.user(&p)
	if err != nil {
		return err
	}
	a := &agent{Agent: ipc.Agent{Session: p.Session, PID: p.PID, Can: strings.Split(can, ",")}}
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
