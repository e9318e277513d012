//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hotp is a passcode of a fob, by oathtool.
func hotp(t *testing.T, seed string, counter int) string {
	t.Helper()
	out, err := exec.Command("oathtool", "-c", fmt.Sprint(counter), seed).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// TestAuthorityAtTerminal is an administrator who is asked: what a file does not
// tell, whether to go on, and for what fobs show.
func TestAuthorityAtTerminal(t *testing.T) {
	t.Parallel()
	const seed = "3132333435363738393031323334353637383930"
	const rows = 20000
	d := NewDaemon(t, programs(t), nil)
	d.Start()
	p := &person{t: t, d: d, home: t.TempDir()}
	var many strings.Builder
	many.WriteString("serial number,secret,type\n")
	for i := range rows {
		fmt.Fprintf(&many, "%d,%s%08x,hotp\n", 500000+i, seed, i)
	}
	for name, text := range map[string]string{"list.csv": "20001," + seed + "\n", "many.csv": many.String()} {
		if err := os.WriteFile(filepath.Join(p.home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.runs("tokenctl admin authority create Example").ends(0)

	s := p.runs("tokenctl admin fob import list.csv")
	s.sees(`follow the clock`).sees(`hotp or totp\?: `).types("no idea").sees(`please answer hotp or totp`).sees(`\?: `).types("HOTP")
	s.sees(`1 row: 1 new`).sees(`Import 1 fob\? Type yes`).types("yes").sees(`done: 1 imported`).ends(0)
	s = p.runs("tokenctl admin fob import many.csv")
	s.sees(`\r\d+000 looked at …`).sees(`20000 rows: 20000 new`).sees(`Import 20000 fobs\?`).types("no").sees(`yes was not typed`).ends(15)
	p.runs("tokenctl admin fob list --prefix 5").sees(`there are no such fobs`).ends(0)
	p.runs("tokenctl admin fob import many.csv --apply").sees(`\r\d+000 imported …`).sees(`done: 20000 imported`).ends(0)

	p.runs("tokenctl admin user add alice").ends(0)
	p.runs("tokenctl admin fob assign 20001 alice").sees(`SERIAL +TYPE +STATE`).sees(`20001 +hotp +active +alice`).ends(0)
	p.runs("tokenctl admin verify alice").sees(`Passcode of alice: `).types(hotp(t, seed, 0)).sees(`accepted: fob 20001`).ends(0)
	p.runs("tokenctl admin verify alice").sees(`Passcode of alice: `).types("").sees(`nothing was typed`).ends(15)
	// In groups, as some fobs show it.
	c := hotp(t, seed, 1)
	p.runs("tokenctl admin verify alice --quiet").sees(`: `).types(c[:3] + " " + c[3:]).sees(`accepted`).ends(0)
	p.runs("tokenctl admin fob resync 20001").sees(`Passcode: `).types(hotp(t, seed, 300)).sees(`The next passcode: `).types(hotp(t, seed, 301)).
		sees(`20001`).ends(0)
	p.runs("tokenctl admin verify alice").sees(`: `).types(hotp(t, seed, 301)).sees(`it was used before`).ends(16)
	p.runs("tokenctl admin fob burn --all").sees(`Use up the next 10 passcodes of all fobs\?`).types("no").ends(15)
	p.runs("tokenctl admin user remove alice").sees(`would have no longer: 20001`).sees(`Remove alice for good\?`).types("yes").sees(`removed alice`).ends(0)
}
