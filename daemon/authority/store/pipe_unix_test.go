//go:build unix

package store

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

// TestKeyFileIsNotWaitedFor: a pipe in the place of a key is no key.
func TestKeyFileIsNotWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := KeyFile(path).Key(); !errors.Is(err, ErrNotAKey) {
		t.Errorf("got %v", err)
	}
}
