package fob

import (
	"math"
	"time"
)

// Resync finds where a fob is by two or three passcodes in a row, within
// ResyncSteps. One passcode never is enough: over a window that large it would be
// guessed a thousand times more easily. The state and the validity of f are not
// looked at, so that a disabled fob can be tried out.
//
// need is how many there must be: 2 where somebody answers for the person, 3
// where nobody does. With Accepted, the Moving to store has all of them used up.
// Passcodes of a time-based fob that follow one another are at most
// MaxPeriod seconds apart. Yubico OTP fobs need no resync; Unfit is the result.
func (f *Fob) Resync(p Passcode, need int, now time.Time) (Result, Moving, error) {
	row := p.inRow(f)
	if f.Type == Yubico || row < max(need, 2) || f.Counter > lastCounter {
		return Unfit, f.Moving, nil
	}
	if err := f.Validate(); err != nil {
		return Wrong, f.Moving, err
	}
	low, high := f.Counter, f.Counter+min(ResyncSteps, lastCounter-f.Counter)
	var ours uint64
	if f.Type == TOTP {
		var err error
		if ours, err = f.step(now); err != nil {
			return Wrong, f.Moving, err
		}
		low, high = shift(ours, -ResyncSteps), shift(ours, ResyncSteps)
	}
	last, found, err := f.find(p, low, high)
	drift := f.Drift
	if f.Type == TOTP && found {
		drift = int(int64(last) - int64(ours))
	}
	result, m, err := f.judge(p, last, found, drift, err)
	if result == Accepted {
		m.Synced = m.Drift
	}
	return result, m, err
}

// Burn returns f's Moving with passcodes used up that may have been accepted
// before the registry was set back, by an old copy or a snapshot of the machine.
// For HOTP the next margin passcodes go, for Yubico OTP all of the next margin
// times that the fob is plugged in; for TOTP every step that was to be expected
// until now, whatever the margin.
func (f *Fob) Burn(margin uint64, now time.Time) (Moving, error) {
	m := f.Moving
	switch f.Type {
	case HOTP:
		m.Counter += min(margin, math.MaxUint64-m.Counter)
	case Yubico:
		session := m.Counter>>8 + min(margin, maxSession)
		m.Counter = max(m.Counter, min(session<<8, maxYubico))
	case TOTP:
		ours, err := f.step(now)
		if err != nil {
			return f.Moving, err
		}
		// One step more: the drift may have grown by one since the copy.
		m.Counter = max(m.Counter, shift(ours, f.Drift+2*Window+1))
	}
	return m, nil
}
