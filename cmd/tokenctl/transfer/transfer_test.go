package transfer

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/otp"
)

func with(password string) Options {
	return Options{Password: func(context.Context, Question) ([]byte, error) { return []byte(password), nil }}
}

// secretsOf is every way in which the fixtures' secrets could be written.
func secretsOf() []string {
	out := []string{testPassword}
	for _, s := range []string{seed20, seed32} {
		out = append(out, s, b32(s), hex.EncodeToString([]byte(s)), base64.StdEncoding.EncodeToString([]byte(s)))
	}
	return out
}

// checkQuiet fails where what is said of a file repeats a secret of it.
func checkQuiet(t *testing.T, res Result, err error) {
	t.Helper()
	said := fmt.Sprintf("%+v %v %+v", res, err, err)
	for _, r := range res.Rows {
		said += fmt.Sprintf("%#v %v", r, r.NewAccount())
	}
	for _, s := range secretsOf() {
		if strings.Contains(strings.ToLower(said), strings.ToLower(s)) {
			t.Fatalf("a secret is in %q", said)
		}
	}
}

// checkRow asks the daemon's own package whether it would take the row.
func checkRow(t *testing.T, r Row) {
	t.Helper()
	a := r.NewAccount()
	secret, err := otp.ParseSecret(string(a.Secret))
	if err != nil {
		t.Fatalf("the daemon does not take the secret of %s: %v", r.Where, err)
	}
	if !bytes.Equal(secret, r.Secret) {
		t.Fatalf("the daemon reads another secret than %s has", r.Where)
	}
	p := otp.Params{Type: otp.Type(a.Type), Algorithm: otp.Algorithm(a.Algorithm), Digits: a.Digits, Period: a.Period}
	if a.Counter != nil {
		p.Counter = *a.Counter
	}
	if (a.Counter != nil) != (a.Type == typeHOTP) {
		t.Fatalf("%s: a counter for %s", r.Where, a.Type)
	}
	if err := (otp.Key{Issuer: a.Issuer, Name: a.Name, Params: p, Secret: secret}).Validate(); err != nil {
		t.Fatalf("the daemon does not take %s: %v", r.Where, err)
	}
	if len(a.Note) > maxNote || len(a.Name) > maxName || len(a.Issuer) > maxName {
		t.Fatalf("%s has names or a note that are too long", r.Where)
	}
}

func rowsOf(res Result) []string {
	var out []string
	for _, r := range res.Rows {
		out = append(out, show(r))
	}
	slices.Sort(out)
	return out
}

func TestFixtures(t *testing.T) {
	for _, f := range fixtures(t) {
		t.Run(f.name, func(t *testing.T) {
			asked := 0
			o := Options{Password: func(_ context.Context, q Question) ([]byte, error) {
				asked++
				if q.Format == "" || q.What == "" {
					t.Errorf("asked for a password without saying which: %+v", q)
				}
				return []byte(testPassword), nil
			}}
			res, err := Read(t.Context(), f.data, "upload", o)
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Sorted(slices.Values(f.want))
			if got := rowsOf(res); !slices.Equal(got, want) {
				t.Fatalf("read\n%s\nwant\n%s\nskipped %+v", strings.Join(got, "\n"), strings.Join(want, "\n"), res.Skipped)
			}
			if res.Format != f.format || len(res.Skipped) != f.skips {
				t.Fatalf("format %q, skipped %+v; want %q and %d", res.Format, res.Skipped, f.format, f.skips)
			}
			if encrypted := f.password != ""; encrypted != (asked == 1) {
				t.Fatalf("asked %d times for a password", asked)
			}
			for _, s := range res.Skipped {
				if s.Where == "" || s.Reason == "" {
					t.Errorf("skipped without place or reason: %+v", s)
				}
			}
			for _, r := range res.Rows {
				checkRow(t, r)
				if r.Where == "" {
					t.Errorf("%s: no place", show(r))
				}
			}
			checkQuiet(t, res, nil)
			res.Wipe()
			if len(res.Rows) > 0 && !bytes.Equal(res.Rows[0].Secret, make([]byte, len(res.Rows[0].Secret))) {
				t.Error("Wipe left a secret")
			}
		})
	}
}

