package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// stray is a name in a text that there is not.
type stray struct {
	name  string
	value any
	line  int
}

// remedies knows what to write in the place of names that there are not, so that none of it
// is there twice then. It is asked in the order of the lines.
type remedies struct {
	keys  []keyAt
	meant map[string]int // the lines of those that stand for a name that is not there
}

// there is where a text has a setting, or a table: in brackets, in braces, or by a dot in the
// name of a setting.
func (r remedies) there(name string) (k keyAt, is bool) {
	for _, k := range r.keys {
		if k.name == name {
			return k, true
		}
	}
	for _, k := range r.keys {
		if strings.HasPrefix(k.name, name+".") {
			return k, true
		}
	}
	return keyAt{}, false
}

// moving is how settings get below a table that is there already; empty where it is not.
func (r remedies) moving(what, table string) string {
	k, is := r.there(table)
	switch line := r.meant[table]; {
	case line > 0 && !is:
		return fmt.Sprintf("move %s to line %d, where [%s] has to be", what, line, table)
	case !is:
	case k.name != table:
		return fmt.Sprintf("move %s to line %d, with %q before the name", what, k.line, table+".")
	case k.header:
		return fmt.Sprintf("move %s below [%s], line %d", what, table, k.line)
	case k.opens == '{':
		return fmt.Sprintf("move %s into the braces of %s, line %d", what, table, k.line)
	}
	return ""
}

// both is what to do about settings below a stray table that a table has, too.
func (r remedies) both(strange, table string) string {
	var list []string
	for _, k := range r.keys {
		key, below := strings.CutPrefix(k.name, strange+".")
		if lines := linesOf(r.keys, table+"."+key); below && len(lines) > 0 {
			list = append(list, fmt.Sprintf("%s (line %d)", key, lines[0]))
		}
	}
	if len(list) == 0 {
		return ""
	}
	return "; of what is there already, keep one: " + strings.Join(list, ", ")
}

// removal is how to remove a key, which other keys may share a line with.
func (r remedies) removal(name string) string {
	if k, is := r.there(name); is && k.inline {
		return "remove " + setting{name: name}.key()
	}
	return "remove the line"
}

// noTable is about a table that is given as something else.
func (r remedies) noTable(name string, v any) problem {
	p := problem{Level: levelError, Setting: name, Message: name + " is a table, and this is " + valueText(v, false),
		Fix: "write [" + name + "] in a line of its own, and its settings below"}
	if list, is := v.([]map[string]any); is {
		p.Message = name + " is one table, and this is a list of tables"
		if k, _ := r.there(name); k.header {
			p.Message = fmt.Sprintf("%s is one table: [%[1]s], not [[%[1]s]]", name)
			p.Fix = "write [" + name + "]"
		}
		if len(list) > 1 {
			p.Fix = "write [" + name + "] once, and all its settings below"
		}
	}
	return p
}

// unknown is about a setting or a table that there is not.
func (r remedies) unknown(s stray) problem {
	switch s.value.(type) {
	case map[string]any, []map[string]any:
		return r.unknownTable(s)
	}
	p := problem{Level: levelError, Line: s.line, Setting: s.name, Message: fmt.Sprintf("there is no setting %q", s.name), Fix: r.removal(s.name) + "; all settings there are: tokend config sample"}
	like := likest(s.name)
	if like.name == "" {
		return p
	}
	own, same := setting{name: s.name}, strings.EqualFold(s.name, like.name)
	place := strings.EqualFold(own.table(), like.table())
	k, is := r.there(like.name)
	switch line := cmp.Or(k.line, r.meant[like.name]); {
	case line > 0:
		p.Fix = fmt.Sprintf("%s is there in line %d too: keep one of them, by that name", like.name, line)
	case place:
		p.Fix = "write " + like.key()
	case like.table() == "":
		p.Fix = "write " + like.key() + " above the first table"
	default:
		p.Fix = cmp.Or(r.moving(like.key(), like.table()), "write "+like.key()+" below ["+like.table()+"]")
	}
	if !is && r.meant[like.name] == 0 {
		r.meant[like.name] = s.line
	}
	if p.Fix += smallLetters(s.name, like.name); !same {
		p.Fix = "if " + like.name + " is meant, " + p.Fix + "; else " + r.removal(s.name)
	}
	return p
}

func (r remedies) unknownTable(s stray) problem {
	p := problem{Level: levelError, Line: s.line, Setting: s.name, Message: fmt.Sprintf("there is no table [%s]", s.name), Fix: "remove it; all tables there are: tokend config sample"}
	name := setting{name: s.name}
	above, own := name.table(), name.key()
	switch like := nearestTable(s.name); {
	case like != "":
		if p.Fix = r.moving("its settings", like); p.Fix != "" {
			p.Fix += smallLetters(s.name, like) + r.both(s.name, like)
			break
		}
		p.Fix, r.meant[like] = "write "+like, s.line
		if k, _ := r.there(s.name); k.header {
			p.Fix = "write [" + like + "]"
		}
		p.Fix += smallLetters(s.name, like)
	case above == own && tables()[own]:
		p.Fix = fmt.Sprintf("write its settings without %q before them: they are below [%s] already", own+".", own) + r.both(s.name, own)
	case tables()[own]: // a name with its table, below another
		p.Fix = cmp.Or(r.moving("its settings", own), "write its settings below ["+own+"]") + r.both(s.name, own)
	}
	return p
}

// nearestTable is the table that a name is likest; empty if it is like none.
func nearestTable(name string) string { return nearest(name, slices.Sorted(maps.Keys(tables()))) }

// adopt tells of the misspelt tables, and looks upon their settings as those of the right
// ones, in what was decoded and by the names of keys.
func (r *remedies) adopt(keys *[]keyAt, raw map[string]any) (found []problem) {
	known, opens := settings(defaultConfig()), tables()
	var strays []stray
	for name, v := range raw {
		_, isTable := v.(map[string]any)
		is := slices.ContainsFunc(known, func(s setting) bool { return s.name == name })
		if isTable && !is && !opens[name] && nearestTable(name) != "" {
			strays = append(strays, stray{name, v, max(1, lineNear(*keys, name))})
		}
	}
	slices.SortFunc(strays, func(a, b stray) int { return cmp.Or(a.line-b.line, strings.Compare(a.name, b.name)) })
	for _, s := range strays {
		found = append(found, r.unknownTable(s))
	}
	for _, s := range strays {
		like := nearestTable(s.name)
		join(raw, map[string]any{like: s.value})
		delete(raw, s.name)
		r.keys, *keys = renamed(r.keys, s.name, like), renamed(*keys, s.name, like)
	}
	return found
}

// join adds to a decoded text what another has, and it has not.
func join(raw, other map[string]any) {
	for name, v := range other {
		has, is := raw[name]
		if !is {
			raw[name] = v
			continue
		}
		t, isTable := has.(map[string]any)
		more, both := v.(map[string]any)
		if isTable && both {
			join(t, more)
		}
	}
}

// renamed is keys with another name for a table, but for those that there are by that
// name.
func renamed(keys []keyAt, from, to string) (all []keyAt) {
	for _, k := range keys {
		if rest, is := strings.CutPrefix(k.name+".", from+"."); is {
			name := strings.TrimSuffix(to+"."+rest, ".")
			if len(linesOf(keys, name)) > 0 {
				continue
			}
			k.name = name
		}
		all = append(all, k)
	}
	return all
}
