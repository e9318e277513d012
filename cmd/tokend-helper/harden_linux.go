//go:build linux && !cgo

package main

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// harden gives up what the program does not need: gaining rights, leaving core
// files, being read by a debugger.
func harden() error {
	// The attribute belongs to a thread; without C code Go can set it on all.
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("cannot give up new rights: %w", errno)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot forbid core files: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("cannot forbid core files: %w", err)
	}
	return nil
}
