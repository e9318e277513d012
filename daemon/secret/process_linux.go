package secret

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// keepPrivate keeps pages out of core files and out of forked children. Older
// kernels know one advice or neither; the pages are usable all the same.
func keepPrivate(p []byte) {
	_ = unix.Madvise(p, unix.MADV_DONTDUMP)
	_ = unix.Madvise(p, unix.MADV_WIPEONFORK)
}

// HardenProcess makes the process leave no core file (RLIMIT_CORE 0, which
// children inherit) and marks it as not dumpable: other processes of the same
// user cannot attach to it or read its memory, and crash collectors that the
// kernel pipes a core to get none. Call it first thing, before any secret is
// read. It does all it can, and returns what failed.
func HardenProcess() error {
	var errs []error
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		errs = append(errs, fmt.Errorf("cannot switch core files off: %w", err))
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		errs = append(errs, fmt.Errorf("cannot make the process undumpable: %w", err))
	}
	return errors.Join(errs...)
}
