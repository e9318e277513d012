package message

import (
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"
)

// PartKind is what a text carries.
type PartKind string

// The kinds of texts.
const (
	PartsDescriptor PartKind = "AUTHORITY"
	PartsRequest    PartKind = "REQUEST"
	PartsAnswer     PartKind = "ANSWER"
)

// PartKinds are all kinds.
func PartKinds() []PartKind { return []PartKind{PartsDescriptor, PartsRequest, PartsAnswer} }

// The bounds of texts.
const (
	// QRSize is how many characters of a message one QR code carries: with what
	// names the part that is version 18 at error correction M, which a webcam reads
	// from a screen.
	QRSize = 700
	// MaxParts is how many parts a message can have.
	MaxParts = 64
	// MaxText is how many bytes of text are looked at for parts.
	MaxText = 256 << 10

	leastPart = 100
	fileLine  = 76
	partStart = "TOKEND-"
)

// A part is a text of QR codes' alphanumeric mode:
//
//	TOKEND-REQUEST:1:2/3:SET:SUM:DATA
//
// 1 is the version, 2/3 the second of three parts. SET is the first 40 bits of a
// hash of the whole message, SUM the first 20 bits of one of the part, DATA base32
// without padding.

func base32Text(raw []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw)
}

func setOf(kind PartKind, raw []byte) string {
	h := digest(wordSet, []byte(kind), []byte{0}, raw)
	return base32Text(h[:5])
}

func partSum(head, data string) string {
	h := digest(wordPart, []byte(head), []byte{0}, []byte(data))
	return base32Text(h[:5])[:4]
}

// Parts writes a message as texts of at most size characters of data each, or
// QRSize where size is 0; each fits a QR code of its own.
func Parts(kind PartKind, raw []byte, size int) ([]string, error) {
	if size == 0 {
		size = QRSize
	}
	data := base32Text(raw)
	total := (len(data) + size - 1) / max(size, 1)
	if len(raw) == 0 || len(raw) > MaxSize || size < leastPart || total > MaxParts {
		return nil, fmt.Errorf("cannot write %d bytes as parts of %d: %w", len(raw), size, ErrTooLarge)
	}
	set := setOf(kind, raw)
	var out []string
	for i := range total {
		piece := data[i*size : min((i+1)*size, len(data))]
		head := fmt.Sprintf("%s%s:1:%d/%d:%s", partStart, kind, i+1, total, set)
		out = append(out, head+":"+partSum(head, piece)+":"+piece)
	}
	return out, nil
}

// FileText writes a message as lines for a file or a mail.
func FileText(kind PartKind, raw []byte) (string, error) {
	parts, err := Parts(kind, raw, 40*fileLine)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range parts {
		for ; len(p) > fileLine; p = p[fileLine:] {
			b.WriteString(p[:fileLine] + "\n")
		}
		b.WriteString(p + "\n")
	}
	return b.String(), nil
}

// ReadText finds the message in a text: parts in any order, each perhaps broken
// into lines, between lines that begin with # or are empty.
func ReadText(s string) (PartKind, []byte, error) {
	if len(s) > MaxText {
		return "", nil, fmt.Errorf("cannot read the message: %w", because(ErrTooLarge, "%d bytes", len(s)))
	}
	var c Collector
	part := ""
	flush := func() error {
		if part == "" {
			return nil
		}
		err := c.Add(part)
		part = ""
		return err
	}
	for line := range strings.Lines(strings.TrimPrefix(s, "\ufeff")) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", strings.HasPrefix(line, "#"):
			continue
		case strings.HasPrefix(line, partStart):
			if err := flush(); err != nil {
				return "", nil, err
			}
		case part == "":
			return "", nil, fmt.Errorf("cannot read the message: %w", because(ErrMalformed, "it does not begin with %s", partStart))
		}
		if part += line; len(part) > 2*MaxSize {
			return "", nil, fmt.Errorf("cannot read the message: %w", because(ErrTooLarge, "a part of %d characters", len(part)))
		}
	}
	if err := flush(); err != nil {
		return "", nil, err
	}
	return c.Message()
}

