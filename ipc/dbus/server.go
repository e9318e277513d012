// Package dbus serves ipc.Backend on a D-Bus message bus. It decides who is
// calling (by what the bus knows of a connection), what he sees of the tree of
// objects (his own and nothing else), and who is told of changes (who asked for
// it, each by himself: nothing is ever broadcast); what is done is the backend's
// business.
//
// No secret travels here: a PIN is typed to tokenctl or the agent, and what hands
// out secrets is not offered.
package dbus

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// Limits bounds what callers can make the daemon hold. A zero field takes the
// value of DefaultLimits.
type Limits struct {
	Calls           int // under way at one time, in all
	CallsUser       int // of one user
	SubscribersUser int // connections of one user that are sent signals
	StopTime        time.Duration
}

// DefaultLimits returns the limits that the documentation names.
func DefaultLimits() Limits {
	return Limits{Calls: 512, CallsUser: 64, SubscribersUser: 32, StopTime: 2 * time.Second}
}

// Config says what is served, and where.
type Config struct {
	Backend ipc.Backend
	// Address is the bus's, as in $DBUS_SESSION_BUS_ADDRESS.
	Address string
	// System says that it is the system's bus, on which many users are: then
	// polkit is asked before the accounts and keyslots of a caller are changed.
	System bool
	// Identify says whether a caller is served, and completes him. Nil lets
	// everybody in.
	Identify func(ipc.Principal) (ipc.Principal, error)
	// Log gets a line for each call: interface, method, error, uid, time taken. Nil
	// stands for slog.DiscardHandler.
	Log *slog.Logger
	// Observe is told how each call ended: the kind of its error, empty where it
	// succeeded. Nil stands for nobody.
	Observe func(ipc.Kind)
	Limits  Limits
}

// Server serves one backend on one bus.
type Server struct {
	cfg    Config
	limits Limits
	names  map[ipc.Kind]string
	table  []iface
	xml    map[string]string // of each interface, for introspection
	quota  *quota

	mu    sync.Mutex
	state string
}

// New returns a server of c. It panics if c has no Backend.
func New(c Config) *Server {
	if c.Backend == nil {
		panic("dbus: no backend")
	}
	if c.Identify == nil {
		c.Identify = func(p ipc.Principal) (ipc.Principal, error) { return p, nil }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	l, d := c.Limits, DefaultLimits()
	for _, f := range []struct {
		v    *int
		when int
	}{{&l.Calls, d.Calls}, {&l.CallsUser, d.CallsUser}, {&l.SubscribersUser, d.SubscribersUser}} {
		if *f.v == 0 {
			*f.v = f.when
		}
	}
	if l.StopTime == 0 {
		l.StopTime = d.StopTime
	}
	s := &Server{
		cfg: c, limits: l, names: errorNames(), table: interfaces(), xml: map[string]string{peerIface: described(peerIface)},
		quota: &quota{all: l.Calls, user: l.CallsUser, used: map[string]int{}},
		state: "it has not been reached yet",
	}
	for i := range s.table {
		s.xml[s.table[i].name] = described(s.table[i].name)
	}
	return s
}

// State is "ok" while the name on the bus is ours, or what is wrong.
func (s *Server) State() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// setState notes how things are, and logs it where that is new.
func (s *Server) setState(state string) {
	s.mu.Lock()
	was := s.state
	s.state = state
	s.mu.Unlock()
	switch state {
	case was:
	case stateOK:
		s.cfg.Log.Info("serving on D-Bus", "name", Name, "bus", s.bus())
	default:
		s.cfg.Log.Warn("not served on D-Bus", "bus", s.bus(), "detail", state)
	}
}

const stateOK = "ok"

// bus is the bus in words.
func (s *Server) bus() string {
	if s.cfg.System {
		return "system"
	}
	return "session"
}

// The pauses between two tries to reach the bus. A bus that was started again is
// found within the longest.
const (
	firstRetry   = 50 * time.Millisecond
	longestRetry = time.Second
)

// Run serves until ctx ends. It never gives up: a bus that is not there, or goes
// away, is tried again.
func (s *Server) Run(ctx context.Context) {
	pause := firstRetry
	for {
		began := time.Now()
		err := s.session(ctx)
		if ctx.Err() != nil {
			return
		}
		s.setState("the bus cannot be reached: " + err.Error())
		if time.Since(began) > 10*longestRetry {
			pause = firstRetry
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, longestRetry)
	}
}

// quota counts the calls under way.
type quota struct {
	mu        sync.Mutex
	all, user int // how many there may be
	total     int
	used      map[string]int
}

func (q *quota) take(uid string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.total >= q.all || q.used[uid] >= q.user {
		return false
	}
	q.total++
	q.used[uid]++
	return true
}

func (q *quota) give(uid string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.total--
	if q.used[uid]--; q.used[uid] == 0 {
		delete(q.used, uid)
	}
}
