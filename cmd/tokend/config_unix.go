//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

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

// giveTo is the command that makes a file its reader's own, and nobody else's; of one in a
// folder that cannot be entered it is in words.
func giveTo(path string) string {
	word, sudo := ipc.ShellWord(path), ""
	info, err := os.Stat(path)
	if err != nil { // of a folder on the way
		_, name := reader()
		return "let user " + name + " into its folder, or put it elsewhere; whose they are: sudo ls -ld " + ipc.ShellWord(filepath.Dir(path)) + " " + word
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

// stateTrouble says why a daemon could not have its state folder at a path, as it sees it
// itself, and what mends it; empty if it can.
func stateTrouble(path string, system bool) (why, fix string) {
	uid := daemonUID(system)
	info, why, fix := folderTrouble(path, system)
	if why != "" || info == nil {
		return why, fix
	}
	word := ipc.ShellWord(path)
	switch st, ok := info.Sys().(*syscall.Stat_t); {
	case ok && int(st.Uid) != uid:
		return fmt.Sprintf("%s belongs to user %d, and has to be user %d's", path, st.Uid, uid), fmt.Sprintf("sudo chown -R %d %s", uid, word)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Sprintf("others can write to %s (mode %#o)", path, info.Mode().Perm()), "chmod go-w " + word
	case info.Mode().Perm()&0o700 != 0o700:
		return fmt.Sprintf("its owner cannot write to %s (mode %#o)", path, info.Mode().Perm()), "chmod u+rwx " + word
	}
	return "", ""
}

// maxSocket is what fits into sockaddr_un beside the closing NUL.
const maxSocket = len(syscall.RawSockaddrUnix{}.Path) - 1

// socketTrouble does the same for the socket.
func socketTrouble(path string, system bool) (why, fix string) {
	fix = "write the path of a socket at which nothing else is, or remove the line; what is there: ls -ld " + ipc.ShellWord(path)
	uid, dir := daemonUID(system), filepath.Dir(path)
	if len(path) > maxSocket {
		return fmt.Sprintf("its path is %d bytes long, and a socket's can be %d", len(path), maxSocket), "write a shorter path, or remove the line"
	}
	switch info, err := os.Lstat(path); {
	case err != nil:
	case info.IsDir():
		return fmt.Sprintf("the folder %s is in its way", path), fix
	case info.Mode()&fs.ModeSocket == 0:
		return fmt.Sprintf("the file %s, which is no socket, is in its way", path), fix
	case !system: // the system's can be one that the service manager made
		if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != uid {
			return fmt.Sprintf("a socket of user %d is in its way", st.Uid), fix
		}
	}
	info, why, mend := folderTrouble(dir, system)
	if why != "" || info == nil { // serve makes it
		return why, mend
	}
	fix = fmt.Sprintf("write socket = %q: serve makes the folder", filepath.Join(dir, "tokend", filepath.Base(path)))
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != uid {
		return fmt.Sprintf("its folder %s belongs to user %d", dir, st.Uid), "write a path in a folder of your own, or remove the line; whose this is: ls -ld " + ipc.ShellWord(dir)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Sprintf("others can write to its folder %s (mode %#o)", dir, info.Mode().Perm()), fix
	}
	return "", ""
}

// daemonUID is who a daemon runs as.
func daemonUID(system bool) int {
	if system {
		uid, _ := reader()
		return uid
	}
	return os.Geteuid()
}

// folderTrouble is the folder at a path, nil if serve would make it, or why there can be
// none. What the service may make, another user cannot tell.
func folderTrouble(path string, system bool) (info fs.FileInfo, why, fix string) {
	above := path
	info, err := os.Stat(path)
	for err != nil && above != filepath.Dir(above) {
		above = filepath.Dir(above)
		info, err = os.Stat(above)
	}
	look := "; what is there: ls -ld " + ipc.ShellWord(above)
	switch {
	case err != nil:
		return nil, "", ""
	case !info.IsDir():
		return nil, above + " is no folder", "write the path of a folder, or remove the line" + look
	case above == path:
		return info, "", ""
	case !system && unix.Access(above, unix.W_OK) != nil:
		return nil, fmt.Sprintf("there is no folder %s, and user %d cannot make one in %s", path, os.Geteuid(), above), fmt.Sprintf("sudo install -d -m 700 -o %d %s", os.Geteuid(), ipc.ShellWord(path))
	}
	return nil, "", ""
}

// fixHelper is the commands that make a program and its folders ones to which a PIN can be
// given; empty where no command does.
func fixHelper(path string) string {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	var all []string
	for at := real; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil || at == real && !info.Mode().IsRegular() {
			return ""
		}
		mode, word, sudo := info.Mode(), ipc.ShellWord(at), ""
		st, ok := info.Sys().(*syscall.Stat_t)
		if ok && int(st.Uid) != os.Geteuid() {
			sudo = "sudo "
		}
		if ok && st.Uid != 0 && sudo != "" {
			all = append(all, "sudo chown root "+word)
		}
		if at == real && mode.Perm()&0o111 == 0 {
			all = append(all, sudo+"chmod a+x "+word)
		}
		if mode.Perm()&0o002 != 0 && (at == real || mode&fs.ModeSticky == 0) {
			all = append(all, sudo+"chmod o-w "+word)
		}
		if at == filepath.Dir(at) {
			return strings.Join(all, " && ")
		}
	}
}
