package fidorig

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// maxPorts is how many keys a rig may have.
const maxPorts = 16

// Options say what a rig is like. The zero value is two ports for keys that
// call themselves YubiKeys.
type Options struct {
	// Ports is how many keys there can be at a time, 1 to 16; 0 means 2.
	Ports int
	// Vendor and Product are the USB ids; 0 means 1050 and 0407.
	Vendor, Product uint16
	// Manufacturer and Name are what the keys call themselves.
	Manufacturer, Name string
	// Timeout is how long the start may take; 0 means 10 s.
	Timeout time.Duration
}

func (o Options) complete() (Options, error) {
	if o.Ports == 0 {
		o.Ports = 2
	}
	if o.Vendor == 0 && o.Product == 0 {
		o.Vendor, o.Product = 0x1050, 0x0407
	}
	if o.Manufacturer == "" {
		o.Manufacturer = "Yubico"
	}
	if o.Name == "" {
		o.Name = "YubiKey OTP+FIDO+CCID"
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Ports < 1 || o.Ports > maxPorts {
		return o, fmt.Errorf("cannot start umockdev: %d ports are not 1 to %d", o.Ports, maxPorts)
	}
	if strings.Contains(o.Manufacturer+o.Name, "\n") {
		return o, errors.New("cannot start umockdev: a name holds a line's end")
	}
	return o, nil
}

// Rig is a place where libfido2 enumerates virtual keys. Its methods are safe
// for concurrent use.
type Rig struct {
	dir   string // umockdev's
	own   *holder
	ports []*port
}

// port is one port and its entry in sysfs, which is there while a key is.
type port struct {
	*vfido.Port
	mu    sync.Mutex
	entry string // the link's path
	to    string // and what it says
}

// TB is what Start needs of a test; *testing.T, *testing.B and *testing.F have
// it.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Start is New for a test: it fails the test when there is no rig to be had,
// and ends the rig with it.
func Start(tb TB, o Options) *Rig {
	tb.Helper()
	r, err := New(context.Background(), o)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	tb.Cleanup(func() {
		if err := r.Close(); err != nil {
			tb.Errorf("%v", err)
		}
	})
	return r
}

// New starts a rig with empty ports.
func New(ctx context.Context, o Options) (*Rig, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	// It tells where umockdev put everything, and lives as long as its input.
	h, err := startHolder(ctx, o)
	if err != nil {
		return nil, err
	}
	r, err := prepare(h.dir, o.Ports)
	if err != nil {
		return nil, errors.Join(err, h.close())
	}
	r.own = h
	return r, nil
}

// prepare empties the ports that umockdev filled.
func prepare(dir string, ports int) (*Rig, error) {
	r := &Rig{dir: dir}
	for n := range ports {
		dev := filepath.Join(dir, "dev", node(n))
		entry := filepath.Join(dir, "sys/class/hidraw", node(n))
		to, err := os.Readlink(entry)
		if err != nil {
			return nil, fmt.Errorf("cannot set umockdev up: %w", err)
		}
		if err := errors.Join(os.Remove(entry), os.Remove(dev)); err != nil {
			return nil, fmt.Errorf("cannot set umockdev up: %w", err)
		}
		r.ports = append(r.ports, &port{Port: vfido.NewPort(dev), entry: entry, to: to})
	}
	return r, nil
}

// Env is what to add to the environment of a program so that its libfido2
// finds the keys, and them alone.
func (r *Rig) Env() []string { return []string{"UMOCKDEV_DIR=" + r.dir, preload()} }

// preload keeps what else is preloaded, a sanitizer's library for one.
func preload() string {
	const lib = "libumockdev-preload.so.0"
	if had := os.Getenv("LD_PRELOAD"); had != "" && !strings.Contains(had, lib) {
		return "LD_PRELOAD=" + lib + ":" + had
	}
	return "LD_PRELOAD=" + lib
}

// Path is where a program with the environment Env finds the key in port n.
func (r *Rig) Path(n int) string { return "/dev/" + node(n) }

// Key is the key in port n, nil when none is.
func (r *Rig) Key(n int) *vfido.Key { return r.ports[n].Key() }

// Port is port n, whose Path is where programs without Env find the key in it.
// Insert and Remove it by the rig.
func (r *Rig) Port(n int) *vfido.Port { return r.ports[n].Port }

// Insert puts a key into port n.
func (r *Rig) Insert(k *vfido.Key, n int) error {
	p, err := r.port(n)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.Port.Insert(k); err != nil {
		return err
	}
	if err := os.Symlink(p.to, p.entry); err != nil && !errors.Is(err, os.ErrExist) {
		return errors.Join(fmt.Errorf("cannot insert a key: %w", err), p.Port.Remove())
	}
	return nil
}

// Remove pulls the key out of port n; it is no error when there is none. A key
// that vanishes by itself stays in enumerations until then, as one does for a
// moment on a real machine.
func (r *Rig) Remove(n int) error {
	p, err := r.port(n)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := os.Remove(p.entry); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot remove a key: %w", err)
	}
	return p.Port.Remove()
}

