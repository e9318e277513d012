//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// distrust says why a file cannot be believed by the system's daemon: somebody else
// than root and itself can write to it. It is empty if it can be.
func distrust(info fs.FileInfo) string {
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Sprintf("it belongs to user %d", st.Uid)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Sprintf("others can write to it (mode %#o)", mode)
	}
	return ""
}

// distrustOpen is distrust of a file that is open, and distrustAt of what is at a path.
func distrustOpen(_ *os.File, info fs.FileInfo) string { return distrust(info) }

func distrustAt(_ string, info fs.FileInfo) string { return distrust(info) }

// exposed says whether others can read a file.
func exposed(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }

// fixDistrust is the command that makes a file one that can be believed.
func fixDistrust(path string) string {
	return "sudo chown root " + path + " && sudo chmod go-w " + path
}
