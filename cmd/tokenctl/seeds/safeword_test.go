package seeds

import (
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/otp"
)

func safeWordFixtures() []fixture {
	record := func(serial, kind, data string) string {
		return "dn: sccAuthenticatorId=" + serial + "\nobjectclass: sccCompatibleToken\nsccAuthenticatorId: " + serial + "\nsccTokenType: " + kind +
			"\nsccTokenData: " + data + "\nsccSignature: MC0CFQ==\n\n"
	}
	return []fixture{{
		name: "SafeWord", format: "SafeWord DAT",
		data: "# ===== SafeWord Authenticator Records $Version: 100$ =====\n" +
			record("SW01", "eToken-PASS-ES", "sccKey="+hx(seed20)+";sccMode=E;sccPwLen=6;sccVer=6.20;") +
			record("SW02", "eToken-PASS-TS", "sccKey="+hx(seed20)+";sccMode=T;sccPwLen=8;sccTick=60;sccPrTime=2013/03/12 00:00:00") +
			record("SW03", "eToken-PASS-TS", "sccKey="+hx(seed32)+";sccMode=T;sccPwLen=6;sccTick=30;crypto=HmacSHA256;") +
			record("SW04", "x", "sccKey="+hx(seed20)+";sccMode=X;sccPwLen=6") +
			record("SW05", "x", "sccKey="+hx(seed20)+";sccMode=T;sccPwLen=6;sccTick=7") +
			record("SW06", "x", "sccKey=zz;sccMode=E;sccPwLen=6") +
			record("SW07", "x", "sccKey="+hx(seed20)+";sccMode=E;sccPwLen=9") +
			record("SW08", "x", "sccKey="+hx(seed20)+";sccPwLen=6") +
			record("SW09", "x", "sccKey="+hx(seed20)+";sccMode=T;sccPwLen=6;sccTick=0") +
			"dn: x\nsccAuthenticatorId: SW10\nnonsense",
		want: []string{
			"SW01 hotp SHA1 6 0 0 " + hx(seed20) + " /eToken-PASS-ES",
			"SW02 totp SHA1 8 60 0 " + hx(seed20) + " drift -15778080 /eToken-PASS-TS",
			"SW03 totp SHA256 6 30 0 " + hx(seed32) + " drift -31556160 /eToken-PASS-TS",
		},
		skips: []string{
			"line 23|SW04|sccMode|its mode is X", "line 30|SW05|sccTick|its clock counts from 2000-01-01 in steps of 7", "line 37|SW06|secret|character 1 of its seed",
			"line 44|SW07|digits|its passcodes have 9 digits", "line 51|SW08|sccMode|it does not tell", "line 58|SW09|period|its period is 0 seconds",
			"line 67|||the line is no attribute", "line 65|SW10|sccSignature|the file ends in it",
		},
	}}
}

// TestSafeWordClock: with the drift of the row, the steps of Unix time are those of a
// clock that began in 2000.
func TestSafeWordClock(t *testing.T) {
	r, err := readAll(t.Context(), []byte(safeWordFixtures()[0].data), Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := r.rows[1]
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	since := now.Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
	want := uint64(since / (time.Duration(f.Period) * time.Second))
	if got := uint64(now.Unix()/int64(f.Period) + f.Drift); got != want {
		t.Errorf("step %d; want %d", got, want)
	}
}

// codeOf is the passcode of a row at a counter or step.
func codeOf(t *testing.T, f Fob, counter uint64) string {
	t.Helper()
	p := otp.Params{Type: otp.TypeHOTP, Algorithm: otp.Algorithm(f.Algorithm), Digits: f.Digits}
	code, err := otp.HOTP(f.Secret, p, counter)
	if err != nil {
		t.Fatal(err)
	}
	return code.String()
}

func FuzzSafeWord(f *testing.F) { fuzzFormat(f, safeWord{}) }
