package vfido

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wire is a client of CTAPHID that has a port open as libfido2 would, and may
// send anything.
type wire struct {
	t       testing.TB
	fd      int
	channel uint32
	alive   map[byte]int // keepalives seen, by state
}

// plug makes a key and puts it into a port until the test ends.
func plug(t testing.TB, o Options) (*Key, *Port) {
	t.Helper()
	k, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	p := NewPort(filepath.Join(t.TempDir(), "key"))
	if err := p.Insert(k); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Remove(); err != nil {
			t.Error(err)
		}
	})
	return k, p
}

// dial opens a port and gets a channel.
func dial(t testing.TB, p *Port) *wire {
	t.Helper()
	w := openWire(t, p)
	w.init()
	return w
}

func openWire(t testing.TB, p *Port) *wire {
	t.Helper()
	fd, err := unix.Open(p.Path(), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, fd: fd, channel: broadcast, alive: map[byte]int{}}
	t.Cleanup(w.hangUp)
	return w
}

// hangUp closes the device, as the end of a process does.
func (w *wire) hangUp() {
	if w.fd >= 0 {
		_ = unix.Close(w.fd)
	}
	w.fd = -1
}

func (w *wire) init() {
	w.t.Helper()
	nonce := random(8)
	w.send(CommandInit, nonce)
	cmd, out := w.receive()
	if cmd != CommandInit || len(out) != 17 || !bytes.Equal(out[:8], nonce) {
		w.t.Fatalf("INIT: %v %x", cmd, out)
	}
	w.channel = binary.BigEndian.Uint32(out[8:])
}

// packet writes one packet.
func (w *wire) packet(p [packetSize]byte) {
	w.t.Helper()
	if n, err := unix.Write(w.fd, append([]byte{0}, p[:]...)); n != reportSize || err != nil {
		w.t.Fatalf("wrote %d: %v", n, err)
	}
}

func (w *wire) send(cmd Command, payload []byte) {
	w.t.Helper()
	for _, p := range packets(w.channel, cmd, payload, nil) {
		w.packet(p)
	}
}

// read reads one packet; ok is false when none comes within d or the key is
// gone.
func (w *wire) read(d time.Duration) (packet, bool) {
	poll := []unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}}
	var n int
	for end := time.Now().Add(d); ; {
		var err error
		n, err = unix.Poll(poll, max(int(time.Until(end)/time.Millisecond), 0))
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	var b [packetSize]byte
	if n != 1 {
		return packet{}, false
	}
	if n, err := unix.Read(w.fd, b[:]); n != packetSize || err != nil {
		return packet{}, false
	}
	return parsePacket(b), true
}

// receive reads one message and counts the keepalives before it.
func (w *wire) receive() (Command, []byte) {
	w.t.Helper()
	for {
		p, ok := w.read(5 * time.Second)
		if !ok {
			w.t.Fatal("no answer")
		}
		if !p.init || p.channel != w.channel {
			w.t.Fatalf("packet %+v", p)
		}
		if p.cmd == CommandKeepalive {
			w.alive[p.data[0]]++
			continue
		}
		out := append([]byte(nil), p.data[:min(p.count, initData)]...)
		for seq := byte(0); len(out) < p.count; seq++ {
			next, ok := w.read(time.Second)
			if !ok || next.init || next.seq != seq || next.channel != w.channel {
				w.t.Fatalf("packet %+v", next)
			}
			out = append(out, next.data[:min(p.count-len(out), nextData)]...)
		}
		return p.cmd, out
	}
}

// fails wants a CTAPHID_ERROR.
func (w *wire) fails(want Status) {
	w.t.Helper()
	if cmd, out := w.receive(); cmd != CommandError || len(out) != 1 || Status(out[0]) != want {
		w.t.Errorf("%v %x, not the error %v", cmd, out, want)
	}
}

// answers wants an answer of CTAP 2.
func (w *wire) answers(want Status) {
	w.t.Helper()
	if cmd, out := w.receive(); cmd != CommandCBOR || len(out) == 0 || Status(out[0]) != want {
		w.t.Errorf("%v %x, not %v", cmd, out, want)
	}
}

