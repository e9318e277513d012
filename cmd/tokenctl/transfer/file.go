package transfer

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// File is a file and, made when first asked for, the views of it that formats
// look at.
type File struct {
	Data []byte
	Name string

	depth int // how many archives it was in

	asText   *string
	asJSON   *jsonView
	asPrefs  *prefsView
	asZIP    *zipView
	asTable  *tableView
	asLines  []line
	hasLines bool
}

// text is the file as text without byte order mark, UTF-16 included; empty where
// it is none.
func (f *File) text() string {
	if f.asText == nil {
		s := decodeText(f.Data)
		f.asText = &s
	}
	return *f.asText
}

func decodeText(b []byte) string {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		order, b = binary.LittleEndian, b[2:]
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		order, b = binary.BigEndian, b[2:]
	case zeroAt(b, 1):
		order = binary.LittleEndian
	case zeroAt(b, 0):
		order = binary.BigEndian
	default:
		b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
		switch {
		case oldText(b):
			s, err := charmap.Windows1252.NewDecoder().Bytes(b)
			if err != nil {
				return ""
			}
			return string(s)
		case !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0:
			return ""
		}
		return string(b)
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = order.Uint16(b[2*i:])
	}
	s := string(utf16.Decode(units))
	if strings.ContainsRune(s, 0) {
		return ""
	}
	return s
}

// zeroAt says whether the file looks like UTF-16 of Latin letters without a mark:
// of each pair of bytes that one is zero, and the other is not.
func zeroAt(b []byte, at int) bool {
	const looked = 64
	if len(b) < 8 || len(b)%2 != 0 {
		return false
	}
	for i := range min(len(b), looked) {
		if (b[i] == 0) != (i%2 == at) {
			return false
		}
	}
	return true
}

// oldText says whether bytes are text as Windows wrote it before Unicode: letters
// beyond ASCII are a few among many, and there is nothing that is no letter.
func oldText(b []byte) bool {
	if utf8.Valid(b) {
		return false
	}
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

type jsonView struct {
	object map[string]json.RawMessage
	list   []json.RawMessage
	broken bool // it begins like JSON, and is none
}

// json is the outermost layer of a JSON file.
func (f *File) json() *jsonView {
	if f.asJSON != nil {
		return f.asJSON
	}
	v := &jsonView{}
	f.asJSON = v
	text := strings.TrimSpace(f.text())
	if text == "" {
		return v
	}
	var err error
	switch text[0] {
	case '{':
		err = json.Unmarshal([]byte(text), &v.object)
	case '[':
		err = json.Unmarshal([]byte(text), &v.list)
	}
	if err != nil {
		v.object, v.list, v.broken = nil, nil, true
	}
	return v
}

// has says whether the file is a JSON object with all of these members.
func (f *File) has(names ...string) bool {
	for _, n := range names {
		if _, ok := f.json().object[n]; !ok {
			return false
		}
	}
	return true
}

// firstHas says whether the file is a JSON list whose first object has all of
// these members.
func (f *File) firstHas(names ...string) bool {
	list := f.json().list
	if len(list) == 0 {
		return false
	}
	var first map[string]json.RawMessage
	if json.Unmarshal(list[0], &first) != nil {
		return false
	}
	for _, n := range names {
		if _, ok := first[n]; !ok {
			return false
		}
	}
	return true
}

type pref struct{ name, value string }

type prefsView struct {
	list   []pref
	is     bool // it is Android's preferences
	root   string
	broken bool
}

// prefs is the strings of an Android "shared preferences" file, in order.
func (f *File) prefs() *prefsView {
	if f.asPrefs != nil {
		return f.asPrefs
	}
	v := &prefsView{}
	f.asPrefs = v
	if text := strings.TrimSpace(f.text()); strings.HasPrefix(text, "<") {
		v.read(text)
	}
	return v
}

// read goes through the elements of the map; an entity that is not one of XML's
// own five makes the file broken, so nothing outside of it is ever looked at.
func (v *prefsView) read(text string) {
	d := xml.NewDecoder(strings.NewReader(text))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	var name string
	var value strings.Builder
	depth, inside := 0, false
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			v.broken = true
			return
		}
		switch t := t.(type) {
		case xml.StartElement:
			depth++
			if depth == 1 {
				v.root, v.is = t.Name.Local, t.Name.Local == "map" && t.Name.Space == ""
				if !v.is {
					return
				}
			}
			inside = depth == 2 && t.Name.Local == "string"
			name = ""
			value.Reset()
			for _, a := range t.Attr {
				if a.Name.Local == "name" {
					name = a.Value
				}
			}
		case xml.CharData:
			if inside {
				value.Write(t)
			}
		case xml.EndElement:
			if inside {
				v.list = append(v.list, pref{name, value.String()})
			}
			depth--
			inside = false
		}
	}
}

// get is the value of a preference, and whether there is one.
func (v *prefsView) get(name string) (string, bool) {
	for _, p := range v.list {
		if p.name == name {
			return p.value, true
		}
	}
	return "", false
}

type zipView struct {
	files  []*zip.File
	is     bool
	broken bool
}

func (f *File) zip() *zipView {
	if f.asZIP != nil {
		return f.asZIP
	}
	v := &zipView{is: bytes.HasPrefix(f.Data, []byte("PK\x03\x04")) || bytes.HasPrefix(f.Data, []byte("PK\x05\x06"))}
	f.asZIP = v
	if !v.is {
		return v
	}
	r, err := zip.NewReader(bytes.NewReader(f.Data), int64(len(f.Data)))
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		v.broken = true
		return v
	}
	for _, file := range r.File {
		if !strings.HasSuffix(file.Name, "/") {
			v.files = append(v.files, file)
		}
	}
	return v
}

// find is the file of an archive with this last part of its path.
func (v *zipView) find(base string) *zip.File {
	for _, file := range v.files {
		if file.Name == base || strings.HasSuffix(file.Name, "/"+base) {
			return file
		}
	}
	return nil
}
