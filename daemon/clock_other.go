//go:build !linux

package daemon

import "time"

// elapsed reads the monotonic clock.
func elapsed() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}
