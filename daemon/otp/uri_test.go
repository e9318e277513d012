package otp_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/otp"
)

const b32 = "JBSWY3DPEHPK3PXP"

// ownWords is the text that errors are made of, so that an input which has the
// same words is not taken for a leak.
const ownWords = `cannot use uri: secret: issuer: name: type: algorithm: digits: period: counter: encoder: time:
it does not begin with otpauth:// a hotp URI must have one the URI is not for totp, hotp or steam
it is known as steam, for totp, only it holds a control character it has a fragment (#) it has no secret
its label has broken percent-encoding a parameter's name has broken percent-encoding it has broken percent-encoding
it is given twice it is not a number it is empty the number is too large the URI names no account
it is not SHA1, SHA256 or SHA512 it is not "totp", "hotp" or "steam" there must be 6 to 10
Steam codes are made with SHA1 Steam codes have 5 characters Steam codes are valid for 30 seconds
it must be at least 1 second it must be 1 to 31536000 seconds it is longer than 16384 bytes it is longer than 1024 bytes
it is longer than 256 characters it holds a control or invisible character it begins or ends with white space
it is not valid UTF-8 it is not base32 there are more than 6 padding characters character is not base32 (A to Z and 2 to 7)
it has a length that base32 cannot have: characters are missing or too many there is something after the padding, at character
`

func key(issuer, name string, p otp.Params) otp.Key {
	return otp.Key{Issuer: issuer, Name: name, Params: p.WithDefaults(), Secret: []byte("Hello!\xde\xad\xbe\xef")}
}

