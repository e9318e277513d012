package vfido

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lineWatch is how often a line that nobody has open is looked at.
	lineWatch = 2 * time.Millisecond
	// linePatience is how long a report waits for a client that reads nothing
	// while a terminal's buffers (about 64 KiB) are full.
	linePatience = 500 * time.Millisecond
)

// line is a raw pseudo-terminal made to behave like a hidraw device: whole
// reports, and nothing kept for who opens it later.
//
// Nobody here keeps the clients' end open: only so the kernel tells when the
// last of them left.
type line struct {
	master *os.File
	path   string

	report [reportSize]byte // being read
	have   int

	nobody  atomic.Bool // has it open
	dirty   atomic.Bool // something was written since it was drained
	write   sync.Mutex
	rest    []byte // of a report that was written in part
	stalled bool   // the last report was dropped
}

func openLine() (*line, error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open a pseudo-terminal: %w", err)
	}
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	l := &line{path: "/dev/pts/" + strconv.Itoa(int(n))}
	if err == nil {
		err = l.client(func(fd int) error {
			// Raw, and nothing to read until a whole report is there.
			raw := unix.Termios{Cflag: unix.CS8 | unix.CREAD | unix.CLOCAL}
			raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = packetSize, 0
			return unix.IoctlSetTermios(fd, unix.TCSETS, &raw)
		})
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("cannot set up a pseudo-terminal: %w", err)
	}
	// It does not block, so Go polls it and Close ends a Read. Fd would make
	// it block.
	l.master = os.NewFile(uintptr(fd), "/dev/ptmx")
	l.nobody.Store(true)
	return l, nil
}

// client does something with the clients' end.
func (l *line) client(f func(fd int) error) error {
	fd, err := unix.Open(l.path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return f(fd)
}

func (l *line) at() string { return l.path }

func (l *line) close() { _ = l.master.Close() }

// Read reads one report that a client wrote; b has room for one.
func (l *line) Read(b []byte) (int, error) {
	for {
		n, err := l.master.Read(l.report[l.have:])
		l.have += n
		switch {
		case l.have == reportSize:
			l.have = 0
			l.nobody.Store(false)
			return copy(b, l.report[:]), nil
		case errors.Is(err, unix.EIO): // the last client left
			l.have = 0
			l.nobody.Store(true)
			l.drain()
			time.Sleep(lineWatch)
		case err != nil:
			return 0, err
		}
	}
}

// drain drops what the last client left unread: a hidraw device has a queue for
// each who opens it.
func (l *line) drain() {
	if !l.dirty.Load() {
		return
	}
	l.write.Lock()
	defer l.write.Unlock()
	l.rest, l.stalled = nil, false
	_ = l.client(func(fd int) error {
		// What did not fit into one buffer comes out of another a bit later.
		for range 100 {
			if err := unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH); err != nil {
				return err
			}
			time.Sleep(time.Millisecond)
			if n, err := unix.IoctlGetInt(fd, unix.TIOCINQ); err != nil || n == 0 {
				return err
			}
		}
		return nil
	})
	l.dirty.Store(false)
}

// Write writes one report, or drops it when nobody is there to read it, as a
// hidraw device does.
func (l *line) Write(report []byte) (int, error) {
	l.write.Lock()
	defer l.write.Unlock()
	if l.nobody.Load() {
		return len(report), nil
	}
	l.dirty.Store(true)
	if len(l.rest) > 0 && !l.put(l.rest, 0) {
		return len(report), nil
	}
	patience := linePatience
	if l.stalled {
		patience = 0
	}
	l.stalled = !l.put(report, patience)
	return len(report), nil
}

// put writes what it can within d; false when that was not all. What is left of
// a report that was begun goes before the next, lest reports be out of step. An
// error is for Read to see, too.
func (l *line) put(b []byte, d time.Duration) bool {
	if err := l.master.SetWriteDeadline(time.Now().Add(d + time.Millisecond)); err != nil {
		return false
	}
	n, err := l.master.Write(b)
	if n > 0 {
		l.rest = append([]byte(nil), b[n:]...)
	}
	return err == nil
}
