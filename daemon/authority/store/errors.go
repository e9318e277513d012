package store

import "errors"

// The errors that a caller decides by. All others are of the file system.
var (
	// ErrInUse: another process has the file open.
	ErrInUse = errors.New("the registry is in use by another process")
	// ErrNone: there is no registry in the folder.
	ErrNone = errors.New("there is no registry")
	// ErrExists: there is one already.
	ErrExists = errors.New("there is a registry already")
	// ErrWrongKey: the file is whole, and sealed by another key.
	ErrWrongKey = errors.New("this is not the key of the registry")
	// ErrDamaged: the file is cut off or was changed.
	ErrDamaged = errors.New("the registry is damaged")
	// ErrNewer: a newer version of the program wrote it.
	ErrNewer = errors.New("the registry was written by a newer version")
	// ErrFull: there is no space for a change. What was there is kept.
	ErrFull = errors.New("there is no space left for the registry")
	// ErrClosed: the Store was closed.
	ErrClosed = errors.New("the registry is closed")

	// ErrNoKey: there is no key in the place that was named.
	ErrNoKey = errors.New("there is no authority key")
	// ErrKeyExposed: others than the owner may read or replace the key file.
	ErrKeyExposed = errors.New("others may read or replace the file of the authority key")
	// ErrNotAKey: the file holds something else.
	ErrNotAKey = errors.New("this is no authority key")
)
