package main

import (
	"os"
	"runtime"
)

// spareThreads is how many threads may run Go code beyond the processors there are.
//
// Go takes a thread away from a goroutine at certain points alone, and there are few
// in what opens a backup: a copy of megabytes is none, nor what the kernel does to
// find the memory for it, and inside runtime/secret a loop is none. With as many such
// goroutines as processors (the collector is one) a code would wait for them; the
// system's scheduler interrupts a thread anywhere, and prefers who has slept.
const spareThreads = 2

// moreThreads allows for the spare threads, unless the administrator has set a number.
func moreThreads() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + spareThreads)
	}
}
