package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// migration is Google Authenticator's export: QR codes whose text is an
// otpauth-migration:// address with a protobuf message in it. It is here as text,
// one address a line.
type migration struct{}

// Name implements Format.
func (migration) Name() string { return "Google Authenticator" }

// Detect implements Format. A list that has other addresses too is read by
// addresses.
func (migration) Detect(f *File) Confidence {
	found := false
	for _, l := range f.lines() {
		if isAddress(l.text) {
			return No
		}
		found = found || containsScheme(l.text, schemeMigration)
	}
	if found {
		return Sure
	}
	return No
}

// Read implements Format.
func (m migration) Read(_ context.Context, f *File, _ Options) (Result, error) {
	c := collect(m.Name())
	for _, l := range f.lines() {
		found, _ := addressesIn(l.text)
		for _, text := range found {
			if hasScheme(text, schemeMigration) {
				c.readPart(l.where(), text)
			}
		}
		if len(found) == 0 {
			c.skip(l.where(), "", "", "the line is no otpauth-migration:// address")
		}
	}
	return c.Result, nil
}

// readPart reads a part of Google's export; whether others are missing is said
// when all files were read.
func (c *collector) readPart(where, address string) {
	if c.parts == nil {
		c.parts = &migrationParts{}
	}
	c.parts.read(c, where, address)
}

// migrationParts keeps which parts of which exports were seen.
type migrationParts struct {
	exports []*migrationExport
	repeats int
}

type migrationExport struct {
	id    uint64
	size  uint64
	parts map[uint64][]string // index to the sums of the messages
}

// maxParts bounds the parts of an export that are looked for; the app makes one
// for ten accounts.
const maxParts = 1000

// migrationMessage is Google's MigrationPayload, and migrationAccount its
// OtpParameters.
type migrationMessage struct {
	accounts        []migrationAccount
	version         uint64
	size, index, id uint64
}

type migrationAccount struct {
	secret                        []byte
	name, issuer                  string
	algorithm, digits, kind, next uint64
}

// read adds the accounts of one part, unless the same part was there before.
func (p *migrationParts) read(c *collector, where, address string) {
	raw, err := migrationData(address)
	if err != nil {
		c.skip(where, "", "", "this part of the export is damaged: "+err.Error())
		return
	}
	m, err := parseMigration(raw)
	if err != nil {
		c.skip(where, "", "", "this part of the export is damaged: "+err.Error())
		return
	}
	if m.version > 2 {
		c.skip(where, "", "", fmt.Sprintf("this part has version %d of the export, which is not known", m.version))
		return
	}
	if !p.first(m, raw) {
		p.repeats++
		return
	}
	label := ""
	if m.size > 1 {
		label = fmt.Sprintf(", part %d of %d", m.index+1, m.size)
	}
	for i, a := range m.accounts {
		c.addMigrated(fmt.Sprintf("%s%s, entry %d", where, label, i+1), partSum(raw), a)
	}
}

// first notes a part, and says whether it was not seen before.
func (p *migrationParts) first(m migrationMessage, raw []byte) bool {
	x := p.export(m.id, m.size)
	sum := partSum(raw)
	if slices.Contains(x.parts[m.index], sum) {
		return false
	}
	x.parts[m.index] = append(x.parts[m.index], sum)
	return true
}

// partSum is what a part is known by; the part itself holds secrets.
func partSum(raw []byte) string {
	sum := sha256.Sum256(raw)
	return string(sum[:])
}

// export finds an export, or notes it. They are told apart by their id, and where
// that is missing by their size.
func (p *migrationParts) export(id, size uint64) *migrationExport {
	for _, have := range p.exports {
		if have.id == id && have.size == size {
			return have
		}
	}
	x := &migrationExport{id: id, size: size, parts: map[uint64][]string{}}
	p.exports = append(p.exports, x)
	return x
}

// joinParts adds the parts that another file had, and names those that were here
// already.
func (c *collector) joinParts(other *migrationParts) (again map[string]bool) {
	if other == nil {
		return nil
	}
	if c.parts == nil {
		c.parts = &migrationParts{}
	}
	again = map[string]bool{}
	c.parts.repeats += other.repeats
	for _, from := range other.exports {
		x := c.parts.export(from.id, from.size)
		for index, sums := range from.parts {
			for _, sum := range sums {
				if slices.Contains(x.parts[index], sum) {
					again[sum] = true
					c.parts.repeats++
					continue
				}
				x.parts[index] = append(x.parts[index], sum)
			}
		}
	}
	return again
}

// finish reports what is missing, which is a Skip, and what was there twice.
func (p *migrationParts) finish(c *collector) {
	for _, x := range p.exports {
		if x.size > maxParts {
			c.skip("the export", "", "", fmt.Sprintf("it says that it has %d parts, which cannot be", x.size))
			continue
		}
		var missing []string
		for i := range x.size {
			if x.parts[i] == nil {
				missing = append(missing, fmt.Sprint(i+1))
			}
		}
		c.missing(missing, x.size)
	}
	if p.repeats > 0 {
		c.note("%d of the export's parts were there more than once; each was read once", p.repeats)
	}
	if len(p.exports) > 0 {
		c.note("Google Authenticator exports no periods: an account with another than 30 seconds must be set right by hand")
	}
}

