//go:build unix

package daemon

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tokenbridge/tokend/ipc"
)

// makeFolder makes a folder of the state where it is not there.
func makeFolder(dir string) error { return os.MkdirAll(dir, 0o700) }

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

// exposed says how many files of the user's state folder others can read, and what
// mends it.
func exposed(dir string) (open int, mend string, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			open++
		}
		return nil
	})
	return open, "chmod -R go= " + ipc.ShellWord(dir), err
}

// administers says whether a caller may administer the system's daemon: root.
func administers(p ipc.Principal) bool { return p.UID == "0" }
