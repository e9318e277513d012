package vault

import (
	"bytes"
	"context"
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

// asidePrefix begins the name of a folder with what a restore found in its place.
const asidePrefix = "aside-"

// Restorable says whether Restore would put a backup in the place of what is
// there: nothing, or a vault that cannot be opened. ErrExists where there is one
// that can: also where only an earlier generation of it is good, for Recover
// makes that the newest, unless the backup is of a later one. ErrNewer where a
// newer program wrote it.
func (s *Store) Restorable(data []byte) error {
	a, err := archive.Parse(data)
	if err != nil {
		return fmt.Errorf("cannot read the backup: %w", err)
	}
	_, err = s.inTheWay(a)
	return err
}

// unusable is a vault that cannot be opened, found where one is restored.
type unusable struct {
	why error
	id  string // of the vault in the file, empty where that cannot be read
}

// inTheWay is what a restore of a has to put aside, nil when there is nothing.
func (s *Store) inTheWay(a *archive.Archive) (*unusable, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	l, err := s.loadLocked(false)
	switch {
	case errors.Is(err, ErrNoVault):
		return nil, nil
	case err == nil && l.problem == nil:
		return nil, ErrExists
	case err == nil:
		good := l.archive
		if a.Header.VaultID != good.Header.VaultID || a.Header.Epoch != good.Header.Epoch || a.Manifest.Generation <= good.Manifest.Generation {
			return nil, fmt.Errorf("%w: generation %d of it is good", ErrExists, good.Manifest.Generation)
		}
		return &unusable{why: l.problem, id: good.Header.VaultID}, nil
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrReplaced), errors.Is(err, ErrRolledBack), errors.Is(err, ErrNoPin):
		u := &unusable{why: err}
		if there, err := s.newest(); err == nil {
			u.id = there.Header.VaultID
		}
		return u, nil
	}
	return nil, err
}

// Restore makes a vault from a backup and returns it open; what Restorable says
// is in the way fails it. A vault that cannot be opened is not deleted: its files
// are put aside, and a notice says where. signer, when not empty, is the only
// signer accepted: only that, or opening by recovery password, tells a backup
// from a forged one. Where the pin of the same vault is left, or a vault that
// cannot be opened, a backup that they do not know is ErrNotVouched unless signer
// names it. No token is asked before all that is clear.
func (s *Store) Restore(ctx context.Context, data []byte, w Way, signer string) (*Vault, error) {
	revision := s.standing()
	a, err := archive.Parse(bytes.Clone(data))
	if err != nil {
		return nil, fmt.Errorf("cannot read the backup: %w", err)
	}
	there, err := s.inTheWay(a)
	if err != nil {
		return nil, err
	}
	p, err := s.vouched(a, there, signer, w.Password != nil)
	if err != nil {
		return nil, fmt.Errorf("cannot restore: %w", err)
	}
	c, err := open(ctx, a, w)
	if err != nil {
		return nil, err
	}
	v, err := s.newVault(&loaded{archive: a, pin: p, revision: revision}, c)
	if err != nil {
		return nil, err
	}
	v.tellAge(a, p)
	v.fresh = true
	if err := v.replaceUnusable(ctx, there); err != nil {
		v.Lock()
		return nil, fmt.Errorf("cannot restore: %w", err)
	}
	return v, nil
}

