package otp_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/otp"
)

var algorithms = []otp.Algorithm{otp.SHA1, otp.SHA256, otp.SHA512}

// reference computes a code from the text of RFC 4226, section 5.3, and shares
// nothing with the package under test.
func reference(t testing.TB, secret []byte, p otp.Params, counter uint64) string {
	t.Helper()
	hashes := map[otp.Algorithm]func() hash.Hash{otp.SHA1: sha1.New, otp.SHA256: sha256.New, otp.SHA512: sha512.New}
	mac := hmac.New(hashes[p.Algorithm], secret)
	_ = binary.Write(mac, binary.BigEndian, counter)
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] % 16
	value := int64(binary.BigEndian.Uint32(sum[at:at+4]) & math.MaxInt32)
	if p.Type == otp.TypeSteam {
		const alphabet = "23456789BCDFGHJKMNPQRTVWXY"
		var out strings.Builder
		for range 5 {
			out.WriteByte(alphabet[value%26])
			value /= 26
		}
		return out.String()
	}
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(p.Digits)), nil)
	digits := new(big.Int).Mod(big.NewInt(value), limit).String()
	return strings.Repeat("0", p.Digits-len(digits)) + digits
}

// TestRFC4226 is appendix D. The truncated decimal values have 31 bits, so they
// are the 10-digit codes too.
func TestRFC4226(t *testing.T) {
	secret := []byte("12345678901234567890")
	six := []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"}
	full := []int64{1284755224, 1094287082, 137359152, 1726969429, 1640338314, 868254676, 1918287922, 82162583, 673399871, 645520489}
	for counter := range six {
		for digits := 6; digits <= 10; digits++ {
			ten := fmt.Sprintf("%010d", full[counter])
			want := ten[10-digits:]
			if digits == 6 && want != six[counter] {
				t.Fatalf("the table contradicts itself at %d", counter)
			}
			p := otp.Params{Type: otp.TypeHOTP, Algorithm: otp.SHA1, Digits: digits}
			if got, err := otp.HOTP(secret, p, uint64(counter)); err != nil || got.String() != want {
				t.Errorf("counter %d, %d digits: %q, %v; want %q", counter, digits, got, err, want)
			}
		}
	}
}

// TestRFC6238 is appendix B, with the seeds of the reference implementation in
// appendix A: as long as the hash.
func TestRFC6238(t *testing.T) {
	seed := strings.Repeat("1234567890", 7)
	times := []int64{59, 1111111109, 1111111111, 1234567890, 2000000000, 20000000000}
	for _, c := range []struct {
		algorithm otp.Algorithm
		size      int
		want      []string
	}{
		{otp.SHA1, 20, []string{"94287082", "07081804", "14050471", "89005924", "69279037", "65353130"}},
		{otp.SHA256, 32, []string{"46119246", "68084774", "67062674", "91819424", "90698825", "77737706"}},
		{otp.SHA512, 64, []string{"90693936", "25091201", "99943326", "93441116", "38618901", "47863826"}},
	} {
		p := otp.Params{Type: otp.TypeTOTP, Algorithm: c.algorithm, Digits: 8, Period: 30}
		for i, sec := range times {
			got, err := otp.TOTP([]byte(seed[:c.size]), p, time.Unix(sec, 999_999_999))
			if err != nil || got.Value.String() != c.want[i] {
				t.Errorf("%s at %d: %q, %v; want %q", c.algorithm, sec, got.Value, err, c.want[i])
			}
			from, until := time.Unix(sec-sec%30, 0), time.Unix(sec-sec%30+30, 0)
			if !got.From.Equal(from) || !got.Until.Equal(until) || got.From.Location() != time.UTC {
				t.Errorf("%s at %d: valid from %v until %v", c.algorithm, sec, got.From, got.Until)
			}
		}
	}
}

// TestSteamPublished uses the vectors that KeePassXC publishes for Steam.
func TestSteamPublished(t *testing.T) {
	secret, err := otp.ParseSecret("63BEDWCQZKTQWPESARIERL5DTTQFCJTK")
	if err != nil {
		t.Fatal(err)
	}
	p := otp.Params{Type: otp.TypeSteam}.WithDefaults()
	for sec, want := range map[int64]string{1511200518: "FR8RV", 1511200714: "9P3VP"} {
		if got, err := otp.TOTP(secret, p, time.Unix(sec, 0)); err != nil || got.Value.String() != want {
			t.Errorf("at %d: %q, %v; want %q", sec, got.Value, err, want)
		}
	}
}

func TestAgainstReference(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	counters := []uint64{0, 1, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<53 + 1, 1<<63 - 1, 1 << 63, math.MaxUint64}
	for range 300 {
		secret := make([]byte, 1+r.IntN(200))
		for i := range secret {
			secret[i] = byte(r.Uint32())
		}
		counter := r.Uint64() >> r.IntN(64)
		if r.IntN(3) == 0 {
			counter = counters[r.IntN(len(counters))]
		}
		p := otp.Params{Type: otp.TypeHOTP, Algorithm: algorithms[r.IntN(3)], Digits: 6 + r.IntN(5)}
		if got, err := otp.HOTP(secret, p, counter); err != nil || got.String() != reference(t, secret, p, counter) {
			t.Fatalf("hotp %+v, counter %d: %q, %v", p, counter, got, err)
		}
		p.Type, p.Period = otp.TypeTOTP, []int{1, 7, 30, 60, 86400, otp.MaxPeriod}[r.IntN(6)]
		if r.IntN(3) == 0 {
			p = otp.Params{Type: otp.TypeSteam}.WithDefaults()
		}
		sec := r.Int64N(253402300800)
		step := sec / int64(p.Period)
		got, err := otp.TOTP(secret, p, time.Unix(sec, 0))
		if err != nil || got.Value.String() != reference(t, secret, p, uint64(step)) {
			t.Fatalf("%+v at %d: %q, %v", p, sec, got.Value, err)
		}
		if got.From.Unix() != step*int64(p.Period) || got.Until.Unix()-got.From.Unix() != int64(p.Period) {
			t.Fatalf("%+v at %d: valid from %v until %v", p, sec, got.From, got.Until)
		}
	}
}

