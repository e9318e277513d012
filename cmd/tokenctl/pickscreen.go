package main

import (
	"io"
	"strconv"
	"sync"
	"time"
)

// style is how a cell looks: a set of the following.
type style uint8

const (
	styleBold style = 1 << iota
	styleDim
	styleReverse
	styleSoon // what runs out soon, in yellow
)

// cell is one place of the screen. text is empty for a blank one and for the right
// half of a wide character.
type cell struct {
	text  string
	wide  bool // takes this place and the next
	style style
}

// frame is what a whole screen shows.
type frame struct {
	w, h       int
	cells      []cell
	curX, curY int // where the cursor is, from 0
}

func newFrame(w, h int) *frame { return &frame{w: w, h: h, cells: make([]cell, w*h)} }

func (f *frame) row(y int) []cell { return f.cells[y*f.w : (y+1)*f.w] }

// put writes s at x, y, as far as the row goes, and returns the column after it.
// A character that combines joins the one before it.
func (f *frame) put(x, y int, st style, s string) int {
	row := f.row(y)
	last := -1
	for _, r := range s {
		n := runeColumns(r)
		if n == 0 {
			// Bounded: a name may be nothing but such characters.
			if last >= 0 && len(row[last].text) < 64 {
				row[last].text += string(r)
			}
			continue
		}
		if x+n > f.w {
			break
		}
		if x > 0 && row[x-1].wide {
			row[x-1] = cell{style: row[x-1].style} // half of it is written over
		}
		row[x] = cell{text: string(r), wide: n == 2, style: st}
		if n == 2 {
			row[x+1] = cell{style: st}
		}
		last = x
		x += n
	}
	return x
}

// fill gives the places from x to the end of the row a style.
func (f *frame) fill(x, y int, st style) {
	row := f.row(y)
	for ; x < f.w; x++ {
		row[x].style |= st
	}
}

// blank is a place that looks like one that was erased.
func (c cell) blank() bool { return c == cell{} }

// ascii says that no terminal can take the cell for wider or narrower than it is.
func (c cell) ascii() bool { return len(c.text) <= 1 && !c.wide }

// frameStart begins what is sent of each frame: on the screen beside the usual one,
// which stays as it is where it is shown already, and without the cursor. Who stops
// the program (SIGSTOP) gives it no time to leave that screen, and may be back on the
// usual one when it goes on, which threads of it do before the program is told so.
const frameStart = "\x1b[?1047h\x1b[?25l"

// frameChanges appends what a terminal that shows from has to be sent to show to. With
// from nil or of another size all rows are written. Rows are erased one by one:
// erasing the whole screen makes some terminals keep it in their history, and
// there are codes on it.
func frameChanges(b []byte, from, to *frame) []byte {
	start := len(b)
	all := from == nil || from.w != to.w || from.h != to.h
	b = append(b, frameStart...)
	drawn := len(b)
	for y := range to.h {
		if all {
			b = writeRow(moveTo(b, 0, y), to.row(y), y, 0, true)
			continue
		}
		b = rowChanges(b, from.row(y), to.row(y), y)
	}
	if len(b) == drawn && from.curX == to.curX && from.curY == to.curY {
		return b[:start]
	}
	return append(moveTo(b, to.curX, to.curY), "\x1b[?25h"...)
}

func rowChanges(b []byte, from, to []cell, y int) []byte {
	first, last := -1, -1
	sure := true
	for x := range to {
		if from[x] != to[x] {
			if first < 0 {
				first = x
			}
			last = x
			sure = sure && from[x].ascii() && to[x].ascii()
		}
	}
	switch {
	case first < 0:
		return b
	case !sure:
		// What a terminal takes for a character's width may be another than what
		// is thought here, and leave something standing.
		return writeRow(moveTo(b, 0, y), to, y, 0, true)
	}
	rest := true
	for _, c := range to[last+1:] {
		rest = rest && c.blank()
	}
	if rest {
		return writeRow(moveTo(b, first, y), to, y, first, true)
	}
	return writeRow(moveTo(b, first, y), to[:last+1], y, first, false)
}

