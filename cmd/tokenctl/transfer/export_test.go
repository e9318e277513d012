package transfer

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/daemon/otp"
)

// exportRows are accounts of every kind, with names that a format could trip over.
func exportRows() []Row {
	base := Row{Issuer: "Example", Name: "anna@example.org", Type: typeTOTP, Algorithm: "SHA1", Digits: 6, Period: 30, Secret: Secret(seed20)}
	with := func(change func(*Row)) Row { r := base; change(&r); return r }
	return []Row{
		base,
		with(func(r *Row) { r.Issuer, r.Name, r.Note = "Bank & Söhne", "konto 7 + 50% #1", "line one\nline two" }),
		with(func(r *Row) { r.Issuer, r.Name = "", "no issuer: but a colon" }),
		with(func(r *Row) { r.Issuer, r.Name = "A:B", "x/y?z=1" }),
		with(func(r *Row) { r.Issuer = "日本 😀"; r.Digits, r.Algorithm = 8, "SHA512" }),
		with(func(r *Row) { r.Issuer = "Only"; r.Name = "Only" }),
		with(func(r *Row) { r.Type, r.Period, r.Counter, r.Issuer = typeHOTP, 0, 12345, "Wiki" }),
		with(func(r *Row) { r.Period, r.Issuer = 60, "Slow" }),
		with(func(r *Row) { r.Digits, r.Issuer = 7, "Seven" }),
		with(func(r *Row) {
			r.Digits, r.Period, r.Algorithm, r.Issuer, r.Secret = 10, 45, "SHA256", "Ten", Secret(seed32)
		}),
		with(func(r *Row) { r.Type, r.Digits, r.Issuer, r.Name = typeSteam, steamDigits, "Steam", "carla" }),
		with(func(r *Row) { r.Secret, r.Issuer = Secret("x"), "Short" }),
		with(func(r *Row) { r.Secret, r.Issuer = Secret(strings.Repeat("s", maxSecret)), "Long" }),
		with(func(r *Row) { r.Name, r.Issuer = strings.Repeat("n", maxName), strings.Repeat("i", maxName) }),
	}
}

func check(t *testing.T, what string, data []byte, rows []Row) {
	t.Helper()
	if err := Check(t.Context(), rows, []byte(testPassword), data); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	// The check must be able to fail.
	if err := Check(t.Context(), rows[1:], []byte(testPassword), data); err == nil {
		t.Errorf("%s: with an account less nothing is found wrong", what)
	}
	other := slices.Clone(rows)
	other[0].Secret = Secret("another secret of 20")
	if err := Check(t.Context(), other, []byte(testPassword), data); err == nil {
		t.Errorf("%s: another secret is not found", what)
	}
}

// TestAddressIsTheDaemons compares with what the daemon writes for the same key.
func TestAddressIsTheDaemons(t *testing.T) {
	for _, r := range exportRows() {
		key := otp.Key{Issuer: r.Issuer, Name: r.Name, Secret: r.Secret,
			Params: otp.Params{Type: otp.Type(r.Type), Algorithm: otp.Algorithm(r.Algorithm), Digits: r.Digits, Period: r.Period, Counter: r.Counter}}
		if got, want := r.Address(), key.URI(); got != want {
			t.Errorf("%s\nthe daemon writes\n%s", got, want)
		}
		back, err := FromAddress([]byte(key.URI()), r.Note)
		if err != nil || show(back) != show(r) || back.Note != r.Note {
			t.Errorf("%s comes back as %s, %v", show(r), show(back), err)
		}
	}
	if _, err := FromAddress([]byte("otpauth://totp/x?secret=1"), ""); err == nil {
		t.Error("an address without a secret passes")
	}
}

