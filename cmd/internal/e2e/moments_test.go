//go:build linux

package e2e

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// moments tells when a daemon writes to its state folder, so that it can be
// killed right then.
type moments struct {
	file *os.File
}

// watchMoments watches all folders below dir.
func watchMoments(t *testing.T, dir string) *moments {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	m := &moments{file: os.NewFile(uintptr(fd), "inotify")}
	t.Cleanup(func() { _ = m.file.Close() })
	const events = unix.IN_CREATE | unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_DELETE
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		_, err = unix.InotifyAddWatch(fd, path, events)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// next reads the changes that come before the deadline, and counts them.
func (m *moments) next(deadline time.Time) int {
	_ = m.file.SetReadDeadline(deadline)
	b := make([]byte, 64<<10)
	n, err := m.file.Read(b)
	if err != nil {
		return 0
	}
	count := 0
	for b = b[:n]; len(b) >= unix.SizeofInotifyEvent; count++ {
		length := int(b[12]) | int(b[13])<<8 | int(b[14])<<16 | int(b[15])<<24
		b = b[unix.SizeofInotifyEvent+length:]
	}
	return count
}

// drain forgets what has changed so far.
func (m *moments) drain() {
	for m.next(time.Now().Add(2*time.Millisecond)) > 0 {
	}
}

// killAfter kills pid once the state folder has changed so many times, and a
// moment later; done ends the wait, and then nobody is killed.
func (m *moments) killAfter(pid, changes int, done <-chan struct{}) (killed bool) {
	for changes > 0 {
		select {
		case <-done:
			return false
		default:
			changes -= m.next(time.Now().Add(20 * time.Millisecond))
		}
	}
	for end := time.Now().Add(time.Duration(rand.IntN(400)) * time.Microsecond); time.Now().Before(end); {
	}
	return syscall.Kill(pid, syscall.SIGKILL) == nil
}
