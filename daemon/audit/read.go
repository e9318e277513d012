package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// snapshot opens what has been written so far, the oldest file first.
func (l *Log) snapshot() ([]part, func(), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, nil, errClosed
	}
	older, err := l.olderFiles()
	if err != nil {
		return nil, nil, err
	}
	var parts []part
	done := func() {
		for _, p := range parts {
			_ = p.file.Close()
		}
	}
	for _, path := range append(older, l.path) {
		p, err := openPart(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			done()
			return nil, nil, err
		}
		if path != l.path {
			p.older = filepath.Base(path)
		}
		parts = append(parts, p)
	}
	return parts, done, nil
}

// Walk goes through the whole log, oldest first, checks it, and shows every entry
// that can be read. Lines are counted in each file.
func (l *Log) Walk(show func(Entry)) (Result, error) {
	return l.walk(func(e Entry, _ bool) { show(e) })
}

func (l *Log) walk(show func(Entry, bool)) (Result, error) {
	parts, done, err := l.snapshot()
	if err != nil {
		return Result{}, err
	}
	defer done()
	w := newWalker(show)
	for _, p := range parts {
		if err := w.file(p); err != nil {
			return w.res, err
		}
	}
	return w.res, nil
}

// Compare verifies the whole log and says how it stands to each of some
// checkpoints. A chain that Holds one but is not intact has the entry, and says
// nothing of those between its problems.
func (l *Log) Compare(o Owner, list []Checkpoint) (Result, []Standing, error) {
	if o.Chain == "" {
		o.Chain = l.ID()
	}
	hashes := make(map[uint64]string, len(list))
	for _, c := range list {
		hashes[c.Seq] = ""
	}
	found := make(map[uint64]string, len(list))
	res, err := l.walk(func(e Entry, good bool) {
		if _, wanted := hashes[e.Seq]; wanted && good {
			found[e.Seq] = e.Hash
		}
	})
	if err != nil {
		return res, nil, err
	}
	out := make([]Standing, len(list))
	for i, c := range list {
		out[i] = o.judge(c, res, found)
	}
	return res, out, nil
}

// Compared is a checkpoint and how a chain stands to it. Of one that is
// Unreadable the rest is empty.
type Compared struct {
	Checkpoint
	Standing Standing
}

// CompareTexts is Compare for the texts of checkpoints.
func (l *Log) CompareTexts(o Owner, texts []string) (Result, []Compared, error) {
	out := make([]Compared, len(texts))
	var list []Checkpoint
	for i, text := range texts {
		c, err := ParseCheckpoint(text)
		if err != nil {
			out[i].Standing = Unreadable
			continue
		}
		out[i].Checkpoint = c
		list = append(list, c)
	}
	res, standings, err := l.Compare(o, list)
	if err != nil {
		return res, nil, err
	}
	for i := range out {
		if out[i].Standing == "" {
			out[i].Standing, standings = standings[0], standings[1:]
		}
	}
	return res, out, nil
}

// Read returns all entries that can be read, oldest first. When the chain is not
// intact it returns them too, with an error that wraps ErrBroken and says where.
func (l *Log) Read() ([]Entry, error) {
	var out []Entry
	res, err := l.Walk(func(e Entry) { out = append(out, e) })
	if err != nil {
		return nil, err
	}
	if !res.Intact() {
		return out, fmt.Errorf("%w: %s", ErrBroken, res.Problem())
	}
	return out, nil
}
