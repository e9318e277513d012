package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
)

// MaxProblems is how many problems a Result names.
const MaxProblems = 20

// Problem is a line that is not as it must be.
type Problem struct {
	// File is the name of an older file of the log, empty for the newest.
	File string
	// Line counts from 1, in each file.
	Line int
	// Why continues "line 12 …".
	Why string
}

func (p Problem) String() string {
	if p.File != "" {
		return fmt.Sprintf("line %d of %s %s", p.Line, p.File, p.Why)
	}
	return fmt.Sprintf("line %d %s", p.Line, p.Why)
}

// Result is what Verify found.
type Result struct {
	// Entries is how many entries can be read, good or not.
	Entries int
	// First and Last are the sequence numbers of the first and last of them.
	// First is above 1 when older files of the log are gone.
	First, Last uint64
	// Before is the hash of the entry before the first, as that states it.
	Before string
	// Head is the hash that the last entry states.
	Head string
	// Torn is the length of an unfinished last line, in bytes; 0 when there is
	// none. It is not a problem of the chain: a crash leaves one, and the next
	// Open repairs it.
	Torn int64
	// Problems are the first MaxProblems lines that are not as they must be;
	// More is how many there are beyond.
	Problems []Problem
	More     int
}

// Intact says that the chain is whole from First to Last.
func (r Result) Intact() bool { return len(r.Problems) == 0 }

// Problem says in one sentence what is wrong; empty when nothing is.
func (r Result) Problem() string {
	if r.Intact() {
		return ""
	}
	s := r.Problems[0].String()
	if n := len(r.Problems) - 1 + r.More; n > 0 {
		s += fmt.Sprintf(" (and %d more)", n)
	}
	return s
}

// ErrBroken is wrapped by errors about a chain that is not intact.
var ErrBroken = errors.New("audit log is broken")

// Verify reads a log of one file and checks its chain. After
// a bad line it goes on with the next, so that one changed line is one problem
// or two. The error is the reader's; a broken chain is told in the Result.
func Verify(r io.Reader) (Result, error) {
	w := newWalker(func(Entry, bool) {})
	err := w.file(part{Reader: r})
	return w.res, err
}

// part is one of the files of a log.
type part struct {
	io.Reader
	older string // its name, if there is one after it
	lines int    // that were read before
	file  *os.File
	info  os.FileInfo
}

// skip lets a part begin later, after so many lines.
func (p *part) skip(at int64, lines int) {
	p.Reader, p.lines = io.NewSectionReader(p.file, at, p.info.Size()-at), lines
}

// walker goes through the files of a log, oldest first.
type walker struct {
	res Result
	// show is given every entry that can be read, and whether it is as it was
	// written.
	show func(e Entry, good bool)
	// lines is how many whole lines the last file has.
	lines int
}

func newWalker(show func(Entry, bool)) *walker {
	return &walker{res: Result{Head: noHash()}, show: show}
}

// file goes through one file.
func (w *walker) file(p part) error {
	in := bufio.NewReaderSize(p, maxLine)
	for n := p.lines + 1; ; n++ {
		line, err := in.ReadSlice('\n')
		var torn int64
		if errors.Is(err, bufio.ErrBufferFull) {
			var rest int64
			if rest, err = skipLine(in); err == nil {
				w.res.problem(p.older, n, "is too long to be an entry")
				continue
			}
			torn = int64(len(line)) + rest
		} else if err != nil {
			torn = int64(len(line))
		}
		switch {
		case errors.Is(err, io.EOF):
			w.ended(p, n, torn)
			w.lines = n - 1
			return nil
		case err != nil:
			return fmt.Errorf("cannot read the audit log: %w", err)
		}
		w.line(p, n, line[:len(line)-1])
	}
}

// ended notes what stands after the last line end. Files are whole before others
// follow them.
func (w *walker) ended(p part, n int, torn int64) {
	if p.older == "" {
		w.res.Torn = torn
	} else if torn > 0 {
		w.res.problem(p.older, n, "is cut short")
	}
}

func (w *walker) line(p part, n int, line []byte) {
	e, readable, why := decode(line)
	if !readable {
		w.res.problem(p.older, n, why)
		return
	}
	good := why == ""
	if good {
		why = w.res.follow(e, n == 1)
	}
	if why != "" {
		w.res.problem(p.older, n, why)
	}
	if w.res.Entries == 0 {
		w.res.First, w.res.Before = e.Seq, e.Prev
	}
	w.res.Entries++
	w.res.Last, w.res.Head = e.Seq, e.Hash
	w.show(e, good)
}

// skipLine drops the rest of a line that is longer than the reader's buffer.
func skipLine(in *bufio.Reader) (n int64, err error) {
	for {
		part, err := in.ReadSlice('\n')
		n += int64(len(part))
		if !errors.Is(err, bufio.ErrBufferFull) {
			return n, err
		}
	}
}

func (r *Result) problem(file string, line int, why string) {
	if len(r.Problems) == MaxProblems {
		r.More++
		return
	}
	r.Problems = append(r.Problems, Problem{File: file, Line: line, Why: why})
}

// follow says why e cannot come after what was read, or nothing. begins says that
// it is the first of its file.
func (r *Result) follow(e Entry, begins bool) string {
	rotated := begins && e.Action == ActionRotated
	if r.Entries == 0 && rotated && e.Seq > 1 {
		return "" // the file before is gone
	}
	switch {
	case rotated && e.Seq > r.Last+1:
		return fmt.Sprintf("follows entry %d; entries %d to %d are missing, as when a file between is gone", e.Seq-1, r.Last+1, e.Seq-1)
	case e.Seq != r.Last+1:
		return fmt.Sprintf("has number %d where %d is due", e.Seq, r.Last+1)
	case e.Prev != r.Head:
		return "does not follow the entry before it"
	}
	return ""
}