// quiet wants no packet for a while.
func (w *wire) quiet(d time.Duration) {
	w.t.Helper()
	if p, ok := w.read(d); ok {
		w.t.Errorf("packet %v %x", p.cmd, p.data)
	}
}

func (w *wire) cbor(cmd Command) { w.send(CommandCBOR, []byte{byte(cmd)}) }

func TestHID(t *testing.T) {
	k, p := plug(t, Options{})
	w := dial(t, p)
	for _, n := range []int{0, 1, initData, initData + 1, initData + nextData, 1000, maxPayload} {
		payload := random(n)
		w.send(CommandPing, payload)
		if cmd, out := w.receive(); cmd != CommandPing || !bytes.Equal(out, payload) {
			t.Errorf("a ping of %d bytes comes back as %v, %d bytes", n, cmd, len(out))
		}
	}
	w.cbor(CommandGetInfo)
	w.answers(StatusOK)
	w.send(CommandWink, nil)
	if cmd, out := w.receive(); cmd != CommandWink || len(out) != 0 {
		t.Errorf("%v %x", cmd, out)
	}
	w.send(CommandWink, []byte{1})
	w.fails(StatusInvalidLength)
	w.send(CommandCBOR, nil)
	w.fails(StatusInvalidLength)
	w.send(0x84, []byte{1}) // LOCK
	w.fails(StatusInvalidCommand)
	w.send(CommandMessage, []byte{0, 3, 0, 0})
	if cmd, out := w.receive(); cmd != CommandMessage || string(out) != "U2F_V2\x90\x00" {
		t.Errorf("%v %x", cmd, out)
	}
	if n := k.Counts().Commands; n["PING"] != 7 || n["INIT"] != 1 || n["WINK"] != 1 || n["MSG"] != 1 || n["getInfo"] != 1 {
		t.Errorf("%v", n)
	}
	old, p := plug(t, Options{Version: U2FOnly})
	w = dial(t, p)
	w.cbor(CommandGetInfo)
	w.fails(StatusInvalidCommand)
	if old.Counts().Commands["getInfo"] != 0 {
		t.Error("a U2F key did a command of CTAP 2")
	}
	_, p = plug(t, Options{NoU2F: true})
	w = dial(t, p)
	w.send(CommandMessage, []byte{0, 3, 0, 0})
	w.fails(StatusInvalidCommand)
}

func TestHIDErrors(t *testing.T) {
	_, p := plug(t, Options{})
	w := dial(t, p)
	mine := w.channel
	ping := packets(mine, CommandPing, make([]byte, 200), nil)
	for _, bad := range []uint32{0, mine + 1<<8, broadcast} {
		w.channel = bad
		w.send(CommandPing, []byte{1})
		w.fails(StatusInvalidChannel)
	}
	w.channel = mine
	w.packet(ping[1]) // spurious
	w.packet(ping[0])
	w.packet(ping[2])
	w.fails(StatusInvalidSequence)
	w.packet(ping[0])
	w.packet(ping[0])
	w.fails(StatusInvalidSequence)
	long := ping[0]
	binary.BigEndian.PutUint16(long[5:], maxPayload+1)
	w.packet(long)
	w.fails(StatusInvalidLength)
	began := time.Now()
	w.packet(ping[0])
	w.packet(ping[1])
	w.fails(StatusMessageTimeout)
	if d := time.Since(began); d < 400*time.Millisecond || d > 2*time.Second {
		t.Errorf("it waited %v for the next packet", d)
	}
	// Nobody else may begin while packets of a message are missing.
	w.channel = broadcast
	w.init()
	other := w.channel
	w.packet(ping[0])
	w.send(CommandPing, []byte{1})
	w.fails(StatusChannelBusy)
	w.channel = broadcast
	w.send(CommandInit, make([]byte, 8))
	w.fails(StatusChannelBusy)
	w.channel = mine
	for _, p := range ping[1:] {
		w.packet(p)
	}
	if cmd, out := w.receive(); cmd != CommandPing || len(out) != 200 || other == mine {
		t.Errorf("%v %x", cmd, out)
	}
	w.channel = broadcast
	w.send(CommandInit, make([]byte, 7))
	w.fails(StatusInvalidLength)
	w.init()
	// INIT begins a channel afresh, in the middle of a message too.
	w.packet(packets(w.channel, CommandPing, make([]byte, 200), nil)[0])
	same := w.channel
	w.init()
	if w.channel != same {
		t.Error("INIT on a channel gives another")
	}
	w.send(CommandPing, []byte{1})
	if cmd, _ := w.receive(); cmd != CommandPing {
		t.Errorf("%v", cmd)
	}
}

