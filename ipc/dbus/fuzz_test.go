package dbus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

// message is a call as the bus hands it on.
func message(order binary.ByteOrder, path dbus.ObjectPath, body ...any) []byte {
	m := &dbus.Message{Type: dbus.TypeMethodCall, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(path), dbus.FieldMember: dbus.MakeVariant("Call"), dbus.FieldSender: dbus.MakeVariant(":1.7"),
		dbus.FieldInterface: dbus.MakeVariant("com.example"), dbus.FieldDestination: dbus.MakeVariant(":1.2"),
	}, Body: body}
	if len(body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, order); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// TestReadMessage: what is plain comes through as it is, of all else the head does.
func TestReadMessage(t *testing.T) {
	var deep any = "bottom"
	for range 60 {
		deep = dbus.MakeVariant(deep)
	}
	type m = map[string]dbus.Variant
	v := dbus.MakeVariant
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, c := range []struct {
			name  string
			body  []any
			plain bool
		}{
			{"nothing", nil, true},
			{"a string", []any{"x"}, true},
			{"strings", []any{"x", "yy", ""}, true},
			{"a number", []any{uint32(7)}, true},
			{"options", []any{m{"a": v(true), "bb": v(int64(-1)), "c": v("s"), "d": v(byte(1)), "e": v(1.5), "f": v(int16(1)), "g": v(dbus.ObjectPath("/")), "h": v(dbus.SignatureOf(1))}}, true},
			{"no options", []any{m{}}, true},
			{"a string and options", []any{"x", m{"a": v(uint64(1))}}, true},
			{"arrays in options", []any{m{"a": v([]byte{1, 2, 3}), "b": v([]string{"x"}), "c": v([]uint32{1}), "d": v([]uint64{}), "e": v("x")}}, true},
			{"polkit's answer", []any{struct {
				A, B bool
				C    map[string]string
			}{true, false, map[string]string{"a": "b"}}}, true},
			{"another type", []any{"x", uint32(1)}, false},
			{"bytes", []any{[]byte("x")}, false},
			{"a variant", []any{v("x")}, false},
			{"a variant in options", []any{m{"a": v(v("x"))}}, false},
			{"depths in options", []any{m{"a": v(deep)}}, false},
			{"an array of arrays in options", []any{m{"a": v([][]string{{"x"}})}}, false},
			{"a struct in options", []any{m{"a": v(struct{ A string }{"x"})}}, false},
			{"a dictionary in options", []any{m{"a": v(m{})}}, false},
			{"a descriptor in options", []any{m{"a": v(dbus.UnixFDIndex(0))}}, false},
			{"too much", []any{strings.Repeat("x", maxBody)}, false},
		} {
			raw := message(order, "/com/example", c.body...)
			r := bytes.NewReader(append(bytes.Clone(raw), "rest"...))
			got, err := readMessage(r)
			if err != nil || r.Len() != 4 {
				t.Errorf("%s: %v, %d bytes left", c.name, err, r.Len())
				continue
			}
			if c.plain != bytes.Equal(got, raw) {
				t.Errorf("%s: as it is: %v", c.name, !c.plain)
			}
			m, err := dbus.DecodeMessage(bytes.NewReader(got))
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			if m.Headers[dbus.FieldSender].Value() != ":1.7" || m.Headers[dbus.FieldPath].Value() != dbus.ObjectPath("/com/example") || len(m.Headers) < 5 {
				t.Errorf("%s: the head is %v", c.name, m.Headers)
			}
			if !c.plain && (len(m.Body) > 0 || m.Headers[dbus.FieldSignature].Value() != nil) {
				t.Errorf("%s: a body is left: %v", c.name, m.Body)
			}
		}
		long := message(order, dbus.ObjectPath("/"+strings.Repeat("a", maxHeader)), "x")
		r := bytes.NewReader(append(bytes.Clone(long), "rest"...))
		if got, err := readMessage(r); got != nil || err != nil || r.Len() != 4 {
			t.Errorf("a long head: %d bytes, %v, %d left", len(got), err, r.Len())
		}
	}
}

// FuzzReadMessage: whatever bytes come, nothing panics, and no more is kept than
// may be; and a message that godbus itself wrote can be decoded afterwards.
func FuzzReadMessage(f *testing.F) {
	type m = map[string]dbus.Variant
	for _, raw := range [][]byte{
		message(binary.LittleEndian, "/"), message(binary.BigEndian, "/a", "x", "y"),
		message(binary.LittleEndian, "/a", m{"a": dbus.MakeVariant([]string{"x"}), "b": dbus.MakeVariant(m{"c": dbus.MakeVariant(true)})}),
		message(binary.BigEndian, "/a", "x", m{"a": dbus.MakeVariant(int64(1)), "b": dbus.MakeVariant(byte(2))}),
		message(binary.LittleEndian, "/a", []any{dbus.MakeVariant(1), "x"}),
		message(binary.LittleEndian, "/a", dbus.MakeVariant(dbus.MakeVariant("x"))),
		[]byte("l\x01\x00\x01\xff\xff\xff\xff\x01\x00\x00\x00\xff\xff\xff\xff"), []byte("x"), nil,
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := readMessage(bytes.NewReader(raw))
		if len(got) > headSize+maxHeader+8+maxBody {
			t.Fatalf("%d bytes", len(got))
		}
		if err != nil {
			if got != nil || !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, errNoMessage) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			return
		}
		was, err := decode(raw)
		if err != nil || got == nil {
			return // the bus hands on what is valid
		}
		now, err := decode(got)
		if err != nil {
			t.Fatalf("valid before: %v", err)
		}
		if now.Type != was.Type || len(now.Body) > 0 && !equal(now.Body, was.Body) {
			t.Fatalf("%v became %v", was, now)
		}
	})
}

// equal compares bodies; a number that is none equals itself here.
func equal(a, b []any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	var x, y bytes.Buffer
	return encode(&x, a) == nil && encode(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

func encode(w io.Writer, body []any) error {
	_, err := w.Write(message(binary.LittleEndian, "/", body...))
	return err
}

// decode has godbus decode a message; that it panics at some is why it does not
// see those.
func decode(raw []byte) (m *dbus.Message, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errors.New("panic")
		}
	}()
	return dbus.DecodeMessage(bytes.NewReader(raw))
}

// FuzzPath: each path means one thing, and what an id is encoded to is a path.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"", "/", "00ff", "a_5fb", "_", "__", "/io/github/tokenbridge/Tokend1/account/00ff", "_5F", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if id := decodeID(s); id != noID && encodeID(id) != s {
			t.Fatalf("%q is read as %q", s, id)
		}
		if e := encodeID(s); !dbus.ObjectPath("/"+e).IsValid() || s != "" && len(s) <= longestID && decodeID(e) != s {
			t.Fatalf("%q is written as %q", s, e)
		}
		n := locate(dbus.ObjectPath(s))
		if (n.kind == kindAccount || n.kind == kindToken) != (n.id != "") {
			t.Fatalf("%q is %+v", s, n)
		}
	})
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{"unix:path=/run/dbus/system_bus_socket", "unix:abstract=/tmp/x,guid=ff", "tcp:host=x", "unix:path=%2ftmp", "unix:path=%", ";", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if name, err := socketName(s); (err == nil) != (name != "") {
			t.Fatalf("%q: %q, %v", s, name, err)
		}
	})
}
