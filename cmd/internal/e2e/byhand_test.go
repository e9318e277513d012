//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestGuideByHand types what docs/managed.md says of a device that no network leads
// to: line by line, each on the machine that it is for.
func TestGuideByHand(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/managed.md")
	if err != nil {
		t.Fatal(err)
	}
	guides := regexp.MustCompile("(?s)```by-hand\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(guides) != 2 {
		t.Fatalf("the guide has %d ways by hand", len(guides))
	}
	const seed = "3132333435363738393031323334353637383931"
	dir := t.TempDir()
	there, laptop, here := NewDaemon(t, programs(t), nil), NewDaemon(t, programs(t), nil), NewDaemon(t, programs(t), nil)
	for _, d := range []*Daemon{there, laptop, here} {
		d.Start()
	}
	there.OK("", "admin", "authority", "create", "Example Ltd")
	csv := "serial number,secret,type,digits,time interval,user\n10001," + seed + ",hotp,6,,alice\n"
	there.OK("", "admin", "fob", "import", File(t, csv), "--assign-by-file", "--add-users", "--apply")
	for name, text := range map[string]string{
		"link.txt":      there.OK("", "admin", "activation", "create", "alice", "--account", "vpn").Stdout,
		"authority.txt": there.OK("", "admin", "authority", "descriptor").Stdout,
		"password.txt":  "correct horse battery staple",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	password, backup := filepath.Join(dir, "password.txt"), filepath.Join(dir, "alice.tokend")
	laptop.OK("alice's long passphrase", "init", "--token", "soft", "--pin-file", "-", "--recovery-password-file", password)
	lines := func(guide string, device *Daemon) {
		t.Helper()
		for line := range strings.Lines(guide) {
			where, command, ok := strings.Cut(strings.TrimSpace(line), ":")
			d, known := map[string]*Daemon{"here": device, "there": there}[where]
			if !ok || !known {
				t.Fatalf("not a command of here or there: %q", line)
			}
			if strings.HasSuffix(command, "--to-file request-2.txt") {
				command += " --passcode-file -" // there is no terminal to be asked at
			}
			cmd := exec.Command("sh", "-euc", command)
			cmd.Dir, cmd.Stdin = dir, strings.NewReader(hotp(t, seed, 0)+"\n")
			cmd.Env = append(os.Environ(), d.Programs.Env()...)
			cmd.Env = append(cmd.Env, "TOKEND_SOCKET="+d.Socket, "PATH="+d.Programs.Dir+":"+os.Getenv("PATH"))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", command, err, out)
			}
		}
	}
	lines(guides[1][1], laptop)
	laptop.OK("", "code", "vpn")
	laptop.OK("", "backup", "create", backup)
	here.OK("", "backup", "restore", backup, "--recovery-password-file", password)
	lines(guides[0][1], here)
	here.OK("", "code", "vpn")
	if list := there.OK("", "admin", "device", "list", "alice").Stdout; strings.Count(list, "active") != 1 {
		t.Errorf("the laptop was not replaced: %s", list)
	}
}
