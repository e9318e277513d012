package vault

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// unsized is a file system whose files do not say how large they are.
type unsized struct{ OS }

func (u unsized) OpenFile(path string, flag int, perm os.FileMode) (File, error) {
	f, err := u.OS.OpenFile(path, flag, perm)
	return struct{ File }{f}, err
}

// TestReadFile reads files up to and beyond a limit, of file systems that say how
// large they are and that do not.
func TestReadFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, n := range []int{0, 1, 511, 512, 513, 100_000} {
		want := bytes.Repeat([]byte("ab"), n)[:n]
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, limit := range []int{1, 512, 99_999, 100_000, 100_001, 1 << 20} {
			for _, fsys := range []FS{OS{}, unsized{}} {
				got, err := ReadFile(fsys, path, int64(limit))
				if err != nil || !bytes.Equal(got, want[:min(n, limit)]) {
					t.Errorf("%T, %d bytes, limit %d: %d bytes, %v", fsys, n, limit, len(got), err)
				}
			}
		}
	}
	got, err := ReadFile(OS{}, path, 1<<20)
	if err != nil || cap(got) > len(got)+len(got)/8 { // the allocator rounds up
		t.Errorf("%d bytes in room for %d, %v", len(got), cap(got), err)
	}
}

// TestReadFileOfAnotherSize reads one that is not as large as it says.
func TestReadFileOfAnotherSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{0, 3, 100} {
		got, err := ReadFile(lying{size: size}, path, 1000)
		if err != nil || string(got) != "0123456789" {
			t.Errorf("says %d bytes: %q, %v", size, got, err)
		}
	}
}

// lying is a file system whose files change their size after they said it.
type lying struct {
	OS
	size int64
}

func (l lying) OpenFile(path string, flag int, perm os.FileMode) (File, error) {
	f, err := l.OS.OpenFile(path, flag, perm)
	return lyingFile{f, l.size}, err
}

type lyingFile struct {
	File
	size int64
}

func (f lyingFile) Stat() (os.FileInfo, error) { return lyingInfo{size: f.size}, nil }

type lyingInfo struct {
	os.FileInfo
	size int64
}

func (i lyingInfo) Size() int64 { return i.size }
