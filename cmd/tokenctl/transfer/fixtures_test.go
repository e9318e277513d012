package transfer

import (
	"archive/zip"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/hkdf"
	"golang.org/x/crypto/pbkdf2"
	"golang.org/x/crypto/scrypt"
)

const (
	testPassword = "correct horse"
	seed20       = "12345678901234567890"
	seed32       = "abcdefghijklmnopqrstuvwxyz012345"
)

func b32(s string) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(s))
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// The accounts of most fixtures, as show writes them.
func wantAnna() string {
	return "Example|anna@example.org|totp SHA1 6 30 0|" + hex.EncodeToString([]byte(seed20))
}

func wantBank() string {
	return "Bank & Söhne|konto 7|totp SHA256 8 60 0|" + hex.EncodeToString([]byte(seed32))
}

func wantWiki() string {
	return "Wiki|bo|hotp SHA512 7 0 9007199254740993|" + hex.EncodeToString([]byte(seed20))
}

func wantSteam() string {
	return "Steam|carla|steam SHA1 5 30 0|" + hex.EncodeToString([]byte(seed20))
}

func show(r Row) string {
	return fmt.Sprintf("%s|%s|%s %s %d %d %d|%x", r.Issuer, r.Name, r.Type, r.Algorithm, r.Digits, r.Period, r.Counter, []byte(r.Secret))
}

func annaURI() string {
	return "otpauth://totp/Example:anna@example.org?secret=" + b32(seed20) + "&issuer=Example&algorithm=SHA1&digits=6&period=30"
}

func bankURI() string {
	return "otpauth://totp/Bank%20%26%20S%C3%B6hne:konto%207?secret=" + strings.ToLower(b32(seed32)) + "&issuer=Bank+%26+S%C3%B6hne&algorithm=sha256&digits=8&period=60"
}

func wikiURI() string {
	return "otpauth://hotp/Wiki:bo?secret=" + b32(seed20) + "&issuer=Wiki&algorithm=SHA512&digits=7&counter=9007199254740993"
}

func steamURI() string { return "otpauth://steam/Steam:carla?secret=" + b32(seed20) + "&issuer=Steam" }

// fixture is a file that the tests write, by the specification of its format, and
// what it holds.
type fixture struct {
	name   string
	data   []byte
	format string
	want   []string
	// password is needed for encrypted ones.
	password string
	// sealed says that any change of the encrypted part is found.
	sealed bool
	// framed says that the file cannot be cut short without that being seen.
	framed bool
	// unsure says that nothing in it tells the product.
	unsure bool
	// skips is how many of its accounts must be skipped.
	skips int
}

func text(parts ...string) []byte { return []byte(strings.Join(parts, "")) }

// fixtures makes them once: some keys are slow to derive.
func fixtures(tb testing.TB) []fixture {
	tb.Helper()
	made.Do(func() { all = makeFixtures(tb) })
	return all
}

var (
	made sync.Once
	all  []fixture
)

func makeFixtures(tb testing.TB) []fixture {
	var all []fixture
	all = append(all, textFixtures()...)
	all = append(all, jsonFixtures(tb)...)
	all = append(all, sealedFixtures(tb)...)
	all = append(all, androidFixtures(tb)...)
	all = append(all, archiveFixtures(tb)...)
	all = append(all, databaseFixtures(tb)...)
	all = append(all, pictureFixtures(tb)...)
	for _, f := range ownFixtures {
		all = append(all, f(tb)...)
	}
	return all
}

// ownFixtures are what the test files of single formats add: a new format needs no
// line here.
var ownFixtures []func(testing.TB) []fixture

func addFixtures(f func(testing.TB) []fixture) bool {
	ownFixtures = append(ownFixtures, f)
	return true
}

