package store

import (
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

// maxGroup bounds how many changes are committed together, and so how long the
// first of them waits for the others' arithmetic.
const maxGroup = 256

// call is a change that somebody waits for.
type call struct {
	change func(*Tx) error
	done   chan error
}

// Update makes a change and returns when it is on disk, with what change
// returned or why nothing was stored. Changes are made one after the other, each
// seeing what those before it did; change may be called more than once, of which
// the last counts, and must have no effect but on tx and on what it overwrites
// each time. When it fails, nothing of it is stored.
func (s *Store) Update(change func(tx *Tx) error) error {
	c := &call{change: change, done: make(chan error, 1)}
	select {
	case s.calls <- c:
	case <-s.closing:
		return ErrClosed
	}
	return <-c.done
}

// write is the one writer. bbolt's own Batch waits a set time for company, and
// starts a transaction of its own for all who come while it writes; here whoever
// comes meanwhile goes together next, and nobody waits for nothing.
func (s *Store) write() {
	defer close(s.done)
	for {
		select {
		case c := <-s.calls:
			s.commit(s.company(c))
		case <-s.closing:
			return
		}
	}
}

// company adds to c who else waits.
func (s *Store) company(c *call) []*call {
	group := []*call{c}
	for len(group) < maxGroup {
		select {
		case c := <-s.calls:
			group = append(group, c)
		default:
			return group
		}
	}
	return group
}

// commit stores a group. Where one of it fails, the others begin anew without it.
func (s *Store) commit(group []*call) {
	for len(group) > 0 {
		failed, err := s.try(group)
		if failed < 0 {
			for _, c := range group {
				c.done <- err
			}
			return
		}
		group[failed].done <- err
		group = append(group[:failed:failed], group[failed+1:]...)
	}
}

// try makes the changes of a group in one transaction. failed is which of them
// failed, or -1 if err is everybody's.
func (s *Store) try(group []*call) (failed int, err error) {
	if s.stuck {
		return -1, ErrDamaged
	}
	defer recoverDamage(&err)()
	tx, err := s.db.Begin(true)
	if err != nil {
		return -1, translate(err)
	}
	defer func() {
		if tx.DB() != nil { // neither committed nor rolled back
			s.stuck = true
			_ = tx.Rollback() // where this panics, bbolt keeps its locks
			s.stuck = false
		}
	}()
	t := &Tx{tx: tx, store: s}
	if failed, err := t.run(group); err != nil {
		return failed, err
	}
	if !t.changed {
		return -1, nil
	}
	start := time.Now()
	if err := tx.Commit(); err != nil {
		return -1, fmt.Errorf("cannot store a change: %w", translate(err))
	}
	if f := s.committed.Load(); f != nil {
		(*f)(time.Since(start))
	}
	return -1, nil
}

// run calls the changes until one fails or panics.
func (t *Tx) run(group []*call) (at int, err error) {
	defer recoverDamage(&err)()
	for at = range group {
		if err := group[at].change(t); err != nil {
			return at, err
		}
	}
	return -1, nil
}

// View lends a consistent view of everything. It does not wait for changes, nor
// they for it.
func (s *Store) View(look func(tx *Tx) error) (err error) {
	defer recoverDamage(&err)()
	return translate(s.db.View(func(tx *bolt.Tx) error { return look(&Tx{tx: tx, store: s}) }))
}
