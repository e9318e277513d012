package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// table reads one table of the text key by key. What it cannot read it reports
// with the line; what nobody asked for done reports as unknown.
type table struct {
	r       *report
	o       *outline
	path    string
	rule    string // what findings call it
	values  map[string]any
	read    map[string]bool
	entries *int // names left, over all tables
	globs   *int // patterns left, over all tables
}

func (t *table) line(key string) int { return t.o.at(join(t.path, key)) }

func (t *table) add(s Severity, key, message, remedy string) {
	line := t.line(key)
	if key == "" {
		line = t.o.at(t.path)
	}
	t.r.add(Finding{Line: line, Rule: t.rule, Field: key, Severity: s, Message: message, Remedy: remedy})
}

// wrong is an error about a key.
func (t *table) wrong(key, message, remedy string) { t.add(Error, key, message, remedy) }

// has says whether the key is there, and takes it for known.
func (t *table) has(key string) bool {
	t.read[key] = true
	_, ok := t.values[key]
	return ok
}

// wrongType says what a key holds and what it should hold.
func (t *table) wrongType(key string, v any, want, example string) {
	t.wrong(key, fmt.Sprintf("holds %s, not %s", kind(v), want), fmt.Sprintf("write %s = %s", key, example))
}

func kind(v any) string {
	switch v.(type) {
	case string:
		return "a text"
	case bool:
		return "true or false"
	case int64, float64:
		return "a number"
	case []any:
		return "a list"
	case map[string]any, []map[string]any:
		return "a table"
	case time.Time:
		return "a time"
	}
	return "something else"
}

// text reads a text of at most limit characters; empty where the key is missing.
func (t *table) text(key string, limit int, example string) string {
	if !t.has(key) {
		return ""
	}
	s, ok := t.values[key].(string)
	if !ok {
		t.wrongType(key, t.values[key], "a text", strconv.Quote(example))
		return ""
	}
	s = strings.TrimSpace(s)
	if !printable(s) {
		t.wrong(key, "has characters that cannot be shown", "leave out control characters and line breaks")
		return ""
	}
	if n := utf8.RuneCountInString(s); n > limit {
		t.wrong(key, fmt.Sprintf("has %d characters; %d is the most", n, limit), "say it shorter")
		return ""
	}
	if s == "" {
		t.wrong(key, "is empty", fmt.Sprintf("leave the line out, or write %s = %q", key, example))
	}
	return s
}

// printable says that a text looks like what it is: nothing that moves the
// cursor, and nothing that turns the direction of writing.
func printable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

func (t *table) flag(key string) bool {
	if !t.has(key) {
		return false
	}
	b, ok := t.values[key].(bool)
	if !ok {
		t.wrongType(key, t.values[key], "true or false", "true")
	}
	return b
}

// number reads a whole number; 0 where the key is missing or wrong.
func (t *table) number(key string, least, most int) int {
	if !t.has(key) {
		return 0
	}
	n, ok := t.values[key].(int64)
	if !ok {
		t.wrongType(key, t.values[key], "a whole number", strconv.Itoa(least))
		return 0
	}
	if n < int64(least) || n > int64(most) {
		t.wrong(key, fmt.Sprintf("is %d; it must lie between %d and %d", n, least, most),
			fmt.Sprintf("write a number from %d to %d", least, most))
		return 0
	}
	return int(n)
}

// duration reads "15m", "24h", "7d" or "90s".
func (t *table) duration(key string, usual, most time.Duration) time.Duration {
	const least = time.Minute
	if !t.has(key) {
		return usual
	}
	s, ok := t.values[key].(string)
	if !ok {
		t.wrongType(key, t.values[key], "a time such as \"15m\"", strconv.Quote(spell(usual)))
		return usual
	}
	d, ok := unspell(s)
	if !ok {
		t.wrong(key, fmt.Sprintf("%q is not a time such as \"15m\", \"24h\" or \"7d\"", s),
			fmt.Sprintf("write a whole number and s, m, h or d: %s = %q", key, spell(usual)))
		return usual
	}
	if d < least || d > most {
		t.wrong(key, fmt.Sprintf("is %s; it must lie between %s and %s", spell(d), spell(least), spell(most)),
			fmt.Sprintf("write a time from %s to %s", spell(least), spell(most)))
		return usual
	}
	return d
}

// units are what a time is written in, the longest first.
func units() []struct {
	name string
	of   time.Duration
} {
	return []struct {
		name string
		of   time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}
}

