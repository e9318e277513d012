package daemon

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// job is one Diffie-Hellman by one token.
type job struct {
	key       tokens.Key
	peer      []byte
	ref       ipc.TokenRef
	slot      vault.Slot
	cause     cause
	pin       []byte
	spendLast bool
	// locator is where the token is, when it is too new for the registry.
	locator string
}

// errNoTouch ends an operation that would have waited for a touch.
var errNoTouch = errors.New("a touch would be waited for")

// agree has a token do a job when its turn comes. Its errors are *ipc.Error.
func (u *user) agree(ctx context.Context, j job) ([]byte, error) {
	driver := u.d.cfg.Drivers[j.key.Kind]
	if driver == nil {
		return nil, u.noDriver(j.key.Kind, j.ref)
	}
	if j.key.Kind == tokens.KindSoft {
		return u.agreeSoft(ctx, driver, j)
	}
	locator := j.locator
	if locator == "" {
		t, ok := u.d.presence.holder(j.key)
		if !ok || !u.d.mayUseTokens(j.cause.who) {
			return nil, u.missing(j.cause.who, j.slot)
		}
		locator = t.Locator
	}
	holder := tokens.Token{Kind: j.key.Kind, Locator: locator}
	var shared []byte
	err := u.onToken(ctx, locator, j.ref, j.cause, func(ctx context.Context, tell telling) error {
		var err error
		shared, err = driver.Agree(ctx, tokens.AgreeRequest{
			Locator: locator, Key: j.key, Peer: j.peer,
			PIN: j.pin, SpendLastTry: j.spendLast, OnTouch: tell.touch, OnBusy: tell.busy,
		})
		if errors.Is(err, &tokens.Error{Code: tokens.CodeWrongToken}) || errors.Is(err, &tokens.Error{Code: tokens.CodeNoKey}) {
			u.d.presence.refuted(holder, j.key) // it was reset, or exchanged unseen
		}
		return err
	})
	if err != nil {
		clear(shared)
		return nil, err
	}
	return shared, nil
}

// agreeSoft opens a key file: slow, guessable, and never waiting for a person.
func (u *user) agreeSoft(ctx context.Context, driver tokens.Driver, j job) ([]byte, error) {
	if len(j.pin) == 0 {
		return nil, tokenError(tokens.Errorf(tokens.CodePINRequired, ""), j.ref)
	}
	if len(j.slot.KeyFile) == 0 {
		return nil, notPresent(j.slot)
	}
	var shared []byte
	err := u.derive(ctx, true, func(ctx context.Context) error {
		var err error
		shared, err = driver.Agree(ctx, tokens.AgreeRequest{
			Key: j.key, Peer: j.peer, PIN: j.pin, SpendLastTry: j.spendLast, KeyFile: j.slot.KeyFile,
		})
		return err
	})
	if err != nil {
		return nil, tokenError(err, j.ref)
	}
	return shared, nil
}

func (u *user) noDriver(kind tokens.Kind, ref ipc.TokenRef) *ipc.Error {
	e := ipc.Errorf(ipc.TokenUnsupported, "this daemon cannot use tokens of kind %q", kind)
	if u.d.cfg.Helper != nil {
		if state := u.d.cfg.Helper(); state != "ok" {
			e.Message += ": " + state
		}
	}
	e.Token = &ref
	return e
}

// telling is how an operation says what it waits for. Both may be called from
// any goroutine.
type telling struct{ touch, busy func() }

// busyToken is what a user is told while somebody else holds the token. A card
// that was asked for a touch goes on waiting for it when the asker is gone.
const busyToken = "the token is busy: another program uses it, or it still blinks for a request that was cancelled (a touch ends that)"

// onToken runs one operation on the token at locator when it is free, and tells
// the user what is being waited for.
func (u *user) onToken(ctx context.Context, locator string, ref ipc.TokenRef, c cause, operate func(ctx context.Context, tell telling) error) error {
	number := strconv.FormatUint(u.d.operation.Add(1), 10)
	tell := func(kind string) ipc.Event {
		e := u.d.event(kind)
		e.Token, e.Account, e.Operation, e.Requester = &ref, c.account, number, requester(c.who)
		e.Request = ipc.RequestName(ctx)
		return e
	}
	defer u.waits.remove(number)
	leave, err := u.d.queues.enter(ctx, locator, u.uid, func(place int) {
		e := tell(ipc.EventTokenWaiting)
		e.Place = place
		u.wait(e)
	})
	if err != nil {
		return mapError(err)
	}
	defer leave()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var touches atomic.Int32
	err = operate(ctx, telling{
		touch: func() {
			if c.noTouch {
				cancel(errNoTouch)
				return
			}
			// Enrolling takes several; each has to be known of.
			e := tell(ipc.EventTouchWanted)
			e.Touch = int(touches.Add(1))
			u.wait(e)
		},
		busy: func() {
			e := tell(ipc.EventTokenWaiting)
			e.Detail = busyToken
			u.wait(e)
		},
	})
	if touches.Load() > 0 {
		e := tell(ipc.EventTouchDone)
		e.OK = new(err == nil)
		u.waits.remove(number) // first: who connects now is not told of it any more
		u.d.hub.publish(u.uid, e)
	}
	if err == nil && !errors.Is(context.Cause(ctx), errNoTouch) { // the token may have been quicker than its end
		return nil
	}
	var te *tokens.Error
	if touches.Load() > 0 && errors.As(err, &te) && te.Code == tokens.CodeNotPresent {
		err = fmt.Errorf("%w: %w", tokens.Errorf(tokens.CodeRemoved, ""), err) // it was there to blink
	}
	return u.ended(ctx, err, ref)
}

// ended says why an operation failed: what ended its context counts for more
// than what the driver made of it.
func (u *user) ended(ctx context.Context, err error, ref ipc.TokenRef) *ipc.Error {
	if cause := context.Cause(ctx); cause != nil {
		var locked errLockedMeanwhile
		switch {
		case errors.Is(cause, errNoTouch):
			e := fault(ipc.TouchTimeout, err, "token %q wants a touch and none is waited for", ref.Label)
			e.Token = &ref
			return e
		case errors.As(cause, &locked) && locked.reason == pulledOut && locked.slot == ref.ID:
			// Two watched the token go; the user hears the same from either.
			return tokenError(tokens.Errorf(tokens.CodeRemoved, ""), ref)
		case errors.As(cause, &locked):
			return mapError(cause)
		}
	}
	return tokenError(err, ref)
}

// requester names the calling program for the owner of the vault.
func requester(p ipc.Principal) string {
	switch {
	case p.Program != "" && p.PID != 0:
		return fmt.Sprintf("%s (%d)", p.Program, p.PID)
	case p.Program != "":
		return p.Program
	case p.PID != 0:
		return fmt.Sprintf("process %d", p.PID)
	}
	return ""
}
