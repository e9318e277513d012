//go:build linux

package dbus_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	godbus "github.com/godbus/dbus/v5"

	"github.com/tokenbridge/tokend/ipc/dbus"
)

// mute subscribes with a connection that then reads nothing any more; what is
// returned closes it.
func (s *stage) mute() func() {
	s.t.Helper()
	c, err := net.Dial("unix", strings.TrimPrefix(s.bus.Address, "unix:path="))
	if err != nil {
		s.t.Fatal(err)
	}
	fmt.Fprintf(c, "\x00AUTH EXTERNAL %s\r\n", hex.EncodeToString([]byte(strconv.Itoa(os.Geteuid()))))
	in := bufio.NewReader(c)
	if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "OK ") {
		s.t.Fatalf("%q %v", line, err)
	}
	fmt.Fprint(c, "BEGIN\r\n")
	send := func(dest string, path godbus.ObjectPath, iface, member string) {
		m := &godbus.Message{Type: godbus.TypeMethodCall, Headers: map[godbus.HeaderField]godbus.Variant{
			godbus.FieldDestination: godbus.MakeVariant(dest), godbus.FieldPath: godbus.MakeVariant(path),
			godbus.FieldInterface: godbus.MakeVariant(iface), godbus.FieldMember: godbus.MakeVariant(member),
		}}
		var b bytes.Buffer
		if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
			s.t.Fatal(err)
		}
		raw := b.Bytes()
		raw[8] = 1 // a serial number: godbus gives none to a message that it does not send itself
		if _, err := c.Write(raw); err != nil {
			s.t.Fatal(err)
		}
	}
	send("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")
	send(dbus.Name, dbus.Root, managerName, "Subscribe")
	// The answers are three: of Hello, NameAcquired, of Subscribe.
	for range 3 {
		if _, err := godbus.DecodeMessage(in); err != nil {
			s.t.Fatal(err)
		}
	}
	return func() { _ = c.Close() }
}
