package main

import (
	"fmt"
	"strings"
)

// page is a manual page that is being written, in man(7).
type page struct{ b strings.Builder }

// header begins a page. Date is when what it describes was last changed.
func (p *page) header(name, section, date, version string) {
	p.line(`.TH %s %s %s "tokend %s" "tokend"`, strings.ToUpper(name), section, date, version)
	// No hyphens and no stretched spaces: what is shown is often copied.
	p.line(".nh")
	p.line(".ad l")
}

func (p *page) line(format string, args ...any) { fmt.Fprintf(&p.b, format+"\n", args...) }

func (p *page) section(title string) { p.line(".SH %s", quoted(strings.ToUpper(title))) }

func (p *page) subsection(title string) { p.line(".SS %s", quoted(title)) }

// text writes paragraphs as help has them: a blank line between two, and lines
// that begin with spaces as they stand.
func (p *page) text(text string) {
	first := true
	for _, block := range blocks(text) {
		if !first {
			p.line(".PP")
		}
		first = false
		if block.literal {
			p.literal(block.lines)
			continue
		}
		for _, l := range wrapped(strings.Join(block.lines, " ")) {
			p.line("%s", prose(l))
		}
	}
}

// literal writes lines as they stand.
func (p *page) literal(lines []string) {
	p.line(".nf")
	for _, l := range lines {
		p.line("%s", escaped(strings.TrimRight(l, " ")))
	}
	p.line(".fi")
}

// item writes a term and what it means.
func (p *page) item(term, meaning string) {
	p.line(".TP")
	p.line("%s", term)
	for _, l := range wrapped(meaning) {
		p.line("%s", prose(l))
	}
}

type block struct {
	literal bool
	lines   []string
}

func blocks(text string) []block {
	var all []block
	fresh := true
	for _, l := range strings.Split(strings.Trim(text, "\n"), "\n") {
		if strings.TrimSpace(l) == "" {
			fresh = true
			continue
		}
		literal := strings.HasPrefix(l, " ")
		if fresh || all[len(all)-1].literal != literal {
			all = append(all, block{literal: literal})
		}
		fresh = false
		last := &all[len(all)-1]
		last.lines = append(last.lines, l)
	}
	return all
}

// wrapped breaks a text into short lines, as troff wants its input.
func wrapped(text string) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > 72 {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// prose is a line of a sentence: hyphens stay hyphens but in flags.
func prose(line string) string {
	words := strings.Split(line, " ")
	for i, w := range words {
		if flag := strings.TrimLeft(w, "(\"'"); strings.HasPrefix(flag, "-") && len(flag) > 1 {
			words[i] = roman(w, true)
			continue
		}
		words[i] = roman(w, false)
	}
	return shielded(strings.Join(words, " "))
}

// escaped is text that is typed as it stands.
func escaped(line string) string { return shielded(roman(line, true)) }

// shielded keeps a line from being taken for a request of troff.
func shielded(line string) string {
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		return `\&` + line
	}
	return line
}

// roman writes characters as troff has them in every locale.
func roman(text string, typed bool) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-' && typed:
			b.WriteString(`\-`)
		case r == '\'' && typed:
			b.WriteString(`\(aq`)
		case r == '`' && typed:
			b.WriteString(`\(ga`)
		case r == '^' && typed:
			b.WriteString(`\(ha`)
		case r == '~':
			b.WriteString(`\(ti`)
		case r > '~':
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// quoted is an argument of a request.
func quoted(text string) string {
	return `"` + strings.ReplaceAll(roman(text, true), `"`, `\(dq`) + `"`
}
