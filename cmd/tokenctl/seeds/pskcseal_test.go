package seeds

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"slices"
	"strings"
	"testing"
)

const (
	xenc    = "http://www.w3.org/2001/04/xmlenc#"
	hmacSHA = "http://www.w3.org/2000/09/xmldsig#hmac-sha1"
)

// The values of RFC 6030, figures 6 and 7.
const (
	figure6MACKey = "ESIzRFVmd4iZABEiM0RVZgKn6WjLaTC1sbeBMSvIhRejN9vJa2BOlSaMrR7I5wSX"
	figure6Value  = "AAECAwQFBgcICQoLDA0OD+cIHItlB3Wra1DUpxVvOx2lef1VmNPCMl8jwZqIUqGv"
	figure6MAC    = "Su+NvtQfmvfJzF6bmQiJqoLRExc="
	figure7MACKey = "2GTTnLwM3I4e5IO5FkufoOEiOhNj91fhKRQBtBJYluUDsPOLTfUvoU2dStyOwYZx"
	figure7Value  = "oTvo+S22nsmS2Z/RtcoF8Hfh+jzMe0RkiafpoDpnoZTjPYZu6V+A4aEn032yCr4f"
	figure7MAC    = "LP6xMvjtypbfT9PdkJhBZ+D6O4w="
)

func preShared() string {
	return "<EncryptionKey><ds:KeyName>Pre-shared-key</ds:KeyName></EncryptionKey>"
}

func passphrase(salt, rounds, length, prf string) string {
	return "<EncryptionKey><y:DerivedKey xmlns:y=\"http://www.w3.org/2009/xmlenc11#\"><y:KeyDerivationMethod Algorithm=\"http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#pbkdf2\">" +
		"<y:PBKDF2-params><Salt><Specified>" + salt + "</Specified></Salt><IterationCount>" + rounds + "</IterationCount>" + length + prf + "</y:PBKDF2-params>" +
		"</y:KeyDerivationMethod><y:MasterKeyName>My Password 1</y:MasterKeyName></y:DerivedKey></EncryptionKey>"
}

func macMethod(algorithm, key string) string {
	if key != "" {
		key = "<MACKey>" + key + "</MACKey>"
	}
	return "<MACMethod Algorithm=\"" + algorithm + "\">" + key + "</MACMethod>"
}

func ciphered(uri, value string) string {
	return "<xenc:EncryptionMethod Algorithm=\"" + uri + "\"/><xenc:CipherData><xenc:CipherValue>" + value + "</xenc:CipherValue></xenc:CipherData>"
}

func encrypted(name, uri, value, mac string) string {
	if mac != "" {
		mac = "<ValueMAC>" + mac + "</ValueMAC>"
	}
	return "<" + name + "><EncryptedValue>" + ciphered(uri, value) + "</EncryptedValue>" + mac + "</" + name + ">"
}

func sealedKey(serial, data string) string { return pskcKey(serial, pskcURI+"hotp", six(), data, "") }

// figure6 is a file with the values of RFC 6030's figure 6 and a MAC of the test's.
func figure6(mac string) string {
	return pskcFile(preShared(), macMethod(hmacSHA, ciphered(xenc+"aes128-cbc", figure6MACKey)), sealedKey("1", encrypted("Secret", xenc+"aes128-cbc", figure6Value, mac)))
}

