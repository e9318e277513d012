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

// repeat times f n times after one that is not counted.
func repeat(n int, f func() error) (sample, error) {
	var s sample
	for i := range n + 1 {
		began := time.Now()
		if err := f(); err != nil {
			return nil, err
		}
		if i > 0 {
			s = append(s, time.Since(began))
		}
	}
	return s, nil
}

// show is a duration in the unit that suits it, with three figures.
func show(d time.Duration) string {
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
	model := runtime.GOARCH
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	system := runtime.GOOS
	if out, err := exec.Command("uname", "-sr").Output(); err == nil {
		system = strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("%d cores of %s, %s, %s, %s.", runtime.NumCPU(), model, system, runtime.Version(),
		time.Now().UTC().Format("2006-01-02"))
}
