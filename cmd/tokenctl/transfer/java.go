package transfer

import (
	"encoding/binary"
	"errors"
	"unicode/utf16"
)

// javaMagic begins a stream of Java's object serialization, version 5.
const javaMagic = "\xac\xed\x00\x05"

// The type codes of Java's "Object Serialization Stream Protocol", section 6.4.2.
const (
	javaNull       = 0x70
	javaReference  = 0x71
	javaClassDesc  = 0x72
	javaObject     = 0x73
	javaString     = 0x74
	javaBlock      = 0x77
	javaEnd        = 0x78
	javaBlockLong  = 0x7a
	javaLongString = 0x7c
	javaHandles    = 0x7e0000

	javaWriteMethod  = 0x01
	javaSerializable = 0x02
)

var errJava = errors.New("it ends early or is no serialized map")

// javaClass is what a class descriptor tells of the data of its objects.
type javaClass struct {
	name   string
	flags  byte
	fields []byte // their type codes
	super  *javaClass
}

// javaReader reads a serialized map whose keys and values are strings; values of
// other kinds are gone past.
type javaReader struct {
	b       []byte
	handles []any
	depth   int
}

// javaStrings are the pairs of strings in a serialized HashMap.
func javaStrings(b []byte) (map[string]string, error) {
	if len(b) < 4 || string(b[:4]) != javaMagic {
		return nil, errJava
	}
	r := &javaReader{b: b[4:]}
	if code, err := r.byte(); err != nil || code != javaObject {
		return nil, errJava
	}
	class, err := r.class()
	if err != nil {
		return nil, err
	}
	r.handles = append(r.handles, nil)
	var below [][]byte // the fields of subclasses, such as LinkedHashMap
	for c, n := class, 0; c != nil && n < 8; c, n = c.super, n+1 {
		if c.name != "java.util.HashMap" {
			below = append(below, c.fields)
			continue
		}
		if c.flags&javaWriteMethod == 0 {
			return nil, errJava
		}
		out, err := r.pairs(c)
		for i := len(below) - 1; i >= 0 && err == nil; i-- {
			err = r.values(below[i])
		}
		if err != nil {
			return nil, err
		}
		return out, nil
	}
	return nil, errJava
}

// pairs reads HashMap.writeObject: the fields, a block with capacity and size, and
// keys and values in turn.
func (r *javaReader) pairs(class *javaClass) (map[string]string, error) {
	if err := r.values(class.fields); err != nil {
		return nil, err
	}
	code, err := r.byte()
	if err != nil || code != javaBlock {
		return nil, errJava
	}
	size, err := r.byte()
	if err != nil || size != 8 {
		return nil, errJava
	}
	head, err := r.take(8)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for range binary.BigEndian.Uint32(head[4:]) {
		key, err := r.object()
		if err != nil {
			return nil, err
		}
		value, err := r.object()
		if err != nil {
			return nil, err
		}
		k, ok := key.(string)
		if v, is := value.(string); ok && is {
			out[k] = v
		}
	}
	if code, err = r.byte(); err != nil || code != javaEnd {
		return nil, errJava
	}
	return out, nil
}

