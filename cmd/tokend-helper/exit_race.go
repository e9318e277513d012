//go:build race

package main

import "syscall"

// exit ends the program. With the race detector in it os.Exit would first sleep
// for a second: GORACE could tell it not to, but is read from /proc, which the
// program is kept from. Races have been reported by then, as they were found.
func exit(code int) { syscall.Exit(code) }
