package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// older is the path of a full file whose first entry has that number.
func (l *Log) older(first uint64) string { return l.path + "." + strconv.FormatUint(first, 10) }

// olderFiles are the paths of the full files that are here, oldest first.
func (l *Log) olderFiles() ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(l.path))
	if err != nil {
		return nil, fmt.Errorf("cannot list the files of the audit log: %w", err)
	}
	type file struct {
		path  string
		first uint64
	}
	var list []file
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), filepath.Base(l.path)+".")
		first, err := strconv.ParseUint(number, 10, 64)
		if ok && err == nil && e.Type().IsRegular() && l.older(first) == l.path+"."+number {
			list = append(list, file{l.older(first), first})
		}
	}
	slices.SortFunc(list, func(a, b file) int { return cmp.Compare(a.first, b.first) })
	paths := make([]string, 0, len(list))
	for _, f := range list {
		paths = append(paths, f.path)
	}
	return paths, nil
}

// firstEntry is the first line of a file, if that is an entry.
func firstEntry(f *os.File) (Entry, bool) {
	if _, err := f.Seek(0, 0); err != nil {
		return Entry{}, false
	}
	line, err := bufio.NewReaderSize(f, maxLine).ReadSlice('\n')
	if err != nil {
		return Entry{}, false
	}
	e, _, why := decode(bytes.TrimSuffix(line, []byte("\n")))
	return e, why == ""
}

// idOf is the chain's id, by the first entry of a file.
func idOf(e Entry) string {
	if e.Action == ActionRotated && chainID(e.Object) {
		return e.Object
	}
	return e.Hash[:len(e.Hash)/2]
}

// continued lets an empty file follow the newest of those before it, if there is
// one.
func (l *Log) continued() ([]Entry, error) {
	older, err := l.olderFiles()
	if err != nil || len(older) == 0 {
		return nil, err
	}
	old, err := os.Open(older[len(older)-1])
	if err != nil {
		return nil, fmt.Errorf("cannot read the older audit log: %w", err)
	}
	defer old.Close()
	info, err := old.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read the older audit log: %w", err)
	}
	if l.seq, l.head, _, _, err = lastEntry(old, info.Size()); err != nil {
		return nil, err
	}
	note := Entry{Action: ActionRotated, OK: true}
	if first, ok := firstEntry(old); ok {
		note.Object = idOf(first)
		if l.vouch != nil {
			note.Detail = l.vouch(l.seq, l.head)
		}
	}
	return []Entry{note}, nil
}

// rotate begins a new file. A crash anywhere in it leaves a state that load goes
// on from. When the full file cannot be moved, it is used a little longer:
// rather too large a log than one that takes no entries.
func (l *Log) rotate() error {
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("cannot write the audit log: %w", err)
	}
	first, ok := firstEntry(l.file)
	if !ok {
		first.Seq = l.seq // its first line is damaged: the last is after all that were before
	}
	_ = l.drop()
	to := l.older(first.Seq)
	if _, err := os.Lstat(to); errors.Is(err, os.ErrNotExist) { // else it is somebody's
		_ = os.Rename(l.path, to)
	}
	if err := l.load(); err != nil {
		return err
	}
	l.thin()
	return nil
}

// thin removes the oldest files where not all are kept.
func (l *Log) thin() {
	older, err := l.olderFiles()
	if err != nil || l.keep <= 0 {
		return
	}
	for _, path := range older[:max(0, len(older)-l.keep)] {
		_ = os.Remove(path)
	}
}
