//go:build linux

package e2e

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// sample is an account under test: what it is and what oathtool needs.
type sample struct {
	name, typ, alg, class string
	digits, period        int
	counter               uint64
	secret                string // base32
}

// samples makes n accounts over all types, hashes and both classes.
func samples(n int) []sample {
	algs := []string{"SHA1", "SHA256", "SHA512"}
	s := make([]sample, n)
	for i := range s {
		raw := make([]byte, []int{20, 32, 64}[i%3])
		_, _ = rand.Read(raw)
		a := sample{
			name: fmt.Sprintf("user%02d@example.org", i), typ: "totp", alg: algs[i%3], class: "session",
			digits: []int{6, 7, 8}[(i/3)%3], period: []int{30, 60, 15}[(i/9)%3],
			secret: base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw),
		}
		if i%5 == 4 { // oathtool's HOTP is SHA-1 alone
			a.typ, a.alg, a.period, a.counter = "hotp", "SHA1", 0, uint64(i)*1000
		}
		if i%2 == 1 {
			a.class = "touch"
		}
		s[i] = a
	}
	return s
}

func (a sample) uri() string {
	v := url.Values{"secret": {a.secret}, "issuer": {"Example"}, "algorithm": {a.alg}, "digits": {fmt.Sprint(a.digits)}}
	if a.typ == "hotp" {
		v.Set("counter", fmt.Sprint(a.counter))
	} else {
		v.Set("period", fmt.Sprint(a.period))
	}
	return "otpauth://" + a.typ + "/Example:" + url.PathEscape(a.name) + "?" + v.Encode()
}

// oathtool is what another implementation makes of the account at the code's
// own moment or counter.
func (a sample) oathtool(tb testing.TB, c ipc.Code) string {
	tb.Helper()
	args := []string{"-b", "-d", fmt.Sprint(a.digits)}
	if a.typ == "hotp" {
		if c.Counter == nil {
			tb.Fatalf("a HOTP code without a counter: %+v", c)
		}
		args = append(args, "--hotp", "-c", fmt.Sprint(*c.Counter))
	} else {
		args = append(args, "--totp="+strings.ToLower(a.alg), "-s", fmt.Sprintf("%ds", a.period),
			"-N", c.ValidFrom.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	cmd := exec.Command("oathtool", append(args, "-")...)
	cmd.Stdin = strings.NewReader(a.secret)
	out, err := cmd.CombinedOutput()
	if err != nil {
		tb.Fatalf("oathtool: %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// checkValidity fails the test unless now lies in the code's time.
func checkValidity(tb testing.TB, a sample, c ipc.Code) {
	tb.Helper()
	if a.typ == "hotp" {
		return
	}
	now := time.Now()
	if c.ValidUntil.Sub(c.ValidFrom) != time.Duration(a.period)*time.Second ||
		now.Before(c.ValidFrom) || now.After(c.ValidUntil.Add(2*time.Second)) {
		tb.Errorf("%s: valid %v to %v at %v", a.name, c.ValidFrom, c.ValidUntil, now)
	}
}
