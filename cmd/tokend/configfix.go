package main

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/tokenbridge/tokend/ipc"
)

// fixFile is what to do about a file that cannot be read or used: what shows why, or
// gives it to who reads it.
func fixFile(path string, err error) string {
	word := ipc.ShellWord(path)
	switch {
	case errors.Is(err, errNoFile):
		return "ls -ld " + word
	case errors.Is(err, fs.ErrNotExist):
		return "ls -l " + ipc.ShellWord(filepath.Dir(path))
	case errors.Is(err, fs.ErrPermission):
		return giveTo(path)
	case errors.As(err, new(*fs.PathError)):
		return "ls -l " + word
	}
	return "correct what is in " + path
}

// fixSecret is what to do about the file of a secret, which is to be its reader's alone.
func fixSecret(path string, err error) string {
	word := ipc.ShellWord(path)
	switch {
	case errors.Is(err, errNoFile):
		return "ls -ld " + word
	case errors.Is(err, errExposed):
		return giveTo(path)
	case errors.Is(err, fs.ErrNotExist):
		return "write the secret into " + path + ", then: chmod 600 " + word
	case errors.Is(err, fs.ErrPermission):
		return giveTo(path)
	}
	return "write the secret into the first line of " + path
}
