//go:build unix && !linux

package confine

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Start forbids core files.
func Start([]string) ([]string, error) {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return nil, fmt.Errorf("cannot forbid core files: %w", err)
	}
	return nil, nil
}
