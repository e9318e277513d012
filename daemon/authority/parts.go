package authority

import (
	"errors"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// What the other parts of an authority need, which keep records of their own in
// the same file and change them in one step with what is verified here.

// Store is the registry's file.
func (a *Authority) Store() *store.Store { return a.store }

// UserIn is User within a transaction.
func (a *Authority) UserIn(tx *store.Tx, ref string) (User, error) {
	id, r, err := a.findUser(tx, ref)
	if err != nil {
		return User{}, err
	}
	return a.user(tx, id, r)
}

// VerifyIn is Verify, except that then is called in the transaction that stores
// what follows from the passcode, whatever that is: both are stored or neither.
// then may be nil. Where it fails nothing was verified, and its error comes back. VerifyIn does
// not wait for the deadline; that is the caller's to do, with HoldBack.
func (a *Authority) VerifyIn(at Attempt, then func(tx *store.Tx, v Verdict) error) (Verdict, error) {
	withdrawn := false
	inner := then
	if then != nil {
		inner = func(tx *store.Tx, v Verdict) error {
			err := then(tx, v)
			withdrawn = err != nil
			return err
		}
	}
	v, err := a.verify(at, inner)
	e := Entry{Kind: "verify", By: at.By, User: v.UserID, Fob: v.FobID, Service: at.Service, OK: v.Accepted && err == nil, Detail: string(v.Reason)}
	if v.Lifted {
		e.Detail = "lifted"
	}
	if err != nil {
		e.Detail, v.Accepted, v.Lifted = Why(err), false, false
	}
	if !withdrawn && v.Reason != ReasonThrottled {
		a.audit.Audit(e)
	}
	return v, err
}

// Waits is how long nothing of this sort is looked at, by the throttle that
// passcodes have. who is an id or another name that is not made up by strangers.
// What lifts the failures of passcodes does not lift these: see PasscodeWaits.
func (a *Authority) Waits(tx *store.Tx, service, who string, now time.Time) (time.Duration, error) {
	key, err := a.store.Key(triesBucket, service+"\x00"+who)
	if err != nil {
		return 0, err
	}
	return a.waits(tx, &question{tries: key, now: now})
}

// PasscodeWaits is how long a service's single passcodes of a user, by his id, are not
// looked at. Of the fob's own failures it knows nothing.
func (a *Authority) PasscodeWaits(tx *store.Tx, service, user string, now time.Time) (time.Duration, error) {
	key, lifts, err := a.passcodeTries(tx, service, user)
	if err != nil {
		return 0, err
	}
	return a.waits(tx, &question{tries: key, lifts: lifts, now: now})
}

// PasscodeFailed counts a failure that PasscodeWaits looks at.
func (a *Authority) PasscodeFailed(tx *store.Tx, service, user string, now time.Time) error {
	key, lifts, err := a.passcodeTries(tx, service, user)
	if err != nil {
		return err
	}
	return a.noteFailure(tx, key, lifts, now)
}

// passcodeTries is where a user's failures at a service are, and how often they were
// lifted.
func (a *Authority) passcodeTries(tx *store.Tx, service, user string) (store.Key, uint64, error) {
	_, u, err := a.findUser(tx, user)
	var missing *Error
	if err != nil && !errors.As(err, &missing) {
		return store.Key{}, 0, err
	}
	key, err := a.store.Key(triesBucket, service+"\x00"+user)
	return key, u.Lifts, err
}

// Throttled says until when no single passcode of a user is looked at, by service:
// of these services, those where that is so.
func (a *Authority) Throttled(user string, services []string) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	now := a.now()
	err := a.store.View(func(tx *store.Tx) error {
		for _, s := range services {
			wait, err := a.PasscodeWaits(tx, s, user, now)
			if err != nil {
				return err
			}
			if wait > 0 {
				out[s] = now.Add(wait)
			}
		}
		return nil
	})
	return out, err
}

// Failed counts a failure that Waits looks at.
func (a *Authority) Failed(tx *store.Tx, service, who string, now time.Time) error {
	key, err := a.store.Key(triesBucket, service+"\x00"+who)
	if err != nil {
		return err
	}
	return a.noteFailure(tx, key, 0, now)
}
