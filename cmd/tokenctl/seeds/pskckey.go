package seeds

import (
	"context"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// entry reads a key: first whether it may be used, then what must be decrypted. The
// entry is never nil, and is not wiped.
func (r *container) entry(ctx context.Context, pack, k *element) (*entry, *fault, error) {
	info := pack.either("DeviceInfo", "DeviceId")
	e := &entry{
		line: k.line, serial: info.words("SerialNo"),
		maker: info.words("Manufacturer"), model: info.words("Model"),
	}
	if e.serial == "" {
		if e.serial = k.attr("Id", "KeyId", "SecretId"); e.serial != "" {
			e.warn("it has no serial number; the name of its key was taken for it")
		}
	}
	if wrong := setAlgorithm(e, k); wrong != nil {
		return e, wrong, nil
	}
	if wrong := checkPolicy(e, info, k); wrong != nil {
		return e, wrong, nil
	}
	if wrong := setResponse(e, k); wrong != nil {
		return e, wrong, nil
	}
	user := k.words("UserId")
	if user == "" {
		user = info.words("UserId")
	}
	if e.kind == TypeYubico {
		setYubicoIDs(e, user)
	} else if user != "" {
		e.users = []string{user}
	}
	wrong, err := r.values(ctx, e, k)
	return e, wrong, err
}

// setAlgorithm finds the type and the hash. The URIs of RFC 6030 and of its drafts
// end alike.
func setAlgorithm(e *entry, k *element) *fault {
	uri := k.attr("Algorithm", "KeyAlgorithm", "SecretAlgorithm")
	name, suite := strings.ToLower(lastPart(uri)), k.words("AlgorithmParameters", "Suite")
	switch {
	case uri == "":
		return faulty("Algorithm", "it does not name its algorithm")
	case strings.Contains(strings.ToLower(uri), "ocra"), strings.HasPrefix(strings.ToLower(suite), "ocra"):
		return faulty("Algorithm", "it is a key for challenge and response (OCRA), which makes no passcodes that can be verified here")
	case name == "pin":
		return faulty("Algorithm", "it is the PIN of a fob, and no fob")
	case strings.HasPrefix(name, TypeHOTP):
		e.kind = TypeHOTP
	case strings.HasPrefix(name, TypeTOTP):
		e.kind = TypeTOTP
	case name == "yubikey-aes":
		e.kind = TypeYubico
		return nil
	default:
		return faulty("Algorithm", "its algorithm is %s; HOTP, TOTP and Yubico OTP are supported", clean(lastPart(uri)))
	}
	told := strings.NewReplacer("-", "", "_", "").Replace(strings.ToUpper(name[len(TypeHOTP):] + " " + suite))
	for _, h := range []string{"SHA512", "SHA256", "SHA1"} {
		if strings.Contains(told, h) {
			e.hash = h
			return nil
		}
	}
	switch {
	case strings.Contains(told, "SHA"), strings.Contains(told, "MD5"), strings.Contains(told, "SM3"):
		e.hash = "unknown"
	case suite != "":
		e.warn("its suite is not known, and was left out")
	}
	return nil
}

// setResponse finds the number of digits.
func setResponse(e *entry, k *element) *fault {
	response := k.child("AlgorithmParameters", "ResponseFormat")
	if response == nil {
		response = k.child("Usage", "ResponseFormat")
	}
	if e.kind == TypeYubico {
		return nil
	}
	switch encoding := strings.ToUpper(response.attr("Encoding", "Format")); {
	case encoding != "" && encoding != "DECIMAL":
		return faulty("ResponseFormat", "its passcodes are not decimal but %s", clean(encoding))
	case isTrue(response.attr("CheckDigits", "CheckDigit")):
		return faulty("ResponseFormat", "its passcodes end in a check digit, which is not supported")
	}
	if e.digits = parseNumber(response.attr("Length")); !e.digits.given {
		e.warn("the file does not tell its number of digits")
	}
	return nil
}

func isTrue(s string) bool { return s == "1" || strings.EqualFold(s, "true") }

// setYubicoIDs reads what draft-josefsson-keyprov-pskc-yubikey puts in the place of
// the user: CN is the public id in modhex, UID the private one in hexadecimal.
func setYubicoIDs(e *entry, user string) {
	for part := range strings.SplitSeq(user, ",") {
		name, value, _ := strings.Cut(part, "=")
		switch strings.ToUpper(strings.TrimSpace(name)) {
		case "CN":
			e.publicID, _ = fromModhex(value)
		case "UID":
			e.privateID, _ = hex.DecodeString(strings.TrimSpace(value))
		}
	}
}

// datum is a part of a key's data: of RFC 6030 an element, of early drafts one with a
// name.
func datum(k *element, name, early string) *element {
	for _, d := range k.children {
		if d.name != "Data" {
			continue
		}
		if found := d.child(name); found != nil {
			return found
		}
		if early != "" && strings.EqualFold(d.attr("Name"), early) {
			return d
		}
	}
	return nil
}

// values reads the secret and the numbers beside it, decrypting where needed.
func (r *container) values(ctx context.Context, e *entry, k *element) (*fault, error) {
	secret := datum(k, "Secret", "SECRET")
	if secret == nil {
		if k.child("KeyReference") != nil || k.child("KeyProfileId") != nil {
			return faulty("Secret", "its seed is not in the file, which only refers to it"), nil
		}
		return faulty("Secret", "it has no seed"), nil
	}
	plain, wrong, err := r.lock.value(ctx, secret, e)
	if err != nil || wrong != nil {
		return wrong, err
	}
	if e.secret = plain; e.kind == TypeYubico {
		return nil, nil
	}
	if e.kind == TypeHOTP {
		d := datum(k, "Counter", "COUNTER")
		if d == nil {
			e.warn("the file does not tell its counter; 0 was taken")
		}
		return r.number(ctx, d, e, "Counter", &e.counter)
	}
	if wrong, err := r.number(ctx, datum(k, "TimeInterval", "TIME_INTERVAL"), e, "TimeInterval", &e.period); wrong != nil || err != nil {
		return wrong, err
	}
	if !e.period.given {
		e.warn("the file does not tell its period")
	}
	var passed, drift number
	if wrong, err := r.number(ctx, datum(k, "Time", "TIME"), e, "Time", &passed); wrong != nil || err != nil {
		return wrong, err
	}
	if passed.value != 0 {
		e.warn("the file says how many steps had passed when it was written; that was left out")
	}
	if wrong, err := r.number(ctx, datum(k, "TimeDrift", ""), e, "TimeDrift", &drift); wrong != nil || err != nil {
		return wrong, err
	}
	e.drift = int64(drift.value)
	return nil, nil
}

// number reads a number, which RFC 6030 writes in decimal, and others in base64 of
// decimal or of big-endian bytes. Only a drift may be negative.
func (r *container) number(ctx context.Context, d *element, e *entry, field string, to *number) (*fault, error) {
	if d == nil {
		return nil, nil
	}
	if text, plain := r.lock.plainText(d); plain {
		if v, good := integer(text, field == "TimeDrift"); good {
			*to = num(v)
			return nil, nil
		}
	}
	raw, wrong, err := r.lock.value(ctx, d, e)
	if err != nil || wrong != nil {
		return wrong, err
	}
	if v, good := integer(string(raw), field == "TimeDrift"); good {
		*to = num(v)
		return nil, nil
	}
	if len(raw) == 0 || len(raw) > 8 {
		return faulty(field, "it is no whole number below 2^64"), nil
	}
	var v uint64
	for _, b := range raw {
		v = v<<8 | uint64(b)
	}
	*to = num(v)
	return nil, nil
}

func integer(s string, signed bool) (uint64, bool) {
	s = strings.TrimSpace(s)
	if signed {
		v, err := strconv.ParseInt(s, 10, 64)
		return uint64(v), err == nil
	}
	v, err := strconv.ParseUint(s, 10, 64)
	return v, err == nil
}

// checkPolicy reads the bounds of a key's use. What is not understood, or cannot be
// held here, forbids the use (RFC 6030, section 5).
func checkPolicy(e *entry, info, k *element) *fault {
	policy := k.child("Policy")
	if policy != nil {
		if wrong := understood(policy); wrong != nil {
			return wrong
		}
	}
	if usage := k.child("Usage"); usage != nil && !isTrue(usage.attr("OTP")) {
		for _, other := range []string{"CR", "Integrity", "Encrypt", "Unlock"} {
			if isTrue(usage.attr(other)) {
				return faulty("Usage", "its policy does not allow one-time passcodes")
			}
		}
	}
	// The earliest drafts have dates in the key; the device may bound them too.
	for _, where := range []*element{info, k, policy} {
		if wrong := bound(where.words("StartDate"), "StartDate", &e.start, time.Time.After); wrong != nil {
			return wrong
		}
		if wrong := bound(where.words("ExpiryDate"), "ExpiryDate", &e.expiry, time.Time.Before); wrong != nil {
			return wrong
		}
	}
	if info.words("Expiry") != "" {
		e.warn("its expiry is written as a draft of the format has it, and was left out")
	}
	return nil
}

// bound narrows a bound by a date, if there is one.
func bound(text, field string, to *time.Time, narrower func(time.Time, time.Time) bool) *fault {
	if text == "" {
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02Z07:00", "2006-01-02"} {
		t, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		if to.IsZero() || narrower(t, *to) {
			*to = t.UTC()
		}
		return nil
	}
	return faulty(field, "it is no date")
}

// understood goes through a policy.
func understood(policy *element) *fault {
	otp, named := false, false
	for _, p := range policy.children {
		switch {
		case p.space != policy.space:
			return faulty("Policy", "its policy has an element that is not known (%s), so it must not be used", clean(p.name))
		case p.name == "StartDate", p.name == "ExpiryDate":
		case p.name == "KeyUsage":
			named = true
			otp = otp || strings.EqualFold(strings.TrimSpace(p.text), "OTP")
		case p.name == "NumberOfTransactions":
			return faulty("Policy", "its policy bounds how often it may be used, which is not counted here, so it must not be used")
		case p.name == "PINPolicy":
			if wrong := pinPolicy(p); wrong != nil {
				return wrong
			}
		default:
			return faulty("Policy", "its policy has an element that is not known (%s), so it must not be used", clean(p.name))
		}
	}
	if named && !otp {
		return faulty("KeyUsage", "its policy does not allow one-time passcodes")
	}
	return nil
}

// pinPolicy allows a PIN that the fob itself asks for, which changes no passcode.
func pinPolicy(p *element) *fault {
	if len(p.children) > 0 {
		return faulty("PINPolicy", "its policy has an element that is not known (%s), so it must not be used", clean(p.children[0].name))
	}
	for _, a := range p.attrs {
		switch a.Name.Local {
		case "PINKeyId", "MaxFailedAttempts", "MinLength", "MaxLength", "PINEncoding", "PINUsageMode":
		default:
			if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
				return faulty("PINPolicy", "its policy has an attribute that is not known (%s), so it must not be used", clean(a.Name.Local))
			}
		}
	}
	if mode := p.attr("PINUsageMode"); mode != "" && !strings.EqualFold(mode, "Local") {
		return faulty("PINPolicy", "its passcodes are sent together with a PIN (%s), which is not supported", clean(mode))
	}
	return nil
}
