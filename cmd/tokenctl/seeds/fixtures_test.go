package seeds

import (
	"context"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// The seeds of RFC 4226 and RFC 6238, and the key of RFC 6030's figure 6.
const (
	seed20  = "12345678901234567890"
	seed32  = "12345678901234567890123456789012"
	seed64  = "1234567890123456789012345678901234567890123456789012345678901234"
	testKey = "12345678901234567890123456789012" // hexadecimal
)

func hx(s string) string { return hex.EncodeToString([]byte(s)) }

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func b32(s string) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(s))
}

// fixture is a file of the tests' own, written from the specification of its format.
type fixture struct {
	name   string
	format string
	data   string
	key    string
	// want is the rows, as show writes them; skips is where each skip is, its field
	// and a part of its reason.
	want  []string
	skips []string
	// kind is the error that ends the reading, or empty.
	kind Kind
}

// fixtures is those of all formats.
func fixtures() []fixture {
	return slices.Concat(pskcFixtures(), sealedFixtures(), safeNetFixtures(), safeWordFixtures(), yubicoFixtures(), tableFixtures(), listFixtures())
}

// show is a row in one line.
func show(f Fob) string {
	s := fmt.Sprintf("%s %s %s %d %d %d %x", f.Serial, f.Type, f.Algorithm, f.Digits, f.Period, f.Counter, []byte(f.Secret))
	if f.Drift != 0 {
		s += fmt.Sprintf(" drift %d", f.Drift)
	}
	if f.Type == TypeYubico {
		s += fmt.Sprintf(" %x %x", f.PublicID, []byte(f.PrivateID))
	}
	if f.Maker+f.Model != "" {
		s += " " + f.Maker + "/" + f.Model
	}
	if !f.Start.IsZero() || !f.Expiry.IsZero() {
		s += " " + f.Start.Format("2006-01-02") + ".." + f.Expiry.Format("2006-01-02")
	}
	if len(f.Users) > 0 {
		s += " " + strings.Join(f.Users, "+")
	}
	return s
}

func showSkip(s Skip) string { return s.Where + "|" + s.Serial + "|" + s.Field + "|" + s.Reason }

// result is all that a file gives.
type result struct {
	Summary
	rows  []Fob
	skips []Skip
}

func readAll(ctx context.Context, data []byte, o Options) (result, error) {
	var r result
	var err error
	r.Summary, err = Read(ctx, data, o, Sink{
		Fob:  func(f Fob) error { r.rows = append(r.rows, f); return nil },
		Skip: func(s Skip) error { r.skips = append(r.skips, s); return nil },
	})
	return r, err
}

// with is Options that know a key.
func with(key string) Options {
	if key == "" {
		return Options{}
	}
	return Options{Key: func(context.Context, Question) ([]byte, error) { return []byte(key), nil }}
}

// TestFixtures: every fixture gives its rows, its skips and its error.
func TestFixtures(t *testing.T) {
	for _, x := range fixtures() {
		t.Run(x.name, func(t *testing.T) { checkFixture(t, x, []byte(x.data)) })
	}
}

func checkFixture(t *testing.T, x fixture, data []byte) {
	t.Helper()
	r, err := readAll(t.Context(), data, with(x.key))
	if KindOf(err) != x.kind {
		t.Fatalf("%v; want %q", err, x.kind)
	}
	if r.Format != x.format {
		t.Errorf("it was taken for %q", r.Format)
	}
	if r.Fobs != len(r.rows) || r.Skips != len(r.skips) {
		t.Errorf("counted %d and %d, handed out %d and %d", r.Fobs, r.Skips, len(r.rows), len(r.skips))
	}
	for i := range max(len(r.rows), len(x.want)) {
		got, want := "", ""
		if i < len(r.rows) {
			got = show(r.rows[i])
		}
		if i < len(x.want) {
			want = x.want[i]
		}
		if got != want {
			t.Errorf("row %d is\n  %q\nwant\n  %q", i, got, want)
		}
	}
	for i := range max(len(r.skips), len(x.skips)) {
		switch {
		case i >= len(r.skips):
			t.Errorf("no skip %q", x.skips[i])
		case i >= len(x.skips):
			t.Errorf("another skip: %s", showSkip(r.skips[i]))
		case !strings.Contains(showSkip(r.skips[i]), x.skips[i]):
			t.Errorf("skip %d is %q, without %q", i, showSkip(r.skips[i]), x.skips[i])
		}
	}
}

