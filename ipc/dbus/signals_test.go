//go:build linux

package dbus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/dbus"
)

// listener is a connection and the signals that come to it.
type listener struct {
	t    *testing.T
	conn *godbus.Conn
	ch   chan *godbus.Signal
}

func (s *stage) listen() *listener {
	s.t.Helper()
	l := &listener{t: s.t, conn: s.connect(), ch: make(chan *godbus.Signal, 4096)}
	l.conn.Signal(l.ch)
	return l
}

func (l *listener) call(method string, args ...any) {
	l.t.Helper()
	if err := call(l.conn.Object(dbus.Name, dbus.Root), method, args...).Err; err != nil {
		l.t.Fatalf("%s: %v", method, err)
	}
}

// next is the next signal with that member, all others before it being passed over;
// without a member, the next.
func (l *listener) next(member string) *godbus.Signal {
	l.t.Helper()
	for {
		select {
		case sig := <-l.ch:
			if member == "" || strings.HasSuffix(sig.Name, "."+member) {
				return sig
			}
		case <-time.After(20 * time.Second):
			l.t.Fatalf("no signal %s", member)
		}
	}
}

// silent fails the test where a signal of tokend's has come.
func (l *listener) silent() {
	l.t.Helper()
	for len(l.ch) > 0 {
		if sig := <-l.ch; !strings.HasPrefix(sig.Name, "org.freedesktop.DBus.Name") {
			l.t.Errorf("a signal to nobody: %v", sig)
		}
	}
}

func TestSignals(t *testing.T) {
	s := newStage(t, nil)
	one, two, deaf := s.listen(), s.listen(), s.listen()
	if err := deaf.conn.AddMatchSignal(); err != nil { // whatever is broadcast
		t.Fatal(err)
	}
	one.call(managerName + ".Subscribe")
	one.call(managerName + ".Subscribe") // once is enough
	two.call(manager + ".GetManagedObjects")
	a := s.vault()
	for _, l := range []*listener{one, two} {
		l.next("Unlocked")
		sig := l.next("InterfacesAdded")
		for sig.Body[0] != account(a.ID) { // the token, before or after
			sig = l.next("InterfacesAdded")
		}
		if sig.Path != dbus.Root {
			t.Errorf("added: %v", sig)
		}
		told, _ := sig.Body[1].(map[string]options)
		if told[accountName]["Name"].Value() != "alice" {
			t.Errorf("added with %v", told)
		}
	}
	edit := func(name string) {
		t.Helper()
		if _, err := s.daemon.EditAccount(context.Background(), s.me, a.ID, ipc.EditAccountRequest{Name: &name}); err != nil {
			t.Fatal(err)
		}
	}
	edit("carol")
	for _, l := range []*listener{one, two} {
		for {
			sig := l.next("PropertiesChanged")
			if sig.Path != account(a.ID) {
				continue
			}
			if changed, _ := sig.Body[1].(options); sig.Body[0] != accountName || len(changed) != 1 || changed["Name"].Value() != "carol" {
				t.Errorf("changed: %v", sig)
			}
			break
		}
	}
	two.call(managerName + ".Unsubscribe")
	if err := call(s.object(dbus.Root+"/vault"), vaultName+".Lock").Err; err != nil {
		t.Fatal(err)
	}
	// Whatever is compared between the lock and its event sees the account gone, so
	// that can be told first.
	for locked, removed := false, false; !locked || !removed; {
		switch sig := one.next(""); {
		case strings.HasSuffix(sig.Name, ".Locked"):
			if locked = true; sig.Path != dbus.Root+"/vault" || sig.Body[0] != "on request" {
				t.Errorf("locked: %v", sig)
			}
		case strings.HasSuffix(sig.Name, ".InterfacesRemoved"):
			if removed = true; sig.Body[0] != account(a.ID) {
				t.Errorf("removed: %v", sig)
			}
		}
	}
	// What was sent to one before is behind us; two has left, deaf never came.
	for len(two.ch) > 0 {
		if sig := <-two.ch; strings.HasSuffix(sig.Name, "Locked") || strings.HasSuffix(sig.Name, "Removed") {
			t.Errorf("a signal after Unsubscribe: %v", sig)
		}
	}
	deaf.silent()
}

// touching is the daemon, but for codes of the account "touch", for which a touch
// is announced that never comes.
type touching struct {
	ipc.Backend
	begun chan string // the request's name
	ended chan error
}

