package otp

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxURI is the longest otpauth URI that ParseURI reads, in bytes. The longest
// that URI writes is shorter.
const MaxURI = 16 << 10

// Key is an account as an otpauth URI tells it. It never prints its secret.
type Key struct {
	// Issuer is the service; it may be empty.
	Issuer string
	// Name is the account at the service.
	Name string
	Params
	// Secret is the shared secret, 1 to MaxSecret bytes.
	Secret []byte
}

// Validate says whether the key is whole: parameters, names and secret.
func (k Key) Validate() error {
	if err := k.Params.Validate(); err != nil {
		return err
	}
	if err := CheckName("issuer", k.Issuer); err != nil {
		return err
	}
	if err := CheckName("name", k.Name); err != nil {
		return err
	}
	if k.Name == "" {
		return fail("name", "it is empty")
	}
	return checkSecret(k.Secret)
}

// Weak says that the secret is shorter than RFC 4226 allows; see Weak.
func (k Key) Weak() bool { return Weak(k.Secret) }

// Format hides the key from every verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[otp key]")) }

// MarshalJSON refuses: a key leaves this program as a URI, on purpose.
func (k Key) MarshalJSON() ([]byte, error) { return nil, errors.New("cannot encode an otp key") }

// ParseURI reads an otpauth:// URI ("Key Uri Format"). It is strict where a
// guess could make wrong codes or a misleading name, and otherwise takes what
// services put into their QR codes:
//
//   - The type is totp, hotp or steam, in any case. totp with encoder=steam is
//     steam; any other encoder is refused.
//   - The label is "issuer:name" or "name", the colon plain or as %3A, spaces
//     around either part dropped, "+" a plus sign. The issuer parameter counts
//     more than the label. Where the label begins with the parameter's value (in
//     any case) and a colon, the name is what follows. Where it begins with
//     another issuer, the name is the whole label, so that nothing is lost.
//     Without the parameter the issuer is what stands before the first colon.
//     An account without a name is called like its issuer; one without either
//     is refused. Names must pass CheckName.
//   - Parameters, their names in any case: secret (needed; see ParseSecret),
//     issuer, algorithm (see ParseAlgorithm; SHA1 if absent), digits (6; Steam 5),
//     period (30; seconds), counter (needed for hotp), encoder. Numbers are plain
//     decimal digits. A parameter given twice is refused, so is one that is out of
//     bounds, and an empty one other than issuer. period for hotp and counter for
//     the others must be numbers, and are dropped. Unknown parameters (image,
//     color, …) are ignored. In values "+" is a space, as forms encode it, but for
//     an issuer that the label writes with a plus sign.
//   - Refused are: user names, ports and fragments, control characters, invalid
//     UTF-8, broken percent-encoding, and more than MaxURI bytes.
//
// Every error is an *Error and holds nothing of the URI.
func ParseURI(uri string) (Key, error) {
	if len(uri) > MaxURI {
		return Key{}, fail("uri", "it is longer than "+strconv.Itoa(MaxURI)+" bytes")
	}
	uri = strings.Trim(uri, " \t\r\n")
	if !utf8.ValidString(uri) {
		return Key{}, fail("uri", "it is not valid UTF-8")
	}
	if strings.ContainsFunc(uri, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return Key{}, fail("uri", "it holds a control character")
	}
	const scheme = "otpauth://"
	if len(uri) < len(scheme) || !strings.EqualFold(uri[:len(scheme)], scheme) {
		return Key{}, fail("uri", "it does not begin with otpauth://")
	}
	head, query, _ := strings.Cut(uri[len(scheme):], "?")
	if strings.Contains(head, "#") || strings.Contains(query, "#") {
		return Key{}, fail("uri", "it has a fragment (#)")
	}
	params, err := parseQuery(query)
	if err != nil {
		return Key{}, err
	}
	kind, label, _ := strings.Cut(head, "/")
	label, err = url.PathUnescape(label)
	if err != nil {
		return Key{}, fail("uri", "its label has broken percent-encoding")
	}
	k := Key{}
	if k.Params, err = params.params(kind); err != nil {
		return Key{}, err
	}
	if k.Issuer, k.Name, err = names(label, params); err != nil {
		return Key{}, err
	}
	text, ok := params["secret"]
	if !ok {
		return Key{}, fail("uri", "it has no secret")
	}
	if k.Secret, err = ParseSecret(text.value); err != nil {
		return Key{}, err
	}
	return k, nil
}

// parameter is a decoded value; plus is the same with "+" left as it is.
type parameter struct{ value, plus string }

type parameters map[string]parameter

func parseQuery(query string) (parameters, error) {
	out := parameters{}
	for part := range strings.SplitSeq(query, "&") {
		name, raw, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, fail("uri", "a parameter's name has broken percent-encoding")
		}
		name = strings.ToLower(name)
		switch name {
		case "secret", "issuer", "algorithm", "digits", "period", "counter", "encoder":
		default:
			continue
		}
		if _, twice := out[name]; twice {
			return nil, fail(name, "it is given twice")
		}
		var p parameter
		if p.value, err = url.QueryUnescape(raw); err == nil {
			p.plus, err = url.PathUnescape(raw)
		}
		if err != nil {
			return nil, fail(name, "it has broken percent-encoding")
		}
		out[name] = p
	}
	return out, nil
}

