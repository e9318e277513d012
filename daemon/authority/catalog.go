package authority

import (
	"slices"
	"strings"
	"sync"

	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// cached is something that is made of the store's records when it is first asked for,
// and again after a change of them.
type cached[T any] struct {
	mu      sync.Mutex
	value   T
	known   bool
	changes int
}

// changed is to be called once a change is stored.
func (c *cached[T]) changed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	var none T
	c.value, c.known = none, false
	c.changes++
}

// get returns the value, which must not be changed.
func (c *cached[T]) get(find func() (T, error)) (T, error) {
	c.mu.Lock()
	value, known, before := c.value, c.known, c.changes
	c.mu.Unlock()
	if known {
		return value, nil
	}
	value, err := find()
	if err != nil {
		return value, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes == before {
		c.value, c.known = value, true
	}
	return value, nil
}

// catalog is the order of a bucket's records by name, which the store's keys do
// not show.
type catalog struct{ cached[[]catalogEntry] }

type catalogEntry struct {
	folded string
	id     ID
}

// all returns the entries, sorted.
func (c *catalog) all(s *store.Store, bucket string, name func(decode func(any) error) (string, error)) ([]catalogEntry, error) {
	return c.get(func() ([]catalogEntry, error) { return sorted(s, bucket, name) })
}

// sorted reads the entries of a bucket, in order.
func sorted(s *store.Store, bucket string, name func(decode func(any) error) (string, error)) ([]catalogEntry, error) {
	var entries []catalogEntry
	err := s.View(func(tx *store.Tx) error {
		entries = nil
		return tx.Each(bucket, nil, func(key []byte, decode func(any) error) (bool, error) {
			n, err := name(decode)
			if err != nil {
				return false, err
			}
			entries = append(entries, catalogEntry{fold(n), ID(key)})
			return true, nil
		})
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b catalogEntry) int { return strings.Compare(a.folded, b.folded) })
	return entries, nil
}

// from returns the entries after a name, and not before a prefix.
func from(entries []catalogEntry, prefix, after string) []catalogEntry {
	at, _ := slices.BinarySearchFunc(entries, prefix, func(e catalogEntry, s string) int { return strings.Compare(e.folded, s) })
	if after != "" {
		next, found := slices.BinarySearchFunc(entries, after, func(e catalogEntry, s string) int { return strings.Compare(e.folded, s) })
		if found {
			next++
		}
		at = max(at, next)
	}
	return entries[at:]
}

// page collects what keep returns true for, up to limit, and says where to go on.
func page(entries []catalogEntry, prefix string, limit int, keep func(ID) (bool, error)) (next string, err error) {
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	last := ""
	for _, e := range entries {
		if !strings.HasPrefix(e.folded, prefix) {
			return "", nil
		}
		if limit == 0 {
			return last, nil
		}
		kept, err := keep(e.id)
		if err != nil {
			return "", err
		}
		if kept {
			limit--
		}
		last = e.folded
	}
	return "", nil
}
