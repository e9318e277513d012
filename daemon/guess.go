package daemon

import (
	"sync"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// gauge counts one user's guesses.
type gauge struct {
	mu    sync.Mutex
	under int           // derivations under way or waiting
	wrong int           // failures in a row
	until time.Duration // by Clock.Elapsed: no guess before
}

func (g *gauge) begin(now time.Duration) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.under >= waitingGuesses {
		return &ipc.Error{Kind: ipc.Busy, Message: "too many passwords are being tried at once", RetryAfter: 2}
	}
	if now < g.until {
		return &ipc.Error{Kind: ipc.Throttled, Message: "too many wrong passwords in a row", RetryAfter: seconds(g.until - now)}
	}
	g.under++
	return nil
}

func (g *gauge) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.under--
}

func (g *gauge) outcome(now time.Duration, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err == nil:
		g.wrong, g.until = 0, 0
	case wrongGuess(err):
		g.wrong++
		if over := g.wrong - freeGuesses; over >= 0 {
			g.until = now + min(firstGuessDelay<<min(over, 10), longestDelay)
		}
	}
}
