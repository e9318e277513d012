package vault

import (
	"io"
	"io/fs"
)

// FS is what the vault needs of a file system. It exists so that tests can make
// every single step fail; OS is the real one.
type FS interface {
	MkdirAll(path string, perm fs.FileMode) error
	OpenFile(path string, flag int, perm fs.FileMode) (File, error)
	Link(from, to string) error
	Rename(from, to string) error
	Remove(path string) error
	ReadDir(path string) ([]string, error)
	// SyncDir makes the names in a folder durable.
	SyncDir(path string) error
	// Lock takes path exclusively without waiting; ErrBusy when it is taken.
	Lock(path string) (io.Closer, error)
}

// File is an open file of an FS.
type File interface {
	io.Reader
	io.Writer
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
}
