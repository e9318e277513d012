// Package copies puts backups into folders of the user's: each as a new file that
// is synced and read back, never over another; looks whether the ones from before
// are still whole; and removes what is too old, its own files alone.
//
// A folder can be full, read-only, slow, gone, or go while it is used: it is one
// that another program syncs, or a stick.
package copies

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
)

// Backup is one that the folder should have.
type Backup struct {
	SHA256 string
	Name   string // of the file
}

// Copy is a file that holds a backup.
type Copy struct {
	Path   string
	SHA256 string
	Size   int
}

// Lost is a copy that is not what it was.
type Lost struct {
	Path, What string
	// Kept is where the damaged file is now, empty where it is gone.
	Kept string
}

// Job is what is to be done in one folder.
type Job struct {
	Folder  string
	VaultID string
	// Device is the part of names by which this device knows its own files.
	Device string
	Wanted []Backup
	// Known are the copies that should be there and are read each time; Older are the
	// others, of which the first is read.
	Known, Older []Copy
	// Protected are checksums of backups that are never removed.
	Protected []string
	// Keep is how many are kept; KeepFor how long, 0 being for ever. The newest
	// stays in any case.
	Keep    int
	KeepFor time.Duration
	// Mount is where the file system of the folder is mounted, as it was when the
	// folder was chosen: without the stick, the folder for it can be left. Empty for
	// wherever.
	Mount string
	// Point is a checkpoint of the audit log, a word; empty where there is none.
	// PointPrefix is what such words begin with.
	Point, PointPrefix string
}

// State is how a job ended.
type State string

// The states. They are those of the API.
const (
	OK      State = "ok"
	Absent  State = "absent"
	Failing State = "failing"
)

// Result is what became of a job.
type Result struct {
	State  State
	Reason string
	// Seen are the copies that were read and found whole, Written those of them
	// that this job made.
	Seen, Written []Copy
	Lost          []Lost
	Removed       []string
	// Volume is the file system that the folder is on.
	Volume string
	// NoPoint is why the checkpoint is not beside a copy; empty where it is, or there
	// is none.
	NoPoint string
}

// Runner does jobs.
type Runner struct {
	FS  FS
	Now func() time.Time
	// Fetch gets the bytes of a backup.
	Fetch func(ctx context.Context, sha256 string) ([]byte, error)
}

// Run does a job and always comes back when ctx ends, even where the file system
// does not: what hangs is left behind.
func (r *Runner) Run(ctx context.Context, j Job) Result {
	done := make(chan Result, 1)
	go func() { done <- r.run(ctx, j) }()
	select {
	case res := <-done:
		return res
	case <-ctx.Done():
		select {
		case res := <-done:
			return res
		default:
			return Result{State: Failing, Reason: late(ctx)}
		}
	}
}

// late says why a job was given up.
func late(ctx context.Context) string {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "it did not answer in time"
	}
	return "the run was cancelled"
}

func (r *Runner) run(ctx context.Context, j Job) (res Result) {
	w := &work{r: r, j: j, ctx: ctx}
	err := w.all()
	res = w.res
	switch {
	case err == nil:
		res.State = OK
	case ctx.Err() != nil:
		res.State, res.Reason = Failing, late(ctx)
	case errors.Is(err, errAbsent):
		res.State, res.Reason = Absent, strings.TrimPrefix(err.Error(), errAbsent.Error()+": ")
	default:
		res.State, res.Reason = Failing, plain(err)
	}
	return res
}

// errAbsent says that the folder is not there.
var errAbsent = errors.New("absent")

// work is a job under way.
type work struct {
	r   *Runner
	j   Job
	ctx context.Context
	res Result
}

func (w *work) all() error {
	if err := w.present(); err != nil {
		return err
	}
	w.tidy()
	if err := w.lookAgain(); err != nil {
		return err
	}
	for _, b := range w.j.Wanted {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if err := w.bring(b); err != nil {
			return err
		}
	}
	if err := w.points(); err != nil {
		if w.ctx.Err() != nil {
			return err
		}
		w.res.NoPoint = plain(err)
	}
	if err := w.rotate(); err != nil {
		return err
	}
	return w.older()
}

// present says whether the folder is there, and is the one that is meant.
func (w *work) present() error {
	info, err := w.r.FS.Stat(w.j.Folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: the folder is not there", errAbsent)
	case err != nil:
		return err
	case !info.IsDir():
		return errors.New("it is not a folder")
	}
	w.res.Volume = w.r.FS.Volume(w.j.Folder)
	if w.j.Mount != "" && w.r.FS.Mount(w.j.Folder) != w.j.Mount {
		return fmt.Errorf("%w: nothing is mounted at %s", errAbsent, w.j.Mount)
	}
	return nil
}

// tempAge is after how long a file that was being written is taken for left over,
// where another program could still be at it.
const tempAge = 10 * time.Minute

func (w *work) tempPrefix() string { return ".tokend-" + w.j.Device + "-" }

const tempSuffix = ".tmp"

// tempName is a new name for a file that is being written.
func (w *work) tempName() string {
	return filepath.Join(w.j.Folder, w.tempPrefix()+strings.ToLower(rand.Text()[:8])+tempSuffix)
}

