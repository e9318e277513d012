package otp_test

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/otp"
)

// oathtool asks another implementation for a code. Its secrets are made up, so
// that they may stand in its arguments.
func oathtool(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("oathtool", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("oathtool %s: %v: %s (the program is in Debian's and Ubuntu's package oathtool)", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestAgainstOathtool(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 90 {
		secret := make([]byte, 1+r.IntN(80))
		for j := range secret {
			secret[j] = byte(r.Uint32())
		}
		p := otp.Params{Type: otp.TypeTOTP, Algorithm: algorithms[i%3], Digits: 6 + i/3%3, Period: 1 + r.IntN(200)}
		at := time.Unix(r.Int64N(1<<32), 0).UTC()
		want := oathtool(t, "--totp="+string(p.Algorithm), "-d", fmt.Sprint(p.Digits), "-s", fmt.Sprintf("%ds", p.Period),
			"-N", at.Format("2006-01-02 15:04:05 UTC"), hex.EncodeToString(secret))
		if got, err := otp.TOTP(secret, p, at); err != nil || got.Value.String() != want {
			t.Fatalf("%+v at %v: %q, %v; oathtool says %q", p, at, got.Value, err, want)
		}
		if i%3 != 0 {
			continue // oathtool's HOTP has SHA1 alone
		}
		counter := r.Uint64() >> (1 + r.IntN(63)) // its counters are signed
		if i == 0 {
			counter = math.MaxInt64
		}
		p = otp.Params{Type: otp.TypeHOTP, Algorithm: otp.SHA1, Digits: p.Digits}
		want = oathtool(t, "-d", fmt.Sprint(p.Digits), "-c", fmt.Sprint(counter), hex.EncodeToString(secret))
		if got, err := otp.HOTP(secret, p, counter); err != nil || got.String() != want {
			t.Fatalf("%+v, counter %d: %q, %v; oathtool says %q", p, counter, got, err, want)
		}
	}
}

// TestSecretsAgainstOathtool lets both read the same text of a secret.
func TestSecretsAgainstOathtool(t *testing.T) {
	for _, text := range []string{
		"JBSWY3DPEHPK3PXP", "jbsw y3dp ehpk 3pxp", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "MZXW6===", "MZXW6", "MZXW6YTB", "MY======", "MY",
	} {
		secret, err := otp.ParseSecret(text)
		if err != nil {
			t.Fatal(err)
		}
		p := otp.Params{Type: otp.TypeHOTP}.WithDefaults()
		want := oathtool(t, "-b", "-c", "7", text)
		if got, err := otp.HOTP(secret, p, 7); err != nil || got.String() != want {
			t.Errorf("%q: %q, %v; oathtool says %q", text, got, err, want)
		}
	}
}
