//go:build linux

package rig

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// dirPrefix starts the name of every rig's folder; the script removes no other.
const dirPrefix = "vpcscd-"

// script runs inside the namespaces and keeps them alive. It takes commands on
// its standard input, whose end, however it came about, is the end of pcscd,
// the namespaces and the folder: that needs nothing of the program outside, and
// works where that may not signal anybody here.
const script = `
set -u
dir=$1; pcscd=$2
PATH=$PATH:/usr/sbin:/sbin
prepare() {
	mount --make-rprivate / &&
	mount -t tmpfs tmpfs /run &&
	mkdir /run/pcscd &&
	mount --bind "$dir/ipc" /run/pcscd &&
	{ [ ! -d /dev/bus/usb ] || mount -t tmpfs tmpfs /dev/bus/usb; } &&
	ip link set lo up || return
	# vpcd sends length and payload apart: without immediate acknowledgements
	# each command would take 40 ms. Only speed is lost if this fails.
	ip route replace table local local 127.0.0.1 dev lo proto kernel scope host src 127.0.0.1 quickack 1 2>/dev/null
	:
}
end() {
	[ -z "$pid" ] && return
	kill -s "$1" "$pid"
	wait "$pid"
	pid=
}
pid=
if ! prepare; then exit 1; fi
echo "ok $$"
while read -r verb arg; do
	case $verb in
	start)
		rm -f "$dir/ipc/pcscd.comm" "$dir/ipc/pcscd.pid"
		PCSCLITE_HP_DROPDIR="$dir/none" setpriv --pdeathsig KILL \
			"$pcscd" --foreground --info --config "$dir/conf" </dev/null >>"$dir/log" 2>&1 &
		pid=$!
		echo "ok $pid";;
	end)
		end "$arg" 2>/dev/null
		echo "ok";;
	esac
done
end KILL 2>/dev/null
case $dir in */` + dirPrefix + `*) rm -rf "$dir";; esac
`

// relay connects its standard streams with a port inside the namespace, for
// those who may not enter it themselves. It ends when either side does.
const relay = `exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
exec 4<&0
cat <&3 & cat <&4 >&3 &
wait -n; kill $(jobs -p) 2>/dev/null`

// MissingError says what a rig needs and this machine does not have.
type MissingError struct {
	What    []string // programs, libraries or rights
	Package []string // of Debian and Ubuntu, for what can be installed
}

func (e *MissingError) Error() string {
	s := "cannot run a private pcscd: missing " + strings.Join(e.What, ", ")
	if len(e.Package) > 0 {
		s += " (Debian packages: " + strings.Join(e.Package, ", ") + ")"
	}
	return s
}

// programs is what a rig is made of.
type programs struct {
	pcscd, driver string
	enter         []string // what to put before unshare
	unshare       []string
	rootless      bool // not root here: cards get in through relay
	userns        bool
}

// findPrograms looks for what a rig needs.
func findPrograms() (programs, error) {
	var p programs
	missing := &MissingError{}
	miss := func(what, pkg string) {
		missing.What = append(missing.What, what)
		missing.Package = append(missing.Package, pkg)
	}
	if p.pcscd = lookUp("pcscd"); p.pcscd == "" {
		miss("pcscd", "pcscd")
	}
	if p.driver = findDriver(); p.driver == "" {
		miss("libifdvpcd.so", "vsmartcard-vpcd")
	}
	for _, t := range [][2]string{
		{"bash", "bash"}, {"unshare", "util-linux"}, {"nsenter", "util-linux"}, {"setpriv", "util-linux"},
		{"mount", "mount"}, {"ip", "iproute2"},
	} {
		if lookUp(t[0]) == "" {
			miss(t[0], t[1])
		}
	}
	if len(missing.What) > 0 {
		return p, missing
	}
	return p, p.findRights()
}

// findRights finds a way to make namespaces: as root, in a user namespace, or
// with sudo.
func (p *programs) findRights() error {
	namespaces := []string{"unshare", "--mount", "--net"}
	if os.Geteuid() == 0 {
		p.unshare = namespaces
		if out, err := try(p.unshare, "true"); err != nil {
			return fmt.Errorf("cannot run a private pcscd: cannot make namespaces although root: %w: %s", err, out)
		}
		return nil
	}
	p.rootless = true
	p.unshare = append(namespaces, "--map-root-user")
	if _, err := try(p.unshare, "mount", "-t", "tmpfs", "tmpfs", "/run"); err == nil {
		p.userns = true
		return nil
	}
	p.enter, p.unshare = []string{"sudo", "-n"}, namespaces
	if _, err := try(append(p.enter, p.unshare...), "true"); err == nil {
		return nil
	}
	return &MissingError{What: []string{"root, user namespaces, or sudo without a password"}}
}

