package main

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tokenbridge/tokend/daemon/authority/policy"
)

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

// strict is what a decoded configuration has that there is not, and what has a wrong
// type, and takes it out. Names are taken as TOML has them, with their case. What is below
// a misspelt table is looked at as if it were below the right one, by which keys, of what
// was decoded, name it from then on.
func strict(all []keyAt, keys *[]keyAt, raw map[string]any) (found []problem) {
	known, opens := make(map[string]setting), tables()
	for _, s := range settings(defaultConfig()) {
		known[s.name] = s
	}
	r := remedies{keys: slices.Clone(all), meant: make(map[string]int)}
	found = r.adopt(keys, raw)
	var strays []stray
	var walk func(prefix string, t map[string]any)
	walk = func(prefix string, t map[string]any) {
		for key, v := range t {
			name := prefix + key
			line := max(1, lineNear(*keys, name))
			add := func(p problem) {
				p.Line = line
				found = append(found, p)
				delete(t, key)
			}
			s, is := known[name]
			switch table, isTable := v.(map[string]any); {
			case is && !s.fits(v):
				add(s.mistyped(v))
			case is:
			case opens[name] && isTable:
				walk(name+".", table)
			case opens[name]:
				add(r.noTable(name, v))
			default:
				strays = append(strays, stray{name, v, line})
				delete(t, key)
			}
		}
	}
	walk("", raw)
	slices.SortFunc(strays, func(a, b stray) int { return cmp.Or(a.line-b.line, strings.Compare(a.name, b.name)) })
	for _, s := range strays {
		found = append(found, r.unknown(s))
	}
	return found
}

// tables are the tables of a configuration.
func tables() map[string]bool {
	all := make(map[string]bool)
	for _, s := range settings(defaultConfig()) {
		if t := s.table(); t != "" {
			all[t] = true
		}
	}
	return all
}

// smallLetters says what is wrong with a name that is a known one but for its case.
func smallLetters(name, known string) string {
	if strings.EqualFold(name, known) {
		return ": names are written in small letters"
	}
	return ""
}

// nearest is the word that a misspelt one is likest, whatever its case; empty if it is
// like none.
func nearest(name string, words []string) string { return policy.Nearest(strings.ToLower(name), words) }

// likest is the setting that a misspelt name is likest, of its own table first; one
// without a name if it is like none.
func likest(name string) setting {
	all := settings(defaultConfig())
	key := name[strings.LastIndexByte(name, '.')+1:]
	var names, keys []string
	for _, s := range all {
		names, keys = append(names, s.name), append(keys, s.key())
	}
	if i := slices.Index(names, nearest(name, names)); i >= 0 {
		return all[i]
	}
	if i := slices.Index(keys, nearest(key, keys)); i >= 0 {
		return all[i]
	}
	var parts []setting // of which it is a whole word, as hard of hard_lock
	for _, s := range all {
		if s.table() == (setting{name: name}).table() && (strings.HasPrefix(s.key(), key+"_") || strings.HasSuffix(s.key(), "_"+key)) {
			parts = append(parts, s)
		}
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return setting{}
}
