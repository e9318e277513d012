package policy

import (
	"fmt"
	"strings"
)

// Bounds that hold before the text is given to the TOML library, which recurses
// into arrays and keeps every prefix of a dotted key.
const (
	maxDepth  = 4      // of nested arrays and inline tables
	maxParts  = 4      // of a dotted key
	maxKey    = 100    // bytes of a part of a key
	maxPlaces = 50_000 // keys, tables and elements of arrays
)

// outline is on which line each key of a TOML text stands: the library keeps no
// positions of what it has read. Paths are "contact.name", "rule[0].allow[1]".
type outline struct {
	text  string
	pos   int
	line  int
	table string // the path that keys are below
	lines map[string]int
	count map[string]int // how many tables an array of tables has
}

// outlineError is where the outline could not go on.
type outlineError struct {
	line, pos int
	what      string
}

func (e *outlineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.what) }

// readOutline walks over the text once. It knows strings, comments, keys and
// brackets, and leaves the rest of TOML's rules to the library.
func readOutline(text string) (*outline, error) {
	o := &outline{text: text, line: 1, lines: map[string]int{}, count: map[string]int{}}
	for {
		o.blank(true)
		if o.pos >= len(o.text) {
			return o, nil
		}
		if len(o.lines) > maxPlaces {
			return o, o.fail(fmt.Sprintf("there are more than %d keys and values", maxPlaces))
		}
		var err error
		if o.peek() == '[' {
			err = o.header()
		} else {
			err = o.pair(o.table, 0)
		}
		if err != nil {
			return o, err
		}
		o.blank(false)
		if o.pos < len(o.text) && o.peek() != '\n' {
			return o, o.fail("this is not the end of the line")
		}
	}
}

