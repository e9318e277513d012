package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"

	"github.com/tokenbridge/tokend/ipc"
)

// clean makes a name that anybody may have chosen safe to show: control
// characters, invalid bytes, line separators and invisible or direction-changing
// characters are written as escapes. The joiners of emoji and of Persian or
// Indic words stay.
func clean(s string) string {
	if !needsCleaning(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !unsafeRune(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += n
	}
	return b.String()
}

func needsCleaning(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || unsafeRune(r) {
			return true
		}
	}
	return false
}

func unsafeRune(r rune) bool {
	if r < utf8.RuneSelf {
		return r < ' ' || r == 0x7f
	}
	if r == '\u200c' || r == '\u200d' {
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs)
}

// columns is how many columns of a terminal s takes.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	if r < utf8.RuneSelf {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// truncate shortens s to at most n columns and shows that it did.
func truncate(s string, n int) string {
	if columns(s) <= n {
		return s
	}
	if n < 1 {
		return ""
	}
	used := 0
	for i, r := range s {
		if used+runeColumns(r) > n-1 {
			return s[:i] + "…"
		}
		used += runeColumns(r)
	}
	return s
}

// accountName is how an account is called everywhere.
func accountName(issuer, name string) string {
	if issuer == "" {
		return clean(name)
	}
	return clean(issuer) + ":" + clean(name)
}

// tokenName is how a token is called: its label, its kind, or its id.
func tokenName(t *ipc.TokenRef) string {
	switch {
	case t == nil:
		return "the token"
	case t.Label != "":
		return clean(t.Label)
	case t.ID != "":
		return clean(t.ID)
	}
	return "the token"
}

// span says a duration in at most two units: "9 min 58 s", "2 h", "3 days".
func span(d time.Duration) string {
	d = d.Round(time.Second)
	if d < 0 {
		d = 0
	}
	day := 24 * time.Hour
	two := func(a time.Duration, au string, b time.Duration, bu string) string {
		if b == 0 {
			return fmt.Sprintf("%d %s", a, au)
		}
		return fmt.Sprintf("%d %s %d %s", a, au, b, bu)
	}
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return two(d/time.Minute, "min", d%time.Minute/time.Second, "s")
	case d < 2*day:
		return two(d/time.Hour, "h", d%time.Hour/time.Minute, "min")
	}
	return fmt.Sprintf("%d days", d/day)
}

// validFor is how long a code is good for yet. One is made until the last moment.
func validFor(d time.Duration) string {
	if d < time.Second {
		return "less than a second"
	}
	return span(d)
}

// ago says when something was, with how long ago that is.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	at := t.Local().Format("2006-01-02 15:04")
	if d := now.Sub(t); d >= 0 {
		return at + " (" + span(d) + " ago)"
	}
	return at
}

// clock is a time until which somebody waits, to the second.
func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// plural puts a number before a noun.
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if strings.HasSuffix(one, "s") {
		return fmt.Sprintf("%d %ses", n, one)
	}
	if strings.HasSuffix(one, "y") && !strings.HasSuffix(one, "ey") {
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(one, "y"))
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// pinWord is what guards a token.
func pinWord(t *ipc.TokenRef) string {
	if t != nil && t.Kind == "soft" {
		return "passphrase"
	}
	return "PIN"
}

func waitText(seconds int) string {
	if seconds <= 0 {
		return "a moment"
	}
	return plural(seconds, "second")
}
