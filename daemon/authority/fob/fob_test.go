package fob

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/otp"
)

var noon = time.Date(2026, 11, 28, 12, 0, 10, 0, time.UTC)

func read(t testing.TB, typed string) Passcode {
	t.Helper()
	p, err := Read([]byte(typed))
	if err != nil {
		t.Fatalf("%q: %v", typed, err)
	}
	return p
}

// check verifies, and applies what is to be stored.
func check(t testing.TB, f *Fob, typed string, now time.Time) Result {
	t.Helper()
	result, m, err := f.Check(read(t, typed), now)
	if err != nil {
		t.Fatal(err)
	}
	if result != Accepted && m != f.Moving {
		t.Fatalf("%s: %+v became %+v", result, f.Moving, m)
	}
	if result == Accepted && m.Counter <= f.Counter {
		t.Fatalf("accepted, and the counter went from %d to %d", f.Counter, m.Counter)
	}
	f.Moving = m
	return result
}

func code(t testing.TB, f *Fob, factor uint64) string {
	t.Helper()
	v, err := otp.HOTP(f.Secret, otp.Params{Type: otp.TypeHOTP, Algorithm: f.Algorithm, Digits: f.Digits}, factor)
	if err != nil {
		t.Fatal(err)
	}
	return v.String()
}

func hotp() *Fob {
	return &Fob{Serial: "H1", Type: HOTP, State: Active, Secret: []byte("12345678901234567890"), Algorithm: otp.SHA1, Digits: 6}
}

func totp() *Fob {
	f := hotp()
	f.Serial, f.Type, f.Period = "T1", TOTP, 30
	return f
}

func yubico() *Fob {
	key, _ := hex.DecodeString("ecde18dbe76fbd0c33330f1c354871db")
	return &Fob{Serial: "Y1", Type: Yubico, State: Active, Secret: key, PublicID: []byte{0, 1, 2, 3, 4, 5}, PrivateID: []byte{0x87, 0x92, 0xeb, 0xfe, 0x26, 0xcc}}
}

// press makes a Yubico OTP as the manual describes it.
func press(f *Fob, session uint16, use uint8) string {
	var b [16]byte
	copy(b[:], f.PrivateID)
	binary.LittleEndian.PutUint16(b[6:], session)
	b[8], b[9], b[10], b[11], b[12], b[13] = 1, 2, 3, use, 0xaa, 0xbb
	binary.LittleEndian.PutUint16(b[14:], ^crc16(b[:14]))
	c, err := aes.NewCipher(f.Secret)
	if err != nil {
		panic(err)
	}
	c.Encrypt(b[:], b[:])
	return Modhex(f.PublicID) + Modhex(b[:])
}

// TestRFC4226 is appendix D.
func TestRFC4226(t *testing.T) {
	f := hotp()
	for i, want := range strings.Fields("755224 287082 359152 969429 338314 254676 287922 162583 399871 520489") {
		if got := check(t, f, want, noon); got != Accepted || f.Counter != uint64(i+1) {
			t.Errorf("counter %d: %s, then %d", i, got, f.Counter)
		}
	}
}

// TestRFC6238 is appendix B.
func TestRFC6238(t *testing.T) {
	seed := "1234567890123456789012345678901234567890123456789012345678901234"
	sizes := map[otp.Algorithm]int{otp.SHA1: 20, otp.SHA256: 32, otp.SHA512: 64}
	for _, v := range []struct {
		at   int64
		alg  otp.Algorithm
		code string
	}{
		{59, otp.SHA1, "94287082"}, {59, otp.SHA256, "46119246"}, {59, otp.SHA512, "90693936"},
		{1111111109, otp.SHA1, "07081804"}, {1111111109, otp.SHA256, "68084774"}, {1111111109, otp.SHA512, "25091201"},
		{1111111111, otp.SHA1, "14050471"}, {1111111111, otp.SHA256, "67062674"}, {1111111111, otp.SHA512, "99943326"},
		{1234567890, otp.SHA1, "89005924"}, {1234567890, otp.SHA256, "91819424"}, {1234567890, otp.SHA512, "93441116"},
		{2000000000, otp.SHA1, "69279037"}, {2000000000, otp.SHA256, "90698825"}, {2000000000, otp.SHA512, "38618901"},
		{20000000000, otp.SHA1, "65353130"}, {20000000000, otp.SHA256, "77737706"}, {20000000000, otp.SHA512, "47863826"},
	} {
		f := totp()
		f.Algorithm, f.Digits, f.Secret = v.alg, 8, []byte(seed[:sizes[v.alg]])
		if got := check(t, f, v.code, time.Unix(v.at, 0)); got != Accepted || f.Drift != 0 {
			t.Errorf("%+v: %s, drift %d", v, got, f.Drift)
		}
	}
}

