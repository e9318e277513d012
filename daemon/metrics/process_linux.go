package metrics

import (
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Process looks up the figures of this process.
func (t *Tokend) Process() {
	t.Goroutines.Set(float64(runtime.NumGoroutine()))
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(text)); len(fields) > 1 {
			if pages, err := strconv.ParseFloat(fields[1], 64); err == nil {
				t.Memory.Set(pages * float64(os.Getpagesize()))
			}
		}
	}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		t.Files.Set(float64(len(open) - 1)) // one is the folder's own
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil {
		t.FilesMost.Set(float64(limit.Cur))
	}
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err == nil {
		t.Processor.Is(float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9)
	}
}