// writeRow writes the cells from column x on, where the cursor is. With erase all
// that is right of x is erased before.
func writeRow(b []byte, row []cell, y, x int, erase bool) []byte {
	if erase {
		b = append(b, "\x1b[K"...)
		for len(row) > x && row[len(row)-1].blank() {
			row = row[:len(row)-1]
		}
	}
	var now style
	sure := true
	for ; x < len(row); x++ {
		c := row[x]
		if c.text == "" && x > 0 && row[x-1].wide {
			continue
		}
		if !sure && c.text == "" {
			// After a name that may be narrower or wider than is thought here.
			b, sure = moveTo(b, x, y), true
		}
		if c.style != now {
			b, now = appendStyle(b, c.style), c.style
		}
		if c.text == "" {
			b = append(b, ' ')
		}
		b = append(b, c.text...)
		sure = sure && c.ascii()
	}
	if now != 0 {
		b = appendStyle(b, 0)
	}
	return b
}

func moveTo(b []byte, x, y int) []byte {
	b = append(b, "\x1b["...)
	b = strconv.AppendInt(b, int64(y+1), 10)
	b = append(b, ';')
	b = strconv.AppendInt(b, int64(x+1), 10)
	return append(b, 'H')
}

func appendStyle(b []byte, st style) []byte {
	b = append(b, "\x1b[0"...)
	for _, s := range []struct {
		st  style
		sgr string
	}{{styleBold, ";1"}, {styleDim, ";2"}, {styleReverse, ";7"}, {styleSoon, ";33"}} {
		if st&s.st != 0 {
			b = append(b, s.sgr...)
		}
	}
	return append(b, 'm')
}

// display writes frames to a terminal, from a goroutine of its own: a terminal may
// be slow, or stopped, and is then sent only the last of the frames that came
// meanwhile.
type display struct {
	out    io.Writer
	failed func(error) // called once, when the terminal takes no more

	mu     sync.Mutex
	wake   *sync.Cond
	want   *frame // to be shown; nil for nothing
	extra  []byte // to be sent before it, once
	forget bool   // what the terminal shows is not known any more
	dirty  bool   // something of these is new
	busy   bool   // being written
	closed bool
}

func newDisplay(out io.Writer, failed func(error)) *display {
	s := &display{out: out, failed: failed}
	s.wake = sync.NewCond(&s.mu)
	return s
}

// run writes until the display is closed or the terminal fails.
func (s *display) run() {
	var drawn *frame
	for {
		want, b, forget, ok := s.next()
		if !ok {
			return
		}
		if forget {
			drawn = nil
		}
		if want != nil {
			b = frameChanges(b, drawn, want)
			drawn = want
		}
		if len(b) == 0 {
			continue
		}
		if _, err := s.out.Write(b); err != nil {
			s.close()
			s.failed(err)
			return
		}
	}
}

// next waits for something to write.
func (s *display) next() (want *frame, extra []byte, forget, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
	s.wake.Broadcast()
	for !s.dirty && !s.closed {
		s.wake.Wait()
	}
	want, extra, forget = s.want, s.extra, s.forget
	s.extra, s.forget, s.dirty, s.busy = nil, false, false, !s.closed
	return want, extra, forget, !s.closed
}

// show has f drawn; it does not wait for it.
func (s *display) show(f *frame) { s.change(func() { s.want = f }) }

// send has b written as it is.
func (s *display) send(b string) { s.change(func() { s.extra = append(s.extra, b...) }) }

// redraw has the next frame drawn whole.
func (s *display) redraw() { s.change(func() { s.forget = true }) }

// stop has nothing drawn until the next frame.
func (s *display) stop() { s.change(func() { s.want, s.forget = nil, true }) }

func (s *display) close() { s.change(func() { s.closed = true }) }

func (s *display) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.dirty = true
	s.wake.Broadcast()
}

// settle waits until all that was shown and sent is written, at most so long.
func (s *display) settle(most time.Duration) {
	late := false
	t := time.AfterFunc(most, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		late = true
		s.wake.Broadcast()
	})
	defer t.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for (s.dirty || s.busy) && !s.closed && !late {
		s.wake.Wait()
	}
}