func TestTimes(t *testing.T) {
	p := otp.Params{}.WithDefaults()
	for _, at := range []time.Time{
		time.Unix(0, 0), time.Unix(29, 999_999_999), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", -11*3600)),
	} {
		got, err := otp.TOTP([]byte("secret"), p, at)
		if err != nil || at.Before(got.From) || !at.Before(got.Until) {
			t.Errorf("%v: valid from %v until %v, %v", at, got.From, got.Until, err)
		}
	}
	for _, at := range []time.Time{
		{}, time.Unix(-1, 0), time.Unix(-1, 999_999_999), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Unix(math.MaxInt64, 0), time.Unix(math.MinInt64, 0), time.Unix(1<<62, 0),
	} {
		got, err := otp.TOTP([]byte("secret"), p, at)
		wantError(t, fmt.Sprint(at), err, "time")
		if got.Value != (otp.Value{}) || got.Value.String() != "" {
			t.Errorf("%v: got a code", at)
		}
	}
}

// wantError fails unless err is an *Error about field.
func wantError(t *testing.T, what string, err error, field string) {
	t.Helper()
	var e *otp.Error
	if !errors.As(err, &e) || e.Field != field {
		t.Errorf("%s: error %v, want one about %s", what, err, field)
	}
}

func TestParamsRefused(t *testing.T) {
	good := otp.Params{Type: otp.TypeTOTP, Algorithm: otp.SHA256, Digits: 8, Period: 60}
	steam := otp.Params{Type: otp.TypeSteam}.WithDefaults()
	for _, p := range []otp.Params{good, steam} {
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		field  string
		from   otp.Params
		change func(*otp.Params)
	}{
		{"type", good, func(p *otp.Params) { p.Type = "" }},
		{"type", good, func(p *otp.Params) { p.Type = "TOTP" }},
		{"type", good, func(p *otp.Params) { p.Type = "motp" }},
		{"algorithm", good, func(p *otp.Params) { p.Algorithm = "" }},
		{"algorithm", good, func(p *otp.Params) { p.Algorithm = "sha1" }},
		{"algorithm", good, func(p *otp.Params) { p.Algorithm = "MD5" }},
		{"digits", good, func(p *otp.Params) { p.Digits = 0 }},
		{"digits", good, func(p *otp.Params) { p.Digits = 5 }},
		{"digits", good, func(p *otp.Params) { p.Digits = 11 }},
		{"digits", good, func(p *otp.Params) { p.Digits = -6 }},
		{"period", good, func(p *otp.Params) { p.Period = 0 }},
		{"period", good, func(p *otp.Params) { p.Period = -30 }},
		{"period", good, func(p *otp.Params) { p.Period = otp.MaxPeriod + 1 }},
		{"digits", steam, func(p *otp.Params) { p.Digits = 6 }},
		{"period", steam, func(p *otp.Params) { p.Period = 60 }},
		{"algorithm", steam, func(p *otp.Params) { p.Algorithm = otp.SHA256 }},
	} {
		p := c.from
		c.change(&p)
		wantError(t, fmt.Sprintf("%+v", p), p.Validate(), c.field)
		_, err := otp.TOTP([]byte("secret"), p, time.Unix(1e9, 0))
		wantError(t, fmt.Sprintf("TOTP with %+v", p), err, c.field)
	}
	hotp := otp.Params{Type: otp.TypeHOTP, Algorithm: otp.SHA1, Digits: 11}
	_, err := otp.HOTP([]byte("secret"), hotp, 0)
	wantError(t, "11 digits", err, "digits")
}

func TestTypeFitsFunction(t *testing.T) {
	_, err := otp.HOTP([]byte("secret"), otp.Params{}.WithDefaults(), 0)
	wantError(t, "HOTP for totp", err, "type")
	_, err = otp.TOTP([]byte("secret"), otp.Params{Type: otp.TypeHOTP}.WithDefaults(), time.Unix(0, 0))
	wantError(t, "TOTP for hotp", err, "type")
}

func TestSecretBounds(t *testing.T) {
	p := otp.Params{}.WithDefaults()
	for _, n := range []int{0, otp.MaxSecret + 1} {
		_, err := otp.TOTP(make([]byte, n), p, time.Unix(0, 0))
		wantError(t, fmt.Sprintf("%d bytes", n), err, "secret")
	}
	for _, n := range []int{1, 2, 4, 64, 65, 128, 129, otp.MaxSecret} {
		if _, err := otp.TOTP(make([]byte, n), p, time.Unix(0, 0)); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if !otp.Weak(make([]byte, 15)) || otp.Weak(make([]byte, 16)) {
		t.Error("weak is not below 128 bits")
	}
}

func BenchmarkTOTP(b *testing.B) {
	p := otp.Params{}.WithDefaults()
	for b.Loop() {
		if _, err := otp.TOTP([]byte("12345678901234567890"), p, time.Unix(1e9, 0)); err != nil {
			b.Fatal(err)
		}
	}
}
