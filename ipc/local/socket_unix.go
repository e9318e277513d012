//go:build unix

package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenbridge/tokend/ipc"
)

// maxPath is what fits into sockaddr_un beside the closing NUL.
const maxPath = len(unix.RawSockaddrUnix{}.Path) - 1

// probeTime is how long a daemon has to answer a connect before its socket
// counts as in use without an answer.
const probeTime = 2 * time.Second

// Listen listens at path, which must be absolute. It makes the folder where it
// is missing, refuses one in which others could replace the socket, and takes
// the place of a socket that is left from a daemon that died. Where another
// daemon answers it fails with ErrInUse. Closing the listener removes the
// socket, unless another has taken its place.
func Listen(path string, o Options) (net.Listener, error) {
	o = o.withDefaults()
	l, err := listen(path, o)
	if err != nil {
		return nil, fmt.Errorf("cannot listen at %s: %w", path, err)
	}
	return l, nil
}

func listen(path string, o Options) (net.Listener, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	if err := makeDir(dir, o.DirMode); err != nil {
		return nil, err
	}
	// The folder's lock keeps two daemons that start at once from removing
	// each other's fresh socket as stale. It is given back at once.
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	return bind(path, o.Mode)
}

func bind(path string, mode fs.FileMode) (net.Listener, error) {
	// A socket's mode before bind narrows the mode of its file on Linux, so
	// that there is no moment at which others could connect. Elsewhere the
	// folder keeps them out until the chmod below.
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.Fchmod(int(fd), uint32(mode.Perm())) })
	}}
	nl, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, reason(err)
	}
	ul, ok := nl.(*net.UnixListener)
	if !ok {
		_ = nl.Close()
		return nil, fmt.Errorf("cannot listen with a %T", nl)
	}
	l := &listener{UnixListener: ul, path: path}
	l.SetUnlinkOnClose(false)
	if err = os.Chmod(path, mode.Perm()); err == nil {
		l.file, err = os.Lstat(path)
	}
	if err != nil {
		_ = l.UnixListener.Close()
		_ = os.Remove(path)
		return nil, err
	}
	return l, nil
}

type listener struct {
	*net.UnixListener
	path  string
	file  fs.FileInfo
	close sync.Once
}

func (l *listener) Close() error {
	err := net.ErrClosed
	l.close.Do(func() {
		if now, e := os.Lstat(l.path); e == nil && os.SameFile(now, l.file) {
			_ = os.Remove(l.path)
		}
		err = l.UnixListener.Close()
	})
	return err
}

func checkPath(path string) error {
	if !filepath.IsAbs(path) {
		return errors.New("the path is not absolute")
	}
	if len(path) > maxPath {
		return &PathTooLongError{Path: path, Max: maxPath}
	}
	return nil
}

// makeDir makes the socket's folder and refuses one that is not safe: whoever
// can write to it can put his own socket in our place.
func makeDir(dir string, mode fs.FileMode) error {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(dir), mode.Perm()); err != nil {
			return err
		}
		if err := os.Mkdir(dir, mode.Perm()); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		// Mkdir is subject to the umask, which may have taken too much.
		if err := os.Chmod(dir, mode.Perm()); err != nil {
			return err
		}
	}
	st, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return fmt.Errorf("%s is not a folder", dir)
	}
	owner, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("cannot tell whose folder %s is", dir)
	}
	if uid := int(owner.Uid); uid != 0 && uid != os.Geteuid() {
		return fmt.Errorf("the folder %s belongs to user %d", dir, uid)
	}
	// The sticky bit of a folder like /tmp keeps others from taking our socket
	// away, but not from having put theirs there first, nor from holding the
	// folder's lock.
	if st.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others can write to the folder %s (mode %#o)", dir, st.Mode().Perm())
	}
	return nil
}

func lockDir(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("cannot lock the folder %s: %w", dir, err)
	}
	return func() { _ = f.Close() }, nil
}

