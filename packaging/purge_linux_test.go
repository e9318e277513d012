package packaging_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
)

// postrm is the deb's script as it lies in the source, without its units.
func postrm(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile("deb/postrm")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(script), "@UNITS@", "")
}

// purgeIn runs a postrm for other folders than the system's; what systemd does of it
// is tried where systemd is.
func purgeIn(t *testing.T, root, script string) string {
	t.Helper()
	text := strings.NewReplacer("/var/lib/tokend", root+"/tokend", "/var/backups", root+"/backups",
		"/usr/bin/deb-systemd-helper", root+"/none", "/run/systemd/system", root+"/none").Replace(script)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", text, "postrm", "purge")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("purge: %v\n%s", err, out)
	}
	return string(out)
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestPurgeOfAHostileFolder purges what a service that was taken over has left: the
// script runs as root, at a terminal. It ends, follows no link, and writes nothing that
// a terminal obeys.
func TestPurgeOfAHostileFolder(t *testing.T) {
	root := t.TempDir()
	users := filepath.Join(root, "tokend", "users")
	secret := filepath.Join(root, "elsewhere", "file")
	put(t, secret, `{"path": "of somebody else"}`)
	put(t, filepath.Join(users, "1", "vault.tokend"), "")
	put(t, filepath.Join(users, "1", "daemon.json"), "{\"path\": \"/media/B\u00fcro\x1b]0;owned\x07\u009b2J\"}")
	put(t, filepath.Join(users, "2\x1b[31m\nx", "vault.tokend"), "")
	put(t, filepath.Join(users, "3", "vault.tokend"), "")
	put(t, filepath.Join(users, "4", "vault.tokend"), "")
	put(t, filepath.Join(users, "5", "vault.tokend"), "")
	for _, err := range []error{
		syscall.Mkfifo(filepath.Join(users, "3", "daemon.json"), 0o600),
		os.Symlink("/dev/zero", filepath.Join(users, "4", "daemon.json")),
		os.Symlink(secret, filepath.Join(users, "5", "daemon.json")),
		os.Symlink(filepath.Dir(secret), filepath.Join(users, "6")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	said := purgeIn(t, root, postrm(t))
	if strings.ContainsFunc(said, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) {
		t.Errorf("a terminal obeys %q", said)
	}
	if !strings.Contains(said, "/media/B\u00fcro") || strings.Contains(said, "somebody else") {
		t.Errorf("it says\n%s", said)
	}
	if b, err := os.ReadFile(secret); err != nil || len(b) == 0 {
		t.Errorf("what a link leads to: %q, %v", b, err)
	}
	kept, err := filepath.Glob(filepath.Join(root, "backups", "*", "users", "*", "vault.tokend"))
	if err != nil || len(kept) != 5 {
		t.Errorf("kept are %q, %v", kept, err)
	}
}

// TestPurgeKeepsWhatIsLeft purges where the vault itself is gone: what it could be had
// again from stays all the same.
func TestPurgeKeepsWhatIsLeft(t *testing.T) {
	for _, left := range []string{"generations/7.tokend", "backups/a.tokend", "soft/key.json"} {
		root := t.TempDir()
		put(t, filepath.Join(root, "tokend", "users", "4711", left), "the only one")
		said := purgeIn(t, root, postrm(t))
		kept, err := filepath.Glob(filepath.Join(root, "backups", "*", "users", "4711", left))
		if err != nil || len(kept) != 1 || !strings.Contains(said, "(4711)") {
			t.Errorf("%s: kept is %q, %v\n%s", left, kept, err, said)
		}
	}
	root := t.TempDir()
	put(t, filepath.Join(root, "tokend", "users", "4711", "audit.log"), "")
	if said := purgeIn(t, root, postrm(t)); said != "" {
		t.Errorf("without any vault it says\n%s", said)
	}
	if _, err := os.Stat(filepath.Join(root, "tokend")); !os.IsNotExist(err) {
		t.Errorf("the folder is there still: %v", err)
	}
}
