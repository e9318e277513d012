package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/tokenbridge/tokend/ipc"
)

// shape is what JSON a wire type can be read from. encoding/json alone is too
// forgiving for an API that carries PINs: it takes the last of several equal
// names, any case of a name, and replaces broken UTF-8, so that two readers of
// one request can see two different requests.
type shape struct {
	kind   kind
	fields map[string]*field // of an object
	elem   *shape            // of an array
}

type kind string

const (
	isObject kind = "an object"
	isArray  kind = "an array"
	isString kind = "a string"
	isNumber kind = "a whole number"
	isBool   kind = "true or false"
)

type field struct {
	*shape
	required bool
}

// shapeOf reads the shape off a Go type. It panics on a type that no request
// has: that is a mistake in the table of routes.
func shapeOf(t reflect.Type) *shape {
	switch {
	case t == reflect.TypeFor[ipc.Secret](), t == reflect.TypeFor[ipc.Time](), t == reflect.TypeFor[[]byte]():
		return &shape{kind: isString}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return shapeOf(t.Elem())
	case reflect.Slice:
		return &shape{kind: isArray, elem: shapeOf(t.Elem())}
	case reflect.String:
		return &shape{kind: isString}
	case reflect.Bool:
		return &shape{kind: isBool}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return &shape{kind: isNumber}
	case reflect.Struct:
		s := &shape{kind: isObject, fields: map[string]*field{}}
		for i := range t.NumField() {
			name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			s.fields[name] = &field{shape: shapeOf(t.Field(i).Type), required: options == ""}
		}
		return s
	default:
		panic("no shape for " + t.String())
	}
}

var errJSON = errors.New("the body is not valid JSON")

// check compares body, which may be empty for an empty object, with s: every
// name known, in its exact spelling, once; every required name there; nothing
// after the value; all strings valid Unicode. Its errors hold no value.
func (s *shape) check(body []byte) *ipc.Error {
	if len(body) == 0 {
		body = []byte("{}")
	}
	if !utf8.Valid(body) || !json.Valid(body) {
		return &ipc.Error{Kind: ipc.InvalidArgument, Message: errJSON.Error()}
	}
	w := walker{b: body}
	if !w.value(s, "the body") {
		w.fail("the body must be " + string(s.kind))
	}
	if w.problem != "" {
		return &ipc.Error{Kind: ipc.InvalidArgument, Message: w.problem}
	}
	return nil
}

// walker goes through JSON that json.Valid has approved of. Its depth is that
// of the shape.
type walker struct {
	b       []byte
	problem string
}

func (w *walker) fail(message string) {
	if w.problem == "" {
		w.problem = message
	}
	w.b = nil
}

func (w *walker) space() {
	for len(w.b) > 0 && (w.b[0] == ' ' || w.b[0] == '\t' || w.b[0] == '\n' || w.b[0] == '\r') {
		w.b = w.b[1:]
	}
}

// peek is the next byte that counts, 0 at the end.
func (w *walker) peek() byte {
	w.space()
	if len(w.b) == 0 {
		return 0
	}
	return w.b[0]
}

func (w *walker) take() byte {
	c := w.peek()
	if c != 0 {
		w.b = w.b[1:]
	}
	return c
}

// value reads one value of shape s and says whether it was something else than
// null. name is for messages.
func (w *walker) value(s *shape, name string) bool {
	var found kind
	switch c := w.peek(); {
	case c == '{':
		found = isObject
	case c == '[':
		found = isArray
	case c == '"':
		found = isString
	case c == 't' || c == 'f':
		found = isBool
	case c == 'n':
		w.scalar()
		return false
	case c == '-' || (c >= '0' && c <= '9'):
		found = isNumber
	}
	if found != s.kind {
		w.fail(name + " must be " + string(s.kind))
		return false
	}
	switch found {
	case isObject:
		w.object(s, name)
	case isArray:
		w.array(s, name)
	case isString:
		w.str()
	default:
		w.scalar()
	}
	return true
}

func (w *walker) scalar() {
	n := bytes.IndexAny(w.b, ",]} \t\r\n")
	if n < 0 {
		n = len(w.b)
	}
	w.b = w.b[n:]
}

func (w *walker) array(s *shape, name string) {
	w.take()
	if w.peek() == ']' {
		w.take()
		return
	}
	for {
		if !w.value(s.elem, "each of "+name) {
			w.fail("each of " + name + " must be " + string(s.elem.kind))
		}
		if w.take() != ',' {
			return
		}
	}
}

