//go:build unix

package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// modes says whether files have owners and modes here that mean something.
const modes = true

// errQuota: the user may not have more space.
const errQuota = unix.EDQUOT

func syncFolderOf(path string) error {
	f, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// checkPrivate refuses a file that others may read or write, or that belongs to
// somebody who is neither this process's user nor root.
func checkPrivate(info os.FileInfo) error {
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%w: its mode is %#o", ErrKeyExposed, mode)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() && st.Uid != 0 {
		return fmt.Errorf("%w: it belongs to user %d", ErrKeyExposed, st.Uid)
	}
	return nil
}