// TestYubicoVectors are Yubico's own (yubico-c: test-vectors.txt, selftest.c).
func TestYubicoVectors(t *testing.T) {
	for _, v := range []struct {
		key, otp, private string
		session           uint16
		use               uint8
	}{
		{"ecde18dbe76fbd0c33330f1c354871db", "hknhfjbrjnlnldnhcujvddbikngjrtgh", "8792ebfe26cc", 0x13, 0x11},
		{"000102030405060708090a0b0c0d0e0f", "dvgtiblfkbgturecfllberrvkinnctnn", "010203040506", 1, 1},
		{"000102030405060708090a0b0c0d0e0f", "rnibcnfhdninbrdebccrndfhjgnhftee", "010203040506", 1, 2},
		{"000102030405060708090a0b0c0d0e0f", "iikkijbdknrrdhfdrjltvgrbkkjblcbh", "010203040506", 0xfff, 1},
	} {
		key, _ := hex.DecodeString(v.key)
		private, _ := hex.DecodeString(v.private)
		f := yubico()
		f.Secret, f.PrivateID = key, private
		if got := check(t, f, Modhex(f.PublicID)+v.otp, noon); got != Accepted {
			t.Errorf("%s: %s", v.otp, got)
		}
		if want := uint64(v.session)<<8 + uint64(v.use) + 1; f.Counter != want {
			t.Errorf("%s: counter %d, not %d", v.otp, f.Counter, want)
		}
		key[0] ^= 1
		f.Counter = 0
		if got := check(t, f, Modhex(f.PublicID)+v.otp, noon); got != Wrong {
			t.Errorf("%s with another key: %s", v.otp, got)
		}
	}
}

func TestModhexVectors(t *testing.T) {
	for text, want := range map[string]string{
		"dteffuje": "2d344e83", "hknhfjbrjnlnldnhcujvddbikngjrtgh": "69b6481c8baba2b60e8f22179b58cd56",
		"urtubjtnuihvntcreeeecvbregfjibtn": "ecde18dbe76fbd0c33330f1c354871db", "ifhgieif": hex.EncodeToString([]byte("test")),
		"cbdefghijklnrtuv": "0123456789abcdef",
	} {
		raw, _ := hex.DecodeString(want)
		if got := Modhex(raw); got != text {
			t.Errorf("%s: %s", want, got)
		}
	}
}

func dvorak(s string) string {
	layouts := layouts()
	return strings.Map(func(r rune) rune { return rune(layouts[1][strings.IndexRune(layouts[0], r)]) }, s)
}

func wide(s string) string {
	return strings.Map(func(r rune) rune { return r - '!' + '！' }, s)
}

