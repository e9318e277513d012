//go:build linux

package desktop

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// hostileSignals are bodies at which godbus ends the connection, or the program.
func hostileSignals(t *testing.T) [][]any {
	t.Helper()
	var deep any = "bottom"
	for range 63 {
		deep = dbus.MakeVariant(deep)
	}
	fd := dbus.UnixFD(os.Stdin.Fd())
	return [][]any{
		{[]dbus.UnixFD{fd}}, {fd}, {dbus.MakeVariant([]dbus.UnixFD{fd})}, {deep}, {strings.Repeat("x", maxBody+1)}, {"x", uint32(1)}, nil,
	}
}

// TestForeignSignals has another program of the bus send the agent's connections
// what they did not ask for. They last, what logind tells is heard, and no
// descriptor is left open.
func TestForeignSignals(t *testing.T) {
	to := bus(t)
	c := logind(t, to, map[dbus.ObjectPath]facts{loginPath: {"PreparingForSleep": dbus.MakeVariant(false)}})
	links, left := listening(t, to)
	agent := <-links
	sleep := func() {
		t.Helper()
		if err := c.Emit(loginPath, loginManager+".PrepareForSleep", true); err != nil {
			t.Fatal(err)
		}
		if got := why(t, left); got != "the machine sleeps" {
			t.Errorf("%q", got)
		}
	}
	held(t, agent)
	sleep()
	before := open(t)
	foreign := dial(t, to)
	for range 3 {
		for _, body := range hostileSignals(t) {
			foreign.Send(&dbus.Message{Type: dbus.TypeSignal, Headers: headers(agent.Names()[0], body), Body: body}, nil)
		}
	}
	var pong string
	if err := foreign.BusObject().Call("org.freedesktop.DBus.GetId", 0).Store(&pong); err != nil {
		t.Fatal(err) // by its answer all was sent on
	}
	sleep()
	if !agent.Connected() || len(links) > 0 {
		t.Error("the connection was lost")
	}
	if after := open(t); after > before+1 {
		t.Errorf("%d descriptors are open, %d before", after, before)
	}
}

// held waits until a service was met: then it is listened to.
func held(t *testing.T, agent *link) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		agent.wire.mu.Lock()
		met := agent.wire.service != ""
		agent.wire.mu.Unlock()
		if met {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the service was not met")
		}
	}
}

func open(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func headers(to string, body []any) map[dbus.HeaderField]dbus.Variant {
	h := map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(to), dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/")),
		dbus.FieldInterface: dbus.MakeVariant("com.example.Any"), dbus.FieldMember: dbus.MakeVariant("Thing"),
	}
	if len(body) > 0 {
		h[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	if n, err := (&dbus.Message{Body: body}).CountFds(); err == nil && n > 0 {
		h[dbus.FieldUnixFDs] = dbus.MakeVariant(uint32(n))
	}
	return h
}

// from is a message as the bus hands it on.
func from(order binary.ByteOrder, kind dbus.Type, sender string, body ...any) []byte {
	h := headers(":1.1", body)
	h[dbus.FieldSender] = dbus.MakeVariant(sender)
	if kind != dbus.TypeSignal {
		h[dbus.FieldReplySerial] = dbus.MakeVariant(uint32(1))
	}
	var b bytes.Buffer
	if err := (&dbus.Message{Type: kind, Headers: h, Body: body}).EncodeTo(&b, order); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// TestReadMessage: what passes is whole, of what does not nothing is left.
func TestReadMessage(t *testing.T) {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, c := range []struct {
			name   string
			kind   dbus.Type
			sender string
			passes bool
		}{
			{"an answer", dbus.TypeMethodReply, ":1.2", true},
			{"the bus's", dbus.TypeSignal, busName, true},
			{"the service's", dbus.TypeSignal, ":1.2", true},
			{"another's", dbus.TypeSignal, ":1.22", false},
			{"a call", dbus.TypeMethodCall, ":1.2", false},
		} {
			raw := from(order, c.kind, c.sender, "x", uint32(1))
			r := bytes.NewReader(append(bytes.Clone(raw), "rest"...))
			got, _, err := readMessage(r, func() string { return ":1.2" })
			if err != nil || r.Len() != 4 || (got != nil) != c.passes || c.passes && !bytes.Equal(got, raw) {
				t.Errorf("%s: %q, %v, %d bytes left", c.name, got, err, r.Len())
			}
			if got, _, _ := readMessage(bytes.NewReader(raw), func() string { return "" }); c.sender == ":1.2" && c.kind == dbus.TypeSignal && got != nil {
				t.Errorf("%s: passes where there is no service", c.name)
			}
		}
	}
}

// FuzzReadMessage: whatever bytes come, nothing panics, and what passes is a part
// of them.
func FuzzReadMessage(f *testing.F) {
	for _, raw := range [][]byte{
		from(binary.LittleEndian, dbus.TypeSignal, ":1.2", "x"), from(binary.BigEndian, dbus.TypeMethodReply, busName, uint32(1)),
		[]byte("l\x04\x00\x01\xff\xff\xff\xff\x01\x00\x00\x00\xff\xff\xff\xff"), []byte("x"), nil,
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, _, err := readMessage(bytes.NewReader(raw), func() string { return ":1.2" })
		if err != nil && got != nil || !bytes.HasPrefix(raw, got) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	})
}

func FuzzSocketName(f *testing.F) {
	for _, s := range []string{"unix:path=/run/dbus/system_bus_socket", "unix:abstract=/tmp/x,guid=ff", "tcp:host=x", "unix:path=%2ftmp", "unix:path=%", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if name := socketName(s); name != "" && !strings.HasPrefix(s, "unix:") {
			t.Fatalf("%q: %q", s, name)
		}
	})
}
