package seeds

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// fuzzing is Options that keep what a file may ask for small.
func fuzzing() Options {
	o := with(testKey)
	o.maxRounds = 2000
	return o
}

// fuzzFormat feeds foreign bytes to one format, whether or not it would take them for
// its own. Seeds are its fixtures, whole and cut.
func fuzzFormat(f *testing.F, known format) {
	f.Helper()
	n := 0
	for _, x := range fixtures() {
		if x.format != known.Name() {
			continue
		}
		f.Add([]byte(x.data))
		f.Add([]byte(x.data[:len(x.data)/2]))
		n++
	}
	if n == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		opened, err := open(data)
		if err != nil || len(data) > 1<<20 || known.Detect(opened) == no {
			return
		}
		c := collect(known.Name(), fuzzing(), Sink{
			Fob:  func(f Fob) error { checkRow(t, f); return nil },
			Skip: func(s Skip) error { checkSkip(t, s); return nil },
		})
		if err := known.Read(t.Context(), opened, c); err != nil && KindOf(err) == "" {
			t.Fatalf("an error without a kind: %v", err)
		}
	})
}

// FuzzRead feeds foreign bytes to all of it.
func FuzzRead(f *testing.F) {
	for _, x := range fixtures() {
		f.Add([]byte(x.data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<20 {
			return
		}
		s, err := Read(t.Context(), data, fuzzing(), Sink{
			Fob:  func(f Fob) error { checkRow(t, f); return nil },
			Skip: func(s Skip) error { checkSkip(t, s); return nil },
		})
		switch {
		case err == nil && s.Fobs+s.Skips == 0:
			t.Fatal("neither rows, nor skips, nor an error")
		case err != nil && KindOf(err) == "":
			t.Fatalf("an error without a kind: %v", err)
		}
	})
}

// FuzzDecode feeds foreign seeds to the encodings.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{hx(seed20), b32(seed20), hard, "0x" + hx(seed32), "31:32:33", "1E+39", "====", "a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, seed string) {
		for _, fixed := range []string{"", encodingHex, encodingBase32, encodingBase64} {
			s := spelling{fixed: fixed}
			s.see(seed)
			out, wrong := s.decode(seed)
			if (out == nil) == (wrong == nil) && len(seed) > 0 {
				t.Fatalf("%d bytes and %v", len(out), wrong)
			}
		}
	})
}

// checkRow: a row is what its comment promises.
func checkRow(t *testing.T, f Fob) {
	t.Helper()
	n := utf8.RuneCountInString(f.Serial)
	bad := n < 1 || n > maxSerial || strings.ContainsFunc(f.Serial, func(r rune) bool { return !printable(r) })
	switch f.Type {
	case TypeYubico:
		bad = bad || len(f.Secret) != yubicoSecret || len(f.PublicID) != yubicoID || len(f.PrivateID) != yubicoID || f.Digits != 0 || f.Period != 0 || f.Algorithm != ""
	case TypeHOTP, TypeTOTP:
		bad = bad || len(f.Secret) < DefaultMinSecret || len(f.Secret) > maxSecret || f.Digits < minDigits || f.Digits > maxDigits || hashName(f.Algorithm) != f.Algorithm || f.PrivateID != nil
		bad = bad || f.Type == TypeTOTP && (f.Period < 1 || f.Period > maxPeriod) || f.Type == TypeHOTP && (f.Period != 0 || f.Drift != 0)
	default:
		bad = true
	}
	if bad {
		t.Fatalf("a row that nobody can use: %+v", f)
	}
	for _, s := range append([]string{f.Maker, f.Model}, f.Users...) {
		if len(s) > maxText || !utf8.ValidString(s) {
			t.Fatalf("text that cannot be shown: %q", s)
		}
	}
}

func checkSkip(t *testing.T, s Skip) {
	t.Helper()
	if said := fmt.Sprint(s); s.Where == "" || s.Reason == "" || strings.ContainsFunc(said, func(r rune) bool { return !printable(r) }) {
		t.Fatalf("a skip that says nothing, or what cannot be shown: %q", said)
	}
}