func (r *Rig) port(n int) (*port, error) {
	if n < 0 || n >= len(r.ports) {
		return nil, fmt.Errorf("there is no port %d", n)
	}
	return r.ports[n], nil
}

// Close removes all keys and ends umockdev, where the rig started it.
func (r *Rig) Close() error {
	var errs []error
	for n := range r.ports {
		errs = append(errs, r.Remove(n))
	}
	if r.own != nil {
		errs = append(errs, r.own.close())
	}
	return errors.Join(errs...)
}

// inherited names the environment variable by which a program run by Main knows
// how many ports there are.
const inherited = "FIDORIG_PORTS"

// Main runs the tests of a package, m, in a program that libumockdev is
// preloaded to, for tests whose own process is linked with libfido2: in
// TestMain, os.Exit(fidorig.Main(m, o)). It starts the test program once more,
// there runs m, and returns its exit code. The tests get the rig by Inherited.
func Main(m interface{ Run() int }, o Options) int {
	if os.Getenv(inherited) != "" {
		return m.Run()
	}
	code, err := again(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func again(o Options) (code int, err error) {
	o, err = o.complete()
	if err != nil {
		return 1, err
	}
	r, err := New(context.Background(), o)
	if err != nil {
		return 1, err
	}
	// The child has the ports from here on; this rig is for its environment.
	defer func() { err = errors.Join(err, r.Close()) }()
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), append(r.Env(), inherited+"="+strconv.Itoa(o.Ports))...)
	// A killed parent must not leave it behind; it counts as killed when the
	// thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var ended *exec.ExitError
	if err := cmd.Run(); errors.As(err, &ended) {
		return max(ended.ExitCode(), 1), nil
	} else if err != nil {
		return 1, fmt.Errorf("cannot start the tests again: %w", err)
	}
	return 0, nil
}

// Inherited is the rig of a program run by Main, with all ports empty. Close
// empties them again.
func Inherited() (*Rig, error) {
	ports, err := strconv.Atoi(os.Getenv(inherited))
	if err != nil {
		return nil, errors.New("this process was not started by fidorig.Main")
	}
	r := &Rig{dir: os.Getenv("UMOCKDEV_DIR")}
	for n := range ports {
		entry := filepath.Join(r.dir, "sys/class/hidraw", node(n))
		// Where the entry leads is in the other direction, too.
		found, err := filepath.Glob(filepath.Join(r.dir, "sys/devices/pci*/*/usb1/*/*/*/hidraw", node(n)))
		if err != nil || len(found) != 1 {
			return nil, fmt.Errorf("cannot find port %d in umockdev's folder", n)
		}
		to, err := filepath.Rel(filepath.Dir(entry), found[0])
		if err != nil {
			return nil, err
		}
		r.ports = append(r.ports, &port{Port: vfido.NewPort(filepath.Join(r.dir, "dev", node(n))), entry: entry, to: to})
	}
	return r, nil
}

// holder is umockdev-run with a program that waits for the end of its input:
// however this process ends, umockdev tidies up.
type holder struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr bytes.Buffer
	dir    string
}

func startHolder(ctx context.Context, o Options) (*holder, error) {
	tmp, err := os.MkdirTemp("", "fidorig-")
	if err != nil {
		return nil, fmt.Errorf("cannot start umockdev: %w", err)
	}
	defer os.RemoveAll(tmp) // umockdev has read it by then
	var args []string
	for n := range o.Ports {
		device, ioctl := filepath.Join(tmp, node(n)+".umockdev"), filepath.Join(tmp, node(n)+".ioctl")
		if err := errors.Join(os.WriteFile(device, []byte(description(o, n)), 0o600), os.WriteFile(ioctl, []byte(ioctls(n)), 0o600)); err != nil {
			return nil, fmt.Errorf("cannot start umockdev: %w", err)
		}
		args = append(args, "-d", device, "-i", "/dev/"+node(n)+"="+ioctl)
	}
	h := &holder{cmd: exec.Command("umockdev-run", append(args, "--", "sh", "-c", `echo "$UMOCKDEV_DIR"; exec cat`)...)}
	h.cmd.Stderr = &h.stderr
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // not for a terminal's interrupt
	if h.stdin, err = h.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("cannot start umockdev: %w", err)
	}
	stdout, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot start umockdev: %w", err)
	}
	if err := h.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start umockdev: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = h.cmd.Process.Kill() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	h.dir = strings.TrimSpace(line)
	if !stop() || err != nil || h.dir == "" {
		return nil, errors.Join(errors.New("cannot start umockdev"), err, h.close())
	}
	return h, nil
}

// close ends umockdev, which removes its folder.
func (h *holder) close() error {
	_ = h.stdin.Close()
	grace := time.AfterFunc(5*time.Second, func() { _ = h.cmd.Process.Kill() })
	defer grace.Stop()
	if err := h.cmd.Wait(); err != nil {
		return fmt.Errorf("cannot end umockdev cleanly: %w: %s", err, strings.TrimSpace(h.stderr.String()))
	}
	return nil
}
