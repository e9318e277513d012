package wire

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/tokenbridge/tokend/tokens"
)

// ErrFormat is wrapped by every error about bytes that are not of this
// protocol. No error of this package holds any of the bytes read.
var ErrFormat = errors.New("not the helper's protocol")

// WriteRequest writes r in both its lines and leaves no copy of its secrets
// behind but those in r.
func WriteRequest(w io.Writer, r Request) error {
	r.Version = Version
	open, secrets := split(r)
	line, err := json.Marshal(open)
	if err != nil {
		return fmt.Errorf("cannot encode the request: %w", err)
	}
	if len(line)+1 > MaxRequest {
		return tokens.Errorf(tokens.CodeInvalid, "the request is too large")
	}
	hidden, err := secrets.encode()
	if err != nil {
		return err
	}
	defer clear(hidden)
	if _, err := w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("cannot send the request: %w", err)
	}
	if _, err := w.Write(hidden); err != nil {
		return fmt.Errorf("cannot send the request: %w", err)
	}
	return nil
}

// encode writes the line by hand, into memory that the caller can wipe.
func (s *Secrets) encode() ([]byte, error) {
	members := []struct {
		name  string
		value []byte
	}{{"pin", s.PIN}, {"old", s.Old}, {"new", s.New}, {"management_key", s.ManagementKey}}
	size := 3
	for _, m := range members {
		if len(m.value) > MaxSecret {
			return nil, tokens.Errorf(tokens.CodeInvalid, "the PIN, passphrase or key is too long")
		}
		size += len(m.name) + 6 + base64.StdEncoding.EncodedLen(len(m.value))
	}
	line := make([]byte, 0, size)
	sep := byte('{')
	for _, m := range members {
		if m.value == nil {
			continue
		}
		line = append(line, sep, '"')
		line = append(line, m.name...)
		line = append(line, '"', ':', '"')
		line = base64.StdEncoding.AppendEncode(line, m.value)
		line = append(line, '"')
		sep = ','
	}
	if sep == '{' {
		line = append(line, '{')
	}
	return append(line, '}', '\n'), nil
}

// ReadRequest reads both lines of a request and no byte more. It wipes what it
// read but for what the request holds.
func ReadRequest(in *bufio.Reader) (*Request, error) {
	line, err := readLine(in, MaxRequest)
	if err != nil {
		return nil, err
	}
	r := new(Request)
	if err := strict(line, r); err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	if r.Version != Version {
		return nil, fmt.Errorf("request: version %d is not %d: %w", r.Version, Version, ErrFormat)
	}
	if !r.complete() || r.PatienceMS < 0 || len(r.Devices) > MaxDevices {
		return nil, fmt.Errorf("request: operation and parameters do not match: %w", ErrFormat)
	}
	hidden, err := readLine(in, MaxRequest)
	if err != nil {
		return nil, err
	}
	defer clear(hidden)
	var s Secrets
	if err := strict(hidden, &s); err != nil {
		return nil, fmt.Errorf("secrets of the request: %w", err)
	}
	join(r, s)
	return r, nil
}

// Answers reads the lines of an answer.
type Answers struct {
	in    *bufio.Reader
	guard func(func())
	bound bool
	left  int
}

// NewAnswers reads from r; with bound, no more than MaxAnswer bytes in all. Lines
// are taken apart in guard, which calls its argument; nil stands for calling it.
func NewAnswers(r io.Reader, bound bool, guard func(func())) *Answers {
	if guard == nil {
		guard = func(f func()) { f() }
	}
	return &Answers{in: bufio.NewReaderSize(r, 4096), guard: guard, bound: bound, left: MaxAnswer}
}

// Next returns the next line. It fails with io.EOF at the end, with an error
// that wraps ErrFormat when the line is not of the protocol, and otherwise as
// reading fails.
func (a *Answers) Next() (out Answer, err error) {
	// A touch can be waited for outside the guard: this copies nothing.
	if _, err := a.in.Peek(1); err != nil {
		return Answer{}, err
	}
	a.guard(func() { out, err = a.next() })
	return out, err
}

func (a *Answers) next() (Answer, error) {
	limit := MaxLine
	if a.bound {
		limit = min(limit, a.left)
	}
	line, err := readLine(a.in, limit)
	if err != nil {
		return Answer{}, err
	}
	defer clear(line)
	a.left -= len(line) + 1
	out, err := decodeAnswer(line)
	if err != nil {
		return Answer{}, fmt.Errorf("answer: %w", err)
	}
	n := 0
	for _, present := range []bool{out.Event != "", out.Watch != nil, out.Result != nil, out.Error != nil} {
		if present {
			n++
		}
	}
	if n != 1 || out.Event != "" && out.Event != EventTouch && out.Event != EventBusy {
		return Answer{}, fmt.Errorf("answer: not one event, result or error: %w", ErrFormat)
	}
	return out, nil
}

// Decode reads a result strictly into v, and leaves no copy of an AgreeResult but
// the one in v.
func Decode(result json.RawMessage, v any) error {
	r, ok := v.(*AgreeResult)
	if !ok {
		return strict(result, v)
	}
	m, err := members(result)
	if err != nil {
		return err
	}
	defer m.wipe()
	for name, value := range m {
		if name != "shared" || json.Unmarshal(value, &r.Shared) != nil {
			return fmt.Errorf("malformed JSON: %w", ErrFormat)
		}
	}
	return nil
}

// decodeAnswer reads one line. A result can be a secret, and a json.Decoder
// would keep a copy of it in a buffer of its own: the members are told apart
// first, and Result is the only copy that is left.
func decodeAnswer(line []byte) (out Answer, err error) {
	m, err := members(line)
	if err != nil {
		return Answer{}, err
	}
	defer func() {
		if err != nil {
			m.wipe()
		}
	}()
	for name, value := range m {
		switch name {
		case "event":
			err = strict(value, &out.Event)
		case "watch":
			err = strict(value, &out.Watch)
		case "error":
			err = strict(value, &out.Error)
		case "result":
			out.Result = value
		default:
			err = ErrFormat
		}
		if err != nil {
			return Answer{}, err
		}
	}
	return out, nil
}

// object is the members of a JSON object, each in memory of its own.
type object map[string]json.RawMessage

func (o object) wipe() {
	for _, value := range o {
		clear(value)
	}
}

// members takes an object apart. json.Unmarshal, unlike a Decoder, copies
// nothing but what it is told to.
func members(b []byte) (object, error) {
	var o object
	if err := json.Unmarshal(b, &o); err != nil || o == nil {
		o.wipe()
		return nil, fmt.Errorf("malformed JSON: %w", ErrFormat)
	}
	return o, nil
}

// readLine returns one line without its end, in memory of its own. The reader's
// buffer keeps no copy that outlives the line by more than the next read.
func readLine(in *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > limit {
			clear(line)
			clear(part)
			return nil, fmt.Errorf("line longer than %d bytes: %w", limit, ErrFormat)
		}
		grown := append(make([]byte, 0, len(line)+len(part)), line...)
		grown = append(grown, part...)
		clear(line)
		clear(part)
		line = grown
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			clear(line)
			return nil, fmt.Errorf("line without end: %w", ErrFormat)
		default:
			return nil, err
		}
	}
}

// strict decodes exactly one JSON value without unknown members. The decoder's
// own errors quote what they read, so they are replaced.
func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("malformed JSON: %w", ErrFormat)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("more than one JSON value: %w", ErrFormat)
	}
	return nil
}
