package main

import "golang.org/x/sys/unix"

// clockError is the state of a clock that nothing synchronises (adjtimex(2)).
const clockError = 5

// synchronised asks the kernel, whom a time service tells.
func synchronised() (bool, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, err
	}
	return state != clockError && t.Status&unix.STA_UNSYNC == 0, nil
}
