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
// prints with what stands below it.
func TestDBusGuideExamples(t *testing.T) {
	t.Parallel()
	var found []block
	for _, b := range blocks(t, "dbus.md") {
		if b.lang == "text" || b.answer == "" {
			t.Fatalf("an example without its answer, or an answer without example: %s", b.text)
		}
		found = append(found, b)
	}
	if len(found) < 4 {
		t.Fatalf("%d examples", len(found))
	}
	bus := newBusBench(t, busrig.Options{})
	d := NewDaemon(t, programs(t), bus.Env)
	d.Start()
	d.OK("a long passphrase", "init", "--token", "soft", "--pin-file", "-", "--no-recovery-password")
	d.OK("otpauth://totp/Example:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Example", "account", "add", "--uri-file", "-", "--class", "session")
	bus.served(-1)
	for _, e := range found {
		argv := []string{"sh", "-c", e.text}
		if e.lang == "python" {
			argv = []string{python, "-c", e.text}
		}
		out, errOut, _ := bus.run(-1, argv...)
		if strings.Contains(errOut, "rror") || !shows(out, e.answer) {
			t.Errorf("%s prints\n%s%s\nthe guide says\n%s", e.text, out, errOut, e.answer)
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