func textFixtures() []fixture {
	four := []string{wantAnna(), wantBank(), wantWiki(), wantSteam()}
	lines := strings.Join([]string{"# otpauth://totp/not:this?secret=AAAA", annaURI(), "", bankURI(), wikiURI(), steamURI(), ""}, "\r\n")
	return []fixture{
		{name: "lines with BOM and CRLF", data: text("\ufeff", lines), format: "otpauth addresses", want: four},
		{name: "lines in UTF-16", data: utf16LE(lines), format: "otpauth addresses", want: four},
		{
			name: "web page", format: "web page", want: []string{wantAnna(), wantBank()}, skips: 1,
			data: text("<!DOCTYPE html>\n<html><body><a href=\"", strings.ReplaceAll(annaURI(), "&", "&amp;"), "\">", annaURI(),
				"</a><code>otpauth://yaotp/x?secret=AAAA</code><td>", bankURI(), "</td></body></html>\n"),
		},
		{name: "several in a line", data: text("otpauth://x ", bankURI(), " ", annaURI()), format: "otpauth addresses", want: []string{wantAnna(), wantBank()}, skips: 1},
		{name: "addresses among words", data: text("My codes:\n- ", annaURI(), " (phone)\n"), format: "otpauth addresses", want: four[:1], skips: 1},
		{
			name: "Google, two parts, one twice", format: "Google Authenticator", want: []string{wantAnna(), wantWiki()},
			data: text("// saved by me\n", migrationURI(2, 1, 7, migrated("Wiki", "Wiki:bo", seed20, 3, 3, 1, 9007199254740993)), "\n",
				migrationURI(2, 0, 7, migrated("Example", "anna@example.org", seed20, 1, 1, 2, 0)), "\n",
				migrationURI(2, 0, 7, migrated("Example", "anna@example.org", seed20, 1, 1, 2, 0)), "\n"),
		},
		{
			name: "Bitwarden CSV", format: "Bitwarden CSV", want: []string{wantAnna(), wantSteam()},
			data: text("folder,favorite,type,name,notes,fields,login_uri,login_username,login_password,login_totp\n",
				"work,1,login,Example,\"two\nlines\",,,anna@example.org,pw,", b32(seed20), "\n",
				",,login,No code,,,,x,pw,\n",
				",,login,Steam,,,,carla,pw,steam://", b32(seed20), "\n"),
		},
		{
			name: "KeePassXC CSV", format: "KeePassXC CSV", want: []string{wantAnna(), wantBank()},
			data: text(`"Group","Title","Username","Password","URL","Notes","TOTP","Icon","Last Modified","Created"`, "\n",
				`"Root/Work","Mail","anna","pw","","","`, annaURI(), `","0","",""`, "\n",
				`"Root/Recycle Bin","Old","anna","pw","","","`, steamURI(), `","0","",""`, "\n",
				`"Root","Konto","x","pw","","","`, bankURI(), `","0","",""`, "\n"),
		},
		{
			name: "LastPass CSV", format: "LastPass CSV", want: []string{wantAnna()},
			data: text("url,username,password,totp,extra,name,grouping,fav\nhttps://x.example,anna@example.org,pw,", b32(seed20), ",,Example,,0\n"),
		},
		{
			name: "1Password CSV", format: "1Password or Apple CSV", want: []string{wantBank()},
			data: text("Title,Url,Username,Password,OTPAuth,Favorite,Archived,Tags,Notes\nBank,,konto,pw,", bankURI(), ",true,false,a,\n"),
		},
		{
			name: "KeePass columns", format: "KeePass CSV", want: []string{wantWikiSHA1(), wantBank()},
			data: text("Title,User Name,HmacOtp-Secret-Base32,HmacOtp-Counter,TimeOtp-Secret-Base32,TimeOtp-Algorithm,TimeOtp-Length,TimeOtp-Period,Group\n",
				"Wiki,bo,", b32(seed20), ",5,,,,,OTP\nBank & Söhne,konto 7,,,", b32(seed32), ",HMAC-SHA-256,8,60,OTP\n"),
		},
		{name: "JSON list of addresses", data: text(`["`, annaURI(), `", "`, bankURI(), `"]`), format: "JSON list", want: four[:2], framed: true},
		{
			name: "semicolons", format: "CSV", want: []string{wantAnna()},
			data: text("issuer;name;secret;type;digits;period\nExample;anna@example.org;", b32(seed20), ";totp;6;30\n"),
		},
	}
}

func wantWikiSHA1() string {
	return "Wiki|bo|hotp SHA1 6 0 5|" + hex.EncodeToString([]byte(seed20))
}

func utf16LE(s string) []byte {
	out := []byte{0xff, 0xfe}
	for _, r := range s {
		if r > 0xffff {
			panic("beyond the basic plane")
		}
		out = binary.LittleEndian.AppendUint16(out, uint16(r))
	}
	return out
}