func sealedFixtures() []fixture {
	good := encrypted("Secret", xenc+"aes128-cbc", figure6Value, figure6MAC)
	wrong := encrypted("Secret", xenc+"aes128-cbc", figure6Value, "AAAAvtQfmvfJzF6bmQiJqoLRExc=")
	macKey := macMethod(hmacSHA, ciphered(xenc+"aes128-cbc", figure6MACKey))
	row := func(serial string) string { return serial + " hotp SHA1 6 0 0 " + hx(seed20) + " oath.XX/c1" }
	return []fixture{
		{name: "PSKC, figure 6", format: "PSKC", data: figure6(figure6MAC), key: testKey, want: []string{row("1")}},
		{
			name: "PSKC, figure 7", format: "PSKC", key: "qwerty",
			data: pskcFile(passphrase("Ej7/PEpyEpw=", "1000", "<KeyLength>16</KeyLength>", "<PRF/>"), macMethod(hmacSHA, ciphered(xenc+"aes128-cbc", figure7MACKey)),
				sealedKey("1", encrypted("Secret", xenc+"aes128-cbc", figure7Value, figure7MAC))),
			want: []string{row("1")},
		},
		{name: "PSKC, wrong key", format: "PSKC", data: figure6(figure6MAC), key: "22345678901234567890123456789012", kind: WrongKey},
		{name: "PSKC, a key that does not fit", format: "PSKC", data: figure6(figure6MAC), key: "1234", kind: WrongKey},
		{name: "PSKC, no key", format: "PSKC", data: figure6(figure6MAC), kind: KeyNeeded},
		{
			name: "PSKC, the only value changed", format: "PSKC", key: testKey, data: figure6("AAAAvtQfmvfJzF6bmQiJqoLRExc="),
			skips: []string{"line 5|1|Secret|its MAC does not match"},
		},
		{
			name: "PSKC, some values changed", format: "PSKC", key: testKey,
			data:  pskcFile(preShared(), macKey, sealedKey("1", wrong), sealedKey("2", good), sealedKey("3", wrong)),
			want:  []string{row("2")},
			skips: []string{"line 5|1|Secret|its MAC does not match", "line 7|3|Secret|its MAC does not match"},
		},
		{
			name: "PSKC, no MAC", format: "PSKC", key: testKey, data: figure6(""),
			skips: []string{"line 5|1|Secret|its encrypted value has no MAC"},
		},
		{
			name: "PSKC, no method for the MAC", format: "PSKC", key: testKey, data: pskcFile(preShared(), sealedKey("1", good)),
			skips: []string{"line 4|1|Secret|its MAC cannot be checked: the file names no method"},
		},
		{
			name: "PSKC, an unknown MAC", format: "PSKC", key: testKey, data: pskcFile(preShared(), macMethod("urn:x#zha9", ""), sealedKey("1", good)),
			skips: []string{"line 5|1|Secret|its MAC cannot be checked: zha9 is not supported"},
		},
		{
			name: "PSKC, a MAC key elsewhere", format: "PSKC", key: testKey,
			data:  pskcFile(preShared(), "<MACMethod Algorithm=\""+hmacSHA+"\"><MACKeyReference>agreed</MACKeyReference></MACMethod>", sealedKey("1", good)),
			skips: []string{"line 5|1|MACKeyReference|its MAC cannot be checked"},
		},
		{
			name: "PSKC, a certificate", format: "PSKC",
			data:  pskcFile("<EncryptionKey><ds:X509Data/></EncryptionKey>", sealedKey("1", encrypted("Secret", xenc+"rsa_1_5", figure6Value, ""))),
			skips: []string{"line 4|1|Secret|its value is encrypted to a certificate"},
		},
		{
			name: "PSKC, an unknown cipher", format: "PSKC",
			data:  pskcFile(preShared(), sealedKey("1", encrypted("Secret", "http://www.w3.org/2001/04/xmldsig-more#camellia128-cbc", figure6Value, figure6MAC))),
			skips: []string{"line 4|1|Secret|its value is encrypted with camellia128-cbc"},
		},
		{
			name: "PSKC, a passphrase that takes years", format: "PSKC", key: "qwerty", kind: TooCostly,
			data: pskcFile(passphrase("Ej7/PEpyEpw=", "1000000000", "", ""), macKey, sealedKey("1", good)),
		},
		{
			name: "PSKC, a passphrase without salt", format: "PSKC", key: "qwerty", kind: Damaged,
			data: pskcFile(passphrase("", "1000", "", ""), macKey, sealedKey("1", good)),
		},
	}
}

