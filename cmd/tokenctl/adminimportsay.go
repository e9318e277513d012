package main

import (
	"fmt"
	"time"
)

// progressLine counts up in a line of the terminal; elsewhere it is silent.
type progressLine struct {
	c     *cli
	what  string
	n     int
	last  time.Time
	shown bool
}

// step counts n more.
func (p *progressLine) step(n int) {
	const every = 200 * time.Millisecond
	p.n += n
	if p.c == nil || !p.c.errTTY {
		return
	}
	if now := p.c.now(); p.last.IsZero() {
		p.last = now // what is over in a moment shows nothing
	} else if now.Sub(p.last) >= every {
		p.last, p.shown = now, true
		_, _ = fmt.Fprintf(p.c.err, "\r%d %s …%s", p.n, p.what, eraseLine)
	}
}

// end wipes the line.
func (p *progressLine) end() {
	if p.shown {
		_, _ = fmt.Fprint(p.c.err, "\r"+eraseLine)
		p.shown = false
	}
}

// say tells what is in the file, what is odd about it, and what cannot come along.
func (m *fobImport) say() {
	c, d := m.c, &m.doc
	c.say("%s: %s", clean(m.path), clean(d.Format))
	for _, n := range d.Notes {
		c.say("note: %s", clean(n))
	}
	m.sayRows(d.Rows)
	for i, w := range d.Warnings {
		if i == manyLines {
			c.say("… and %d more; --json has them all", len(d.Warnings)-i)
			break
		}
		c.say("warning: %s", clean(rowText(w)))
	}
	c.say("%s: %s", plural(d.Read, "row"), m.counts())
}

func (m *fobImport) sayRows(rows []fobRow) {
	if m.told == nil {
		m.told = map[string]bool{}
	}
	n := 0
	for _, r := range rows {
		text := r.Outcome + ": " + clean(rowText(r))
		if m.told[text] {
			continue
		}
		if n++; n > manyLines {
			m.c.say("… and more; --json has them all")
			break
		}
		m.told[text] = true
		m.c.say("%s", text)
	}
}

func rowText(r fobRow) string {
	s := r.Where
	if r.Serial != "" {
		s += " (" + r.Serial + ")"
	}
	if r.Field != "" {
		s += ", " + r.Field
	}
	return s + ": " + r.Reason
}

// counts is the import in a line.
func (m *fobImport) counts() string {
	d := &m.doc
	s := fmt.Sprintf("%d %s, %d there already", d.Added, either(d.Applied, "imported", "new"), d.Same)
	for _, k := range []struct {
		n    int
		what string
	}{{d.Conflicts, either(d.Conflicts == 1, "conflict", "conflicts")}, {d.Refused, "refused"}, {d.Skipped, "skipped"}} {
		if k.n > 0 {
			s += fmt.Sprintf(", %d %s", k.n, k.what)
		}
	}
	if m.assign {
		s += fmt.Sprintf("; %d for the users that the file names", d.Assigned)
	}
	if d.NewUsers > 0 {
		s += ", " + plural(d.NewUsers, "user") + either(d.Applied, " added", " to be added")
	}
	return s
}

// notGiven is how many fobs the file names a user of who did not get them.
func (m *fobImport) notGiven() int {
	n := 0
	for _, r := range m.doc.Rows {
		if r.Outcome == "not-assigned" {
			n++
		}
	}
	return n
}

// sayDone is last on the screen: what was done, and what to do next.
func (m *fobImport) sayDone(done bool) {
	c, d := m.c, &m.doc
	switch {
	case done:
		m.sayRows(d.Rows) // what came up since the look
		c.say("done: %s", m.counts())
		for _, line := range adviceFobsIn(m.path) {
			c.say("%s", clean(line))
		}
	case d.Added == 0 && d.Assigned == 0:
		c.say("there is nothing to do")
	default:
		c.say("nothing was changed; %s", adviceFobApply("tokenctl admin fob import "+quoted(m.path)))
	}
	if d.Skipped+d.Refused+d.Conflicts > 0 {
		for _, line := range adviceFobRows() {
			c.say("%s", line)
		}
	}
}
