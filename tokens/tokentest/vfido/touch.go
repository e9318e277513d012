package vfido

import (
	"context"
	"errors"
	"time"
)

// Prompt is what a key waits for its user for.
type Prompt struct {
	// Command is the command that needs the user.
	Command Command
	// RP is the relying party's id; "" where the command has none, and for
	// U2F, which sends only a hash.
	RP string
}

// TouchFunc answers when the key starts to blink: true is a touch, false a
// refusal that the key reports at once. ctx ends when the key has waited long
// enough, lost power, or was told to cancel; the key then goes on without the
// answer.
type TouchFunc func(ctx context.Context, p Prompt) bool

// TouchYes touches at once.
func TouchYes(context.Context, Prompt) bool { return true }

// TouchNo refuses at once.
func TouchNo(context.Context, Prompt) bool { return false }

// TouchNever lets the key wait until its own time limit.
func TouchNever(ctx context.Context, _ Prompt) bool {
	<-ctx.Done()
	return false
}

// TouchAfter touches after d.
func TouchAfter(d time.Duration) TouchFunc {
	return func(ctx context.Context, _ Prompt) bool {
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

// waitTouch asks for a touch (section 6.1.2, step 14). k.mu is held; it is let
// go while waiting.
func (k *Key) waitTouch(rp string) Status {
	k.counts.TouchesAsked++
	ok, s := k.waitUser(k.touch, rp)
	switch {
	case s != StatusOK:
		return s
	case !ok:
		return StatusOperationDenied
	}
	k.counts.TouchesGiven++
	return StatusOK
}

// waitUser waits for an answer of f, saying so in keepalives.
func (k *Key) waitUser(f TouchFunc, rp string) (bool, Status) {
	o := k.running
	k.mu.Unlock()
	defer k.mu.Lock()
	ctx, cancel := context.WithTimeout(o.ctx, k.opts.TouchTimeout)
	defer cancel()
	o.tell(keepaliveTouch)
	defer o.tell(keepaliveProcessing)
	answered := make(chan bool, 1)
	go func() { answered <- f(ctx, Prompt{o.cmd, rp}) }()
	ok := false
	select {
	case ok = <-answered:
	case <-ctx.Done():
	}
	// An answer that came with the end of the wait came too late.
	switch err := ctx.Err(); {
	case errors.Is(err, context.DeadlineExceeded):
		return false, StatusUserActionTimeout
	case err != nil:
		return false, StatusKeepaliveCancel
	}
	return ok, StatusOK
}

// SetTouch replaces the answer to touches; nil means TouchYes. A touch being
// waited for keeps the old answer.
func (k *Key) SetTouch(f TouchFunc) {
	if f == nil {
		f = TouchYes
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.touch = f
}

// SetFinger replaces the answer of the fingerprint reader; nil means TouchYes.
func (k *Key) SetFinger(f TouchFunc) {
	if f == nil {
		f = TouchYes
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.finger = f
}

// builtInUV is performBuiltInUv (section 6.5.3.1): one look at a finger.
func (k *Key) builtInUV(rp string) Status {
	if k.uvTries == 0 {
		return StatusUVBlocked
	}
	k.counts.FingersAsked++
	ok, s := k.waitUser(k.finger, rp)
	switch {
	case s != StatusOK:
		return s
	case ok:
		k.uvTries = k.opts.UVTries
		k.counts.FingersMatched++
		return StatusOK
	}
	k.uvTries--
	if k.uvTries == 0 {
		return StatusUVBlocked
	}
	return StatusUVInvalid
}
