package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/daemon/metrics"
)

// TestDocsTables compares the tables of two guides with the code that they tell of;
// with -update it writes them anew.
func TestDocsTables(t *testing.T) {
	var set, met strings.Builder
	set.WriteString("| setting | default | at a reload | |\n|---|---|---|---|\n")
	for _, s := range settings(defaultConfig()) {
		fmt.Fprintf(&set, "| `%s` | `%s` | %s | %s |\n", s.name, s.text(), map[bool]string{true: "yes", false: ""}[s.reload], strings.ReplaceAll(s.doc, "\n", " "))
	}
	met.WriteString("| metric | type | labels | |\n|---|---|---|---|\n")
	for _, f := range metrics.New().Families() {
		fmt.Fprintf(&met, "| `%s` | %s | %s | %s |\n", f.Name, f.Type, strings.Join(f.Labels, ", "), f.Help)
	}
	for path, d := range map[string]struct{ head, want, mark string }{
		"../../docs/configuration.md": {"| setting |", set.String(), "SETTINGS\n"}, "../../docs/monitoring.md": {"| metric |", met.String(), "METRICS\n"},
	} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		if strings.Contains(text, d.want) {
			continue
		}
		t.Errorf("the table of %s is not what the code says: go test ./cmd/tokend -run DocsTables -update", path)
		if !*update {
			continue
		}
		text = strings.Replace(text, d.mark, d.head+"\n", 1)
		at := strings.Index(text, d.head)
		end := at
		for strings.HasPrefix(text[end:], "|") {
			end += strings.Index(text[end:], "\n") + 1
		}
		if err := os.WriteFile(path, []byte(text[:at]+d.want+text[end:]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

var update = flag.Bool("update", false, "write the tables of the guides anew")