func (w *walker) object(s *shape, name string) {
	w.take()
	seen := make([]*field, 0, 16)
	if w.peek() == '}' {
		w.take()
	} else {
		for {
			key := string(w.str())
			f := s.fields[key]
			if f == nil {
				w.fail(name + " has a field that is not known: " + quote(key))
				return
			}
			for _, other := range seen {
				if other == f {
					w.fail("the field " + key + " is there twice")
					return
				}
			}
			w.take() // the colon
			if w.value(f.shape, "the field "+key) || !f.required {
				seen = append(seen, f)
			}
			if w.take() != ',' {
				break
			}
		}
	}
	if w.problem == "" {
		s.complete(w, seen)
	}
}

func (s *shape) complete(w *walker, seen []*field) {
	missing := ""
	for name, f := range s.fields {
		if !f.required {
			continue
		}
		there := false
		for _, other := range seen {
			there = there || other == f
		}
		if !there && (missing == "" || name < missing) {
			missing = name
		}
	}
	if missing != "" {
		w.fail("the field " + missing + " is missing")
	}
}

// str reads a string and returns it without quotes, escapes as they are: a
// field's name needs none, so that one with escapes is an unknown name.
func (w *walker) str() []byte {
	w.take()
	b := w.b
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			w.b = b[i+1:]
			return b[:i]
		case '\\':
			n, ok := escape(b[i:])
			if !ok {
				w.fail("a string holds half of a surrogate pair")
				return nil
			}
			i += n - 1
		}
	}
	w.fail(errJSON.Error())
	return nil
}

// escape measures the escape at the head of b. Half of a surrogate pair stands
// for no character, and encoding/json would read another one in its place.
func escape(b []byte) (n int, ok bool) {
	if len(b) < 2 || b[1] != 'u' {
		return 2, true
	}
	switch hi := hex4(b[2:]); {
	case hi >= 0xdc00 && hi < 0xe000:
		return 0, false
	case hi >= 0xd800 && hi < 0xdc00:
		if len(b) < 12 || b[6] != '\\' || b[7] != 'u' {
			return 0, false
		}
		lo := hex4(b[8:])
		return 12, lo >= 0xdc00 && lo < 0xe000
	}
	return 6, true
}

func hex4(b []byte) (n int) {
	for i := range min(4, len(b)) {
		c := b[i]
		switch {
		case c >= 'a':
			c -= 'a' - 10
		case c >= 'A':
			c -= 'A' - 10
		default:
			c -= '0'
		}
		n = n<<4 | int(c)
	}
	return n
}

// quote keeps a foreign name in a message short and printable.
func quote(name string) string {
	if len(name) > 40 {
		name = strings.ToValidUTF8(name[:40], "") + "…"
	}
	b, err := json.Marshal(name)
	if err != nil {
		return `"?"`
	}
	return string(b)
}

// unmarshal reads a checked body. What can still fail is a number out of range
// or a string that is no base64; encoding/json's message would quote the value.
func unmarshal(body []byte, in any) error {
	if len(body) == 0 {
		return nil
	}
	err := json.Unmarshal(body, in)
	if err == nil {
		return nil
	}
	message := "a value in the body cannot be read"
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) && typ.Field != "" {
		message = "the field " + typ.Field + " must be a whole number in its range"
	}
	return &ipc.Error{Kind: ipc.InvalidArgument, Message: message}
}

var errTooLarge = errors.New("too large")

// readBody reads at most limit bytes; size is what the client announced, -1
// when it did not. Memory grows with what has really come, to what was announced
// once a quarter of it is there, and outgrown pieces are wiped. The caller wipes what
// is returned, also with an error.
func readBody(r io.Reader, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, errTooLarge
	}
	const step = 64 << 10
	first := size
	if first < 0 || first > step {
		first = step
	}
	buf := make([]byte, 0, first+1)
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > limit {
			return buf, errTooLarge
		}
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
		if len(buf) == cap(buf) {
			room := min(int64(2*cap(buf)), limit+1)
			if have := int64(len(buf)); size > have && size <= 4*have {
				room = size + 1
			}
			bigger := make([]byte, len(buf), room)
			copy(bigger, buf)
			clear(buf)
			buf = bigger
		}
	}
}
