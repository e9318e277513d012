package pinentry

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

func TestAnswer(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for name, tc := range map[string]struct {
		in   string
		want string
		code int   // of a refusal
		err  error // other than one
	}{
		"nothing to tell":        {in: "OK\n"},
		"with a word":            {in: "OK Pleased to meet you\n"},
		"a passphrase":           {in: "D 123456\nOK\n", want: "123456"},
		"in pieces":              {in: "D 123\nD 456\nOK\n", want: "123456"},
		"decoded":                {in: "D a%25b%0Ac%0d%41\nOK\n", want: "a%b\nc\rA"},
		"any byte":               {in: "D \xc3\xa4 \xff\nOK\n", want: "\xc3\xa4 \xff"},
		"status and comment":     {in: "S PASSWORD_FROM_CACHE\n# hello\n#x\nD 1\nOK\n", want: "1"},
		"carriage returns":       {in: "D 1\r\nOK\r\n", want: "1"},
		"a question back":        {in: "INQUIRE QUALITY abc\nD 1\nOK\n", want: "1"},
		"cancelled":              {in: "ERR 83886179 Operation cancelled <Pinentry>\n", code: codeCancelled},
		"data then an error":     {in: "D 123456\nERR 83886179\n", code: codeCancelled},
		"half an escape":         {in: "D 12%4\nOK\n", err: errProtocol},
		"no escape":              {in: "D 12%zz\nOK\n", err: errProtocol},
		"no protocol":            {in: "HTTP/1.1 200 OK\n", err: errProtocol},
		"an error of no number":  {in: "ERR x\n", err: errProtocol},
		"an error out of range":  {in: "ERR 99999999999\n", err: errProtocol},
		"an end in mid-line":     {in: "D 1", err: errProtocol},
		"an end":                 {in: "D 1\n", err: io.EOF},
		"a long line":            {in: long + "\nOK\n", err: errProtocol},
		"the longest line":       {in: "D " + long[:maxLine-3] + "\nOK\n", want: long[:maxLine-3]},
		"small letters":          {in: "ok\n", err: errProtocol},
		"for ever":               {in: strings.Repeat("S x\n", maxLines+1), err: errProtocol},
		"an empty passphrase":    {in: "D \nOK\n"},
		"nothing of a data line": {in: "D\nOK\n"},
	} {
		for kind, r := range map[string]io.Reader{"": strings.NewReader(tc.in), " byte by byte": iotest.OneByteReader(strings.NewReader(tc.in))} {
			s := &session{r: r, w: io.Discard}
			got, err := s.answer()
			var refused *refusalError
			switch {
			case tc.code != 0:
				if !errors.As(err, &refused) || refused.Code != tc.code {
					t.Errorf("%s%s: %v, want code %d", name, kind, err, tc.code)
				}
			case !errors.Is(err, tc.err):
				t.Errorf("%s%s: %v, want %v", name, kind, err, tc.err)
			}
			if string(got) != tc.want {
				t.Errorf("%s%s: %q, want %q", name, kind, got, tc.want)
			}
		}
	}
	s := &session{r: strings.NewReader(strings.Repeat("D "+long[:900]+"\n", 2) + "OK\n"), w: io.Discard}
	if got, err := s.answer(); err == nil || got != nil {
		t.Errorf("more than %d bytes: %d, %v", maxSecret, len(got), err)
	}
}

func TestWipe(t *testing.T) {
	s := &session{r: strings.NewReader("D 123456\nOK\n"), w: io.Discard}
	if got, err := s.answer(); err != nil || string(got) != "123456" {
		t.Fatal(err)
	}
	s.wipe()
	if bytes.Contains(s.buf[:], []byte("123456")) {
		t.Error("the buffer still holds the passphrase")
	}
}

func TestEncode(t *testing.T) {
	for in, want := range map[string]string{
		"plain":        "plain",
		"two\nlines":   "two%0Alines",
		"100 %":        "100 %25",
		"<b>Ä</b>":     "‹b›Ä‹/b›",
		"bell\x07":     "bell%07",
		"broken\xff":   "broken?",
		"a\r\nBYE\r\n": "a%0D%0ABYE%0D%0A",
	} {
		if got := encode(in, maxLine); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
	for _, room := range []int{0, 1, 10, 11, 12, 13} {
		got := encode(strings.Repeat("ä", 5)+"%%%", room)
		if len(got) > room || !utf8.ValidString(got) || strings.HasSuffix(got, "%") || strings.HasSuffix(got, "%2") {
			t.Errorf("in %d bytes: %q", room, got)
		}
	}
}

func TestCandidates(t *testing.T) {
	first := func(e Environment) string {
		if c := candidates(e); len(c) > 0 {
			return c[0]
		}
		return ""
	}
	if got := first(Environment{Graphical: true, TTY: "/dev/pts/1"}); got != "pinentry-gnome3" {
		t.Errorf("on a desktop: %q", got)
	}
	if got := first(Environment{TTY: "/dev/pts/1"}); got != "pinentry-curses" {
		t.Errorf("in a terminal: %q", got)
	}
	if _, err := Find("", Environment{}); !errors.Is(err, ErrNone) {
		t.Errorf("nowhere: %v", err)
	}
	if _, err := Find("no-such-pinentry", Environment{}); err == nil || !strings.Contains(err.Error(), "no-such-pinentry") {
		t.Errorf("one that is not there: %v", err)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		s := &session{r: bytes.NewReader(in), w: io.Discard}
		for {
			data, err := s.answer()
			if len(data) > maxSecret {
				t.Errorf("%d bytes", len(data))
			}
			if err != nil && data != nil {
				t.Error("data beside an error")
			}
			var refused *refusalError
			if err != nil && !errors.As(err, &refused) {
				break
			}
			if refused != nil && (refused.Code < 0 || refused.Code > codeMask || strings.ContainsAny(refused.Text, "\n\r\x1b")) {
				t.Errorf("%+v", refused)
			}
		}
		s.wipe()
		if bytes.ContainsFunc(s.buf[:], func(r rune) bool { return r != 0 }) {
			t.Error("something was left in the buffer")
		}
	})
}
