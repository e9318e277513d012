package transfer

import (
	"encoding/base32"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// The types of codes, and what they are called elsewhere.
const (
	typeTOTP  = "totp"
	typeHOTP  = "hotp"
	typeSteam = "steam"
)

// Bounds of daemon/otp, which has the last word: a test compares.
const (
	maxSecret    = 1024
	maxName      = 256 // bytes
	minDigits    = 6
	maxDigits    = 10
	steamDigits  = 5
	maxPeriod    = 365 * 24 * 60 * 60
	usualPeriod  = 30
	unusualShort = 10 // bytes; what the first services gave out
	// maxSecretText bounds what is looked at: base32 of the longest secret, and
	// as many separators.
	maxSecretText = 2 * (maxSecret*8/5 + 8)
	maxNote       = 2048 // bytes
	// maxAccounts and maxSkipped bound what is made of one file; the vault holds
	// no more accounts.
	maxAccounts = 20_000
	maxSkipped  = 20_000
)

// number is a number of a foreign file: JSON number, digits in a string, or
// nothing.
type number struct {
	value      uint64
	given, bad bool
}

// UnmarshalJSON never fails: what is no number makes its row a Skip, not the file
// damaged.
func (n *number) UnmarshalJSON(b []byte) error {
	*n = parseNumber(strings.Trim(string(b), `"`))
	return nil
}

func num(v uint64) number { return number{value: v, given: true} }

func parseNumber(s string) number {
	s = strings.TrimSpace(s)
	if s == "" || s == "null" {
		return number{}
	}
	if v, err := strconv.ParseUint(s, 10, 64); err == nil {
		return num(v)
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v < 0 || v > 1<<53 || v != math.Trunc(v) {
		return number{given: true, bad: true}
	}
	return num(uint64(v))
}

// loose is text of a foreign file; a number or a truth value is taken as written,
// anything else is no text.
type loose string

// UnmarshalJSON never fails; see number.
func (l *loose) UnmarshalJSON(b []byte) error {
	var s string
	switch {
	case len(b) > 0 && b[0] == '"':
		if json.Unmarshal(b, &s) == nil {
			*l = loose(s)
		}
	case len(b) > 0 && b[0] != '{' && b[0] != '[' && string(b) != "null":
		*l = loose(b)
	}
	return nil
}

func (l loose) yes() bool { return l == "true" || l == "1" }

// entry is an account as a file tells it, before it was checked.
type entry struct {
	where              string
	issuer, name, note string
	group              string
	tags               []string
	kind               string // totp where empty
	algorithm          string // SHA1 where empty
	digits             number
	period             number
	counter            number
	secret             []byte // or:
	base32             string
	favourite          bool
	order              int
	warnings           []string
	part               string
}

// collector makes rows and skips of entries.
type collector struct {
	Result
}

func collect(format string) *collector { return &collector{Result{Format: format}} }

func (c *collector) note(format string, args ...any) {
	c.Notes = append(c.Notes, fmt.Sprintf(format, args...))
}

// join adds what another file holds; prefix goes before its places. A part of
// Google's export that was there before is left out.
func (c *collector) join(r Result, prefix string) {
	again := c.joinParts(r.parts)
	for _, row := range r.Rows {
		if row.Where = prefix + row.Where; !again[row.part] {
			c.Rows = append(c.Rows, row)
		} else {
			row.Secret.Wipe()
		}
	}
	for _, s := range r.Skipped {
		if s.Where = prefix + s.Where; !again[s.part] {
			c.Skipped = append(c.Skipped, s)
		}
	}
	c.Notes = append(c.Notes, r.Notes...)
}

// skip reports what is no row.
func (c *collector) skip(where, issuer, name, reason string) {
	switch n := len(c.Skipped); {
	case n > maxSkipped:
		return
	case n == maxSkipped:
		where, issuer, name, reason = "from "+where+" on", "", "", "there are too many problems to name them all"
	}
	issuer, _ = cleanName(issuer)
	name, _ = cleanName(name)
	c.Skipped = append(c.Skipped, Skip{Where: where, Issuer: issuer, Name: name, Reason: reason})
}

// add checks an entry by the daemon's rules.
func (c *collector) add(e entry) {
	r := Row{Where: e.where, Group: e.group, Tags: e.tags, Favourite: e.favourite, Order: e.order, Warnings: e.warnings, part: e.part}
	warn := func(text string) { r.Warnings = append(r.Warnings, text) }
	refuse := func(reason string) {
		before := len(c.Skipped)
		if c.skip(e.where, e.issuer, e.name, reason); len(c.Skipped) > before {
			c.Skipped[before].part = e.part
		}
	}
	if reason := setParams(&r, e, warn); reason != "" {
		refuse(reason)
		return
	}
	secret, warning, reason := e.secret, "", ""
	if secret == nil {
		secret, warning, reason = parseBase32(e.base32)
	}
	switch {
	case reason != "":
	case len(secret) == 0:
		reason = "it has no secret"
	case len(secret) > maxSecret:
		reason = fmt.Sprintf("its secret is longer than %d bytes", maxSecret)
	}
	if reason != "" {
		refuse(reason)
		return
	}
	if warning != "" {
		warn(warning)
	}
	if len(secret) < unusualShort {
		warn(fmt.Sprintf("its secret has only %d bytes", len(secret)))
	}
	if len(c.Rows) >= maxAccounts {
		refuse(fmt.Sprintf("the file has more than %d accounts", maxAccounts))
		return
	}
	r.Secret = secret
	setNames(&r, e, warn)
	c.Rows = append(c.Rows, r)
}

// setNames makes names that the daemon can show.
func setNames(r *Row, e entry, warn func(string)) {
	var changed, changed2, changed3 bool
	r.Issuer, changed = cleanName(e.issuer)
	r.Name, changed2 = cleanName(e.name)
	r.Note, changed3 = cleanNote(e.note)
	if changed || changed2 {
		warn("its name was too long or held characters that cannot be shown; they were left out")
	}
	if changed3 {
		warn("its note was too long or held characters that cannot be shown; they were left out")
	}
	if r.Name == "" {
		r.Name = r.Issuer
	}
	if r.Name == "" {
		r.Name = "account of " + e.where
		warn("it had no name")
	}
	r.Group, _ = cleanName(e.group)
	var tags []string
	for _, t := range e.tags {
		if t, _ = cleanName(t); t != "" {
			tags = append(tags, t)
		}
	}
	r.Tags = tags
}

// setParams says why codes cannot be made with them, if so.
func setParams(r *Row, e entry, warn func(string)) (reason string) {
	switch kind := strings.ToLower(strings.TrimSpace(e.kind)); kind {
	case "", typeTOTP, typeHOTP, typeSteam:
		r.Type = kind
		if kind == "" {
			r.Type = typeTOTP
		}
	case "motp", "yandex", "yaotp":
		return "its type is " + kind + ", which makes codes in a way of its own that is not supported"
	default:
		return "its type is neither totp, hotp nor steam"
	}
	if r.Algorithm = parseAlgorithm(e.algorithm); r.Algorithm == "" {
		return "its hash is not SHA1, SHA256 or SHA512"
	}
	if e.digits.bad || e.period.bad || e.counter.bad {
		return "its digits, period or counter is no whole number"
	}
	if r.Type == typeSteam {
		if r.Algorithm != "SHA1" || e.period.value != 0 && e.period.value != usualPeriod {
			warn("Steam codes are made with SHA1 every 30 seconds; what the file says otherwise was left out")
		}
		r.Algorithm, r.Digits, r.Period = "SHA1", steamDigits, usualPeriod
		return ""
	}
	r.Digits = 6
	if e.digits.value != 0 {
		if e.digits.value < minDigits || e.digits.value > maxDigits {
			return fmt.Sprintf("its codes have %d digits; 6 to 10 are supported", e.digits.value)
		}
		r.Digits = int(e.digits.value)
	}
	if r.Type == typeHOTP {
		r.Counter = e.counter.value
		if !e.counter.given {
			warn("the file does not tell its counter; it begins at 0")
		}
		return ""
	}
	r.Period = usualPeriod
	if e.period.value != 0 {
		if e.period.value > maxPeriod {
			return fmt.Sprintf("its period is longer than %d seconds", maxPeriod)
		}
		r.Period = int(e.period.value)
	}
	return ""
}

// parseAlgorithm is SHA1, SHA256 or SHA512, or "" for anything else. Nothing is
// SHA1.
func parseAlgorithm(s string) string {
	s = strings.NewReplacer("-", "", "_", "").Replace(strings.ToUpper(strings.TrimSpace(s)))
	switch s = strings.TrimPrefix(s, "HMAC"); s {
	case "":
		return "SHA1"
	case "SHA1", "SHA256", "SHA512":
		return s
	}
	return ""
}

// parseBase32 reads a secret as it is found in the wild. A length that base32
// cannot have is taken as the products take it that wrote it: bits that make no
// byte are dropped.
func parseBase32(s string) (secret []byte, warning, reason string) {
	if len(s) > maxSecretText {
		return nil, "", fmt.Sprintf("its secret is longer than %d bytes", maxSecret)
	}
	text := make([]byte, 0, len(s)+8)
	defer func() { clear(text[:cap(text)]) }()
	position := 0
	for _, r := range s {
		position++
		switch {
		case unicode.IsSpace(r), r == '-', r == '=':
		case r >= 'a' && r <= 'z':
			text = append(text, byte(r-'a'+'A'))
		case r >= 'A' && r <= 'Z', r >= '2' && r <= '7':
			text = append(text, byte(r))
		default:
			return nil, "", fmt.Sprintf("character %d of its secret is not base32 (A to Z and 2 to 7)", position)
		}
	}
	if len(text) == 0 {
		return nil, "", "it has no secret"
	}
	switch len(text) % 8 {
	case 1, 3, 6:
		text = text[:len(text)-1]
		warning = "its secret has a length that base32 cannot have, and may be incomplete; compare a code before you rely on it"
	}
	enc := base32.StdEncoding.WithPadding(base32.NoPadding)
	out := make([]byte, enc.DecodedLen(len(text)))
	n, err := enc.Decode(out, text)
	if err != nil || n == 0 {
		clear(out)
		return nil, "", "its secret is not base32"
	}
	return out[:n:n], warning, ""
}

// cleanName makes a name that the daemon takes (daemon/otp, CheckName), in
// Unicode NFC, and says whether more than white space around it was lost.
func cleanName(s string) (name string, changed bool) {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case showable(r):
			b.WriteRune(r)
		case unicode.IsSpace(r):
			b.WriteByte(' ')
			changed = true
		default:
			changed = true
		}
	}
	name, cut := shorten(strings.TrimSpace(norm.NFC.String(b.String())), maxName)
	return name, changed || cut
}

// cleanNote makes a note that the daemon takes: lines and tabs may be in it.
func cleanNote(s string) (note string, changed bool) {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
	note = strings.Map(func(r rune) rune {
		switch {
		case showable(r), r == '\n', r == '\t':
			return r
		case r == '\r':
			return '\n'
		}
		changed = true
		return -1
	}, s)
	note, cut := shorten(strings.TrimSpace(note), maxNote)
	return note, changed || cut
}

// shorten cuts at a character, to so many bytes.
func shorten(s string, limit int) (string, bool) {
	if len(s) <= limit {
		return s, false
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return strings.TrimSpace(s[:limit]), true
}

func showable(r rune) bool {
	const zwnj, zwj, tagFirst, tagEnd = '\u200c', '\u200d', '\U000e0020', '\U000e007f'
	switch {
	case r == zwnj, r == zwj, r >= tagFirst && r <= tagEnd:
		return true
	}
	return !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Bidi_Control) &&
		!unicode.Is(unicode.Noncharacter_Code_Point, r)
}
