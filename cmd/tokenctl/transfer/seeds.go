package transfer

import "strings"

// seedList names the kind of file by which makers of hardware tokens hand out
// their seeds, or is empty. Such a list belongs to whoever verifies the tokens;
// its rows are no accounts of the person who has the file.
func seedList(f *File) string {
	text := f.text()
	switch {
	case text == "":
	case strings.Contains(text, "urn:ietf:params:xml:ns:keyprov:pskc"), strings.Contains(text, "<KeyContainer"):
		return "PSKC"
	case strings.Contains(text, "sccTokenData"), strings.Contains(text, "sccAuthenticatorId"):
		return "SafeWord"
	case strings.Contains(text, "<Tokens") && strings.Contains(text, "<Seed>"):
		return "SafeNet or Aladdin"
	case yubiKeyLog(f.lines()):
		return "the log of the YubiKey Personalization Tool"
	case f.table().column("serial_number", "serial") >= 0 && f.table().column("secret_key", "secret", "seed") >= 0:
		return "CSV with serial numbers"
	case serialsAndSeeds(f.lines()):
		return "CSV of serial number and seed"
	}
	return ""
}

// yubiKeyLog knows what the Personalization Tool writes for each key.
func yubiKeyLog(lines []line) bool {
	for _, l := range lines {
		kind, _, _ := strings.Cut(l.text, ",")
		switch kind {
		case "LOGGING START", "Yubico OTP", "OATH-HOTP", "Challenge-Response: HMAC-SHA1", "Static Password", "Static Password: Scan Code":
			return true
		}
	}
	return false
}

// serialsAndSeeds says whether most lines are a serial number and a seed in
// hexadecimal, perhaps with type, digits and hash behind. A seed of a broken line
// must not make it something else.
func serialsAndSeeds(lines []line) bool {
	const looked = 200
	if len(lines) > looked {
		lines = lines[:looked]
	}
	fit, named := 0, 0
	for _, l := range lines {
		fields := strings.FieldsFunc(l.text, func(r rune) bool { return r == ',' || r == ';' || r == '\t' || r == ' ' })
		switch {
		case len(fields) == 1 && isHex(fields[0]) && len(fields[0]) >= 32: // a list may begin with its seeds alone
			fit++
		case len(fields) >= 2 && isHex(fields[1]) && strings.ContainsAny(fields[0], "0123456789"):
			fit++
			named++
		}
	}
	return named > 0 && fit > len(lines)/2
}

func isHex(s string) bool {
	return len(s) >= 4 && len(s)%2 == 0 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}
