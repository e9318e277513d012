package copies

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// FS is what a job needs of a file system; OS is the real one. Tests make every
// step fail or hang.
type FS interface {
	Stat(path string) (fs.FileInfo, error)
	ReadDir(path string) ([]string, error)
	// ReadFile reads at most limit bytes of a regular file.
	ReadFile(path string, limit int64) ([]byte, error)
	// WriteNew writes a file that must not exist, mode 0600, and syncs it.
	WriteNew(path string, data []byte) error
	// Place gives a file a name that must not be taken, instead of its own.
	Place(from, to string) error
	Rename(from, to string) error
	Remove(path string) error
	SyncDir(path string) error
	// Volume names the file system that a folder is on, Mount where that is mounted.
	Volume(path string) string
	Mount(path string) string
}

// OS is the real file system.
type OS struct{}

// Stat is os.Stat.
func (OS) Stat(path string) (fs.FileInfo, error) { return os.Stat(path) }

// ReadDir returns the names in a folder.
func (OS) ReadDir(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// ReadFile reads a regular file.
func (OS) ReadFile(path string, limit int64) (data []byte, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(io.LimitReader(f, limit))
}

// WriteNew writes and syncs a new file.
func (OS) WriteNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Place links and unlinks, which never overwrites; file systems without links (FAT
// on a stick) get the name taken first, and what is overwritten is our own empty
// file.
func (OS) Place(from, to string) error {
	err := os.Link(from, to)
	if err == nil {
		return os.Remove(from)
	}
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return reserveAndRename(from, to)
}

// reserveAndRename is Place without links.
func reserveAndRename(from, to string) error {
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}

// Rename is os.Rename.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove is os.Remove.
func (OS) Remove(path string) error { return os.Remove(path) }
