//go:build linux

package desktop

import (
	"bufio"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// bus starts a private message bus, and returns its address.
func bus(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tokend-bus-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	address := "unix:path=" + filepath.Join(dir, "bus")
	cmd := exec.Command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--nosyslog", "--print-address=1", "--address="+address)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (packaging/setup.sh test installs it)", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return address
}

func dial(t *testing.T, to string) *dbus.Conn {
	t.Helper()
	c, err := dbus.Connect(to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// server is a notification service.
type server struct {
	conn   *dbus.Conn
	words  []string
	mu     sync.Mutex
	shown  map[uint32][]string // body and actions, by id
	last   uint32
	change chan struct{}
}

func serve(t *testing.T, to string, words ...string) *server {
	t.Helper()
	s := &server{conn: dial(t, to), words: words, shown: map[uint32][]string{}, change: make(chan struct{}, 64)}
	if err := s.conn.Export(s, notifyPath, notifyName); err != nil {
		t.Fatal(err)
	}
	if _, err := s.conn.RequestName(notifyName, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return s
}

// GetCapabilities is the specification's.
func (s *server) GetCapabilities() ([]string, *dbus.Error) { return s.words, nil }

// Notify is the specification's.
func (s *server) Notify(_ string, _ uint32, _, _, body string, actions []string, _ map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.shown[s.last] = append([]string{body}, actions...)
	s.change <- struct{}{}
	return s.last, nil
}

// CloseNotification is the specification's.
func (s *server) CloseNotification(id uint32) *dbus.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.shown, id)
	s.change <- struct{}{}
	return nil
}

// until waits until what is shown is as ok wants it.
func (s *server) until(t *testing.T, ok func(shown map[uint32][]string) bool) {
	t.Helper()
	for {
		s.mu.Lock()
		done := ok(s.shown)
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-s.change:
		case <-time.After(20 * time.Second):
			t.Fatalf("shown: %v", s.shown)
		}
	}
}

func running(t *testing.T, to string) *Notifier {
	t.Helper()
	n := NewNotifier("test", slog.New(slog.DiscardHandler), nil)
	n.connect = func() (*link, error) { return connect(to, false) }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); n.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return n
}

func chosen(t *testing.T, s *Shown) string {
	t.Helper()
	select {
	case key := <-s.Chosen():
		return key
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was chosen")
		return ""
	}
}

// TestOnlyTheServiceChooses has another program of the session press the button.
func TestOnlyTheServiceChooses(t *testing.T) {
	to := bus(t)
	s, forger, n := serve(t, to, "actions", "body-markup"), dial(t, to), running(t, to)
	shown := n.Show(Note{Summary: "s", Body: "<b>&", Actions: []string{"yes", "Yes"}})
	s.until(t, func(shown map[uint32][]string) bool { return len(shown) == 1 })
	if got := s.shown[1]; len(got) != 3 || got[0] != "&lt;b&gt;&amp;" {
		t.Errorf("shown as %q", got)
	}
	if err := forger.Emit(notifyPath, notifyName+".ActionInvoked", uint32(1), "forged"); err != nil {
		t.Fatal(err)
	}
	// The bus has handed the forger's on once it answers him.
	if err := forger.BusObject().Call("org.freedesktop.DBus.GetId", 0).Err; err != nil {
		t.Fatal(err)
	}
	for _, odd := range [][]any{{uint32(1)}, {"1", "x"}, {uint32(1), uint32(7)}, {uint32(9), "other"}, {uint32(1), ""}} {
		if err := s.conn.Emit(notifyPath, notifyName+".ActionInvoked", odd...); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.conn.Emit(notifyPath, notifyName+".ActionInvoked", uint32(1), "yes"); err != nil {
		t.Fatal(err)
	}
	if key := chosen(t, shown); key != "yes" {
		t.Errorf("chosen: %q", key)
	}
	shown.Close()
	s.until(t, func(shown map[uint32][]string) bool { return len(shown) == 0 })
}

func TestDismissedNotificationStaysAway(t *testing.T) {
	to := bus(t)
	s, n := serve(t, to), running(t, to) // without actions or markup
	first := n.Show(Note{Summary: "s", Body: "<b>&", Actions: []string{"yes", "Yes"}})
	s.until(t, func(shown map[uint32][]string) bool { return len(shown) == 1 })
	if got := s.shown[1]; len(got) != 1 || got[0] != "<b>&" {
		t.Errorf("shown as %q", got)
	}
	if err := s.conn.Emit(notifyPath, notifyName+".NotificationClosed", uint32(1), byUser); err != nil {
		t.Fatal(err)
	}
	if key := chosen(t, first); key != Dismissed {
		t.Errorf("chosen: %q", key)
	}
	n.Show(Note{Summary: "another"})
	s.until(t, func(shown map[uint32][]string) bool { return len(shown) == 2 })
	if s.last != 2 {
		t.Errorf("%d were shown", s.last)
	}
}

// TestComesLater has the service come when notifications are wanted already, and
// go away with the program.
func TestComesLater(t *testing.T) {
	to := bus(t)
	n := NewNotifier("test", slog.New(slog.DiscardHandler), nil)
	n.connect = func() (*link, error) { return connect(to, false) }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); n.Run(ctx) }()
	n.Show(Note{Summary: "one"})
	n.Show(Note{Summary: "two"}).Close() // not wanted any more
	s := serve(t, to, "actions")
	s.until(t, func(shown map[uint32][]string) bool { return len(shown) == 1 })
	if can := n.Abilities(); !can.Notify || !can.Actions {
		t.Errorf("it can %+v", can)
	}
	cancel()
	<-done
	s.until(t, func(shown map[uint32][]string) bool { return len(shown) == 0 })
}
