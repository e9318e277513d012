//go:build linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/cmd/internal/vt"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// picks starts the list of accounts on a terminal, beside a clipboard in a file.
func (d *Daemon) picks(t *testing.T, w, h int) (x *vt.Window, clip func() string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "clip")
	for name, script := range map[string]string{
		"wl-copy":  "#!/bin/sh\nif [ \"$1\" = --clear ]; then : >" + file + "; else cat >" + file + "; fi\n",
		"wl-paste": "#!/bin/sh\nexec cat " + file + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(d.Programs.Path("tokenctl"), "--socket", d.Socket, "code")
	cmd.Env = slices.Concat(os.Environ(), d.Programs.Env(), d.Env,
		[]string{"TERM=xterm-256color", "WAYLAND_DISPLAY=wayland-0", "PATH=" + dir + ":" + os.Getenv("PATH"), "NO_COLOR="})
	return vt.Open(t, cmd, w, h), func() string {
		b, _ := os.ReadFile(file)
		return string(b)
	}
}

// longPeriod is a period in seconds, about a day long, of which two hours and more are
// left at now: a day of its own ends at midnight.
func longPeriod(now time.Time) int {
	for p := 86400; ; p -= 3607 {
		if int64(p)-now.Unix()%int64(p) > 2*3600 {
			return p
		}
	}
}

// TestPick is the list of accounts with the real daemon and a card: unlocked in
// passing, codes as they are made elsewhere, a touch that is announced, the card
// pulled out and the daemon killed behind its back, and the terminal as it was.
func TestPick(t *testing.T) {
	t.Parallel()
	b := newBench(t, yubikey())
	b.OK("", "init", "--token", "piv", "--pin-file", b.pin, "--no-recovery-password")
	secret := "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	long := longPeriod(time.Now())
	for _, a := range []sample{
		{name: "quick@example.org", typ: "totp", alg: "SHA1", class: "session", digits: 6, period: 1, secret: secret},
		{name: "day@example.org", typ: "totp", alg: "SHA1", class: "session", digits: 8, period: long, secret: secret},
		{name: "bank@example.org", typ: "totp", alg: "SHA1", class: "touch", digits: 7, period: long, secret: secret},
		{name: "vpn@example.org", typ: "hotp", alg: "SHA1", class: "session", digits: 6, secret: secret},
	} {
		b.add(a)
	}
	b.OK("", "lock")
	day := regexp.MustCompile(`[0-9]{8}`)
	x, clip := b.picks(t, 80, 24)
	x.Sees(`^PIN for .*:$`).Types(vpiv.FactoryPIN+"\r").Sees(`day@example.org +[0-9]{8} +[0-9]+ h$`, `bank@example.org +touch$`, `vpn@example.org +press Enter$`, `^> .*quick@example.org +[0-9]{6}`)
	if got := day.FindString(x.Text()); got != b.code("day@example.org").Code {
		t.Errorf("the list shows %s", got)
	}

	idle := func() time.Time {
		var st ipc.Status
		b.JSON(&st, "status")
		return st.Vault.IdleLock
	}
	before := idle()
	first := x.State().Written
	x.Until("a few new codes", func() bool { return x.State().Written > first+300 })
	if now := idle(); !now.Equal(before) {
		t.Errorf("the list keeps the vault open: it locks at %v, not at %v", now, before)
	}

	x.Types("day").Sees(`^Filter: day +1 of 4 accounts$`).Types("\r").Sees("the code of .*day@example.org is in the clipboard; emptied in 30 s", "copied$")
	if got := day.FindString(x.Text()); clip() != got {
		t.Errorf("the clipboard holds %q, not %s", clip(), got)
	}
	if !idle().After(before) {
		t.Error("a code that was asked for does not count as use")
	}
	x.Types("\x15vpn\r").Sees(`^> .*vpn@example.org +755224`).Until("copied", func() bool { return clip() == "755224" })
	touched := make(chan bool)
	b.card.SetTouch(func(ctx context.Context, _ byte) bool {
		select {
		case ok := <-touched:
			return ok
		case <-ctx.Done():
			return false
		}
	})
	x.Types("\x15bank\r").Sees(`^touch .* for .*bank@example.org …$`, `bank@example.org +touch$`)
	touched <- true
	x.Sees(`^> .*bank@example.org +[0-9]{7} +[0-9]+ h`, "is in the clipboard").SeesNo("^touch")
	x.Types("\x15").Size(40, 10).Sees(`^> Example:ba…xample.org +[0-9]{7} +[0-9]+ h$`, `^Example:bank@example.org$`).Size(80, 24)

	pulledAndKilled(t, b, x)
	x.Types("\x1b").Ends(0, "example")
}

// pulledAndKilled takes the card away, and the daemon, behind the list's back.
func pulledAndKilled(t *testing.T, b *bench, x *vt.Window) {
	t.Helper()
	if err := b.rig.Remove(0); err != nil {
		t.Fatal(err)
	}
	x.Sees(`^The vault was locked: `, `^Enter: unlock it`).SeesNo(`@|[0-9]{6}`)
	b.putBack()
	Eventually(t, 2*soon(), func() error { return b.wantToken() })
	x.Types("\r").Sees("^PIN for").Types(vpiv.FactoryPIN+"\r").Sees(`^> .*bank@.*touch`, `day@.* [0-9]{8}`)
	b.Kill()
	x.Sees(`^Cannot .*daemon`, `^The list is back`).SeesNo(`@|[0-9]{6}`)
	b.Start()
	x.Sees(`^The vault is locked`).Types("\r").Sees("^PIN for").Types(vpiv.FactoryPIN+"\r").Sees(`^> .*bank@.*touch`, `day@.* [0-9]{8}`)
	if err := b.wantVault(ipc.VaultUnlocked); err != nil {
		t.Error(fmt.Errorf("after all that: %w", err))
	}
}
