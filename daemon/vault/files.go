package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const tempSuffix = ".tmp"

// diskError adds what was being done, and ErrDiskFull where that is the cause.
func diskError(what string, err error) error {
	if err == nil {
		return nil
	}
	if isDiskFull(err) {
		return fmt.Errorf("cannot %s: %w: %w", what, ErrDiskFull, err)
	}
	return fmt.Errorf("cannot %s: %w", what, err)
}

// ReadFile reads a file of at most limit bytes; a longer one is cut off there.
func ReadFile(fsys FS, path string, limit int64) ([]byte, error) {
	return readFile(fsys, path, limit)
}

// ReplaceFile puts data in place of path in one step, mode 0600; ErrDiskFull where
// there is no room, and then nothing was changed.
func ReplaceFile(fsys FS, path string, data []byte) error {
	_, err := replaceFile(fsys, path, data)
	return diskError("write "+filepath.Base(path), err)
}

// RemoveTemps removes from a folder what an interrupted ReplaceFile left.
func RemoveTemps(fsys FS, dir string) error { return removeTemps(fsys, dir) }

// readFile reads a file of at most limit bytes; a longer one is cut off there,
// which no reader of it accepts.
func readFile(fsys FS, path string, limit int64) (data []byte, err error) {
	f, err := fsys.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	// Room for all of it at once, and a byte to see the end by: growing would go
	// through several times as much memory.
	data = make([]byte, 0, min(sizeOf(f), limit)+1)
	for {
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case int64(len(data)) >= limit:
			return data[:limit], nil
		case errors.Is(err, io.EOF):
			return data, nil
		case err != nil:
			return data, err
		case len(data) == cap(data):
			data = slices.Grow(data, 512)
		}
	}
}

// sizeOf is how many bytes a file has, 0 where its file system does not say.
func sizeOf(f File) int64 {
	s, ok := f.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return 0
	}
	info, err := s.Stat()
	if err != nil {
		return 0
	}
	return max(0, info.Size())
}

// writeTemp writes data beside path, synced, under a name that OpenStore clears
// away after a crash.
func writeTemp(fsys FS, path string, data []byte) (string, error) {
	tmp := path + tempSuffix
	f, err := fsys.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	n, err := f.Write(data)
	if err == nil && n != len(data) {
		err = io.ErrShortWrite
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = fsys.Remove(tmp) // gives the room back; OpenStore does it too
		return "", err
	}
	return tmp, nil
}

// replaceFile puts data in place of path in one step. done says that the file
// has been replaced, even when the error says that this may not last.
func replaceFile(fsys FS, path string, data []byte) (done bool, err error) {
	tmp, err := writeTemp(fsys, path, data)
	if err != nil {
		return false, err
	}
	if err := fsys.Rename(tmp, path); err != nil {
		_ = fsys.Remove(tmp)
		return false, err
	}
	return true, fsys.SyncDir(filepath.Dir(path))
}

// removeTemps removes what interrupted writes left in a folder.
func removeTemps(fsys FS, dir string) error {
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if strings.HasSuffix(n, tempSuffix) {
			if err := remove(fsys, filepath.Join(dir, n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove removes a file that may be gone already.
func remove(fsys FS, path string) error {
	if err := fsys.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