// tidy removes what an interrupted run of this device left.
func (w *work) tidy() {
	names, err := w.r.FS.ReadDir(w.j.Folder)
	if err != nil {
		return // what matters comes later and fails too
	}
	for _, n := range names {
		if !strings.HasPrefix(n, w.tempPrefix()) || !strings.HasSuffix(n, tempSuffix) || w.ctx.Err() != nil {
			continue
		}
		path := filepath.Join(w.j.Folder, n)
		if info, err := w.r.FS.Stat(path); err == nil && info.Mode().IsRegular() && w.r.Now().Sub(info.ModTime()) > tempAge {
			_ = w.r.FS.Remove(path)
		}
	}
}

// lookAgain reads the copies that should be there.
func (w *work) lookAgain() error {
	for _, c := range w.j.Known {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		what, err := w.read(c)
		if err != nil {
			return err
		}
		if what != "" {
			w.lose(c.Path, what)
		}
	}
	return nil
}

// lose notes that a copy is not what it was, and keeps what is left of it.
func (w *work) lose(path, what string) {
	l := Lost{Path: path, What: what}
	if what != isGone {
		l.Kept = w.putAside(path)
	}
	w.res.Lost = append(w.res.Lost, l)
}

// What can be wrong with a copy.
const (
	isGone    = "it is gone"
	isEmpty   = "it is empty"
	isChanged = "its bytes were changed"
)

// whole says what is wrong with a copy, empty when nothing is. An error means that
// it could not be looked at, which says nothing of the copy.
func (w *work) whole(path, want string) (string, error) {
	data, err := w.r.FS.ReadFile(path, archive.MaxSize+1)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return w.gone()
	case err != nil:
		return "", err
	case len(data) == 0:
		return isEmpty, nil
	case hexSum(data) != want:
		return isChanged, nil
	}
	return "", nil
}

// gone is about a copy that is not there: perhaps all of the folder is not.
func (w *work) gone() (string, error) {
	if err := w.present(); err != nil {
		return "", err
	}
	return isGone, nil
}

// putAside gives a damaged copy a name that nobody takes for a backup. It is never
// deleted.
func (w *work) putAside(path string) string {
	for n := 1; n < 100; n++ {
		to := path + ".damaged"
		if n > 1 {
			to = fmt.Sprintf("%s-%d", to, n)
		}
		if _, err := w.r.FS.Stat(to); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if w.r.FS.Rename(path, to) == nil {
			return to
		}
		break
	}
	return path
}

// bring makes sure that the folder has a whole copy of a backup.
func (w *work) bring(b Backup) error {
	if slices.ContainsFunc(w.res.Seen, func(c Copy) bool { return c.SHA256 == b.SHA256 }) {
		return nil
	}
	var data []byte
	for n := 1; n < 100; n++ {
		path := filepath.Join(w.j.Folder, numbered(b.Name, n))
		info, err := w.r.FS.Stat(path)
		if err == nil {
			// Perhaps a run that was killed wrote it and could not say so.
			if info.Mode().IsRegular() {
				if what, err := w.whole(path, b.SHA256); err == nil && what == "" {
					w.res.Seen = append(w.res.Seen, Copy{Path: path, SHA256: b.SHA256, Size: int(info.Size())})
					return nil
				}
			}
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if data == nil {
			if data, err = w.r.Fetch(w.ctx, b.SHA256); err != nil {
				return fmt.Errorf("cannot get the backup: %w", err)
			}
			if hexSum(data) != b.SHA256 {
				return errors.New("the backup was damaged on its way")
			}
		}
		err = w.write(path, b.SHA256, data)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		return err
	}
	return errors.New("no name is free for the backup")
}

// numbered is a file's name with a number before its ending, from 2 on.
func numbered(name string, n int) string {
	if n < 2 {
		return name
	}
	return fmt.Sprintf("%s-%d%s", strings.TrimSuffix(name, ending), n, ending)
}

// write makes a new file, durable, and reads it back.
func (w *work) write(path, sum string, data []byte) error {
	tmp := w.tempName()
	if err := w.r.FS.WriteNew(tmp, data); err != nil {
		_ = w.r.FS.Remove(tmp)
		return err
	}
	if err := w.ctx.Err(); err != nil {
		_ = w.r.FS.Remove(tmp)
		return err
	}
	if err := w.r.FS.Place(tmp, path); err != nil {
		_ = w.r.FS.Remove(tmp)
		return err
	}
	if err := w.r.FS.SyncDir(w.j.Folder); err != nil {
		return err
	}
	what, err := w.whole(path, sum)
	if err != nil {
		return err
	}
	if what != "" {
		return fmt.Errorf("what was read back is not what was written: %s; kept as %s", what, w.putAside(path))
	}
	c := Copy{Path: path, SHA256: sum, Size: len(data)}
	w.res.Seen, w.res.Written = append(w.res.Seen, c), append(w.res.Written, c)
	return nil
}

const ending = ".tokend"

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// plain is an error's text without the operation and path that package os puts
// before it: whoever reads it knows the folder.
func plain(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return strings.Replace(err.Error(), p.Error(), p.Err.Error(), 1)
	}
	return err.Error()
}
