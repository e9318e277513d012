package local

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tokenbridge/tokend/ipc"
)

// describe completes p by what the kernel tells of process p.PID: its short name,
// unit (or terminal), login session and file. pidfd, where it is not negative, refers
// to the process that is meant; it stays open. If that has ended, nothing is added:
// its number may be another's by now. So it is if the process is not one of user uid:
// it has only the number of the one that is meant, and its file is not shown to others.
func describe(p ipc.Principal, pidfd int, uid uint32) ipc.Principal {
	if p.PID <= 0 {
		return p
	}
	dir, err := unix.Open("/proc/"+strconv.Itoa(p.PID), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return p
	}
	defer func() { _ = unix.Close(dir) }()
	// An open folder of /proc stays that of the process it was opened for. If the
	// one meant is alive now, it had its number when the folder was opened.
	if pidfd >= 0 && !alive(pidfd) {
		return p
	}
	if !runsAs(readAt(dir, "status"), uid) {
		return p
	}
	p.Program = printable(strings.TrimSuffix(readAt(dir, "comm"), "\n"))
	p.Unit, p.Session = unitOf(readAt(dir, "cgroup"))
	if p.Unit == "" {
		p.Leader, p.Terminal = windowOf(readAt(dir, "stat"))
	}
	p.Exe = linkAt(dir, "exe")
	return p
}

// runsAs says whether one of the uids in /proc/PID/status (real, effective,
// saved, of the file system) is uid.
func runsAs(status string, uid uint32) bool {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "Uid:"); ok {
			return slices.Contains(strings.Fields(rest), strconv.FormatUint(uint64(uid), 10))
		}
	}
	return false
}

// alive says whether the process of a pidfd has not ended. Another user's may
// not be signalled, but it is there.
func alive(pidfd int) bool {
	err := unix.PidfdSendSignal(pidfd, 0, nil, 0)
	return err == nil || errors.Is(err, unix.EPERM)
}

// maxProc bounds what is read of one file in /proc, in bytes.
const maxProc = 8 << 10

// readAt reads a file without package os, which would try to wait for it.
func readAt(dir int, name string) string {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer func() { _ = unix.Close(fd) }()
	b := make([]byte, 0, 512)
	for len(b) < maxProc {
		if len(b) == cap(b) {
			b = slices.Grow(b, cap(b))
		}
		n, err := unix.Read(fd, b[len(b):cap(b)])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return ""
		}
		if n == 0 {
			break
		}
		b = b[:len(b)+n]
	}
	return string(b)
}

// linkAt reads a link; a process of another user, or one that is not dumpable,
// does not show where it leads.
func linkAt(dir int, name string) string {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, b)
	if err != nil || n == len(b) {
		return ""
	}
	return printable(string(b[:n]))
}

// unitOf finds the unit and the login session in /proc/PID/cgroup, by the names
// that systemd gives its groups: the innermost service or scope, and the scope
// session-ID.scope of a login. The line of the unified hierarchy counts before
// that of systemd's own.
func unitOf(cgroup string) (unit, session string) {
	path := ""
	for line := range strings.Lines(cgroup) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "0::"); ok && rest != "/" {
			path = rest
			break
		}
		if _, rest, ok := strings.Cut(line, ":name=systemd:"); ok {
			path = rest
		}
	}
	for part := range strings.SplitSeq(path, "/") {
		if !strings.HasSuffix(part, ".service") && !strings.HasSuffix(part, ".scope") {
			continue
		}
		unit = printable(part)
		if id, ok := strings.CutPrefix(part, "session-"); ok && strings.HasSuffix(id, ".scope") {
			session = printable(strings.TrimSuffix(id, ".scope"))
		}
	}
	return unit, session
}

// windowOf finds in /proc/PID/stat who leads the process session, 0 where that is
// not told, and its controlling terminal, empty for none. A process can leave
// both, and enter neither.
func windowOf(stat string) (leader int, terminal string) {
	// The name before it is the program's own, and can hold anything.
	_, rest, ok := strings.Cut(stat[max(0, strings.LastIndexByte(stat, ')')):], ") ")
	fields := strings.Fields(rest) // state, parent, group, session, terminal, …
	if !ok || len(fields) < 5 {
		return 0, ""
	}
	leader, err := strconv.Atoi(fields[3])
	if err != nil || leader <= 0 {
		return 0, ""
	}
	dev, err := strconv.ParseInt(fields[4], 10, 64)
	if err != nil {
		return leader, ""
	}
	return leader, terminalName(uint64(uint32(dev)))
}

// The kernel's numbers of terminals (Documentation/admin-guide/devices.txt).
const (
	majorTTY    = 4 // consoles, and from 64 on serial lines
	firstSerial = 64
	majorPTS    = 136
)

// terminalName is a terminal as its device file is called, without /dev/; empty
// for no terminal.
func terminalName(dev uint64) string {
	major, minor := unix.Major(dev), unix.Minor(dev)
	switch {
	case dev == 0:
		return ""
	case major == majorPTS:
		return fmt.Sprintf("pts/%d", minor)
	case major == majorTTY && minor < firstSerial:
		return fmt.Sprintf("tty%d", minor)
	case major == majorTTY:
		return fmt.Sprintf("ttyS%d", minor-firstSerial)
	}
	return fmt.Sprintf("%d:%d", major, minor)
}

// describeNamed is describe for a process that is known by its number alone.
func describeNamed(p ipc.Principal, uid uint32) ipc.Principal { return describe(p, -1, uid) }

// describePeer is describe for the process at the other end of a socket. Since
// Linux 6.5 the socket has a pidfd of it.
func describePeer(p ipc.Principal, fd int, uid uint32) ipc.Principal {
	pidfd, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	if err != nil {
		return describe(p, -1, uid)
	}
	defer func() { _ = unix.Close(pidfd) }()
	unix.CloseOnExec(pidfd)
	return describe(p, pidfd, uid)
}
