package vault

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/tokenbridge/tokend/daemon/archive"
)

// generation is the file of an earlier generation, or of a damaged one that
// Recover kept; that one has Number 0.
type generation struct {
	name          string
	epoch, number uint64
}

func generationName(epoch, number uint64) string {
	return fmt.Sprintf("e%06d-g%012d.tokend", epoch, number)
}

func damagedName(epoch uint64, unix int64) string {
	return fmt.Sprintf("e%06d-damaged-%d.tokend", epoch, unix)
}

// keptFiles lists the generations folder: earlier generations, newest first, and
// the damaged files that were kept.
func (s *Store) keptFiles() (earlier, kept []generation) {
	names, err := s.fs.ReadDir(s.generations())
	if err != nil {
		return nil, nil // an unreadable folder has nothing to fall back on
	}
	for _, n := range names {
		g := generation{name: n}
		var unix int64
		if _, err := fmt.Sscanf(n, "e%d-g%d.tokend", &g.epoch, &g.number); err == nil && n == generationName(g.epoch, g.number) {
			earlier = append(earlier, g)
		} else if _, err := fmt.Sscanf(n, "e%d-damaged-%d.tokend", &g.epoch, &unix); err == nil && n == damagedName(g.epoch, unix) {
			kept = append(kept, g)
		}
	}
	slices.SortFunc(earlier, func(a, b generation) int { return cmp.Compare(b.number, a.number) })
	return earlier, kept
}

func (s *Store) earlier() []generation {
	earlier, _ := s.keptFiles()
	return earlier
}

// prune removes generations beyond those to be kept, and everything of earlier
// epochs: what a revoked token opens must not stay. It reports what failed.
func (s *Store) prune(epoch, number uint64) error {
	earlier, kept := s.keptFiles()
	var errs []error
	n := 0
	for _, g := range append(earlier, kept...) {
		if g.epoch == epoch && (g.number == 0 || g.number < number && n < s.keep) {
			if g.number != 0 {
				n++
			}
			continue
		}
		if err := remove(s.fs, filepath.Join(s.generations(), g.name)); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// keepCurrent gives the file that is about to be replaced a second name among
// the generations. Systems without hard links get a copy.
func (s *Store) keepCurrent(epoch, number uint64) error {
	to := filepath.Join(s.generations(), generationName(epoch, number))
	// A link left by a write that failed later is of the same bytes; one left
	// from elsewhere must not stand in the way.
	if err := remove(s.fs, to); err != nil {
		return err
	}
	if err := s.fs.Link(s.vaultFile(), to); err != nil {
		if errors.Is(err, fs.ErrNotExist) || isDiskFull(err) {
			return err
		}
		data, rerr := readFile(s.fs, s.vaultFile(), archive.MaxSize+1)
		if rerr != nil {
			return errors.Join(err, rerr)
		}
		_, err = replaceFile(s.fs, to, data)
		return err
	}
	return s.fs.SyncDir(s.generations())
}

// replaces says what a new container takes the place of.
type replaces struct {
	epoch, number uint64 // the generation that is there; 0 if none, or not to be kept
	pin           *pin
	revision      uint64 // of the store, that the new container stands on
	// undo is the file, named undoName, by which the change can be taken back; nil
	// for most.
	undo     []byte
	undoName string
}

// written is what became of a write.
type written struct {
	pin      *pin   // the one to go on with
	revision uint64 // the store's now
	// committed says that the new container is in place, whatever the error.
	committed bool
	// warning is what could not be done after that.
	warning error
}

// write puts a new container in place, or changes nothing.
//
// Order: the new file, whole and synced, under another name; what takes the change
// back; the old one among the generations; for another signer the pin that announces it; the rename;
// the pin; and last the clearing away of what is too old.
func (s *Store) write(data []byte, m archive.Manifest, old replaces) (written, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	none := written{pin: old.pin}
	if old.revision != s.revision {
		return none, errStale()
	}
	tmp, err := writeTemp(s.fs, s.vaultFile(), data)
	if err != nil {
		return none, diskError("write the vault", err)
	}
	undo := func(err error) (written, error) {
		_ = s.fs.Remove(tmp)
		if old.undo != nil {
			_ = remove(s.fs, filepath.Join(s.undos(), old.undoName))
		}
		return none, diskError("write the vault", err)
	}
	if old.undo != nil {
		if err := s.putUndo(old.undoName, old.undo); err != nil {
			return undo(err)
		}
	}
	if old.number != 0 && old.epoch == m.Epoch {
		if err := s.keepCurrent(old.epoch, old.number); err != nil {
			return undo(err)
		}
	}
	now := old.pin.follow(m)
	if old.pin == nil || old.pin.Signer != m.Signer || old.pin.VaultID != m.VaultID {
		announce := now
		if old.pin != nil && old.pin.VaultID == m.VaultID {
			announce = *old.pin
			announce.Next = &pinNext{m.Signer, m.Epoch, m.Generation}
		}
		if err := s.writePin(announce); err != nil {
			return undo(err)
		}
	}
	if err := s.fs.Rename(tmp, s.vaultFile()); err != nil {
		return undo(err)
	}
	s.revision++
	done := written{pin: &now, committed: true, revision: s.revision}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return done, fmt.Errorf("%w: %w", ErrUncertain, err)
	}
	// From here on the change is made. A pin that could not follow guards
	// against rollback one generation less until the next write or opening.
	if done.warning = s.writePin(now); done.warning == nil {
		if done.warning = errors.Join(s.prune(m.Epoch, m.Generation), s.pruneUndos(m.Epoch, 0)); done.warning != nil {
			done.warning = fmt.Errorf("cannot remove earlier generations: %w", done.warning)
		}
	}
	return done, nil
}