// migrated writes Google's OtpParameters.
func migrated(issuer, name, secret string, algorithm, digits, kind, counter uint64) []byte {
	var b []byte
	for i, s := range []string{secret, name, issuer} {
		b = binary.AppendUvarint(b, uint64(i+1)<<3|2)
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	for i, n := range []uint64{algorithm, digits, kind, counter} {
		b = binary.AppendUvarint(b, uint64(i+4)<<3)
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// migrationPayload writes Google's MigrationPayload.
func migrationPayload(size, index, id uint64, accounts ...[]byte) []byte {
	var b []byte
	for _, a := range accounts {
		b = binary.AppendUvarint(b, 1<<3|2)
		b = binary.AppendUvarint(b, uint64(len(a)))
		b = append(b, a...)
	}
	for i, n := range []uint64{1, size, index, id} {
		b = binary.AppendUvarint(b, uint64(i+2)<<3)
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func migrationURI(size, index, id uint64, accounts ...[]byte) string {
	return "otpauth-migration://offline?data=" + url.QueryEscape(b64(migrationPayload(size, index, id, accounts...)))
}

func mustJSON(tb testing.TB, v any) []byte {
	tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

type object = map[string]any

func aegisContent() object {
	entry := func(kind, issuer, name string, info object) object {
		return object{"type": kind, "uuid": "u", "name": name, "issuer": issuer, "note": "", "icon": nil, "groups": []string{"g1"}, "info": info}
	}
	return object{"version": 3, "groups": []object{{"uuid": "g1", "name": "Work"}}, "entries": []object{
		entry("totp", "Example", "anna@example.org", object{"secret": b32(seed20), "algo": "SHA1", "digits": 6, "period": 30}),
		entry("totp", "Bank & Söhne", "konto 7", object{"secret": b32(seed32), "algo": "SHA256", "digits": 8, "period": 60}),
		entry("hotp", "Wiki", "bo", object{"secret": b32(seed20), "algo": "SHA512", "digits": 7, "counter": uint64(9007199254740993)}),
		entry("steam", "Steam", "carla", object{"secret": b32(seed20), "algo": "SHA1", "digits": 5, "period": 30}),
		entry("motp", "Old", "x", object{"secret": "e3152afee62599c8", "algo": "MD5", "digits": 6, "period": 10, "pin": "1234"}),
	}}
}

func twofasServices() []object {
	return []object{
		{"name": "Example", "secret": b32(seed20), "otp": object{"account": "anna@example.org", "issuer": nil, "algorithm": nil, "tokenType": "TOTP"}, "order": object{"position": 0}, "groupId": "g1"},
		{"name": "Bank", "secret": b32(seed32), "otp": object{"account": "konto 7", "issuer": "Bank & Söhne", "digits": 8, "period": 60, "algorithm": "SHA256", "tokenType": "TOTP"}, "order": object{"position": 1}},
		{"name": "Wiki", "secret": b32(seed20), "otp": object{"label": "Wiki:bo", "issuer": "Wiki", "digits": 7, "algorithm": "SHA512", "counter": uint64(9007199254740993), "tokenType": "HOTP"}},
		{"name": "Steam", "secret": b32(seed20), "otp": object{"account": "carla", "issuer": "Steam", "tokenType": "STEAM", "digits": 5}},
	}
}

func bitwardenContent() object {
	item := func(name, user, totp string) object {
		return object{"id": "i", "type": 1, "name": name, "notes": nil, "favorite": true, "folderId": "f1", "login": object{"username": user, "totp": totp}}
	}
	gone := item("Gone", "x", b32(seed20))
	gone["deletedDate"] = "2026-01-01T00:00:00Z"
	return object{"encrypted": false, "folders": []object{{"id": "f1", "name": "Work"}}, "items": []object{
		item("Example", "anna@example.org", b32(seed20)), item("x", "y", bankURI()), item("x", "y", wikiURI()), item("x", "y", steamURI()),
		{"id": "i", "type": 2, "name": "note"}, item("no code", "x", ""), gone,
	}}
}

func signed(s string) []int {
	var out []int
	for _, c := range []byte(s) {
		out = append(out, int(int8(c)))
	}
	return out
}

func freeOTPTokens() []object {
	return []object{
		{"algo": "SHA1", "counter": 0, "digits": 6, "issuerExt": "Example", "issuerInt": "Example", "label": "anna@example.org", "period": 30, "secret": signed(seed20), "type": "TOTP"},
		{"algo": "SHA256", "digits": 8, "issuerExt": "Bank", "issuerAlt": "Bank & Söhne", "label": "x", "labelAlt": "konto 7", "period": 60, "secret": signed(seed32), "type": "TOTP"},
		{"algo": "SHA512", "counter": uint64(9007199254740993), "digits": 7, "issuerExt": "Wiki", "label": "bo", "period": 30, "secret": signed(seed20), "type": "HOTP"},
	}
}

func stratumContent() object {
	a := func(kind int, issuer, name, secret string, algorithm, digits, period int, counter uint64) object {
		return object{"Type": kind, "Issuer": issuer, "Username": name, "Secret": secret, "Pin": nil, "Algorithm": algorithm, "Digits": digits, "Period": period, "Counter": counter, "Ranking": 0}
	}
	return object{"Authenticators": []object{
		a(2, "Example", "anna@example.org", b32(seed20), 0, 6, 30, 0), a(2, "Bank & Söhne", "konto 7", b32(seed32), 1, 8, 60, 0),
		a(1, "Wiki", "bo", b32(seed20), 2, 7, 30, 9007199254740993), a(4, "Steam", "carla", b32(seed20), 0, 5, 30, 0), a(5, "Yandex", "x", "AAAA", 1, 8, 30, 0),
	}, "Categories": []object{{"Id": "c", "Name": "Work", "Ranking": 0}}, "AuthenticatorCategories": []object{{"CategoryId": "c", "AuthenticatorSecret": b32(seed32)}}}
}

func jsonFixtures(tb testing.TB) []fixture {
	four := []string{wantAnna(), wantBank(), wantWiki(), wantSteam()}
	andotp := []object{
		{"secret": b32(seed20), "issuer": "Example", "label": "anna@example.org", "digits": 6, "type": "TOTP", "algorithm": "SHA1", "period": 30, "tags": []string{"a"}},
		{"secret": b32(seed32), "label": "Bank & Söhne - konto 7", "digits": 8, "type": "TOTP", "algorithm": "SHA256", "period": 60, "tags": []string{}},
		{"secret": b32(seed20), "issuer": "Wiki", "label": "bo", "digits": 7, "type": "HOTP", "algorithm": "SHA512", "counter": uint64(9007199254740993)},
		{"secret": b32(seed20), "issuer": "Steam", "label": "carla", "digits": 5, "type": "STEAM", "algorithm": "SHA1"},
	}
	one := object{"shared_secret": b64([]byte(seed20)), "account_name": "carla", "steamid": "1", "identity_secret": "x"}
	return []fixture{
		{name: "Aegis", data: mustJSON(tb, object{"version": 1, "header": object{"slots": nil, "params": nil}, "db": aegisContent()}), format: "Aegis", want: four, framed: true, skips: 1},
		{name: "2FAS", data: mustJSON(tb, object{"services": twofasServices(), "groups": []object{{"id": "g1", "name": "Work"}}, "schemaVersion": 4}), format: "2FAS", want: four, framed: true},
		{name: "Bitwarden", data: mustJSON(tb, bitwardenContent()), format: "Bitwarden", want: four, framed: true},
		{name: "andOTP", data: mustJSON(tb, andotp), format: "andOTP", want: four, framed: true},
		{name: "FreeOTP+", data: mustJSON(tb, object{"tokenOrder": []string{}, "tokens": freeOTPTokens()}), format: "FreeOTP+", want: four[:3], framed: true},
		{name: "Stratum", data: mustJSON(tb, stratumContent()), format: "Stratum", want: four, framed: true, skips: 1},
		{name: "Raivo", data: raivoJSON(tb), format: "Raivo OTP", want: four[:3], framed: true},
		{
			name: "LastPass Authenticator", format: "LastPass Authenticator", want: four[:2], framed: true,
			data: mustJSON(tb, object{"deviceId": "", "version": 3, "folders": []object{{"id": 1, "name": "Work"}}, "accounts": []object{
				{"issuerName": "Example", "userName": "anna@example.org", "secret": b32(seed20), "timeStep": 30, "digits": 6, "algorithm": "SHA1", "isFavorite": true},
				{"issuerName": "", "originalIssuerName": "Bank & Söhne", "originalUserName": "konto 7", "secret": b32(seed32), "timeStep": 60, "digits": 8, "algorithm": "SHA256"},
			}}),
		},
		{
			name: "Duo", format: "Duo Mobile", framed: true, skips: 1,
			want: []string{wantAnna(), "Wiki|bo|hotp SHA1 6 0 3|" + hex.EncodeToString([]byte(seed20))},
			data: mustJSON(tb, []object{
				{"accountType": "OtpAccount", "name": "Example:anna@example.org", "otpGenerator": object{"otpSecret": b32(seed20)}},
				{"accountType": "DuoAccount", "name": "Office", "pkey": "x"},
				{"accountType": "OtpAccount", "name": "Wiki:bo", "otpGenerator": object{"otpSecret": b32(seed20), "counter": 3}},
			}),
		},
		{name: "Steam", data: mustJSON(tb, one), format: "Steam", want: four[3:], framed: true},
		{name: "Steam, several", data: mustJSON(tb, object{"accounts": object{"a": one}}), format: "Steam", want: four[3:], framed: true},
		{name: "Proton", data: protonJSON(tb), format: "Proton Authenticator", want: four, framed: true},
		{
			name: "Proton Pass", format: "Proton Pass", want: four[:2], framed: true,
			data: mustJSON(tb, object{"version": "1", "encrypted": false, "vaults": object{"v": object{"name": "Mine", "items": []object{
				{"state": 1, "data": object{"metadata": object{"name": "Example"}, "content": object{"itemUsername": "anna@example.org", "totpUri": b32(seed20)}}},
				{"state": 1, "data": object{"metadata": object{"name": "x"}, "content": object{"totpUri": bankURI()}}},
				{"state": 2, "data": object{"metadata": object{"name": "gone"}, "content": object{"totpUri": bankURI()}}},
				{"state": 1, "data": object{"metadata": object{"name": "note"}, "content": object{}}},
			}}}}),
		},
		{
			name: "JSON list", format: "JSON list", want: []string{wantAnna(), "Wiki|bo|hotp SHA512 7 0 4|" + hex.EncodeToString([]byte(seed20))}, framed: true,
			data: mustJSON(tb, []object{
				{"name": "anna@example.org", "secret": b32(seed20), "issuer": "Example", "type": "totp", "counter": nil, "url": annaURI()},
				{"name": "bo", "secret": b32(seed20), "issuer": "Wiki", "type": "hotp", "counter": 4, "url": wikiURI()},
			}),
		},
		{
			name: "2FAuth", format: "2FAuth", want: four, framed: true,
			data: mustJSON(tb, object{"app": "2fauth_v3.4.1", "schema": 1, "datetime": "2026-01-01T00:00:00.000000Z", "data": []object{
				{"otp_type": "totp", "account": "anna@example.org", "service": "Example", "icon": nil, "secret": b32(seed20), "digits": 6, "algorithm": "sha1", "period": 30, "counter": nil},
				{"otp_type": "totp", "account": "konto 7", "service": "Bank & Söhne", "secret": b32(seed32), "digits": 8, "algorithm": "sha256", "period": 60, "counter": nil},
				{"otp_type": "hotp", "account": "bo", "service": "Wiki", "secret": b32(seed20), "digits": 7, "algorithm": "sha512", "period": nil, "counter": uint64(9007199254740993)},
				{"otp_type": "steamtotp", "account": "carla", "service": "Steam", "secret": b32(seed20), "digits": 5, "algorithm": "sha1", "period": 30, "counter": nil},
			}}),
		},
		{
			name: "Authenticator extension", format: "Authenticator extension", want: four[:3], framed: true,
			data: mustJSON(tb, object{
				"h1": object{"account": "anna@example.org", "encrypted": false, "hash": "h1", "index": 0, "issuer": "Example", "secret": b32(seed20), "type": "totp"},
				"h2": object{"account": "konto 7", "hash": "h2", "index": 1, "issuer": "Bank & Söhne", "secret": b32(seed32), "type": "totp", "digits": 8, "period": 60, "algorithm": "SHA256"},
				"h3": object{"account": "bo", "hash": "h3", "issuer": "Wiki", "secret": b32(seed20), "type": "hotp", "digits": 7, "counter": uint64(9007199254740993), "algorithm": "SHA512"},
			}),
		},
		{
			name: "Authy of the service", format: "Authy", framed: true,
			want: []string{wantAnna(), "Authy|own|totp SHA1 7 10 0|" + hex.EncodeToString([]byte(seed20))},
			data: mustJSON(tb, object{"authenticator_tokens": []object{{"name": "x", "original_name": "Example:anna@example.org", "decrypted_seed": b32(seed20), "digits": 6}},
				"apps": []object{{"name": "Authy:own", "secret_seed": hex.EncodeToString([]byte(seed20)), "digits": 7}}}),
		},
	}
}

func raivoJSON(tb testing.TB) []byte {
	return mustJSON(tb, []object{
		{"pinned": "true", "secret": b32(seed20), "timer": "30", "digits": "6", "counter": "0", "kind": "TOTP", "algorithm": "SHA1", "account": "anna@example.org", "issuer": "Example"},
		{"pinned": "false", "secret": b32(seed32), "timer": "60", "digits": "8", "counter": "0", "kind": "TOTP", "algorithm": "SHA256", "account": "konto 7", "issuer": "Bank & Söhne"},
		{"pinned": "false", "secret": b32(seed20), "timer": "", "digits": "7", "counter": "9007199254740993", "kind": "HOTP", "algorithm": "SHA512", "account": "bo", "issuer": "Wiki"},
	})
}

func protonJSON(tb testing.TB) []byte {
	e := func(uri, kind, name string) object {
		return object{"id": "x", "content": object{"uri": uri, "entry_type": kind, "name": name}, "note": nil}
	}
	return mustJSON(tb, object{"version": 1, "entries": []object{
		e(annaURI(), "Totp", "anna@example.org"), e(bankURI(), "Totp", "konto 7"), e(wikiURI(), "Totp", "bo"), e("steam://"+b32(seed20), "Steam", "carla"),
	}})
}

func sealGCM(key, nonce, plain, extra []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return gcm.Seal(nil, nonce, plain, extra)
}

func sealCBC(key, iv, plain []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	pad := 16 - len(plain)%16
	plain = append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(plain, plain)
	return plain
}

// salted is bytes that stand for random ones.
func salted(n int, first byte) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = first + byte(i)*13
	}
	return out
}

func testdata(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func sealedFixtures(tb testing.TB) []fixture {
	four := []string{wantAnna(), wantBank(), wantWiki(), wantSteam()}
	pw := []byte(testPassword)
	list := mustJSON(tb, []object{{"secret": b32(seed20), "issuer": "Example", "label": "anna@example.org", "digits": 6, "type": "TOTP", "algorithm": "SHA1", "period": 30}})
	old := sha256.Sum256(pw)
	rounds := binary.BigEndian.AppendUint32(nil, 1000)
	oldStratum := append(append([]byte(stratumOldMagic), salted(20, 1)...), salted(16, 9)...)
	newStratum := append(append([]byte(stratumMagic), salted(16, 1)...), salted(12, 9)...)
	stratumJSON := mustJSON(tb, stratumContent())
	protonKey := argon2.IDKey(pw, salted(16, 3), 2, 19<<10, 1, 32)
	return []fixture{
		{name: "Aegis encrypted", data: aegisSealed(tb), format: "Aegis", want: four, password: testPassword, sealed: true, framed: true, skips: 1},
		{name: "2FAS encrypted", data: twofasSealed(tb), format: "2FAS", want: four, password: testPassword, sealed: true, framed: true},
		{name: "Bitwarden PBKDF2", data: bitwardenSealed(tb, 0), format: "Bitwarden", want: four, password: testPassword, sealed: true, framed: true},
		{name: "Bitwarden Argon2id", data: bitwardenSealed(tb, 1), format: "Bitwarden", want: four, password: testPassword, sealed: true, framed: true},
		{name: "Ente, by libsodium", data: testdata(tb, "ente.json"), format: "Ente Auth", want: []string{wantAnna(), wantWiki()}, password: testPassword, sealed: true, framed: true},
		{
			name: "andOTP encrypted", format: "andOTP", want: four[:1], password: testPassword, sealed: true, framed: true,
			data: append(append(append(rounds, salted(12, 2)...), salted(12, 5)...), sealGCM(pbkdf2.Key(pw, salted(12, 2), 1000, 32, sha1.New), salted(12, 5), list, nil)...),
		},
		{
			name: "andOTP encrypted, old", format: "andOTP", unsure: true, want: four[:1], password: testPassword, sealed: true, framed: true,
			data: append(salted(12, 5), sealGCM(old[:], salted(12, 5), list, nil)...),
		},
		{name: "FreeOTP 2", data: freeOTP2Sealed(tb), format: "FreeOTP 2", want: four[:3], password: testPassword, sealed: true, framed: true},
		{
			name: "Stratum encrypted", format: "Stratum", want: four, password: testPassword, sealed: true, framed: true, skips: 1,
			data: append(newStratum, sealGCM(argon2.IDKey(pw, salted(16, 1), 3, 64<<10, 4, 32), salted(12, 9), stratumJSON, nil)...),
		},
		{
			name: "Stratum encrypted, old", format: "Stratum", want: four, password: testPassword, framed: true, skips: 1,
			data: append(oldStratum, sealCBC(pbkdf2.Key(pw, salted(20, 1), stratumOldRounds, 32, sha1.New), salted(16, 9), stratumJSON)...),
		},
		{
			name: "Proton encrypted", format: "Proton Authenticator", want: four, password: testPassword, sealed: true, framed: true,
			data: mustJSON(tb, object{"version": 1, "salt": b64(salted(16, 3)), "content": b64(append(salted(12, 4), sealGCM(protonKey, salted(12, 4), protonJSON(tb), []byte(protonContext))...))}),
		},
		{
			name: "TOTP Authenticator", format: "TOTP Authenticator", unsure: true, want: four[:1], password: testPassword, framed: true,
			data: []byte(b64(sealCBC(old[:], make([]byte, 16), mustJSON(tb, object{totpAuthenticatorJSON(tb): "x"})))),
		},
	}
}

func totpAuthenticatorJSON(tb testing.TB) string {
	return string(mustJSON(tb, []object{{"base": 16, "digits": "6", "period": "30", "issuer": "Example", "name": "anna@example.org", "key": hex.EncodeToString([]byte(seed20))}}))
}

func aegisSealed(tb testing.TB) []byte {
	master, nonce, slotNonce, salt := salted(32, 1), salted(12, 2), salted(12, 3), salted(32, 4)
	key, err := scrypt.Key([]byte(testPassword), salt, 1024, 8, 1, 32)
	if err != nil {
		tb.Fatal(err)
	}
	params := func(nonce, box []byte) ([]byte, object) {
		cut := len(box) - 16
		return box[:cut], object{"nonce": hex.EncodeToString(nonce), "tag": hex.EncodeToString(box[cut:])}
	}
	slot, slotParams := params(slotNonce, sealGCM(key, slotNonce, master, nil))
	db, dbParams := params(nonce, sealGCM(master, nonce, mustJSON(tb, aegisContent()), nil))
	return mustJSON(tb, object{"version": 1, "db": b64(db), "header": object{"params": dbParams, "slots": []object{
		{"type": 2, "uuid": "b", "key": "00", "key_params": slotParams},
		{"type": 1, "uuid": "p", "key": hex.EncodeToString(slot), "key_params": slotParams, "n": 1024, "r": 8, "p": 1, "salt": hex.EncodeToString(salt), "repaired": true},
	}}})
}

func twofasSealed(tb testing.TB) []byte {
	salt := salted(256, 8)
	key := pbkdf2.Key([]byte(testPassword), salt, 10_000, 32, sha256.New)
	part := func(plain []byte, first byte) string {
		return b64(sealGCM(key, salted(12, first), plain, nil)) + ":" + b64(salt) + ":" + b64(salted(12, first))
	}
	return mustJSON(tb, object{"services": []object{}, "groups": []object{}, "schemaVersion": 4,
		"servicesEncrypted": part(mustJSON(tb, twofasServices()), 1), "reference": part([]byte("tRViSsLKzd86Hprh4ceC2OP7xazn4rrt"), 2)})
}

func bitwardenSealed(tb testing.TB, kdf int) []byte {
	salt := b64(salted(16, 5))
	f := object{"encrypted": true, "passwordProtected": true, "salt": salt, "kdfType": kdf, "kdfIterations": 1000}
	key := pbkdf2.Key([]byte(testPassword), []byte(salt), 1000, 32, sha256.New)
	if kdf == 1 {
		f["kdfIterations"], f["kdfMemory"], f["kdfParallelism"] = 2, 1, 2
		sum := sha256.Sum256([]byte(salt))
		key = argon2.IDKey([]byte(testPassword), sum[:], 2, 1<<10, 2, 32)
	}
	part := func(info string) []byte {
		out := make([]byte, 32)
		_, _ = hkdf.Expand(sha256.New, key, []byte(info)).Read(out)
		return out
	}
	encString := func(plain []byte, first byte) string {
		iv := salted(16, first)
		box := sealCBC(part("enc"), iv, plain)
		mac := hmac.New(sha256.New, part("mac"))
		mac.Write(iv)
		mac.Write(box)
		return "2." + b64(iv) + "|" + b64(box) + "|" + b64(mac.Sum(nil))
	}
	f["encKeyValidation_DO_NOT_EDIT"] = encString([]byte("a-random-id"), 1)
	f["data"] = encString(mustJSON(tb, bitwardenContent()), 2)
	return mustJSON(tb, f)
}

// javaMap writes a HashMap of strings (Java Object Serialization, section 6.4).
func javaMap(pairs ...string) []byte {
	b := []byte(javaMagic + "\x73\x72\x00\x11java.util.HashMap\x05\x07\xda\xc1\xc3\x16\x60\xd1\x03\x00\x02" +
		"F\x00\x0aloadFactorI\x00\x09thresholdxp\x3f\x40\x00\x00\x00\x00\x00\x18\x77\x08\x00\x00\x00\x20")
	b = binary.BigEndian.AppendUint32(b, uint32(len(pairs)/2))
	for _, s := range pairs {
		b = binary.BigEndian.AppendUint16(append(b, 't'), uint16(len(s)))
		b = append(b, s...)
	}
	return append(b, 'x')
}

func freeOTP2Sealed(tb testing.TB) []byte {
	master, salt := salted(32, 1), salted(32, 2)
	box := func(key []byte, plain, token string, first byte) object {
		nonce := string(salted(12, first))
		return object{"mCipher": "AES/GCM/NoPadding", "mCipherText": signed(string(sealGCM(key, []byte(nonce), []byte(plain), []byte(token)))),
			"mParameters": signed("\x30\x11\x04\x0c" + nonce + "\x02\x01\x10"), "mToken": token}
	}
	key := pbkdf2.Key([]byte(testPassword), salt, 1000, 32, sha1.New)
	pairs := []string{"masterKey", string(mustJSON(tb, object{"mAlgorithm": "PBKDF2withHmacSHA1", "mIterations": 1000, "mSalt": signed(string(salt)),
		"mEncryptedKey": box(key, string(master), "AES", 3)}))}
	for i, t := range freeOTPTokens() {
		seed := seed20
		if i == 1 {
			seed = seed32
		}
		id := fmt.Sprintf("%d-uuid", i)
		token := "Hmac" + fmt.Sprint(t["algo"])
		delete(t, "secret")
		delete(t, "algo") // the key tells
		pairs = append(pairs, id, string(mustJSON(tb, object{"key": string(mustJSON(tb, box(master, seed, token, byte(10+i))))})), id+"-token", string(mustJSON(tb, t)))
	}
	return javaMap(pairs...)
}

// prefsXML writes Android's preferences.
func prefsXML(tb testing.TB, pairs ...string) []byte {
	var b bytes.Buffer
	b.WriteString("<?xml version='1.0' encoding='utf-8' standalone='yes' ?>\n<map>\n    <int name=\"n\" value=\"1\" />\n")
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, "    <string name=%q>", pairs[i])
		if err := xml.EscapeText(&b, []byte(pairs[i+1])); err != nil {
			tb.Fatal(err)
		}
		b.WriteString("</string>\n")
	}
	b.WriteString("</map>\n")
	return b.Bytes()
}

func androidFixtures(tb testing.TB) []fixture {
	tokens := freeOTPTokens()
	one := func(i int) string { return string(mustJSON(tb, tokens[i])) }
	sealed := sealCBC(pbkdf2.Key([]byte(testPassword), []byte("salt of authy"), 1000, 32, sha1.New), make([]byte, 16), []byte(b32(seed20)))
	mask := func(s string) string {
		m, err := hex.DecodeString(battleNetMask)
		if err != nil {
			tb.Fatal(err)
		}
		b := []byte(s)
		for i := range b {
			b[i] ^= m[i]
		}
		return hex.EncodeToString(b)
	}
	return []fixture{
		{
			name: "FreeOTP 1", format: "FreeOTP 1", want: []string{wantAnna(), wantBank(), wantWiki()}, framed: true,
			data: prefsXML(tb, "a", one(0), "b", one(1), "c", one(2), "tokenOrder", `["c","b","a"]`),
		},
		{
			name: "Authy", format: "Authy", want: []string{wantAnna()}, framed: true,
			data: prefsXML(tb, authyTokens, string(mustJSON(tb, []object{{"digits": 6, "name": "Example: anna@example.org", "originalName": "Example:anna@example.org", "originalIssuer": "Example", "decryptedSecret": b32(seed20)}}))),
		},
		{
			name: "Authy encrypted", format: "Authy", want: []string{wantAnna()}, password: testPassword, framed: true,
			data: prefsXML(tb, authyTokens, string(mustJSON(tb, []object{{"digits": 6, "name": "Example: anna@example.org", "encryptedSecret": b64(sealed), "salt": "salt of authy"}}))),
		},
		{
			name: "TOTP Authenticator on the phone", format: "TOTP Authenticator", want: []string{wantAnna()}, framed: true,
			data: prefsXML(tb, totpAuthenticatorList, totpAuthenticatorJSON(tb)),
		},
		{
			name: "Battle.net", format: "Battle.net", framed: true,
			want: []string{"Battle.net|EU-1234-5678-9012|totp SHA1 8 30 0|" + hex.EncodeToString([]byte(seed20))},
			data: prefsXML(tb, battleNetSecret, mask(hex.EncodeToString([]byte(seed20))), battleNetSerial, mask("EU-1234-5678-9012")),
		},
	}
}

func zipOf(tb testing.TB, files ...string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		if err == nil {
			_, err = f.Write([]byte(files[i+1]))
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// zipAESOf writes an archive with one file, stored, as WinZip's AE-2 has it.
func zipAESOf(tb testing.TB, name string, data []byte, strength byte) []byte {
	size := 8 + 8*int(strength)
	salt := salted(size/2, 7)
	keys := pbkdf2.Key([]byte(testPassword), salt, 1000, 2*size+2, sha1.New)
	block, err := aes.NewCipher(keys[:size])
	if err != nil {
		tb.Fatal(err)
	}
	box := bytes.Clone(data)
	for at := 0; at < len(box); at += 16 {
		var counter [16]byte
		binary.LittleEndian.PutUint64(counter[:], uint64(at/16+1))
		block.Encrypt(counter[:], counter[:])
		for i := at; i < min(at+16, len(box)); i++ {
			box[i] ^= counter[i-at]
		}
	}
	mac := hmac.New(sha1.New, keys[size:2*size])
	mac.Write(box)
	raw := append(append(append(bytes.Clone(salt), keys[2*size:]...), box...), mac.Sum(nil)[:10]...)
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: name, Method: zipAES, Flags: zipEncrypted, CompressedSize64: uint64(len(raw)), UncompressedSize64: uint64(len(data)),
		Extra: []byte{0x01, 0x99, 7, 0, 2, 0, 'A', 'E', strength, 0, 0}}
	f, err := w.CreateRaw(h)
	if err == nil {
		_, err = f.Write(raw)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// zipOldOf writes an archive with one file in the traditional encryption.
func zipOldOf(tb testing.TB, name string, data []byte) []byte {
	sum := crc32.ChecksumIEEE(data)
	plain := append(append(salted(11, 3), byte(sum>>24)), data...)
	keys := oldZipKeys([]byte(testPassword))
	for i, p := range plain {
		plain[i] = p ^ keys.next()
		keys.update(p)
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateRaw(&zip.FileHeader{Name: name, Flags: zipEncrypted, CRC32: sum, CompressedSize64: uint64(len(plain)), UncompressedSize64: uint64(len(data))})
	if err == nil {
		_, err = f.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func archiveFixtures(tb testing.TB) []fixture {
	three := []string{wantAnna(), wantBank(), wantWiki()}
	pux := mustJSON(tb, object{"accounts": []object{{"attrs": object{}, "vaults": []object{{"attrs": object{"name": "Private"}, "items": []object{
		{"state": "active", "favIndex": 1, "overview": object{"title": "Example", "tags": []string{"a"}}, "details": object{
			"loginFields": []object{{"designation": "username", "value": "anna@example.org"}},
			"sections":    []object{{"fields": []object{{"title": "one-time password", "id": "TOTP_1", "value": object{"totp": b32(seed20)}}, {"title": "t", "value": object{"string": "x"}}}}}}},
		{"state": "archived", "overview": object{"title": "x"}, "details": object{"sections": []object{{"fields": []object{{"value": object{"totp": bankURI()}}}}}}},
		{"state": "active", "overview": object{"title": "no code"}, "details": object{}},
	}}}}}})
	return []fixture{
		{name: "1Password's JSON", data: pux, format: "1Password", want: three[:2], framed: true},
		{name: "1pux", data: zipOf(tb, "export.attributes", "{}", "export.data", string(pux), "files/x.txt", annaURI()), format: "1Password", want: three[:2], framed: true},
		{name: "Raivo, AES-256", data: zipAESOf(tb, "raivo-otp-export.json", raivoJSON(tb), 3), format: "Raivo OTP", want: three, password: testPassword, framed: true},
		{name: "Raivo, AES-128", data: zipAESOf(tb, "raivo-otp-export.json", raivoJSON(tb), 1), format: "Raivo OTP", want: three, password: testPassword, framed: true},
		{name: "old encryption", data: zipOldOf(tb, "codes.txt", []byte(annaURI()+"\n"+bankURI()+"\n")), format: "otpauth addresses", want: three[:2], password: testPassword, framed: true},
		{name: "Info-ZIP", data: testdata(tb, "zipcrypto.zip"), format: "Raivo OTP", want: []string{wantAnna(), wantWiki()}, password: testPassword, framed: true},
		{name: "Info-ZIP, streamed", data: testdata(tb, "zipstream.zip"), format: "Raivo OTP", want: []string{wantAnna(), wantWiki()}, password: testPassword, framed: true},
		{name: "7-Zip, AES-256", data: testdata(tb, "zipaes256.zip"), format: "Raivo OTP", want: []string{wantAnna(), wantWiki()}, password: testPassword, framed: true},
		{name: "7-Zip, AES-128", data: testdata(tb, "zipaes128.zip"), format: "Raivo OTP", want: []string{wantAnna(), wantWiki()}, password: testPassword, framed: true},
		{name: "several files", data: zipOf(tb, "readme.html", "<html></html>", "a.txt", annaURI(), "b/b.txt", bankURI()), format: "otpauth addresses", want: three[:2], framed: true},
	}
}

// drawCodes paints QR codes beside each other.
func drawCodes(tb testing.TB, texts ...string) []byte {
	const scale, quiet = 4, 6
	x, pictures := 0, [][]image.Rectangle{}
	width, height := 200, 200
	for _, t := range texts {
		code, err := encoder.Encoder_encode(t, decoder.ErrorCorrectionLevel_M, nil)
		if err != nil {
			tb.Fatal(err)
		}
		m := code.GetMatrix()
		var dark []image.Rectangle
		for cy := range m.GetHeight() {
			for cx := range m.GetWidth() {
				if m.Get(cx, cy) == 1 {
					px, py := (x+quiet+cx)*scale, (quiet+cy)*scale
					dark = append(dark, image.Rect(px, py, px+scale, py+scale))
				}
			}
		}
		x += m.GetWidth() + 2*quiet
		width, height = x*scale, max(height, (m.GetHeight()+2*quiet)*scale)
		pictures = append(pictures, dark)
	}
	img := image.NewGray(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	for _, dark := range pictures {
		for _, r := range dark {
			for py := r.Min.Y; py < r.Max.Y; py++ {
				for px := r.Min.X; px < r.Max.X; px++ {
					img.SetGray(px, py, color.Gray{})
				}
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func pictureFixtures(tb testing.TB) []fixture {
	return []fixture{
		{name: "one code", data: drawCodes(tb, annaURI()), format: "picture of QR codes", want: []string{wantAnna()}},
		{name: "several codes", data: drawCodes(tb, annaURI(), bankURI(), wikiURI()), format: "picture of QR codes", want: []string{wantAnna(), wantBank(), wantWiki()}},
		{
			name: "parts of Google's export", format: "picture of QR codes", want: []string{wantAnna(), wantWiki()},
			data: drawCodes(tb, migrationURI(2, 0, 9, migrated("Example", "anna@example.org", seed20, 1, 1, 2, 0)),
				migrationURI(2, 1, 9, migrated("Wiki", "Wiki:bo", seed20, 3, 3, 1, 9007199254740993))),
		},
	}
}

func databaseFixtures(tb testing.TB) []fixture {
	google := []string{wantAnna(), "Wiki|bo|hotp SHA1 6 0 9007199254740993|" + hex.EncodeToString([]byte(seed20))}
	for i := range 30 {
		google = append(google, fmt.Sprintf("|user %d|totp SHA1 6 30 0|%x", i, seed20))
	}
	return []fixture{
		{name: "Google's database", data: testdata(tb, "google.sqlite"), format: "Google Authenticator", want: google, framed: true},
		{
			name: "Microsoft's database", data: testdata(tb, "microsoft.sqlite"), format: "Microsoft Authenticator", framed: true, skips: 2,
			want: []string{wantAnna(), "Bank & Söhne|konto 7|totp SHA1 6 30 0|" + hex.EncodeToString([]byte(seed32)), "Microsoft|me@example.org|totp SHA1 8 30 0|" + hex.EncodeToString([]byte(seed20))},
		},
		{name: "Stratum's database", data: testdata(tb, "stratum.sqlite"), format: "Stratum", want: []string{wantBank(), wantSteam()}, framed: true},
	}
}
