package seeds

import (
	"errors"
	"strings"
	"testing"
)

// container writes a PSKC file of its packages.
func pskcFile(inside ...string) string {
	return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<KeyContainer Version=\"1.0\" xmlns=\"urn:ietf:params:xml:ns:keyprov:pskc\"" +
		" xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" xmlns:xenc=\"http://www.w3.org/2001/04/xmlenc#\">\n" + strings.Join(inside, "\n") + "\n</KeyContainer>\n"
}

const pskcURI = "urn:ietf:params:xml:ns:keyprov:pskc:"

// pskcKey writes a package in one line.
func pskcKey(serial, algorithm, parameters, data, rest string) string {
	return "<KeyPackage><DeviceInfo><Manufacturer>oath.XX</Manufacturer><SerialNo>" + serial + "</SerialNo><Model>c1</Model></DeviceInfo>" +
		"<Key Id=\"k" + serial + "\" Algorithm=\"" + algorithm + "\"><AlgorithmParameters>" + parameters + "</AlgorithmParameters><Data>" + data + "</Data>" + rest + "</Key></KeyPackage>"
}

func plain(name, value string) string {
	return "<" + name + "><PlainValue>" + value + "</PlainValue></" + name + ">"
}

func six() string { return "<ResponseFormat Length=\"6\" Encoding=\"DECIMAL\"/>" }

func secret20() string { return plain("Secret", " "+b64(seed20)+" ") }

