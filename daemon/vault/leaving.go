package vault

import (
	"path/filepath"
	"strings"
)

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

// Earlier is how many earlier generations of the vault, and damaged files that
// were kept, lie beside it.
func (s *Store) Earlier() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	earlier, kept := s.keptFiles()
	return len(earlier) + len(kept)
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
