package seeds

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// table is CSV that names its columns, in any order: what Microsoft Entra takes
// (upn, serial number, secret key, time interval, manufacturer, model), what makers
// hand out in that shape, and what people make of it.
type table struct{}

// Name implements format.
func (table) Name() string { return "CSV with named columns" }

// The columns that are known.
type column int

const (
	colSerial column = iota
	colSecret
	colType
	colHash
	colDigits
	colPeriod
	colCounter
	colUser
	colMaker
	colModel
	colStart
	colExpiry
	colPublicID
	colPrivateID
	columns
)

// columnNames is how columns are called, in lower case without blanks and signs.
func columnNames() [columns][]string {
	return [columns][]string{
		colSerial:    {"serialnumber", "serial", "serialno", "sn", "tokenserial", "tokenserialnumber", "deviceserial", "deviceserialnumber", "tokenid", "seriennummer"},
		colSecret:    {"secretkey", "secret", "seed", "key", "otpsecret", "otpkey", "otpseed", "tokensecret", "tokenseed", "sharedsecret", "secretseed", "aeskey", "hex", "base32", "secrethex", "secretkeyhex", "seedhex", "keyhex", "hexseed", "hexsecret", "secretbase32", "secretkeybase32", "seedbase32", "keybase32", "base32secret", "base32seed", "secretbase64", "seedbase64"},
		colType:      {"type", "tokentype", "otptype", "algorithmtype", "mode"},
		colHash:      {"algorithm", "hash", "hashfunction", "hashalgorithm", "hmac", "crypto", "sha", "hashlib"},
		colDigits:    {"digits", "otplength", "otplen", "length", "codelength", "codedigits", "passcodelength", "numberofdigits", "otpdigits"},
		colPeriod:    {"timeinterval", "timeintervalinseconds", "interval", "period", "timestep", "step", "timeperiod", "refreshinterval", "timeintervalsec", "timeintervals", "timeintervalseconds", "seconds"},
		colCounter:   {"counter", "movingfactor", "initialcounter", "eventcounter", "count", "currentcounter"},
		colUser:      {"upn", "userprincipalname", "user", "username", "userid", "login", "loginname", "owner", "assignedto", "assignto", "assigneduser", "userassignment", "email", "mail", "account"},
		colMaker:     {"manufacturer", "maker", "vendor", "brand"},
		colModel:     {"model", "product", "productname", "devicemodel", "tokenmodel"},
		colStart:     {"startdate", "validfrom", "start", "activationdate"},
		colExpiry:    {"expirydate", "expirationdate", "expires", "expiry", "validto", "validuntil", "expiration", "enddate"},
		colPublicID:  {"publicid", "publicidentity", "publicname", "yubikeyid"},
		colPrivateID: {"privateid", "privateidentity", "internalidentity", "internalid", "uid"},
	}
}

// columnName brings what stands in a header to one form.
func columnName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(s))
}

// heading is where the columns are; -1 for what is not there.
type heading struct {
	places  [columns]int
	width   int
	unknown []string // names that are not known
	twice   []string // names that say what another says
	seeds   string   // the encoding, where the name of the column tells it
	entra   bool     // the seeds are what Microsoft Entra takes: base32 of TOTP
}

// headingOf reads a header; is says whether it is one.
func headingOf(fields []string) (h heading, is bool) {
	names := columnNames()
	h.width = len(fields)
	for i := range h.places {
		h.places[i] = -1
	}
	for i, field := range fields {
		name := columnName(field)
		if name == "" {
			continue
		}
		at := slices.IndexFunc(names[:], func(known []string) bool { return slices.Contains(known, name) })
		switch {
		case at < 0:
			h.unknown = append(h.unknown, clean(field))
		case h.places[at] >= 0:
			h.twice = append(h.twice, clean(field))
		default:
			h.places[at] = i
		}
		if column(at) == colSecret {
			for _, encoding := range []string{encodingHex, encodingBase32, encodingBase64} {
				if strings.Contains(name, encoding) {
					h.seeds = encoding
				}
			}
		}
	}
	h.entra = h.at(fields, colUser) != "" && columnName(h.at(fields, colSecret)) == "secretkey" && h.places[colPeriod] >= 0
	return h, h.places[colSecret] >= 0 && (h.places[colSerial] >= 0 || h.places[colPublicID] >= 0)
}

// at is a field of a row.
func (h *heading) at(fields []string, c column) string { return at(fields, h.places[c]) }

// Detect implements format.
func (table) Detect(f *file) confidence {
	all := f.sampled()
	if len(all) == 0 || len(all[0]) < 2 {
		return no
	}
	if _, is := headingOf(all[0]); is {
		return sure
	}
	return no
}

