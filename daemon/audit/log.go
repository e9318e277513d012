package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// MaxSize is how large a file may grow, in bytes: about 12,000 entries. The next
// entry then begins a new file, and the full one is kept beside it. Of a log that
// Open opens, one full file is kept: it takes at most twice this much, and the
// oldest entries go first.
const MaxSize = 4 << 20

// Log is an open audit log. Its methods are safe for concurrent use; a file must
// be open in one Log only.
type Log struct {
	path string
	now  func() time.Time
	max  int64
	keep int
	// vouch is the text of a checkpoint of an entry, empty where none can be made.
	vouch func(seq uint64, hash string) string

	mu     sync.Mutex
	file   *os.File // nil after a failure; the next Append opens it again
	size   int64    // of what is known to be good
	seq    uint64   // of the last entry
	head   string   // its hash
	id     string   // of the chain; empty where the file's beginning is damaged
	closed bool

	looking sync.Mutex // held while Look reads
	looked  looked
}

// errClosed is returned by a Log after Close.
var errClosed = errors.New("audit log is closed")

// Open opens the log at path, or makes it. now gives the time of entries.
//
// An unfinished last line, as a crash leaves it, is removed, and an entry
// (ActionRepaired) says so. If the last line is damaged in another way, it is
// kept and an entry (ActionDamaged) says so. Open looks at the end only, so that
// it takes no longer for a long log; Check reads all of it.
func Open(path string, now func() time.Time) (*Log, error) {
	return OpenSize(path, now, MaxSize)
}

// OpenSize is Open for a log whose files may grow to another size than MaxSize.
func OpenSize(path string, now func() time.Time, maxSize int64) (*Log, error) {
	return OpenWith(path, Options{Now: now, MaxSize: maxSize, Keep: 1})
}

// Options are what a log works with.
type Options struct {
	Now func() time.Time
	// MaxSize is how large a file may grow, in bytes.
	MaxSize int64
	// Keep is how many full files are kept; all if 0.
	Keep int
	// Vouch makes the text of a checkpoint of the last entry of a full file, which
	// the next file begins with; empty where it cannot. It must not use the log. Nil
	// stands for none.
	Vouch func(seq uint64, hash string) string
}

// OpenWith is Open with options.
func OpenWith(path string, o Options) (*Log, error) {
	l := &Log{path: path, now: o.Now, max: o.MaxSize, keep: o.Keep, vouch: o.Vouch}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.load(); err != nil {
		return nil, err
	}
	return l, nil
}

// ID is the chain's id, which stays when files are rotated or moved away; empty
// where nothing was written yet, or the beginning of the newest file is damaged.
func (l *Log) ID() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.id
}

// Close closes the file. It may be called again.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return l.drop()
}

// Head returns the number and the hash of the last entry. Kept elsewhere, they
// show later whether entries were cut off or the chain was made anew.
func (l *Log) Head() (seq uint64, hash string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seq, l.head
}

// Append writes an entry. Seq, Time, Prev and Hash are the log's to set; texts
// are cut to their longest, and characters that could break a line or hide are
// replaced. The entry survives the process at once, and a power cut once it was
// synced, which Append waits for if e.Sync is set. When Append fails, the log is
// as it was before.
func (l *Log) Append(e Entry) error {
	_, err := l.Put(e)
	return err
}

// Put is Append, and returns the entry as it was written.
func (l *Log) Put(e Entry) (Entry, error) {
	if e.Action == "" {
		return Entry{}, errors.New("cannot append an audit entry without an action")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return Entry{}, errClosed
	}
	if err := l.ready(); err != nil {
		return Entry{}, err
	}
	err := l.write(&e)
	return e, err
}

// ready makes sure that the file is open, is as this Log left it, and has room.
func (l *Log) ready() error {
	if l.file != nil {
		info, err := l.file.Stat()
		if err != nil || info.Size() != l.size {
			_ = l.drop() // a failed write, or somebody else's
		}
	}
	if l.file == nil {
		if err := l.load(); err != nil {
			return err
		}
	}
	if l.size >= l.max {
		return l.rotate()
	}
	return nil
}

