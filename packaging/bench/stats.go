//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// sample is durations of the same thing.
type sample []time.Duration

// at is the p-th percentile by nearest rank.
func (s sample) at(p float64) time.Duration {
	sorted := slices.Clone(s)
	slices.Sort(sorted)
	return sorted[min(len(sorted)-1, int(p/100*float64(len(sorted))))]
}

func (s sample) median() time.Duration { return s.at(50) }

// repeat times f n times after warmup that is not counted; between calls it
// waits, which is not counted either.
func repeat(n int, f func() error, wait func()) (sample, error) {
	const warmup = 5
	var s sample
	for i := range n + warmup {
		if wait != nil {
			wait()
		}
		began := time.Now()
		if err := f(); err != nil {
			return nil, err
		}
		if i >= warmup {
			s = append(s, time.Since(began))
		}
	}
	return s, nil
}

// show is a duration in the unit that suits it, with three figures.
func show(d time.Duration) string {
	if d < 0 { // a difference, on a machine too busy to tell
		return "-" + show(-d)
	}
	switch {
	case d < 10*time.Microsecond:
		return fmt.Sprintf("%.2f µs", float64(d)/1e3)
	case d < time.Millisecond:
		return fmt.Sprintf("%.0f µs", float64(d)/1e3)
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d)/1e6)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", float64(d)/1e6)
	default:
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
}

func ratio(a, b time.Duration) string { return fmt.Sprintf("%.2f", float64(a)/float64(b)) }

// machine says in a line what the figures are from.
func machine() string {
	model, flags := runtime.GOARCH, ""
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			name, value, _ := strings.Cut(line, ":")
			switch strings.TrimSpace(name) {
			case "model name":
				model = strings.TrimSpace(value)
			case "flags":
				flags = value
			}
		}
	}
	cores := "cores"
	if strings.Contains(flags, " hypervisor") {
		cores = "virtual cores"
	}
	system := runtime.GOOS
	if out, err := exec.Command("uname", "-sr").Output(); err == nil {
		if parts := strings.SplitN(strings.TrimSpace(string(out)), ".", 3); len(parts) > 1 {
			system = parts[0] + "." + parts[1]
		}
	}
	return fmt.Sprintf("%d %s of %s, %s, %s.", runtime.NumCPU(), cores, model, system, runtime.Version())
}
