package seeds

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// file is a file as text, and what formats look at to know it.
type file struct {
	text []byte // UTF-8, without byte order mark
	old  bool   // it was in Windows-1252

	root     string // the outermost element of XML; empty where it is none
	rootFail error  // why the beginning of what looks like XML cannot be read

	end   int      // the line that the file ends in without a line end; 0 where it has one
	first []string // its first lines that say something, without comments
	comma byte     // what separates the fields of a table: , ; tab | or blank; 0 in XML
}

// looked is how many lines decide what a table is.
const looked = 200

// open makes text of bytes.
func open(data []byte) (*file, error) {
	f := &file{}
	switch units, order := utf16Of(data); {
	case order != nil:
		f.text = fromUTF16(units, order)
	default:
		f.text = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
		if !utf8.Valid(f.text) && oldText(f.text) {
			text, err := charmap.Windows1252.NewDecoder().Bytes(f.text)
			if err != nil {
				return nil, problem(Unknown, "", "the file is no text")
			}
			f.text, f.old = text, true
		}
	}
	if !utf8.Valid(f.text) || bytes.IndexByte(f.text, 0) >= 0 {
		return nil, problem(Unknown, "", "the file is no text")
	}
	if bytes.HasPrefix(bytes.TrimSpace(f.text), []byte("<")) {
		f.findRoot()
		return f, nil
	}
	f.findLines()
	return f, nil
}

// utf16Of is what follows the mark of UTF-16, and its order; or bytes of Latin text
// in UTF-16 without a mark.
func utf16Of(b []byte) ([]byte, binary.ByteOrder) {
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		return b[2:], binary.LittleEndian
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		return b[2:], binary.BigEndian
	case zeroAt(b, 1):
		return b, binary.LittleEndian
	case zeroAt(b, 0):
		return b, binary.BigEndian
	}
	return nil, nil
}

// zeroAt says whether of each of the first pairs of bytes that one is zero, and the
// other is not.
func zeroAt(b []byte, at int) bool {
	const pairs = 32
	if len(b) < 8 || len(b)%2 != 0 {
		return false
	}
	for i := range min(len(b), 2*pairs) {
		if (b[i] == 0) != (i%2 == at) {
			return false
		}
	}
	return true
}

func fromUTF16(b []byte, order binary.ByteOrder) []byte {
	out := make([]byte, 0, len(b)/2+16)
	for i := 0; i+1 < len(b); i += 2 {
		r := rune(order.Uint16(b[i:]))
		if utf16.IsSurrogate(r) && i+3 < len(b) {
			r = utf16.DecodeRune(r, rune(order.Uint16(b[i+2:])))
			i += 2
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

// oldText says whether bytes are text as Windows wrote it before Unicode: letters
// beyond ASCII are few, and there is nothing that is no letter.
func oldText(b []byte) bool {
	beyond := 0
	for _, c := range b {
		switch {
		case c < ' ' && c != '\n' && c != '\r' && c != '\t', c == 0x7f, c == 0x81, c == 0x8d, c == 0x8f, c == 0x90, c == 0x9d:
			return false
		case c >= utf8.RuneSelf:
			beyond++
		}
	}
	return beyond <= len(b)/4
}

// decoder reads the file as XML. An entity that is not one of XML's own five is an
// error of it, so nothing outside of the file is ever looked at.
func (f *file) decoder() *xml.Decoder {
	d := xml.NewDecoder(bytes.NewReader(f.text))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // it is UTF-8 by now
	return d
}

// findRoot looks for the outermost element.
func (f *file) findRoot() {
	d := f.decoder()
	for {
		t, err := d.Token()
		if err != nil {
			f.rootFail = err
			return
		}
		switch t := t.(type) {
		case xml.StartElement:
			f.root = t.Name.Local
			return
		case xml.Directive:
			if !isDoctype(t, "html") {
				continue
			}
			f.root = "html"
			return
		}
	}
}

// isDoctype says whether a directive is a document type, of that name where one is
// given.
func isDoctype(t xml.Directive, name string) bool {
	words := strings.Fields(strings.ToLower(string(t)))
	return len(words) > 0 && words[0] == "doctype" && (name == "" || len(words) > 1 && words[1] == name)
}

// findLines looks at the first lines and at what separates their fields: what most
// of them have.
func (f *file) findLines() {
	rest := f.text
	for len(rest) > 0 && len(f.first) < looked {
		l, after, _ := bytes.Cut(rest, []byte("\n"))
		rest = after
		const longest = 4096
		if l = bytes.TrimSpace(l); len(l) > longest {
			l = l[:longest]
		}
		switch s := strings.ToValidUTF8(string(l), ""); {
		case s == "" || s[0] == '#':
		case strings.HasPrefix(strings.ToLower(s), "sep=") && len(s) == len("sep=,"):
			f.comma = s[len(s)-1]
		default:
			f.first = append(f.first, s)
		}
	}
	if !bytes.HasSuffix(f.text, []byte("\n")) {
		f.end = bytes.Count(f.text, []byte("\n")) + 1
	}
	if f.comma == 0 {
		f.comma = separator(f.first)
	}
}

// separator is what stands between fields in most lines; 0 where nothing does.
func separator(lines []string) byte {
	most, best := 0, byte(0)
	for _, comma := range []byte{',', ';', '\t', '|', ' '} {
		n := 0
		for _, l := range lines {
			if strings.IndexByte(l, comma) > 0 {
				n++
			}
		}
		// Blanks are in names and behind commas too; they separate only where hardly
		// anything else does.
		if n > most && (comma != ' ' || 2*most <= n) {
			most, best = n, comma
		}
	}
	return best
}

// unknown says what a file is that no format takes.
func unknown(f *file) error {
	var syntax *xml.SyntaxError
	switch {
	case f.root == "html":
		return problem(WebPage, "", "the file is a web page")
	case errors.As(f.rootFail, &syntax):
		return problem(Damaged, "", "the file is XML that is damaged in line %d", syntax.Line)
	case f.rootFail != nil:
		return problem(Damaged, "", "the file is XML that is cut short")
	case f.root != "":
		return problem(Unknown, "", "the file is XML of another kind: its outermost element is %s", clean(f.root))
	}
	return problem(Unknown, "", "the file is none of the kinds of seed files that are known")
}

// clean makes text of a file fit to be shown: short, and printable.
func clean(s string) string {
	const longest = 64
	var out []rune
	for _, r := range strings.TrimSpace(s) {
		if !printable(r) {
			r = '?'
		}
		if out = append(out, r); len(out) == longest {
			return string(out) + "…"
		}
	}
	return string(out)
}