// goodURIs are URIs and what they mean.
func goodURIs() map[string]otp.Key {
	hotp := func(c uint64) otp.Params { return otp.Params{Type: otp.TypeHOTP, Counter: c} }
	steam := otp.Params{Type: otp.TypeSteam}
	s := "?secret=" + b32
	return map[string]otp.Key{
		// the examples of the specification
		"otpauth://totp/Example:alice@google.com" + s + "&issuer=Example":                                         key("Example", "alice@google.com", otp.Params{}),
		"otpauth://totp/ACME%20Co:john.doe@email.com" + s + "&issuer=ACME%20Co&algorithm=SHA1&digits=6&period=30": key("ACME Co", "john.doe@email.com", otp.Params{}),
		"otpauth://totp/Provider1:Alice%20Smith" + s:                                                              key("Provider1", "Alice Smith", otp.Params{}),
		"otpauth://totp/Big%20Corporation%3A%20alice%40bigco.com" + s:                                             key("Big Corporation", "alice@bigco.com", otp.Params{}),
		"otpauth://totp/alice" + s + "&issuer=Example":                                                            key("Example", "alice", otp.Params{}),
		"otpauth://totp/alice" + s:                                                                                key("", "alice", otp.Params{}),
		"OTPAUTH://TOTP/alice?SECRET=" + strings.ToLower(b32) + "&Issuer=X":                                       key("X", "alice", otp.Params{}),
		" otpauth://totp/a" + s + "&algorithm=sha256&digits=8&period=60\n":                                        key("", "a", otp.Params{Algorithm: otp.SHA256, Digits: 8, Period: 60}),
		"otpauth://totp/a" + s + "&algorithm=HmacSHA512&digits=10&period=1":                                       key("", "a", otp.Params{Algorithm: otp.SHA512, Digits: 10, Period: 1}),
		"otpauth://totp/a" + s + "&algorithm=SHA-256&digits=09":                                                   key("", "a", otp.Params{Algorithm: otp.SHA256, Digits: 9}),
		"otpauth://totp/a?secret=jbsw%20y3dp+ehpk-3pxp%3D%3D":                                                     key("", "a", otp.Params{}),
		"otpauth://totp/a?secret=" + b32 + "====":                                                                 key("", "a", otp.Params{}),
		"otpauth://hotp/a" + s + "&counter=0":                                                                     key("", "a", hotp(0)),
		"otpauth://hotp/a" + s + "&counter=18446744073709551615":                                                  key("", "a", hotp(math.MaxUint64)),
		"otpauth://hotp/a" + s + "&counter=9007199254740993&period=0":                                             key("", "a", hotp(9007199254740993)),
		"otpauth://totp/a" + s + "&counter=3":                                                                     key("", "a", otp.Params{}),
		"otpauth://totp/a" + s + "&image=https%3A%2F%2Fx%2F%ZZ&color=red&&=&lock":                                 key("", "a", otp.Params{}),
		"otpauth://steam/Steam:gordon" + s + "&issuer=Steam":                                                      key("Steam", "gordon", steam),
		"otpauth://totp/Steam:gordon" + s + "&issuer=Steam&encoder=steam&digits=5&period=30":                      key("Steam", "gordon", steam),
		"otpauth://steam/Steam:gordon" + s + "&encoder=Steam&algorithm=sha1":                                      key("Steam", "gordon", steam),
		// labels
		"otpauth://totp/a+b@x.com" + s:                                 key("", "a+b@x.com", otp.Params{}),
		"otpauth://totp/C+:a+b" + s + "&issuer=C%2B":                   key("C+", "a+b", otp.Params{}),
		"otpauth://totp/Disney+:me" + s + "&issuer=Disney+":            key("Disney+", "me", otp.Params{}),
		"otpauth://totp/Disney%2B:me" + s + "&issuer=Disney+":          key("Disney+", "me", otp.Params{}),
		"otpauth://totp/Big%20Co:me" + s + "&issuer=Big+Co":            key("Big Co", "me", otp.Params{}),
		"otpauth://totp/me" + s + "&issuer=Big+Co":                     key("Big Co", "me", otp.Params{}),
		"otpauth://totp/Big Co: me" + s + "&issuer=Big Co":             key("Big Co", "me", otp.Params{}),
		"otpauth://totp/GITHUB%20:me" + s + "&issuer=GitHub":           key("GitHub", "me", otp.Params{}),
		"otpauth://totp/Contoso:me@x" + s + "&issuer=Microsoft":        key("Microsoft", "Contoso:me@x", otp.Params{}),
		"otpauth://totp/Foobar:me" + s + "&issuer=Foo":                 key("Foo", "Foobar:me", otp.Params{}),
		"otpauth://totp/a:b:me" + s + "&issuer=a:b":                    key("a:b", "me", otp.Params{}),
		"otpauth://totp/a:b:me" + s:                                    key("a", "b:me", otp.Params{}),
		"otpauth://totp/:a:b" + s:                                      key("", "a:b", otp.Params{}),
		"otpauth://totp/:me" + s + "&issuer=X":                         key("X", "me", otp.Params{}),
		"otpauth://totp/AWS/prod/me" + s:                               key("", "AWS/prod/me", otp.Params{}),
		"otpauth://totp/GitHub" + s + "&issuer=GitHub":                 key("GitHub", "GitHub", otp.Params{}),
		"otpauth://totp/GitHub:" + s:                                   key("GitHub", "GitHub", otp.Params{}),
		"otpauth://totp/" + s + "&issuer=GitHub":                       key("GitHub", "GitHub", otp.Params{}),
		"otpauth://totp" + s + "&issuer=GitHub":                        key("GitHub", "GitHub", otp.Params{}),
		"otpauth://totp/me" + s + "&issuer=":                           key("", "me", otp.Params{}),
		"otpauth://totp/%E6%97%A5%E6%9C%AC:Zo\u00eb" + s:               key("日本", "Zoë", otp.Params{}),
		"otpauth://totp/" + strings.Repeat("%F0%9F%94%91", 256) + s:    key("", strings.Repeat("🔑", 256), otp.Params{}),
		"otpauth://totp/%F0%9F%91%A9%E2%80%8D%F0%9F%9A%80" + s:         key("", "👩\u200d🚀", otp.Params{}), // joiner
		"otpauth://totp/me?issuer=X&secret=" + b32 + "&unknown=&x=%ff": key("X", "me", otp.Params{}),
	}
}

