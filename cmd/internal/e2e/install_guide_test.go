//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestInstallGuide types what docs/install.md says of manual pages and completions of
// programs that were built from source, into another folder.
func TestInstallGuide(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := ""
	for _, b := range blocks(t, "install.md") {
		if b.label == "documents" {
			script = b.text
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "sudo"), []byte("#!/bin/sh\nexec \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	script = strings.NewReplacer("/usr/local", filepath.Join(dir, "local"), " bin ", " "+plainPrograms(t).Dir+" ", "build/documents", filepath.Join(dir, "documents")).Replace(script)
	cmd := exec.Command("sh", "-euc", script)
	cmd.Dir = "../../.."
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, script)
	}
	for _, file := range []string{
		"man/man1/tokenctl.1.gz", "man/man5/tokend.toml.5.gz", "man/man8/tokend.8.gz",
		"bash-completion/completions/tokenctl", "zsh/site-functions/_tokenctl", "fish/vendor_completions.d/tokenctl.fish",
	} {
		if info, err := os.Stat(filepath.Join(dir, "local/share", file)); err != nil || info.Mode().Perm() != 0o644 || info.Size() == 0 {
			t.Errorf("%s: %v %v", file, info, err)
		}
	}
}