func try(before []string, args ...string) (string, error) {
	all := append(append([]string(nil), before...), args...)
	out, err := exec.Command(all[0], all[1:]...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// lookUp finds a program also where only root's PATH leads; "" when missing.
func lookUp(name string) string {
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if p, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return p
		}
	}
	return ""
}

func findDriver() string {
	for _, lib := range []string{"/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/lib/" + runtime.GOARCH} {
		p := filepath.Join(lib, "pcsc/drivers/serial/libifdvpcd.so")
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return ""
}

// holder is the script at work.
type holder struct {
	programs
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr *lockedBuffer
	lines  chan string
	pid    string // of the script, for entering its namespaces
}

func startHolder(ctx context.Context, p programs, dir string) (*holder, error) {
	args := append(append([]string(nil), p.enter...), p.unshare...)
	args = append(args, lookUp("bash"), "-c", script, "pcscd-holder", dir, p.pcscd)
	h := &holder{programs: p, cmd: exec.Command(args[0], args[1:]...), lines: make(chan string), stderr: &lockedBuffer{}}
	h.cmd.Dir = "/"
	h.cmd.Stderr = h.stderr
	stdin, err := h.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot start pcscd: %w", err)
	}
	stdout, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot start pcscd: %w", err)
	}
	h.stdin = stdin
	if err := h.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start pcscd: %w", err)
	}
	go func() {
		defer close(h.lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			h.lines <- s.Text()
		}
	}()
	if h.pid, err = h.reply(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot make namespaces for pcscd: %w", err), h.close())
	}
	return h, nil
}

// command has the script do something.
func (h *holder) command(ctx context.Context, line string) error {
	if _, err := io.WriteString(h.stdin, line+"\n"); err != nil {
		return err
	}
	_, err := h.reply(ctx)
	return err
}

func (h *holder) reply(ctx context.Context) (string, error) {
	select {
	case l, ok := <-h.lines:
		if !ok {
			return "", fmt.Errorf("the process that holds it ended: %s", h.stderr)
		}
		return strings.TrimSpace(strings.TrimPrefix(l, "ok")), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// close ends the script, and with it pcscd and the namespaces.
func (h *holder) close() error {
	_ = h.stdin.Close() // it may have ended by itself
	grace := time.AfterFunc(5*time.Second, func() { _ = h.cmd.Process.Kill() })
	defer grace.Stop()
	for range h.lines { // Wait must come after the last read
	}
	if err := h.cmd.Wait(); err != nil {
		return fmt.Errorf("cannot end pcscd cleanly: %w: %s", err, h.stderr)
	}
	return nil
}

// dial connects to a port inside the namespace, waiting for vpcd to listen.
func (h *holder) dial(ctx context.Context, port int) (io.ReadWriteCloser, error) {
	if h.rootless {
		return h.dialRelay(port)
	}
	for {
		conn, err := dialInside("/proc/"+h.pid+"/ns/net", port)
		if err == nil {
			return conn, nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// dialInside makes a connection in another network namespace. The thread that
// entered it ends with the goroutine, so that no other code ever runs there.
func dialInside(namespace string, port int) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked
		conn, err := dialAfterEntering(namespace, port)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

func dialAfterEntering(namespace string, port int) (net.Conn, error) {
	ns, err := os.Open(namespace)
	if err != nil {
		return nil, err
	}
	defer func() { _ = ns.Close() }() // opened for reading
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("cannot enter the network namespace: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), "vpcd")
	defer func() { _ = f.Close() }() // net.FileConn has its own copy
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, fmt.Errorf("cannot connect to vpcd: %w", err)
	}
	return net.FileConn(f)
}

// dialRelay connects through a process that enters the namespaces.
func (h *holder) dialRelay(port int) (io.ReadWriteCloser, error) {
	args := append(append([]string(nil), h.enter...), "nsenter", "--target", h.pid, "--net")
	if h.userns {
		args = append(args, "--user", "--preserve-credentials")
	}
	args = append(args, lookUp("bash"), "-c", relay, "vpcd-relay", strconv.Itoa(port))
	cmd := exec.Command(args[0], args[1:]...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &relayed{Reader: stdout, WriteCloser: stdin, cmd: cmd}, nil
}

// relayed is a connection whose other end a process carries on.
type relayed struct {
	io.Reader
	io.WriteCloser
	cmd  *exec.Cmd
	once sync.Once
}

// Close ends the relay by ending its input.
func (r *relayed) Close() error {
	err := r.WriteCloser.Close()
	r.once.Do(func() { _ = r.cmd.Wait() }) // its status says nothing new
	return err
}

// lockedBuffer keeps the first 4096 bytes written to it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Write(p[:min(len(p), max(0, 4096-l.b.Len()))])
	return len(p), nil
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimSpace(l.b.String())
}