// badURIs are URIs and the field that is wrong in them.
func badURIs() map[string]string {
	s := "?secret=" + b32
	return map[string]string{
		"":                    "uri",
		"otpauth:":            "uri",
		"otpauth:/totp/a" + s: "uri",
		"http://totp/a" + s:   "uri",
		"steam://" + b32:      "uri",
		"otpauth-migration://offline?data=CjEKCkhlbGxvId6tvu8": "uri",
		"otpauth://":                                                   "type",
		"otpauth://totp/a":                                             "uri",
		"otpauth://totp/a?":                                            "uri",
		"otpauth://totp/a?issuer=X":                                    "uri",
		"otpauth://totp/a?%73ecre=" + b32:                              "uri",
		"otpauth://totp/a?secret":                                      "secret",
		"otpauth://totp/a?secret=":                                     "secret",
		"otpauth://totp/a?secret=%20%20":                               "secret",
		"otpauth://totp/a?secret=JBSWY3DPEHPK3PX0":                     "secret",
		"otpauth://totp/a?secret=JBSWY3DPEHPK3PXPA":                    "secret",
		"otpauth://totp/a?secret=%ZZBSWY3DPEHPK3PXP":                   "secret",
		"otpauth://totp/a?secret=" + strings.Repeat("A", 1648):         "secret",
		"otpauth://totp/a" + s + s[1:]:                                 "secret",
		"otpauth://totp/a" + s + "&secret=" + b32:                      "secret",
		"otpauth://totp/a" + s + "&SECRET=" + b32:                      "secret",
		"otpauth://totp/a" + s + "&%73ecret=" + b32:                    "secret",
		"otpauth://totp/a" + s + "&issuer=X&issuer=X":                  "issuer",
		"otpauth://totp/a" + s + "&digits=6&digits=8":                  "digits",
		"otpauth://totp/a" + s + "&period=30&Period=30":                "period",
		"otpauth://hotp/a" + s + "&counter=1&counter=2":                "counter",
		"otpauth://motp/a" + s:                                         "type",
		"otpauth:///a" + s:                                             "type",
		"otpauth://user:pw@totp/a" + s:                                 "type",
		"otpauth://totp:80/a" + s:                                      "type",
		"otpauth://totp/a" + s + "#frag":                               "uri",
		"otpauth://totp/a#b" + s:                                       "uri",
		"otpauth://hotp/a" + s:                                         "counter",
		"otpauth://hotp/a" + s + "&counter=":                           "counter",
		"otpauth://hotp/a" + s + "&counter=-1":                         "counter",
		"otpauth://hotp/a" + s + "&counter=%2B1":                       "counter",
		"otpauth://hotp/a" + s + "&counter=1.5":                        "counter",
		"otpauth://hotp/a" + s + "&counter=0x10":                       "counter",
		"otpauth://hotp/a" + s + "&counter=1_000":                      "counter",
		"otpauth://hotp/a" + s + "&counter=18446744073709551616":       "counter",
		"otpauth://totp/a" + s + "&counter=x":                          "counter",
		"otpauth://totp/a" + s + "&digits=5":                           "digits",
		"otpauth://totp/a" + s + "&digits=11":                          "digits",
		"otpauth://totp/a" + s + "&digits=0":                           "digits",
		"otpauth://totp/a" + s + "&digits=":                            "digits",
		"otpauth://totp/a" + s + "&digits=six":                         "digits",
		"otpauth://totp/a" + s + "&digits=4294967302":                  "digits",
		"otpauth://totp/a" + s + "&digits=\u0666":                      "digits",
		"otpauth://totp/a" + s + "&period=0":                           "period",
		"otpauth://totp/a" + s + "&period=-30":                         "period",
		"otpauth://totp/a" + s + "&period=31536001":                    "period",
		"otpauth://totp/a" + s + "&period=99999999999999999999":        "period",
		"otpauth://hotp/a" + s + "&counter=1&period=x":                 "period",
		"otpauth://totp/a" + s + "&algorithm=MD5":                      "algorithm",
		"otpauth://totp/a" + s + "&algorithm=":                         "algorithm",
		"otpauth://totp/a" + s + "&algorithm=SHA384":                   "algorithm",
		"otpauth://totp/a" + s + "&encoder=hex":                        "encoder",
		"otpauth://totp/a" + s + "&encoder=":                           "encoder",
		"otpauth://hotp/a" + s + "&counter=1&encoder=steam":            "encoder",
		"otpauth://steam/a" + s + "&digits=6":                          "digits",
		"otpauth://steam/a" + s + "&period=60":                         "period",
		"otpauth://steam/a" + s + "&algorithm=SHA256":                  "algorithm",
		"otpauth://totp/" + s:                                          "name",
		"otpauth://totp/:" + s:                                         "name",
		"otpauth://totp/%20%3A%20" + s:                                 "name",
		"otpauth://totp/a%00b" + s:                                     "name",
		"otpauth://totp/a%0Ab" + s:                                     "name",
		"otpauth://totp/a%1B%5B2Jb" + s:                                "name",
		"otpauth://totp/a%C2%85b" + s:                                  "name", // C1 control
		"otpauth://totp/a%E2%80%AEb" + s:                               "name", // right-to-left override
		"otpauth://totp/a%E2%81%A6b" + s:                               "name", // isolate
		"otpauth://totp/a%E2%80%8Bb" + s:                               "name", // zero-width space
		"otpauth://totp/a%E2%80%A8b" + s:                               "name", // line separator
		"otpauth://totp/a%EF%BB%BFb" + s:                               "name", // byte order mark
		"otpauth://totp/a%EF%BF%BFb" + s:                               "name", // noncharacter
		"otpauth://totp/a%FFb" + s:                                     "name",
		"otpauth://totp/a%ED%A0%80b" + s:                               "name", // surrogate
		"otpauth://totp/" + strings.Repeat("a", 257) + s:               "name",
		"otpauth://totp/a" + s + "&issuer=" + strings.Repeat("a", 257): "issuer",
		"otpauth://totp/a" + s + "&issuer=X%E2%80%AEY":                 "issuer",
		"otpauth://totp/a" + s + "&issuer=%FF":                         "issuer",
		"otpauth://totp/a" + s + "&issuer=%F":                          "issuer",
		"otpauth://totp/X%00Y:a" + s:                                   "issuer",
		"otpauth://totp/a%" + s:                                        "uri",
		"otpauth://totp/a%4" + s:                                       "uri",
		"otpauth://totp/a" + s + "&%zz=1":                              "uri",
		"otpauth://totp/a\x00" + s:                                     "uri",
		"otpauth://totp/a\nb" + s:                                      "uri",
		"otpauth://totp/a\xff" + s:                                     "uri",
		"otpauth://totp/" + strings.Repeat("a", otp.MaxURI) + s:        "uri",
	}
}