// params reads all that says how codes are made.
func (q parameters) params(kind string) (Params, error) {
	p := Params{Type: Type(strings.ToLower(kind))}
	switch p.Type {
	case TypeTOTP, TypeHOTP, TypeSteam:
	default:
		return Params{}, fail("type", "the URI is not for totp, hotp or steam")
	}
	if enc, ok := q["encoder"]; ok {
		if !strings.EqualFold(enc.value, "steam") || p.Type == TypeHOTP {
			return Params{}, fail("encoder", "it is known as steam, for totp, only")
		}
		p.Type = TypeSteam
	}
	if a, ok := q["algorithm"]; ok {
		var err error
		if p.Algorithm, err = ParseAlgorithm(a.value); err != nil {
			return Params{}, err
		}
	}
	digits, okDigits, err := q.number("digits", 8)
	if err != nil {
		return Params{}, err
	}
	period, okPeriod, err := q.number("period", 31)
	if err != nil {
		return Params{}, err
	}
	counter, okCounter, err := q.number("counter", 64)
	if err != nil {
		return Params{}, err
	}
	// Zero means default in Params, and nothing good in a URI.
	if okDigits && digits == 0 {
		return Params{}, fail("digits", "there must be 6 to 10")
	}
	if okPeriod && period == 0 && p.Type != TypeHOTP {
		return Params{}, fail("period", "it must be at least 1 second")
	}
	p.Digits = int(digits)
	if p.Type == TypeHOTP {
		if !okCounter {
			return Params{}, fail("counter", "a hotp URI must have one")
		}
		p.Counter = counter
	} else {
		p.Period = int(period)
	}
	p = p.WithDefaults()
	return p, p.Validate()
}

// number reads a parameter of decimal digits alone, of at most so many bits.
func (q parameters) number(name string, bits int) (n uint64, given bool, err error) {
	p, ok := q[name]
	if !ok {
		return 0, false, nil
	}
	for _, c := range []byte(p.value) {
		if c < '0' || c > '9' {
			return 0, true, fail(name, "it is not a number")
		}
	}
	n, err = strconv.ParseUint(p.value, 10, bits)
	switch {
	case p.value == "":
		return 0, true, fail(name, "it is empty")
	case err != nil:
		return 0, true, fail(name, "the number is too large")
	}
	return n, true, nil
}

// ParseAlgorithm reads the name of a hash function as URIs and exports write it:
// SHA1, SHA256, SHA512 in any case, with or without "HMAC" before it and a dash
// or an underscore inside.
func ParseAlgorithm(s string) (Algorithm, error) {
	name := strings.NewReplacer("-", "", "_", "").Replace(strings.ToUpper(s))
	a := Algorithm(strings.TrimPrefix(name, "HMAC"))
	_, err := Params{Algorithm: a}.library()
	if err != nil {
		return "", err
	}
	return a, nil
}

// names takes issuer and name out of the label and the issuer parameter.
func names(label string, q parameters) (issuer, name string, err error) {
	label = strings.TrimSpace(label)
	if p, ok := q["issuer"]; ok {
		issuer = strings.TrimSpace(p.value)
		if plus := strings.TrimSpace(p.plus); plus != issuer && prefixed(label, plus) {
			issuer = plus
		}
	}
	switch {
	case issuer == "":
		var found bool
		if issuer, name, found = strings.Cut(label, ":"); !found {
			issuer, name = "", label
		}
	case prefixed(label, issuer):
		name = label[len(issuer):]
		name = name[strings.Index(name, ":")+1:]
	default:
		name = strings.TrimPrefix(label, ":")
	}
	issuer, name = strings.TrimSpace(issuer), strings.TrimSpace(name)
	if name == "" {
		name = issuer
	}
	if name == "" {
		return "", "", fail("name", "the URI names no account")
	}
	if err := CheckName("issuer", issuer); err != nil {
		return "", "", err
	}
	return issuer, name, CheckName("name", name)
}

// prefixed says that label begins with issuer, in any case, spaces and a colon.
func prefixed(label, issuer string) bool {
	if issuer == "" || len(label) < len(issuer) || !strings.EqualFold(label[:len(issuer)], issuer) {
		return false
	}
	return strings.HasPrefix(strings.TrimLeft(label[len(issuer):], " "), ":")
}

// URI writes the key as an otpauth URI that ParseURI reads back as the same key,
// if the key is valid; a HOTP key's period and the others' counter are left out.
// It holds the secret. All parameters are written, also where they have their
// usual value: readers differ in what they take for usual. Steam keys get a type
// of their own, so that programs that do not know Steam codes refuse them rather
// than make wrong ones.
func (k Key) URI() string {
	var b strings.Builder
	b.WriteString("otpauth://" + string(k.Type) + "/")
	if k.Issuer != "" {
		b.WriteString(escape(k.Issuer) + ":")
	} else if strings.Contains(k.Name, ":") {
		b.WriteString(":") // so that the name's own colon does not make an issuer
	}
	b.WriteString(escape(k.Name) + "?secret=" + FormatSecret(k.Secret))
	if k.Issuer != "" {
		b.WriteString("&issuer=" + escape(k.Issuer))
	}
	b.WriteString("&algorithm=" + string(k.Algorithm) + "&digits=" + strconv.Itoa(k.Digits))
	if k.Type == TypeHOTP {
		b.WriteString("&counter=" + strconv.FormatUint(k.Counter, 10))
	} else {
		b.WriteString("&period=" + strconv.Itoa(k.Period))
	}
	return b.String()
}

// escape percent-encodes all but the unreserved characters of RFC 3986, section
// 2.3, and "@", which both path and query may hold.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', strings.IndexByte("-._~@", c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
