package seeds

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of the registry, which has the last word.
const (
	maxSerial    = 64 // characters
	maxSecret    = 64 // bytes
	yubicoSecret = 16 // bytes
	yubicoID     = 6  // bytes
	minDigits    = 6
	maxDigits    = 8
	maxPeriod    = 300 // seconds
	usualDigits  = 6
	usualPeriod  = 30
	maxText      = 128 // bytes of maker, model and user
)

// number is a number of a file: its value, or nothing, or no number.
type number struct {
	value      uint64
	given, bad bool
}

func num(v uint64) number { return number{value: v, given: true} }

func parseNumber(s string) number {
	s = strings.TrimSpace(s)
	if s == "" {
		return number{}
	}
	v, err := strconv.ParseUint(s, 10, 64)
	return number{value: v, given: true, bad: err != nil}
}

// entry is a fob as a file tells it, before it was checked.
type entry struct {
	line      int
	serial    string
	kind      string // empty where the file does not tell
	hash      string // the same
	byLength  bool   // the hash follows from the length of the seed where it is not told
	digits    number
	period    number
	counter   number
	drift     int64
	secret    []byte
	publicID  []byte
	privateID []byte
	maker     string
	model     string
	start     time.Time
	expiry    time.Time
	users     []string
	warnings  []string
}

func (e *entry) warn(format string, args ...any) {
	e.warnings = append(e.warnings, fmt.Sprintf(format, args...))
}

func (e *entry) wipe() {
	clear(e.secret)
	clear(e.privateID)
}

// fault is what is wrong with an entry.
type fault struct {
	field, reason string
	sealed        bool // a key did not open it: the key can be wrong, or the value
}

func (f *fault) Error() string { return f.reason }

func faulty(field, reason string, args ...any) *fault {
	return &fault{field: field, reason: fmt.Sprintf(reason, args...)}
}

// collector checks entries, finds serials that repeat, and hands on what it made.
type collector struct {
	format  string
	options Options
	to      Sink
	notes   []string
	fobs    int
	skips   int
	serials map[string]int32 // the line of each
	untold  bool             // a row did not tell its type
}

func collect(format string, o Options, to Sink) *collector {
	if o.MinSecret == 0 {
		o.MinSecret = DefaultMinSecret
	}
	return &collector{format: format, options: o, to: to, serials: map[string]int32{}}
}

func (c *collector) note(format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

func (c *collector) summary() Summary {
	s := Summary{Format: c.format, Fobs: c.fobs, Skips: c.skips, Untold: c.untold && c.options.Type == "", Notes: c.notes}
	if c.untold {
		s.Notes = append(s.Notes, "the file does not tell of all rows whether they are hotp or totp; where it does not, they were taken for "+c.untoldType())
	}
	return s
}

func (c *collector) untoldType() string {
	if c.options.Type != "" {
		return c.options.Type
	}
	return TypeHOTP
}

func place(line int) string { return "line " + strconv.Itoa(line) }

// full is an error when a file has more rows than is allowed.
func (c *collector) full() error {
	if c.fobs+c.skips >= MaxRows {
		return problem(TooLarge, c.format, "the file has more than %d rows", MaxRows)
	}
	return nil
}

// skip reports what is no row.
func (c *collector) skip(line int, serial string, f *fault) error {
	if err := c.full(); err != nil {
		return err
	}
	c.skips++
	if c.to.Skip == nil {
		return nil
	}
	return c.to.Skip(Skip{Where: place(line), Serial: clean(serial), Field: f.field, Reason: f.reason})
}

// add checks an entry by the registry's rules and hands it on. The secrets of e are
// the row's from then on, or wiped.
func (c *collector) add(e *entry) error {
	r, wrong := c.check(e)
	if wrong == nil {
		wrong = c.repeated(e, r.Serial)
	}
	if wrong != nil {
		e.wipe()
		return c.skip(e.line, e.serial, wrong)
	}
	if err := c.full(); err != nil {
		e.wipe()
		return err
	}
	c.fobs++
	c.untold = c.untold || e.kind == ""
	if c.to.Fob == nil {
		e.wipe()
		return nil
	}
	return c.to.Fob(r)
}

// repeated refuses a serial that was there before, whether or not that was with the
// same secret: a serial names one fob.
func (c *collector) repeated(e *entry, serial string) *fault {
	before, is := c.serials[serial]
	if is {
		return faulty("serial", "its serial number is that of line %d; both stand in the file, and only the first is taken", before)
	}
	c.serials[strings.Clone(serial)] = int32(e.line)
	return nil
}

// check makes a row of an entry, or says why it is none.
func (c *collector) check(e *entry) (Fob, *fault) {
	r := Fob{Where: place(e.line), Drift: e.drift, Start: e.start, Expiry: e.expiry}
	var wrong *fault
	if r.Serial, wrong = checkSerial(e.serial); wrong != nil {
		return r, wrong
	}
	if wrong = c.params(&r, e); wrong != nil {
		return r, wrong
	}
	r.Secret = e.secret
	if wrong = c.checkSecret(r.Type, e); wrong != nil {
		return r, wrong
	}
	if !e.start.IsZero() && !e.expiry.IsZero() && e.expiry.Before(e.start) {
		return r, faulty("expiry", "it expires before it may first be used")
	}
	r.Maker, r.Model = e.text("maker", e.maker), e.text("model", e.model)
	for _, u := range e.users {
		if u = e.text("user", u); u != "" {
			r.Users = append(r.Users, u)
		}
	}
	r.Warnings = e.warnings
	return r, nil
}

// text makes a name fit to be shown.
func (e *entry) text(what, s string) string {
	s = strings.TrimSpace(s)
	out := strings.Map(func(r rune) rune {
		if printable(r) {
			return r
		}
		return -1
	}, s)
	for len(out) > maxText {
		_, n := utf8.DecodeLastRuneInString(out)
		out = out[:len(out)-n]
	}
	if out != s {
		e.warn("its %s was too long or held characters that cannot be shown; they were left out", what)
	}
	return out
}

func printable(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) }

