package seeds

import (
	"strings"
	"testing"
)

func listFixtures() []fixture {
	const format = "list of serial numbers and seeds"
	return []fixture{
		{
			name: "OATH CSV", format: format,
			data: "# from the maker\n" +
				"tok1, " + hx(seed20) + "\n" +
				"tok2, " + hx(seed20) + ", totp, 6\n" +
				"tok3, " + hx(seed20) + ", hotp, 8\n" +
				"tok4, " + hx(seed20) + ", totp, 8, 60\n" +
				"tok5, " + hx(seed32) + ", hotp,,,\n" +
				"tok6, " + hx(seed64) + ", TOTP, 8, 30, sHa512\n" +
				"tok7, " + hx(seed20) + ", hotp, 6, 41\n" +
				"tok8, " + hx(seed20) + ", hotp, 6, 60\n" +
				"tok9, " + hx(seed20) + ", 42\n" +
				"tok10, 1212\n" +
				"tok11, 1j12, totp, 6\n" +
				"tok12, " + hx(seed20) + ", ocra2, OCRA-1:HOTP-SHA1-6:QN08\n" +
				"tok13, " + hx(seed20) + ", motp\n" +
				"tok14, , totp\n" +
				", " + hx(seed20) + "\n" +
				hx(seed64) + "\n" +
				"tok15, " + hx(seed64) + "41, totp\n",
			want: []string{
				"tok1 hotp SHA1 6 0 0 " + hx(seed20), "tok2 totp SHA1 6 30 0 " + hx(seed20), "tok3 hotp SHA1 8 0 0 " + hx(seed20), "tok4 totp SHA1 8 60 0 " + hx(seed20),
				"tok5 hotp SHA256 6 0 0 " + hx(seed32), "tok6 totp SHA512 8 30 0 " + hx(seed64), "tok7 hotp SHA1 6 0 41 " + hx(seed20), "tok8 hotp SHA1 6 0 0 " + hx(seed20),
				"tok9 hotp SHA1 6 0 42 " + hx(seed20),
			},
			skips: []string{
				"line 11|tok10|secret|its seed has only 2 bytes", "line 12|tok11|secret|character 2 of its seed is not hex", "line 13|tok12|type|it is a key for challenge and response",
				"line 14|tok13|type|its type is motp", "line 15|tok14|secret|it has no seed", "line 16||serial|it has no serial number", "line 17|||the row has one field alone",
				"line 18|tok15|secret|its seed has 65 bytes",
			},
		},
		{
			name: "Feitian, white space", format: format,
			data:  "2600001000001   " + hx(seed20) + "\n2600001000002 \t" + strings.ToUpper(hx(seed32)) + "\n2600001000003\n",
			want:  []string{"2600001000001 hotp SHA1 6 0 0 " + hx(seed20), "2600001000002 hotp SHA256 6 0 0 " + hx(seed32)},
			skips: []string{"line 3|||the row has one field alone"},
		},
		{
			name: "Feitian, base32 and tabs", format: format,
			data: "2600001000001\t" + b32(seed20) + "\n2600001000002\t" + b32(seed32) + "\n",
			want: []string{"2600001000001 hotp SHA1 6 0 0 " + hx(seed20), "2600001000002 hotp SHA256 6 0 0 " + hx(seed32)},
		},
		{
			name: "PhenixID", format: format,
			data:  "HOTP;P1;" + hx(seed20) + ";5\nTOTP;P2;SHA1;" + hx(seed20) + ";0;60;8\nTOTP;P3;SHA1;" + hx(seed20) + ";946684800;60;8\n",
			want:  []string{"P1 hotp SHA1 6 0 5 " + hx(seed20), "P2 totp SHA1 8 60 0 " + hx(seed20)},
			skips: []string{"line 3|P3|epoch|its clock counts from another day"},
		},
	}
}

// TestUntoldType: what a list does not tell is what the caller says, else hotp; a
// note says so, and each row has a warning.
func TestUntoldType(t *testing.T) {
	data := []byte("1 " + hx(seed20) + "\n2 " + hx(seed20) + "\n")
	for option, want := range map[string]string{"": "1 hotp SHA1 6 0 0 ", TypeTOTP: "1 totp SHA1 8 60 0 ", TypeHOTP: "1 hotp SHA1 8 0 0 "} {
		o := Options{Type: option}
		if option != "" {
			o.Digits, o.Period = 8, 60
		}
		r, err := readAll(t.Context(), data, o)
		if err != nil || len(r.rows) != 2 || show(r.rows[0]) != want+hx(seed20) {
			t.Errorf("%q: %v, %+v", option, err, r.rows)
			continue
		}
		if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "whether they are hotp or totp") || len(r.rows[0].Warnings) != 1 {
			t.Errorf("%q: %q, %q", option, r.Notes, r.rows[0].Warnings)
		}
	}
}

// TestShortSeeds: a seed that can be guessed is taken only when that is asked for,
// and with a warning.
func TestShortSeeds(t *testing.T) {
	data := []byte("a1,1212\na2,12121212\na3," + hx(seed20) + "\n")
	r, err := readAll(t.Context(), data, Options{MinSecret: 4})
	if err != nil || len(r.rows) != 2 || len(r.skips) != 1 {
		t.Fatalf("%v, %+v, %+v", err, r.rows, r.skips)
	}
	if !strings.Contains(strings.Join(r.rows[0].Warnings, "\n"), "only 4 bytes") {
		t.Errorf("no warning: %q", r.rows[0].Warnings)
	}
}

func FuzzList(f *testing.F) { fuzzFormat(f, list{}) }
