package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// reading is what could be read of a text.
type reading struct {
	all   []keyAt // of the text
	keys  []keyAt // of what was read
	raw   map[string]any
	found []problem
	cut   bool // it is no TOML, and was read up to there
}

// readTOML reads a text, without what is there twice, and up to what is no TOML: the
// decoder stops at either, and knows nothing then. No byte moves, and so keys stay true.
func readTOML(text string, keys []keyAt) *reading {
	r := &reading{all: keys, raw: make(map[string]any)}
	text = strings.TrimPrefix(text, "\ufeff")
	if line := tooDeep(text); line > 0 {
		r.found, r.cut = append(r.found, problem{Level: levelError, Line: line, Message: "lists and tables lie too deep within each other", Fix: compareSample}), true
		text = text[:cutAt(text, keys, line)]
	}
	r.take(text)
	slices.SortStableFunc(r.keys, func(a, b keyAt) int { return a.from - b.from })
	return r
}

const compareSample = "compare with: tokend config sample"

func (r *reading) take(text string) {
	var parts []string
	failed := false
	for range maxProblems + 1 {
		var raw map[string]any
		_, err := toml.Decode(text, &raw)
		here := keysIn(r.all, text)
		if err == nil {
			r.keys = append(r.keys, here...)
			join(r.raw, raw)
			break
		}
		if failed { // which was told
			text = ""
			continue
		}
		if again := secondOf(text, here, err); again != nil {
			r.found = append(r.found, again.problem)
			if text = again.rest; again.part != "" {
				parts = append(parts, again.part)
			}
			continue
		}
		p := syntaxProblem(text, here, err)
		r.found, r.cut, failed = append(r.found, p), true, true
		text = text[:cutAt(text, here, p.Line)]
	}
	for _, part := range parts {
		r.take(part)
	}
}

// keysIn are those of the keys that a text has, of which parts were made blank.
func keysIn(keys []keyAt, text string) (here []keyAt) {
	for _, k := range keys {
		if k.from < len(text) && text[k.from] != ' ' {
			here = append(here, k)
		}
	}
	return here
}

// blank is a text of the same lines and length with nothing in them.
func blank(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c != '\n' {
			b[i] = ' '
		}
	}
	return string(b)
}

// cutAt is where what is no TOML begins: at the key whose value a line is part of, or at
// the line.
func cutAt(text string, keys []keyAt, line int) int {
	at := 0
	for range line - 1 {
		next := strings.IndexByte(text[at:], '\n')
		if next < 0 {
			return len(text)
		}
		at += next + 1
	}
	for _, k := range keys {
		if !k.inline && k.from < at && k.to > at {
			at = k.from
		}
	}
	return min(at, len(text))
}

// second is a key or a table that is there already.
type second struct {
	problem
	rest string // the text without it
	part string // of a table, the text of it alone
}

// secondOf is what the decoder found to be there already; nil if it found something else.
func secondOf(text string, keys []keyAt, err error) *second {
	var parse toml.ParseError
	if !errors.As(err, &parse) {
		return nil
	}
	_, name, is := strings.Cut(parse.Message, "Key '")
	if !is {
		return nil
	}
	name, _, _ = strings.Cut(name, "' ")
	first, at, line := -1, -1, syntaxLine(text, keys, parse)
	for i, k := range keys {
		switch same := k.name == name; {
		case first < 0 && (same || strings.HasPrefix(k.name, name+".")):
			first = i
		case same && first >= 0 && k.line <= line:
			at = i
		}
	}
	if at < 0 {
		return nil
	}
	k := keys[at]
	var end int
	s := &second{problem: twice(keys, keys[first], k)}
	if k.header {
		end = len(text)
		for _, next := range keys[at+1:] {
			if next.header {
				end = next.from
				break
			}
		}
		s.part = blank(text[:k.from]) + text[k.from:end]
	} else {
		end = min(k.to, len(text))
		if rest := strings.TrimLeft(text[end:], " \t\r\n"); k.inline && strings.HasPrefix(rest, ",") {
			end = len(text) - len(rest) + 1
		}
	}
	s.rest = text[:k.from] + blank(text[k.from:end]) + text[end:]
	return s
}

