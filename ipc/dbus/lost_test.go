//go:build linux

package dbus_test

import (
	"strings"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"github.com/tokenbridge/tokend/ipc/dbus"
)

// TestBusRestarted: name and objects are back within two seconds of a bus that was
// killed and started anew, however often.
func TestBusRestarted(t *testing.T) {
	s := newStage(t, nil)
	a := s.vault()
	l := s.listen()
	l.call(managerName + ".Subscribe")
	var longest time.Duration
	for n := range 5 {
		s.bus.Stop()
		s.await("the loss", func() bool { return strings.HasPrefix(s.server.State(), "the bus cannot be reached") })
		time.Sleep(time.Duration(n) * 300 * time.Millisecond) // down for as long, from nothing to more than the longest pause
		if err := s.bus.Run(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		s.conn = s.connect()
		s.await("the return", func() bool {
			return call(s.object(account(a.ID)), accountName+".GenerateCode", options{}).Err == nil
		})
		longest = max(longest, time.Since(began))
	}
	t.Logf("back after at most %v", longest)
	if longest > 2*time.Second {
		t.Errorf("back after %v", longest)
	}
	// Nothing is left of the old connection.
	l = s.listen()
	l.call(managerName + ".Subscribe")
	s.add("otpauth://totp/new?secret=JBSWY3DPEHPK3PXP")
	l.next("InterfacesAdded")
}

// TestNameTaken: where another has the name that is said, with who it is, and it is
// taken as soon as it is free.
func TestNameTaken(t *testing.T) {
	var other *godbus.Conn
	s := newStage(t, func(c *dbus.Config) {
		var err error
		if other, err = godbus.Connect(c.Address); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = other.Close() })
	})
	s.stop()
	if _, err := other.RequestName(dbus.Name, 0); err != nil {
		t.Fatal(err)
	}
	s2 := newServer(t, s)
	s.await("that it is said", func() bool { return strings.Contains(s2.State(), "another program has the name") })
	if state := s2.State(); !strings.Contains(state, "(process ") || !strings.Contains(state, " of user ") {
		t.Errorf("state: %s", state)
	}
	if _, err := other.ReleaseName(dbus.Name); err != nil {
		t.Fatal(err)
	}
	s.await("the name", func() bool { return s2.State() == "ok" })
}

func TestNoBus(t *testing.T) {
	s := newStage(t, nil)
	for address, want := range map[string]string{
		"unix:path=/nowhere/bus": "no such file", "tcp:host=localhost": "by a unix socket alone", "unix:tmpdir=/tmp": "names no socket", ";": "is empty",
	} {
		server := dbus.New(dbus.Config{Backend: s.daemon, Address: address})
		run(t, server)
		s.await(address, func() bool { return strings.Contains(server.State(), want) })
	}
}
