//go:build linux

package desktop

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// aSession is a login session as logind lists it.
type aSession struct {
	ID   string
	UID  uint32
	User string
	Seat string
	Path dbus.ObjectPath
}

// manager is as much of logind as Login needs.
type manager struct {
	pipe     dbus.UnixFD
	sessions []aSession
}

// ListSessions is logind's.
func (m *manager) ListSessions() ([]aSession, *dbus.Error) { return m.sessions, nil }

// Inhibit is logind's.
func (m *manager) Inhibit(_, _, _, _ string) (dbus.UnixFD, *dbus.Error) { return m.pipe, nil }

// facts are the properties of an object.
type facts map[string]dbus.Variant

// GetAll is D-Bus's.
func (f facts) GetAll(string) (map[string]dbus.Variant, *dbus.Error) { return f, nil }

// Get is D-Bus's.
func (f facts) Get(_, name string) (dbus.Variant, *dbus.Error) { return f[name], nil }

// logind plays logind on a bus, with sessions and their properties, and those of
// the manager under its own path.
func logind(t *testing.T, to string, of map[dbus.ObjectPath]facts) *dbus.Conn {
	t.Helper()
	c := dial(t, to)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = read.Close(); _ = write.Close() })
	m := &manager{pipe: dbus.UnixFD(write.Fd())}
	for path, f := range of {
		if path != loginPath {
			m.sessions = append(m.sessions, aSession{ID: string(path[1:]), UID: 7, Path: path})
		}
		if err := c.Export(f, path, properties); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Export(m, loginPath, loginManager); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RequestName(loginName, 0); err != nil {
		t.Fatal(err)
	}
	return c
}

// listening is a Login that listens to that, its connections, and why it was left.
func listening(t *testing.T, to string) (links chan *link, left chan string) {
	t.Helper()
	links, left = make(chan *link, 8), make(chan string, 8)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	l := &Login{log: slog.New(slog.DiscardHandler), uid: 7, connect: func() (*link, error) {
		c, err := connect(to, true)
		if err == nil {
			links <- c
		}
		return c, err
	}, leave: func(_ context.Context, why string) { left <- why }}
	go func() { defer close(done); l.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return links, left
}

func why(t *testing.T, left chan string) string {
	t.Helper()
	select {
	case reason := <-left:
		return reason
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was heard")
		return ""
	}
}

// TestMissed has the session locked, and the machine put to sleep, while nobody
// listened.
func TestMissed(t *testing.T) {
	v := dbus.MakeVariant
	for want, of := range map[string]map[dbus.ObjectPath]facts{
		"the session is locked": {"/c1": {"LockedHint": v(true), "Class": v("user")}, loginPath: {"PreparingForSleep": v(false)}},
		"the machine sleeps":    {"/c1": {"LockedHint": v(false)}, loginPath: {"PreparingForSleep": v(true)}},
	} {
		to := bus(t)
		logind(t, to, of)
		_, left := listening(t, to)
		if got := why(t, left); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

// TestLastSession has the last session end in which the user can be: those of his
// systemd, and of jobs, are left.
func TestLastSession(t *testing.T) {
	v := dbus.MakeVariant
	to := bus(t)
	c := logind(t, to, map[dbus.ObjectPath]facts{
		"/c1": {"Class": v("user")}, "/c2": {"Class": v("manager")}, "/c3": {"Class": v("background")}, loginPath: {"PreparingForSleep": v(false)},
	})
	links, left := listening(t, to)
	held(t, <-links)
	if err := c.Emit(loginPath, loginManager+".SessionRemoved", "c1", dbus.ObjectPath("/c1")); err != nil {
		t.Fatal(err)
	}
	if got := why(t, left); got != "the login session ended" {
		t.Errorf("%q", got)
	}
}
