package fob

import (
	"crypto/subtle"
	"fmt"
	"math"
	"time"

	"github.com/tokenbridge/tokend/daemon/otp"
)

// Result is what came of a passcode.
type Result string

// The results. All but Accepted are for the audit and for helpers who know the
// person; the outside is told one thing for all.
const (
	Accepted Result = "accepted"
	Wrong    Result = "wrong"  // no passcode that is to be expected
	Reused   Result = "reused" // right once, but not after the last accepted one
	Unfit    Result = "unfit"  // not of the kind or length that this fob makes
	// The passcode is right, and the fob may not be used.
	IsUnassigned Result = "unassigned"
	IsDisabled   Result = "disabled"
	IsLost       Result = "lost"
	NotYet       Result = "not-yet-valid"
	Expired      Result = "expired"
)

// lastCounter is the last counter of HOTP that is accepted, so that there is one
// after it.
const lastCounter = math.MaxUint64 - 1

// Check verifies a passcode at the time now. With Accepted it returns what is to
// be stored before anybody is told; with all else, f's own Moving. Two or three
// passcodes in one input are right when they follow one another and the last is
// to be expected.
//
// An error means that f is not valid, and says nothing of the passcode.
func (f *Fob) Check(p Passcode, now time.Time) (Result, Moving, error) {
	if !p.Fits(f) {
		return Unfit, f.Moving, nil
	}
	result, moving, err := f.match(p, now)
	if err != nil {
		return Wrong, f.Moving, err
	}
	if result == Accepted {
		if result = f.Usable(now); result == Accepted {
			return Accepted, moving, nil
		}
	}
	return result, f.Moving, nil
}

func (f *Fob) match(p Passcode, now time.Time) (Result, Moving, error) {
	if err := f.Validate(); err != nil {
		return Wrong, f.Moving, fmt.Errorf("cannot verify a passcode: %w", err)
	}
	switch f.Type {
	case HOTP:
		return f.checkHOTP(p)
	case TOTP:
		return f.checkTOTP(p, now)
	default:
		result, moving := f.checkYubico(p)
		return result, moving, nil
	}
}

// Usable says whether passcodes of f are accepted at the time now: Accepted, or
// why not. Only State, Start and Expiry are looked at.
func (f *Fob) Usable(now time.Time) Result {
	switch {
	case f.State == Lost:
		return IsLost
	case f.State == Disabled:
		return IsDisabled
	case f.State != Active:
		return IsUnassigned
	case !f.Start.IsZero() && now.Before(f.Start):
		return NotYet
	case !f.Expiry.IsZero() && !now.Before(f.Expiry):
		return Expired
	}
	return Accepted
}

// checkHOTP looks from the expected counter ahead, and back as far to tell what
// was used already.
func (f *Fob) checkHOTP(p Passcode) (Result, Moving, error) {
	if f.Counter > lastCounter {
		return Wrong, f.Moving, nil
	}
	low := f.Counter - min(f.Counter, LookAhead)
	high := f.Counter + min(LookAhead, lastCounter-f.Counter)
	last, found, err := f.find(p, low, high)
	return f.judge(p, last, found, f.Drift, err)
}

// checkTOTP looks Window steps to either side of the step that f's clock shows.
func (f *Fob) checkTOTP(p Passcode, now time.Time) (Result, Moving, error) {
	ours, err := f.step(now)
	if err != nil {
		return Wrong, f.Moving, err
	}
	low := shift(ours, f.Drift-Window)
	last, found, err := f.find(p, low, shift(ours, f.Drift+Window))
	drift := int(int64(last) - int64(ours))
	if !found || abs(drift-f.Synced) > MaxWalk {
		drift = f.Drift
	}
	return f.judge(p, last, found, drift, err)
}

// judge: passcodes that match up to the counter last are right if the first of
// them was not used.
func (f *Fob) judge(p Passcode, last uint64, found bool, drift int, err error) (Result, Moving, error) {
	switch {
	case err != nil:
		return Wrong, f.Moving, err
	case !found:
		return Wrong, f.Moving, nil
	case last < f.Counter+uint64(p.inRow(f)-1):
		return Reused, f.Moving, nil
	}
	m := f.Moving
	m.Counter, m.Drift = last+1, drift
	return Accepted, m, nil
}

// find looks for the passcodes in a row of which the last has a counter from low
// to high. A match that was not used is preferred to one that was.
func (f *Fob) find(p Passcode, low, high uint64) (last uint64, found bool, err error) {
	row := p.inRow(f)
	before := uint64(row - 1)
	codes := newCodes(f)
	for v := max(low, before); v <= high; v++ {
		same := 1
		for i := range row {
			code, err := codes.at(v - before + uint64(i))
			if err != nil {
				return 0, false, err
			}
			same &= subtle.ConstantTimeCompare(code, p.digits[i*f.Digits:(i+1)*f.Digits])
			if same == 0 && i == 0 {
				break // most fail here, and no more is to be computed
			}
		}
		if same == 1 && !found || same == 1 && last < f.Counter+before {
			last, found = v, true
		}
	}
	return last, found, nil
}

// step is the number of the time step at now, by our clock.
func (f *Fob) step(now time.Time) (uint64, error) {
	if now.Unix() < 0 {
		return 0, fmt.Errorf("cannot verify a passcode: the clock shows a time before 1970")
	}
	return uint64(now.Unix()) / uint64(f.Period), nil
}

// shift adds, and stays at or above 0.
func shift(step uint64, by int) uint64 {
	if by < 0 {
		return step - min(step, uint64(-by))
	}
	return step + uint64(by)
}

// codes computes what a fob shows, each value once as long as they are asked for
// in about ascending order.
type codes struct {
	f      *Fob
	params otp.Params
	recent [maxInRow + 1]struct {
		counter uint64
		value   otp.Value
		known   bool
	}
}

func newCodes(f *Fob) *codes {
	return &codes{f: f, params: otp.Params{Type: otp.TypeHOTP, Algorithm: f.Algorithm, Digits: f.Digits}}
}

// at is the code for a counter; of TOTP too, which is HOTP of the time step (RFC
// 6238, section 4.2).
func (c *codes) at(counter uint64) ([]byte, error) {
	e := &c.recent[counter%uint64(len(c.recent))]
	if !e.known || e.counter != counter {
		value, err := otp.HOTP(c.f.Secret, c.params, counter)
		if err != nil {
			return nil, fmt.Errorf("cannot verify a passcode: %w", err)
		}
		e.counter, e.value, e.known = counter, value, true
	}
	return e.value[:c.f.Digits], nil
}
