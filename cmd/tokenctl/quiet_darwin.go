package main

import "golang.org/x/sys/unix"

const (
	getTermios = unix.TIOCGETA
	setTermios = unix.TIOCSETA
	// typedQueue is FREAD of sys/fcntl.h: what was typed and not read.
	typedQueue = 1
)

// flushTyped forgets what was typed and not read.
func flushTyped(fd uintptr) { _ = unix.IoctlSetPointerInt(int(fd), unix.TIOCFLUSH, typedQueue) }
