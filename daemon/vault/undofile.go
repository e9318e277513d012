package vault

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
)

const undosName = "undo"

// What is kept of the steps that can be taken back.
const (
	// UndoFor is how long one can be taken back.
	UndoFor = 30 * 24 * time.Hour
	// MaxUndos is how many.
	MaxUndos = 20
)

// maxUndoSize bounds an undo file in bytes, as session.age is bounded.
const maxUndoSize = archive.MaxPayload + 16<<10

// undoFile is the file of one step that can be taken back.
type undoFile struct {
	name  string
	epoch uint64
	// number is the generation that the step made.
	number uint64
	made   int64 // Unix seconds
	id     string
}

func undoName(epoch, number uint64, made int64, id string) string {
	return fmt.Sprintf("e%06d-g%012d-%d-%s.undo", epoch, number, made, id)
}

func (s *Store) undos() string { return filepath.Join(s.dir, undosName) }

// undoFiles lists them, the newest first.
func (s *Store) undoFiles() []undoFile {
	names, err := s.fs.ReadDir(s.undos())
	if err != nil {
		return nil // an unreadable folder has nothing to take back
	}
	var out []undoFile
	for _, n := range names {
		f := undoFile{name: n}
		_, err := fmt.Sscanf(n, "e%d-g%d-%d-%16x", &f.epoch, &f.number, &f.made, new(uint64))
		if rest := len(n) - len("0123456789abcdef.undo"); err == nil && rest > 0 {
			f.id = n[rest : rest+16]
			if n == undoName(f.epoch, f.number, f.made, f.id) {
				out = append(out, f)
			}
		}
	}
	slices.SortFunc(out, func(a, b undoFile) int { return cmp.Compare(b.number, a.number) })
	return out
}

// expired says whether a step can no more be taken back, because of its age. One
// of a time to come counts as made now: clocks are set back.
func (f undoFile) expired(now time.Time) bool { return now.Sub(time.Unix(f.made, 0)) > UndoFor }

// putUndo writes the undo file of a step before the step itself. It says nothing
// about a step that then does not come about: whose generation is above the
// vault's at the next opening never came.
func (s *Store) putUndo(name string, data []byte) error {
	_, err := replaceFile(s.fs, filepath.Join(s.undos(), name), data)
	if err != nil {
		return errors.Join(err, remove(s.fs, filepath.Join(s.undos(), name)))
	}
	return nil
}

// pruneUndos removes what is too old or too much, and everything of earlier
// epochs: it holds secrets that a revoked token's session opens. number is the
// vault's generation where steps above it never came to be, 0 elsewhere.
func (s *Store) pruneUndos(epoch, number uint64) error {
	var errs []error
	kept, now := 0, s.now()
	for _, f := range s.undoFiles() {
		if f.epoch == epoch && !f.expired(now) && (number == 0 || f.number <= number) && kept < MaxUndos {
			kept++
			continue
		}
		errs = append(errs, remove(s.fs, filepath.Join(s.undos(), f.name)))
	}
	return errors.Join(errs...)
}
