//go:build unix && !linux

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// harden forbids core files.
func harden() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("cannot forbid core files: %w", err)
	}
	return nil
}
