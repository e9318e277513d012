package copies

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Without links, too, a name that is taken is not overwritten, and nothing is left
// lying about.
func TestReserveAndRename(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "b"), filepath.Join(dir, "c")
	if err := (OS{}).WriteNew(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := reserveAndRename(path, path); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("without links: %v", err)
	}
	if err := reserveAndRename(path, other); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(other)
	if err != nil || string(b) != "one" {
		t.Fatalf("%q, %v", b, err)
	}
	info, err := os.Stat(other)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("left in the folder: %v, %v", entries, err)
	}
}
