package transfer

import (
	"context"
	"fmt"
	"strings"
)

// line is a line of a text file that is neither empty nor a comment.
type line struct {
	number int
	text   string
}

func (l line) where() string { return fmt.Sprintf("line %d", l.number) }

// lines are the lines that say something.
func (f *File) lines() []line {
	if !f.hasLines {
		f.hasLines = true
		n := 0
		for text := range strings.SplitSeq(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(f.text()), "\n") {
			n++
			text = strings.TrimSpace(text)
			if text == "" || comment(text) {
				continue
			}
			f.asLines = append(f.asLines, line{n, text})
		}
	}
	return f.asLines
}

// comment says whether a line is for people: an address in it is no account.
func comment(text string) bool {
	return strings.HasPrefix(text, "#") || strings.HasPrefix(text, "//") || strings.HasPrefix(text, ";") || strings.HasPrefix(text, "<!--")
}

// addresses is text with otpauth:// addresses, one a line, as most products can
// write it: Ente, WinAuth, Aegis, FreeOTP+, and people. Lines of Google's
// migration may be among them.
type addresses struct{}

// Name implements Format.
func (addresses) Name() string { return "otpauth addresses" }

// Detect implements Format.
func (addresses) Detect(f *File) Confidence {
	lines := f.lines()
	if len(lines) == 0 || strings.ContainsAny(lines[0].text[:1], "{[<") {
		return No // JSON or XML that others read, or nobody
	}
	for i, l := range lines {
		switch {
		case isAddress(l.text) && i == 0:
			return Sure
		case isAddress(l.text):
			return Likely
		}
	}
	if strings.Contains(strings.ToLower(f.text()), schemeOTP) {
		return Maybe
	}
	return No
}

// Read implements Format.
func (a addresses) Read(_ context.Context, f *File, _ Options) (Result, error) {
	c := collect(a.Name())
	var parts migrationParts
	bin := 0
	for _, l := range f.lines() {
		text, extra := l.text, ""
		if hasScheme(text, schemeMigration) {
			parts.read(c, l.where(), text)
			continue
		}
		if !isAddress(text) {
			if text, extra = embedded(text); text == "" {
				c.skip(l.where(), "", "", "the line is no otpauth:// address")
				continue
			}
		}
		e := entry{where: l.where()}
		if reason := parseAddress(&e, text); reason != "" {
			c.skip(l.where(), e.issuer, e.name, reason)
			continue
		}
		if e.group == trashed {
			bin++
			continue
		}
		if extra != "" {
			e.warnings = append(e.warnings, extra)
		}
		c.add(e)
	}
	parts.finish(c)
	c.bin(bin)
	if len(c.Rows) == 0 && len(c.Skipped) == 0 && bin == 0 {
		return Result{}, notMine(a.Name())
	}
	return c.Result, nil
}

// bin notes accounts that lay in a product's bin.
func (c *collector) bin(n int) {
	if n > 0 {
		c.note("%d in the product's bin, which are not taken for accounts", n)
	}
}

// embedded finds an address in a line that has other words.
func embedded(text string) (address, warning string) {
	at := strings.Index(strings.ToLower(text), schemeOTP)
	if at < 0 {
		return "", ""
	}
	address = text[at:]
	if end := strings.IndexAny(address, " \t\"'<>`|,;)]}"); end >= 0 {
		address = address[:end]
	}
	return address, "there are other words in its line, which were left out"
}
