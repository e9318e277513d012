package seeds

import (
	"context"
	"strings"
)

// list is rows without names of columns: serial number and seed, as most makers hand
// them out, Feitian among them; OATH's CSV, which has type, digits, step and hash
// behind; and serial number, seed and counter. PhenixID's begins with the type.
type list struct{}

// Name implements format.
func (list) Name() string { return "list of serial numbers and seeds" }

// The columns of OATH's CSV.
const (
	listSerial = iota
	listSeed
	listType
	listDigits
	listStep // of hotp: the counter
	listHash
)

// Detect implements format. A broken seed must not make the list something else, so
// most of them must be seeds, and no more.
func (list) Detect(f *file) confidence {
	named := false
	fit := f.most(func(fields []string) bool {
		if fields = inOrder(fields); len(fields) == 1 { // a list may begin with a seed alone
			isHex, _ := couldBe(fields[0])
			return isHex && len(fields[0]) >= 2*yubicoSecret
		}
		isHex, isBase32 := couldBe(fields[listSeed])
		// Words are base32 too; seeds have digits in them, or are long.
		const long = 16
		in64 := len(fields[listSeed]) >= long && len(fields[listSeed])%4 == 0 && isBase64(fields[listSeed])
		good := fields[listSerial] != "" && strings.ContainsAny(fields[listSerial], "0123456789") &&
			(isHex && len(fields[listSeed]) >= 4 || isBase32 && len(fields[listSeed]) >= long || in64)
		named = named || good
		return good
	})
	if fit && named {
		return likely
	}
	return no
}

// inOrder puts PhenixID's columns into the order of OATH's: HOTP;serial;key;counter
// and TOTP;serial;hash;key;epoch;step;digits.
func inOrder(fields []string) []string {
	const totpFields = 4
	switch kind := strings.ToUpper(at(fields, 0)); {
	case kind == "HOTP" && len(fields) > 2:
		return []string{fields[1], fields[2], TypeHOTP, "", at(fields, 3), ""}
	case kind == "TOTP" && len(fields) >= totpFields:
		return []string{fields[1], fields[3], TypeTOTP, at(fields, 6), at(fields, 5), fields[2], at(fields, 4)}
	}
	return fields
}

// Read implements format.
func (l list) Read(ctx context.Context, f *file, c *collector) error {
	s := spelling{fixed: c.options.Encoding}
	quiet := collect(c.format, c.options, Sink{}) // broken rows are reported the second time
	err := rows(ctx, f, quiet, func(_ int, fields []string) error {
		s.see(at(inOrder(fields), listSeed))
		return nil
	})
	if err != nil {
		return err
	}
	return rows(ctx, f, c, func(line int, fields []string) error { return l.row(f, c, &s, line, fields) })
}

func (l list) row(f *file, c *collector, s *spelling, line int, fields []string) error {
	phenix := strings.EqualFold(fields[0], TypeTOTP) && len(fields) > 4 && strings.Trim(fields[4], "0") != ""
	if fields = inOrder(fields); len(fields) == 1 {
		return c.skip(line, "", faulty("", "the row has one field alone; serial number and seed are needed"))
	}
	if phenix {
		return c.skip(line, fields[listSerial], faulty("epoch", "its clock counts from another day than 1970-01-01"))
	}
	e := &entry{line: line, serial: fields[listSerial], byLength: true, hash: at(fields, listHash)}
	wrong := l.params(e, fields)
	if wrong == nil && line == f.end {
		wrong = s.cut(fields[listSeed])
	}
	if wrong == nil {
		e.secret, wrong = s.decode(fields[listSeed])
	}
	if wrong != nil {
		return c.skip(line, e.serial, wrong)
	}
	return c.add(e)
}

// params reads what stands behind the seed.
func (list) params(e *entry, fields []string) *fault {
	told := at(fields, listType)
	if n := parseNumber(told); n.given && !n.bad { // serial, seed, counter
		e.kind, e.counter = TypeHOTP, n
		return nil
	}
	var hash string
	switch e.kind, hash = typeOf(told); {
	case strings.Contains(strings.ToLower(told), "ocra"):
		return faulty("type", "it is a key for challenge and response (OCRA), which makes no passcodes that can be verified here")
	case told != "" && e.kind == "", e.kind == TypeYubico:
		return faulty("type", "its type is %s; HOTP and TOTP are supported in such a list", clean(told))
	}
	if e.hash == "" {
		e.hash = hash
	}
	e.digits = parseNumber(at(fields, listDigits))
	step := parseNumber(at(fields, listStep))
	switch {
	case e.kind == TypeTOTP:
		e.period = step
	case step.value == 30 || step.value == 60:
		// OATH's CSV has a step there even of hotp. A counter that is too low can be
		// mended by using the fob, one that is too high cannot.
		e.warn("%d was taken for a step, which hotp does not have, and not for its counter", step.value)
	default:
		e.counter = step
	}
	return nil
}