func unspell(s string) (time.Duration, bool) {
	for _, u := range units() {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok || len(digits) > 6 {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 32)
		return time.Duration(n) * u.of, err == nil
	}
	return 0, false
}

// spell writes a time as unspell reads it; 24h stays 24h.
func spell(d time.Duration) string {
	for _, u := range units() {
		if d%u.of == 0 && d >= u.of && (u.name != "d" || d > u.of) {
			return fmt.Sprintf("%d%s", d/u.of, u.name)
		}
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// list reads a list of texts and the path of each; nil where the key is missing.
func (t *table) list(key, example string) []string {
	if !t.has(key) {
		return nil
	}
	all, ok := t.values[key].([]any)
	if !ok {
		t.wrongType(key, t.values[key], "a list", fmt.Sprintf("[%q]", example))
		return nil
	}
	if len(all) == 0 {
		t.wrong(key, "is an empty list", fmt.Sprintf("leave the line out, or write %s = [%q]", key, example))
		return nil
	}
	var out []string
	for i, v := range all {
		s, ok := v.(string)
		if !ok {
			t.element(key, i, fmt.Sprintf("entry %d is %s, not a text", i+1, kind(v)), "put it into quotes")
			continue
		}
		out = append(out, t.entry(key, i, s)...)
	}
	return out
}

// entry checks one text of a list.
func (t *table) entry(key string, i int, s string) []string {
	s = strings.TrimSpace(s)
	switch *t.entries--; {
	case *t.entries == -1:
		t.element(key, i, fmt.Sprintf("there are more than %d names in all lists together", MaxEntries),
			"put users into groups and name those")
		return nil
	case *t.entries < 0:
		return nil
	case s == "", !printable(s), utf8.RuneCountInString(s) > maxText:
		t.element(key, i, fmt.Sprintf("entry %d is empty, too long, or has characters that cannot be shown", i+1), "write a name")
		return nil
	}
	return []string{s}
}

// element is an error about one element of a list.
func (t *table) element(key string, i int, message, remedy string) {
	t.r.add(Finding{Line: t.line(fmt.Sprintf("%s[%d]", key, i)), Rule: t.rule, Field: key, Severity: Error, Message: message, Remedy: remedy})
}

// oneOf reads a text that is one of some words.
func (t *table) oneOf(key string, words ...string) string {
	s := t.text(key, maxText, words[0])
	if s == "" || slices.Contains(words, s) {
		return s
	}
	t.wrong(key, fmt.Sprintf("%q is none of %s", s, strings.Join(words, ", ")), meant(s, words))
	return ""
}

// sub reads a table within; nil where it is missing.
func (t *table) sub(key string) *table {
	if !t.has(key) {
		return nil
	}
	v, ok := t.values[key].(map[string]any)
	if !ok {
		t.r.add(Finding{Line: t.line(key), Rule: key, Severity: Error,
			Message: fmt.Sprintf("is %s, not a table", kind(t.values[key])), Remedy: fmt.Sprintf("write [%s] on a line of its own", key)})
		return nil
	}
	return &table{r: t.r, o: t.o, path: join(t.path, key), rule: key, values: v, read: map[string]bool{}, entries: t.entries, globs: t.globs}
}

// done reports the keys that nobody asked for.
func (t *table) done() {
	names := slices.Sorted(maps.Keys(t.read))
	for _, key := range slices.Sorted(maps.Keys(t.values)) {
		if !t.read[key] {
			shown := key
			if !printable(key) {
				shown = strconv.QuoteToASCII(key)
			}
			t.wrong(shown, fmt.Sprintf("there is no key %q here", shown), meant(key, names))
		}
	}
}

// meant names the word that somebody has mistyped, else all.
func meant(s string, words []string) string {
	if best := Nearest(strings.ToLower(s), words); best != "" {
		return fmt.Sprintf("write %q, if that is meant", best)
	}
	return "the words are " + strings.Join(words, ", ")
}

// Nearest is the word that another is likely meant to be, of a file that a person has
// written: the first of those from which it differs in the fewest letters, at most two;
// empty where there is none.
func Nearest(s string, words []string) string {
	best, least := "", 3
	for _, w := range words {
		if d := distance(s, w); d < least {
			best, least = w, d
		}
	}
	return best
}

// distance is how many letters differ (Levenshtein); texts that are much longer
// than the words of a policy are far from all of them.
func distance(a, b string) int {
	if len(a) > 2*maxName {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			before, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, before+cost)
		}
	}
	return row[len(b)]
}