func TestPasswords(t *testing.T) {
	for _, f := range fixtures(t) {
		if f.password == "" {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			wrong, nobody := WrongPassword, PasswordNeeded
			if f.unsure {
				wrong, nobody = UnknownEncrypted, UnknownEncrypted
			}
			_, err := Read(t.Context(), f.data, "", with("wrong horse"))
			if KindOf(err) != wrong {
				t.Errorf("with a wrong password: %v", err)
			}
			checkQuiet(t, Result{}, err)
			if _, err := Read(t.Context(), f.data, "", Options{}); KindOf(err) != nobody {
				t.Errorf("with nobody to ask: %v", err)
			}
			mine := errors.New("the user pressed Ctrl-C")
			o := Options{Password: func(context.Context, Question) ([]byte, error) { return nil, mine }}
			if _, err := Read(t.Context(), f.data, "", o); !errors.Is(err, mine) {
				t.Errorf("the caller's own error became %v", err)
			}
			ctx, stop := context.WithCancel(t.Context())
			stop()
			if _, err := Read(ctx, f.data, "", with(testPassword)); !errors.Is(err, context.Canceled) {
				t.Errorf("after the end of the context: %v", err)
			}
		})
	}
}

// cheap says that a fixture can be opened hundreds of times.
func (f fixture) cheap() bool {
	return !strings.HasPrefix(f.name, "Stratum encrypted") && !strings.HasPrefix(f.name, "Ente") &&
		!strings.HasPrefix(f.name, "Proton encrypted") && f.format != "picture of QR codes"
}

// TestTruncated cuts the fixtures at many places: what is framed must be called
// damaged, or something else than this product's, and nothing may panic or pass for
// whole.
func TestTruncated(t *testing.T) {
	for _, f := range fixtures(t) {
		step := max(1, len(f.data)/53)
		if !f.cheap() {
			step = max(1, len(f.data)/5)
		}
		for n := 0; n < len(bytes.TrimSpace(f.data)); n += step {
			res, err := Read(t.Context(), f.data[:n], "", with(testPassword))
			if f.framed && err == nil && slices.Equal(rowsOf(res), slices.Sorted(slices.Values(f.want))) && len(res.Skipped) == f.skips {
				t.Errorf("%s: %d of %d bytes pass for the whole", f.name, n, len(f.data))
			}
			if f.framed && err == nil && len(res.Skipped) == 0 {
				t.Errorf("%s: %d of %d bytes are read without a word: %s", f.name, n, len(f.data), rowsOf(res))
			}
			checkQuiet(t, res, err)
		}
	}
}

// TestFlipped changes bytes: of what is authenticated nothing may come out that was
// not put in.
func TestFlipped(t *testing.T) {
	for _, f := range fixtures(t) {
		if !f.cheap() {
			continue
		}
		for n := 0; n < len(f.data); n += max(1, len(f.data)/41) {
			data := bytes.Clone(f.data)
			data[n] ^= 1 << (n % 7)
			res, err := Read(t.Context(), data, "", with(testPassword))
			if err == nil && f.sealed {
				for _, row := range rowsOf(res) {
					_, secret, _ := strings.Cut(row, "|totp")
					if !slices.Contains(f.want, row) && !strings.HasSuffix(secret, hex.EncodeToString([]byte(seed20))) && !strings.HasSuffix(row, hex.EncodeToString([]byte(seed32))) && !strings.HasSuffix(row, hex.EncodeToString([]byte(seed20))) {
						t.Errorf("%s: with byte %d changed it has %s", f.name, n, row)
					}
				}
			}
			if f.sealed {
				checkQuiet(t, res, err)
			}
		}
	}
}

