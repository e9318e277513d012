package audit

import (
	"fmt"
	"os"
)

// looked is how far Look has come. It is in memory alone: nobody who writes to the
// log's folder can change it.
type looked struct {
	// files are those that were read, the newest last; at is how far that one was
	// read, which is behind lines whole lines.
	files []os.FileInfo
	at    int64
	lines int
	res   Result
}

// Look checks the log, and of what it found whole before only this: that the full
// files are the ones that they were, by their sizes and the times of their last
// change, and that the last entry which was read is where it was. So it takes no
// longer for a long log, but for the first time. What somebody changes in what was
// read before, and covers up, Look does not find: Check reads all of it.
func (l *Log) Look() (Result, error) {
	l.looking.Lock()
	defer l.looking.Unlock()
	parts, done, err := l.snapshot()
	if err != nil {
		return Result{}, err
	}
	defer done()
	w := newWalker(func(Entry, bool) {})
	from := l.looked.resume(parts, w)
	l.looked = looked{}
	for _, p := range parts[from:] {
		if err := w.file(p); err != nil {
			return w.res, err
		}
	}
	if w.res.Intact() && len(parts) > 0 {
		l.looked = looked{at: parts[len(parts)-1].info.Size() - w.res.Torn, lines: w.lines, res: w.res}
		for _, p := range parts {
			l.looked.files = append(l.looked.files, p.info)
		}
	}
	return w.res, nil
}

// resume puts a walker where the last Look ended, if what is here begins with what
// that one saw, and returns with which of the files to go on.
func (k looked) resume(parts []part, w *walker) int {
	last := len(k.files) - 1
	if last < 0 || last >= len(parts) {
		return 0
	}
	for i, was := range k.files {
		is := parts[i].info
		same := os.SameFile(was, is) && is.Size() >= was.Size()
		if same && i < last {
			same = is.Size() == was.Size() && is.ModTime().Equal(was.ModTime())
		}
		if !same {
			return 0
		}
	}
	p := &parts[last]
	if k.at > p.info.Size() || !endsWith(p.file, k.at, k.res.Head) {
		return 0
	}
	p.skip(k.at, k.lines)
	w.res = k.res
	w.res.Torn = 0
	return last
}

// endsWith says that the whole lines of a file up to at end with the entry of a hash.
func endsWith(f *os.File, at int64, head string) bool {
	buf := make([]byte, min(at, tail))
	if _, err := f.ReadAt(buf, at-int64(len(buf))); err != nil {
		return false
	}
	e, why := lastLine(buf)
	return why == "" && e.Hash == head
}

// Check verifies the whole log.
func (l *Log) Check() (Result, error) { return l.Walk(func(Entry) {}) }

// openPart opens a file of the log as it is now: entries that come while it is read
// are not part of it.
func openPart(path string) (part, error) {
	f, err := os.Open(path)
	if err != nil {
		return part{}, fmt.Errorf("cannot read the audit log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return part{}, fmt.Errorf("cannot read the audit log: %w", err)
	}
	p := part{file: f, info: info}
	p.skip(0, 0)
	return p, nil
}
