package vpiv

import (
	"context"
	"time"
)

// cachedTouch is how long a key with the touch policy "cached" remembers.
const cachedTouch = 15 * time.Second

// TouchFunc answers when the card starts to blink for a key in the slot (0x9B
// for the management key): true is a touch, false a refusal that the card
// reports at once. ctx ends when the card has waited long enough or lost power;
// the card then goes on without the answer.
type TouchFunc func(ctx context.Context, slot byte) bool

// TouchYes touches at once.
func TouchYes(context.Context, byte) bool { return true }

// TouchNo refuses at once.
func TouchNo(context.Context, byte) bool { return false }

// TouchNever lets the card wait until its own time limit.
func TouchNever(ctx context.Context, _ byte) bool {
	<-ctx.Done()
	return false
}

// TouchAfter touches after d.
func TouchAfter(d time.Duration) TouchFunc {
	return func(ctx context.Context, _ byte) bool {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// waitTouch asks for a touch where the policy wants one, and says whether the
// operation may go on. c.mu is held; it is let go while waiting.
func (c *Card) waitTouch(slot, policy byte) bool {
	if policy != touchAlways && policy != touchCached {
		return true
	}
	if policy == touchCached && c.opts.Now().Before(c.touchedUntil[slot]) {
		return true
	}
	c.counts.TouchesAsked++
	touch, power := c.touch, c.operation
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(power, c.opts.TouchTimeout)
	touched := make(chan bool, 1)
	go func() { touched <- touch(ctx, slot) }()
	ok := false
	select {
	case ok = <-touched:
	case <-ctx.Done():
	}
	cancel()
	c.mu.Lock()
	if !ok || power.Err() != nil {
		return false
	}
	c.counts.TouchesGiven++
	if c.touchedUntil == nil {
		c.touchedUntil = map[byte]time.Time{}
	}
	c.touchedUntil[slot] = c.opts.Now().Add(cachedTouch)
	return true
}