// at is the line of a path, or of the nearest above it.
func (o *outline) at(path string) int {
	for path != "" {
		if l, ok := o.lines[path]; ok {
			return l
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return 1
}

func (o *outline) fail(what string) error { return &outlineError{o.line, o.pos, what} }

func (o *outline) peek() byte {
	if o.pos < len(o.text) {
		return o.text[o.pos]
	}
	return 0
}

// blank skips spaces and comments, and line ends where lines is set.
func (o *outline) blank(lines bool) {
	for ; o.pos < len(o.text); o.pos++ {
		switch c := o.text[o.pos]; {
		case c == ' ', c == '\t', c == '\r':
		case c == '\n' && lines:
			o.line++
		case c == '#':
			end := strings.IndexByte(o.text[o.pos:], '\n')
			if end < 0 {
				o.pos = len(o.text)
				return
			}
			o.pos += end - 1
		default:
			return
		}
	}
}

// header reads [a.b] or [[a.b]].
func (o *outline) header() error {
	line := o.line
	double := strings.HasPrefix(o.text[o.pos:], "[[")
	closing := "]"
	if double {
		closing = "]]"
	}
	o.pos += len(closing)
	parts, err := o.key()
	if err != nil {
		return err
	}
	if !strings.HasPrefix(o.text[o.pos:], closing) {
		return o.fail("the name of a table does not end")
	}
	o.pos += len(closing)
	path := ""
	for i, p := range parts {
		path = join(path, p)
		last := i == len(parts)-1
		if last && double {
			o.count[path]++
		}
		if n := o.count[path]; n > 0 {
			path = fmt.Sprintf("%s[%d]", path, n-1)
		}
	}
	o.table = path
	o.lines[path] = line
	return nil
}

func join(path, part string) string {
	if path == "" {
		return part
	}
	return path + "." + part
}

// pair reads key = value.
func (o *outline) pair(table string, depth int) error {
	line := o.line
	parts, err := o.key()
	if err != nil {
		return err
	}
	if o.peek() != '=' {
		return o.fail("a key has no value")
	}
	o.pos++
	path := table
	for _, p := range parts {
		path = join(path, p)
		if _, ok := o.lines[path]; !ok {
			o.lines[path] = line
		}
	}
	return o.value(path, depth)
}

// key reads the parts of a dotted key and the blanks after it.
func (o *outline) key() ([]string, error) {
	var parts []string
	for {
		o.blank(false)
		var part string
		switch c := o.peek(); c {
		case '"', '\'':
			start := o.pos + 1
			if err := o.quoted(c); err != nil {
				return nil, err
			}
			part = o.text[start : o.pos-1]
		default:
			start := o.pos
			for bare(o.peek()) {
				o.pos++
			}
			if part = o.text[start:o.pos]; part == "" {
				return nil, o.fail("there is no key here")
			}
		}
		if len(part) > maxKey {
			return nil, o.fail(fmt.Sprintf("a key is longer than %d characters", maxKey))
		}
		if parts = append(parts, part); len(parts) > maxParts {
			return nil, o.fail(fmt.Sprintf("a key has more than %d parts", maxParts))
		}
		o.blank(false)
		if o.peek() != '.' {
			return parts, nil
		}
		o.pos++
	}
}

func bare(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// quoted skips a string on one line.
func (o *outline) quoted(quote byte) error {
	for o.pos++; o.pos < len(o.text); o.pos++ {
		switch c := o.text[o.pos]; {
		case c == quote:
			o.pos++
			return nil
		case c == '\n':
			return o.fail("a string does not end on its line")
		case c == '\\' && quote == '"':
			o.pos++
			if o.peek() == '\n' {
				return o.fail("a string does not end on its line")
			}
		}
	}
	return o.fail("a string does not end")
}

// long skips a string over several lines.
func (o *outline) long(quote string) error {
	for o.pos += 3; o.pos < len(o.text); o.pos++ {
		switch {
		case strings.HasPrefix(o.text[o.pos:], quote):
			o.pos += 3
			// One or two quotes may be the string's own last characters.
			for range 2 {
				if o.peek() == quote[0] {
					o.pos++
				}
			}
			return nil
		case o.text[o.pos] == '\\' && quote[0] == '"' && o.pos+1 < len(o.text) && o.text[o.pos+1] != '\n':
			o.pos++
		case o.text[o.pos] == '\n':
			o.line++
		}
	}
	return o.fail("a string does not end")
}

func (o *outline) value(path string, depth int) error {
	o.blank(false)
	if depth > maxDepth {
		return o.fail(fmt.Sprintf("values are nested more than %d deep", maxDepth))
	}
	rest := o.text[o.pos:]
	switch c := o.peek(); {
	case strings.HasPrefix(rest, `"""`), strings.HasPrefix(rest, `'''`):
		return o.long(rest[:3])
	case c == '"' || c == '\'':
		return o.quoted(c)
	case c == '[':
		return o.array(path, depth)
	case c == '{':
		return o.inline(path, depth)
	}
	start := o.pos
	for o.pos < len(o.text) && !strings.ContainsRune(",]}#\r\n", rune(o.text[o.pos])) {
		o.pos++
	}
	if strings.TrimSpace(o.text[start:o.pos]) == "" {
		return o.fail("a value is missing")
	}
	return nil
}

func (o *outline) array(path string, depth int) error {
	o.pos++
	for i := 0; ; i++ {
		o.blank(true)
		if o.peek() == ']' {
			o.pos++
			return nil
		}
		if len(o.lines) > maxPlaces {
			return o.fail(fmt.Sprintf("there are more than %d keys and values", maxPlaces))
		}
		element := fmt.Sprintf("%s[%d]", path, i)
		o.lines[element] = o.line
		if err := o.value(element, depth+1); err != nil {
			return err
		}
		o.blank(true)
		switch o.peek() {
		case ',':
			o.pos++
		case ']':
		default:
			return o.fail("a list does not end, or has no comma here")
		}
	}
}

func (o *outline) inline(path string, depth int) error {
	o.pos++
	for {
		o.blank(false)
		if o.peek() == '}' {
			o.pos++
			return nil
		}
		if err := o.pair(path, depth+1); err != nil {
			return err
		}
		o.blank(false)
		switch o.peek() {
		case ',':
			o.pos++
		case '}':
		default:
			return o.fail("an inline table does not end, or has no comma here")
		}
	}
}