func TestOddFiles(t *testing.T) {
	cases := map[string]struct {
		data string
		kind Kind
	}{
		"empty":              {"", Empty},
		"white space":        {" \r\n\t", Empty},
		"BOM alone":          {"\ufeff", Empty},
		"zeros":              {strings.Repeat("\x00", 4096), Placeholder},
		"iCloud":             {"bplist00\xd4\x01\x02\x03\x04_\x10\x13NSURLNameKey", Placeholder},
		"Google Drive":       {`{"url":"https://docs.example","doc_id":"x","email":"y"}`, Placeholder},
		"Git LFS":            {"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", Placeholder},
		"log-in page":        {"\n<!DOCTYPE html><html><body>log in</body></html>", WebPage},
		"our list":           {`{"version":1,"accounts":[{"id":"1","name":"a","kind":"third-party","class":"touch","type":"totp"}]}`, ListOnly},
		"prose":              {"dear diary, nothing today", Unknown},
		"JSON of others":     {`{"a":1}`, Unknown},
		"broken JSON":        {`{"version":1,"header":{},"db":`, Damaged},
		"broken XML":         {`<?xml version="1.0"?><map><string name="a">x</str`, Damaged},
		"broken ZIP":         {"PK\x03\x04 and so on", Damaged},
		"KeePass":            {"\x03\xd9\xa2\x9a\x67\xfb\x4b\xb5", Unsupported},
		"OpenPGP":            {"-----BEGIN PGP MESSAGE-----\n", Unsupported},
		"age":                {"age-encryption.org/v1\n", Unsupported},
		"gzip":               {"\x1f\x8b\x08\x00", Unsupported},
		"PSKC":               {`<KeyContainer xmlns="urn:ietf:params:xml:ns:keyprov:pskc"/>`, Unsupported},
		"Bitwarden, account": {`{"encrypted":true,"encKeyValidation_DO_NOT_EDIT":"2.x","items":[]}`, Unsupported},
		"extension, sealed":  {`{"h":{"hash":"h","type":"totp","secret":"U2Fs","encrypted":true},"key":{}}`, Unsupported},
		"Aegis, newer":       {`{"version":2,"header":{},"db":{}}`, NewerVersion},
		"Aegis, newer db":    {`{"version":1,"header":{},"db":{"version":9,"entries":[]}}`, NewerVersion},
		"2FAS, newer":        {`{"services":[],"schemaVersion":5}`, NewerVersion},
		"Ente, newer":        {`{"version":2,"kdfParams":{},"encryptedData":"","encryptionNonce":""}`, NewerVersion},
		"Aegis, no accounts": {`{"version":1,"header":{},"db":{"version":3,"entries":[]}}`, NoAccounts},
		"table of passwords": {"url,username,password\nx,y,z\n", NoAccounts},
		"comments alone":     {"# nothing\n; here\n", NoAccounts},
		"SafeNet":            {"<Tokens>\n<Token><Seed>00</Seed></Token></Tokens>", Unsupported},
		"SafeWord":           {"dn: x\nsccAuthenticatorId: A1\nsccTokenData: sccKey=00;\n", Unsupported},
		"OATH CSV":           {"#\ntok1, 1212\ntok2, 1j12, totp, 6\ntok3, 1212, hotp, 8\n", Unsupported},
		"Azure CSV":          {"upn,serial number,secret key,time interval,manufacturer,model\na@b.example,1,JBSWY3DPEHPK3PXP,30,Maker,M\n", Unsupported},
		"YubiKey log":        {"OATH-HOTP,10.10.19 10:42,1,,,00,,,0,0,0,8,0,0,0,0,0,0\n", Unsupported},
		"WebP":               {"RIFF\x10\x00\x00\x00WEBPVP8 ", Unsupported},
		"TIFF":               {"II*\x00\x08\x00\x00\x00\x00\x00\x00\x00", Unsupported},
		"HEIF":               {"\x00\x00\x00\x18ftypheic\x00\x00", Unsupported},
		"very many members":  {"[" + strings.Repeat("1,", maxCommas+1) + "1]", TooLarge},
		"empty archive":      {"PK\x05\x06" + strings.Repeat("\x00", 18), NoAccounts},
		"no code in picture": {string(drawCodes(t)), NoAccounts},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			res, err := Read(t.Context(), []byte(c.data), name, with(testPassword))
			if KindOf(err) != c.kind {
				t.Errorf("%v (%s), %+v; want %s", err, KindOf(err), res, c.kind)
			}
		})
	}
	if _, err := Read(t.Context(), make([]byte, MaxFile+1), "", Options{}); KindOf(err) != TooLarge {
		t.Errorf("a huge file: %v", err)
	}
}

