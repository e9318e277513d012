//go:build linux && !cgo

package confinetest

import "golang.org/x/sys/unix"

// Connect connects a unix socket to path and closes it.
func Connect(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.Connect(fd, &unix.SockaddrUnix{Name: path})
}

// Open opens path for reading and writing without waiting.
func Open(path string) (fd int, err error) { return unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK, 0) }
