package main

import "strings"

// What is said is laid out here for the terminal's width: paragraphs go in, lines
// come out. No text in the program is broken by hand, but for the help, where the
// breaks of a paragraph mean spaces.

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

// hanging breaks s into lines of at most screen columns, of which the first begins
// with first and the others with rest.
func hanging(first, rest, s string, screen int) []string {
	lines := wrapped(s, screen-max(columns(first), columns(rest)))
	for i := range lines {
		lines[i] = either(i == 0, first, rest) + lines[i]
	}
	return lines
}

// reflowed lays the text of a help out anew. Lines that follow each other are one
// paragraph; one that begins with spaces is an item of a list, and those below it
// that begin with more are part of it.
func reflowed(text string, screen int) []string {
	var out []string
	first, rest, body := "", "", ""
	end := func() {
		if body != "" {
			out = append(out, hanging(first, rest, body, screen)...)
		}
		first, rest, body = "", "", ""
	}
	for _, line := range strings.Split(text, "\n") {
		words := strings.TrimLeft(line, " ")
		indent := line[:len(line)-len(words)]
		switch {
		case words == "":
			end()
			out = append(out, "")
		case body != "" && (indent == "" && first == "" || indent != "" && len(indent) > len(first)-len(strings.TrimLeft(first, " "))):
			body += " " + words
		default:
			end()
			first, body = itemOf(indent, words)
			rest = strings.Repeat(" ", columns(first))
		}
	}
	end()
	return out
}

// itemOf takes the head of a list's item off it: a dash, or what stands before two
// spaces.
func itemOf(indent, words string) (head, body string) {
	if indent == "" {
		return "", words
	}
	if rest, ok := strings.CutPrefix(words, "- "); ok {
		return indent + "- ", rest
	}
	if at := strings.Index(words, "  "); at > 0 {
		rest := strings.TrimLeft(words[at:], " ")
		return indent + words[:len(words)-len(rest)], rest
	}
	return indent, words
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
