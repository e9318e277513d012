package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"

	"github.com/tokenbridge/tokend/ipc"
)

const pipePrefix = `\\.\pipe\`

// maxPath is a pipe name's limit, CreateNamedPipe.
const maxPath = 256

// SystemSocket is the name of the system daemon's pipe.
func SystemSocket() string { return pipePrefix + "tokend" }

// UserSocket is the name of the caller's own daemon's pipe; it holds his SID.
func UserSocket() (string, error) {
	sid, err := ownSID()
	if err != nil {
		return "", fmt.Errorf("cannot tell the user's own pipe: %w", err)
	}
	return pipePrefix + "tokend-" + sid.String(), nil
}

func userSockets() []string {
	s, err := UserSocket()
	if err != nil {
		return nil
	}
	return []string{s}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// pipeAccess is FILE_GENERIC_READ|FILE_GENERIC_WRITE without
// FILE_CREATE_PIPE_INSTANCE: whoever had that could answer in our place.
const pipeAccess = "0x12019b"

// descriptor returns the pipe's security descriptor (SDDL): nobody over the
// network; the owner and the system; all local users where public.
func descriptor(owner string, public bool) string {
	d := "O:" + owner + "D:P(D;;GA;;;NU)(A;;GA;;;SY)(A;;GA;;;" + owner + ")"
	if public {
		d += "(A;;GA;;;BA)(A;;" + pipeAccess + ";;;AU)"
	}
	return d
}

// Listen makes the named pipe path. The first instance must be ours: where
// another process has the name it fails with ErrInUse.
func Listen(path string, o Options) (net.Listener, error) {
	o = o.withDefaults()
	if err := checkPath(path); err != nil {
		return nil, fmt.Errorf("cannot listen at %s: %w", path, err)
	}
	sid, err := ownSID()
	if err != nil {
		return nil, fmt.Errorf("cannot listen at %s: %w", path, err)
	}
	l, err := winio.ListenPipe(path, &winio.PipeConfig{
		SecurityDescriptor: descriptor(sid.String(), o.Mode&0o002 != 0),
		InputBufferSize:    64 << 10,
		OutputBufferSize:   64 << 10,
	})
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		err = fmt.Errorf("%w: %w", ErrInUse, err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen at %s: %w", path, err)
	}
	return l, nil
}

func checkPath(path string) error {
	if !strings.HasPrefix(path, pipePrefix) {
		return fmt.Errorf(`a pipe's name begins with %s`, pipePrefix)
	}
	if len(path) > maxPath {
		return &PathTooLongError{Path: path, Max: maxPath}
	}
	return nil
}

// Dial connects to the daemon at path and makes sure that the pipe is the
// caller's own, the system's or the administrators'; else it fails with
// *StrangerError. The daemon may learn who we are and cannot act as us.
func Dial(ctx context.Context, path string) (net.Conn, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	c, err := winio.DialPipeAccessImpLevel(ctx, path, windows.GENERIC_READ|windows.GENERIC_WRITE, winio.PipeImpLevelIdentification)
	if err != nil {
		return nil, err
	}
	if err := checkServer(c, path); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func checkServer(c net.Conn, path string) error {
	h, err := handleOf(c)
	if err != nil {
		return err
	}
	sd, err := windows.GetSecurityInfo(h, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("cannot tell who owns %s: %w", path, err)
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return fmt.Errorf("cannot tell who owns %s: %w", path, err)
	}
	if owner.IsWellKnown(windows.WinLocalSystemSid) || owner.IsWellKnown(windows.WinBuiltinAdministratorsSid) {
		return nil
	}
	own, err := ownSID()
	if err != nil {
		return err
	}
	if !owner.Equals(own) {
		return &StrangerError{Path: path, Owner: owner.String()}
	}
	return nil
}

// Nobody is empty: each user has a SID of his own.
func Nobody() string { return "" }

func handleOf(c net.Conn) (windows.Handle, error) {
	f, ok := c.(interface{ Fd() uintptr })
	if !ok {
		return 0, fmt.Errorf("%w: no named pipe", ErrUnidentified)
	}
	return windows.Handle(f.Fd()), nil
}

// Principal names the process at the other end of an accepted connection: its
// user's SID, its pid, its file and session. The system, the daemon's own user and
// those who act as administrators (elevated, not only members of the group) are
// Admin. It fails with ErrUnidentified where the client opened the pipe without
// SECURITY_IDENTIFICATION or better.
func Principal(c net.Conn) (ipc.Principal, error) {
	h, err := handleOf(c)
	if err != nil {
		return ipc.Principal{}, err
	}
	sid, admin, err := client(h)
	if err != nil {
		return ipc.Principal{}, fmt.Errorf("%w: %w", ErrUnidentified, err)
	}
	if sid.IsWellKnown(windows.WinAnonymousSid) {
		return ipc.Principal{}, fmt.Errorf("%w: the anonymous user", ErrUnidentified)
	}
	own, err := ownSID()
	if err != nil {
		return ipc.Principal{}, err
	}
	p := ipc.Principal{
		UID:   sid.String(),
		Admin: admin || sid.Equals(own) || sid.IsWellKnown(windows.WinLocalSystemSid),
	}
	var pid uint32
	if windows.GetNamedPipeClientProcessId(h, &pid) == nil {
		p.PID = int(pid)
		p = describe(p, sid)
	}
	return p, nil
}

// describe completes p by the file and the session of process p.PID. It adds nothing
// if that is not one of user sid: it has only the number of the one that is meant.
func describe(p ipc.Principal, sid *windows.SID) ipc.Principal {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(p.PID))
	if err != nil {
		return p
	}
	defer func() { _ = windows.CloseHandle(h) }()
	if !runsAs(h, sid) {
		return p
	}
	if p.Exe = programFile(h); p.Exe != "" {
		p.Program = printable(filepath.Base(p.Exe))
	}
	var session uint32
	if windows.ProcessIdToSessionId(uint32(p.PID), &session) == nil {
		p.Session = strconv.FormatUint(uint64(session), 10)
	}
	return p
}

