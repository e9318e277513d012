package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// maxDepth is how deep the format's JSON may nest: header, keyslots, slot,
// keys, key, and what a driver needs below "params".
const maxDepth = 16

// No object of the format has more names than usualNames; maxNames bounds what
// a driver may have below "params".
const (
	usualNames = 20
	maxNames   = 64
)

// decodeStrict decodes one JSON document. Unlike encoding/json it refuses a
// name that occurs twice or that differs in case from the field's: two readers
// must never see two different things in the same signed bytes.
func decodeStrict(data []byte, into any) error {
	s := scanner{data: data}
	if err := s.document(); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var err error
	if p, ok := into.(pieces); ok {
		err = p.decode(d, s.longest)
	} else {
		err = d.Decode(into)
	}
	if err != nil {
		return fmt.Errorf("cannot decode: %w", redact(err))
	}
	return nil
}

// pieces is a document that can be large, and is decoded value by value: of one that
// is decoded in one go, encoding/json keeps a copy that has been grown again and again.
type pieces interface {
	// decode reads the document, whose structure was checked. No array in it has more
	// than longest elements.
	decode(d *json.Decoder, longest int) error
}

// redact keeps what encoding/json says of the place and drops what it quotes,
// which could be part of a secret.
func redact(err error) error {
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("wrong type at offset %d (%s)", t.Offset, t.Field)
	}
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("wrong syntax at offset %d", s.Offset)
	}
	if fe, ok := errors.AsType[*fieldError](err); ok {
		return fe
	}
	return errors.New("not as the format has it")
}

// fieldError is a value that a type's own decoder refuses; it quotes nothing.
type fieldError struct{ what string }

func (e *fieldError) Error() string { return e.what }

// scanner walks over a document once. It leaves numbers, literals and escapes
// to encoding/json and looks at structure and names only.
type scanner struct {
	data    []byte
	pos     int
	longest int // how many elements the longest array has
}

func (s *scanner) fail(what string) error {
	return fmt.Errorf("%s at offset %d", what, s.pos)
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) document() error {
	s.space()
	if s.peek() != '{' {
		return s.fail("no object")
	}
	if err := s.value(0, false); err != nil {
		return err
	}
	s.space()
	if s.pos != len(s.data) {
		return s.fail("trailing data")
	}
	return nil
}

// value skips one value; free is set below "params", where names are a
// driver's own.
func (s *scanner) value(depth int, free bool) error {
	if depth > maxDepth {
		return s.fail("nested too deeply")
	}
	s.space()
	switch s.peek() {
	case '{':
		return s.object(depth, free)
	case '[':
		return s.array(depth, free)
	case '"':
		_, err := s.str()
		return err
	case 0:
		return s.fail("unexpected end")
	default:
		return s.scalar()
	}
}

func (s *scanner) object(depth int, free bool) error {
	s.pos++
	// Pieces of the document, not copies: in a large vault that is thousands,
	// and each copy would be one more to erase.
	var room [usualNames][]byte
	names := room[:0]
	for first := true; ; first = false {
		s.space()
		if s.peek() == '}' && first {
			s.pos++
			return nil
		}
		if s.peek() != '"' {
			return s.fail("no name")
		}
		name, err := s.str()
		if err != nil {
			return err
		}
		if !free && !plainName(name) {
			return s.fail("unknown name")
		}
		for _, n := range names {
			if bytes.Equal(n, name) {
				return s.fail("a name twice")
			}
		}
		if len(names) > maxNames {
			return s.fail("too many names")
		}
		names = append(names, name)
		s.space()
		if s.peek() != ':' {
			return s.fail("no colon")
		}
		s.pos++
		if err := s.value(depth+1, free || string(name) == "params"); err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.pos++
		case '}':
			s.pos++
			return nil
		default:
			return s.fail("no comma")
		}
	}
}

func (s *scanner) array(depth int, free bool) error {
	s.pos++
	for n := 0; ; n++ {
		s.space()
		if s.peek() == ']' && n == 0 {
			s.pos++
			return nil
		}
		if n == MaxAccounts {
			return s.fail("too many elements")
		}
		if err := s.value(depth+1, free); err != nil {
			return err
		}
		s.longest = max(s.longest, n+1)
		s.space()
		switch s.peek() {
		case ',':
			s.pos++
		case ']':
			s.pos++
			return nil
		default:
			return s.fail("no comma")
		}
	}
}

// str skips a string and returns what is between its quotes, escapes as they
// are: a plain name has none.
func (s *scanner) str() ([]byte, error) {
	s.pos++
	start := s.pos
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.data[start : s.pos-1], nil
		case c == '\\':
			s.pos += 2
		case c < 0x20:
			return nil, s.fail("a control character")
		default:
			s.pos++
		}
	}
	return nil, s.fail("unexpected end")
}

func (s *scanner) scalar() error {
	start := s.pos
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E' {
			s.pos++
			continue
		}
		break
	}
	if s.pos == start {
		return s.fail("unexpected character")
	}
	return nil
}

// plainName says that name is one of the format's: lower case, digits, '_'.
func plainName(name []byte) bool {
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_') {
			return false
		}
	}
	return len(name) > 0
}
