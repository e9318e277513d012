//go:build unix

package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
)

// ownLog is the system's own log where this process writes to it anyway; nil
// elsewhere.
func ownLog(stderr io.Writer, level slog.Leveler) (slog.Handler, error) {
	if !inJournal(stderr, os.Getenv("JOURNAL_STREAM")) {
		return nil, nil
	}
	return newJournal(journalSocket, stderr, level), nil
}

// inJournal says whether w is what systemd connected to the journal: stream has the
// device and inode of that, and is inherited by those whose output goes elsewhere.
func inJournal(w io.Writer, stream string) bool {
	f, ok := w.(*os.File)
	if !ok || stream == "" {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && fmt.Sprintf("%d:%d", st.Dev, st.Ino) == stream
}
