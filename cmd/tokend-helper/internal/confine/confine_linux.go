//go:build linux && !cgo

package confine

import (
	"fmt"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Start gives up what the program does not need. The attributes belong to
// threads; without C code Go can set them on all. args is the command line
// without the program's name. It returns what holds; only new privileges must
// be given up.
func Start(args []string) ([]string, error) {
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return nil, fmt.Errorf("cannot give up new rights: %w", errno)
	}
	held := []string{NoNewPrivs}
	if unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) == nil && unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) == nil {
		held = append(held, NoCore)
	}
	if len(args) > 0 && (args[0] == "hello" || args[0] == "op" || args[0] == "watch") {
		if version := landlock(); version > 0 {
			held = append(held, Landlock+strconv.Itoa(version))
		}
		if seccomp() {
			held = append(held, Seccomp)
		}
	}
	return held, nil
}

// landlock refuses all files, and returns the version that the kernel has, 0 when it
// has none.
func landlock() int {
	version, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 || version < 1 {
		return 0
	}
	// From execute to make_sym: what the first version knows.
	rules := unix.LandlockRulesetAttr{Handled_access_fs: unix.LANDLOCK_ACCESS_FS_REFER - 1}
	size := unsafe.Sizeof(rules.Handled_access_fs)
	if version >= 2 {
		rules.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= 3 {
		rules.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if version >= 4 {
		rules.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
		size = unsafe.Offsetof(rules.Handled_access_net) + unsafe.Sizeof(rules.Handled_access_net)
	}
	if version >= 5 {
		rules.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if version >= 6 {
		rules.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
		size = unsafe.Offsetof(rules.Scoped) + unsafe.Sizeof(rules.Scoped)
	}
	set, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rules)), size, 0)
	if errno != 0 {
		return 0
	}
	defer func() { _ = unix.Close(int(set)) }()
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, set, 0, 0); errno != 0 {
		return 0
	}
	return int(version)
}
