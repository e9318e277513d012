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
}

func newFlaws(keys []keyAt, found []problem) flaws {
	f := flaws{keys, make(map[string]bool), make(map[string]bool)}
	all := settings(defaultConfig())
	for _, p := range found {
		if p.Level != levelError || p.Setting == "" {
			continue
		}
		f.wrong[p.Setting] = true
		if !slices.ContainsFunc(all, func(s setting) bool { return s.name == p.Setting }) {
			f.strays[setting{name: p.Setting}.table()] = true
		}
	}
	return f
}

// blame says whether a setting has no value that counts, or may be there by another name.
func (f flaws) blame(name string) bool {
	table := setting{name: name}.table()
	return f.wrong[name] || f.wrong[table] || f.strays[table] && len(linesOf(f.keys, name)) == 0
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
