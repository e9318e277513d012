package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// here is what a purge does not touch and that can be seen with the user's own
// rights: whether the backups are there, and what was installed for them.
type here struct {
	Backups []seenBackup `json:"backups"`
	// Destinations are the folders that backups are copied to; that they are is
	// forgotten with the vault.
	Destinations []string `json:"destinations"`
	// Installed are folders of the daemon's outside of its state: its configuration.
	Installed []string `json:"installed"`
	// Timer is the unit of the timer that copies backups, where it is installed.
	Timer string `json:"timer,omitempty"`
	// Agent is what starts the agent with the user's session, where it is installed.
	Agent string `json:"agent,omitempty"`
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

// lookLimit is how long is waited for the folders with backups, which may be on a
// stick that hangs or a machine that does not answer.
const lookLimit = 15 * time.Second

// lookAround looks at the backups that the daemon knows of, and for what was
// installed.
func (c *cli) lookAround(ctx context.Context, left ipc.Leaving) here {
	h := here{Backups: []seenBackup{}, Destinations: []string{}, Installed: []string{}}
	if list, err := c.daemon().Destinations(ctx); err == nil {
		for _, d := range list.Destinations {
			h.Destinations = append(h.Destinations, d.Path)
		}
	}
	limit := time.NewTimer(lookLimit)
	defer limit.Stop()
	late := false
	for _, b := range left.Backups {
		seen := seenBackup{Path: b.Path, Usable: len(b.OpenedBy) > 0 && (!b.Opened.IsZero() || !b.Proved.IsZero()), Problem: "its folder does not answer"}
		answer := make(chan string, 1)
		if !late {
			go func() { answer <- c.notWhole(b.Path, b.SHA256) }()
			select {
			case seen.Problem = <-answer:
			case <-limit.C:
				late = true
			}
		}
		seen.Whole = seen.Problem == ""
		h.Backups = append(h.Backups, seen)
	}
	if dir, err := os.UserConfigDir(); err == nil {
		if path := filepath.Join(dir, "tokend"); isThere(path) {
			h.Installed = append(h.Installed, path)
		}
	}
	if t, err := c.newTimer(); err == nil && t.installed() {
		h.Timer = cmp.Or(t.path(), t.kind())
	}
	if s, err := c.agentStarter(); err == nil && isThere(s.path) {
		h.Agent = s.path
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