func (b *touching) Code(ctx context.Context, p ipc.Principal, ref string, r ipc.CodeRequest) (ipc.Code, error) {
	if ref != "touch" {
		return b.Backend.Code(ctx, p, ref, r)
	}
	b.begun <- ipc.RequestName(ctx)
	<-ctx.Done()
	b.ended <- context.Cause(ctx)
	return ipc.Code{}, ctx.Err()
}

func newTouching(c *dbus.Config) *touching {
	b := &touching{Backend: c.Backend, begun: make(chan string, 1000), ended: make(chan error, 1000)}
	c.Backend = b
	return b
}

// TestCallerVanishes: the call of a connection that ends is cancelled, and those of
// others are not.
func TestCallerVanishes(t *testing.T) {
	var b *touching
	s := newStage(t, func(c *dbus.Config) { b = newTouching(c) })
	s.vault()
	wait := func(name string) (*godbus.Conn, *godbus.Call) {
		c := s.connect()
		pending := c.Object(dbus.Name, dbus.Root).Go(managerName+".GenerateCode", 0, make(chan *godbus.Call, 1), "touch", with("request", name))
		if got := <-b.begun; got != name {
			t.Fatalf("the request is called %q, not %q", got, name)
		}
		return c, pending
	}
	gone, _ := wait("one")
	stays, pending := wait("two")
	_ = gone.Close()
	if err := <-b.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the end of the call: %v", err)
	}
	select {
	case err := <-b.ended:
		t.Errorf("another's call ended: %v", err)
	case c := <-pending.Done:
		t.Errorf("another's call ended: %v", c.Err)
	default:
	}
	// A stranger cannot end it, its caller can.
	if name, _ := failure(t, call(s.object(dbus.Root), managerName+".Cancel", "two")); name != dbus.Name+".Error.NotFound" {
		t.Errorf("a stranger's Cancel: %s", name)
	}
	if err := call(stays.Object(dbus.Name, dbus.Root), managerName+".Cancel", "two").Err; err != nil {
		t.Errorf("Cancel: %v", err)
	}
	if name, _ := failure(t, <-pending.Done); name != dbus.Name+".Error.Cancelled" {
		t.Errorf("the call ended with %s", name)
	}
	// What is under way when the daemon stops is told so.
	<-b.ended
	_, pending = wait("three")
	s.stop()
	if name, message := failure(t, <-pending.Done); name != dbus.Name+".Error.Cancelled" {
		t.Errorf("at the end of the daemon the call ended with %s %q", name, message)
	}
}

// TestLimits: who has too many calls under way is told so, and others are served.
func TestLimits(t *testing.T) {
	var b *touching
	s := newStage(t, func(c *dbus.Config) {
		b = newTouching(c)
		c.Limits = dbus.Limits{CallsUser: 4, SubscribersUser: 3}
	})
	for range 4 {
		s.object(dbus.Root).Go(managerName+".GenerateCode", 0, make(chan *godbus.Call, 1), "touch", options{})
		<-b.begun
	}
	c := call(s.object(dbus.Root), managerName+".Status")
	if name, _ := failure(t, c); name != dbus.Name+".Error.Busy" {
		t.Errorf("the fifth call: %v", c.Err)
	}
	_ = s.conn.Close()
	for range 4 {
		<-b.ended
	}
	s.conn = s.connect()
	s.await("room for calls", func() bool { return call(s.object(dbus.Root), managerName+".Status").Err == nil })

	listeners := []*listener{s.listen(), s.listen(), s.listen()}
	for _, l := range listeners {
		l.call(managerName + ".Subscribe")
	}
	if name, _ := failure(t, call(s.object(dbus.Root), managerName+".Subscribe")); name != dbus.Name+".Error.Busy" {
		t.Errorf("the fourth subscription: %s", name)
	}
	if err := call(s.object(dbus.Root), manager+".GetManagedObjects").Err; err != nil {
		t.Errorf("objects without a subscription: %v", err)
	}
	_ = listeners[0].conn.Close()
	s.await("room for a subscription", func() bool { return call(s.object(dbus.Root), managerName+".Subscribe").Err == nil })
	for _, l := range listeners[1:] {
		_ = l.conn.Close()
	}
}