// Read implements format.
func (t table) Read(ctx context.Context, f *file, c *collector) error {
	var h heading
	var s spelling
	first := true
	quiet := collect(c.format, c.options, Sink{}) // broken rows are reported the second time
	err := rows(ctx, f, quiet, func(_ int, fields []string) error {
		if first {
			h, _ = headingOf(fields)
			first = false
		} else {
			s.see(h.at(fields, colSecret))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(h.twice) > 0 {
		return problem(Unsupported, c.format, "two columns say the same: %s is one of them", h.twice[0])
	}
	s.fixed = c.options.Encoding
	if s.fixed == "" {
		s.fixed = h.seeds
	}
	if s.fixed == "" && h.entra && s.hex == 0 && s.base32 == 0 {
		s.fixed = encodingBase32
	}
	if len(h.unknown) > 0 {
		c.note("columns that are not known were left out: %s", strings.Join(h.unknown, ", "))
	}
	first = true
	return rows(ctx, f, c, func(line int, fields []string) error {
		if first {
			first = false
			return nil
		}
		return t.row(f, c, &h, &s, line, fields)
	})
}

func (t table) row(f *file, c *collector, h *heading, s *spelling, line int, fields []string) error {
	e := &entry{
		line: line, serial: h.at(fields, colSerial), hash: h.at(fields, colHash), byLength: !h.entra,
		digits: parseNumber(h.at(fields, colDigits)), period: parseNumber(h.at(fields, colPeriod)), counter: parseNumber(h.at(fields, colCounter)),
		maker: h.at(fields, colMaker), model: h.at(fields, colModel),
	}
	if len(fields) <= h.places[colSecret] || len(fields) <= h.places[colSerial] || line == f.end && len(fields) < h.width {
		return c.skip(line, e.serial, faulty("", "the row has too few columns"))
	}
	if u := h.at(fields, colUser); u != "" {
		e.users = []string{u}
	}
	wrong := t.kind(e, h, fields)
	if wrong == nil {
		wrong = dates(e, h.at(fields, colStart), h.at(fields, colExpiry))
	}
	if wrong == nil && line == f.end {
		wrong = s.cut(h.at(fields, colSecret))
	}
	if wrong == nil {
		e.secret, wrong = s.decode(h.at(fields, colSecret))
	}
	if wrong != nil {
		e.wipe()
		return c.skip(line, e.serial, wrong)
	}
	return c.add(e)
}

// kind finds the type of a row: by its own column, else by what only one type has.
func (table) kind(e *entry, h *heading, fields []string) *fault {
	told := h.at(fields, colType)
	if k, hash := typeOf(e.hash); k != "" { // some call the type an algorithm
		if e.hash = hash; told == "" {
			told = k
		}
	}
	kind, hash := typeOf(told)
	switch public := h.at(fields, colPublicID); {
	case told != "" && kind == "":
		return faulty("type", "its type is %s; HOTP, TOTP and Yubico OTP are supported", clean(told))
	case kind == TypeYubico, kind == "" && public != "" && h.at(fields, colPrivateID) != "":
		var good bool
		if e.publicID, good = fromModhex(public); !good {
			return faulty("public id", "its public id is not modhex")
		}
		if e.serial == "" {
			e.serial = public
		}
		var err error
		if e.privateID, err = hex.DecodeString(h.at(fields, colPrivateID)); err != nil {
			return faulty("private id", "its private id is not hex")
		}
		kind = TypeYubico
	case kind == "" && e.period.given && e.period.value != 0, kind == "" && h.entra:
		kind = TypeTOTP
	case kind == "" && e.counter.given:
		kind = TypeHOTP
	}
	if e.hash == "" {
		e.hash = hash
	}
	if e.kind = kind; e.period.given && e.period.value == 0 && !e.period.bad && kind != TypeTOTP {
		e.period = number{}
	}
	return nil
}

// typeOf is a type by what it is called, and the hash that is named with it.
func typeOf(s string) (kind, hash string) {
	name := columnName(strings.TrimPrefix(strings.ToLower(s), "oath"))
	for _, h := range []string{"sha512", "sha256", "sha1"} {
		if rest, is := strings.CutSuffix(name, h); is {
			name, hash = strings.TrimSuffix(rest, "hmac"), h
			break
		}
	}
	switch name {
	case "totp", "time", "timebased", "t", "oathtotp":
		return TypeTOTP, hash
	case "hotp", "event", "eventbased", "e", "oathhotp", "counter", "counterbased":
		return TypeHOTP, hash
	case "yubico", "yubicootp", "yubikey", "yubikeyaes":
		return TypeYubico, hash
	case "hmac": // LinOTP's name for it, but not with a hash behind
		if hash == "" {
			return TypeHOTP, ""
		}
	}
	return "", ""
}

// dates reads the bounds of a fob's use. A date is ambiguous between Europe and
// America, and is refused then.
func dates(e *entry, start, expiry string) *fault {
	for _, d := range []struct {
		text, field string
		to          *time.Time
	}{{start, "start", &e.start}, {expiry, "expiry", &e.expiry}} {
		if d.text == "" {
			continue
		}
		if wrong := bound(d.text, d.field, d.to, func(time.Time, time.Time) bool { return true }); wrong == nil {
			continue
		}
		when, good := slashed(d.text)
		if !good {
			return faulty(d.field, "its date can be read in more than one way, or in none; 2030-12-31 can be read in one")
		}
		*d.to = when
	}
	return nil
}

// slashed reads 2030/12/31, 31.12.2030, and those of 31/12/2030 and 12/31/2030 that
// have one meaning.
func slashed(s string) (time.Time, bool) {
	for _, layout := range []string{"2006/01/02", "2006/1/2", "2.1.2006"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	a, errA := time.Parse("1/2/2006", s)
	b, errB := time.Parse("2/1/2006", s)
	switch {
	case errA == nil && (errB != nil || a.Equal(b)):
		return a, true
	case errB == nil && errA != nil:
		return b, true
	}
	return time.Time{}, false
}
