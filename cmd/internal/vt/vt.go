// Package vt is a small model of a terminal, for tests of what is drawn on one:
// what a person sees after a program wrote something, what is left when it has
// gone, and what scrolled away into the history. It knows the control sequences
// (ECMA-48, xterm) that our programs use, and remembers those it does not know.
package vt

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// Cell is one place of the screen. Text is empty for a blank one, and for the
// right half of a wide character.
type Cell struct {
	Text    string
	Wide    bool
	Reverse bool
}

// Terminal is a terminal. Its methods can be called from several goroutines.
type Terminal struct {
	mu       sync.Mutex
	w, h     int
	x, y     int
	main     [][]Cell
	other    [][]Cell // the alternate screen, nil when not shown
	saved    [2]int
	pending  []byte
	styled   bool
	reverse  bool
	noWrap   bool
	noCursor bool
	left     int
	history  []string
	unknown  []string
	written  int
	clip     string
}

// New returns an empty terminal of w columns and h lines.
func New(w, h int) *Terminal { return &Terminal{w: w, h: h, main: empty(w, h)} }

func empty(w, h int) [][]Cell {
	rows := make([][]Cell, h)
	for i := range rows {
		rows[i] = make([]Cell, w)
	}
	return rows
}

// Resize gives the terminal another size. What does not fit is cut, as in a
// terminal that does not flow its text anew.
func (t *Terminal) Resize(w, h int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fit := func(old [][]Cell) [][]Cell {
		rows := empty(w, h)
		for y := range min(h, len(old)) {
			copy(rows[y], old[y])
		}
		return rows
	}
	t.main = fit(t.main)
	if t.other != nil {
		t.other = fit(t.other)
	}
	t.w, t.h, t.x, t.y = w, h, min(t.x, w-1), min(t.y, h-1)
}

func (t *Terminal) rows() [][]Cell {
	if t.other != nil {
		return t.other
	}
	return t.main
}

// Write shows what a program wrote.
func (t *Terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.written += len(p)
	t.pending = append(t.pending, p...)
	for len(t.pending) > 0 {
		n := t.step(t.pending)
		if n == 0 {
			break
		}
		t.pending = t.pending[n:]
	}
	return len(p), nil
}

// step does what b begins with and says how much of it that was.
func (t *Terminal) step(b []byte) int {
	switch c := b[0]; {
	case c == 0x1b:
		return t.sequence(b)
	case c == '\r':
		t.x = 0
		return 1
	case c == '\n':
		t.feed()
		return 1
	case c == '\b':
		t.x = max(0, t.x-1)
		return 1
	case c < ' ':
		t.unknown = append(t.unknown, fmt.Sprintf("%#x", c))
		return 1
	case !utf8.FullRune(b):
		return 0
	}
	r, n := utf8.DecodeRune(b)
	t.put(r)
	return n
}

func (t *Terminal) feed() {
	if t.y++; t.y < t.h {
		return
	}
	t.y = t.h - 1
	rows := t.rows()
	if t.other == nil {
		t.history = append(t.history, line(rows[0]))
	}
	copy(rows, rows[1:])
	rows[t.h-1] = make([]Cell, t.w)
}

func (t *Terminal) put(r rune) {
	n := Columns(r)
	if n == 0 {
		if t.x > 0 {
			row, x := t.rows()[t.y], t.x-1
			if row[x].Text == "" && x > 0 {
				x--
			}
			row[x].Text += string(r)
		}
		return
	}
	if t.x+n > t.w {
		if t.noWrap {
			t.x = t.w - n
		} else {
			t.x = 0
			t.feed()
		}
	}
	row := t.rows()[t.y]
	if t.x > 0 && row[t.x-1].Wide {
		row[t.x-1] = Cell{} // half of a wide character was written over
	}
	row[t.x] = Cell{Text: string(r), Wide: n == 2, Reverse: t.reverse}
	if n == 2 {
		row[t.x+1] = Cell{Reverse: t.reverse}
	}
	t.x += n
}