// vouched says whether a backup may be the vault here, and returns the pin when
// that is of the same vault.
func (s *Store) vouched(a *archive.Archive, there *unusable, signer string, proved bool) (*pin, error) {
	if signer != "" {
		if raw, err := hex.DecodeString(signer); err != nil || len(raw) != 32 {
			return nil, fmt.Errorf("%w: a signer is 64 hexadecimal digits", ErrInvalid)
		}
		if a.Manifest.Signer != signer {
			return nil, fmt.Errorf("%w: it is signed by %s", ErrNotVouched, a.Manifest.Signer)
		}
	}
	p, err := s.readPin()
	if err != nil && !errors.Is(err, ErrNoPin) {
		return nil, err
	}
	id := a.Header.VaultID
	if there != nil && signer == "" {
		known := there.id
		if p != nil {
			known = p.VaultID
		}
		if known != "" && known != id {
			return nil, fmt.Errorf("%w: it is of vault %s, and the one here is %s", ErrNotVouched, id, known)
		}
	}
	if p == nil || p.VaultID != id {
		return nil, nil
	}
	if signer == "" {
		if err := p.admitBackup(a, proved); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// tellAge says how much older a backup is than the newest that is known here.
func (v *Vault) tellAge(a *archive.Archive, p *pin) {
	if p == nil {
		return
	}
	if p.Epoch > a.Header.Epoch {
		v.notices = append(v.notices, fmt.Sprintf("the backup is of epoch %d, before the keys were rotated "+
			"(epoch %d): a token revoked since opens it", a.Header.Epoch, p.Epoch))
	}
	known := p.Generation
	if p.Next != nil {
		known = max(known, p.Next.Generation)
	}
	if g := a.Manifest.Generation; g < known {
		v.notices = append(v.notices, fmt.Sprintf("the backup is generation %d, written %s, and generation %d was the newest here: "+
			"what was added or changed in between is missing", g, a.Manifest.Time.UTC().Format(time.RFC3339), known))
	}
}

// replaceUnusable writes the vault, after what is in its place was put aside.
func (v *Vault) replaceUnusable(ctx context.Context, there *unusable) error {
	const why = "the vault comes from a backup"
	if there == nil {
		return v.settleCounters(ctx, why)
	}
	kept, err := v.store.setAside()
	if err == nil {
		err = v.settleCounters(ctx, why)
	}
	if err != nil {
		return errors.Join(err, kept.undo())
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.notices = append(v.notices, fmt.Sprintf("the vault that was here could not be used (%v); its files were kept in %s", there.why, kept.dir))
	return nil
}

// aside is a folder with what was in the way of a restore.
type aside struct {
	s     *Store
	dir   string
	moved [][2]string // from, to: gone from their place
	named [][2]string // from, to: a second name of a file that is in its place still
}

// setAside keeps all that a restore would replace or clear away, in a folder of
// its own. The newest file and the journal stay until they are replaced, where
// the system has hard links.
func (s *Store) setAside() (*aside, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &aside{s: s}
	err := k.makeFolder()
	for _, name := range []string{vaultName, journalName} {
		if err == nil {
			err = k.keep(filepath.Join(s.dir, name), true)
		}
	}
	var names []string
	if err == nil {
		names, err = s.fs.ReadDir(s.generations())
	}
	for _, name := range names {
		if err == nil {
			err = k.keep(filepath.Join(s.generations(), name), false)
		}
	}
	for _, f := range s.undoFiles() {
		if err == nil {
			err = k.keep(filepath.Join(s.undos(), f.name), false)
		}
	}
	for _, dir := range []string{k.dir, s.generations(), s.undos(), s.dir} {
		if err == nil {
			err = s.fs.SyncDir(dir)
		}
	}
	return k, diskError("put the unusable vault aside", err)
}

// Aside lists the folders with what restores put aside, the oldest first. What
// is intact there, a revoked token may still open.
func (s *Store) Aside() []string {
	names, err := s.fs.ReadDir(s.dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, n := range names {
		if strings.HasPrefix(n, asidePrefix) {
			out = append(out, filepath.Join(s.dir, n))
		}
	}
	slices.Sort(out)
	return out
}

// makeFolder makes a folder that was not there.
func (k *aside) makeFolder() error {
	names, err := k.s.fs.ReadDir(k.s.dir)
	if err != nil {
		return err
	}
	base := asidePrefix + k.s.now().UTC().Format("20060102T150405Z")
	name := base
	for n := 2; slices.Contains(names, name); n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	dir := filepath.Join(k.s.dir, name)
	if err := k.s.fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	k.dir = dir
	return nil
}

func (k *aside) keep(from string, stays bool) error {
	to := filepath.Join(k.dir, filepath.Base(from))
	if stays && k.s.fs.Link(from, to) == nil {
		k.named = append(k.named, [2]string{from, to})
		return nil
	}
	err := k.s.fs.Rename(from, to)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		k.moved = append(k.moved, [2]string{from, to})
	}
	return err
}

// undo puts everything back where it was, after the restore failed.
func (k *aside) undo() error {
	if k.dir == "" {
		return nil
	}
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	var errs []error
	for _, m := range k.moved {
		errs = append(errs, k.s.fs.Rename(m[1], m[0]))
	}
	for _, n := range k.named {
		errs = append(errs, remove(k.s.fs, n[1]))
	}
	err := errors.Join(errs...)
	if err == nil {
		err = remove(k.s.fs, k.dir)
	}
	return diskError("put the files back from "+k.dir, err)
}
