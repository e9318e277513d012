//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block is a block of code in a guide.
type block struct {
	lang, label, text string
	// answer is the block in the language "text" right below it.
	answer string
}

// blocks are those of a file in docs, in order; what answers one is in it alone.
func blocks(t *testing.T, name string) []block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../../docs", name))
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	fenced := regexp.MustCompile("(?ms)^```([a-z]+)(?: ([^\n]*))?\n(.*?)^```\n(?:```text\n(.*?)^```\n)?")
	for _, m := range fenced.FindAllStringSubmatch(string(text), -1) {
		all = append(all, block{m[1], m[2], m[3], m[4]})
	}
	return all
}

var number = regexp.MustCompile(`[0-9a-f]*\d[0-9a-f]*`)

// shows says whether a program printed what a guide says: there "…" stands for
// anything, and a number for any other of its length.
func shows(printed, guide string) bool {
	same := func(s string) string {
		return number.ReplaceAllStringFunc(strings.TrimSpace(s), func(n string) string { return strings.Repeat("N", len(n)) })
	}
	parts := strings.Split(same(guide), "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(strings.TrimSpace(parts[i]))
	}
	return regexp.MustCompile("^(?s:" + strings.Join(parts, ".*") + ")$").MatchString(same(printed))
}