func TestParseURI(t *testing.T) {
	for uri, want := range goodURIs() {
		got, err := otp.ParseURI(uri)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n gives %s, %v\n  want %s", uri, show(got), err, show(want))
		}
	}
	for uri, field := range badURIs() {
		got, err := otp.ParseURI(uri)
		wantError(t, uri, err, field)
		if err != nil {
			checkSilent(t, err, uri)
		}
		if !reflect.DeepEqual(got, otp.Key{}) {
			t.Errorf("%s: refused, and %s returned", uri, show(got))
		}
	}
}

func show(k otp.Key) string {
	return fmt.Sprintf("%q %q %+v %x", k.Issuer, k.Name, k.Params, k.Secret)
}

// TestURIReadsBack makes keys of every kind and of awkward names.
func TestURIReadsBack(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	parts := []string{"a", "Ä", "日", "🔑", " ", ":", "%", "+", "&", "=", "#", "?", "/", "\\", "@", "\"", "<", "%3A", "%2B", "..", "secret", "\u00a0"}
	word := func() string {
		var b strings.Builder
		for range r.IntN(6) {
			b.WriteString(parts[r.IntN(len(parts))])
		}
		return strings.TrimSpace(b.String())
	}
	for range 3000 {
		k := otp.Key{Issuer: word(), Name: word(), Secret: make([]byte, 1+r.IntN(64))}
		if k.Name == "" {
			k.Name = "n"
		}
		for i := range k.Secret {
			k.Secret[i] = byte(r.Uint32())
		}
		switch r.IntN(3) {
		case 0:
			k.Params = otp.Params{Type: otp.TypeTOTP, Algorithm: algorithms[r.IntN(3)], Digits: 6 + r.IntN(5), Period: 1 + r.IntN(otp.MaxPeriod)}
		case 1:
			k.Params = otp.Params{Type: otp.TypeHOTP, Algorithm: algorithms[r.IntN(3)], Digits: 6 + r.IntN(5), Counter: r.Uint64()}
		case 2:
			k.Params = otp.Params{Type: otp.TypeSteam}.WithDefaults()
		}
		if err := k.Validate(); err != nil {
			t.Fatalf("%s: %v", show(k), err)
		}
		got, err := otp.ParseURI(k.URI())
		if err != nil || !reflect.DeepEqual(got, k) {
			t.Fatalf("%s\n written as %s\n read back as %s, %v", show(k), k.URI(), show(got), err)
		}
	}
}

