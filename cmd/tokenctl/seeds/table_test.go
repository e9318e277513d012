package seeds

import (
	"strings"
	"testing"
)

// hard is a seed whose hexadecimal could be base32, and the other way round.
const hard = "abcdefabcdefabcdef2345672345672345672345"

func tableFixtures() []fixture {
	const format = "CSV with named columns"
	return []fixture{
		{
			name: "Entra", format: format,
			data: "upn,serial number,secret key,time interval,manufacturer,model\n" +
				"helga@example.org,1000001," + b32(seed20) + ",60,Contoso,HardwareKey\n" +
				",1000002," + strings.ToLower(b32(seed32)) + ",30,\"Contoso, Ltd\",HardwareKey\n" +
				"bo@example.org,1000003," + hard + ",30,Contoso,HardwareKey\n" +
				"bo@example.org,1000004,MZXW6===,30,Contoso,HardwareKey\n" +
				"bo@example.org,1000005,MZXW1YTBOI," + "30,Contoso,HardwareKey\n" +
				"bo@example.org,1000006," + b32(seed20) + ",0,Contoso,HardwareKey\n" +
				"bo@example.org,1.00001E+12," + b32(seed20) + ",30,Contoso,HardwareKey\n" +
				"bo@example.org,1000008\n" +
				"bo@example.org,1000001," + b32(seed20) + ",30,Contoso,HardwareKey\n" +
				"bo@example.org,1000009," + b32(seed20) + ",301,Contoso,HardwareKey\n",
			want: []string{
				"1000001 totp SHA1 6 60 0 " + hx(seed20) + " Contoso/HardwareKey helga@example.org",
				"1000002 totp SHA1 6 30 0 " + hx(seed32) + " Contoso, Ltd/HardwareKey",
				"1000003 totp SHA1 6 30 0 004432140110c85004432175be77dfd6f9df7f5be77dfd6f9d Contoso/HardwareKey bo@example.org",
			},
			skips: []string{
				"line 5|1000004|secret|its seed has only 3 bytes", "line 6|1000005|secret|character 5 of its seed is not base32", "line 7|1000006|period|its period is 0 seconds",
				"line 8|1.00001E+12|serial|its serial number was rounded by a spreadsheet", "line 9|1000008||the row has too few columns",
				"line 10|1000001|serial|its serial number is that of line 2", "line 11|1000009|period|its period is 301 seconds",
			},
		},
		{
			name: "any order", format: format,
			data: "sep=;\nSeed (hex);Model;Token Type;Digits;Colour;Serial No.;Counter;Hash;Valid to;Time interval (s)\n" +
				hx(seed20) + ";c100;HOTP;8;red;F1;9007199254740993;;;\n" +
				hx(seed32) + ";c200;TOTP;6;red;F2;;sha-256;2031-12-31;30\n" +
				hx(seed64) + ";c200;OATH-TOTP;6;red;F3;;HMAC-SHA512;31.12.2031;\n" +
				hard + ";c100;Event;7;red;F4;0;SHA1;25/12/2031;0\n" +
				hx(seed20) + ";c100;HOTP;9;red;F5;;;;\n" +
				hx(seed20) + ";c100;HOTP;6;red;F6;x;;;\n" +
				hx(seed20) + ";c100;OCRA;6;red;F7;;;;\n" +
				hx(seed20) + ";c100;TOTP;6;red;F8;;MD5;;\n" +
				hx(seed20) + ";c100;TOTP;6;red;F9;;;04/05/2031;\n" +
				hx(seed20) + ";c\"100;TOTP;6;red;F10;;;;\n" +
				hx(seed20) + ";c100;TOTP-SHA256;6;red;F11;;;;\n",
			want: []string{
				"F1 hotp SHA1 8 0 9007199254740993 " + hx(seed20) + " /c100",
				"F2 totp SHA256 6 30 0 " + hx(seed32) + " /c200 0001-01-01..2031-12-31",
				"F3 totp SHA512 6 30 0 " + hx(seed64) + " /c200 0001-01-01..2031-12-31",
				"F4 hotp SHA1 7 0 0 " + hard + " /c100 0001-01-01..2031-12-25",
				"F11 totp SHA256 6 30 0 " + hx(seed20) + " /c100",
			},
			skips: []string{
				"line 7|F5|digits|its passcodes have 9 digits", "line 8|F6|counter|its counter is no whole number", "line 9|F7|type|its type is OCRA",
				"line 10|F8|algorithm|its hash is not", "line 11|F9|expiry|its date can be read in more than one way", "line 12|||its quotation marks are broken",
			},
		},
		{
			name: "named columns, Yubico", format: format,
			data: "serial\tpublic id\tprivate id\taes key\n" +
				"7\tcccccccccdbe\t010203040506\t000102030405060708090a0b0c0d0e0f\n" +
				"8\tcccccccccdb\t010203040506\t000102030405060708090a0b0c0d0e0f\n",
			want:  []string{"7 yubico  0 0 0 000102030405060708090a0b0c0d0e0f 000000000213 010203040506"},
			skips: []string{"line 3|8|public id|its public id is not modhex"},
		},
		{
			name: "a quotation mark that is not closed", format: format, kind: Damaged,
			data: "serial,seed\n1," + hx(seed20) + "\n\"2," + hx(seed20) + "\n3," + hx(seed20) + "\n",
		},
		{
			name: "two columns of seeds", format: format, kind: Unsupported,
			data: "serial,seed,secret\n1," + hx(seed20) + "," + hx(seed20) + "\n",
		},
	}
}