// TestEncodings: what editors and spreadsheets make of a file changes nothing.
func TestEncodings(t *testing.T) {
	for _, x := range fixtures() {
		for name, change := range map[string]func(string) []byte{
			"a mark":          func(s string) []byte { return []byte("\xef\xbb\xbf" + s) },
			"CR LF":           func(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) },
			"UTF-16":          func(s string) []byte { return utf16Bytes(s, binary.LittleEndian, true) },
			"UTF-16, big":     func(s string) []byte { return utf16Bytes(s, binary.BigEndian, true) },
			"UTF-16, no mark": func(s string) []byte { return utf16Bytes(s, binary.LittleEndian, false) },
		} {
			if name == "UTF-16, no mark" && strings.ContainsFunc(x.data, func(r rune) bool { return r > 0xff }) {
				continue
			}
			t.Run(x.name+"/"+name, func(t *testing.T) { checkFixture(t, x, change(x.data)) })
		}
	}
}

func utf16Bytes(s string, order binary.AppendByteOrder, mark bool) []byte {
	var out []byte
	if mark {
		out = order.AppendUint16(out, 0xfeff)
	}
	for _, u := range utf16.Encode([]rune(s)) {
		out = order.AppendUint16(out, u)
	}
	return out
}

// TestNothingIsTold: no skip, warning, note or error repeats a seed.
func TestNothingIsTold(t *testing.T) {
	secrets := []string{seed20, hx(seed20), b32(seed20), b64(seed20), hx(seed32), hx(seed64), testKey, "qwerty", "q7q7q7"}
	for _, x := range fixtures() {
		r, err := readAll(t.Context(), []byte(x.data), with(x.key))
		said := fmt.Sprint(r.skips, r.Notes, err, fmt.Sprintf("%v %+v %#v", r.rows, r.rows, r.rows))
		for _, s := range secrets {
			if strings.Contains(strings.ToLower(said), strings.ToLower(s)) {
				t.Errorf("%s tells %q", x.name, s)
			}
		}
	}
}

// TestCutShort: XML that is cut gives an error. A table gives no seed that is cut, and
// its last row may at most lack what stands behind the seed.
func TestCutShort(t *testing.T) {
	for _, x := range fixtures() {
		whole, _ := readAll(t.Context(), []byte(x.data), with(x.key))
		xml := strings.HasPrefix(x.data, "<")
		lengths := map[int]bool{}
		for _, f := range whole.rows {
			lengths[len(f.Secret)] = true
		}
		for n := 0; n < len(x.data); n += 1 + len(x.data)/97 {
			r, err := readAll(t.Context(), []byte(x.data[:n]), with(x.key))
			if xml && err == nil && strings.TrimSpace(x.data[n:]) != "" {
				t.Errorf("%s: cut at %d of %d, and no error", x.name, n, len(x.data))
			}
			for _, f := range r.rows {
				// Where the first row is the last, nothing tells how long it was.
				if !lengths[len(f.Secret)] && r.Fobs > 1 {
					t.Errorf("%s: cut at %d gives a seed of %d bytes", x.name, n, len(f.Secret))
				}
			}
		}
	}
}

// TestWipe: rows are wiped on request, and those that nobody takes at once.
func TestWipe(t *testing.T) {
	r, err := readAll(t.Context(), []byte(yubicoFixtures()[0].data), Options{})
	if err != nil || len(r.rows) == 0 {
		t.Fatal(err)
	}
	f := r.rows[0]
	f.Wipe()
	for _, b := range append(slices.Clone(f.Secret), f.PrivateID...) {
		if b != 0 {
			t.Fatal("the secret is there still")
		}
	}
	if _, err := f.Secret.MarshalJSON(); err == nil {
		t.Error("a secret was made JSON")
	}
}
