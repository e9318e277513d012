//go:build !linux

package metrics

import "runtime"

// Process looks up the figures of this process that are known on this system.
func (t *Tokend) Process() { t.Goroutines.Set(float64(runtime.NumGoroutine())) }
