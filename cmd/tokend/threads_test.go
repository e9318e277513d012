package main

import (
	"os"
	"runtime"
	"testing"
)

// TestSpareThreads sees that there are some, and that an administrator's number stays.
func TestSpareThreads(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	t.Setenv("GOMAXPROCS", "")
	if err := os.Unsetenv("GOMAXPROCS"); err != nil {
		t.Fatal(err)
	}
	moreThreads()
	if got := runtime.GOMAXPROCS(before); got != before+spareThreads {
		t.Errorf("%d threads, want %d", got, before+spareThreads)
	}
	t.Setenv("GOMAXPROCS", "1")
	moreThreads()
	if got := runtime.GOMAXPROCS(0); got != before {
		t.Errorf("%d threads though a number was set, want %d", got, before)
	}
}
