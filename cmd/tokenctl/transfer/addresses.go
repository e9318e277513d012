package transfer

import (
	"context"
	"fmt"
	"slices"
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
	for _, l := range lines {
		if containsScheme(l.text, schemeOTP) {
			return Maybe
		}
	}
	return No
}

// Read implements Format.
func (a addresses) Read(_ context.Context, f *File, _ Options) (Result, error) {
	c := collect(a.Name())
	bin := 0
	for _, l := range f.lines() {
		if len(c.Skipped) > maxSkipped {
			break // there is no end to it
		}
		found, words := addressesIn(l.text)
		if len(found) == 0 {
			c.skip(l.where(), "", "", "the line is no otpauth:// address")
		}
		for i, text := range found {
			where := l.where()
			if len(found) > 1 {
				where += fmt.Sprintf(", address %d", i+1)
			}
			if hasScheme(text, schemeMigration) {
				c.readPart(where, text)
				continue
			}
			e := entry{where: where}
			if words {
				e.warnings = []string{"there are other words in its line, which were left out"}
			}
			if reason := parseAddress(&e, text); reason != "" {
				c.skip(where, e.issuer, e.name, reason)
			} else if e.group == trashed {
				bin++
			} else {
				c.add(e)
			}
		}
	}
	c.bin(bin)
	if len(c.Rows) == 0 && len(c.Skipped) == 0 && bin == 0 && c.parts == nil {
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

func containsScheme(text, scheme string) bool {
	return strings.Contains(strings.ToLower(text), scheme)
}

// addressesIn finds the addresses in a line, and says whether it has other words.
// A line that begins with an address and has no other is one as a whole.
func addressesIn(text string) (found []string, words bool) {
	lower := strings.ToLower(text)
	var starts []int
	for _, scheme := range []string{schemeOTP, schemeMigration, schemeSteam} {
		for at := 0; len(starts) < maxAccounts+maxSkipped; {
			i := strings.Index(lower[at:], scheme)
			if i < 0 {
				break
			}
			starts = append(starts, at+i)
			at += i + len(scheme)
		}
	}
	slices.Sort(starts)
	if len(starts) == 1 && starts[0] == 0 || len(lower) != len(text) {
		if isAddress(text) || hasScheme(text, schemeMigration) {
			return []string{text}, false
		}
		return nil, true
	}
	end := 0
	for i, at := range starts {
		words = words || strings.Trim(text[end:at], " \t") != ""
		end = len(text)
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		if stop := strings.IndexAny(text[at:end], " \t\"'<>`|,;)]}"); stop >= 0 {
			end = at + stop
		}
		found = append(found, text[at:end])
	}
	return found, words || strings.Trim(text[end:], " \t") != ""
}
