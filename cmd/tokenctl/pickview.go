package main

import (
	"fmt"
	"strings"
	"time"
)

// pickView is what is around the list, and how it may look.
type pickView struct {
	list *pickList
	// blank, when set, stands in the place of the list: why there is none, and
	// what can be done.
	blank []string
	// note is what is said below it; empty for the keys.
	note string
	keys []string // most important first
	// plain: no bold, no colour, nothing reversed.
	plain bool
	now   time.Time
}

// The places of a line of the list: mark, name, code, time left, "copied".
const (
	markColumns = 2
	leftColumns = 5
	// Below these widths of the screen a part is left out.
	leastForCopied = 60
	leastForLeft   = 30
)

// expired is how long a code stays that has run out, until the next is there.
const expired = time.Second

// draw lays everything out on a screen of w columns and h lines.
func (v *pickView) draw(w, h int) *frame {
	w, h = max(1, w), max(1, h)
	f := newFrame(w, h)
	below := v.below(w, h)
	top := 1
	if h == 1 || h == 2 && len(below) > 0 {
		top = 0
	}
	v.list.resize(h - top - len(below))
	if top > 0 {
		v.drawFilter(f)
	}
	if v.blank != nil {
		v.drawBlank(f, top, h-len(below))
	} else {
		for i, at := range v.list.visible() {
			if top+i == h-len(below) {
				break // not even one fits
			}
			v.drawItem(f, top+i, &v.list.items[at], v.list.top+i == v.list.selected)
		}
	}
	for i, line := range below {
		st := v.style(styleDim)
		if v.note != "" {
			st = v.style(styleBold)
		}
		f.put(0, h-len(below)+i, st, line)
	}
	return f
}

func (v *pickView) style(st style) style {
	if v.plain {
		return 0
	}
	return st
}

// below is what stands below the list: the note, the whole name of an account
// whose name is cut, or the keys.
func (v *pickView) below(w, h int) []string {
	text := v.note
	if it := v.list.current(); text == "" && v.blank == nil && it != nil && columns(it.name) > v.nameColumns(w) {
		text = it.name
	}
	if text == "" {
		if h < 3 {
			return nil
		}
		return []string{fitting(v.keys, w)}
	}
	most := max(1, h/3)
	if h == 1 && v.note == "" {
		return nil
	}
	var lines []string
	for _, l := range broken(text, w) {
		for columns(l) > w {
			part := head(l, w)
			if part == "" {
				break
			}
			lines, l = append(lines, part), l[len(part):]
		}
		lines = append(lines, l)
	}
	if len(lines) > most {
		lines = lines[:most]
		lines[most-1] = truncate(lines[most-1]+" …", w)
	}
	return lines
}

// fitting is as many of the parts as fit on a line.
func fitting(parts []string, w int) string {
	const gap = "   "
	s := ""
	for _, p := range parts {
		switch {
		case s == "":
			s = truncate(p, w)
		case columns(s)+len(gap)+columns(p) <= w:
			s += gap + p
		}
	}
	return s
}

func (v *pickView) drawFilter(f *frame) {
	const prompt = "Filter: "
	count := ""
	if v.blank == nil {
		if count = plural(len(v.list.items), "account"); v.list.filter != "" {
			count = fmt.Sprintf("%d of %s", len(v.list.matches), count)
		}
	}
	room := f.w - columns(prompt) - 1
	if columns(count)+columnGap+columns(v.list.filter) <= room {
		f.put(f.w-columns(count), 0, v.style(styleDim), count)
	}
	x := f.put(0, 0, v.style(styleDim), prompt)
	f.curX = min(f.put(x, 0, 0, tail(v.list.filter, room)), f.w-1)
}

func (v *pickView) drawBlank(f *frame, top, end int) {
	y := top
	for _, text := range v.blank {
		for _, line := range broken(text, f.w) {
			if y < end {
				f.put(0, y, 0, line)
				y++
			}
		}
	}
}

// nameColumns is how wide names are shown: as wide as the longest, where there is
// room.
func (v *pickView) nameColumns(w int) int {
	room := w - markColumns - columnGap - v.list.digits
	if w >= leastForLeft {
		room -= columnGap + leftColumns
	}
	if w >= leastForCopied {
		room -= columnGap + len(copiedText)
	}
	return max(0, min(v.list.widest, room))
}

const (
	copiedText = "copied"
	pressEnter = "press Enter"
)

func (v *pickView) drawItem(f *frame, y int, it *pickItem, selected bool) {
	st := style(0)
	if selected {
		st = v.style(styleReverse)
		f.fill(0, y, st)
		f.put(0, y, st, ">")
	}
	names := v.nameColumns(f.w)
	f.put(markColumns, y, st, shortened(it.name, names))
	x := markColumns + names + columnGap
	code, left := v.codeOf(it)
	if code == "" {
		// A word, which may go on where the time would stand.
		f.put(x, y, st|v.style(styleDim), left)
	} else {
		f.put(x, y, st|v.style(styleBold), code)
	}
	x += v.list.digits + columnGap
	if f.w >= leastForLeft && code != "" {
		soon := style(0)
		if until := it.code.ValidUntil; !until.IsZero() && until.Sub(v.now) <= 5*time.Second {
			soon = v.style(styleSoon)
		}
		f.put(x, y, st|soon, strings.Repeat(" ", max(0, leftColumns-columns(left)))+left)
	}
	x += leftColumns + columnGap
	if f.w >= leastForCopied && code != "" && v.now.Before(it.copied) {
		f.put(x, y, st, copiedText)
	}
}

// codeOf is an account's code and the time it has left, or a word in place of both.
func (v *pickView) codeOf(it *pickItem) (code, left string) {
	until := it.code.ValidUntil
	switch {
	case !it.live() && it.kept(v.now):
		if until.IsZero() {
			return clean(it.code.Code), ""
		}
		return clean(it.code.Code), shortSpan(until.Sub(v.now))
	case it.account.Inactive:
		return "", "inactive"
	case it.account.Class == "touch":
		return "", "touch"
	case !it.live():
		return "", pressEnter
	case it.reason != "":
		return "", it.reason
	case it.code.Code == "" || v.now.Sub(until) > expired:
		return "", "…"
	}
	return clean(it.code.Code), shortSpan(until.Sub(v.now))
}

// shortSpan is span in at most leftColumns columns.
func shortSpan(d time.Duration) string {
	switch d = max(0, d.Round(time.Second)); {
	case d < 1000*time.Second:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 100*time.Minute:
		return fmt.Sprintf("%dmin", d/time.Minute)
	case d < 1000*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return "long"
}

// shortened cuts a name in its middle: what tells two accounts apart is as often
// at the end.
func shortened(s string, n int) string {
	if columns(s) <= n {
		return s
	}
	if n < narrowest {
		return truncate(s, n)
	}
	return head(s, n/2) + "…" + tail(s, n-1-n/2)
}

// head is as much of the beginning of s as takes n columns.
func head(s string, n int) string {
	for i, r := range s {
		if n -= runeColumns(r); n < 0 {
			return s[:i]
		}
	}
	return s
}

// tail is as much of the end of s as takes n columns.
func tail(s string, n int) string {
	over := columns(s) - n
	for i, r := range s {
		if over <= 0 && runeColumns(r) > 0 {
			return s[i:]
		}
		over -= runeColumns(r)
	}
	return ""
}
