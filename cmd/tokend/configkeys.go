package main

import "strings"

// keyAt is where a text gives a key, or opens a table.
type keyAt struct {
	name   string // with its table, dots between
	line   int
	from   int  // the byte it begins with
	to     int  // and where its value ends; of a table, its name
	header bool // it is in brackets
	inline bool // it is within braces
	opens  byte // the bracket or brace that its value begins with; 0 for none
	closed bool // and ends with
}

// keysOf are the keys and tables of a text in their order: the decoder keeps no
// positions. It looks for nothing that is wrong, and of a text that is no TOML it finds
// what it can.
func keysOf(text string) []keyAt {
	s := &keyScan{text: strings.TrimPrefix(text, "\ufeff"), line: 1}
	table := ""
	for s.space(true); s.at < len(s.text); s.space(true) {
		if s.text[s.at] == '[' {
			k := keyAt{from: s.at, header: true}
			s.pass("[")
			k.line = s.line
			table = s.key()
			k.name, k.to = table, s.at
			s.keys = append(s.keys, k)
			s.pass("]")
		} else {
			s.pair(table, 0)
		}
		for s.space(false); s.at < len(s.text) && s.text[s.at] != '\n'; { // of what was not understood
			s.at++
		}
	}
	return s.keys
}

// linesOf are the lines in which a text gives a key, or opens a table of that name.
func linesOf(keys []keyAt, name string) (lines []int) {
	for _, k := range keys {
		if k.name == name {
			lines = append(lines, k.line)
		}
	}
	return lines
}

// lineNear is the line of a key; where the text does not have it, that of the first key
// within it, and else of its table; 0 where it has none of them.
func lineNear(keys []keyAt, name string) int {
	for name != "" {
		if lines := linesOf(keys, name); len(lines) > 0 {
			return lines[0]
		}
		for _, k := range keys { // a dotted name opens tables, too
			if strings.HasPrefix(k.name, name+".") {
				return k.line
			}
		}
		name = name[:max(0, strings.LastIndexByte(name, '.'))]
	}
	return 0
}

type keyScan struct {
	text     string
	at, line int
	keys     []keyAt
}

// starts says whether what comes next is a word.
func (s *keyScan) starts(word string) bool { return strings.HasPrefix(s.text[s.at:], word) }

// step passes one byte over.
func (s *keyScan) step() {
	if s.at < len(s.text) {
		if s.text[s.at] == '\n' {
			s.line++
		}
		s.at++
	}
}

// space passes over spaces, and with lines over comments and line ends as well.
func (s *keyScan) space(lines bool) {
	for ; s.at < len(s.text); s.step() {
		switch c := s.text[s.at]; {
		case c == ' ' || c == '\t' || c == '\r':
		case lines && c == '\n':
		case lines && c == '#':
			for s.at+1 < len(s.text) && s.text[s.at+1] != '\n' {
				s.at++
			}
		default:
			return
		}
	}
}

// pass passes over a byte as often as it is there.
func (s *keyScan) pass(c string) {
	for s.space(false); s.starts(c); s.space(false) {
		s.step()
	}
}

// key is a name with its dots; empty where none is.
func (s *keyScan) key() string {
	var parts []string
	for {
		s.space(false)
		from := s.at
		switch {
		case s.starts(`"`) || s.starts("'"):
			s.quoted(s.text[s.at : s.at+1])
			parts = append(parts, strings.Trim(s.text[from:s.at], `"'`))
		default:
			for s.at < len(s.text) && !strings.ContainsRune(" \t\r\n.=#[]{},\"'", rune(s.text[s.at])) {
				s.at++
			}
			parts = append(parts, s.text[from:s.at])
		}
		if s.space(false); !s.starts(".") {
			return strings.Join(parts, ".")
		}
		s.step()
	}
}

// pair passes over a key and its value, and notes the key.
func (s *keyScan) pair(table string, depth int) {
	k := keyAt{line: s.line, from: s.at, inline: depth > 0}
	name := s.key()
	if s.space(false); name == "" || !s.starts("=") {
		return
	}
	if table != "" {
		name = table + "." + name
	}
	k.name = name
	at := len(s.keys)
	s.keys = append(s.keys, k)
	s.step()
	if s.space(false); s.starts("[") || s.starts("{") {
		k.opens = s.text[s.at]
	}
	k.closed = s.value(name, depth)
	k.to = s.at
	s.keys[at] = k
}

// value passes over a value, and notes the keys of a table within it. It says whether a
// list or table had its end.
func (s *keyScan) value(name string, depth int) (closed bool) {
	s.space(false)
	for _, quote := range []string{`"""`, "'''", `"`, "'"} {
		if s.starts(quote) {
			s.quoted(quote)
			return true
		}
	}
	ends := ""
	switch {
	case s.starts("["):
		ends = "]"
	case s.starts("{"):
		ends = "}"
	}
	if ends == "" || depth > maxConfigDepth {
		for s.at < len(s.text) && !strings.ContainsRune(",]}#\n", rune(s.text[s.at])) {
			s.at++
		}
		return true
	}
	s.step()
	for s.space(true); s.at < len(s.text) && !s.starts(ends); s.space(true) {
		from := s.at
		switch {
		case s.starts(","):
			s.step()
		case ends == "]":
			s.value(name, depth+1)
		default:
			s.pair(name, depth+1)
		}
		if s.at == from { // what was not understood
			s.step()
		}
	}
	closed = s.at < len(s.text)
	s.step()
	return closed
}

// quoted passes over a text in quotes: one of a single quote ends with its line.
func (s *keyScan) quoted(quote string) {
	s.at += len(quote)
	for s.at < len(s.text) && !s.starts(quote) {
		switch {
		case len(quote) == 1 && s.text[s.at] == '\n':
			return
		case quote[0] == '"' && s.text[s.at] == '\\':
			s.step()
		}
		s.step()
	}
	s.at = min(len(s.text), s.at+len(quote))
	for len(quote) == 3 && s.starts(quote[:1]) { // up to two quotes can stand before the three
		s.at++
	}
}
