package main

import (
	"errors"
	"fmt"
	"slices"
)

// flaws knows what is wrong with the settings of a text, so that nothing is said that
// follows from it alone: what cannot be taken stands at its default while the rest is
// looked at.
type flaws struct {
	keys   []keyAt
	wrong  map[string]bool // settings and tables
	strays map[string]bool // tables with a name that there is not, which may stand for any of theirs
	moved  map[string]bool // settings that may be there by another name, or below another table
	cut    bool            // what lacks may be in what could not be read
}

func newFlaws(keys []keyAt, found []problem) flaws {
	f := flaws{keys: keys, wrong: make(map[string]bool), strays: make(map[string]bool), moved: make(map[string]bool)}
	all := settings(defaultConfig())
	for _, p := range found {
		if p.Level != levelError || p.Setting == "" || p.again {
			continue
		}
		f.wrong[p.Setting] = true
		if !slices.ContainsFunc(all, func(s setting) bool { return s.name == p.Setting }) {
			own := setting{name: p.Setting}
			f.strays[own.table()], f.strays[own.key()] = true, true // which may be a table's name, below another
			f.moved[likest(p.Setting).name] = true
		}
	}
	return f
}

// blame says whether a setting has no value that counts, or may be there by another name.
func (f flaws) blame(name string) bool {
	table := setting{name: name}.table()
	absent := len(linesOf(f.keys, name)) == 0
	return f.wrong[name] || f.wrong[table] || absent && (f.strays[table] || f.moved[name] || f.cut)
}

// add adds a problem, which is of err, to those found, unless it follows from others.
func (f flaws) add(found []problem, p problem, err error) []problem {
	var own remedied
	if errors.As(err, &own) && own.needs != "" && f.blame(own.needs) || p.Setting != "" && f.blame(p.Setting) {
		return found
	}
	return append(found, p)
}

// capped is the first of many problems, and that there are others.
func capped(list []problem) []problem {
	if len(list) <= maxProblems {
		return list
	}
	more := problem{Level: levelWarning, Message: fmt.Sprintf("%d more problems are told when these are mended", len(list)-maxProblems)}
	if slices.ContainsFunc(list[maxProblems:], func(p problem) bool { return p.Level == levelError }) {
		more.Level = levelError
	}
	return append(list[:maxProblems:maxProblems], more)
}
