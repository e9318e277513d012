package issue

import (
	"errors"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/remote"
)

// maxUndecidedHour is how many passcodes of a user may come to nothing within an hour
// of which services and helpers asked: as many as a user may type for an account. None
// of them is known to be wrong, and so the throttle does not count them. But whoever is
// on the way to a verifier can hold back each no and let the yes through, and there are
// servers that answer a wrong code with the next challenge.
const maxUndecidedHour = maxGuessedHour

// undecided says that a passcode was looked at, or may have been, and it is not told
// whether it is good. A first challenge is how some servers begin.
func (k *ask) undecided(o outcome) bool {
	var down *remote.Unavailable
	if errors.As(o.err, &down) {
		return !errors.Is(o.err, errGone)
	}
	return o.err == nil && k.token != nil && o.answer.State == remote.Challenged
}

// leftOpen counts a passcode of a user's that came to nothing.
func (a *asked) leftOpen(user string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for u := range a.open {
		a.recent(u, now)
	}
	a.open[user] = append(a.open[user], now)
}

// openWait is how long no passcode of a user's is asked about because too many came
// to nothing.
func (a *asked) openWait(user string, now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := a.recent(user, now); n >= maxUndecidedHour {
		return a.open[user][n-maxUndecidedHour].Add(time.Hour).Sub(now)
	}
	return 0
}

// recent is how many came to nothing within the last hour; others are forgotten, also
// those of a clock that was set back. It is to be called with a.mu held.
func (a *asked) recent(user string, now time.Time) int {
	list := slices.DeleteFunc(a.open[user], func(at time.Time) bool { return at.After(now) || now.Sub(at) >= time.Hour })
	if a.open[user] = list; len(list) == 0 {
		delete(a.open, user)
	}
	return len(list)
}
