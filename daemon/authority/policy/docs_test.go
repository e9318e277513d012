package policy

import (
	"os"
	"strings"
	"testing"
)

// blocks are the code blocks of docs/policy.md that are marked with a word.
func blocks(t *testing.T, word string) []string {
	t.Helper()
	raw, err := os.ReadFile("../../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, part := range strings.Split(string(raw), "\n```"+word+"\n")[1:] {
		block, _, _ := strings.Cut(part, "\n```")
		out = append(out, block+"\n")
	}
	if len(out) == 0 {
		t.Fatalf("no block %q", word)
	}
	return out
}

// TestDocsExamples reads every example of the documentation, within a policy
// where it is a part of one. None has an error; warnings are told of nowhere but
// about remote fobs, which Check gives.
func TestDocsExamples(t *testing.T) {
	n := 0
	for _, block := range blocks(t, "toml") {
		text := block
		if !strings.Contains(block, "[reactivation]") {
			text = "[reactivation]\nallow = [\"fob\", \"bypass_code\"]\nafter_restore = \"allowed\"\nold_device = \"revoke\"\n" + text
		}
		if !strings.Contains(block, "version") {
			text = "version = 1\n[contact]\nname = \"IT\"\n" + text
		}
		if !strings.Contains(block, "[help]") {
			text += "[help]\nfor_user = [\"owner\"]\n"
		}
		if p, findings := Parse([]byte(text)); p == nil || len(findings) > 0 {
			t.Errorf("%v\n%s", findings, text)
		}
		n++
	}
	if n < 7 {
		t.Errorf("only %d examples", n)
	}
}

func TestDocsFindings(t *testing.T) {
	_, findings := Parse([]byte(blocks(t, "toml-wrong")[0]))
	var got []string
	for _, f := range findings {
		got = append(got, f.String())
	}
	if want := strings.TrimSpace(blocks(t, "findings")[0]); strings.Join(got, "\n") != want {
		t.Errorf("%s\nand docs/policy.md says\n%s", strings.Join(got, "\n"), want)
	}
}

// TestDocsKeys: every key, factor, role and preset is in the reference.
func TestDocsKeys(t *testing.T) {
	raw, err := os.ReadFile("../../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	keys := []string{"version", "name", "phone", "email", "portal", "activation", "pending_secret", "device_approval", "second_approver_for"}
	keys = append(keys, Presets()...)
	for _, f := range Factors() {
		keys = append(keys, string(f))
	}
	for _, r := range Roles() {
		keys = append(keys, string(r), "for_"+string(r))
	}
	// What a rule may hold is told by what it does not know.
	_, findings := Parse([]byte(with("[[rule]]\nname = 'a'\nzzzzzzzz = 1\n")))
	for _, f := range findings {
		if words, ok := strings.CutPrefix(f.Remedy, "the words are "); ok {
			keys = append(keys, strings.Split(words, ", ")...)
		}
	}
	if len(keys) < 40 {
		t.Errorf("only %d keys", len(keys))
	}
	for _, k := range keys {
		if !strings.Contains(string(raw), "`"+k+"`") {
			t.Errorf("docs/policy.md does not have `%s`", k)
		}
	}
}
