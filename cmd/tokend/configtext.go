package main

import (
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/tokenbridge/tokend/daemon/authority/policy"
)

// lineOf finds the line of a key: the decoder keeps no positions. It follows the
// tables as they open. A key that is not found is at line 1.
func lineOf(text string, key toml.Key) int {
	if line := findLine(text, key); line > 0 {
		return line
	}
	return 1
}

func findLine(text string, key toml.Key) int {
	table := ""
	want := strings.Join(key[:len(key)-1], ".")
	last := key[len(key)-1]
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			table = strings.Trim(strings.TrimSpace(strings.SplitN(line, "#", 2)[0]), "[] ")
			if table == key.String() {
				return i + 1
			}
			continue
		}
		name := strings.Trim(strings.TrimSpace(strings.SplitN(line, "=", 2)[0]), `"'`)
		if table == want && (name == last || strings.HasPrefix(name, last+".")) || table == "" && name == key.String() {
			return i + 1
		}
	}
	return 0
}

// settingLine is the line of a setting; 0 if the text does not have it.
func settingLine(text, name string) int {
	if name == "" {
		return 0
	}
	return findLine(text, strings.Split(name, "."))
}

// tooDeep is the first line of a text at which brackets and braces lie deeper within
// each other than any configuration's, or a name has more dots; 0 if there is none.
// It looks before the decoder does, and so knows nothing of TOML but strings of one
// line and comments: what it takes for brackets can be part of a longer string, which
// no setting is.
func tooDeep(text string) int {
	depth := 0
	for i, line := range strings.Split(text, "\n") {
		quote, dots := byte(0), 0
	columns:
		for j := 0; j < len(line); j++ {
			switch c := line[j]; {
			case quote == '"' && c == '\\':
				j++
			case quote != 0:
				if c == quote {
					quote = 0
				}
			case c == '"' || c == '\'':
				quote = c
			case c == '#':
				break columns
			case c == '[' || c == '{':
				depth++
			case c == ']' || c == '}':
				depth--
			case c == '.':
				dots++
			case c == '=' || c == ',':
				dots = 0
			}
			if depth > maxConfigDepth || dots > maxConfigDots {
				return i + 1
			}
		}
	}
	return 0
}

// likest is the setting that a misspelt name is likest; empty if it is like none.
func likest(name string) string {
	var words []string
	of := make(map[string]string) // by what it may be called
	for _, s := range settings(defaultConfig()) {
		for _, known := range []string{s.name, s.name[strings.LastIndexByte(s.name, '.')+1:]} {
			if of[known] == "" {
				words, of[known] = append(words, known), s.name
			}
		}
	}
	return of[policy.Nearest(name, words)]
}
