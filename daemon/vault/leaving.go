package vault

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/secret"
)

// Remove removes accounts for good, all of them in one step or none, and returns
// them as they were.
func (v *Vault) Remove(ctx context.Context, ids ...string) ([]Account, error) {
	var gone []Account
	err := v.change(ctx, func(d *draft) error {
		gone = gone[:0]
		leave := make(map[string]bool, len(ids))
		for _, id := range ids {
			a, err := v.Account(id)
			if err != nil {
				return err
			}
			gone, leave[id] = append(gone, a), true
		}
		return d.setRecords(slices.DeleteFunc(slices.Clone(d.records), func(r archive.Record) bool { return leave[r.ID] }))
	})
	return gone, err
}

// Counting are the accounts that count (HOTP) and whose counters are ahead of
// those in the vault's file, and so of every backup of it: the journal is in no
// backup.
func (v *Vault) Counting() []string {
	var ids []string
	v.view(func(st *state) {
		for i := range st.records {
			if r := &st.records[i]; st.counters[r.ID] > r.Counter {
				ids = append(ids, r.ID)
			}
		}
	})
	return ids
}

// CountedSince are the accounts that count (HOTP) and whose counters are ahead of
// those in a backup of this vault: ErrOtherKeys as for CompareBackup. One that the
// backup has not is none of them.
func (v *Vault) CountedSince(data []byte) (ids []string, err error) {
	a, err := archive.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("cannot read the backup: %w", err)
	}
	err = ErrLocked
	now, key := make(map[string]uint64), []byte(nil)
	defer func() { clear(key) }()
	v.view(func(st *state) {
		err = nil
		if h := st.parts.Header; h.VaultID != a.Header.VaultID || h.Epoch != a.Header.Epoch {
			err = fmt.Errorf("%w: it is of epoch %d", ErrOtherKeys, a.Header.Epoch)
			return
		}
		key = bytes.Clone(st.keys.SessionKey)
		for i := range st.records {
			r := &st.records[i]
			now[r.ID] = max(st.counters[r.ID], r.Counter)
		}
	})
	if err != nil {
		return nil, err
	}
	secret.Do(func() {
		var c *archive.Contents
		if c, err = a.OpenSession(key); err != nil {
			return
		}
		defer c.Wipe()
		for _, r := range c.Session().Records {
			if now[r.ID] > r.Counter {
				ids = append(ids, r.ID)
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("cannot open the backup: %w", err)
	}
	return ids, nil
}

// Earlier is how many earlier generations of the vault, and damaged files that
// were kept, lie beside it.
func (s *Store) Earlier() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	earlier, kept := s.keptFiles()
	return len(earlier) + len(kept)
}

// UndosHolding are, for each of the accounts, the undo files that hold its secret
// as it was before a step that can be taken back.
func (v *Vault) UndosHolding(ids ...string) map[string][]string {
	v.write.Lock()
	defer v.write.Unlock()
	held := make(map[string][]string)
	st, _ := v.standing()
	if st == nil {
		return held
	}
	for _, f := range v.store.undoFiles() {
		u, err := v.readUndo(st, f)
		if err != nil {
			continue
		}
		for _, e := range u.Entries {
			if e.Before != nil && slices.Contains(ids, e.Before.ID) && !slices.Contains(held[e.Before.ID], u.ID) {
				held[e.Before.ID] = append(held[e.Before.ID], u.ID)
			}
		}
		u.Wipe()
	}
	return held
}

// Steps is how many undo files lie beside the vault.
func (s *Store) Steps() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.undoFiles())
}

// KeyFiles are the paths of the key files of software tokens, enrolled or not.
func (s *Store) KeyFiles() []string {
	names, err := s.fs.ReadDir(filepath.Join(s.dir, keyFilesName))
	if err != nil {
		return nil
	}
	var out []string
	for _, n := range names {
		if strings.HasSuffix(n, ".key") {
			out = append(out, filepath.Join(s.dir, keyFilesName, n))
		}
	}
	return out
}
