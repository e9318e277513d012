// Package secret is where secrets are handled: Do runs a function and erases
// what it left in registers, on the stack and, once collected, on the heap;
// Buffer holds bytes in memory that is neither swapped nor dumped; HardenProcess
// keeps the process's memory out of core files and debuggers' reach.
//
// Erasing is done by the standard library's runtime/secret, which a build has
// when it is made with GOEXPERIMENT=runtimesecret for linux/amd64 or
// linux/arm64 (Hardened says so). Elsewhere Do merely calls its function, and
// what remains is the overwriting that callers do themselves.
//
// None of this is complete, and nothing here claims it: the kernel keeps copies
// of what went through pipes and sockets, and a debugger that is attached while
// a secret is in use sees it.
package secret

import (
	"runtime"
	"runtime/debug"
)

// Collect makes the garbage collector find what has become unreachable, which
// is when the heap memory of Do is erased. It is meant for the moment after a lock:
// it stops the world briefly and costs milliseconds.
func Collect() {
	// One cycle finds the garbage and its sweep erases it; what cleanups let go
	// of during that cycle is found by the next.
	runtime.GC()
	runtime.GC()
}

// Release gives free memory back to the operating system, and with it what was left
// there by work outside of Do. It takes longer than Collect, and whoever needs the
// memory again has the kernel find and clear it page by page: it is meant for a
// time when nothing is asked.
func Release() { debug.FreeOSMemory() }
