package daemon

import (
	"context"
	"time"
)

// Clock is where the daemon has its time from.
type Clock struct {
	// Now is the wall clock: the time codes are made for.
	Now func() time.Time
	// Elapsed is how long the daemon has run by a clock that nobody can set and
	// that, where the system has one, goes on while the machine sleeps.
	Elapsed func() time.Duration
}

// SystemClock is the machine's own.
func SystemClock() Clock {
	return Clock{Now: time.Now, Elapsed: elapsed()}
}

// until sleeps until the wall clock shows t, however it is set meanwhile.
func (d *Daemon) until(ctx context.Context, t time.Time) error {
	for {
		left := t.Sub(d.now().Round(0))
		if left <= 0 {
			return nil
		}
		timer := time.NewTimer(min(left, time.Second))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}
