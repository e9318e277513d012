package vault

import (
	"fmt"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
)

// apply makes what was decided the draft's accounts, and what takes it back.
func (m *merger) apply(v *Vault, d *draft) error {
	step, err := v.newStep(d, m.o.Source)
	if err != nil {
		return err
	}
	c := &changer{d: d, step: step, list: slices.Clone(d.records), counters: m.counters}
	at := make([]int, len(m.items)) // where the items' accounts are, -1 for none
	for i := range m.items {
		if at[i], err = m.applyItem(v, c, &m.items[i]); err != nil {
			return &ItemError{i + 1, err}
		}
	}
	if err := c.finish(); err != nil {
		return err
	}
	for i := range m.items {
		if at[i] >= 0 {
			m.items[i].Account = accountOf(c.list[at[i]].Account)
		}
	}
	m.step = step
	return nil
}

// applyItem does one item and says where its account is.
func (m *merger) applyItem(v *Vault, c *changer, it *mergeItem) (int, error) {
	switch it.Action {
	case MergeSame:
		if it.raise > 0 {
			c.raise(it.Existing.ID, it.raise)
		}
	case MergeAdd, MergeRename:
		if !it.fresh {
			return it.at, c.set(it.at, it.Account)
		}
		r, err := m.newRecord(v, c, it)
		if err != nil {
			return -1, err
		}
		c.add(len(c.list), r)
		return len(c.list) - 1, nil
	case MergeReplace:
		if it.known {
			return it.at, c.set(it.at, it.Account)
		}
		r, err := m.newRecord(v, c, it)
		if err != nil {
			return -1, err
		}
		c.replace(it.at, r)
		return it.at, nil
	}
	return -1, nil
}

// newRecord makes the record of an account that comes in.
func (m *merger) newRecord(v *Vault, c *changer, it *mergeItem) (archive.Record, error) {
	r := archive.Record{Account: archiveAccount(it.Account)}
	if m.in.backup == nil || r.Created.IsZero() {
		r.Created = v.store.now().UTC().Truncate(time.Second)
	}
	if r.ID == "" || c.used(r.ID) {
		id, err := randomHex(v.store.rand, 8)
		if err != nil {
			return r, err
		}
		if r.ID = id; c.used(id) {
			return r, fmt.Errorf("%w: an account id was drawn twice", ErrConflict)
		}
	}
	if err := r.Account.Check(); err != nil {
		return r, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if r.Kind == Managed {
		r.Issued = it.rec.Issued
	}
	switch {
	case r.Inactive:
		return r, nil
	case it.rec.Secret != nil:
		return r, sealSecret(c.d, &r, it.rec.Secret)
	case r.Class == archive.ClassTouch && m.whole(it.rec):
		r.Touch, r.Tag = it.rec.Touch, it.rec.Tag
		return r, nil
	}
	return r, ErrTouchWanted
}

// changer changes several accounts of a draft and notes what takes it back.
type changer struct {
	d        *draft
	step     *archive.Undo
	list     []archive.Record
	counters map[string]uint64 // as they were before
	ids      map[string]bool   // that are new
	gone     map[int]bool      // places that are empty now
	after    []int             // places of the step's entries, -1 for one that is gone
}

func (c *changer) used(id string) bool {
	_, there := c.d.index[id]
	return there || c.ids[id]
}

// entry notes a change of the account at a place; before is nil for a new one.
func (c *changer) entry(at int, before *archive.Record, after int) {
	e := archive.UndoEntry{At: at}
	if before != nil {
		r := *before
		if r.Type == "hotp" {
			r.Counter = c.counters[r.ID]
		}
		e.Before = &r
	}
	c.step.Entries = append(c.step.Entries, e)
	c.after = append(c.after, after)
}

func (c *changer) add(at int, r archive.Record) {
	c.entry(at, nil, at)
	c.fresh(&r)
	c.list = append(c.list, r)
}

// replace puts another account in the place of one.
func (c *changer) replace(at int, r archive.Record) {
	c.entry(at, &c.list[at], at)
	c.fresh(&r)
	c.list[at] = r
}

func (c *changer) fresh(r *archive.Record) {
	if c.ids == nil {
		c.ids = map[string]bool{}
	}
	c.ids[r.ID] = true
	if r.Type == "hotp" {
		c.d.setCounters[r.ID] = r.Counter
	}
}

// set changes what is said of an account; its secret and class stay.
func (c *changer) set(at int, a Account) error {
	r := c.list[at]
	n := archiveAccount(a)
	n.ID, n.Kind, n.Class, n.Created, n.Inactive = r.ID, r.Kind, r.Class, r.Created, r.Inactive
	tidy(&n)
	if err := n.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	c.entry(at, &c.list[at], at)
	if n.Type == "hotp" {
		c.raise(n.ID, n.Counter)
	}
	r.Account = n
	c.list[at] = r
	return nil
}

// remove takes an account away when all is done.
func (c *changer) remove(at int) {
	c.entry(at, &c.list[at], -1)
	if c.gone == nil {
		c.gone = map[int]bool{}
	}
	c.gone[at] = true
}

// raise sees to it that a counter is not below n; counters never go back.
func (c *changer) raise(id string, n uint64) {
	if c.d.raised == nil {
		c.d.raised = map[string]uint64{}
	}
	c.d.raised[id] = max(c.d.raised[id], n)
}

// finish gives the draft its accounts and the step.
func (c *changer) finish() error {
	c.compact()
	for i, at := range c.after {
		if at >= 0 {
			a := c.list[at].Account
			c.step.Entries[i].After = &a
		}
	}
	if len(c.list) > archive.MaxAccounts {
		return fmt.Errorf("%w: a vault has at most %d accounts", ErrInvalid, archive.MaxAccounts)
	}
	if len(c.step.Entries) > 0 {
		c.d.undo = c.step
	} else {
		c.step.ID = "" // counters alone were raised, which nothing takes back
	}
	return c.d.setRecords(c.list)
}

// compact closes the gaps of what was removed.
func (c *changer) compact() {
	if len(c.gone) == 0 {
		return
	}
	list := make([]archive.Record, 0, len(c.list))
	place := make([]int, len(c.list))
	for i, r := range c.list {
		if place[i] = len(list); !c.gone[i] {
			list = append(list, r)
		}
	}
	for i, at := range c.after {
		if at >= 0 {
			c.after[i] = place[at]
		}
	}
	c.list, c.gone = list, nil
}

// putBack inserts accounts at the places that they had, or at the end. The places
// of the others move, so it is the last thing before finish.
func (c *changer) putBack(items []revertItem) {
	c.compact()
	slices.SortStableFunc(items, func(a, b revertItem) int { return a.entry.At - b.entry.At })
	for _, it := range items {
		at := min(it.entry.At, len(c.list))
		if at < len(c.list) {
			for i, place := range c.after {
				if place >= at {
					c.after[i]++
				}
			}
		}
		r := *it.entry.Before
		c.entry(at, nil, at)
		c.fresh(&r)
		c.list = slices.Insert(c.list, at, r)
	}
}