// Columns is how many places a character takes.
func Columns(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// sequence does what a control sequence says.
func (t *Terminal) sequence(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case ']':
		i := strings.IndexByte(string(b), 7)
		if i > 0 {
			t.clip = strings.TrimPrefix(string(b[2:i]), "52;c;")
		}
		return i + 1
	case '[':
	default:
		t.unknown = append(t.unknown, string(b[:2]))
		return 2
	}
	for i := 2; i < len(b); i++ {
		if b[i] >= '@' && b[i] <= '~' {
			t.control(string(b[2:i]), b[i])
			return i + 1
		}
	}
	return 0
}

func (t *Terminal) control(parameters string, final byte) {
	if mode, ok := strings.CutPrefix(parameters, "?"); ok {
		t.mode(mode, final)
		return
	}
	n := make([]int, 2)
	for i, s := range strings.SplitN(parameters, ";", 2) {
		n[i], _ = strconv.Atoi(s)
	}
	switch final {
	case 'H':
		t.y, t.x = min(max(n[0], 1), t.h)-1, min(max(n[1], 1), t.w)-1
	case 'A':
		t.y = max(0, t.y-max(1, n[0]))
	case 'K':
		if t.x < t.w {
			clear(t.rows()[t.y][t.x:])
		}
	case 'J':
		clear(t.rows()[t.y][min(t.x, t.w):])
		for y := t.y + 1; y < t.h; y++ {
			clear(t.rows()[y])
		}
	case 'm':
		t.styled = true
		t.reverse = strings.Contains(";"+parameters+";", ";7;")
	default:
		t.unknown = append(t.unknown, parameters+string(final))
	}
}

func (t *Terminal) mode(mode string, final byte) {
	on := final == 'h'
	switch mode {
	case "25":
		t.noCursor = !on
	case "7":
		t.noWrap = !on
	case "1047":
		switch {
		case on && t.other == nil:
			t.other = empty(t.w, t.h)
		case !on:
			t.unknown = append(t.unknown, "?1047l")
		}
	case "1049":
		switch {
		case on && t.other == nil:
			t.saved, t.other = [2]int{t.x, t.y}, empty(t.w, t.h)
		case on: // xterm clears it
			t.other = empty(t.w, t.h)
		case !on && t.other != nil:
			t.left++
			t.other, t.x, t.y = nil, t.saved[0], min(t.saved[1], t.h-1)
		}
	default:
		t.unknown = append(t.unknown, "?"+mode+string(final))
	}
}

func line(row []Cell) string {
	var b strings.Builder
	for x, c := range row {
		switch {
		case c.Text != "":
			b.WriteString(c.Text)
		case x == 0 || !row[x-1].Wide:
			b.WriteByte(' ')
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// Lines are what the screen shows, without blanks at their ends.
func (t *Terminal) Lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := make([]string, t.h)
	for y, row := range t.rows() {
		lines[y] = line(row)
	}
	return lines
}

// Text is Lines in one piece.
func (t *Terminal) Text() string { return strings.Join(t.Lines(), "\n") }

// Cells are a copy of what the screen shows.
func (t *Terminal) Cells() [][]Cell {
	t.mu.Lock()
	defer t.mu.Unlock()
	rows := empty(t.w, t.h)
	for y, row := range t.rows() {
		copy(rows[y], row)
	}
	return rows
}

// State is how a terminal is, apart from what it shows.
type State struct {
	Alternate bool // the second screen is shown
	Left      int  // how often it was left
	NoWrap    bool
	NoCursor  bool
	Styled    bool // a colour or the like was set at some time
	X, Y      int  // the cursor's place, from 0
	Written   int  // bytes so far
	Clipboard string
	History   []string // lines that scrolled away
	Unknown   []string // control sequences that it does not know
}

// State tells how the terminal is.
func (t *Terminal) State() State {
	t.mu.Lock()
	defer t.mu.Unlock()
	return State{Alternate: t.other != nil, Left: t.left, NoWrap: t.noWrap, NoCursor: t.noCursor, Styled: t.styled, X: t.x, Y: t.y,
		Written: t.written, Clipboard: t.clip, History: append([]string(nil), t.history...), Unknown: append([]string(nil), t.unknown...)}
}