// TestTyped: whatever the keyboard makes of it, it is the same passcode.
func TestTyped(t *testing.T) {
	good := press(yubico(), 5, 1)
	for _, v := range []struct {
		f    *Fob
		text string
		want Result
	}{
		{hotp(), "755224", Accepted}, {hotp(), "755224\n", Accepted}, {hotp(), "755224\r", Accepted}, {hotp(), "755224\r\n", Accepted},
		{hotp(), " 755 224 ", Accepted}, {hotp(), "7 5 5 2 2 4", Accepted}, {hotp(), "755-224", Accepted}, {hotp(), "755\u00a0224", Accepted},
		{hotp(), wide("755224"), Accepted}, {hotp(), "\ufeff755224", Accepted}, {hotp(), "\t755224", Accepted},
		{hotp(), "755 224 287 082", Accepted}, {hotp(), "755224\n287082\n", Accepted}, {hotp(), "755224287082359152", Accepted},
		{hotp(), "7552245", Unfit}, {hotp(), "75522422", Unfit}, {hotp(), "755225", Wrong}, {hotp(), "755224 359152", Wrong},
		{hotp(), "287082 755224", Wrong}, {hotp(), good, Unfit},
		{yubico(), good, Accepted}, {yubico(), good + "\r\n", Accepted}, {yubico(), strings.ToUpper(good), Accepted},
		{yubico(), wide(good), Accepted}, {yubico(), good[:20] + " " + good[20:], Accepted},
		{yubico(), dvorak(good), Accepted}, {yubico(), strings.ToUpper(dvorak(good)), Accepted},
		{yubico(), strings.ReplaceAll(strings.ToUpper(dvorak(good)), ".", ">"), Accepted},
		{yubico(), strings.ReplaceAll(good, "i", "ı"), Accepted}, {yubico(), strings.ReplaceAll(strings.ToUpper(good), "I", "İ"), Accepted},
		{yubico(), good + "\n" + press(yubico(), 5, 2), Accepted}, {yubico(), good + "\n" + good, Reused},
		{yubico(), press(yubico(), 5, 2) + "\n" + good, Reused}, {yubico(), "755224", Unfit},
	} {
		if got := check(t, v.f, v.text, noon); got != v.want {
			t.Errorf("%q: %s, not %s", v.text, got, v.want)
		}
	}
	for _, text := range []string{
		"", " ", "\n", "12345", "1234567890123456789012345", "12345a", "\xff\xfe", "７５５２２", "²²²²²²x", good[1:], good + "c", good + "1",
		strings.Repeat("c", 45), strings.Repeat("c", 176), strings.Repeat("1", MaxTyped+1), strings.Repeat("ﷺ", 200), "-123456a", "0x123456",
	} {
		if _, err := Read([]byte(text)); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestBothReadings: letters that both layouts have are read both ways.
func TestBothReadings(t *testing.T) {
	text := strings.Repeat("cbdeghijkntu"[:11], 4)
	p := read(t, text)
	if ids := p.PublicIDs(); len(ids) != 2 || bytes.Equal(ids[0], ids[1]) {
		t.Errorf("%x", ids)
	}
	p = read(t, press(yubico(), 1, 1))
	if ids := p.PublicIDs(); len(ids) != 1 || !bytes.Equal(ids[0], yubico().PublicID) {
		t.Errorf("%x", ids)
	}
}

func TestLookAhead(t *testing.T) {
	for ahead, want := range map[uint64]Result{0: Accepted, 1: Accepted, LookAhead: Accepted, LookAhead + 1: Wrong, 500: Wrong} {
		f := hotp()
		f.Counter = 1000
		if got := check(t, f, code(t, f, 1000+ahead), noon); got != want {
			t.Errorf("%d ahead: %s", ahead, got)
		}
		if want == Accepted && f.Counter != 1001+ahead {
			t.Errorf("%d ahead: then %d", ahead, f.Counter)
		}
	}
	for back, want := range map[uint64]Result{1: Reused, LookAhead: Reused, LookAhead + 1: Wrong} {
		f := hotp()
		f.Counter = 1000
		if got := check(t, f, code(t, f, 1000-back), noon); got != want {
			t.Errorf("%d back: %s", back, got)
		}
	}
}

// TestPairAtTheEdge: the last of passcodes in a row must be expected, and none
// may have been used.
func TestPairAtTheEdge(t *testing.T) {
	for first, want := range map[uint64]Result{999: Reused, 1000: Accepted, 1000 + LookAhead - 1: Accepted, 1000 + LookAhead: Wrong} {
		f := hotp()
		f.Counter = 1000
		if got := check(t, f, code(t, f, first)+code(t, f, first+1), noon); got != want {
			t.Errorf("from %d: %s", first, got)
		}
		if want == Accepted && f.Counter != first+2 {
			t.Errorf("from %d: then %d", first, f.Counter)
		}
	}
}

func TestLastCounter(t *testing.T) {
	f := hotp()
	f.Counter = math.MaxUint64 - 3
	for _, c := range []uint64{math.MaxUint64 - 2, math.MaxUint64 - 1} {
		if got := check(t, f, code(t, f, c), noon); got != Accepted {
			t.Fatalf("%d: %s", c, got)
		}
	}
	for _, c := range []uint64{math.MaxUint64, 0, math.MaxUint64 - 1} {
		if got := check(t, f, code(t, f, c), noon); got == Accepted {
			t.Errorf("%d: %s", c, got)
		}
	}
	y := yubico()
	if got := check(t, y, press(y, maxSession, 255), noon); got != Accepted {
		t.Fatal(got)
	}
	if got := check(t, y, press(y, maxSession, 255), noon); got != Reused {
		t.Error(got)
	}
	if got := check(t, y, press(y, 0x8000|maxSession, 255), noon); got != Reused {
		t.Error("caps lock makes it new:", got)
	}
}

func TestYubicoCounters(t *testing.T) {
	f := yubico()
	for _, v := range []struct {
		session uint16
		use     uint8
		want    Result
	}{
		{1, 0, Accepted}, {1, 0, Reused}, {1, 1, Accepted}, {1, 3, Accepted}, {1, 2, Reused}, {2, 0, Accepted}, {1, 255, Reused},
		{900, 9, Accepted}, {899, 200, Reused}, {900, 9, Reused}, {0x8000 | 901, 0, Accepted}, {901, 0, Reused},
	} {
		if got := check(t, f, press(f, v.session, v.use), noon); got != v.want {
			t.Errorf("%+v: %s", v, got)
		}
	}
	other := yubico()
	other.PrivateID = []byte{1, 2, 3, 4, 5, 6}
	if got := check(t, f, press(other, 2000, 0), noon); got != Wrong {
		t.Error("another private id:", got)
	}
}

// TestSteps: one to either side, none twice, none before an accepted one.
func TestSteps(t *testing.T) {
	base := uint64(noon.Unix() / 30)
	for off, want := range map[int]Result{-2: Wrong, -1: Accepted, 0: Accepted, 1: Accepted, 2: Wrong} {
		f := totp()
		if got := check(t, f, code(t, f, base+uint64(off)), noon); got != want {
			t.Errorf("%+d: %s", off, got)
		}
	}
	f := totp()
	for _, v := range []struct {
		off  int
		want Result
	}{{0, Accepted}, {0, Reused}, {-1, Reused}, {1, Accepted}, {1, Reused}, {0, Reused}} {
		if got := check(t, f, code(t, f, base+uint64(v.off)), noon); got != v.want {
			t.Errorf("%+d: %s, not %s", v.off, got, v.want)
		}
	}
	// The clock goes back: nothing is accepted until it has caught up.
	if got := check(t, f, code(t, f, base-100), noon.Add(-100*30*time.Second)); got != Reused {
		t.Error("with the clock set back:", got)
	}
}

// TestSlowTyping: a user who is now quick, now slow, is never a step outside.
func TestSlowTyping(t *testing.T) {
	f := totp()
	for i := range 200 {
		now := noon.Add(time.Duration(i) * 5 * time.Minute)
		shown := uint64(now.Unix()/30) - uint64(i*7%3%2)
		if got := check(t, f, code(t, f, shown), now); got != Accepted {
			t.Fatalf("login %d: %s, drift %d", i, got, f.Drift)
		}
	}
}

// TestDrift: a fob's clock is followed, but not for ever.
func TestDrift(t *testing.T) {
	f := totp()
	refused := 0
	for i := range 30 {
		now := noon.Add(time.Duration(i) * 24 * time.Hour)
		off := -i // it loses a step a day
		got := check(t, f, code(t, f, uint64(int(now.Unix()/30)+off)), now)
		if want := Accepted; i <= MaxWalk && (got != want || f.Drift != off) {
			t.Errorf("day %d: %s, drift %d", i, got, f.Drift)
		}
		if got != Accepted {
			refused++
		}
	}
	if refused != 30-MaxWalk-2 || f.Drift != -MaxWalk {
		t.Errorf("refused %d times, drift %d", refused, f.Drift)
	}
	// A resync moves the middle.
	now := noon.Add(30 * 24 * time.Hour)
	at := uint64(now.Unix()/30) - 30
	result, m, err := f.Resync(read(t, code(t, f, at)+code(t, f, at+1)), 2, now)
	if err != nil || result != Accepted || m.Drift != -29 || m.Synced != -29 || m.Counter != at+2 {
		t.Fatalf("%s, %+v, %v", result, m, err)
	}
	f.Moving = m
	now = now.Add(24 * time.Hour)
	if got := check(t, f, code(t, f, uint64(now.Unix()/30)-30), now); got != Accepted || f.Drift != -30 {
		t.Errorf("%s, %+v", got, f.Moving)
	}
}

func TestStates(t *testing.T) {
	for state, want := range map[State]Result{Active: Accepted, Disabled: IsDisabled, Lost: IsLost, Unassigned: IsUnassigned, "": IsUnassigned, "x": IsUnassigned} {
		f := hotp()
		f.State = state
		if got := check(t, f, "755224", noon); got != want {
			t.Errorf("%q: %s", state, got)
		}
		if got := check(t, f, "000000", noon); got != Wrong {
			t.Errorf("%q: %s", state, got)
		}
	}
	for _, v := range []struct {
		start, expiry time.Time
		want          Result
	}{
		{noon, time.Time{}, Accepted}, {noon.Add(time.Second), time.Time{}, NotYet},
		{time.Time{}, noon, Expired}, {time.Time{}, noon.Add(time.Second), Accepted},
	} {
		f := hotp()
		f.Start, f.Expiry = v.start, v.expiry
		if got := check(t, f, "755224", noon); got != v.want {
			t.Errorf("%+v: %s", v, got)
		}
	}
}

func TestResync(t *testing.T) {
	row := func(f *Fob, first uint64, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%s ", code(t, f, first+uint64(i)))
		}
		return b.String()
	}
	h := hotp()
	h.Counter = 2000
	for _, v := range []struct {
		first   uint64
		n, need int
		want    Result
	}{
		{2000, 2, 2, Accepted}, {2999, 2, 2, Accepted}, {3000, 2, 2, Wrong}, {2500, 1, 2, Unfit}, {2500, 1, 0, Unfit}, {2500, 2, 3, Unfit},
		{2500, 3, 3, Accepted}, {2500, 3, 2, Accepted}, {1999, 2, 2, Reused}, {1000, 2, 2, Wrong},
	} {
		result, m, err := h.Resync(read(t, row(h, v.first, v.n)), v.need, noon)
		if err != nil || result != v.want {
			t.Errorf("%+v: %s, %v", v, result, err)
		}
		if want := v.first + uint64(v.n); result == Accepted && m.Counter != want {
			t.Errorf("%+v: then %d", v, m.Counter)
		}
	}
	f := totp()
	now := uint64(noon.Unix() / 30)
	for off, want := range map[int]Result{-1002: Wrong, -1001: Accepted, -7: Accepted, 0: Accepted, 999: Accepted, 1000: Wrong} {
		result, m, err := f.Resync(read(t, row(f, now+uint64(off), 2)), 2, noon)
		if err != nil || result != want {
			t.Errorf("%+d: %s, %v", off, result, err)
		}
		if result == Accepted && (m.Drift != off+1 || m.Counter != now+uint64(off)+2) {
			t.Errorf("%+d: %+v", off, m)
		}
	}
	y := yubico()
	if result, _, err := y.Resync(read(t, press(y, 1, 1)+press(y, 1, 2)), 2, noon); result != Unfit || err != nil {
		t.Error(result, err)
	}
}

func TestBurn(t *testing.T) {
	h := hotp()
	used := code(t, h, 7)
	m, err := h.Burn(20, noon)
	if err != nil || m.Counter != 20 {
		t.Fatal(m, err)
	}
	h.Moving = m
	if got := check(t, h, used, noon); got == Accepted {
		t.Error("a burnt passcode is accepted")
	}
	if got := check(t, h, code(t, h, 20), noon); got != Accepted {
		t.Error(got)
	}
	h.Counter = math.MaxUint64 - 5
	if m, err := h.Burn(1000, noon); err != nil || m.Counter != math.MaxUint64 {
		t.Error(m, err)
	}
	f := totp()
	f.Drift, f.Synced = -3, -3
	if f.Moving, err = f.Burn(0, noon); err != nil {
		t.Fatal(err)
	}
	for off := -10; off <= 0; off++ { // all that may have been accepted, the drift having grown by one since
		if got := check(t, f, code(t, f, uint64(int(noon.Unix()/30)+f.Drift+1+off)), noon); got == Accepted {
			t.Errorf("%+d: a burnt passcode is accepted", off)
		}
	}
	later := noon.Add(90 * time.Second)
	if got := check(t, f, code(t, f, uint64(int(later.Unix()/30)+f.Drift)), later); got != Accepted {
		t.Error("90 s later:", got)
	}
	y := yubico()
	y.Counter = 5<<8 | 7
	if m, err := y.Burn(3, noon); err != nil || m.Counter != 8<<8 {
		t.Error(m, err)
	}
	y.Counter = maxYubico + 1
	if m, err := y.Burn(math.MaxUint64, noon); err != nil || m.Counter != maxYubico+1 {
		t.Error(m, err)
	}
}

func TestValidate(t *testing.T) {
	for _, f := range []*Fob{hotp(), totp(), yubico()} {
		if err := f.Validate(); err != nil {
			t.Error(err)
		}
	}
	for field, spoil := range map[string]func() *Fob{
		"serial":     func() *Fob { f := hotp(); f.Serial = ""; return f },
		"serial ":    func() *Fob { f := hotp(); f.Serial = strings.Repeat("x", 65); return f },
		"serial  ":   func() *Fob { f := hotp(); f.Serial = "a\nb"; return f },
		"type":       func() *Fob { f := hotp(); f.Type = "ocra"; return f },
		"type ":      func() *Fob { f := hotp(); f.PublicID = []byte{1, 2, 3, 4, 5, 6}; return f },
		"secret":     func() *Fob { f := hotp(); f.Secret = f.Secret[:9]; return f },
		"secret ":    func() *Fob { f := hotp(); f.Secret = make([]byte, 65); return f },
		"secret  ":   func() *Fob { f := yubico(); f.Secret = f.Secret[:15]; return f },
		"algorithm":  func() *Fob { f := hotp(); f.Algorithm = "MD5"; return f },
		"digits":     func() *Fob { f := hotp(); f.Digits = 9; return f },
		"digits ":    func() *Fob { f := hotp(); f.Digits = 5; return f },
		"period":     func() *Fob { f := totp(); f.Period = 0; return f },
		"period ":    func() *Fob { f := totp(); f.Period = 301; return f },
		"drift":      func() *Fob { f := totp(); f.Synced = -1001; return f },
		"drift ":     func() *Fob { f := hotp(); f.Drift = 1; return f },
		"public-id":  func() *Fob { f := yubico(); f.PublicID = f.PublicID[:5]; return f },
		"private-id": func() *Fob { f := yubico(); f.PrivateID = nil; return f },
		"counter":    func() *Fob { f := yubico(); f.Counter = maxYubico + 2; return f },
		"expiry":     func() *Fob { f := hotp(); f.Start, f.Expiry = noon, noon; return f },
	} {
		f := spoil()
		err := f.Validate()
		var e *Error
		if !errors.As(err, &e) || e.Field != strings.TrimSpace(field) {
			t.Errorf("%s: %v", field, err)
		}
		if result, _, err := f.Check(Passcode{digits: []byte("755224")}, noon); result == Accepted {
			t.Errorf("%s: %s, %v", field, result, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"755224", "755 224\r\n", "７５５２２４", "755224 287082", "123456123456123456", press(yubico(), 5, 1), dvorak(press(yubico(), 5, 1)),
		strings.ToUpper(press(yubico(), 5, 1)), press(yubico(), 5, 1) + "\n" + press(yubico(), 5, 2), "ﷺ", "\xff", "",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, typed []byte) {
		before := bytes.Clone(typed)
		p, err := Read(typed)
		if !bytes.Equal(before, typed) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			return
		}
		if len(p.digits) > 0 == (len(p.readings) > 0) {
			t.Fatalf("%d digits and %d readings", len(p.digits), len(p.readings))
		}
		for _, fob := range []*Fob{hotp(), totp(), yubico()} {
			result, m, err := fob.Check(p, noon)
			if err != nil {
				t.Fatal(err)
			}
			if (result == Accepted) != (m != fob.Moving) || m.Counter < fob.Counter {
				t.Fatalf("%s: %+v", result, m)
			}
			if result == Accepted && len(p.digits) == 0 && fob.Type != Yubico {
				t.Fatal("letters are accepted as digits")
			}
		}
		// What was typed in between changes nothing.
		spaced := append(append([]byte(" "), typed...), "\r\n"...)
		if again, err := Read(spaced); len(spaced) <= MaxTyped && (err != nil || !bytes.Equal(again.digits, p.digits) || len(again.readings) != len(p.readings)) {
			t.Fatalf("with white space: %v", err)
		}
	})
}

func FuzzModhex(f *testing.F) {
	f.Add([]byte("0123456789abcdef012345"))
	f.Add(make([]byte, 22))
	f.Add(bytes.Repeat([]byte{0xff}, 22))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) != IDSize+16 {
			return
		}
		text := Modhex(raw)
		for _, typed := range []string{text, strings.ToUpper(text), dvorak(text), strings.ToUpper(dvorak(text))} {
			p := read(t, typed)
			found := false
			for _, row := range p.readings {
				found = found || len(row) == 1 && bytes.Equal(append(row[0].public[:], row[0].sealed[:]...), raw)
			}
			if !found {
				t.Fatalf("%q is not read as it was written", typed)
			}
		}
	})
}
