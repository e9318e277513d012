// Package backup keeps the daemon's own backups of a vault: the folder they lie in
// (the spool), when the next one is due, which of them may go, and when one has so
// few accounts that something must be wrong. It knows no callers and opens nothing.
package backup

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/vault"
)

// ErrGone says that a backup is not in the spool.
var ErrGone = errors.New("it is not in the spool")

// Item is one backup in the spool.
type Item struct {
	Name       string // of the file
	VaultID    string // the first 8 digits
	Epoch      uint64
	Generation uint64
	Sum        string // the first 16 digits of the SHA-256 of its bytes
}

// suffix ends the names of backups.
const suffix = ".tokend"

// fileName tells a backup's vault, generation and bytes, so that no two share one.
func fileName(vaultID string, epoch, generation uint64, sum string) string {
	return fmt.Sprintf("%s-e%d-g%d-%s%s", vaultID[:min(8, len(vaultID))], epoch, generation, sum[:min(16, len(sum))], suffix)
}

func parseName(name string) (Item, bool) {
	i := Item{Name: name}
	n, err := fmt.Sscanf(strings.NewReplacer("-", " ").Replace(strings.TrimSuffix(name, suffix)), "%s e%d g%d %s",
		&i.VaultID, &i.Epoch, &i.Generation, &i.Sum)
	return i, err == nil && n == 4 && name == fileName(i.VaultID, i.Epoch, i.Generation, i.Sum)
}

// Spool is the folder with the daemon's own backups of one user. Its methods may
// not be called by several goroutines at once.
type Spool struct {
	fs  vault.FS
	dir string
}

// Open makes the spool's folder where it is missing and clears away what an
// interrupted write left. A nil file system is the real one.
func Open(fsys vault.FS, dir string) (*Spool, error) {
	if fsys == nil {
		fsys = vault.OS{}
	}
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the spool: %w", err)
	}
	if err := vault.RemoveTemps(fsys, dir); err != nil {
		return nil, fmt.Errorf("cannot clear the spool: %w", err)
	}
	return &Spool{fs: fsys, dir: dir}, nil
}

// List is what lies in the spool, the oldest generation first. Files that are
// none of ours are passed over.
func (s *Spool) List() ([]Item, error) {
	names, err := s.fs.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("cannot list the spool: %w", err)
	}
	var list []Item
	for _, n := range names {
		if i, ok := parseName(n); ok {
			list = append(list, i)
		}
	}
	slices.SortFunc(list, func(a, b Item) int {
		return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Generation, b.Generation), cmp.Compare(a.Name, b.Name))
	})
	return list, nil
}

// Put adds a backup and reads it back; what is not a whole backup is refused. What
// is there already stays as it is, unless it is not whole any more. Whatever
// fails, the others are untouched.
func (s *Spool) Put(data []byte) (Item, error) {
	a, err := archive.Parse(data)
	if err != nil {
		return Item{}, fmt.Errorf("cannot keep a backup: %w", err)
	}
	sum := archive.Sum(data)
	i := Item{VaultID: a.Header.VaultID[:8], Epoch: a.Header.Epoch, Generation: a.Manifest.Generation, Sum: sum[:16]}
	i.Name = fileName(i.VaultID, i.Epoch, i.Generation, i.Sum)
	if _, err := s.Get(i); err == nil {
		return i, nil
	}
	if err := vault.ReplaceFile(s.fs, filepath.Join(s.dir, i.Name), data); err != nil {
		return Item{}, fmt.Errorf("cannot keep a backup: %w", err)
	}
	if _, err := s.Get(i); err != nil {
		return Item{}, fmt.Errorf("cannot keep a backup: %w", err)
	}
	return i, nil
}

// Get reads a backup: ErrGone, or archive.ErrDamaged where its bytes are no longer
// what was written.
func (s *Spool) Get(i Item) ([]byte, error) {
	data, err := vault.ReadFile(s.fs, filepath.Join(s.dir, i.Name), archive.MaxSize+1)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("cannot read %s: %w", i.Name, ErrGone)
	case err != nil:
		return nil, fmt.Errorf("cannot read %s from the spool: %w", i.Name, err)
	case !strings.HasPrefix(archive.Sum(data), i.Sum):
		return nil, fmt.Errorf("cannot read %s: %w: its bytes are not what was written", i.Name, archive.ErrDamaged)
	}
	return data, nil
}

// Remove removes a backup from the spool.
func (s *Spool) Remove(i Item) error {
	if err := s.fs.Remove(filepath.Join(s.dir, i.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove %s from the spool: %w", i.Name, err)
	}
	return nil
}

// Path is where a backup lies.
func (s *Spool) Path(i Item) string { return filepath.Join(s.dir, i.Name) }

// Kept is what decides whether a backup stays.
type Kept struct {
	Item Item
	Made time.Time
	Size int64
	// Firm ones stay whatever the limits say: the newest that was opened, the one
	// from before a drop in accounts.
	Firm bool
}

// Limits say how much the spool keeps: the newest ones, the last of each of the
// latest days, and not more bytes than so many.
type Limits struct {
	Newest int
	Days   int
	Bytes  int64
}

// DefaultLimits keep the 8 newest, the last one of each of 14 days, 128 MiB.
func DefaultLimits() Limits { return Limits{Newest: 8, Days: 14, Bytes: 128 << 20} }

// Excess says which backups of a list, the oldest first, go. The newest never
// does, nor what is firm.
func (l Limits) Excess(list []Kept) []Item {
	keep := make([]bool, len(list))
	days := map[string]bool{}
	var bytes int64
	for back := range list {
		i := len(list) - 1 - back
		k := list[i]
		day := k.Made.UTC().Format(time.DateOnly)
		wanted := back < l.Newest
		if !days[day] && len(days) < l.Days {
			days[day], wanted = true, true
		}
		keep[i] = back == 0 || k.Firm || wanted && bytes+k.Size <= l.Bytes
		if keep[i] {
			bytes += k.Size
		}
	}
	var out []Item
	for i, k := range list {
		if !keep[i] {
			out = append(out, k.Item)
		}
	}
	return out
}