func runsAs(process windows.Handle, sid *windows.SID) bool {
	var t windows.Token
	if err := windows.OpenProcessToken(process, windows.TOKEN_QUERY, &t); err != nil {
		return false
	}
	defer func() { _ = t.Close() }()
	u, err := t.GetTokenUser()
	return err == nil && u.User.Sid.Equals(sid)
}

// client asks for the client's token by impersonating it for a moment, which,
// unlike a look at the process by its id, cannot hit another process.
func client(h windows.Handle) (sid *windows.SID, admin bool, err error) {
	runtime.LockOSThread()
	impersonate := windows.NewLazySystemDLL("advapi32.dll").NewProc("ImpersonateNamedPipeClient")
	if ok, _, err := impersonate.Call(uintptr(h)); ok == 0 {
		runtime.UnlockOSThread()
		return nil, false, fmt.Errorf("cannot impersonate the client: %w", err)
	}
	sid, admin, err = threadUser()
	if e := windows.RevertToSelf(); e != nil {
		// The thread stays locked, so that it ends with this goroutine and
		// nothing else ever runs as the client.
		return nil, false, fmt.Errorf("cannot stop impersonating the client: %w", e)
	}
	runtime.UnlockOSThread()
	return sid, admin, err
}

// threadUser is whom this thread acts as, and whether that is an administrator.
func threadUser() (*windows.SID, bool, error) {
	var t windows.Token
	if err := windows.OpenThreadToken(windows.CurrentThread(), windows.TOKEN_QUERY, true, &t); err != nil {
		return nil, false, fmt.Errorf("cannot open the client's token: %w", err)
	}
	defer func() { _ = t.Close() }()
	u, err := t.GetTokenUser()
	if err != nil {
		return nil, false, fmt.Errorf("cannot read the client's token: %w", err)
	}
	sid, err := u.User.Sid.Copy()
	if err != nil {
		return nil, false, fmt.Errorf("cannot read the client's token: %w", err)
	}
	admins, err := windows.CreateWellKnownSid(windows.WinBuiltinAdministratorsSid)
	if err != nil {
		return nil, false, fmt.Errorf("cannot tell whether the client is an administrator: %w", err)
	}
	// A group that only denies, as without elevation, does not count.
	admin, err := t.IsMember(admins)
	return sid, admin && err == nil, nil
}

func ownSID() (*windows.SID, error) {
	u, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("cannot read the own token: %w", err)
	}
	return u.User.Sid.Copy()
}

// maxProgram bounds the path of a program's file, in UTF-16 units.
const maxProgram = 32 << 10

func programFile(process windows.Handle) string {
	for size := uint32(windows.MAX_PATH); size < 4*maxProgram; size *= 4 {
		buf := make([]uint16, size)
		n := size
		err := windows.QueryFullProcessImageName(process, 0, &buf[0], &n)
		if err == nil {
			return windows.UTF16ToString(buf[:n])
		}
		if !errors.Is(err, windows.ERROR_INSUFFICIENT_BUFFER) {
			break
		}
	}
	return ""
}
