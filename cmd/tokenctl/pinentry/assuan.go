package pinentry

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The protocol between GnuPG's programs (libassuan, "Assuan protocol"): lines of
// at most 1000 bytes with the newline.
const maxLine = 1000

// maxSecret is the longest passphrase that is taken, in bytes.
const maxSecret = 1024

// maxLines bounds what a program may say before it answers a command.
const maxLines = 1000

// errProtocol is a program that does not speak Assuan.
var errProtocol = errors.New("it does not speak the protocol of pinentry")

// refusalError is how pinentry says that it did not do what it was asked.
type refusalError struct {
	// Code is libgpg-error's, without the source.
	Code int
	// Text is pinentry's own.
	Text string
}

func (e *refusalError) Error() string {
	if e.Text == "" {
		return "error " + strconv.Itoa(e.Code)
	}
	return e.Text
}

// The codes of libgpg-error that decide something.
const (
	codeTimeout      = 62
	codeCancelled    = 99
	codeNotConfirmed = 114
	codeFullyClosed  = 198 // the window was closed
	codeMask         = 0xffff
)

// session is the conversation with one pinentry.
type session struct {
	r    io.Reader
	w    io.Writer
	buf  [maxLine]byte // what was read; it can hold a passphrase
	have []byte        // the part of buf that was not taken yet
}

// wipe overwrites what was read.
func (s *session) wipe() {
	clear(s.buf[:])
	s.have = nil
}

// line is the next line, without its end. It is good until the next call.
func (s *session) line() ([]byte, error) {
	for {
		for i, c := range s.have {
			if c == '\n' {
				line := s.have[:i]
				s.have = s.have[i+1:]
				if i > 0 && line[i-1] == '\r' {
					line = line[:i-1]
				}
				return line, nil
			}
		}
		n := copy(s.buf[:], s.have)
		clear(s.buf[n:])
		if n == len(s.buf) {
			return nil, errProtocol
		}
		got, err := s.r.Read(s.buf[n:])
		s.have = s.buf[:n+got]
		if got == 0 && err != nil {
			if errors.Is(err, io.EOF) && n > 0 {
				return nil, errProtocol
			}
			return nil, err
		}
	}
}

// answer reads until the program has done, or refused, the last command, and
// returns the data that it sent. Status lines and comments are passed over; a
// question back is declined.
func (s *session) answer() (data []byte, err error) {
	defer func() {
		if err != nil {
			clear(data)
			data = nil
		}
	}()
	data = make([]byte, 0, maxSecret)
	for range maxLines {
		line, err := s.line()
		if err != nil {
			return data, err
		}
		word, rest := cut(line)
		switch word {
		case "OK":
			return data, nil
		case "ERR":
			return data, refusal(string(rest))
		case "D":
			if data, err = appendDecoded(data, rest); err != nil {
				return data, err
			}
		case "S", "#":
		case "INQUIRE":
			if _, err := io.WriteString(s.w, "CAN\n"); err != nil {
				return data, err
			}
		default:
			if len(line) > 0 && line[0] == '#' {
				continue
			}
			return data, errProtocol
		}
	}
	return data, errProtocol
}

// cut takes the first word off a line.
func cut(line []byte) (word string, rest []byte) {
	for i, c := range line {
		if c == ' ' {
			return string(line[:i]), line[i+1:]
		}
		if i >= len("INQUIRE") { // no word that is known is longer
			return "", nil
		}
	}
	if len(line) > len("INQUIRE") {
		return "", nil
	}
	return string(line), nil
}

func refusal(rest string) error {
	number, text, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return errProtocol
	}
	return &refusalError{Code: int(n & codeMask), Text: printable(text)}
}

// appendDecoded appends what a data line carries: a percent sign and two digits
// stand for a byte.
func appendDecoded(to, from []byte) ([]byte, error) {
	for i := 0; i < len(from); i++ {
		c := from[i]
		if c == '%' {
			if i+2 >= len(from) {
				return to, errProtocol
			}
			hi, ok1 := nibble(from[i+1])
			lo, ok2 := nibble(from[i+2])
			if !ok1 || !ok2 {
				return to, errProtocol
			}
			c = hi<<4 | lo
			i += 2
		}
		if len(to) == cap(to) { // it never moves, so that it can be wiped
			return to, fmt.Errorf("the answer is longer than %d bytes", cap(to))
		}
		to = append(to, c)
	}
	return to, nil
}

func nibble(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// encode is s as a command's argument, in at most room bytes: what would not fit
// is left out at the end.
func encode(s string, room int) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, r := range s {
		var piece string
		switch {
		case r == utf8.RuneError:
			piece = "?"
		case r == '<':
			// A description with tags is taken for rich text by some.
			piece = "‹"
		case r == '>':
			piece = "›"
		case r == '%' || r == '\n' || r < ' ' || r == 0x7f:
			piece = string([]byte{'%', hex[r>>4&15], hex[r&15]})
		default:
			piece = string(r)
		}
		if b.Len()+len(piece) > room {
			break
		}
		b.WriteString(piece)
	}
	return b.String()
}

// command says one line and reads the answer.
func (s *session) command(word, argument string) ([]byte, error) {
	line := word
	if argument != "" {
		line += " " + encode(argument, maxLine-len(word)-2)
	}
	if _, err := io.WriteString(s.w, line+"\n"); err != nil {
		return nil, err
	}
	return s.answer()
}

// set is command for what a pinentry may not know; that it does not is no
// failure.
func (s *session) set(word, argument string) error {
	data, err := s.command(word, argument)
	clear(data)
	var refused *refusalError
	if errors.As(err, &refused) {
		return nil
	}
	return err
}

// printable keeps what a program says fit for a log.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}