// missing reports parts by their numbers, the first of them where they are many.
func (c *collector) missing(parts []string, of uint64) {
	const named = 20
	switch n := len(parts); {
	case n == 0:
		return
	case n == 1:
		c.skip(fmt.Sprintf("part %s of %d", parts[0], of), "", "", "this QR code of the export is missing, and the accounts in it")
		return
	case n > named:
		parts = append(parts[:named:named], fmt.Sprintf("and %d more", n-named))
	}
	c.skip(fmt.Sprintf("parts %s of %d", strings.Join(parts, ", "), of), "", "", "these QR codes of the export are missing, and the accounts in them")
}

// addMigrated makes an entry of what Google's message tells.
func (c *collector) addMigrated(where, part string, a migrationAccount) {
	e := entry{where: where, part: part, secret: a.secret, counter: num(a.next)}
	if e.secret == nil {
		e.secret = []byte{}
	}
	// Without an issuer the whole is the name: the app has taken it apart before.
	if e.issuer, e.name = strings.TrimSpace(a.issuer), strings.TrimSpace(a.name); e.issuer != "" {
		_, e.name = splitLabel(e.issuer, e.name)
	}
	switch a.kind {
	case 0:
		e.warnings = append(e.warnings, "the export does not tell its type; it is taken for totp")
	case 1:
		e.kind = typeHOTP
	case 2:
	default:
		e.kind = "unknown"
	}
	switch a.algorithm {
	case 0, 1:
	case 2:
		e.algorithm = "SHA256"
	case 3:
		e.algorithm = "SHA512"
	default: // 4 is MD5
		e.algorithm = "unknown"
	}
	switch a.digits {
	case 0, 1:
	case 2:
		e.digits = num(8)
	case 3:
		e.digits = num(7)
	default:
		e.digits = number{given: true, bad: true}
	}
	c.add(e)
}

// migrationData is the message in an address. In data a plus sign is one, whether
// escaped or not; a reader of QR codes may have made a space of it.
func migrationData(address string) ([]byte, error) {
	_, query, _ := strings.Cut(address, "?")
	for part := range strings.SplitSeq(query, "&") {
		raw, found := strings.CutPrefix(part, "data=")
		if !found {
			continue
		}
		text, err := url.PathUnescape(raw)
		if err != nil {
			return nil, errors.New("it has broken percent-encoding")
		}
		return anyBase64(text)
	}
	return nil, errors.New("it has no data")
}

// anyBase64 reads base64 of either alphabet, with or without padding.
func anyBase64(text string) ([]byte, error) {
	text = strings.NewReplacer("-", "+", "_", "/", " ", "+", "\n", "", "\r", "").Replace(strings.TrimSpace(text))
	out, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return nil, errors.New("it is not base64")
	}
	return out, nil
}

var errProtobuf = errors.New("it ends early or is no such message")

// field is a field of a protobuf message: wire type 0 has number, type 2 has data.
type field struct {
	id     uint64
	number uint64
	data   []byte
}

// protobufFields splits a message (Protocol Buffers, "Encoding").
func protobufFields(b []byte, each func(field) error) error {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag>>3 == 0 {
			return errProtobuf
		}
		b = b[n:]
		f := field{id: tag >> 3}
		switch tag & 7 {
		case 0:
			if f.number, n = binary.Uvarint(b); n <= 0 {
				return errProtobuf
			}
		case 1, 5:
			n = 8
			if tag&7 == 5 {
				n = 4
			}
			if len(b) < n {
				return errProtobuf
			}
		case 2:
			size, k := binary.Uvarint(b)
			if k <= 0 || size > uint64(len(b)-k) {
				return errProtobuf
			}
			f.data = b[k : k+int(size)]
			n = k + int(size)
		default:
			return errProtobuf
		}
		b = b[n:]
		if err := each(f); err != nil {
			return err
		}
	}
	return nil
}

func parseMigration(raw []byte) (migrationMessage, error) {
	var m migrationMessage
	err := protobufFields(raw, func(f field) error {
		switch f.id {
		case 1:
			a, err := parseMigrated(f.data)
			if err != nil {
				return err
			}
			m.accounts = append(m.accounts, a)
		case 2:
			m.version = f.number
		case 3:
			m.size = f.number
		case 4:
			m.index = f.number
		case 5:
			m.id = f.number
		}
		return nil
	})
	if err == nil && m.size > 0 && m.index >= m.size {
		err = errors.New("its number is higher than the number of parts")
	}
	return m, err
}

func parseMigrated(raw []byte) (migrationAccount, error) {
	var a migrationAccount
	err := protobufFields(raw, func(f field) error {
		switch f.id {
		case 1:
			a.secret = bytes.Clone(f.data)
		case 2:
			a.name = string(f.data)
		case 3:
			a.issuer = string(f.data)
		case 4:
			a.algorithm = f.number
		case 5:
			a.digits = f.number
		case 6:
			a.kind = f.number
		case 7:
			a.next = f.number
		}
		return nil
	})
	return a, err
}
