package desk

import (
	"math"
	"sync"
	"time"
)

const (
	// burst is how many messages somebody can send at once, and refill how long it
	// takes until he can send one more.
	burst  = 30
	refill = time.Second
	// maxSenders is how many are told apart.
	maxSenders = 4096
)

// meter counts who sends how many messages. Its zero value is ready.
type meter struct {
	mu sync.Mutex
	// full is when who has sent can send a burst again.
	full map[string]time.Time
}

// wait is how many seconds until somebody can send; 0 counts a message.
func (m *meter) wait(who string, now time.Time) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.full == nil {
		m.full = map[string]time.Time{}
	}
	if _, known := m.full[who]; !known && len(m.full) >= maxSenders {
		for k, t := range m.full {
			if !now.Before(t) {
				delete(m.full, k)
			}
		}
		if len(m.full) >= maxSenders {
			who = "others"
		}
	}
	t := m.full[who]
	// A clock that was set back must shut nobody out.
	if t.Before(now) || t.Sub(now) > burst*refill {
		t = now
	}
	if t = t.Add(refill); t.Sub(now) > burst*refill {
		return int(math.Ceil((t.Sub(now) - burst*refill).Seconds()))
	}
	m.full[who] = t
	return 0
}
