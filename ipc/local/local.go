// Package local carries the API between processes of one machine: it listens
// and dials on unix sockets (named pipes on Windows), and tells each end who
// the other is by what the kernel says, never by what the peer says.
//
// On the daemon's side, Principal names the caller of an accepted connection.
// On the client's side, Dial refuses a daemon that is neither root's nor the
// caller's own, so that no PIN is ever said to a stranger who was first to
// bind the path.
package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// EnvSocket is the environment variable that, when set, names the only socket
// to use.
const EnvSocket = "TOKEND_SOCKET"

// Options says who may connect to a socket. The zero value is right for a
// user's own daemon: nobody but the user.
type Options struct {
	// Mode is the socket's mode, 0600 when zero. On Windows a mode that lets
	// others write (0002) opens the pipe to all local users, else it is the
	// user's own.
	Mode fs.FileMode
	// DirMode is the mode of the socket's folder if it has to be made, 0700
	// when zero. A folder that exists is left as it is.
	DirMode fs.FileMode
}

func (o Options) withDefaults() Options {
	if o.Mode == 0 {
		o.Mode = 0o600
	}
	if o.DirMode == 0 {
		o.DirMode = 0o700
	}
	return o
}

// ErrInUse is the reason why Listen fails where another daemon answers.
var ErrInUse = errors.New("another daemon answers there")

// ErrUnidentified is the reason why Principal fails when the kernel does not
// say who the peer is, or says the overflow uid, which stands for anybody who
// has no number here (another user namespace, a network file system).
var ErrUnidentified = errors.New("cannot tell who is calling")

// StrangerError is the reason why Dial fails when the daemon at Path belongs
// to neither root nor the caller.
type StrangerError struct {
	Path  string
	Owner string // uid or SID
	// Nobody says that Owner is the overflow uid, which can be anybody's.
	Nobody bool
}

func (e *StrangerError) Error() string {
	if e.Nobody {
		return fmt.Sprintf("the daemon at %s has the uid %s, which can be anybody's", e.Path, e.Owner)
	}
	return fmt.Sprintf("the daemon at %s belongs to user %s, who is neither root nor the caller", e.Path, e.Owner)
}

// PathTooLongError is the reason why a path cannot be a socket's.
type PathTooLongError struct {
	Path string
	Max  int // bytes
}

func (e *PathTooLongError) Error() string {
	return fmt.Sprintf("the socket's path is %d bytes long and can have at most %d: %s", len(e.Path), e.Max, e.Path)
}

// Candidates returns the sockets at which a client looks for a daemon, in this
// order: $TOKEND_SOCKET alone where it is set; else the user's own (see
// UserSocket; on Linux also /run/user/UID where $XDG_RUNTIME_DIR is not set, and
// the one in the state folder where it is); then the system's.
func Candidates() []string {
	if s := os.Getenv(EnvSocket); s != "" {
		return []string{s}
	}
	return append(userSockets(), SystemSocket())
}

// DefaultSocket is the first of Candidates that exists, or the first of all
// when none does.
func DefaultSocket() string {
	c := Candidates()
	for _, path := range c {
		if exists(path) {
			return path
		}
	}
	return c[0]
}

// printable keeps a name that a process chose for itself from playing tricks
// in a terminal or a log.
func printable(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c < 0x20 || c > 0x7e {
			b[i] = '?'
		}
	}
	return string(b)
}