func TestLongestURIReadsBack(t *testing.T) {
	k := key(strings.Repeat("🔑", 256), strings.Repeat("日", 256), otp.Params{Type: otp.TypeHOTP, Counter: math.MaxUint64})
	k.Secret = make([]byte, otp.MaxSecret)
	got, err := otp.ParseURI(k.URI())
	if err != nil || !reflect.DeepEqual(got, k) {
		t.Fatalf("%d bytes: %v", len(k.URI()), err)
	}
}

func TestKeyValidate(t *testing.T) {
	for field, change := range map[string]func(*otp.Key){
		"name":   func(k *otp.Key) { k.Name = "" },
		"issuer": func(k *otp.Key) { k.Issuer = " x" },
		"secret": func(k *otp.Key) { k.Secret = nil },
		"digits": func(k *otp.Key) { k.Digits = 3 },
	} {
		k := key("X", "a", otp.Params{})
		change(&k)
		wantError(t, field, k.Validate(), field)
	}
	if k := key("X", "a", otp.Params{}); !k.Weak() {
		t.Error("80 bits are not called weak")
	}
}

func TestKeyIsNeverPrinted(t *testing.T) {
	k := key("X", "a", otp.Params{})
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "k", k, "p", &k)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "k", k)
	out := log.String() + fmt.Sprintf("%v %+v %#v %s %x %d", k, k, k, k, &k, []otp.Key{k})
	if doc, err := json.Marshal(k); err == nil {
		t.Errorf("JSON gave %s", doc)
	}
	for _, leak := range []string{"Hello", "72 101 108", "48656c6c6f", "SGVsbG8", b32} {
		if strings.Contains(strings.ToLower(out), strings.ToLower(leak)) {
			t.Errorf("printed %s", out)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	good, bad := goodURIs(), badURIs()
	if len(good) == 0 || len(bad) == 0 {
		f.Fatal("no seeds")
	}
	for uri := range good {
		f.Add(uri)
	}
	for uri := range bad {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		k, err := otp.ParseURI(uri)
		if err != nil {
			checkSilent(t, err, uri)
			return
		}
		if err := k.Validate(); err != nil {
			t.Fatalf("an invalid key was returned: %v", err)
		}
		back, err := otp.ParseURI(k.URI())
		if err != nil || !reflect.DeepEqual(back, k) {
			t.Fatalf("%s\n written as %s\n read back as %s, %v", show(k), k.URI(), show(back), err)
		}
		if k.Type == otp.TypeHOTP {
			_, err = otp.HOTP(k.Secret, k.Params, k.Counter)
		} else {
			_, err = otp.TOTP(k.Secret, k.Params, time.Unix(1e9, 0))
		}
		if err != nil {
			t.Fatalf("no code: %v", err)
		}
	})
}