func (l *Log) drop() error {
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// write appends without looking at the size; l.file must be open.
func (l *Log) write(e *Entry) error {
	e.Seq, e.Prev, e.Time = l.seq+1, l.head, l.now().UTC().Truncate(time.Millisecond)
	if y := e.Time.Year(); y < 1 || y > 9999 {
		e.Time = time.Time{} // a broken clock must not make a line that cannot be read
	}
	e.Action, e.Object = clean(e.Action, MaxAction), clean(e.Object, MaxID)
	e.By, e.From, e.Detail = clean(e.By, MaxID), clean(e.From, MaxID), clean(e.Detail, MaxDetail)
	line, err := encode(e)
	if err != nil {
		return err
	}
	_, err = l.file.WriteAt(line, l.size)
	if err == nil && e.Sync {
		err = l.file.Sync()
	}
	if err != nil {
		// Half a line may be there (a full disk). If cutting it off fails too,
		// the size is wrong at the next Append, which then repairs.
		_ = l.file.Truncate(l.size)
		return fmt.Errorf("cannot write the audit log: %w", err)
	}
	if l.size == 0 {
		l.id = idOf(*e)
	}
	l.size += int64(len(line))
	l.seq, l.head = e.Seq, e.Hash
	return nil
}

// load opens the file, finds the last entry and repairs the end.
func (l *Log) load() error {
	info, err := os.Lstat(l.path)
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("cannot open the audit log: %s is not a regular file", l.path)
	}
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("cannot open the audit log: %w", err)
	}
	l.file, l.id = f, ""
	if first, ok := firstEntry(f); ok {
		l.id = idOf(first)
	}
	notes, err := l.findEnd(f)
	for _, note := range notes {
		if err == nil {
			err = l.write(&note)
		}
	}
	if err == nil && info == nil {
		err = syncDir(filepath.Dir(l.path)) // the file is new
	}
	if err != nil {
		return errors.Join(err, l.drop())
	}
	return nil
}

// tail is how much of a file's end findEnd looks at: several of the longest lines.
const tail = 8 * maxLine

// findEnd sets l.size, l.seq and l.head from the file, cuts off an unfinished
// last line, and returns what is to be noted.
func (l *Log) findEnd(f *os.File) (notes []Entry, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read the audit log: %w", err)
	}
	l.size = info.Size()
	var torn []byte
	var why string
	if l.seq, l.head, torn, why, err = lastEntry(f, l.size); err != nil {
		return nil, err
	}
	if why != "" {
		notes = append(notes, Entry{Action: ActionDamaged, Detail: "the last line " + why})
	}
	if len(torn) > 0 {
		note, err := l.repair(f, torn)
		if err != nil {
			return nil, err
		}
		notes = append(notes, note)
	}
	if l.size == 0 {
		note, err := l.continued()
		if err != nil {
			return nil, err
		}
		notes = append(note, notes...)
	}
	return notes, nil
}

// lastEntry finds the last entry of a file of that size, and what stands after
// the last line end (no more than tail bytes of it). why says that the last whole
// line is not an entry; then it is the last one before it, wherever that is.
func lastEntry(f *os.File, size int64) (seq uint64, head string, torn []byte, why string, err error) {
	buf := make([]byte, min(size, tail))
	if _, err := f.ReadAt(buf, size-int64(len(buf))); err != nil {
		return 0, "", nil, "", fmt.Errorf("cannot read the audit log: %w", err)
	}
	whole := bytes.LastIndexByte(buf, '\n') + 1
	torn = buf[whole:]
	if size == int64(len(torn)) {
		return 0, noHash(), torn, "", nil // there is no whole line
	}
	last, why := lastLine(buf[:whole])
	if why == "" {
		return last.Seq, last.Hash, torn, "", nil
	}
	res, err := Verify(io.NewSectionReader(f, 0, size))
	return res.Last, res.Head, torn, why, err
}

// lastLine decodes the last of some whole lines.
func lastLine(lines []byte) (Entry, string) {
	if len(lines) == 0 {
		return Entry{}, "is not an entry"
	}
	lines = lines[:len(lines)-1]
	e, _, why := decode(lines[bytes.LastIndexByte(lines, '\n')+1:])
	return e, why
}

// repair deals with bytes after the last line end.
func (l *Log) repair(f *os.File, torn []byte) (Entry, error) {
	note := Entry{Action: ActionRepaired, OK: true}
	e, _, why := decode(torn)
	switch {
	case why == "" && e.Seq == l.seq+1 && e.Prev == l.head:
		note.Detail = "the last entry lacked its line end"
		l.seq, l.head = e.Seq, e.Hash
	case len(torn) <= maxLine || len(torn) < tail && len(bytes.Trim(torn, "\x00")) == 0:
		// Zeros are what some file systems leave of a write that a power cut lost.
		note.Detail = fmt.Sprintf("%d bytes of an unfinished entry were dropped", len(torn))
		l.size -= int64(len(torn))
		if err := f.Truncate(l.size); err != nil {
			return Entry{}, fmt.Errorf("cannot repair the audit log: %w", err)
		}
		return note, nil
	default:
		note.Action, note.OK = ActionDamaged, false
		note.Detail = "what stands at the end is too long to be an unfinished entry"
	}
	if _, err := f.WriteAt([]byte("\n"), l.size); err != nil {
		return Entry{}, fmt.Errorf("cannot repair the audit log: %w", err)
	}
	l.size++
	return note, nil
}

// syncDir makes a new file's name, or a rename, last. Some systems cannot sync folders, and on those
// nothing is lost by not trying.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("cannot sync the audit log's folder: %w", err)
	}
	_ = d.Sync()
	return d.Close()
}