// twice is about a key or a table that is there more than once.
func twice(keys []keyAt, first, again keyAt) problem {
	name := again.name
	p := problem{Level: levelError, Line: again.line, Setting: name, Message: fmt.Sprintf("%s is there twice, in lines %d and %d", name, first.line, again.line), Fix: "keep one of the two lines", again: true}
	switch {
	case tables()[name]:
		p.Message = fmt.Sprintf("the table [%s] is there twice, in lines %d and %d", name, first.line, again.line)
		p.Fix = moved(keys, first, again)
	case first.line == again.line || first.inline || again.inline:
		p.Fix = "keep one of the two"
	}
	return p
}

// moved is how the settings below a table that is there again get to the first.
func moved(keys []keyAt, first, again keyAt) string {
	to := fmt.Sprintf("to those below line %d", first.line)
	if first.opens == '{' {
		to = fmt.Sprintf("into the braces of line %d", first.line)
	}
	fix := fmt.Sprintf("move the settings below line %d %s, and remove line %[1]d", again.line, to)
	var list []string
	for i, k := range keys {
		if k.line < again.line || !strings.HasPrefix(k.name, again.name+".") {
			continue
		}
		for _, other := range keys[:i] {
			if k.name == other.name && other.line < again.line {
				list = append(list, fmt.Sprintf("%s (line %d)", setting{name: k.name}.key(), other.line))
			}
		}
	}
	if len(list) > 0 {
		fix += "; of what is there already, keep one: " + strings.Join(list, ", ")
	}
	return fix
}

// syntaxProblem is why a text is no TOML.
func syntaxProblem(text string, keys []keyAt, err error) problem {
	p := problem{Level: levelError, Message: err.Error(), Fix: compareSample}
	var parse toml.ParseError
	if !errors.As(err, &parse) {
		return p
	}
	p.Line, p.Message = syntaxLine(text, keys, parse), parse.Message
	fix := ""
	if k, is := unclosed(text, keys, p.Line); is {
		p.Line = k.line
		if p.Message, fix = "the list that begins here has no end", "write ] where it ends"; k.opens == '{' {
			p.Message, fix = "the table that begins here has no end", "write } where it ends"
		}
	}
	for _, s := range settings(defaultConfig()) {
		if slices.Contains(linesOf(keys, s.name), p.Line) {
			p.Setting, p.Fix = s.name, s.remedy()
		}
	}
	if fix != "" {
		p.Fix = fix
	}
	p.Message = "it cannot be read as TOML: " + p.Message
	return p
}

// unclosed is the key with a list or table that has no end, if that is why a line is no
// TOML: it lies in it, and is a key or a table of its own.
func unclosed(text string, keys []keyAt, line int) (keyAt, bool) {
	lines := strings.Split(text, "\n")
	if line < 1 || line > len(lines) {
		return keyAt{}, false
	}
	own := keysOf(lines[line-1])
	start := len(strings.Join(lines[:line-1], "\n")) + 1
	if len(own) == 0 || own[0].name == "" || own[0].header && strings.ContainsAny(lines[line-1][:own[0].to], `"'`) { // a value of a list
		return keyAt{}, false
	}
	for _, k := range keys {
		list, table := k.opens == '[', k.opens == '{' && !k.closed
		if !k.inline && k.line < line && k.to > start && (list || table) {
			return k, true
		}
	}
	return keyAt{}, false
}

// syntaxLine is the line of what is no TOML. The decoder's own is the next one where it
// has passed the end of the line.
func syntaxLine(text string, keys []keyAt, err toml.ParseError) int {
	for _, open := range []string{`EOF; expected '"""'`, `EOF; expected "'''"`} {
		if strings.Contains(err.Message, open) && len(keys) > 0 { // what was begun last has no end
			return keys[len(keys)-1].line
		}
	}
	for _, open := range []string{"terminator (']'), but got end of file", "terminator '}', but got end of file"} {
		for _, k := range slices.Backward(keys) {
			if strings.Contains(err.Message, open) && !k.inline {
				return k.line
			}
		}
	}
	if strings.Contains(err.Message, "control character") { // it is told with the place before it
		return err.Position.Line
	}
	text = strings.TrimPrefix(text, "\ufeff")
	return 1 + strings.Count(text[:min(max(0, err.Position.Start+err.Position.Len-1), len(text))], "\n")
}
