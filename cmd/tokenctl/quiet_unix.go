//go:build linux || darwin

package main

import "golang.org/x/sys/unix"

// withoutEcho prepares a terminal to hide what is typed, and to be as it was again.
// Keys that send signals do so all the while.
func withoutEcho(fd uintptr) (hide, back func(), err error) {
	was, err := unix.IoctlGetTermios(int(fd), getTermios)
	if err != nil {
		return nil, nil, err
	}
	hidden := *was
	hidden.Lflag &^= unix.ECHO
	set := func(t *unix.Termios) func() {
		return func() { _ = unix.IoctlSetTermios(int(fd), setTermios, t) }
	}
	return set(&hidden), set(was), nil
}
