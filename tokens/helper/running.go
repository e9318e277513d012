package helper

import (
	"sync"
	"time"
)

// lingering is for how long a process that has ended still counts as running: a
// connection that it opened may wait to be accepted.
const lingering = 10 * time.Second

// Running knows which processes are token helpers, so that the daemon can refuse
// them on its own socket: a helper that a hostile token has taken over must not
// come back as a client of the vault. The zero value is ready for use, and it is
// safe for concurrent use.
type Running struct {
	mu    sync.Mutex
	alive map[int]int       // by process: how many say so
	ended map[int]time.Time // when
}

// add notes a process that has been started and not been told anything. The
// function it returns is called after the process has been waited for, not
// before: until then nobody else can have its number.
func (r *Running) add(pid int) (gone func()) {
	if r == nil {
		return func() {}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.alive == nil {
		r.alive, r.ended = make(map[int]int), make(map[int]time.Time)
	}
	r.alive[pid]++
	return func() { r.remove(pid) }
}

func (r *Running) remove(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.alive[pid]--; r.alive[pid] <= 0 {
		delete(r.alive, pid)
	}
	now := time.Now()
	for p, t := range r.ended {
		if now.Sub(t) > lingering {
			delete(r.ended, p)
		}
	}
	r.ended[pid] = now
}

// Has says whether the process is a helper, was one a moment ago, or was
// started by one. (A number that another process has within ten seconds of a
// helper's end is refused along with it: that one may try again.)
func (r *Running) Has(pid int) bool {
	if pid <= 0 {
		return false
	}
	// A helper leads a process group of its own, to which all that it starts belong.
	group := groupOf(pid)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.has(pid) || group > 0 && r.has(group)
}

func (r *Running) has(pid int) bool {
	if r.alive[pid] > 0 {
		return true
	}
	t, was := r.ended[pid]
	return was && time.Since(t) <= lingering
}
