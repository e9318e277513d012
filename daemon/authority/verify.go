package authority

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/secret"
)

// Attempt is somebody's passcode.
type Attempt struct {
	// By is who asks, for the audit.
	By string
	// Service is who asks: 1 to 64 letters, digits and the characters - . _
	Service string
	// User is a name or an id. It need not exist.
	User string
	// Passcode is as it was typed; the caller's to wipe.
	Passcode []byte
	// Within says whether who asks may ask about users of an authority, by its id; nil
	// is about everybody.
	Within func(authority string) bool
}

// Reason is why a passcode was not accepted. It is for the audit, and for an
// administrator who has the person before him; whoever else asks is told the
// same for all.
type Reason string

// The reasons, beside those of package fob.
const (
	ReasonUnknownUser  Reason = "unknown-user"
	ReasonDisabledUser Reason = "disabled-user"
	ReasonNoFob        Reason = "no-fob"     // the user has none, or not this one
	ReasonUnreadable   Reason = "unreadable" // no passcode at all
	ReasonThrottled    Reason = "throttled"  // it was not looked at
	// ReasonOutOfReach says that the user is of an authority that who asks may not ask
	// about. It was not looked at, and is counted nowhere: nobody is held up by it.
	ReasonOutOfReach Reason = "out-of-reach"

	ReasonWrong      = Reason(fob.Wrong)
	ReasonReused     = Reason(fob.Reused)
	ReasonUnfit      = Reason(fob.Unfit)
	ReasonUnassigned = Reason(fob.IsUnassigned)
	ReasonDisabled   = Reason(fob.IsDisabled)
	ReasonLost       = Reason(fob.IsLost)
	ReasonNotYet     = Reason(fob.NotYet)
	ReasonExpired    = Reason(fob.Expired)
)

// Verdict is what became of an Attempt.
type Verdict struct {
	Accepted bool
	// UserID is the user's; empty if there is none.
	UserID string
	// FobID and Serial are of the fob that made the passcode, if it is known.
	FobID, Serial string
	// Reason is why it was not accepted.
	Reason Reason
	// RetryAfter is how long single passcodes of the user are not looked at, with
	// ReasonThrottled.
	RetryAfter time.Duration
	// Lifted says that the failures before count no more, of the fob and of the user at
	// every service.
	Lifted bool
}

// Verify says whether a passcode is a user's. When it is accepted, the fob's new
// counter is on disk: no passcode is accepted twice, whatever happens to the
// process, and of equal ones at the same time one is. All fobs of the user are
// tried.
//
// Everything but an acceptance is answered Options.Deadline after the call began,
// or at a multiple of it where that has passed. Where the context ends before,
// Verify fails with its cause; failures count all the same. An error is never an
// acceptance.
//
// Passcodes that were right once, or are right and of a fob that may not be used,
// do not count as failures, nor does what cannot be a passcode: none of them is a
// guess.
func (a *Authority) Verify(ctx context.Context, at Attempt) (Verdict, error) {
	begun := a.now()
	v, err := a.VerifyIn(at, nil)
	if v.Accepted {
		return v, nil
	}
	if late := a.HoldBack(ctx, begun); err == nil {
		err = late
	}
	return v, err
}

// HoldBack waits until a failure that began at begun may be answered.
func (a *Authority) HoldBack(ctx context.Context, begun time.Time) error {
	passed := max(0, a.now().Sub(begun))
	return a.wait(ctx, a.deadline-passed%a.deadline)
}

// question is an Attempt, prepared.
type question struct {
	user     string
	passcode fob.Passcode
	tries    store.Key // where failures are counted
	lifts    uint64    // how often the user's were lifted
	now      time.Time
	several  bool // more than one passcode, and they may be looked at in any case
}