// TestTouchIsAnnounced: to who subscribed, and to who does while it is waited for.
func TestTouchIsAnnounced(t *testing.T) {
	e := &events{ch: make(chan ipc.Event)}
	s := newStage(t, func(c *dbus.Config) { e.Backend = c.Backend; c.Backend = e })
	early := s.listen()
	early.call(managerName + ".Subscribe")
	ok := true
	wanted := ipc.Event{Type: ipc.EventTouchWanted, Operation: "op", Token: &ipc.TokenRef{ID: "t-1", Label: "Blue"},
		Account: &ipc.AccountRef{ID: "00ff", Issuer: "Bank", Name: "me"}, Requester: "ssh", Request: "r-1", Touch: 2}
	e.ch <- wanted
	check := func(l *listener) {
		t.Helper()
		sig := l.next("TouchWanted")
		d, _ := sig.Body[3].(options)
		if sig.Body[0] != "op" || sig.Body[1] != dbus.Root+"/token/t_2d1" || sig.Body[2] != account("00ff") || d["TokenLabel"].Value() != "Blue" ||
			d["Issuer"].Value() != "Bank" || d["Name"].Value() != "me" || d["Requester"].Value() != "ssh" || d["Request"].Value() != "r-1" || d["Touch"].Value() != uint32(2) {
			t.Errorf("wanted: %v", sig)
		}
	}
	check(early)
	late := s.listen()
	late.call(managerName + ".Subscribe")
	check(late)
	e.ch <- ipc.Event{Type: ipc.EventTouchDone, Operation: "op", OK: &ok}
	for _, l := range []*listener{early, late} {
		if sig := l.next("TouchDone"); sig.Body[0] != "op" || sig.Body[1] != true {
			t.Errorf("done: %v", sig)
		}
	}
	for _, c := range []struct {
		event  ipc.Event
		member string
		body   []any
	}{
		{ipc.Event{Type: ipc.EventTokenWaiting, Operation: "o2", Token: wanted.Token, Place: 2}, "TokenWaiting", []any{"o2", dbus.Root + "/token/t_2d1", uint32(2)}},
		{ipc.Event{Type: ipc.EventTokenInserted, Token: wanted.Token}, "TokenInserted", []any{dbus.Root + "/token/t_2d1"}},
		{ipc.Event{Type: ipc.EventTokenRemoved, Token: wanted.Token}, "TokenRemoved", []any{dbus.Root + "/token/t_2d1"}},
		{ipc.Event{Type: ipc.EventNotice, Detail: "mind\x00 this"}, "Notice", []any{"mind this"}},
		{ipc.Event{Type: ipc.EventDropped, Detail: "5"}, "SignalsDropped", []any{"5"}},
		{ipc.Event{Type: ipc.EventLocked, Detail: "why"}, "Locked", []any{"why"}},
		{ipc.Event{Type: ipc.EventUnlocked}, "Unlocked", nil},
		{ipc.Event{Type: ipc.EventBackupMade, Time: time.Unix(5, 0)}, "BackupMade", []any{int64(5)}},
	} {
		e.ch <- c.event
		sig := early.next(c.member)
		for i, want := range c.body {
			if sig.Body[i] != want {
				t.Errorf("%s: %v, want %v", c.member, sig.Body, c.body)
			}
		}
	}
}

// events is the daemon with events of the test's.
type events struct {
	ipc.Backend
	ch chan ipc.Event
}

func (b *events) Events(ctx context.Context, _ ipc.Principal, send func(ipc.Event) error) error {
	if err := send(ipc.Event{Type: ipc.EventState}); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-b.ch:
			if err := send(e); err != nil {
				return err
			}
		}
	}
}

// TestSlowSubscriber: one that reads nothing keeps nobody from anything.
func TestSlowSubscriber(t *testing.T) {
	e := &events{ch: make(chan ipc.Event)}
	s := newStage(t, func(c *dbus.Config) { e.Backend = c.Backend; c.Backend = e })
	a := s.vault()
	for range 4 {
		slow := s.connect()
		if err := call(slow.Object(dbus.Name, dbus.Root), managerName+".Subscribe").Err; err != nil {
			t.Fatal(err)
		}
		slow.Eavesdrop(make(chan *godbus.Message)) // what comes is thrown away …
	}
	mute := s.mute() // … and here it is not even read
	defer mute()
	quick := s.listen()
	quick.call(managerName + ".Subscribe")
	const n = 1500
	text := strings.Repeat("x", 1000)
	go func() {
		for i := range n {
			e.ch <- ipc.Event{Type: ipc.EventNotice, Detail: fmt.Sprint(i, text)}
		}
	}()
	for i := range n {
		if sig := quick.next("Notice"); sig.Body[0] != fmt.Sprint(i, text) {
			t.Fatalf("signal %d is %.20s", i, sig.Body[0])
		}
	}
	if err := call(s.object(account(a.ID)), accountName+".GenerateCode", options{}).Err; err != nil {
		t.Error(err)
	}
}
