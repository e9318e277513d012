package backup

import "time"

// Timing says when backups are made.
type Timing struct {
	// Quiet is how long after the last change a backup is made, so that changes
	// that follow each other share one.
	Quiet time.Duration
	// Patience is how long after the first change one is made in any case.
	Patience time.Duration
	// Counters is how long after a HOTP code one is made at the latest, when the
	// counters have run further ahead of the vault than a restore skips.
	Counters time.Duration
	// Retry is after how long one that failed is tried again.
	Retry time.Duration
}

// Due knows when the next backup of a vault is to be made, by a clock that nobody
// sets. The zero value knows of nothing to do.
type Due struct {
	at    time.Duration
	first time.Duration // of the changes that wait
	set   bool
	by    reason
}

type reason int

const (
	byCounters reason = iota
	byFailure
	byChange
)

// Changed notes a change of the vault at a time.
func (d *Due) Changed(now time.Duration, t Timing) {
	if !d.set || d.by != byChange {
		d.first = now
	}
	d.at, d.set, d.by = min(now+t.Quiet, d.first+t.Patience), true, byChange
}

// Counted notes that HOTP counters are far ahead of the vault. It delays nothing
// that is due earlier.
func (d *Due) Counted(now time.Duration, t Timing) {
	if !d.set {
		d.at, d.set, d.by = now+t.Counters, true, byCounters
	}
}

// Failed notes that a backup could not be made.
func (d *Due) Failed(now time.Duration, t Timing) {
	if !d.set {
		d.at, d.set, d.by = now+t.Retry, true, byFailure
	}
}

// Now says whether one is to be made, and takes it off.
func (d *Due) Now(now time.Duration) bool {
	if !d.set || now < d.at {
		return false
	}
	d.set = false
	return true
}

// Waits says whether something is to be done, now or later.
func (d *Due) Waits() bool { return d.set }

// Done takes off what is to be done: it has been done earlier.
func (d *Due) Done() { d.set = false }

// The least drop in accounts that raises an alarm: more than a third, and at
// least so many.
const leastDrop = 3

// Dropped says that has accounts, where there were had, are so few that the
// earlier backup must not be given up without a word.
func Dropped(had, has int) bool {
	return had-has >= leastDrop && 3*(had-has) > had
}