func pskcFixtures() []fixture {
	hotp := func(serial, rest string) string {
		return pskcKey(serial, pskcURI+"hotp", six(), secret20()+plain("Counter", "0"), rest)
	}
	count := func(serial, counter string) string {
		return pskcKey(serial, pskcURI+"hotp", six(), secret20()+plain("Counter", counter), "")
	}
	policy := func(s string) string { return "<Policy>" + s + "</Policy>" }
	row := func(serial string) string { return serial + " hotp SHA1 6 0 0 " + hx(seed20) + " oath.XX/c1" }
	return []fixture{
		{
			name: "PSKC", format: "PSKC",
			data: pskcFile(
				hotp("1", "<UserId>UID=jsmith,DC=example-bank,DC=net</UserId>"),
				pskcKey("2", pskcURI+"totp", "<Suite>HMAC-SHA256</Suite><ResponseFormat Length=\"8\" Encoding=\"DECIMAL\"/>",
					plain("Secret", b64(seed32))+plain("Time", "0")+plain("TimeInterval", "60")+plain("TimeDrift", "-4"), policy("<StartDate>2026-05-01T00:00:00Z</StartDate><ExpiryDate>2031-05-31T00:00:00+02:00</ExpiryDate><KeyUsage>OTP</KeyUsage>")),
				pskcKey("3", "urn:ietf:params:xml:ns:keyprov:pskc#totp", six(), plain("Secret", "\n  "+b64(seed20)[:12]+"\n\t"+b64(seed20)[12:]+"\n"), ""),
				pskcKey("4", "http://www.ietf.org/keyprov/pskc#hotp", "", secret20(), policy("<PINPolicy MinLength=\"4\" PINKeyId=\"x\" PINEncoding=\"DECIMAL\" PINUsageMode=\"Local\"/>")),
				count("5", "9007199254740993"),
				count("6", "18446744073709551615"),
				count("7", "NzA5Nzkx"),
				count("8", "AAAAADHwRgM="),
				pskcKey("9", "http://www.yubico.com/#yubikey-aes", "<ResponseFormat Length=\"44\" Encoding=\"ALPHANUMERIC\"/>", plain("Secret", "AAECAwQFBgcICQoLDA0ODw=="), "<UserId>CN=cccccccccdbe, UID=010203040506</UserId>"),
				"<Device><DeviceInfo><SerialNo>10</SerialNo></DeviceInfo><Key KeyId=\"a\" KeyAlgorithm=\"HOTP\"><Usage OTP=\"true\"><ResponseFormat Format=\"DECIMAL\" Length=\"7\"/></Usage>"+
					"<Data Name=\"SECRET\"><Value>"+b64(seed20)+"</Value></Data><Data Name=\"COUNTER\"><Value>AAAAAAAAACo=</Value></Data></Key></Device>",
				"<KeyPackage><Key Id=\"11\" Algorithm=\""+pskcURI+"hotp\"><Data>"+secret20()+"</Data></Key></KeyPackage>",
			),
			want: []string{
				row("1") + " UID=jsmith,DC=example-bank,DC=net",
				"2 totp SHA256 8 60 0 " + hx(seed32) + " drift -4 oath.XX/c1 2026-05-01..2031-05-30",
				"3 totp SHA1 6 30 0 " + hx(seed20) + " oath.XX/c1",
				row("4"),
				"5 hotp SHA1 6 0 9007199254740993 " + hx(seed20) + " oath.XX/c1",
				"6 hotp SHA1 6 0 18446744073709551615 " + hx(seed20) + " oath.XX/c1",
				"7 hotp SHA1 6 0 709791 " + hx(seed20) + " oath.XX/c1",
				"8 hotp SHA1 6 0 837830147 " + hx(seed20) + " oath.XX/c1",
				"9 yubico  0 0 0 000102030405060708090a0b0c0d0e0f 000000000213 010203040506 oath.XX/c1",
				"10 hotp SHA1 7 0 42 " + hx(seed20),
				"11 hotp SHA1 6 0 0 " + hx(seed20),
			},
		},
		{
			name: "PSKC, what must not be used", format: "PSKC",
			data: pskcFile(
				hotp("1", policy("<KeyUsage>CR</KeyUsage>")),
				hotp("2", policy("<OnMoonlitNights/>")),
				hotp("3", policy("<x:StartDate xmlns:x=\"urn:x\">2026-05-01T00:00:00Z</x:StartDate>")),
				hotp("4", policy("<NumberOfTransactions>10</NumberOfTransactions>")),
				hotp("5", policy("<PINPolicy PINUsageMode=\"Prepend\"/>")),
				hotp("6", policy("<PINPolicy PINUsageMode=\"Local\" OnWeekDaysOnly=\"true\"/>")),
				hotp("7", policy("<PINPolicy><Foo/></PINPolicy>")),
				hotp("8", policy("<ExpiryDate>soon</ExpiryDate>")),
				hotp("9", policy("<StartDate>2026-05-01T00:00:00Z</StartDate><ExpiryDate>2025-05-01T00:00:00Z</ExpiryDate>")),
				pskcKey("10", pskcURI+"pin", "", plain("Secret", "MTIzNA=="), ""),
				pskcKey("11", pskcURI+"ocra", "<Suite>OCRA-1:HOTP-SHA1-6:QN08</Suite>", secret20(), ""),
				pskcKey("12", "urn:ietf:params:xml:ns:keyprov:pskc#OCRA-1:HOTP-SHA512-8:C-QN08", "", secret20(), ""),
				pskcKey("13", pskcURI+"securid-aes", "", secret20(), ""),
				pskcKey("14", "", "", secret20(), ""),
				pskcKey("15", pskcURI+"hotp", "<ResponseFormat Length=\"6\" Encoding=\"HEXADECIMAL\"/>", secret20(), ""),
				pskcKey("16", pskcURI+"hotp", "<ResponseFormat Length=\"6\" Encoding=\"DECIMAL\" CheckDigits=\"true\"/>", secret20(), ""),
				pskcKey("17", pskcURI+"hotp", "<ResponseFormat Length=\"10\" Encoding=\"DECIMAL\"/>", secret20(), ""),
				pskcKey("18", pskcURI+"hotp", "<Suite>HMAC-SHA384</Suite>"+six(), secret20(), ""),
				pskcKey("19", pskcURI+"hotp", six(), plain("Secret", "MTIzNA=="), ""),
				pskcKey("20", pskcURI+"hotp", six(), plain("Secret", "q7!q7!q7"), ""),
				pskcKey("21", pskcURI+"hotp", six(), "<Secret/>", ""),
				pskcKey("22", pskcURI+"hotp", six(), "", "<KeyReference>MasterKeyLabel</KeyReference>"),
				count("23", "18446744073709551616"),
				pskcKey("24", pskcURI+"totp", six(), secret20()+plain("TimeInterval", "172800"), ""),
				hotp("25", ""), hotp("25", policy("<KeyUsage>OTP</KeyUsage><KeyUsage>CR</KeyUsage>")),
			),
			want: []string{row("25")},
			skips: []string{
				"line 3|1|KeyUsage|its policy does not allow", "line 4|2|Policy|its policy has an element that is not known (OnMoonlitNights)", "line 5|3|Policy|its policy has an element that is not known (StartDate)",
				"line 6|4|Policy|its policy bounds how often", "line 7|5|PINPolicy|its passcodes are sent together with a PIN (Prepend)", "line 8|6|PINPolicy|its policy has an attribute that is not known",
				"line 9|7|PINPolicy|its policy has an element", "line 10|8|ExpiryDate|it is no date", "line 11|9|expiry|it expires before", "line 12|10|Algorithm|it is the PIN of a fob",
				"line 13|11|Algorithm|it is a key for challenge and response", "line 14|12|Algorithm|it is a key for challenge and response", "line 15|13|Algorithm|its algorithm is securid-aes",
				"line 16|14|Algorithm|it does not name", "line 17|15|ResponseFormat|its passcodes are not decimal but HEXADECIMAL", "line 18|16|ResponseFormat|its passcodes end in a check digit",
				"line 19|17|digits|its passcodes have 10 digits", "line 20|18|algorithm|its hash is not", "line 21|19|secret|its seed has only 4 bytes", "line 22|20|Secret|its value is not base64",
				"line 23|21|Secret|it has no value", "line 24|22|Secret|its seed is not in the file", "line 25|23|Counter|it is no whole number", "line 26|24|period|its period is 172800 seconds",
				"line 28|25|serial|its serial number is that of line 27",
			},
		},
		{
			name: "PSKC, a prefix of its own", format: "PSKC",
			data: "<q:KeyContainer Version=\"1.0\" xmlns:q=\"urn:ietf:params:xml:ns:keyprov:pskc\"><q:KeyPackage><q:DeviceInfo><q:SerialNo>1</q:SerialNo></q:DeviceInfo>" +
				"<q:Key Id=\"1\" Algorithm=\"" + pskcURI + "hotp\"><q:Data><q:Secret><q:PlainValue>" + b64(seed20) + "</q:PlainValue></q:Secret></q:Data><q:Policy><q:KeyUsage>OTP</q:KeyUsage></q:Policy></q:Key></q:KeyPackage></q:KeyContainer>",
			want: []string{"1 hotp SHA1 6 0 0 " + hx(seed20)},
		},
		{
			name: "PSKC with a document type", format: "PSKC", kind: Unsafe,
			data: "<?xml version=\"1.0\"?>\n<!DOCTYPE KeyContainer [ <!ENTITY x SYSTEM \"file:///etc/hostname\"> ]>\n<KeyContainer Version=\"1.0\"><KeyPackage>&x;</KeyPackage></KeyContainer>",
		},
		{
			name: "PSKC with an entity", format: "PSKC", kind: Damaged,
			data: pskcFile("<KeyPackage><DeviceInfo><SerialNo>&x;</SerialNo></DeviceInfo></KeyPackage>"),
		},
		{name: "PSKC of another version", format: "PSKC", kind: NewerVersion, data: "<KeyContainer Version=\"2.0\"></KeyContainer>"},
		{name: "PSKC without keys", format: "PSKC", kind: NoFobs, data: pskcFile("<KeyPackage/>")},
		{
			name: "PSKC, nested without end", format: "PSKC", kind: TooLarge,
			data: pskcFile("<KeyPackage>" + strings.Repeat("<a>", 40) + strings.Repeat("</a>", 40) + "</KeyPackage>"),
		},
		{
			name: "PSKC, endless", format: "PSKC", kind: TooLarge,
			data: pskcFile("<KeyPackage>" + strings.Repeat("<a/>", maxElements) + "</KeyPackage>"),
		},
	}
}