func (a *Authority) verify(at Attempt, then func(*store.Tx, Verdict) error) (v Verdict, err error) {
	if err := checkService(at.Service); err != nil {
		return Verdict{}, err
	}
	q := question{user: at.User, now: a.now()}
	secret.Do(func() { q.passcode, err = fob.Read(at.Passcode) })
	if err != nil {
		v.Reason = ReasonUnreadable
		return v, a.follow(v, then)
	}
	defer q.passcode.Wipe()
	if err := a.store.View(func(tx *store.Tx) error { return a.prepare(tx, at, &q, &v) }); err != nil {
		return v, err
	}
	if v.Reason == ReasonThrottled || v.Reason == ReasonOutOfReach {
		return v, a.follow(v, then)
	}
	err = a.store.Update(func(tx *store.Tx) (err error) {
		if v, err = a.judge(tx, &q); err != nil || then == nil {
			return err
		}
		return then(tx, v)
	})
	return v, err
}

// follow is for what changes nothing by itself.
func (a *Authority) follow(v Verdict, then func(*store.Tx, Verdict) error) error {
	if then == nil {
		return nil
	}
	return a.store.Update(func(tx *store.Tx) error { return then(tx, v) })
}

func checkService(s string) error {
	ok := s != "" && len(s) <= 64
	for _, c := range []byte(s) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_')
	}
	if !ok {
		return invalid("service", "it is not 1 to 64 letters, digits and - . _")
	}
	return nil
}

// prepare finds where failures are counted, and stops what is throttled before it
// comes to a change.
func (a *Authority) prepare(tx *store.Tx, at Attempt, q *question, v *Verdict) error {
	var name string
	id, user, err := a.findUser(tx, at.User)
	var missing *Error
	switch {
	case err == nil:
		name, v.UserID, q.lifts = id.String(), id.String(), user.Lifts // by whatever he was named
	case !errors.As(err, &missing):
		return err
	default:
		if name, err = a.Stranger(at.User); err != nil {
			return err
		}
	}
	if v.UserID != "" && at.Within != nil && !at.Within(a.home(user)) {
		v.Reason = ReasonOutOfReach
		return nil
	}
	if q.tries, err = a.store.Key(triesBucket, at.Service+"\x00"+name); err != nil {
		return err
	}
	row, err := a.store.Key(triesBucket, name)
	if err != nil {
		return err
	}
	q.several = q.passcode.Several() && a.pairs.allow(row, q.now)
	waits, err := a.waits(tx, q)
	if err == nil && waits > 0 && !q.several && !q.passcode.Letters() {
		v.Reason, v.RetryAfter = ReasonThrottled, waits
	}
	return err
}

func (a *Authority) waits(tx *store.Tx, q *question) (time.Duration, error) {
	var t throttle
	_, err := tx.Get(triesBucket, q.tries[:], &t)
	return t.after(q.lifts).waits(q.now), err
}

// judge decides, and stores what follows from it. Changes run one after the
// other, so nothing can come in between.
func (a *Authority) judge(tx *store.Tx, q *question) (Verdict, error) {
	id, user, err := a.findUser(tx, q.user)
	var missing *Error
	if err != nil && !errors.As(err, &missing) {
		return Verdict{}, err
	}
	q.lifts = user.Lifts
	waits, err := a.waits(tx, q)
	if err != nil {
		return Verdict{}, err
	}
	if missing != nil {
		return Verdict{Reason: ReasonUnknownUser}, a.count(tx, q, waits, nil)
	}
	fobs, err := a.candidates(tx, q, user)
	defer func() {
		for i := range fobs {
			fobs[i].wipe()
		}
	}()
	if err != nil {
		return Verdict{}, err
	}
	for i := range fobs {
		if err := fobs[i].try(q, id, waits); err != nil {
			return Verdict{}, err
		}
	}
	best := decisive(fobs)
	v := Verdict{UserID: id.String(), Reason: ReasonNoFob}
	if best != nil {
		v.Reason, v.RetryAfter = best.reason, max(waits, best.waits)
		if best.result != fob.Wrong && best.result != fob.Unfit {
			v.FobID, v.Serial = best.id.String(), best.Serial
		}
	}
	switch {
	case user.Disabled:
		v.Reason = ReasonDisabledUser
	case best != nil && best.result == fob.Accepted:
		v.Accepted, v.Reason, v.RetryAfter = true, "", 0
		v.Lifted, err = a.accept(tx, q, best, id)
		return v, err
	}
	if best != nil && best.right() {
		return v, nil
	}
	return v, a.count(tx, q, waits, fobs)
}

