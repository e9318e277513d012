package hid

import (
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// described is the report descriptor of CTAP 2.1, section 11.2.8.1.
const described = "06d0f10901a1010920150026ff007508954081020921150026ff00750895409102c0"

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestDescriptor(t *testing.T) {
	for s, want := range map[string]layout{
		described:                        {fido: true, in: 64, out: 64},
		"05010902a101c0":                 {},                   // a mouse
		"06d0f10901":                     {fido: true},         // cut off
		"06d0":                           {},                   // likewise
		"fe02aa01020506d0f1":             {},                   // a long item that swallows the page's first bytes
		"06d0f175089540810275ff95ff9102": {fido: true, in: 64}, // an absurd size
		"":                               {},
	} {
		if got := parseDescriptor(unhex(t, s)); got != want {
			t.Errorf("%s: %+v, want %+v", s, got, want)
		}
	}
}

// FuzzDescriptor: no descriptor makes the reader panic or gives an absurd size.
func FuzzDescriptor(f *testing.F) {
	seeds := []string{described, "", "fe", "feff00", "07", "7508ff"}
	for _, s := range seeds {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(seeds) == 0 {
			t.Fatal("no seeds")
		}
		for _, n := range []int{parseDescriptor(b).in, parseDescriptor(b).out} {
			if n != 0 && (n < minReportSize || n > maxReportSize) {
				t.Fatalf("a report of %d bytes", n)
			}
		}
	})
}

func TestMessage(t *testing.T) {
	var m message
	first := append([]byte{cborCommand, 0, 70}, make([]byte, 57)...)
	if done, err := m.add(first); done || err != nil {
		t.Fatal(done, err)
	}
	if done, err := m.add(append([]byte{0}, make([]byte, 59)...)); !done || err != nil || len(m.data) != 70 {
		t.Fatalf("done %v, %d bytes: %v", done, len(m.data), err)
	}
	m = message{}
	if _, err := m.add(first); err != nil {
		t.Fatal(err)
	}
	if _, err := m.add(append([]byte{1}, make([]byte, 59)...)); !errors.Is(err, ErrFormat) {
		t.Errorf("a packet out of order: %v", err)
	}
	if done, err := new(message).add([]byte{3, 0, 0}); done || err != nil {
		t.Errorf("the end of somebody else's message: %v %v", done, err)
	}
	for _, bad := range [][]byte{nil, {cborCommand}, {cborCommand, 0xff, 0xff}} {
		if _, err := new(message).add(bad); !errors.Is(err, ErrFormat) {
			t.Errorf("%x: %v", bad, err)
		}
	}
}

// cborCommand begins a message that carries CBOR.
const cborCommand = 0x90

// FuzzMessage: no packets make a message longer than it says, or than it may be.
func FuzzMessage(f *testing.F) {
	seeds := [][]byte{nil, {cborCommand, 0, 1, 0}, append([]byte{cborCommand, 0, 100}, make([]byte, 200)...), {0, 1, 2}, {cborCommand, 0xff, 0xff}}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(seeds) == 0 {
			t.Fatal("no seeds")
		}
		var m message
		for packet := range slices.Chunk(b, 60) {
			done, err := m.add(packet)
			if err != nil && !errors.Is(err, ErrFormat) {
				t.Fatalf("untyped error %v", err)
			}
			if len(m.data) > m.want || len(m.data) > maxMessage || done && len(m.data) != m.want {
				t.Fatalf("%d of %d bytes", len(m.data), m.want)
			}
			if err != nil || done {
				return
			}
		}
	})
}

// FuzzChanges: nothing that is said of a folder makes the reader panic.
func FuzzChanges(f *testing.F) {
	entry := append([]byte{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0}, append([]byte("hidraw3"), make([]byte, 9)...)...)
	seeds := [][]byte{nil, entry, append(slices.Clone(entry), entry...), entry[:20], {0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(seeds) == 0 {
			t.Fatal("no seeds")
		}
		names, _ := parseChanges(b)
		for _, n := range names {
			if n == "" || len(n) > len(b) {
				t.Fatalf("name %q", n)
			}
		}
	})
	if names, lost := parseChanges(seeds[2]); lost || !slices.Equal(names, []string{"hidraw3", "hidraw3"}) {
		f.Errorf("names %q, lost %v", names, lost)
	}
}

// FuzzInfo: nothing that a key says of itself makes the readers panic or grow.
func FuzzInfo(f *testing.F) {
	good, err := cbor.Marshal(map[int]any{
		1: []string{"FIDO_2_0", "FIDO_2_1"}, 2: []string{"hmac-secret"}, 3: make([]byte, 16), 4: map[string]any{"rk": true, "odd": "x"},
		5: 1200, 6: []int{2, 1}, 7: 8, 8: 128, 12: true, 13: 6, 14: 328707, 20: 25, 99: map[int]int{1: 2},
	})
	if err != nil {
		f.Fatal(err)
	}
	if i, err := parseInfo(good); err != nil || !i.Has("rk") || i.Has("odd") || i.MaxList != 8 || !i.ForcePINChange || i.MinPIN != 6 || i.Resident != 25 ||
		!i.Extension("hmac-secret") || i.Firmware != 328707 || i.MaxMessage != 1200 {
		f.Fatalf("read %+v: %v", i, err)
	}
	if _, err := parseInfo(append(slices.Clone(good), 0)); !errors.Is(err, ErrFormat) {
		f.Fatalf("a byte too many: %v", err)
	}
	seeds := [][]byte{good, nil, {0xa0}, {0xa1, 0x03, 0x40}, {0xbf, 0xff}, {0xa2, 0x03, 0x05, 0x04, 0xf5}, {0xa1, 0x03, 0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, slices.Repeat([]byte{0x81}, 300)}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(seeds) == 0 {
			t.Fatal("no seeds")
		}
		if i, err := parseInfo(b); err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("untyped error %v", err)
			}
		} else if i.MaxList < 0 || i.MaxMessage < 0 || len(i.Versions) == 0 || len(i.Options) > maxStrings {
			t.Fatalf("read %+v", i)
		}
		if r, err := parseRetries(b); err != nil && !errors.Is(err, ErrFormat) || r.PIN > 1<<20 {
			t.Fatalf("read %+v: %v", r, err)
		}
	})
}
