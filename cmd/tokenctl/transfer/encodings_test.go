package transfer

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

// TestEncodings: an editor may have written a text file anew, in another encoding
// or with other ends of lines. Nothing that is in it may change by that.
func TestEncodings(t *testing.T) {
	units := func(s string, order binary.AppendByteOrder) []byte {
		out := order.AppendUint16(nil, 0xfeff)
		for _, u := range utf16.Encode([]rune(s)) {
			out = order.AppendUint16(out, u)
		}
		return out
	}
	tried := 0
	for _, f := range fixtures(t) {
		if !utf8.Valid(f.data) || bytes.IndexByte(f.data, 0) >= 0 || !f.cheap() {
			continue
		}
		tried++
		s := strings.TrimPrefix(string(f.data), "\ufeff")
		for name, data := range map[string][]byte{
			"mark":              append([]byte("\xef\xbb\xbf"), s...),
			"UTF-16LE":          units(s, binary.LittleEndian),
			"UTF-16BE":          units(s, binary.BigEndian),
			"UTF-16LE, no mark": units(s, binary.LittleEndian)[2:],
			"CRLF":              []byte(strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")),
			"space around":      []byte("\n" + s + " \n\n"),
		} {
			res, err := Read(t.Context(), data, "", with(testPassword))
			if err != nil || !slices.Equal(rowsOf(res), slices.Sorted(slices.Values(f.want))) || res.Format != f.format || len(res.Skipped) != f.skips {
				t.Errorf("%s, %s: %v, %q, %d rows, %+v", f.name, name, err, res.Format, len(res.Rows), res.Skipped)
			}
		}
	}
	if tried < 30 {
		t.Errorf("%d fixtures are text", tried)
	}
}

// TestWindows1252: Excel saves tables in it, and names must come out right.
func TestWindows1252(t *testing.T) {
	data := []byte("Group;Title;Username;TOTP\nRoot;B\xfccher \x96 M\xfcller;j\xf6rg;" + b32(seed20) + "\n")
	res, err := Read(t.Context(), data, "", Options{})
	if err != nil || len(res.Rows) != 1 || res.Rows[0].Issuer != "Bücher – Müller" || res.Rows[0].Name != "jörg" || len(res.Notes) != 1 {
		t.Errorf("%v, %+v", err, res)
	}
}
