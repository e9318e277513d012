package main

import (
	"slices"
	"strings"
)

// table is a list for standard output. On a terminal it has a heading and
// aligned columns cut to the terminal's width; elsewhere it is one line a row,
// fields between tabs, nothing cut and no heading, so that programs can read
// it. Cells are cleaned, so a tab or newline in a name cannot make a field.
type table struct {
	head []string
	rows [][]string
	// flexible is the column that is cut first when the terminal is narrow.
	flexible int
}

func (t *table) add(cells ...string) {
	row := make([]string, len(cells))
	for i, s := range cells {
		row[i] = clean(s)
	}
	t.rows = append(t.rows, row)
}

const columnGap = 2

// show prints the table.
func (c *cli) show(t *table) {
	if !c.outTTY {
		for _, r := range t.rows {
			c.print("%s", strings.Join(r, "\t"))
		}
		return
	}
	for _, line := range t.lines(c.outWidth()) {
		c.print("%s", line)
	}
}

// lines lays the table out in at most screen columns; 0 means no limit.
func (t *table) lines(screen int) []string {
	widths := t.widths(screen)
	whole := slices.ContainsFunc(t.head, neverCut)
	out := make([]string, 0, len(t.rows)+1)
	for _, row := range append([][]string{t.head}, t.rows...) {
		var b strings.Builder
		for i, cell := range row {
			cell = truncate(cell, widths[i])
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-columns(cell)+columnGap))
			}
		}
		line := strings.TrimRight(b.String(), " ")
		if screen > 0 && !whole {
			line = truncate(line, screen)
		}
		out = append(out, line)
	}
	return out
}

// neverCut says of a column that a part of it is of no use: other commands take
// ids. A terminal that has not room for it puts the rest on its next line.
func neverCut(head string) bool { return head == "ID" || head == "TIME" || head == "OBJECT" }

const narrowest = 8 // a column cut further than this tells nothing

func (t *table) widths(screen int) []int {
	w := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			w[i] = max(w[i], columns(cell))
		}
	}
	if screen <= 0 {
		return w
	}
	over := columnGap*(len(w)-1) - screen
	for _, n := range w {
		over += n
	}
	// First the flexible column gives way, then whichever is the widest.
	if cut := min(over, w[t.flexible]-2*narrowest); cut > 0 {
		w[t.flexible] -= cut
		over -= cut
	}
	for over > 0 {
		widest := t.flexible
		for i := range w {
			if w[i] > w[widest] && !neverCut(t.head[i]) {
				widest = i
			}
		}
		if w[widest] <= narrowest {
			break
		}
		w[widest]--
		over--
	}
	return w
}

// showPairs prints a table of names and values, which needs no heading. Values
// are never cut: a fingerprint is there to be compared.
func (c *cli) showPairs(t *table) {
	if !c.outTTY {
		c.show(t)
		return
	}
	for _, line := range t.pairs(c.outWidth()) {
		c.print("%s", line)
	}
}

// leastRoom is the number of columns beside the names below which values stand
// under them.
const leastRoom = 24

// pairs lays names and values out for a screen of so many columns; 0 means no
// limit. A value that does not fit beside its name is broken at spaces, or stands
// under it; a word is never broken, so that it can be copied.
func (t *table) pairs(screen int) []string {
	names := 0
	for _, row := range t.rows {
		names = max(names, columns(row[0]))
	}
	names += columnGap
	var out []string
	for _, row := range t.rows {
		first := row[0] + strings.Repeat(" ", names-columns(row[0]))
		room := screen - names
		lines := wrapped(row[1], room)
		under := screen > 0 && len(lines) > 0 && room < leastRoom && columns(row[1]) > room
		for _, l := range lines {
			under = under || screen > 0 && columns(l) > room
		}
		switch {
		case screen <= 0:
			out = append(out, first+row[1])
		case under:
			out = append(out, row[0])
			for _, l := range wrapped(row[1], screen-columnGap) {
				out = append(out, strings.Repeat(" ", columnGap)+l)
			}
		default:
			for i, l := range lines {
				if i > 0 {
					first = strings.Repeat(" ", names)
				}
				out = append(out, first+l)
			}
		}
	}
	return out
}

// broken is a text for a screen of so many columns, 0 meaning no limit: further
// lines begin below the first word of the first. What stands between backquotes
// is a command, and whole, so that it can be copied; so is what mends something.
func broken(s string, screen int) []string {
	body := strings.TrimLeft(s, " ")
	if screen <= 0 || columns(s) <= screen || strings.HasPrefix(body, "mend it: ") || strings.Contains(s, "\n") {
		return []string{s}
	}
	indent := s[:len(s)-len(body)]
	hang := indent
	if strings.HasPrefix(body, "- ") {
		hang += "  "
	}
	var lines []string
	line := indent
	word := ""
	put := func() {
		switch {
		case strings.TrimSpace(line) == "":
			line += word
		case columns(line)+1+columns(word) <= screen:
			line += " " + word
		default:
			lines = append(lines, line)
			line = hang + word
		}
		word = ""
	}
	command := false
	for _, r := range body {
		if r == '`' {
			command = !command
		}
		if r == ' ' && !command {
			put()
			continue
		}
		word += string(r)
	}
	put()
	return append(lines, line)
}

// wrapped breaks s at spaces into lines of at most n columns, where words are
// not longer than that.
func wrapped(s string, n int) []string {
	lines := []string{""}
	for _, word := range strings.Split(s, " ") {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case columns(*last)+1+columns(word) <= n:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}
