//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/tokenbridge/tokend/ipc"
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
	word := ipc.ShellWord(path)
	return "sudo chown root " + word + " && sudo chmod go-w " + word
}

// serviceUser is who the system's service runs as, where it is installed.
const serviceUser = "tokend"

// serviceGroup is the group that the system's service has, or this process has where
// that is not installed.
func serviceGroup() string {
	if g, err := user.LookupGroup(serviceUser); err == nil {
		return g.Name
	}
	return strconv.Itoa(os.Getegid())
}

// reader is the uid and the name of who has to read what the configuration names: this
// process, or for root the service.
func reader() (uid int, name string) {
	if systemUser() {
		if u, err := user.Lookup(serviceUser); err == nil {
			if uid, err := strconv.Atoi(u.Uid); err == nil {
				return uid, serviceUser
			}
		}
	}
	return os.Geteuid(), strconv.Itoa(os.Geteuid())
}

// mayNotRead says who cannot read a secret that is its owner's alone; empty if nobody
// has to who cannot.
func mayNotRead(info fs.FileInfo) string {
	uid, name := reader()
	if st, ok := info.Sys().(*syscall.Stat_t); ok && uid != 0 && int(st.Uid) != uid {
		return name
	}
	return ""
}

// giveTo is the command that makes a file its reader's own, and nobody else's.
func giveTo(path string) string {
	word, sudo := ipc.ShellWord(path), ""
	info, err := os.Stat(path)
	if err != nil { // of a folder on the way
		return "sudo ls -ld " + ipc.ShellWord(filepath.Dir(path)) + " " + word
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if ok && int(st.Uid) != os.Geteuid() {
		sudo = "sudo "
	}
	fix := sudo + "chmod 600 " + word
	if who := mayNotRead(info); who != "" {
		fix = "sudo chown " + who + " " + word + " && sudo chmod 600 " + word
	}
	return fix
}