// accept stores that a fob's passcode was accepted as a user's, and what was lifted
// because it proves the fob.
func (a *Authority) accept(tx *store.Tx, q *question, c *candidate, user ID) (lifted bool, err error) {
	c.moved(c.moving)
	c.Used = q.now.UTC()
	if q.several && c.Type != fob.Yubico && q.passcode.Strong(c.fob()) {
		if lifted, err = lift(tx, &c.fobRecord, []ID{user}, q.now); err != nil {
			return false, err
		}
	}
	return lifted, tx.Put(fobsBucket, c.id[:], c.fobRecord)
}

// candidate is a fob that is tried.
type candidate struct {
	fobRecord
	id     ID
	waits  time.Duration
	result fob.Result
	moving fob.Moving
	reason Reason
}

// candidates are the fobs to try: of digits all the user's, of letters the ones
// with the public id, his or not.
func (a *Authority) candidates(tx *store.Tx, q *question, user userRecord) ([]candidate, error) {
	ids := user.Fobs
	if public := q.passcode.PublicIDs(); len(public) > 0 {
		ids = nil
		for _, p := range public {
			id, found, err := a.named(tx, publicBucket, string(p))
			if err != nil {
				return nil, err
			}
			if found {
				ids = append(ids, id)
			}
		}
	}
	fobs := make([]candidate, len(ids))
	for i, id := range ids {
		fobs[i].id = id
		if err := getFob(tx, id, &fobs[i].fobRecord); err != nil {
			return fobs, err
		}
	}
	return fobs, nil
}

// try verifies the passcode, unless the throttle forbids it.
func (c *candidate) try(q *question, user ID, waits time.Duration) (err error) {
	f := c.fob()
	c.waits = max(waits, c.Failures.waits(q.now))
	if !q.passcode.Fits(f) {
		c.result, c.reason = fob.Unfit, ReasonUnfit
		return nil
	}
	if c.waits > 0 && !q.passcode.Letters() && (!q.passcode.Strong(f) || !q.several) {
		c.result, c.reason = "", ReasonThrottled
		return nil
	}
	secret.Do(func() { c.result, c.moving, err = f.Check(q.passcode, q.now) })
	c.reason = Reason(c.result)
	if !slices.Contains(c.Users, user) && c.result != fob.Wrong {
		c.result, c.reason = fob.IsUnassigned, ReasonUnassigned // another's, or nobody's
	}
	return err
}

// right says that the passcode is no guess, whatever it is good for.
func (c *candidate) right() bool {
	return c.result != fob.Wrong && c.result != fob.Unfit && c.result != ""
}

// decisive is the fob that says most of the passcode; nil if there is none.
func decisive(fobs []candidate) *candidate {
	weight := []fob.Result{fob.Accepted, fob.IsLost, fob.IsDisabled, fob.IsUnassigned, fob.NotYet, fob.Expired, fob.Reused, "", fob.Wrong, fob.Unfit}
	var best *candidate
	for i := range fobs {
		if best == nil || slices.Index(weight, fobs[i].result) < slices.Index(weight, best.result) {
			best = &fobs[i]
		}
	}
	return best
}

// count notes a failure of the user and of the fobs that were tried, except where
// there is a delay already: what was let through in spite of it extends nothing.
func (a *Authority) count(tx *store.Tx, q *question, waits time.Duration, fobs []candidate) error {
	for i := range fobs {
		c := &fobs[i]
		if c.result != fob.Wrong || c.waits > 0 || c.Type == fob.Yubico {
			continue
		}
		c.Failures = c.Failures.failed(q.now)
		if err := tx.Put(fobsBucket, c.id[:], c.fobRecord); err != nil {
			return err
		}
	}
	tried := len(fobs) == 0
	for i := range fobs {
		tried = tried || fobs[i].result != ""
	}
	if waits > 0 || !tried {
		return nil
	}
	return a.noteFailure(tx, q.tries, q.lifts, q.now)
}