func TestExportRoundTrips(t *testing.T) {
	rows := exportRows()
	check(t, "addresses", WriteAddresses(rows), rows)
	sealed, err := WriteAegis(rows, []byte(testPassword), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "Aegis", sealed, rows)
	if bytes.Contains(sealed, []byte("anna")) || bytes.Contains(sealed, []byte(b32(seed20))) {
		t.Error("Aegis: something is in the clear")
	}
	if _, err := Read(t.Context(), sealed, "", with("wrong horse")); KindOf(err) != WrongPassword {
		t.Errorf("Aegis with a wrong password: %v", err)
	}
	res, err := Read(t.Context(), sealed, "", with(testPassword))
	if err != nil || res.Format != "Aegis" || res.Rows[1].Note != rows[1].Note {
		t.Errorf("Aegis: %q, %v", res.Format, err)
	}
	clear, refused, err := WriteBitwarden(rows, rand.Reader)
	if err != nil || len(refused) != 1 || refused[0].Issuer != "Wiki" || refused[0].Reason == "" {
		t.Errorf("Bitwarden: %+v, %v", refused, err)
	}
	check(t, "Bitwarden", clear, slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return r.Type == typeHOTP }))
}

// TestMigrationExport: what Google's format can say comes back, in parts that a
// phone can scan, as pictures too; what it cannot is refused by name.
func TestMigrationExport(t *testing.T) {
	codes, refused, err := WriteMigration(exportRows(), MaxCode, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range refused {
		names = append(names, s.Issuer)
		if s.Reason == "" || s.Name == "" {
			t.Errorf("%+v", s)
		}
	}
	if want := []string{"Slow", "Seven", "Ten", "Steam", "Long", strings.Repeat("i", maxName)}; !slices.Equal(names, want) {
		t.Errorf("refused %v, not %v", names, want)
	}
	able := slices.DeleteFunc(exportRows(), func(r Row) bool { return slices.Contains(names, r.Issuer) })
	check(t, "migration", []byte(strings.Join(codes, "\n")), able)
	var many []Row
	for i := range 137 {
		r := exportRows()[0]
		r.Name = fmt.Sprintf("user%03d@example.org", i)
		many = append(many, r)
	}
	for _, limit := range []int{331, MaxCode} {
		codes, refused, err := WriteMigration(many, limit, rand.Reader)
		if err != nil || len(refused) > 0 || len(codes) < 14 {
			t.Fatalf("%d codes, %d refused, %v", len(codes), len(refused), err)
		}
		check(t, "migration", []byte(strings.Join(codes, "\n")), many)
		for _, c := range codes {
			if len(c) > limit {
				t.Errorf("a code of %d bytes, and %d were allowed", len(c), limit)
			}
		}
		res, err := Read(t.Context(), []byte(strings.Join(slices.Delete(slices.Clone(codes), 2, 3), "\n")), "", Options{})
		if err != nil || len(res.Skipped) != 1 || res.Skipped[0].Where != fmt.Sprintf("part 3 of %d", len(codes)) {
			t.Errorf("without its third part: %v, %+v", err, res.Skipped)
		}
		img, err := DrawCode(codes[0])
		if err != nil {
			t.Fatal(err)
		}
		if res, err = Read(t.Context(), img, "", Options{}); err != nil || len(res.Rows) == 0 || res.Rows[0].Name != many[0].Name || !bytes.Equal(res.Rows[0].Secret, many[0].Secret) {
			t.Errorf("as a picture: %v, %d rows", err, len(res.Rows))
		}
	}
	// By the numbers of the format's fields: the first account of the first code.
	one, _, _ := WriteMigration(exportRows()[:1], MaxCode, bytes.NewReader(make([]byte, 4)))
	raw, err := migrationData(one[0])
	want := "0a34" + "0a14" + hex.EncodeToString([]byte(seed20)) + "1210" + hex.EncodeToString([]byte("anna@example.org")) +
		"1a07" + hex.EncodeToString([]byte("Example")) + "2001" + "2801" + "3002" + "10011801" + "20002800"
	if err != nil || hex.EncodeToString(raw) != strings.ReplaceAll(want, "0a34", fmt.Sprintf("0a%02x", len(raw)-2-8)) {
		t.Errorf("the message is %x", raw)
	}
}

func TestDrawCode(t *testing.T) {
	for _, r := range exportRows() {
		if len(r.Address()) > 2000 {
			continue
		}
		img, err := DrawCode(r.Address())
		if err != nil {
			t.Fatal(err)
		}
		if err := Check(t.Context(), []Row{r}, nil, img); err != nil {
			t.Errorf("%s: %v", r.What(), err)
		}
	}
	if _, err := DrawCode(strings.Repeat("x", 3000)); err == nil {
		t.Error("a code of 3000 bytes is drawn")
	}
}
