package daemon

import "time"

// The memory is given back once nothing was to be collected for releaseDelay, at
// the latest releaseLatest after it could first have been: backups that follow each
// other use the same memory, and no code has to wait until the system has found it
// anew.
const (
	releaseDelay  = 500 * time.Millisecond
	releaseLatest = time.Minute
)

// release is when memory is given back.
type release struct{ latest time.Time } // zero while there is nothing to give back

// collected says how long after a collection at now the memory is given back, unless
// there is another one until then.
func (r *release) collected(now time.Time) time.Duration {
	if r.latest.IsZero() {
		r.latest = now.Add(releaseLatest)
	}
	return min(releaseDelay, r.latest.Sub(now))
}
