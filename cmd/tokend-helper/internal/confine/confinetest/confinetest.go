//go:build linux && cgo

// Package confinetest calls the C library as libpcsclite and libfido2 do, for
// tests: what package confine puts in its place is found by C code alone.
package confinetest

/*
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int try_connect(const char *path) {
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	strncpy(a.sun_path, path, sizeof a.sun_path - 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return errno;
	}
	int error = connect(fd, (struct sockaddr *)&a, sizeof a) == 0 ? 0 : errno;
	close(fd);
	return error;
}

static int try_open(const char *path, int *fd) {
	*fd = open(path, O_RDWR | O_NONBLOCK);
	return *fd < 0 ? errno : 0;
}
*/
import "C"

import (
	"syscall"
	"unsafe"
)

func result(errno C.int) error {
	if errno == 0 {
		return nil
	}
	return syscall.Errno(errno)
}

// Connect connects a unix socket to path and closes it.
func Connect(path string) error {
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	return result(C.try_connect(p))
}

// Open opens path for reading and writing without waiting.
func Open(path string) (fd int, err error) {
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	var c C.int
	err = result(C.try_open(p, &c))
	return int(c), err
}
