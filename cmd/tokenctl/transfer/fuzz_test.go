package transfer

import (
	"context"
	"testing"
)

// fuzzing is Options that keep what a file may ask for small.
func fuzzing() Options {
	o := with(testPassword)
	o.MaxMemory = 2 << 20
	o.maxRounds = twofasRounds
	return o
}

// fuzzFormat feeds foreign bytes to one format, whether or not it would take them
// for its own. Seeds are the fixtures that it reads, whole and cut.
func fuzzFormat(f *testing.F, format Format) {
	f.Helper()
	n := 0
	for _, x := range fixtures(f) {
		if format.Detect(&File{Data: x.data}) == No {
			continue
		}
		f.Add(x.data)
		f.Add(x.data[:len(x.data)/2])
		n++
	}
	if n == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<20 || format.Detect(&File{Data: data}) == No {
			return
		}
		res, err := format.Read(t.Context(), &File{Data: data}, fuzzing())
		if err != nil && (len(res.Rows) > 0 || len(res.Skipped) > 0) {
			t.Fatal("both rows and an error")
		}
		if err != nil && KindOf(err) == "" {
			t.Fatalf("an error without a kind: %v", err)
		}
		for _, r := range res.Rows {
			checkRow(t, r)
		}
	})
}

func FuzzAddresses(f *testing.F)         { fuzzFormat(f, addresses{}) }
func FuzzMigration(f *testing.F)         { fuzzFormat(f, migration{}) }
func FuzzAegis(f *testing.F)             { fuzzFormat(f, aegis{}) }
func FuzzTwoFAS(f *testing.F)            { fuzzFormat(f, twofas{}) }
func FuzzBitwarden(f *testing.F)         { fuzzFormat(f, bitwarden{}) }
func FuzzEnte(f *testing.F)              { fuzzFormat(f, ente{}) }
func FuzzAndOTP(f *testing.F)            { fuzzFormat(f, andOTP{}) }
func FuzzFreeOTP1(f *testing.F)          { fuzzFormat(f, freeOTP1{}) }
func FuzzFreeOTPPlus(f *testing.F)       { fuzzFormat(f, freeOTPPlus{}) }
func FuzzFreeOTP2(f *testing.F)          { fuzzFormat(f, freeOTP2{}) }
func FuzzStratum(f *testing.F)           { fuzzFormat(f, stratum{}) }
func FuzzRaivo(f *testing.F)             { fuzzFormat(f, raivo{}) }
func FuzzLastPass(f *testing.F)          { fuzzFormat(f, lastPass{}) }
func FuzzDuo(f *testing.F)               { fuzzFormat(f, duo{}) }
func FuzzSteam(f *testing.F)             { fuzzFormat(f, steamGuard{}) }
func FuzzProton(f *testing.F)            { fuzzFormat(f, proton{}) }
func FuzzAuthy(f *testing.F)             { fuzzFormat(f, authy{}) }
func FuzzTOTPAuthenticator(f *testing.F) { fuzzFormat(f, totpAuthenticator{}) }
func FuzzBattleNet(f *testing.F)         { fuzzFormat(f, battleNet{}) }
func FuzzTables(f *testing.F)            { fuzzFormat(f, tables{}) }
func FuzzOnePassword(f *testing.F)       { fuzzFormat(f, onePassword{}) }
func FuzzProtonPass(f *testing.F)        { fuzzFormat(f, protonPass{}) }
func FuzzPlainList(f *testing.F)         { fuzzFormat(f, plainList{}) }
func FuzzExtension(f *testing.F)         { fuzzFormat(f, extension{}) }
func FuzzTwoFAuth(f *testing.F)          { fuzzFormat(f, twofAuth{}) }
func FuzzArchived(f *testing.F)          { fuzzFormat(f, archived{}) }
func FuzzDatabase(f *testing.F)          { fuzzFormat(f, database{}) }
func FuzzPage(f *testing.F)              { fuzzFormat(f, page{}) }
func FuzzPicture(f *testing.F)           { fuzzFormat(f, picture{}) }

// FuzzRead feeds foreign bytes to all of it.
func FuzzRead(f *testing.F) {
	for _, x := range fixtures(f) {
		f.Add(x.data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<20 {
			return
		}
		res, err := Read(context.Background(), data, "", fuzzing())
		if err == nil && len(res.Rows) == 0 && len(res.Skipped) == 0 {
			t.Fatal("neither rows, nor skips, nor an error")
		}
		if KindOf(err) == NotThisFormat {
			t.Fatal("a format's own error came out")
		}
		for _, r := range res.Rows {
			checkRow(t, r)
		}
	})
}
