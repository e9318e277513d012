//go:build unix

package desk

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestPolicyIsNotWaitedFor: a pipe in the place of a policy cannot be used.
func TestPolicyIsNotWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.toml")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if f := readPolicy(path); f.usable() != nil || !strings.Contains(f.current().problem.Error(), path+" is no file") {
		t.Errorf("got %v", f.current().problem)
	}
}