func (r *javaReader) take(n int) ([]byte, error) {
	if n < 0 || n > len(r.b) {
		return nil, errJava
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out, nil
}

func (r *javaReader) byte() (byte, error) {
	b, err := r.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func (r *javaReader) short() (int, error) {
	b, err := r.take(2)
	if err != nil {
		return 0, err
	}
	return int(binary.BigEndian.Uint16(b)), nil
}

// utf reads a string with a length of two bytes, in Java's modified UTF-8.
func (r *javaReader) utf() (string, error) {
	n, err := r.short()
	if err != nil {
		return "", err
	}
	b, err := r.take(n)
	if err != nil {
		return "", err
	}
	return modifiedUTF8(b)
}

// object reads the next value: a string, or anything else as nil.
func (r *javaReader) object() (any, error) {
	if r.depth++; r.depth > 32 {
		return nil, errJava
	}
	defer func() { r.depth-- }()
	code, err := r.byte()
	if err != nil {
		return nil, err
	}
	switch code {
	case javaNull:
		return nil, nil
	case javaReference:
		return r.reference()
	case javaString:
		s, err := r.utf()
		r.handles = append(r.handles, s)
		return s, err
	case javaLongString:
		head, err := r.take(8)
		if err != nil {
			return nil, err
		}
		n := binary.BigEndian.Uint64(head)
		if n > uint64(len(r.b)) {
			return nil, errJava
		}
		b, _ := r.take(int(n))
		s, err := modifiedUTF8(b)
		r.handles = append(r.handles, s)
		return s, err
	case javaObject:
		class, err := r.class()
		if err != nil {
			return nil, err
		}
		r.handles = append(r.handles, nil)
		return nil, r.data(class)
	}
	return nil, errJava
}

func (r *javaReader) reference() (any, error) {
	b, err := r.take(4)
	if err != nil {
		return nil, err
	}
	at := int(binary.BigEndian.Uint32(b)) - javaHandles
	if at < 0 || at >= len(r.handles) {
		return nil, errJava
	}
	return r.handles[at], nil
}

// class reads a class descriptor, nil for none.
func (r *javaReader) class() (*javaClass, error) {
	if r.depth++; r.depth > 32 {
		return nil, errJava
	}
	defer func() { r.depth-- }()
	code, err := r.byte()
	switch {
	case err != nil:
		return nil, err
	case code == javaNull:
		return nil, nil
	case code == javaReference:
		v, err := r.reference()
		c, ok := v.(*javaClass)
		if err == nil && !ok {
			err = errJava
		}
		return c, err
	case code != javaClassDesc:
		return nil, errJava
	}
	c := &javaClass{}
	if c.name, err = r.utf(); err != nil {
		return nil, err
	}
	if _, err = r.take(8); err != nil { // serialVersionUID
		return nil, err
	}
	r.handles = append(r.handles, c)
	if c.flags, err = r.byte(); err != nil {
		return nil, err
	}
	if err := r.fields(c); err != nil {
		return nil, err
	}
	if code, err = r.byte(); err != nil || code != javaEnd { // annotations of a class: none here
		return nil, errJava
	}
	c.super, err = r.class()
	return c, err
}

func (r *javaReader) fields(c *javaClass) error {
	n, err := r.short()
	if err != nil {
		return err
	}
	for range n {
		kind, err := r.byte()
		if err != nil {
			return err
		}
		if _, err := r.utf(); err != nil {
			return err
		}
		if kind == 'L' || kind == '[' {
			if _, err := r.object(); err != nil { // the name of its class
				return err
			}
		}
		c.fields = append(c.fields, kind)
	}
	return nil
}

// values goes past the fields of an object.
func (r *javaReader) values(kinds []byte) error {
	size := map[byte]int{'B': 1, 'Z': 1, 'C': 2, 'S': 2, 'I': 4, 'F': 4, 'J': 8, 'D': 8}
	for _, k := range kinds {
		if n, ok := size[k]; ok {
			if _, err := r.take(n); err != nil {
				return err
			}
			continue
		}
		if _, err := r.object(); err != nil {
			return err
		}
	}
	return nil
}

// data goes past an object of a class, the classes above it first.
func (r *javaReader) data(c *javaClass) error {
	if c == nil {
		return nil
	}
	if r.depth++; r.depth > 32 {
		return errJava
	}
	defer func() { r.depth-- }()
	if err := r.data(c.super); err != nil {
		return err
	}
	if c.flags&javaSerializable == 0 {
		return errJava
	}
	if err := r.values(c.fields); err != nil {
		return err
	}
	for c.flags&javaWriteMethod != 0 {
		if len(r.b) == 0 {
			return errJava
		}
		switch r.b[0] {
		case javaEnd:
			r.b = r.b[1:]
			return nil
		case javaBlock:
			if len(r.b) < 2 {
				return errJava
			}
			if _, err := r.take(2 + int(r.b[1])); err != nil {
				return err
			}
		case javaBlockLong:
			return errJava
		default:
			if _, err := r.object(); err != nil {
				return err
			}
		}
	}
	return nil
}

// modifiedUTF8 decodes Java's encoding of UTF-16: NUL in two bytes, and what is
// beyond the basic plane as two surrogates of three.
func modifiedUTF8(b []byte) (string, error) {
	units := make([]uint16, 0, len(b))
	for i := 0; i < len(b); {
		more := func(n int) uint16 { return uint16(b[i+n] & 0x3f) }
		switch c := b[i]; {
		case c < 0x80:
			units = append(units, uint16(c))
			i++
		case c>>5 == 6 && i+1 < len(b):
			units = append(units, uint16(c&0x1f)<<6|more(1))
			i += 2
		case c>>4 == 14 && i+2 < len(b):
			units = append(units, uint16(c&0x0f)<<12|more(1)<<6|more(2))
			i += 3
		default:
			return "", errJava
		}
	}
	return string(utf16.Decode(units)), nil
}