// TestSpelling: seeds that are hex and base32 at once are read as their neighbours
// are, or as the caller says, and are refused where nothing tells.
func TestSpelling(t *testing.T) {
	const asHex, asBase32 = hard, "004432140110c85004432175be77dfd6f9df7f5be77dfd6f9d"
	for name, x := range map[string]struct {
		data, encoding string
		want           string // the first seed; empty where it is refused
	}{
		"hex beside it":         {data: "1," + hard + "\n2," + hx(seed20) + "\n", want: asHex},
		"base32 beside it":      {data: "1," + hard + "\n2," + b32(seed20) + "\n", want: asBase32},
		"both beside it":        {data: "1," + hard + "\n2," + b32(seed20) + "\n3," + hx(seed20) + "\n"},
		"alone":                 {data: "1," + hard + "\n"},
		"alone, said to be hex": {data: "1," + hard + "\n", encoding: "hex", want: asHex},
		"said to be base32":     {data: "1," + hard + "\n2," + hx(seed20) + "\n", encoding: "base32", want: asBase32},
		"said by the column":    {data: "serial,seed_hex\n1," + hard + "\n", want: asHex},
		"Entra":                 {data: "upn,serial number,secret key,time interval\na,1," + hard + ",30\n", want: asBase32},
		"Entra's form in hex":   {data: "upn,serial number,secret key,time interval\na,1," + hard + ",30\na,2," + hx(seed20) + ",30\n", want: asHex},
		"base64":                {data: "1," + b64(seed20) + "\n2," + hx(seed20) + "\n", encoding: "base64", want: hx(seed20)},
	} {
		r, err := readAll(t.Context(), []byte(x.data), Options{Encoding: x.encoding})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := ""
		for _, f := range r.rows {
			if f.Serial == "1" {
				got = strings.Fields(show(f))[6]
			}
		}
		if !strings.HasPrefix(got, x.want) || got == "" != (x.want == "") {
			t.Errorf("%s: %q; want %q", name, got, x.want)
		}
		if x.want == "" && !strings.Contains(showSkip(r.skips[0]), "can be hex or base32") {
			t.Errorf("%s: %s", name, showSkip(r.skips[0]))
		}
	}
}

func FuzzTable(f *testing.F) { fuzzFormat(f, table{}) }