func TestBusyAndCancel(t *testing.T) {
	k, p := plug(t, Options{Touch: TouchNever})
	a := dial(t, p)
	b := wire{t: t, fd: a.fd, channel: broadcast, alive: map[byte]int{}}
	b.init()
	a.cbor(CommandSelection)
	time.Sleep(250 * time.Millisecond)
	b.cbor(CommandGetInfo)
	a.cbor(CommandGetInfo) // not even the same channel may
	cancel := func(w *wire) { w.send(CommandCancel, nil) }
	cancel(&b) // not its own
	var busy, alive int
	for busy < 2 {
		q, ok := a.read(time.Second)
		if !ok {
			t.Fatal("no answer")
		}
		switch {
		case q.cmd == CommandKeepalive && q.channel == a.channel && q.data[0] == keepaliveTouch:
			alive++
		case q.cmd == CommandError && Status(q.data[0]) == StatusChannelBusy:
			busy++
		case q.cmd != CommandKeepalive:
			t.Fatalf("packet %+v", q)
		}
	}
	if alive < 2 {
		t.Errorf("%d keepalives in 250 ms", alive)
	}
	cancel(a)
	a.answers(StatusKeepaliveCancel)
	cancel(a) // of nothing: no answer
	a.quiet(150 * time.Millisecond)
	if n := k.Counts(); n.Cancels != 1 || n.Commands["getInfo"] != 0 || n.TouchesAsked != 1 || n.TouchesGiven != 0 {
		t.Errorf("%+v", n)
	}
	// INIT on the same channel ends a command without an answer.
	a.cbor(CommandSelection)
	if _, ok := a.read(time.Second); !ok {
		t.Fatal("no keepalive")
	}
	nonce := random(8)
	a.send(CommandInit, nonce)
	if cmd, out := a.receive(); cmd != CommandInit || !bytes.Equal(out[:8], nonce) {
		t.Errorf("%v %x", cmd, out)
	}
	a.cbor(CommandGetInfo)
	a.answers(StatusOK)
}

// TestDeadClient wants that a client that was killed while the key waited for a
// touch disturbs the next no more than on a real machine.
func TestDeadClient(t *testing.T) {
	for _, aborts := range []bool{false, true} {
		k, p := plug(t, Options{Touch: TouchNever, InitAborts: aborts, TouchTimeout: 2 * time.Second})
		dead := dial(t, p)
		dead.cbor(CommandSelection)
		time.Sleep(300 * time.Millisecond)
		dead.hangUp()
		p.awaitDrained(t)
		w := openWire(t, p)
		if !aborts {
			w.send(CommandInit, make([]byte, 8))
			q, ok := w.read(time.Second)
			for ok && q.cmd == CommandKeepalive {
				q, ok = w.read(time.Second)
			}
			if q.cmd != CommandError || Status(q.data[0]) != StatusChannelBusy {
				t.Errorf("packet %+v", q)
			}
			w.hangUp()
			time.Sleep(2 * time.Second) // until the touch has timed out
			p.awaitDrained(t)
			w = openWire(t, p)
		}
		w.init() // nothing else is there to be read
		w.cbor(CommandGetInfo)
		w.answers(StatusOK)
		if n := k.Counts(); n.TouchesGiven != 0 || n.Commands["getInfo"] != 1 {
			t.Errorf("%+v", n)
		}
	}
}

