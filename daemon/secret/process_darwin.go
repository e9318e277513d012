package secret

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// keepPrivate does nothing: macOS has no advice that keeps pages out of a core
// file. HardenProcess switches core files off.
func keepPrivate([]byte) {}

// HardenProcess makes the process leave no core file (RLIMIT_CORE 0, which
// children inherit) and refuses debuggers (PT_DENY_ATTACH). Call it first thing,
// before any secret is read. It does all it can, and returns what failed.
func HardenProcess() error {
	var errs []error
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		errs = append(errs, fmt.Errorf("cannot switch core files off: %w", err))
	}
	if err := unix.PtraceDenyAttach(); err != nil {
		errs = append(errs, fmt.Errorf("cannot refuse debuggers: %w", err))
	}
	return errors.Join(errs...)
}
