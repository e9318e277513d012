//go:build cgo && linux && !nofido2

package fido2_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper"
	"github.com/tokenbridge/tokend/tokens/tokentest/conformance"
	"github.com/tokenbridge/tokend/tokens/tokentest/fidorig"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// observer collects the events of a watch.
type observer struct {
	t      *testing.T
	events chan tokens.Event
}

// observe starts a watch for the length of the test.
func observe(t *testing.T, d tokens.Watcher) *observer {
	t.Helper()
	o := &observer{t: t, events: make(chan tokens.Event, 100)}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := d.Watch(ctx, func(e tokens.Event) { o.events <- e }); !errors.Is(err, context.Canceled) {
			t.Errorf("the watch ended: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return o
}

// next waits for an event of that type at that path.
func (o *observer) next(want tokens.EventType, locator string, within time.Duration) tokens.Event {
	o.t.Helper()
	select {
	case e := <-o.events:
		if e.Type != want || e.Token.Locator != locator || e.Kind != tokens.KindFIDO2 {
			o.t.Fatalf("event %+v, want %s at %q", e, want, locator)
		}
		return e
	case <-time.After(within):
		o.t.Fatalf("no event in %v, want %s at %q", within, want, locator)
	}
	return tokens.Event{}
}

func (o *observer) quiet(during time.Duration) {
	o.t.Helper()
	select {
	case e := <-o.events:
		o.t.Fatalf("event %+v", e)
	case <-time.After(during):
	}
}

// TestWatchConfigured: keys at configured paths come and go within a second. A
// key is greeted once, and a mute one holds up no other.
func TestWatchConfigured(t *testing.T) {
	for name, drive := range map[string]func(paths ...string) tokens.Watcher{
		"driver": func(paths ...string) tokens.Watcher { return driver(paths...) },
		"helper": func(paths ...string) tokens.Watcher { return client(paths...) },
		"socket": func(paths ...string) tokens.Watcher { return connected(t, paths...) },
	} {
		t.Run(name, func(t *testing.T) { testWatchConfigured(t, drive) })
	}
}

func testWatchConfigured(t *testing.T, drive func(paths ...string) tokens.Watcher) {
	mute := plug(t, vfido.Options{})
	mute.Inject(vfido.Fault{Kind: vfido.FaultMute, Times: -1})
	s := plug(t, vfido.Options{})
	o := observe(t, drive(mute.path(), s.path()))
	first := o.next(tokens.EventInserted, s.path(), time.Second)
	if first.Token.Problem != nil || !first.Token.Unlisted || !first.Token.NoPIN || !strings.Contains(first.Token.Model, "FIDO2 key") {
		t.Errorf("token %+v", first.Token)
	}
	if e := o.next(tokens.EventInserted, mute.path(), 5*time.Second); e.Token.Problem == nil || e.Token.Problem.Code != tokens.CodeTimeout {
		t.Errorf("token %+v", e.Token)
	}
	o.next(tokens.EventReady, "", time.Second)
	for range 3 {
		if err := s.port.Remove(); err != nil {
			t.Fatal(err)
		}
		o.next(tokens.EventRemoved, s.path(), time.Second)
		if err := s.port.Insert(s.Key); err != nil {
			t.Fatal(err)
		}
		if e := o.next(tokens.EventInserted, s.path(), time.Second); e.Token.ID != first.Token.ID {
			t.Errorf("id %s, then %s", first.Token.ID, e.Token.ID)
		}
	}
	before := s.Counts().Commands["INIT"]
	o.quiet(time.Second)
	if n := s.Counts().Commands["INIT"] - before; n != 0 {
		t.Errorf("a key at rest was greeted %d times", n)
	}
}

// TestWatchLeavesWorkAlone: a key comes under watch while an operation uses it,
// and neither disturbs the other.
func TestWatchLeavesWorkAlone(t *testing.T) {
	s := plug(t, vfido.Options{})
	e, _ := enroll(t, driver(s.path()), s, "")
	k := keyOf(t, e, tokens.ClassTouch)
	s.SetTouch(vfido.TouchAfter(time.Second))
	began := make(chan *observer, 1)
	r := tokens.AgreeRequest{Locator: s.path(), Key: k}
	peer := conformance.Peer(t, k)
	r.Peer = peer.PublicKey().Bytes()
	r.OnTouch = func() {
		time.AfterFunc(100*time.Millisecond, func() { began <- observe(t, client(s.path())) })
	}
	got, err := driver(s.path()).Agree(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	conformance.Want(t, got, k, peer)
	o := <-began
	if e := o.next(tokens.EventInserted, s.path(), 2*time.Second); e.Token.Problem != nil {
		t.Errorf("token %+v", e.Token)
	}
	o.next(tokens.EventReady, "", time.Second)
}

// rigged is the driver in processes whose libfido2 finds the rig's keys.
func rigged(t *testing.T, r *fidorig.Rig, devices ...string) *helper.Client {
	t.Helper()
	return helper.New(helper.Config{
		Path: own(t), Kind: tokens.KindFIDO2, Devices: devices, Env: append(r.Env(), standIn+"=1"), Timeout: 30 * time.Second,
	})
}

func insert(t *testing.T, r *fidorig.Rig, port int, o vfido.Options) *vfido.Key {
	t.Helper()
	k, err := vfido.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Insert(k, port); err != nil {
		t.Fatal(err)
	}
	return k
}

// TestEnumeration: keys that the system lists are found and work, two equal ones
// too, and come and go within a second.
func TestEnumeration(t *testing.T) {
	r := fidorig.Start(t, fidorig.Options{Ports: 3})
	extra := plug(t, vfido.Options{})
	// A configured path that leads to a listed key names no second one.
	d := rigged(t, r, extra.path())
	a := insert(t, r, 0, vfido.Options{PIN: rightPIN})
	o := observe(t, d)
	seen := map[string]bool{}
	for range 2 {
		select {
		case e := <-o.events:
			if e.Type != tokens.EventInserted || e.Token.Problem != nil || seen[e.Token.Locator] {
				t.Fatalf("event %+v", e)
			}
			seen[e.Token.Locator] = true
		case <-time.After(3 * time.Second):
			t.Fatal("no event")
		}
	}
	if !seen[r.Path(0)] || !seen[extra.path()] {
		t.Fatalf("keys at %v", seen)
	}
	o.next(tokens.EventReady, "", time.Second)
	b := insert(t, r, 1, vfido.Options{PIN: rightPIN})
	if e := o.next(tokens.EventInserted, r.Path(1), time.Second); e.Token.Model != "Yubico YubiKey OTP+FIDO+CCID" || e.Token.ID != "fido2-hidraw1" {
		t.Errorf("token %+v", e.Token)
	}
	list, err := d.List(t.Context())
	if err != nil || len(list) != 3 {
		t.Fatalf("list %+v: %v", list, err)
	}
	sa, sb := at(r, a, 0), at(r, b, 1)
	e, err := d.Enroll(t.Context(), tokens.EnrollRequest{Locator: r.Path(0), Classes: both, PIN: []byte(rightPIN)})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range e.Keys {
		use(t, d, sa, k)
		_, err := d.Agree(t.Context(), tokens.AgreeRequest{Locator: sb.path, Key: k, Peer: conformance.Peer(t, k).PublicKey().Bytes(), PIN: []byte(rightPIN)})
		conformance.Code(t, err, tokens.CodeWrongToken)
	}
	if b.Counts().PINsSeen != 0 {
		t.Error("the other key saw a PIN")
	}
	for range 3 {
		if err := r.Remove(0); err != nil {
			t.Fatal(err)
		}
		o.next(tokens.EventRemoved, r.Path(0), time.Second)
		if err := r.Insert(a, 0); err != nil {
			t.Fatal(err)
		}
		o.next(tokens.EventInserted, r.Path(0), time.Second)
	}
}

// listed is a key where a program under the rig finds it.
type listed struct {
	key  *vfido.Key
	path string
}

func at(r *fidorig.Rig, k *vfido.Key, port int) listed { return listed{k, r.Path(port)} }

func use(t *testing.T, d tokens.Driver, l listed, k tokens.Key) {
	t.Helper()
	peer := conformance.Peer(t, k)
	got, err := d.Agree(t.Context(), tokens.AgreeRequest{Locator: l.path, Key: k, Peer: peer.PublicKey().Bytes(), PIN: []byte(rightPIN)})
	if err != nil {
		t.Fatal(err)
	}
	conformance.Want(t, got, k, peer)
}

// describe gives a port of the rig a report descriptor in sysfs, as real ones
// have, and lets every user see the rig.
func describe(t *testing.T, r *fidorig.Rig, port int) {
	t.Helper()
	dir := ""
	for _, kv := range r.Env() {
		if v, ok := strings.CutPrefix(kv, "UMOCKDEV_DIR="); ok {
			dir = v
		}
	}
	for _, pattern := range []string{"", "ioctl", "ioctl/*", "ioctl/*/*"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if err := os.Chmod(path, 0o777); err != nil {
				t.Fatal(err)
			}
		}
	}
	found, err := filepath.Glob(filepath.Join(dir, "sys/devices/pci*/*/usb1/*/*/*"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no device in %s: %v", dir, err)
	}
	name := filepath.Base(r.Path(port))
	for _, d := range found {
		if _, err := os.Stat(filepath.Join(d, "hidraw", name)); err != nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(d, "report_descriptor"), []byte{0x06, 0xd0, 0xf1, 0x09, 0x01, 0xa1, 0x01, 0xc0}, 0o644); err != nil {
			t.Fatal(err)
		}
		// In sysfs a node's "device" leads to the HID device.
		link := filepath.Join(d, "hidraw", name, "device")
		if err := os.Symlink("../..", link); err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("%s is not in %s", name, dir)
}
