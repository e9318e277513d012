//go:build cgo && linux && !nofido2

package hid

/*
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/hidraw.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_device(const char *path) {
	return open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
}

static int open_file(const char *path) {
	return open(path, O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
}

static int wait_readable(int fd, int ms) {
	struct pollfd p = {fd, POLLIN, 0};
	int n = poll(&p, 1, ms);
	if (n > 0 && !(p.revents & POLLIN)) {
		errno = ENODEV;
		return -1;
	}
	return n;
}

static int descriptor(int fd, unsigned char *to) {
	struct hidraw_report_descriptor d;
	int n = 0;
	if (ioctl(fd, HIDIOCGRDESCSIZE, &n) == -1 || n < 0 || n > HID_MAX_DESCRIPTOR_SIZE) {
		return -1;
	}
	d.size = (unsigned)n;
	if (ioctl(fd, HIDIOCGRDESC, &d) == -1) {
		return -1;
	}
	memcpy(to, d.value, (size_t)n);
	return n;
}

static const char *entry_name(DIR *d) {
	struct dirent *e = readdir(d);
	return e == NULL ? NULL : e->d_name;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"
	"unsafe"
)

// maxDescriptor is the size of the longest report descriptor, in bytes.
const maxDescriptor = C.HID_MAX_DESCRIPTOR_SIZE

// failed makes an error of what a call of C left in errno.
func failed(what, path string, err error) error {
	return &fs.PathError{Op: what, Path: path, Err: err}
}

// retried repeats a call of C that a signal interrupted; Go's runtime sends many.
func retried(call func() (C.int, error)) (int, error) {
	for {
		n, err := call()
		if n >= 0 {
			return int(n), nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return -1, err
		}
	}
}

func openDevice(path string) (int, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	fd, err := retried(func() (n C.int, err error) { n, err = C.open_device(name); return })
	if err != nil {
		return -1, failed("open", path, err)
	}
	return fd, nil
}

func closeFD(fd int) { C.close(C.int(fd)) }

// lock takes the lock that libfido2 holds while it works with a device. It does
// not wait; ErrLocked says that somebody has it.
func lock(fd int) error {
	_, err := retried(func() (n C.int, err error) { n, err = C.flock(C.int(fd), C.LOCK_EX|C.LOCK_NB); return })
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	if err != nil {
		return fmt.Errorf("cannot lock the device: %w", err)
	}
	return nil
}

// unlock gives the lock back.
func unlock(fd int) error {
	if _, err := retried(func() (n C.int, err error) { n, err = C.flock(C.int(fd), C.LOCK_UN); return }); err != nil {
		return fmt.Errorf("cannot unlock the device: %w", err)
	}
	return nil
}

// isOpenAs says whether the path leads to what fd has open. What is open keeps
// its number, so nothing else can have that.
func isOpenAs(fd int, path string) bool {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var a, b C.struct_stat
	if C.fstat(C.int(fd), &a) != 0 || C.stat(name, &b) != 0 {
		return false
	}
	return a.st_dev == b.st_dev && a.st_ino == b.st_ino
}

// readable waits for something to read for at most so long.
func readable(fd int, wait time.Duration) (bool, error) {
	n, err := C.wait_readable(C.int(fd), C.int(max(wait, 0).Milliseconds()))
	if n < 0 && errors.Is(err, syscall.EINTR) {
		return false, nil
	}
	if n < 0 {
		return false, err
	}
	return n > 0, nil
}

func read(fd int, b []byte) (int, error) {
	n, err := C.read(C.int(fd), unsafe.Pointer(unsafe.SliceData(b)), C.size_t(len(b)))
	if n < 0 {
		return 0, err
	}
	return int(n), nil
}

func write(fd int, b []byte) (int, error) {
	n, err := C.write(C.int(fd), unsafe.Pointer(unsafe.SliceData(b)), C.size_t(len(b)))
	if n < 0 {
		return 0, err
	}
	return int(n), nil
}

// descriptor returns a device's report descriptor, nil where it has none.
func descriptor(fd int) []byte {
	b := make([]byte, maxDescriptor)
	n := int(C.descriptor(C.int(fd), (*C.uchar)(unsafe.SliceData(b))))
	if n < 0 {
		return nil
	}
	return b[:n]
}

// Status is what the system says of a device node.
type Status struct {
	// Device, Inode and Number tell one node from another.
	Device, Inode, Number uint64
	// Character says that it is a character device, as every FIDO key is.
	Character bool
	// Mode, UID and GID say who may use it.
	Mode     fs.FileMode
	UID, GID uint32
}

// Stat asks the system about a path, following symbolic links.
func Stat(path string) (Status, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var st C.struct_stat
	if n, err := C.stat(name, &st); n != 0 {
		return Status{}, failed("stat", path, err)
	}
	return Status{
		Device: uint64(st.st_dev), Inode: uint64(st.st_ino), Number: uint64(st.st_rdev),
		Character: st.st_mode&C.S_IFMT == C.S_IFCHR,
		Mode:      fs.FileMode(st.st_mode & 0o777), UID: uint32(st.st_uid), GID: uint32(st.st_gid),
	}, nil
}

// Usable says whether this process may read and write what is at the path; nil
// means it may. Nothing is opened.
func Usable(path string) error {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	if n, err := C.access(name, C.R_OK|C.W_OK); n != 0 {
		return failed("access", path, err)
	}
	return nil
}

// readFile reads the first bytes of a small file, as those in /sys.
func readFile(path string, limit int) ([]byte, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	fd, err := retried(func() (n C.int, err error) { n, err = C.open_file(name); return })
	if err != nil {
		return nil, failed("open", path, err)
	}
	defer closeFD(fd)
	b := make([]byte, limit)
	n := 0
	for n < limit {
		more, err := read(fd, b[n:])
		if err != nil {
			return nil, failed("read", path, err)
		}
		if more == 0 {
			break
		}
		n += more
	}
	return b[:n], nil
}

// readDir names what is in a folder, at most limit entries.
func readDir(path string, limit int) ([]string, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	dir, err := C.opendir(name)
	if dir == nil {
		return nil, failed("open", path, err)
	}
	defer C.closedir(dir)
	var out []string
	for len(out) < limit {
		entry := C.entry_name(dir)
		if entry == nil {
			break
		}
		if s := C.GoString(entry); s != "." && s != ".." {
			out = append(out, s)
		}
	}
	return out, nil
}

// Sync orders what another goroutine did before its last call of C before what
// the caller does next. The race detector knows of no other order between a
// goroutine inside libfido2 and one that calls it off.
func Sync() { C.getpid() }

// Changes tells when something comes into a folder, leaves it, or changes its
// access rights.
type Changes struct{ fd int }

// WatchFolder begins to watch a folder.
func WatchFolder(path string) (*Changes, error) {
	fd, err := retried(func() (n C.int, err error) { n, err = C.inotify_init1(C.IN_NONBLOCK | C.IN_CLOEXEC); return })
	if err != nil {
		return nil, fmt.Errorf("cannot watch %s: %w", path, err)
	}
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	const mask = C.IN_CREATE | C.IN_DELETE | C.IN_MOVED_FROM | C.IN_MOVED_TO | C.IN_ATTRIB | C.IN_ONLYDIR
	if _, err := retried(func() (n C.int, err error) { n, err = C.inotify_add_watch(C.int(fd), name, mask); return }); err != nil {
		closeFD(fd)
		return nil, fmt.Errorf("cannot watch %s: %w", path, err)
	}
	return &Changes{fd: fd}, nil
}

// Wait waits for at most so long and returns the names of what changed. lost
// says that so much changed that not all of it is told.
func (c *Changes) Wait(wait time.Duration) (names []string, lost bool, err error) {
	some, err := readable(c.fd, wait)
	if err != nil || !some {
		return nil, false, err
	}
	b := make([]byte, 16<<10)
	n, err := read(c.fd, b)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("cannot read changes: %w", err)
	}
	names, lost = parseChanges(b[:n])
	return names, lost, nil
}

// Close ends the watch.
func (c *Changes) Close() { closeFD(c.fd) }