func TestOwnBackup(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "daemon", "archive", "testdata", "golden", "full.tokend"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Parse(data); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{len(data), len(data) - 600} {
		if _, err := Read(t.Context(), data[:n], "", Options{}); KindOf(err) != OwnBackup {
			t.Errorf("%d of %d bytes of a backup of ours: %v", n, len(data), err)
		}
	}
}

// TestHostileCosts gives files that ask for more work than a machine has.
func TestHostileCosts(t *testing.T) {
	all := sealedFixtures(t)
	change := func(name string, to map[string]any, path ...string) []byte {
		for _, f := range all {
			if f.name != name {
				continue
			}
			var m map[string]any
			if err := json.Unmarshal(f.data, &m); err != nil {
				t.Fatal(err)
			}
			at := m
			for _, p := range path {
				switch v := at[p].(type) {
				case map[string]any:
					at = v
				case []any:
					at, _ = v[len(v)-1].(map[string]any)
				}
			}
			for k, v := range to {
				at[k] = v
			}
			return mustJSON(t, m)
		}
		t.Fatalf("no fixture %s", name)
		return nil
	}
	cases := map[string][]byte{
		"scrypt memory":    change("Aegis encrypted", object{"n": 1 << 30}, "header", "slots"),
		"scrypt time":      change("Aegis encrypted", object{"n": 1 << 20, "p": 1 << 19}, "header", "slots"),
		"scrypt overflow":  change("Aegis encrypted", object{"n": 1 << 32, "r": 1 << 20, "p": 1 << 20}, "header", "slots"),
		"PBKDF2":           change("Bitwarden PBKDF2", object{"kdfIterations": 4_000_000_000}),
		"Argon2id memory":  change("Bitwarden Argon2id", object{"kdfMemory": uint64(1) << 62}),
		"Argon2id time":    change("Bitwarden Argon2id", object{"kdfIterations": 1 << 30, "kdfMemory": 1000}),
		"Argon2id of Ente": change("Ente, by libsodium", object{"memLimit": uint64(1) << 63, "opsLimit": 4}, "kdfParams"),
	}
	for name, data := range cases {
		if _, err := Read(t.Context(), data, "", with(testPassword)); KindOf(err) != TooCostly {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, data := range map[string][]byte{
		"scrypt n":         change("Aegis encrypted", object{"n": 1000}, "header", "slots"),
		"scrypt nothing":   change("Aegis encrypted", object{"r": 0}, "header", "slots"),
		"PBKDF2 nothing":   change("Bitwarden PBKDF2", object{"kdfIterations": 0}),
		"Argon2id nothing": change("Bitwarden Argon2id", object{"kdfParallelism": 0}),
		"Argon2id many":    change("Bitwarden Argon2id", object{"kdfParallelism": 300}),
	} {
		if _, err := Read(t.Context(), data, "", with(testPassword)); KindOf(err) != Damaged {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := with(testPassword)
	o.MaxMemory = 1 << 20
	if _, err := Read(t.Context(), testdata(t, "ente.json"), "", o); KindOf(err) != TooCostly {
		t.Errorf("beyond the caller's bound: %v", err)
	}
}

// TestProgress: what is slow is announced before it begins, and given up when the
// context ends.
func TestProgress(t *testing.T) {
	for _, f := range fixtures(t) {
		if f.name != "Stratum encrypted" {
			continue
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		o, told := with(testPassword), Work{}
		o.Progress = func(w Work) { told = w; stop() }
		if _, err := Read(ctx, f.data, "", o); !errors.Is(err, context.Canceled) {
			t.Errorf("after the context's end: %v", err)
		}
		if told.Memory != 64<<20 || told.Format != "Stratum" {
			t.Errorf("announced %+v", told)
		}
		return
	}
	t.Fatal("no such fixture")
}

func TestMigrationParts(t *testing.T) {
	a := migrated("Example", "anna@example.org", seed20, 1, 1, 2, 0)
	read := func(lines ...string) Result {
		t.Helper()
		res, err := Read(t.Context(), []byte(strings.Join(lines, "\n")), "", Options{})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	res := read(migrationURI(4, 1, 5, a), migrationURI(1, 0, 6, a))
	if len(res.Rows) != 2 || len(res.Skipped) != 1 || res.Skipped[0].Where != "parts 1, 3, 4 of 4" {
		t.Errorf("with parts missing: %d rows, %+v", len(res.Rows), res.Skipped)
	}
	// A plus sign in the data, as it is.
	raw := migrationPayload(1, 0, 5, migrated("Ex", "~~~>>>???", seed20+"\xfb\xef\xbe", 1, 1, 2, 0))
	for _, data := range []string{b64(raw), strings.ReplaceAll(b64(raw), "+", " "), strings.ReplaceAll(strings.ReplaceAll(b64(raw), "+", "-"), "/", "_"), strings.TrimRight(b64(raw), "=")} {
		if res := read("otpauth-migration://offline?data=" + data); len(res.Rows) != 1 || len(res.Skipped) != 0 {
			t.Errorf("%d rows, %+v", len(res.Rows), res.Skipped)
		}
	}
	if !strings.Contains(b64(raw), "+") {
		t.Error("the data has no plus sign to be taken for a space")
	}
	res = read(migrationURI(1_000_000_000_000, 0, 5, a))
	if len(res.Skipped) != 1 || len(res.Rows) != 1 {
		t.Errorf("of very many parts: %+v", res.Skipped)
	}
	for _, bad := range []string{"otpauth-migration://offline", "otpauth-migration://offline?data=%zz", "otpauth-migration://offline?data=!", migrationURI(2, 2, 5, a),
		"otpauth-migration://offline?data=" + b64([]byte("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))} {
		if res := read(bad); len(res.Skipped) != 1 || len(res.Rows) != 0 {
			t.Errorf("%s: %d rows, skipped %+v", bad, len(res.Rows), res.Skipped)
		}
	}
	res = read(migrationURI(1, 0, 5, migrated("", "x", seed20, 4, 1, 2, 0), migrated("", "", "", 1, 1, 2, 0), migrated("", "encoding: é", seed20, 0, 0, 0, 0)))
	if len(res.Skipped) != 2 || len(res.Rows) != 1 || res.Rows[0].Name != "encoding: é" || len(res.Rows[0].Warnings) != 1 {
		t.Errorf("%+v, %+v", res.Rows, res.Skipped)
	}
}

func TestAddresses(t *testing.T) {
	s := "?secret=" + b32(seed20)
	good := map[string]string{
		"otpauth://totp/a" + s:                                                      "|a|totp SHA1 6 30 0",
		"OTPAUTH://TOTP/I%3A%20a" + s:                                               "I|a|totp SHA1 6 30 0",
		"otpauth://totp/I:a" + s + "&issuer=J":                                      "J|I:a|totp SHA1 6 30 0",
		"otpauth://totp/A+B:x" + s + "&issuer=A+B":                                  "A+B|x|totp SHA1 6 30 0",
		"otpauth://totp/x" + s + "&issuer=A+B":                                      "A B|x|totp SHA1 6 30 0",
		"otpauth://totp/x" + s + "&digits=9&period=60":                              "|x|totp SHA1 9 60 0",
		"otpauth://totp/x" + s + "&encoder=steam":                                   "|x|steam SHA1 5 30 0",
		"otpauth://totp/x" + s + "&issuer=Steam&digits=5":                           "Steam|x|steam SHA1 5 30 0",
		"steam://" + b32(seed20):                                                    "Steam|Steam|steam SHA1 5 30 0",
		"otpauth://hotp/x" + s + "&counter=18446744073709551615":                    "|x|hotp SHA1 6 0 18446744073709551615",
		"otpauth://hotp/x" + s:                                                      "|x|hotp SHA1 6 0 0",
		"otpauth://totp/100%" + s:                                                   "|100%|totp SHA1 6 30 0",
		"otpauth://totp/C#:x" + s:                                                   "C#|x|totp SHA1 6 30 0",
		"otpauth://totp/x" + s + "&algorithm=HmacSHA256":                            "|x|totp SHA256 6 30 0",
		"otpauth://totp/x%0Ay" + s:                                                  "|x y|totp SHA1 6 30 0",
		"otpauth://totp/" + s:                                                       "|account of line 1|totp SHA1 6 30 0",
		"otpauth://totp/x?issuer=I&secret=gezd%20gnbv-gy3tqojqgezdgnbvgy3tqojq====": "I|x|totp SHA1 6 30 0",
	}
	for uri, want := range good {
		res, err := Read(t.Context(), []byte(uri), "", Options{})
		if err != nil || len(res.Rows) != 1 || show(res.Rows[0]) != want+"|"+hex.EncodeToString([]byte(seed20)) {
			t.Errorf("%s: %v %v %+v", uri, rowsOf(res), err, res.Skipped)
			continue
		}
		checkRow(t, res.Rows[0])
		key, err := otp.ParseURI(uri)
		if err != nil {
			if len(res.Rows[0].Warnings) == 0 && !strings.Contains(uri, "%\x3f") && !strings.HasPrefix(uri, "steam") && !strings.ContainsAny(uri, "#") && !strings.Contains(uri, "digits=5") && !strings.Contains(uri, "100%") {
				t.Errorf("%s: taken without a warning, and the daemon says %v", uri, err)
			}
			continue
		}
		r := res.Rows[0]
		if key.Issuer != r.Issuer || key.Name != r.Name || string(key.Type) != r.Type || string(key.Algorithm) != r.Algorithm || key.Digits != r.Digits || key.Period != r.Period || key.Counter != r.Counter {
			t.Errorf("%s: the daemon reads %q %q %+v", uri, key.Issuer, key.Name, key.Params)
		}
	}
	for _, uri := range []string{
		"otpauth://totp/x", "otpauth://totp/x?secret=", "otpauth://totp/x?secret=01", "otpauth://totp/x?secret=A", "otpauth://motp/x" + s,
		"otpauth://totp/x" + s + "&digits=5", "otpauth://totp/x" + s + "&digits=11", "otpauth://totp/x" + s + "&digits=six", "otpauth://totp/x" + s + "&period=-1",
		"otpauth://totp/x" + s + "&period=99999999999", "otpauth://totp/x" + s + "&algorithm=MD5", "otpauth://totp/x" + s + "&secret=AAAA",
		"otpauth://totp/x?secret=%zz", "otpauth://totp/x" + s + "&encoder=other", "otpauth://totp/x?secret=" + strings.Repeat("A", 9000),
	} {
		res, err := Read(t.Context(), []byte(uri), "", Options{})
		if err != nil || len(res.Rows) != 0 || len(res.Skipped) != 1 || res.Skipped[0].Reason == "" {
			t.Errorf("%s: %v %v %+v", uri, rowsOf(res), err, res.Skipped)
		}
		checkQuiet(t, res, err)
	}
}

func TestSecretsInTheWild(t *testing.T) {
	for text, want := range map[string]string{
		"mzxw6ytboi":       "foobar",
		"MZXW-6YTB OI====": "foobar",
		"MZXW6YTBOJ":       "foobar", // bits beyond the last byte
	} {
		if secret, warning, reason := parseBase32(text); string(secret) != want || warning != "" || reason != "" {
			t.Errorf("%s: %q %q %q", text, secret, warning, reason)
		}
	}
	// Lengths that base32 cannot have: taken as others take them, with a warning.
	for _, text := range []string{"MZXW6YTBO", "MZXW6YTBOIX", "MZXW6YTBOIXXXX"} {
		if secret, warning, reason := parseBase32(text); len(secret) != len(text)*5/8 || warning == "" || reason != "" {
			t.Errorf("%s: %d bytes, %q %q", text, len(secret), warning, reason)
		}
	}
}

// TestExtras: what is no part of a code comes along too.
func TestExtras(t *testing.T) {
	row := func(name, account string) Row {
		t.Helper()
		for _, f := range fixtures(t) {
			if f.name != name {
				continue
			}
			res, err := Read(t.Context(), f.data, "", with(testPassword))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range res.Rows {
				if r.Name == account {
					return r
				}
			}
		}
		t.Fatalf("no %s in %s", account, name)
		return Row{}
	}
	for _, name := range []string{"Aegis", "Aegis encrypted", "2FAS"} {
		if r := row(name, "anna@example.org"); r.Group != "Work" {
			t.Errorf("%s: group %q", name, r.Group)
		}
	}
	if r := row("2FAS", "konto 7"); r.Order != 1 || r.Note != "Bank" {
		t.Errorf("2FAS: order %d, note %q", r.Order, r.Note)
	}
	if r := row("Bitwarden", "anna@example.org"); r.Group != "Work" || !r.Favourite {
		t.Errorf("Bitwarden: %+v", r)
	}
	if r := row("Bitwarden CSV", "anna@example.org"); r.Group != "work" || r.Note != "two\nlines" || !r.Favourite {
		t.Errorf("Bitwarden CSV: %+v", r)
	}
	if r := row("Ente, by libsodium", "anna@example.org"); !r.Favourite || r.Note != "spare phone" || !slices.Equal(r.Tags, []string{"work"}) {
		t.Errorf("Ente: %+v", r)
	}
	if r := row("Stratum", "konto 7"); r.Group != "Work" {
		t.Errorf("Stratum: %+v", r)
	}
	if r := row("1pux", "anna@example.org"); r.Group != "Private" || !r.Favourite || !slices.Equal(r.Tags, []string{"a"}) {
		t.Errorf("1pux: %+v", r)
	}
	if r := row("FreeOTP 1", "bo"); r.Order != 0 {
		t.Errorf("FreeOTP 1: %+v", r)
	}
	if r := row("FreeOTP 1", "anna@example.org"); r.Order != 2 {
		t.Errorf("FreeOTP 1: %+v", r)
	}
}

// TestArchiveOfMany: a file that cannot be read does not take the others along.
func TestArchiveOfMany(t *testing.T) {
	res, err := Read(t.Context(), zipOf(t, "a.txt", annaURI(), "b.json", `{"version":2,"header":{},"db":{}}`, "c.pdf", "%PDF-1", "d.html", "<html>", "e.txt", "notes"), "", Options{})
	if err != nil || len(res.Rows) != 1 || len(res.Skipped) != 2 || len(res.Notes) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	if res.Rows[0].Where != "a.txt, line 1" || res.Skipped[0].Where != "b.json" {
		t.Errorf("%+v", res)
	}
	inner := zipOf(t, "a.txt", annaURI())
	for range 3 {
		inner = zipOf(t, "a.zip", string(inner))
	}
	if _, err := Read(t.Context(), inner, "", Options{}); KindOf(err) != Unsupported {
		t.Errorf("archives in archives: %v", err)
	}
}

// TestArchiveBomb: what an archive unpacks to is bounded, whatever it says.
func TestArchiveBomb(t *testing.T) {
	const bound = 1 << 20
	open := func(data []byte) error {
		f := &File{Data: data}
		if len(f.zip().files) != 1 {
			t.Fatal("no file in the archive")
		}
		_, err := (&zipReader{format: "ZIP archive", left: bound}).open(t.Context(), f.zip().files[0])
		return err
	}
	if err := open(zipOf(t, "a.txt", strings.Repeat("#", bound))); err != nil {
		t.Errorf("at the bound: %v", err)
	}
	bomb := zipOf(t, "a.txt", strings.Repeat("#", 3*bound))
	if err := open(bomb); KindOf(err) != TooLarge {
		t.Errorf("an archive that unpacks to more: %v", err)
	}
	at := bytes.LastIndex(bomb, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(bomb[at+24:], 100)
	if err := open(bomb); KindOf(err) != TooLarge {
		t.Errorf("an archive that lies about its size: %v", err)
	}
}

// TestMany: a file with more than anybody has is cut off, and says so.
func TestMany(t *testing.T) {
	var b strings.Builder
	for range maxAccounts + 2 {
		b.WriteString("otpauth://totp/a?secret=" + b32(seed20) + "\n")
	}
	for range maxSkipped + 2 {
		b.WriteString("x\n")
	}
	res, err := Read(t.Context(), []byte(b.String()), "", Options{})
	if err != nil || len(res.Rows) != maxAccounts || len(res.Skipped) != maxSkipped+1 {
		t.Fatalf("%d rows, %d skipped, %v", len(res.Rows), len(res.Skipped), err)
	}
	if last := res.Skipped[maxSkipped]; !strings.HasPrefix(last.Where, "from line") {
		t.Errorf("%+v", last)
	}
}

// TestNames: what cannot be shown is left out, and said.
func TestNames(t *testing.T) {
	long := strings.Repeat("ä", 200)
	c := collect("x")
	c.add(entry{where: "entry 1", issuer: "a\u202eb", name: "\x1b[2Jc\xff", note: "n\x00\r\no", secret: []byte(seed20)})
	c.add(entry{where: "entry 2", issuer: long, name: " x ", note: strings.Repeat("ä", 3000), secret: []byte("short")})
	c.add(entry{where: "entry 3", secret: []byte(seed20)})
	c.add(entry{where: "entry 4", name: "\x1bx\u202e", base32: "1"})
	for _, r := range c.Rows {
		checkRow(t, r)
		if len(r.Warnings) == 0 {
			t.Errorf("no warning for %+v", r)
		}
	}
	if r := c.Rows[0]; r.Issuer != "ab" || r.Name != "[2Jc\ufffd" || r.Note != "n\no" {
		t.Errorf("%q %q %q", r.Issuer, r.Name, r.Note)
	}
	if r := c.Rows[1]; len(r.Issuer) != 256 || r.Name != "x" || len(r.Warnings) != 3 {
		t.Errorf("%q %q %q", r.Issuer, r.Name, r.Warnings)
	}
	if len(c.Skipped) != 1 || c.Skipped[0].Name != "x" {
		t.Errorf("%+v", c.Skipped)
	}
}

func TestSecretstream(t *testing.T) {
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(i)
	}
	lines := strings.Split(strings.TrimRight(string(testdata(t, "secretstream.txt")), "\n"), "\n")
	if len(lines) < 30 {
		t.Fatalf("%d vectors", len(lines))
	}
	for _, l := range lines {
		parts := strings.Split(l, " ")
		var v [3][]byte
		for i := range v {
			var err error
			if v[i], err = hex.DecodeString(parts[i]); err != nil {
				t.Fatal(err)
			}
		}
		plain, ok := openStream(key, v[0], v[1])
		if !ok || !bytes.Equal(plain, v[2]) {
			t.Errorf("a message of %d bytes does not open", len(v[2]))
		}
		for i := range v[1] {
			v[1][i] ^= 1
			if _, ok := openStream(key, v[0], v[1]); ok {
				t.Errorf("a message of %d bytes opens with byte %d changed", len(v[2]), i)
			}
			v[1][i] ^= 1
		}
	}
}

// TestJavaMaps reads what a Java runtime wrote (testdata/README.md).
func TestJavaMaps(t *testing.T) {
	for _, name := range []string{"hashmap.ser.gz", "linkedhashmap.ser.gz"} {
		z, err := gzip.NewReader(bytes.NewReader(testdata(t, name)))
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		m, err := javaStrings(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if m["plain"] != "value" || m["same"] != "value" || m["umlaut"] != "ä€😀\x00end" || len(m["big"]) != 66000 || len(m) != 4 {
			t.Errorf("%s: %d pairs", name, len(m))
		}
		for n := 0; n < len(data); n += 1 + n/50 {
			if _, err := javaStrings(data[:n]); err == nil {
				t.Errorf("%s: %d of %d bytes pass", name, n, len(data))
			}
		}
	}
}

// TestPartsInManyFiles: the pictures of one Google export are files of their own,
// one of them taken twice and one missing.
func TestPartsInManyFiles(t *testing.T) {
	part := func(i uint64) []byte {
		return drawCodes(t, migrationURI(4, i, 9, migrated("Example", fmt.Sprintf("user %d", i), seed20, 1, 1, 2, 0), migrated("MD5", "x", seed20, 4, 1, 2, 0)))
	}
	var results []Result
	for _, data := range [][]byte{part(2), part(0), []byte(annaURI()), part(2), zipOf(t, "a.png", string(part(0)), "b.png", string(part(3)))} {
		res, err := Part(t.Context(), data, "", Options{})
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, res)
	}
	res := Join(results...)
	var names []string
	for _, r := range res.Rows {
		names = append(names, r.Name)
	}
	if want := []string{"user 2", "user 0", "anna@example.org", "user 3"}; !slices.Equal(names, want) {
		t.Errorf("%v, not %v", names, want)
	}
	if len(res.Skipped) != 4 || res.Skipped[3].Where != "part 2 of 4" {
		t.Errorf("%+v", res.Skipped)
	}
	if res.Format != "picture of QR codes, otpauth addresses" {
		t.Errorf("%q", res.Format)
	}
}