func checkSerial(s string) (string, *fault) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return "", faulty("serial", "it has no serial number")
	case utf8.RuneCountInString(s) > maxSerial:
		return "", faulty("serial", "its serial number has more than %d characters", maxSerial)
	case strings.ContainsFunc(s, func(r rune) bool { return !printable(r) }):
		return "", faulty("serial", "its serial number holds characters that cannot be shown")
	case rounded(s):
		return "", faulty("serial", "its serial number was rounded by a spreadsheet; the maker's own file has it whole")
	}
	return s, nil
}

// rounded knows what spreadsheets make of long numbers: 1.00012E+12, or 1,00012E+12.
func rounded(s string) bool {
	mantissa, exponent, is := strings.Cut(strings.ToUpper(s), "E+")
	return is && exponent != "" && strings.Trim(exponent, "0123456789") == "" &&
		mantissa != "" && strings.Trim(mantissa, "0123456789.,") == ""
}

// params says why no passcodes can be verified with them, if so.
func (c *collector) params(r *Fob, e *entry) *fault {
	r.Type = e.kind
	if r.Type == "" {
		r.Type = c.untoldType()
		e.warn("the file does not tell its type; %s was taken", r.Type)
	}
	if r.Type == TypeYubico {
		r.PublicID, r.PrivateID = e.publicID, e.privateID
		return nil
	}
	if wrong := c.digits(r, e); wrong != nil {
		return wrong
	}
	if r.Algorithm = c.hash(e); r.Algorithm == "" {
		return faulty("algorithm", "its hash is not SHA1, SHA256 or SHA512")
	}
	if r.Type == TypeHOTP {
		if e.counter.bad {
			return faulty("counter", "its counter is no whole number below 2^64")
		}
		r.Counter, r.Drift = e.counter.value, 0
		return nil
	}
	r.Period = usualPeriod
	if c.options.Period != 0 {
		r.Period = c.options.Period
	}
	switch {
	case e.period.bad:
		return faulty("period", "its period is no whole number")
	case !e.period.given:
	case e.period.value < 1 || e.period.value > maxPeriod:
		return faulty("period", "its period is %d seconds; 1 to %d are supported", e.period.value, maxPeriod)
	default:
		r.Period = int(e.period.value)
	}
	return nil
}

func (c *collector) digits(r *Fob, e *entry) *fault {
	r.Digits = usualDigits
	if c.options.Digits != 0 {
		r.Digits = c.options.Digits
	}
	switch {
	case e.digits.bad:
		return faulty("digits", "its number of digits is no whole number")
	case !e.digits.given:
	case e.digits.value < minDigits || e.digits.value > maxDigits:
		return faulty("digits", "its passcodes have %d digits; %d to %d are supported", e.digits.value, minDigits, maxDigits)
	default:
		r.Digits = int(e.digits.value)
	}
	return nil
}

// hash is the hash of an entry, or empty where it is none that is known.
func (c *collector) hash(e *entry) string {
	switch {
	case e.hash != "":
		return hashName(e.hash)
	case c.options.Algorithm != "":
		return hashName(c.options.Algorithm)
	case e.byLength && len(e.secret) == 32:
		e.warn("the file does not tell its hash; SHA256 was taken, by the length of its seed")
		return "SHA256"
	case e.byLength && len(e.secret) == 64:
		e.warn("the file does not tell its hash; SHA512 was taken, by the length of its seed")
		return "SHA512"
	}
	return "SHA1"
}

// hashName is SHA1, SHA256 or SHA512, or "" for anything else.
func hashName(s string) string {
	s = strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToUpper(strings.TrimSpace(s)))
	switch s = strings.TrimPrefix(s, "HMAC"); s {
	case "SHA1", "SHA256", "SHA512":
		return s
	}
	return ""
}

func (c *collector) checkSecret(kind string, e *entry) *fault {
	n := len(e.secret)
	if kind == TypeYubico {
		switch {
		case n != yubicoSecret:
			return faulty("secret", "its AES key has %d bytes; Yubico OTP needs %d", n, yubicoSecret)
		case len(e.publicID) != yubicoID:
			return faulty("public id", "its public id has %d bytes; %d are supported", len(e.publicID), yubicoID)
		case len(e.privateID) != yubicoID:
			return faulty("private id", "its private id has %d bytes; Yubico OTP needs %d", len(e.privateID), yubicoID)
		}
		return nil
	}
	switch {
	case n == 0:
		return faulty("secret", "it has no seed")
	case n < c.options.MinSecret:
		return faulty("secret", "its seed has only %d bytes, which can be guessed; %d are needed", n, c.options.MinSecret)
	case n > maxSecret:
		return faulty("secret", "its seed has %d bytes; %d are supported", n, maxSecret)
	}
	if n < DefaultMinSecret {
		e.warn("its seed has only %d bytes, which can be guessed", n)
	}
	return nil
}
