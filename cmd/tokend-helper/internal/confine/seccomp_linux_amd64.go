//go:build !cgo

package confine

import "golang.org/x/sys/unix"

// machineCalls are those that newer machines do without.
func machineCalls() []uint32 {
	return []uint32{unix.SYS_POLL, unix.SYS_SELECT, unix.SYS_EPOLL_WAIT, unix.SYS_DUP2, unix.SYS_TIME, unix.SYS_ARCH_PRCTL}
}
