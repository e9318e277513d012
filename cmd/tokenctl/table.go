package main

import (
	"slices"
	"strings"
)

// table is a list for standard output. On a terminal it has a heading and
// aligned columns that fit the terminal's width; elsewhere it is one line a row,
// fields between tabs, nothing cut and no heading, so that programs can read
// it. Cells are cleaned, so a tab or newline in a name cannot make a field.
type table struct {
	head []string
	rows [][]string
	// flexible is the column that gives way first when the terminal is narrow.
	flexible int
	// below are columns that then stand on lines of their own, below the row; the
	// first goes there first. Without any it is the flexible one, where that is the
	// last of the table.
	below []int
	// oneLine says that each row is one line, with … for what has no room: what is
	// drawn over and over has to keep its height.
	oneLine bool
}

func (t *table) add(cells ...string) {
	row := make([]string, len(cells))
	for i, s := range cells {
		row[i] = clean(s)
	}
	t.rows = append(t.rows, row)
}

// drop takes a column out; flexible and below go on meaning the columns they meant.
func (t *table) drop(col int) {
	t.head = slices.Delete(t.head, col, col+1)
	for i, row := range t.rows {
		t.rows[i] = slices.Delete(row, col, col+1)
	}
	t.below = slices.DeleteFunc(t.below, func(i int) bool { return i == col })
	for i, other := range t.below {
		if other > col {
			t.below[i]--
		}
	}
	if t.flexible > col {
		t.flexible--
	}
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
	inline := make([]int, len(t.head))
	for i := range inline {
		inline[i] = i
	}
	w := t.widths()
	switch {
	case screen <= 0 || total(w, inline) <= screen:
		return t.grid(w, inline, nil, 0)
	case t.oneLine:
		t.narrow(w, inline, screen)
		lines := t.grid(w, inline, nil, 0)
		for i := range lines {
			lines[i] = truncate(lines[i], screen)
		}
		return lines
	}
	below := t.below
	if below == nil && t.flexible == len(t.head)-1 {
		below = []int{t.flexible}
	}
	var under []int
	for _, col := range below {
		over := total(w, inline) - screen
		if over <= 0 {
			break
		}
		if room := w[col] - over; col == inline[len(inline)-1] && room >= leastRoom && t.longestWord(col) <= room {
			w[col] = room
			break
		}
		inline = slices.DeleteFunc(inline, func(i int) bool { return i == col })
		under = append(under, col)
	}
	if !t.narrow(w, inline, screen) {
		return t.stacked(screen)
	}
	slices.Sort(under)
	return t.grid(w, inline, under, screen)
}

// total is how many columns of a screen those of the table take.
func total(w, inline []int) int {
	n := columnGap * (len(inline) - 1)
	for _, i := range inline {
		n += w[i]
	}
	return n
}

// neverCut says of a column that a part of it is of no use: other commands take
// it, or it is what tells the rows apart.
func neverCut(head string) bool {
	return isTime(head) || slices.Contains([]string{"#", "ITEM", "ID", "OBJECT", "FILE", "PATH", "PROGRAM"}, head)
}

// isTime says of a column that it has times, of which a part says another.
func isTime(head string) bool {
	return slices.Contains([]string{"TIME", "MADE", "WRITTEN", "LAST SUCCESS", "FIRST", "LAST", "EXPIRES", "ADDED", "USED", "DOUBTED", "SET UP", "FAILED"}, head)
}

const narrowest = 8 // a column cut further than this tells nothing

// widths are those that the cells have.
func (t *table) widths() []int {
	w := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			w[i] = max(w[i], columns(cell))
		}
	}
	return w
}

// narrow takes from the columns that are inline what they have too much for the
// screen, and says whether that was to be had: first of the flexible one, then of
// whichever is the widest.
func (t *table) narrow(w, inline []int, screen int) bool {
	over := total(w, inline) - screen
	gives := func(i int) bool { return !neverCut(t.head[i]) && w[i] > narrowest }
	if slices.Contains(inline, t.flexible) && gives(t.flexible) {
		if cut := min(over, w[t.flexible]-2*narrowest); cut > 0 {
			w[t.flexible] -= cut
			over -= cut
		}
	}
	for ; over > 0; over-- {
		widest := -1
		for _, i := range inline {
			if gives(i) && (widest < 0 || w[i] > w[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return false
		}
		w[widest]--
	}
	return true
}

func (t *table) longestWord(col int) int {
	n := 0
	for _, row := range t.rows {
		for _, word := range strings.Fields(row[col]) {
			n = max(n, columns(word))
		}
	}
	return n
}

// grid draws the columns that are inline, each cell broken between words where it
// is too wide, and below each row the others.
func (t *table) grid(w, inline, under []int, screen int) []string {
	out := t.gridRow(t.head, w, inline)
	indent := strings.Repeat(" ", 2*columnGap)
	if first := w[inline[0]]; first <= 2*columnGap {
		indent = strings.Repeat(" ", first+columnGap)
	}
	for _, row := range t.rows {
		out = append(out, t.gridRow(row, w, inline)...)
		for _, col := range under {
			if cell := row[col]; cell != "" && cell != "-" {
				if len(t.below) > 1 && (isTime(t.head[col]) || !neverCut(t.head[col])) {
					cell = strings.ToLower(t.head[col]) + ": " + cell
				}
				for _, l := range wrapped(cell, screen-len(indent)) {
					out = append(out, indent+l)
				}
			}
		}
	}
	return out
}

// gridRow is one row, of as many lines as its cells need.
func (t *table) gridRow(row []string, w, inline []int) []string {
	cells, height := make([][]string, len(inline)), 1
	for at, i := range inline {
		cells[at] = []string{row[i]}
		if columns(row[i]) > w[i] {
			if cells[at] = []string{truncate(row[i], w[i])}; !t.oneLine {
				cells[at] = wrapped(row[i], w[i])
			}
		}
		height = max(height, len(cells[at]))
	}
	lines := make([]string, height)
	for n := range lines {
		var b strings.Builder
		for at, i := range inline {
			cell := ""
			if n < len(cells[at]) {
				cell = truncate(cells[at][n], w[i])
			}
			b.WriteString(cell + strings.Repeat(" ", w[i]-columns(cell)+columnGap))
		}
		lines[n] = strings.TrimRight(b.String(), " ")
	}
	return lines
}

// stacked is for a screen that has not room for what must be whole: each row is
// names and values, with an empty line between rows.
func (t *table) stacked(screen int) []string {
	var out []string
	for i, row := range t.rows {
		if i > 0 {
			out = append(out, "")
		}
		one := &table{}
		for col, cell := range row {
			one.rows = append(one.rows, []string{t.head[col], cell})
		}
		out = append(out, one.pairs(screen)...)
	}
	return out
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
