package otp_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/daemon/otp"
)

// secretSeeds are texts of secrets as found in the wild and what they mean; nil
// is: refused. They seed the fuzz target too.
func secretSeeds() map[string][]byte {
	return map[string][]byte{
		"MZXW6YTBOI======":               []byte("foobar"), // RFC 4648, section 10
		"MZXW6YTBOI":                     []byte("foobar"),
		"mzxw6ytboi":                     []byte("foobar"),
		"mZXw 6ytB-OI":                   []byte("foobar"),
		" MZXW\u00a06YTB\tOI\r\n":        []byte("foobar"),
		"MZXW6YTBOI=":                    []byte("foobar"),
		"MZ-XW-6Y-TB-OI-==":              []byte("foobar"),
		"MZXW6===":                       []byte("foo"),
		"MZXW7":                          []byte("foo"), // bits beyond the last byte
		"MZ":                             []byte("f"),
		"JBSWY3DPEHPK3PXP":               []byte("Hello!\xde\xad\xbe\xef"),
		strings.Repeat("A", 1640)[:1638]: nil,
		strings.Repeat("A", 1639):        make([]byte, 1024),
		strings.Repeat("A", 1640):        nil,
		strings.Repeat("AA-", 5000):      nil,
		"":                               nil,
		"   ":                            nil,
		"====":                           nil,
		"--":                             nil,
		"A":                              nil,
		"ABC":                            nil,
		"ABCDEF":                         nil,
		"MZXW6YTBO":                      nil,
		"MZXW6==Y":                       nil,
		"MZXW6YTBOI=======":              nil,
		"MZXW6YTB0I":                     nil,
		"MZXW6YTB1I":                     nil,
		"MZXW6YTB8I":                     nil,
		"MZXW6YTB_I":                     nil,
		"MZXW6YTBO\u0130":                nil, // its lower case is not ASCII
		"MZXW6YTBO\xff":                  nil,
		"MZXW6YTB\x00OI":                 nil,
		"ſZXW6YTBOI":                     nil, // its upper case is ASCII
		"ＭＺＸＷ":                           nil,
	}
}

func TestParseSecret(t *testing.T) {
	for text, want := range secretSeeds() {
		got, err := otp.ParseSecret(text)
		if want == nil {
			wantError(t, text, err, "secret")
			if got != nil {
				t.Errorf("%q: refused, and %x returned", text, got)
			}
			continue
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q: %x, %v; want %x", text, got, err, want)
		}
	}
}

func TestFormatSecretReadsBack(t *testing.T) {
	for n := 1; n < 70; n++ {
		secret := bytes.Repeat([]byte{0xa7, 3}, 35)[:n]
		got, err := otp.ParseSecret(otp.FormatSecret(secret))
		if err != nil || !bytes.Equal(got, secret) {
			t.Errorf("%d bytes: %x, %v", n, got, err)
		}
	}
}

func FuzzParseSecret(f *testing.F) {
	seeds := secretSeeds()
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for text := range seeds {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		secret, err := otp.ParseSecret(text)
		if err != nil {
			checkSilent(t, err, text)
			return
		}
		if len(secret) == 0 || len(secret) > otp.MaxSecret {
			t.Fatalf("%d bytes", len(secret))
		}
		// Only the bits of the last character may differ.
		clean := strings.ToUpper(strings.Map(func(r rune) rune {
			if strings.ContainsRune(" \u00a0\t\r\n-=", r) {
				return -1
			}
			return r
		}, text))
		back := otp.FormatSecret(secret)
		if len(back) != len(clean) || back[:len(back)-1] != clean[:len(clean)-1] {
			t.Fatalf("%q was read as %q", text, back)
		}
	})
}

// checkSilent fails when an error repeats any 5 characters of the input that
// the package's own words do not have.
func checkSilent(t *testing.T, err error, input string) {
	t.Helper()
	const window = 5
	said := regexp.MustCompile(`character \d+`).ReplaceAllString(err.Error(), "character")
	for i := 0; i+window <= len(said); i++ {
		piece := said[i : i+window]
		if strings.Contains(input, piece) && !strings.Contains(ownWords, piece) {
			t.Fatalf("error %q repeats %q of the input", said, piece)
		}
	}
}
