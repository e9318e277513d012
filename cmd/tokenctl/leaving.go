package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tokenbridge/tokend/ipc"
)

// here is what a purge does not touch and that can be seen with the user's own
// rights: whether the backups are there, and what was installed for them.
type here struct {
	Backups []seenBackup `json:"backups"`
	// Installed are files that were made for the daemon outside of its state:
	// units and timers, its configuration.
	Installed []string `json:"installed"`
}

// seenBackup is what was found at the path of a backup.
type seenBackup struct {
	Path string `json:"path"`
	// Whole says that the very bytes are there that the daemon handed out.
	Whole bool `json:"whole"`
	// Problem says what is there instead.
	Problem string `json:"problem,omitempty"`
	// Usable says that it was opened or proved, and that something opens it once
	// the vault is gone.
	Usable bool `json:"usable"`
}

// lookAround looks at the backups that the daemon knows of, and for what was
// installed.
func (c *cli) lookAround(left ipc.Leaving) here {
	h := here{Backups: []seenBackup{}, Installed: []string{}}
	for _, b := range left.Backups {
		seen := seenBackup{Path: b.Path, Usable: len(b.OpenedBy) > 0 && (!b.Opened.IsZero() || !b.Proved.IsZero())}
		seen.Problem = c.notWhole(b.Path, b.SHA256)
		seen.Whole = seen.Problem == ""
		h.Backups = append(h.Backups, seen)
	}
	for _, path := range installedPaths() {
		if _, err := os.Lstat(path); err == nil {
			h.Installed = append(h.Installed, path)
		}
	}
	return h
}

// notWhole says what is wrong with the file of a backup; empty when it is the one
// that was written.
func (c *cli) notWhole(path, sum string) string {
	if !filepath.IsAbs(path) {
		return "its place is not known"
	}
	data, err := c.readFile(path, maxBackupFile, false)
	switch {
	case errors.Is(err, fs.ErrNotExist), ipc.KindOf(err) == ipc.NotFound:
		return "it is not there now"
	case err != nil:
		return "it cannot be read"
	}
	if got := sha256.Sum256(data); hex.EncodeToString(got[:]) != sum {
		return "another file is there"
	}
	return ""
}

// installedPaths are where files of ours lie outside of the daemon's state.
func installedPaths() []string {
	var list []string
	if dir, err := os.UserConfigDir(); err == nil {
		list = append(list, filepath.Join(dir, "tokend"))
	}
	return list
}
