//go:build unix

package daemon

import (
	"fmt"
	"os"
	"syscall"
)

// checkOwner refuses a folder that belongs to another user, or that others can
// write to.
func checkOwner(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d", dir, st.Uid)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("others can write to %s (mode %#o)", dir, mode)
	}
	return nil
}
