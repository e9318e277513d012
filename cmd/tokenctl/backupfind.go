package main

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

// Bounds of a search. A person waits for it, and folders of clouds and networks
// can be endless.
const (
	findFolders = 4000
	findEntries = 100_000
	findTime    = 8 * time.Second
	findRead    = 60        // files that are read, the newest first
	findBytes   = 256 << 20 // that are read in all
)

// place is a folder that is searched, and how far below it.
type place struct {
	dir   string
	depth int
}

// foundBackup is a file that is a backup, or may be one.
type foundBackup struct {
	File     string    `json:"file"`
	Bytes    int64     `json:"bytes"`
	Modified time.Time `json:"modified,omitzero"`
	// State is "whole", or why no backup can be had from it.
	State   fileCause `json:"state"`
	Problem string    `json:"problem,omitempty"`
	VaultID string    `json:"vault_id,omitempty"`
	// Own says that it is of the vault of this machine.
	Own         bool      `json:"own,omitempty"`
	Written     time.Time `json:"written,omitzero"`
	Generation  uint64    `json:"generation,omitempty"`
	RecoverySet time.Time `json:"recovery_set,omitzero"`
	// Device is whose the file's name says it is.
	Device string `json:"device,omitempty"`
}

type findDocument struct {
	Version int           `json:"version"`
	Files   []foundBackup `json:"files"`
	// Complete says that every place was looked through to its depth.
	Complete bool `json:"complete"`
}

func (c *cli) backupFindCommand() *cobra.Command {
	return &cobra.Command{
		Use: "find [DIR]", Short: "Look for backups in the usual places, or in a folder", Args: named(0, "DIR"),
		Long: `Look for backups in the destinations, in the home folder, in the folders of
OneDrive, iCloud Drive, Dropbox, Google Drive and Nextcloud, and on sticks, or in
one folder: newest first, with vault, day, device and size, and what of it is
damaged or not yet on this machine. Nothing is opened, links are not followed, and
the search is bounded in depth, number and time.`,
		Example: "  tokenctl backup find\n  tokenctl backup find /media/usb",
		RunE: func(cmd *cobra.Command, args []string) error {
			var doc findDocument
			if len(args) == 0 {
				doc = c.findUsual(cmd.Context())
			} else {
				info, err := os.Stat(args[0])
				if err != nil {
					return fileFailure("look for backups in "+args[0], err)
				}
				if !info.IsDir() {
					return usage(args[0] + " is a file: `tokenctl backup inspect` says what it is")
				}
				doc = c.findBackups(cmd.Context(), []place{{args[0], 8}})
			}
			c.markOwn(cmd.Context(), &doc)
			if c.json {
				return c.printJSON(doc)
			}
			if len(doc.Files) == 0 {
				return c.noneFound(cmd.Context(), doc)
			}
			c.show(c.foundTable(doc.Files))
			c.sayFound(doc)
			return nil
		},
	}
}

// noneFound is the failure of a search that found nothing, with what is known of
// backups that should be there.
func (c *cli) noneFound(ctx context.Context, doc findDocument) error {
	e := &ipc.Error{Kind: ipc.NotFound, Message: "no file that could be a backup is in the places that were looked through"}
	hints := adviceNoneFound(doc.Complete)
	if st, err := c.daemon().Status(ctx); err == nil && st.Vault.State != ipc.VaultNone {
		if st.Vault.LastBackup.IsZero() {
			hints = append(hints, "none was ever copied out of the daemon's own folder; make a copy: `tokenctl backup create FILE`")
		} else {
			hints = append(hints, "one was copied out of the daemon's folder "+ago(c.now(), st.Vault.LastBackup)+": it lies elsewhere, or was deleted")
		}
	}
	return failWith("find a backup", e, hints...)
}