// TestUnreadAnswers wants a key that nobody reads from to stay alive, and its
// next client to find nothing of that.
func TestUnreadAnswers(t *testing.T) {
	k, p := plug(t, Options{})
	w := dial(t, p)
	for range 20 {
		w.send(CommandPing, make([]byte, maxPayload/2))
	}
	for deadline := time.Now().Add(20 * time.Second); k.Counts().Commands["PING"] < 20; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the key hangs: %v", k.Counts())
		}
	}
	time.Sleep(100 * time.Millisecond)
	w.hangUp()
	p.awaitDrained(t)
	next := dial(t, p)
	next.cbor(CommandGetInfo)
	next.answers(StatusOK)
	// Half a report of a client that is gone is not the beginning of another's.
	if _, err := unix.Write(next.fd, make([]byte, 30)); err != nil {
		t.Fatal(err)
	}
	next.hangUp()
	p.awaitDrained(t)
	dial(t, p)
}

// awaitDrained waits until the port saw that its client left, as the next one
// does by taking its time to start.
func (p *Port) awaitDrained(t testing.TB) {
	t.Helper()
	l, ok := p.outlet.(*line)
	if !ok {
		t.Fatalf("the key is in %T", p.outlet)
	}
	for deadline := time.Now().Add(10 * time.Second); !l.nobody.Load() || l.dirty.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the port did not see its client leave")
		}
	}
}

func TestPort(t *testing.T) {
	folder := t.TempDir()
	p := NewPort(filepath.Join(folder, "key"))
	if p.Key() != nil || p.Path() == "" || p.Remove() != nil {
		t.Error("an empty port is not empty")
	}
	k, err := New(Options{PIN: testPIN})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, k: k, protocol: 2}
	for i := range 3 {
		if err := p.Insert(k); err != nil {
			t.Fatal(err)
		}
		if p.Insert(k) == nil || NewPort("").Insert(k) == nil {
			t.Error("a key is in two ports")
		}
		if s := c.login("0000", 0, ""); s != StatusPINInvalid || k.PINTries() != 7-i {
			t.Errorf("insertion %d: %v, %d tries are left", i, s, k.PINTries())
		}
		w := dial(t, p)
		w.cbor(CommandGetInfo)
		w.answers(StatusOK)
		if err := p.Remove(); err != nil {
			t.Fatal(err)
		}
		if _, ok := w.read(time.Second); ok {
			t.Error("a key that is gone answers")
		}
		if _, err := unix.Write(w.fd, make([]byte, reportSize)); err == nil {
			t.Error("a key that is gone takes a report")
		}
		if _, err := os.Lstat(p.Path()); !os.IsNotExist(err) {
			t.Errorf("the link is left: %v", err)
		}
	}
	if n := k.Counts(); n.PowerCycles != 3 {
		t.Errorf("%+v", n)
	}
	free := NewPort("")
	if err := free.Insert(k); err != nil {
		t.Fatal(err)
	}
	if s, err := os.Stat(free.Path()); err != nil || s.Mode()&os.ModeCharDevice == 0 {
		t.Errorf("%q: %v", free.Path(), err)
	}
	if err := free.Remove(); err != nil || free.Path() != "" {
		t.Error(err)
	}
	nowhere := NewPort(filepath.Join(folder, "none", "key"))
	if nowhere.Insert(k) == nil {
		t.Error("a link in no folder is made")
	}
	if err := p.Insert(k); err != nil {
		t.Errorf("after a failed insertion: %v", err)
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
}

// TestRemoveMeanwhile pulls a key out while it waits for a touch.
func TestRemoveMeanwhile(t *testing.T) {
	k, p := plug(t, Options{Touch: TouchNever})
	w := dial(t, p)
	w.cbor(CommandSelection)
	if _, ok := w.read(time.Second); !ok {
		t.Fatal("no keepalive")
	}
	began := time.Now()
	if err := p.Remove(); err != nil || time.Since(began) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	for { // what it still had to say
		if _, ok := w.read(100 * time.Millisecond); !ok {
			break
		}
	}
	if err := p.Insert(k); err != nil {
		t.Fatal(err)
	}
	w = dial(t, p)
	w.cbor(CommandGetInfo)
	w.answers(StatusOK)
}
