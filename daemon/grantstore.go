package daemon

import (
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// asker is what processes have in common that a grant holds for: the short-lived
// programs of one shell are asked about once. program is the executable, or the
// short name where that cannot be read.
type asker struct {
	session, unit, program string
	terminal               string // with leader, in the place of a unit
	leader                 int
}

func askerOf(p ipc.Principal) asker {
	a := asker{session: p.Session, unit: p.Unit, program: p.Exe, terminal: p.Terminal, leader: p.Leader}
	if a.program == "" {
		a.program = ownName + p.Program
	}
	return a
}

// ownName is before the short name of a program, which it gives itself.
const ownName = "name:"

// atMost is how long a grant can hold for a: what nothing is known of, for one who
// connected and ended, has that in common with any other such program, and is
// granted no more than the one time that was asked about.
func (a asker) atMost(scope ipc.GrantScope) ipc.GrantScope {
	if a.program == ownName {
		return ipc.GrantOnce
	}
	return scope
}

// grantKey is what one grant, or one refusal, is about.
type grantKey struct {
	asker
	action  ipc.GrantAction
	account string // id; empty for the PIN of a locked vault
}

// anywhere is k for a program whatever window it runs in. A refusal is for that: who
// said no is not asked again because the program was started anew, as cron does it,
// which is a window of its own each time.
func (k grantKey) anywhere() grantKey {
	k.terminal, k.leader = "", 0
	return k
}

// unlocking is the action of a prompt for the PIN; no grant is made for it.
const unlocking ipc.GrantAction = "unlock"

// grantLimit is how long a grant of ten minutes holds.
const grantLimit = 10 * time.Minute

const (
	keptGrants   = maxAllowed // of one user; the oldest go first
	keptRefusals = 256
)

// A program that was refused is not asked about again for a minute, then two,
// up to an hour; an hour without a refusal forgets it.
const (
	firstRefusal   = time.Minute
	longestRefusal = time.Hour
)

// grants is one user's, in memory alone.
type grants struct {
	mu      sync.Mutex
	list    []*grant
	refused map[grantKey]*refusal // by [grantKey.anywhere]
}

type grant struct {
	ipc.Grant
	key   grantKey
	until time.Duration // by Clock.Elapsed, 0 for none
}

type refusal struct {
	times int
	until time.Duration // by Clock.Elapsed
}

// use says whether a grant covers key, and spends one that holds once. Who only
// refreshes a list spends none.
func (g *grants) use(key grantKey, now time.Duration, passive bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expire(now)
	for i, have := range g.list {
		if have.key != key {
			continue
		}
		if have.For == ipc.GrantOnce {
			if passive {
				continue
			}
			g.list = slices.Delete(g.list, i, i+1)
			return true
		}
		have.Uses++
		return true
	}
	return false
}

// covers says whether use would find a grant, and spends none.
func (g *grants) covers(key grantKey, now time.Duration) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expire(now)
	return slices.ContainsFunc(g.list, func(have *grant) bool { return have.key == key })
}

// add makes a grant, unless the session it belongs to has ended.
func (g *grants) add(s *session, key grantKey, made ipc.Grant, now time.Duration) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	g.expire(now)
	g.list = slices.DeleteFunc(g.list, func(have *grant) bool { return have.key == key })
	n := &grant{Grant: made, key: key}
	n.ID = rand.Text()[:12]
	if made.For == ipc.Grant10Min {
		n.until = now + grantLimit
	}
	g.list = append(g.list, n)
	g.list = g.list[max(0, len(g.list)-keptGrants):]
	delete(g.refused, key.anywhere())
	return true
}

// expire needs g.mu.
func (g *grants) expire(now time.Duration) {
	g.list = slices.DeleteFunc(g.list, func(have *grant) bool { return have.until != 0 && now >= have.until })
}

// clear ends all grants: the vault was locked.
func (g *grants) clear() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list = nil
}

// drop ends the grants for which is says so, and returns them. is must not need
// user.mu: whoever holds that may be waiting for the grants.
func (g *grants) drop(is func(*grant) bool) []*grant {
	g.mu.Lock()
	defer g.mu.Unlock()
	var gone []*grant
	g.list = slices.DeleteFunc(g.list, func(have *grant) bool {
		if is(have) {
			gone = append(gone, have)
			return true
		}
		return false
	})
	return gone
}

// all is a snapshot; wall is the present moment, for when they end.
func (g *grants) all(now time.Duration, wall time.Time) []ipc.Grant {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expire(now)
	list := make([]ipc.Grant, 0, len(g.list))
	for _, have := range g.list {
		out := have.Grant
		if have.until != 0 {
			out.Until = wireTime(wall.Add(have.until - now))
		}
		list = append(list, out)
	}
	return list
}

func (g *grants) count(now time.Duration) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expire(now)
	return len(g.list)
}

// refuse remembers that the user said no, and says for how long he is not asked
// about key again.
func (g *grants) refuse(key grantKey, now time.Duration) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	key = key.anywhere()
	for k, r := range g.refused {
		if now >= r.until+longestRefusal {
			delete(g.refused, k)
		}
	}
	if g.refused == nil {
		g.refused = make(map[grantKey]*refusal)
	}
	r := g.refused[key]
	if r == nil {
		if len(g.refused) >= keptRefusals {
			g.forgetSoonest()
		}
		r = &refusal{}
		g.refused[key] = r
	}
	r.until = now + min(firstRefusal<<min(r.times, 10), longestRefusal)
	r.times++
	return r.until - now
}

// forgetSoonest needs g.mu.
func (g *grants) forgetSoonest() {
	var soonest grantKey
	found := false
	for k, r := range g.refused {
		if !found || r.until < g.refused[soonest].until {
			soonest, found = k, true
		}
	}
	delete(g.refused, soonest)
}

// refusedFor is how long key is not asked about yet, 0 if it is.
func (g *grants) refusedFor(key grantKey, now time.Duration) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r := g.refused[key.anywhere()]; r != nil && now < r.until {
		return r.until - now
	}
	return 0
}

// forgive forgets refusals: the user changed his mind.
func (g *grants) forgive(is func(grantKey) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for k := range g.refused {
		if is(k) {
			delete(g.refused, k)
		}
	}
}
