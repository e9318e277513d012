package main

import (
	"fmt"
	"maps"
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
// type, and takes it out. Names are taken as TOML has them, with their case.
func strict(keys []keyAt, raw map[string]any) (found []problem) {
	known, opens := make(map[string]setting), tables()
	for _, s := range settings(defaultConfig()) {
		known[s.name] = s
	}
	var walk func(prefix string, t map[string]any)
	walk = func(prefix string, t map[string]any) {
		for key, v := range t {
			name := prefix + key
			add := func(p problem) {
				p.Line = max(1, lineNear(keys, p.Setting))
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
				add(problem{Level: levelError, Setting: name, Message: name + " is a table, and this is " + valueText(v, false),
					Fix: "write [" + name + "] in a line of its own, and its settings below"})
			default:
				add(unknown(name, v))
			}
		}
	}
	walk("", raw)
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

// unknown is about a setting or a table that there is not.
func unknown(name string, v any) problem {
	p := problem{Level: levelError, Setting: name, Message: fmt.Sprintf("there is no setting %q", name), Fix: "remove the line; all settings there are: tokend config sample"}
	switch v.(type) {
	case map[string]any, []map[string]any:
		p.Message, p.Fix = fmt.Sprintf("there is no table [%s]", name), "remove it; all tables there are: tokend config sample"
		above, own := name[:max(0, strings.LastIndexByte(name, '.'))], name[strings.LastIndexByte(name, '.')+1:]
		switch like := nearest(name, slices.Sorted(maps.Keys(tables()))); {
		case like != "":
			p.Fix = "write [" + like + "]" + smallLetters(name, like)
		case above == own && tables()[own]:
			p.Fix = fmt.Sprintf("write its settings without %q before them: they are below [%s] already", own+".", own)
		case tables()[own]: // a name with its table, below another
			p.Fix = "write its settings below [" + own + "]"
		}
		return p
	}
	like := likest(name)
	if like.name == "" {
		return p
	}
	where := ""
	switch table := name[:max(0, strings.LastIndexByte(name, '.'))]; {
	case strings.EqualFold(table, like.table()):
	case like.table() == "":
		where = " above the first table"
	default:
		where = " below [" + like.table() + "]"
	}
	if p.Fix = "write " + like.key() + where + smallLetters(name, like.name); !strings.EqualFold(name, like.name) {
		p.Fix = "if " + like.name + " is meant, " + p.Fix + "; else remove the line"
	}
	return p
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
	return setting{}
}