// sealer encrypts for the tests, each way of RFC 6030 by its own specification.
type sealer struct {
	uri  string
	size int
	seal func(t *testing.T, key, plain []byte) []byte
	// multiple is what the length of the plain text must be a multiple of.
	multiple int
}

func sealers() []sealer {
	aesCBC := func(t *testing.T, key, plain []byte) []byte { return sealCBC(t, must(aes.NewCipher(key)), plain) }
	return []sealer{
		{xenc + "aes128-cbc", 16, aesCBC, 1}, {xenc + "aes192-cbc", 24, aesCBC, 1}, {xenc + "aes256-cbc", 32, aesCBC, 1},
		{xenc + "tripledes-cbc", 24, func(t *testing.T, key, plain []byte) []byte {
			return sealCBC(t, must(des.NewTripleDESCipher(key)), plain)
		}, 1},
		{xenc + "kw-aes128", 16, wrapAES, 8}, {xenc + "kw-aes192", 24, wrapAES, 8}, {xenc + "kw-aes256", 32, wrapAES, 8},
		{"http://www.w3.org/2009/xmlenc11#kw-aes-128-pad", 16, wrapAESPadded, 1}, {"http://www.w3.org/2009/xmlenc11#kw-aes-192-pad", 24, wrapAESPadded, 1}, {"http://www.w3.org/2009/xmlenc11#kw-aes-256-pad", 32, wrapAESPadded, 1},
		{xenc + "kw-tripledes", 24, wrap3DES, 8},
		{"http://www.w3.org/2009/xmlenc11#aes256-gcm", 32, func(_ *testing.T, key, plain []byte) []byte {
			nonce := []byte("twelve bytes")
			return must(cipher.NewGCM(must(aes.NewCipher(key)))).Seal(nonce, nonce, plain, nil)
		}, 1},
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func sealCBC(t *testing.T, block cipher.Block, plain []byte) []byte {
	t.Helper()
	n := block.BlockSize()
	pad := n - len(plain)%n
	padded := append(slices.Clone(plain), bytes.Repeat([]byte{0xee}, pad)...) // XML Encryption allows any filling
	padded[len(padded)-1] = byte(pad)
	iv := bytes.Repeat([]byte{7}, n)
	out := make([]byte, len(padded))
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, padded)
	return append(iv, out...)
}

func wrapRounds(key, check, plain []byte) []byte {
	block := must(aes.NewCipher(key))
	a, r := slices.Clone(check), slices.Clone(plain)
	n := len(r) / 8
	for j := range 6 {
		for i := 1; i <= n; i++ {
			buf := append(slices.Clone(a), r[(i-1)*8:i*8]...)
			block.Encrypt(buf, buf)
			binary.BigEndian.PutUint64(a, binary.BigEndian.Uint64(buf)^uint64(n*j+i))
			copy(r[(i-1)*8:], buf[8:])
		}
	}
	return append(a, r...)
}

func wrapAES(_ *testing.T, key, plain []byte) []byte {
	return wrapRounds(key, bytes.Repeat([]byte{0xa6}, 8), plain)
}

func wrapAESPadded(_ *testing.T, key, plain []byte) []byte {
	check := binary.BigEndian.AppendUint32([]byte{0xa6, 0x59, 0x59, 0xa6}, uint32(len(plain)))
	padded := append(slices.Clone(plain), make([]byte, (8-len(plain)%8)%8)...)
	if len(padded) == 8 {
		out := append(check, padded...)
		must(aes.NewCipher(key)).Encrypt(out, out)
		return out
	}
	return wrapRounds(key, check, padded)
}

func wrap3DES(t *testing.T, key, plain []byte) []byte {
	return wrap3DESWith(key, plain, []byte{1, 2, 3, 4, 5, 6, 7, 8})
}

func wrap3DESWith(key, plain, iv []byte) []byte {
	block := must(des.NewTripleDESCipher(key))
	sum := sha1.Sum(plain)
	inner := append(slices.Clone(plain), sum[:8]...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(inner, inner)
	outer := append(slices.Clone(iv), inner...)
	slices.Reverse(outer)
	cipher.NewCBCEncrypter(block, []byte{0x4a, 0xdd, 0xa2, 0x2c, 0x79, 0xe8, 0x21, 0x05}).CryptBlocks(outer, outer)
	return outer
}

// TestCiphers: every cipher opens what was sealed with it, with every MAC, the key
// given as bytes, in hexadecimal and in base64; not with another key, and not when a
// bit is turned.
func TestCiphers(t *testing.T) {
	macs := []string{hmacSHA, "http://www.w3.org/2001/04/xmldsig-more#hmac-sha224", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha384", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha512"}
	for _, s := range sealers() {
		key := []byte("0a1b2c3d4e5f6g7h8i9jAkBlCmDnEoFp"[:s.size])
		plain := []byte(seed20)
		if len(plain)%s.multiple != 0 {
			plain = []byte(seed32)
		}
		macKey := bytes.Repeat([]byte{0x5a}, 24)
		value := s.seal(t, key, plain)
		for _, m := range macs {
			file := func(value []byte) string {
				sum := base64.StdEncoding.EncodeToString(mac(macOf(m), macKey, s.seal(t, key, plain)))
				return pskcFile(preShared(), macMethod(m, ciphered(s.uri, base64.StdEncoding.EncodeToString(s.seal(t, key, macKey)))),
					sealedKey("1", encrypted("Secret", s.uri, base64.StdEncoding.EncodeToString(value), sum)))
			}
			for _, typed := range []string{string(key), hex.EncodeToString(key), "hex:" + hex.EncodeToString(key) + "\n", base64.StdEncoding.EncodeToString(key) + "\r\n"} {
				r, err := readAll(t.Context(), []byte(file(value)), with(typed))
				if err != nil || len(r.rows) != 1 || string(r.rows[0].Secret) != string(plain) {
					t.Errorf("%s, %s: %v, %+v", s.uri, m, err, r.skips)
				}
			}
			other := slices.Clone(key)
			other[3] ^= 0x10
			if r, err := readAll(t.Context(), []byte(file(value)), with(string(other))); KindOf(err) != WrongKey || len(r.rows) != 0 {
				t.Errorf("%s, %s: with another key: %v", s.uri, m, err)
			}
			for i := range value {
				turned := slices.Clone(value)
				turned[i] ^= 4
				if r, _ := readAll(t.Context(), []byte(file(turned)), with(string(key))); len(r.rows) != 0 {
					t.Errorf("%s, %s: byte %d was changed, and nobody saw it", s.uri, m, i)
				}
			}
		}
	}
}

// TestWithoutMAC: key wrap needs no MAC, since it sees changes itself.
func TestWithoutMAC(t *testing.T) {
	for _, s := range sealers() {
		key := []byte("0a1b2c3d4e5f6g7h8i9jAkBlCmDnEoFp"[:s.size])
		value := base64.StdEncoding.EncodeToString(s.seal(t, key, []byte(seed32)))
		r, err := readAll(t.Context(), []byte(pskcFile(preShared(), sealedKey("1", encrypted("Secret", s.uri, value, "")))), with(string(key)))
		if bare := strings.HasSuffix(s.uri, "-cbc"); err != nil || (len(r.rows) == 0) != bare {
			t.Errorf("%s: %v, %d rows, %+v", s.uri, err, len(r.rows), r.skips)
		}
	}
}

// TestNoMACKey: without a key of its own, the MAC is made with the key of the values;
// a MAC of the plain text, as drafts have it, is taken with a warning; counters are
// decrypted too.
func TestNoMACKey(t *testing.T) {
	key := []byte("0a1b2c3d4e5f6g7h")
	seal := func(name string, plain []byte, overPlain bool) string {
		value := sealCBC(t, must(aes.NewCipher(key)), plain)
		over := value
		if overPlain {
			over = plain
		}
		return encrypted(name, xenc+"aes128-cbc", base64.StdEncoding.EncodeToString(value), base64.StdEncoding.EncodeToString(mac(sha256.New, key, over)))
	}
	data := pskcFile(preShared(), macMethod("http://www.w3.org/2001/04/xmldsig-more#hmac-sha256", ""),
		sealedKey("1", seal("Secret", []byte(seed20), false)+seal("Counter", []byte("9007199254740993"), false)),
		sealedKey("2", seal("Secret", []byte(seed20), true)+seal("Counter", []byte{0x20, 0, 0, 0, 0, 0, 1}, true)))
	r, err := readAll(t.Context(), []byte(data), with(string(key)))
	if err != nil || len(r.rows) != 2 {
		t.Fatalf("%v, %+v", err, r.skips)
	}
	if r.rows[0].Counter != 9007199254740993 || r.rows[1].Counter != 9007199254740993 {
		t.Errorf("counters %d and %d", r.rows[0].Counter, r.rows[1].Counter)
	}
	if len(r.rows[0].Warnings) != 0 || !strings.Contains(strings.Join(r.rows[1].Warnings, "|"), "MAC is of the plain value") {
		t.Errorf("%q and %q", r.rows[0].Warnings, r.rows[1].Warnings)
	}
}

// TestEarlyDraft: the form in which the IV stands in the head of the file, the values
// without it, and the MAC is of the plain text.
func TestEarlyDraft(t *testing.T) {
	key := []byte("0a1b2c3d4e5f6g7h")
	whole := sealCBC(t, must(aes.NewCipher(key)), []byte(seed20))
	enc := base64.StdEncoding.EncodeToString
	data := "<KeyContainer xmlns=\"urn:ietf:params:xml:ns:keyprov:container:1.0\" version=\"1.0\"><EncryptionMethod Algorithm=\"" + xenc + "aes128-cbc\"><IV>" + enc(whole[:16]) + "</IV></EncryptionMethod>" +
		"<DigestMethod Algorithm=\"" + hmacSHA + "\"/><Device><DeviceId><Manufacturer>oath.XX</Manufacturer><SerialNo>1</SerialNo></DeviceId><Key KeyAlgorithm=\"http://www.ietf.org/keyprov/pskc#hotp\" KeyId=\"1\">" +
		"<Usage OTP=\"true\"><ResponseFormat Format=\"DECIMAL\" Length=\"8\"/></Usage><Data Name=\"SECRET\"><Value>" + enc(whole[16:]) + "</Value><ValueDigest>" + enc(mac(sha1.New, key, []byte(seed20))) + "</ValueDigest></Data>" +
		"<Data Name=\"COUNTER\"><Value>AAAAAAAAACo=</Value></Data></Key></Device></KeyContainer>"
	r, err := readAll(t.Context(), []byte(data), with(string(key)))
	if err != nil || len(r.rows) != 1 || show(r.rows[0]) != "1 hotp SHA1 8 0 42 "+hx(seed20)+" oath.XX/" {
		t.Errorf("%v, %+v, %+v", err, r.rows, r.skips)
	}
}

// TestPassphrase: every pseudo-random function, and a passphrase that ends with its
// line.
func TestPassphrase(t *testing.T) {
	for prf, h := range map[string]func() hash.Hash{"": sha1.New, hmacSHA: sha1.New, "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256": sha256.New, "urn:x#hmacWithSHA256": sha256.New} {
		key := must(pbkdf2.Key(h, "grüße", []byte("saltsalt"), 1234, 32))
		value := sealCBC(t, must(aes.NewCipher(key)), []byte(seed20))
		enc := base64.StdEncoding.EncodeToString
		name := ""
		if prf != "" {
			name = "<PRF Algorithm=\"" + prf + "\"/>"
		}
		data := pskcFile(passphrase(b64("saltsalt"), "1234", "", name), macMethod(hmacSHA, ""), sealedKey("1", encrypted("Secret", xenc+"aes256-cbc", enc(value), enc(mac(sha1.New, key, value)))))
		r, err := readAll(t.Context(), []byte(data), with("grüße\r\n"))
		if err != nil || len(r.rows) != 1 {
			t.Errorf("%q: %v, %+v", prf, err, r.skips)
		}
		if _, err := readAll(t.Context(), []byte(data), with("gruesse")); KindOf(err) != WrongKey {
			t.Errorf("%q: %v", prf, err)
		}
	}
}

// TestWrongKeyIsSeenSoon: of a long file, a wrong key is not tried on every value;
// and it is asked for once.
func TestWrongKeyIsSeenSoon(t *testing.T) {
	var packs []string
	for range 1000 {
		packs = append(packs, sealedKey("1", encrypted("Secret", xenc+"kw-aes128", b64(seed32+"12345678"), "")))
	}
	asked := 0
	skips := 0
	_, err := Read(t.Context(), []byte(pskcFile(append([]string{preShared()}, packs...)...)), Options{Key: func(_ context.Context, q Question) ([]byte, error) {
		asked++
		if q.Passphrase || q.Name != "Pre-shared-key" || q.Format != "PSKC" {
			t.Errorf("asked %+v", q)
		}
		return []byte("0a1b2c3d4e5f6g7h"), nil
	}}, Sink{Skip: func(Skip) error { skips++; return nil }})
	if KindOf(err) != WrongKey || asked != 1 || skips != 0 {
		t.Errorf("%v, asked %d times, %d skips", err, asked, skips)
	}
	no := errors.New("he went away")
	if _, err := Read(t.Context(), []byte(figure6(figure6MAC)), Options{Key: func(context.Context, Question) ([]byte, error) { return nil, no }}, Sink{}); !errors.Is(err, no) {
		t.Errorf("%v", err)
	}
}

// TestKeyWrapVectors: the examples of RFC 3394, RFC 5649 and RFC 3217.
func TestKeyWrapVectors(t *testing.T) {
	type unwrap = func(key, iv, value []byte) ([]byte, bool, error)
	for name, x := range map[string]struct {
		open              unwrap
		key, plain, value string
	}{
		"RFC 3394, 4.1":        {unwrapAES, "000102030405060708090a0b0c0d0e0f", "00112233445566778899aabbccddeeff", "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"},
		"RFC 3394, 4.6":        {unwrapAES, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f", "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"},
		"RFC 5649, 20 octets":  {unwrapAESPadded, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", "c37b7e6492584340bed12207808941155068f738", "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"},
		"RFC 5649, 7 octets":   {unwrapAESPadded, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", "466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"},
		"RFC 3217, triple DES": {unwrap3DES, "255e0d1c07b646dfb3134cc843ba8aa71f025b7c0838251f", "2923bf85e06dd6ae529149f1f1bae9eab3a7da3d860d3e98", "690107618ef092b3b48ca1796b234ae9fa33ebb4159604037db5d6a84eb3aac2768c632775a467d4"},
	} {
		value := must(hex.DecodeString(x.value))
		plain, certain, err := x.open(must(hex.DecodeString(x.key)), nil, value)
		if err != nil || !certain || hex.EncodeToString(plain) != x.plain {
			t.Errorf("%s: %x, %v", name, plain, err)
		}
		for i := range value {
			value[i] ^= 1
			if _, _, err := x.open(must(hex.DecodeString(x.key)), nil, value); err == nil {
				t.Errorf("%s: byte %d was changed, and nobody saw it", name, i)
			}
			value[i] ^= 1
		}
		for n := range value {
			if _, _, err := x.open(must(hex.DecodeString(x.key)), nil, value[:n]); err == nil {
				t.Errorf("%s: cut to %d bytes, and nobody saw it", name, n)
			}
		}
	}
}