// removeStale removes the socket at path if it is ours and nobody answers.
func removeStale(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode()&fs.ModeSocket == 0 {
		return errors.New("a file that is no socket is in the way")
	}
	if owner, ok := st.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != os.Geteuid() {
		return errors.New("a socket of another user is in the way")
	}
	c, err := (&net.Dialer{Timeout: probeTime}).DialContext(context.Background(), "unix", path)
	if err == nil {
		_ = c.Close()
		return ErrInUse
	}
	// Only a refused connection proves that nobody listens: a full queue or a
	// timeout means a daemon that is busy.
	if !errors.Is(err, unix.ECONNREFUSED) {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("%w or hangs: %w", ErrInUse, reason(err))
	}
	return os.Remove(path)
}

// Dial connects to the daemon at path and makes sure that it is root's or the
// caller's own; else it fails with *StrangerError.
func Dial(ctx context.Context, path string) (net.Conn, error) {
	if len(path) > maxPath {
		return nil, &PathTooLongError{Path: path, Max: maxPath}
	}
	c, err := dial(ctx, path)
	if err != nil {
		return nil, reason(err)
	}
	if err := checkServer(c, path); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// roomTime is how long a connection is tried while as many wait to be accepted as can,
// and roomEvery how often. Everybody can connect to the system's daemon, and so fill
// that queue.
const (
	roomTime  = 10 * time.Second
	roomEvery = 2 * time.Millisecond
)

// dial connects, and waits for room where the system would have a connection wait that
// may block.
func dial(ctx context.Context, path string) (net.Conn, error) {
	over := time.NewTimer(roomTime)
	defer over.Stop()
	again := time.NewTicker(roomEvery)
	defer again.Stop()
	for {
		c, err := new(net.Dialer).DialContext(ctx, "unix", path)
		if !errors.Is(err, unix.EAGAIN) {
			return c, err
		}
		select {
		case <-again.C:
		case <-over.C:
			return nil, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// checkServer relies on the kernel's note of who called listen.
func checkServer(c net.Conn, path string) error {
	cred, err := peer(c)
	if err != nil {
		return err
	}
	nobody := cred.uid == overflowUID()
	if nobody || (cred.uid != 0 && cred.uid != uint32(os.Geteuid())) {
		return &StrangerError{Path: path, Owner: strconv.FormatUint(uint64(cred.uid), 10), Nobody: nobody}
	}
	return nil
}

// Nobody is the overflow uid where this process has it, and so is served by no daemon
// and trusts none; empty else.
func Nobody() string {
	if uid := uint32(os.Geteuid()); uid == overflowUID() {
		return strconv.FormatUint(uint64(uid), 10)
	}
	return ""
}

// Principal names the process at the other end of an accepted connection: its
// uid, its pid, and what the system tells of the process. Root and the daemon's
// own user are Admin. It fails with ErrUnidentified for the overflow uid and for
// a connection that is no unix socket.
func Principal(c net.Conn) (ipc.Principal, error) {
	var p ipc.Principal
	cred, err := peerWith(c, func(fd int, cred credentials) { p = describePeer(ipc.Principal{PID: cred.pid}, fd, cred.uid) })
	if err != nil {
		return ipc.Principal{}, err
	}
	return named(p, cred.uid)
}

// noUID is what Linux answers for a socket that has no peer credentials, TCP's.
const noUID = ^uint32(0)

type credentials struct {
	uid uint32
	pid int
}

func peer(c net.Conn) (credentials, error) { return peerWith(c, func(int, credentials) {}) }

// peerWith hands f the socket too, while it is sure to be open.
func peerWith(c net.Conn, f func(fd int, cred credentials)) (credentials, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return credentials{}, fmt.Errorf("%w: no socket of this system", ErrUnidentified)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return credentials{}, fmt.Errorf("%w: %w", ErrUnidentified, err)
	}
	var cred credentials
	var credErr error
	err = raw.Control(func(fd uintptr) {
		if cred, credErr = peerOf(int(fd)); credErr == nil {
			f(int(fd), cred)
		}
	})
	if err != nil {
		return credentials{}, fmt.Errorf("%w: %w", ErrUnidentified, err)
	}
	if credErr != nil {
		return credentials{}, fmt.Errorf("%w: %w", ErrUnidentified, credErr)
	}
	if cred.uid == noUID {
		return credentials{}, fmt.Errorf("%w: the socket has no peer on this machine", ErrUnidentified)
	}
	return cred, nil
}

// reason strips what net says of the path: our own messages name it already.
func reason(err error) error {
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		return sys.Err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