// TestSignature: a signature that was not checked is spoken of.
func TestSignature(t *testing.T) {
	data := pskcFile(pskcKey("1", pskcURI+"hotp", six(), secret20(), ""), "<ds:Signature><ds:SignedInfo/></ds:Signature>")
	r, err := readAll(t.Context(), []byte(data), Options{})
	if err != nil || len(r.rows) != 1 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "signature was not checked") {
		t.Errorf("%v, %q", err, r.Notes)
	}
}

// TestFirstCode: with the seed and digits of a row, a fob's first passcode is that of
// RFC 4226, appendix D.
func TestFirstCode(t *testing.T) {
	r, err := readAll(t.Context(), []byte(pskcFixtures()[0].data), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := codeOf(t, r.rows[0], r.rows[0].Counter); got != "755224" {
		t.Errorf("%s", got)
	}
}

// TestTooManyRows: there is a bound, and what it is is said.
func TestTooManyRows(t *testing.T) {
	c := collect("x", Options{}, Sink{})
	c.fobs = MaxRows
	if err := c.skip(1, "", faulty("", "x")); KindOf(err) != TooLarge {
		t.Error(err)
	}
	if err := c.add(&entry{line: 1, serial: "1", kind: TypeHOTP, secret: []byte(seed20)}); KindOf(err) != TooLarge {
		t.Error(err)
	}
}

// TestSinkEnds: an error of the sink ends the reading and comes back.
func TestSinkEnds(t *testing.T) {
	stop := errors.New("enough")
	n := 0
	_, err := Read(t.Context(), []byte(listFixtures()[0].data), Options{}, Sink{Fob: func(Fob) error { n++; return stop }})
	if !errors.Is(err, stop) || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
}

func FuzzPSKC(f *testing.F) { fuzzFormat(f, pskc{}) }
