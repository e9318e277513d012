package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tokenbridge/tokend/ipc"
)

// fixFile is what to do about a file that cannot be read or used: what shows why, or
// gives it to who reads it.
func fixFile(path string, err error) string {
	word := ipc.ShellWord(path)
	switch {
	case errors.Is(err, errNoFile):
		return fixNoFile(path)
	case errors.Is(err, fs.ErrNotExist):
		return "put it there, or write its right place" + whatIsAt(filepath.Dir(path))
	case errors.Is(err, fs.ErrPermission):
		return giveTo(path)
	case errors.As(err, new(*fs.PathError)):
		return "name a file that can be read; what is there: ls -l " + word
	}
	return "correct what is in " + path
}

// fixNoFile is what to do about something else in the place of a file.
func fixNoFile(path string) string {
	what := "something else"
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		what = "a folder"
	}
	return "name a file: " + path + " is " + what + "; what is there: ls -ld " + ipc.ShellWord(path)
}

// whatIsAt is the command that shows what is in a folder, or the next above it that is there.
func whatIsAt(dir string) string {
	for {
		if info, err := os.Stat(dir); err == nil && info.IsDir() || dir == filepath.Dir(dir) {
			return "; what is there: ls -l " + ipc.ShellWord(dir)
		}
		dir = filepath.Dir(dir)
	}
}

// fixSecret is what to do about the file of a secret, which is to be its reader's alone.
func fixSecret(path string, err error) string {
	word := ipc.ShellWord(path)
	switch {
	case errors.Is(err, errNoFile):
		return fixNoFile(path)
	case errors.Is(err, errExposed):
		return giveTo(path)
	case errors.Is(err, fs.ErrNotExist):
		return "write the secret into " + path + ", then: chmod 600 " + word
	case errors.Is(err, fs.ErrPermission):
		return giveTo(path)
	}
	return "write the secret into the first line of " + path
}
