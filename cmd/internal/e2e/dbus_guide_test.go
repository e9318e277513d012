//go:build linux

package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc/dbus"
	"github.com/tokenbridge/tokend/tokens/tokentest/busrig"
)

// TestDBusGuideExamples runs every example of docs/dbus.md and compares what it
// prints with what stands below it, up to the first "…"; a number is as good as
// another of its length.
func TestDBusGuideExamples(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../../docs/dbus.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	example := regexp.MustCompile("(?s)```(sh|python)\n(.*?)```\n```text\n(.*?)```")
	found := example.FindAllStringSubmatch(text, -1)
	if n := strings.Count(text, "```sh\n") + strings.Count(text, "```python\n"); len(found) != n || n < 4 {
		t.Fatalf("%d examples with an answer, %d in all", len(found), n)
	}
	bus := newBusBench(t, busrig.Options{})
	d := NewDaemon(t, programs(t), bus.Env)
	d.Start()
	d.OK("a long passphrase", "init", "--token", "soft", "--pin-file", "-", "--no-recovery-password")
	d.OK("otpauth://totp/Example:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Example", "account", "add", "--uri-file", "-", "--class", "session")
	bus.served(-1)
	number := regexp.MustCompile(`[0-9a-f]*\d[0-9a-f]*`)
	same := func(s string) string {
		return number.ReplaceAllStringFunc(s, func(n string) string { return strings.Repeat("N", len(n)) })
	}
	for _, e := range found {
		argv := []string{"sh", "-c", e[2]}
		if e[1] == "python" {
			argv = []string{python, "-c", e[2]}
		}
		out, errOut, _ := bus.run(-1, argv...)
		want, _, _ := strings.Cut(strings.TrimSpace(e[3]), "…")
		if strings.Contains(errOut, "rror") || len(same(want)) > len(same(out)) {
			t.Errorf("%s prints\n%s%s\nthe guide says\n%s", e[2], out, errOut, want)
			continue
		}
		// A dictionary has no order.
		if i := strings.Index(want, `"Account"`); i > 0 {
			want = want[:i]
		}
		if i := strings.Index(want, `{'Account'`); i > 0 {
			want = want[:i]
		}
		if got := same(out); !strings.HasPrefix(got, same(want)) {
			t.Errorf("%s prints\n%s\nthe guide says\n%s", e[2], out, want)
		}
	}
}

// TestDBusGuideTables compares the guide's limits and names with the code.
func TestDBusGuideTables(t *testing.T) {
	b, err := os.ReadFile("../../../docs/dbus.md")
	if err != nil {
		t.Fatal(err)
	}
	l := dbus.DefaultLimits()
	for _, want := range []string{
		fmt.Sprintf("| calls under way of one user, in all | %d, %d |", l.CallsUser, l.Calls),
		fmt.Sprintf("| connections of one user that are sent signals | %d |", l.SubscribersUser),
		"The name is `" + dbus.Name + "`",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the guide does not say %q", want)
		}
	}
	for name, doc := range dbus.Interfaces() {
		for _, m := range regexp.MustCompile(`<signal name="(\w+)"`).FindAllStringSubmatch(doc, -1) {
			if !strings.Contains(string(b), "`"+m[1]+"`") {
				t.Errorf("the guide does not tell of the signal %s of %s", m[1], name)
			}
		}
	}
}
