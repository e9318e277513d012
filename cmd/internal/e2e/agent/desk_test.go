//go:build linux

// Package agent tests "tokenctl agent" on real parts: the built programs, a
// virtual card on the real pcscd, pinentry-tty in a pseudo-terminal, a message
// bus with a notification service, and logind as python3-dbusmock plays it.
package agent

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/godbus/dbus/v5"

	"github.com/tokenbridge/tokend/cmd/internal/e2e"
	"github.com/tokenbridge/tokend/tokens/tokentest/rig"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

var build = sync.OnceValues(func() (e2e.Programs, error) {
	dir, err := os.MkdirTemp("", "tokend-programs-")
	if err != nil {
		return e2e.Programs{}, err
	}
	return e2e.Build(dir, os.Getenv("TOKEND_TEST_NORACE") == "")
})

func TestMain(m *testing.M) {
	code := m.Run()
	if p, err := build(); err == nil {
		if races, err := p.Races(); races != "" || err != nil {
			fmt.Fprintln(os.Stderr, "the programs have data races:", races, err)
			code = 1
		}
		_ = os.RemoveAll(p.Dir)
	}
	os.Exit(code)
}

// bus is a private dbus-daemon.
type bus struct {
	t       *testing.T
	path    string
	address string
	cmd     *exec.Cmd
}

func startBus(t *testing.T, path string) *bus {
	t.Helper()
	b := &bus{t: t, path: path, address: "unix:path=" + path}
	b.start()
	t.Cleanup(b.stop)
	return b
}

func (b *bus) start() {
	b.t.Helper()
	b.cmd = exec.Command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--nosyslog", "--print-address=1", "--address="+b.address)
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		b.t.Fatalf("dbus-daemon: %v (packaging/setup.sh test installs it)", err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		b.t.Fatalf("dbus-daemon: %v", err)
	}
}

func (b *bus) stop() {
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
	_ = os.Remove(b.path)
}

func (b *bus) connect() *dbus.Conn {
	b.t.Helper()
	c, err := dbus.Connect(b.address)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// note is a notification that the service was asked to show.
type note struct {
	id            uint32
	summary, body string
	actions       []string
	shown, closed time.Time
}

// service is a notification service that shows nothing and remembers all.
type service struct {
	conn *dbus.Conn
	mu   sync.Mutex
	all  []note
}

const notifications = "org.freedesktop.Notifications"

// serveNotes puts a notification service on a bus.
func (b *bus) serveNotes() *service {
	b.t.Helper()
	s := &service{conn: b.connect()}
	if err := s.conn.Export(s, "/org/freedesktop/Notifications", notifications); err != nil {
		b.t.Fatal(err)
	}
	if r, err := s.conn.RequestName(notifications, dbus.NameFlagDoNotQueue); err != nil || r != dbus.RequestNameReplyPrimaryOwner {
		b.t.Fatalf("%v, %v", r, err)
	}
	b.t.Cleanup(func() { _ = s.conn.Close() })
	return s
}

// GetCapabilities is the specification's.
func (s *service) GetCapabilities() ([]string, *dbus.Error) {
	return []string{"actions", "body", "body-markup", "persistence"}, nil
}

// Notify is the specification's.
func (s *service) Notify(_ string, _ uint32, _, summary, body string, actions []string, _ map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := note{id: uint32(len(s.all) + 1), summary: summary, body: body, actions: actions, shown: time.Now()}
	s.all = append(s.all, n)
	return n.id, nil
}

// CloseNotification is the specification's.
func (s *service) CloseNotification(id uint32) *dbus.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.all {
		if s.all[i].id == id {
			s.all[i].closed = time.Now()
		}
	}
	_ = s.conn.Emit("/org/freedesktop/Notifications", notifications+".NotificationClosed", id, uint32(3))
	return nil
}

func (s *service) act(t *testing.T, id uint32, key string) {
	t.Helper()
	if err := s.conn.Emit("/org/freedesktop/Notifications", notifications+".ActionInvoked", id, key); err != nil {
		t.Error(err)
	}
}

func (s *service) notes() []note {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// wait waits for a notification whose title holds text.
func (s *service) wait(t *testing.T, text string, closed bool) note {
	t.Helper()
	var found note
	e2e.Eventually(t, 20*time.Second, func() error {
		for _, n := range slices.Backward(s.notes()) {
			if strings.Contains(n.summary, text) && n.closed.IsZero() != closed {
				found = n
				return nil
			}
		}
		return fmt.Errorf("no notification %q (closed: %v) among %+v", text, closed, s.notes())
	})
	return found
}

// logind is python3-dbusmock's.
type logind struct {
	t    *testing.T
	conn *dbus.Conn
}

const mock = "org.freedesktop.DBus.Mock"

func (b *bus) serveLogind(sessions ...string) *logind {
	b.t.Helper()
	cmd := exec.Command("/usr/bin/python3", "-m", "dbusmock", "--system", "--template", "logind")
	cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+b.address)
	var out e2e.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	l := &logind{t: b.t, conn: b.connect()}
	b.t.Cleanup(func() { _ = l.conn.Close() })
	for _, id := range sessions {
		e2e.Eventually(b.t, 30*time.Second, func() error {
			err := l.object("").Call(mock+".AddSession", 0, id, "seat0", uint32(os.Getuid()), "me", true).Err
			if err != nil {
				return fmt.Errorf("%w; dbusmock said %s (packaging/setup.sh test installs it)", err, out.String())
			}
			return nil
		})
	}
	return l
}