// Collector puts a message together from parts in any order, as a camera sees
// them. Its zero value is ready.
type Collector struct {
	kind  PartKind
	set   string
	parts []string // data; empty: still missing
}

// Add takes one part. The same one again does not matter; an error leaves what
// was collected as it was.
func (c *Collector) Add(s string) error {
	if err := c.add(strings.TrimSpace(s)); err != nil {
		return fmt.Errorf("cannot read a part of the message: %w", err)
	}
	return nil
}

func (c *Collector) add(s string) error {
	rest, ok := strings.CutPrefix(s, partStart)
	fields := strings.Split(rest, ":")
	if !ok || len(s) > MaxSize*2 || len(fields) < 2 {
		return because(ErrMalformed, "it does not begin with %s", partStart)
	}
	kind := PartKind(fields[0])
	if kind != PartsDescriptor && kind != PartsRequest && kind != PartsAnswer {
		return because(ErrMalformed, "kind")
	}
	if v, ok := plainNumber(fields[1], 1000); ok && v > 1 {
		return because(ErrNewer, "version %d", v)
	}
	if fields[1] != "1" || len(fields) != 6 {
		return because(ErrMalformed, "it has %d fields", len(fields))
	}
	left, right, _ := strings.Cut(fields[2], "/")
	n, okN := plainNumber(left, MaxParts)
	total, okTotal := plainNumber(right, MaxParts)
	if !okN || !okTotal || n > total {
		return because(ErrMalformed, "number")
	}
	head := strings.TrimSuffix(s, ":"+fields[4]+":"+fields[5])
	if fields[5] == "" || partSum(head, fields[5]) != fields[4] {
		return because(ErrDamaged, "part %d of %d", n, total)
	}
	if c.parts != nil && (c.kind != kind || c.set != fields[3] || len(c.parts) != total) {
		return ErrMixed
	}
	if c.parts == nil {
		c.kind, c.set, c.parts = kind, fields[3], make([]string, total)
	}
	if c.parts[n-1] != "" && c.parts[n-1] != fields[5] {
		return because(ErrDamaged, "part %d comes in two forms", n)
	}
	c.parts[n-1] = fields[5]
	return nil
}

// plainNumber reads a number from 1 to most in its one spelling.
func plainNumber(s string, most int) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 1 && n <= most && strconv.Itoa(n) == s
}

// Missing are the numbers of the parts that are still missing, from 1, and how
// many there are in all; 0 before the first.
func (c *Collector) Missing() (missing []int, total int) {
	for i, p := range c.parts {
		if p == "" {
			missing = append(missing, i+1)
		}
	}
	return missing, len(c.parts)
}

// Message is the message once no part is missing; else a MissingError.
func (c *Collector) Message() (PartKind, []byte, error) {
	kind, raw, err := c.message()
	if err != nil {
		return "", nil, fmt.Errorf("cannot read the message: %w", err)
	}
	return kind, raw, nil
}

func (c *Collector) message() (PartKind, []byte, error) {
	missing, total := c.Missing()
	switch {
	case total == 0:
		return "", nil, because(ErrMalformed, "there are no parts")
	case len(missing) > 0:
		return "", nil, &MissingError{Total: total, Missing: missing}
	}
	data := strings.Join(c.parts, "")
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(data)
	if err != nil || base32Text(raw) != data {
		return "", nil, because(ErrMalformed, "data")
	}
	if len(raw) > MaxSize {
		return "", nil, because(ErrTooLarge, "%d bytes", len(raw))
	}
	if setOf(c.kind, raw) != c.set {
		return "", nil, because(ErrDamaged, "the parts do not make up what was written")
	}
	return c.kind, raw, nil
}