// usualPlaces is where people and programs put backups, the likeliest first.
func usualPlaces(getenv func(string) string) []place {
	home := homeOr()
	user := filepath.Base(home)
	places := []place{{".", 0}, {home, 3}}
	for _, dir := range []string{"Library/Mobile Documents/com~apple~CloudDocs", "Library/CloudStorage", "Library/Mobile Documents"} {
		places = append(places, place{filepath.Join(home, filepath.FromSlash(dir)), 4})
	}
	for _, name := range []string{"OneDrive", "OneDriveConsumer", "OneDriveCommercial"} {
		if dir := getenv(name); dir != "" {
			places = append(places, place{dir, 3})
		}
	}
	for _, dir := range []string{filepath.Join("/media", user), filepath.Join("/run/media", user), "/Volumes", "/mnt"} {
		places = append(places, place{dir, 3})
	}
	if runtime.GOOS == "windows" {
		for drive := 'D'; drive <= 'Z'; drive++ {
			places = append(places, place{string(drive) + `:\`, 2})
		}
	}
	return places
}

// backupNamed says whether a file's name is that of a backup; name is the file's
// own where a placeholder stands for it.
func backupNamed(file string) (name string, ok bool) {
	name = file
	if inner, cloud := strings.CutSuffix(strings.TrimPrefix(file, "."), ".icloud"); cloud && strings.HasPrefix(file, ".") {
		name = inner
	}
	lower := strings.ToLower(name)
	// Browsers and mail programs append to names: "x.tokend (1)", "x.tokend.txt".
	at := strings.LastIndex(lower, backupName)
	if at <= 0 || strings.HasPrefix(name, ".") {
		return name, false
	}
	rest := lower[at+len(backupName):]
	return name, rest == "" || strings.ContainsAny(rest[:1], " .(_-")
}

// searcher goes through folders, those near the beginning first.
type searcher struct {
	ctx              context.Context
	seen             map[string]int // how far below a folder was searched, and 1
	folders, entries int
	found            []foundBackup
	complete         bool
}

// findBackups searches and looks at what it found, newest first.
func (c *cli) findBackups(ctx context.Context, places []place) findDocument {
	limited, cancel := context.WithTimeout(ctx, findTime)
	defer cancel()
	s := &searcher{ctx: limited, seen: map[string]int{}, complete: true}
	for _, p := range places {
		s.search(p)
	}
	slices.SortStableFunc(s.found, func(a, b foundBackup) int { return b.Modified.Compare(a.Modified) })
	read, left := 0, int64(findBytes)
	for i := range s.found {
		f := &s.found[i]
		if f.State != "" {
			continue
		}
		if read++; read > findRead || f.Bytes > left || limited.Err() != nil {
			f.Problem, s.complete = "it was not looked at", false
			continue
		}
		left -= f.Bytes
		c.lookInto(limited, f)
	}
	slices.SortStableFunc(s.found, func(a, b foundBackup) int { return b.when().Compare(a.when()) })
	if s.found == nil {
		s.found = []foundBackup{}
	}
	return findDocument{Version: ipc.Version, Files: s.found, Complete: s.complete}
}

// when is what a backup is sorted by: when it was written, as it says itself.
func (f *foundBackup) when() time.Time {
	if !f.Written.IsZero() {
		return f.Written
	}
	return f.Modified
}

func (c *cli) lookInto(ctx context.Context, f *foundBackup) {
	b := c.lookAt(ctx, f.File)
	f.State = causeWhole
	if b.problem != nil {
		f.State, f.Problem = b.problem.cause, b.problem.message
		return
	}
	m := b.archive.Manifest
	f.VaultID, f.Written, f.Generation, f.RecoverySet = m.VaultID, m.Time, m.Generation, b.archive.Header.RecoverySet
}

// search goes through one place, breadth first.
func (s *searcher) search(p place) {
	queue := []place{p}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		full, err := filepath.Abs(at.dir)
		if err != nil || s.seen[full] > at.depth {
			continue
		}
		if s.ctx.Err() != nil || s.folders >= findFolders || s.entries >= findEntries {
			s.complete = false
			return
		}
		s.seen[full] = at.depth + 1
		s.folders++
		for _, e := range readSome(full, findEntries-s.entries) {
			s.entries++
			switch {
			case e.IsDir():
				if at.depth > 0 && worthEntering(e.Name()) {
					queue = append(queue, place{filepath.Join(full, e.Name()), at.depth - 1})
				}
			case e.Type().IsRegular(): // a link could lead anywhere
				s.note(full, e)
			}
		}
	}
}

// readSome is the beginning of a folder; what cannot be read has nothing in it.
func readSome(dir string, most int) []fs.DirEntry {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	entries, _ := f.ReadDir(max(1, most))
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries
}

// worthEntering passes over what no person keeps backups in.
func worthEntering(name string) bool {
	return !strings.HasPrefix(name, ".") && !slices.Contains([]string{"Library", "AppData", "node_modules", "go", "vendor"}, name)
}

func (s *searcher) note(dir string, e fs.DirEntry) {
	name, ok := backupNamed(e.Name())
	if !ok {
		return
	}
	path := filepath.Join(dir, name)
	if slices.ContainsFunc(s.found, func(f foundBackup) bool { return f.File == path }) {
		return
	}
	f := foundBackup{File: path, Device: deviceOf(path)}
	info, problem := statBackup(path)
	if info != nil {
		f.Bytes, f.Modified = info.Size(), info.ModTime()
	} else if own, err := e.Info(); err == nil {
		f.Modified = own.ModTime()
	}
	if problem != nil {
		f.State, f.Problem = problem.cause, problem.message
	}
	s.found = append(s.found, f)
}

// deviceOf is the machine that a backup's name says it is of; empty where the
// name is another.
func deviceOf(path string) string {
	m := regexp.MustCompile(`^tokend-[0-9a-f]{8}-(.+)-([0-9a-f]{4,8})-\d{8}T\d{6}Z`).FindStringSubmatch(filepath.Base(path))
	if m == nil {
		return ""
	}
	return m[1] + " (" + m[2] + ")"
}