func (l *logind) object(path string) dbus.BusObject {
	return l.conn.Object("org.freedesktop.login1", dbus.ObjectPath("/org/freedesktop/login1"+path))
}

func (l *logind) call(path, method string, args ...any) {
	l.t.Helper()
	if err := l.object(path).Call(method, 0, args...).Err; err != nil {
		l.t.Fatalf("%s: %v", method, err)
	}
}

func (l *logind) signal(name, signature string, args ...any) {
	l.t.Helper()
	list := make([]dbus.Variant, len(args))
	for i, a := range args {
		list[i] = dbus.MakeVariant(a)
	}
	l.call("", mock+".EmitSignal", "org.freedesktop.login1.Manager", name, signature, list)
}

// inhibitors is how many hold up sleep.
func (l *logind) inhibitors() int {
	var list [][]any
	if err := l.object("").Call("org.freedesktop.login1.Manager.ListInhibitors", 0).Store(&list); err != nil {
		return 0 // it does not like to list none
	}
	return len(list)
}

// desk is a user's session with an open vault: what the tests start from.
type desk struct {
	*e2e.Daemon
	t       *testing.T
	card    *vpiv.Card
	pin     string // a file
	session *bus
	notes   *service
	login   *logind
	master  *os.File // the person's side of the terminal that pinentry uses
	tty     string
	screen  *e2e.Buffer
}

// newDesk makes a vault with an account of each class; no agent runs yet.
func newDesk(t *testing.T) *desk {
	t.Helper()
	p, err := build()
	if err != nil {
		t.Fatal(err)
	}
	card, err := vpiv.New(vpiv.YubiKey(5, 4, 3))
	if err != nil {
		t.Fatal(err)
	}
	r := rig.Start(t, rig.Options{})
	if err := r.Insert(card, 0); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "tokend-desk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &desk{t: t, card: card, pin: e2e.File(t, vpiv.FactoryPIN), screen: &e2e.Buffer{}}
	d.session = startBus(t, filepath.Join(dir, "session"))
	system := startBus(t, filepath.Join(dir, "system"))
	d.notes, d.login = d.session.serveNotes(), system.serveLogind("c1", "c2")
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close(); _ = slave.Close() })
	_ = pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80})
	d.master, d.tty = master, slave.Name()
	go func() { _, _ = io.Copy(d.screen, master) }()
	env := append(r.Env(), "DBUS_SESSION_BUS_ADDRESS="+d.session.address, "DBUS_SYSTEM_BUS_ADDRESS="+system.address,
		"XDG_SESSION_ID=c1", "GPG_TTY="+d.tty, "TERM=xterm", "DISPLAY=", "WAYLAND_DISPLAY=")
	d.Daemon = e2e.NewDaemon(t, p, env)
	d.Start()
	d.OK("", "init", "--token", "piv", "--pin-file", d.pin, "--label", "desk key", "--no-recovery-password")
	for _, class := range []string{"session", "touch"} {
		d.OK("otpauth://totp/Example:"+class+"?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example", "account", "add", "--uri-file", "-", "--class", class)
	}
	return d
}

// process is a program in the background.
type process struct {
	cmd  *exec.Cmd
	out  *e2e.Buffer
	said *e2e.Buffer
	done chan struct{}
}

// begin starts tokenctl without a terminal.
func (d *desk) begin(args ...string) *process {
	d.t.Helper()
	return d.start(d.Programs.Path("tokenctl"), append([]string{"--socket", d.Socket}, args...)...)
}

// start starts a program without a terminal, in a process session of its own.
func (d *desk) start(program string, args ...string) *process {
	d.t.Helper()
	p := &process{cmd: exec.Command(program, args...), out: &e2e.Buffer{}, said: &e2e.Buffer{}, done: make(chan struct{})}
	p.cmd.Env = slices.Concat(os.Environ(), d.Programs.Env(), d.Env)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal at all
	if err := p.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	d.t.Cleanup(func() { _ = p.cmd.Process.Kill(); <-p.done })
	return p
}

// ends waits for a program and gives its exit code.
func (p *process) ends(t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(60 * time.Second):
		t.Fatalf("it hangs: %s", p.said)
		return -1
	}
}

// says waits until a program has said something on standard error.
func (p *process) says(t *testing.T, text string) {
	t.Helper()
	e2e.Eventually(t, 30*time.Second, func() error {
		if !strings.Contains(p.said.String(), text) {
			return fmt.Errorf("%q was not said, but %q", text, p.said)
		}
		return nil
	})
}

// agent starts an agent and waits until it can do all.
func (d *desk) agent(args ...string) *process {
	d.t.Helper()
	p := d.begin(append([]string{"agent", "--pinentry", "pinentry-tty"}, args...)...)
	p.says(d.t, "tell of touches, ask for PINs, ask for consent")
	return p
}

// sees waits until the person is shown a text for the n-th time.
func (d *desk) sees(text string, n int) {
	d.t.Helper()
	e2e.Eventually(d.t, 30*time.Second, func() error {
		if strings.Count(d.screen.String(), text) < n {
			return fmt.Errorf("%q is not on the screen %d times: %q", text, n, d.screen)
		}
		return nil
	})
}

func (d *desk) types(keys string) {
	d.t.Helper()
	if _, err := io.WriteString(d.master, keys); err != nil {
		d.t.Error(err)
	}
}
