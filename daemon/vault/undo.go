package vault

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/secret"
)

// UndoStep is one merge or undo that Undo can take back.
type UndoStep struct {
	ID     string
	Source string // what it brought in
	Made   time.Time
	Until  time.Time
	// How many accounts it added, replaced, called otherwise and removed.
	Added, Replaced, Renamed, Removed int
	Undoes                            string // the step that it took back, or empty
	Undone                            bool   // it was taken back itself
}

// sealUndo seals what takes the draft back to the session key, with the counters
// as they are now: one that was handed out never comes back. Call it inside
// secret.Do.
func (d *draft) sealUndo(counters map[string]uint64) ([]byte, error) {
	for _, e := range d.undo.Entries {
		if b := e.Before; b != nil && b.Type == "hotp" {
			b.Counter = max(b.Counter, counters[b.ID])
		}
	}
	raw, err := archive.EncodeUndo(d.undo)
	if errors.Is(err, archive.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	return archive.Encrypt(raw, recipient(d.keys.SessionKey))
}

// Undos lists what can be taken back, the newest first. A file that cannot be
// read is passed over.
func (v *Vault) Undos() ([]UndoStep, error) {
	v.write.Lock()
	defer v.write.Unlock()
	st, _ := v.standing()
	if st == nil {
		return nil, ErrLocked
	}
	return v.undoSteps(st), nil
}

func (v *Vault) undoSteps(st *state) []UndoStep {
	var out []UndoStep
	undone := map[string]bool{}
	for _, f := range v.store.undoFiles() {
		if f.epoch != st.parts.Header.Epoch || f.number > st.parts.Generation || f.expired(v.store.now()) {
			continue
		}
		u, err := v.readUndo(st, f)
		if err != nil {
			continue
		}
		s := UndoStep{ID: u.ID, Source: u.Source, Made: u.Time, Until: u.Time.Add(UndoFor), Undoes: u.Undoes, Undone: undone[u.ID]}
		for i := range u.Entries {
			s.count(&u.Entries[i])
		}
		u.Wipe()
		if u.Undoes != "" && !s.Undone {
			undone[u.Undoes] = true
		}
		out = append(out, s)
	}
	return out
}

func (s *UndoStep) count(e *archive.UndoEntry) {
	switch {
	case e.Before == nil:
		s.Added++
	case e.After == nil:
		s.Removed++
	case e.Before.ID == e.After.ID && settings(&e.Before.Account) == settings(e.After):
		s.Renamed++
	default:
		s.Replaced++
	}
}

// readUndo opens one undo file; its secrets are to be wiped.
func (v *Vault) readUndo(st *state, f undoFile) (u *archive.Undo, err error) {
	data, err := readFile(v.store.fs, filepath.Join(v.store.undos(), f.name), maxUndoSize+1)
	if err != nil {
		return nil, diskError("read what takes a step back", err)
	}
	secret.Do(func() {
		var raw []byte
		if raw, err = archive.Decrypt(data, st.keys.SessionKey); err == nil {
			u, err = archive.DecodeUndo(raw)
			clear(raw)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read what takes step %s back: %w", f.id, err)
	}
	if h := st.parts.Header; u.VaultID != h.VaultID || u.Epoch != h.Epoch || u.ID != f.id {
		u.Wipe()
		return nil, fmt.Errorf("%w: step %s is of another vault", ErrDamaged, f.id)
	}
	return u, nil
}

// Undo says what taking a step back would do or, with apply, does it: what it
// added is removed, what it replaced or called otherwise is put back; what was
// changed later stays as it is. Counters never go back. id is empty for the newest
// step that was not taken back, an undo left aside; ErrNotFound.
func (v *Vault) Undo(ctx context.Context, id string, apply bool) (Merged, error) {
	v.write.Lock()
	defer v.write.Unlock()
	st, counters := v.standing()
	if st == nil {
		return Merged{}, ErrLocked
	}
	f, err := v.findUndo(st, id)
	if err != nil {
		return Merged{}, err
	}
	u, err := v.readUndo(st, f)
	if err != nil {
		return Merged{}, err
	}
	defer u.Wipe()
	r := &reverter{st: st, counters: counters, step: u}
	for i := range u.Entries {
		r.items = append(r.items, r.revert(&u.Entries[i]))
	}
	out := r.merged()
	if !apply {
		return out, nil
	}
	if !r.changes() {
		out.Applied = true
		return out, nil
	}
	var made *archive.Undo
	err = v.changeHeld(ctx, func(d *draft) (err error) {
		made, err = r.apply(v, d)
		return err
	})
	if v.now() != st {
		out.Applied, out.Undo = true, made.ID
	}
	return out, err
}

func (v *Vault) findUndo(st *state, id string) (undoFile, error) {
	files := v.store.undoFiles()
	for _, s := range v.undoSteps(st) {
		if s.ID != id && (id != "" || s.Undone || s.Undoes != "") {
			continue
		}
		i := slices.IndexFunc(files, func(f undoFile) bool { return f.id == s.ID })
		return files[i], nil
	}
	if id == "" {
		return undoFile{}, fmt.Errorf("%w: no step that could be taken back", ErrNotFound)
	}
	return undoFile{}, fmt.Errorf("%w: step %s", ErrNotFound, id)
}

// reverter takes a step back.
type reverter struct {
	st       *state
	counters map[string]uint64
	step     *archive.Undo
	items    []revertItem
}

// revertItem is an item and how it is done.
type revertItem struct {
	MergeItem
	entry *archive.UndoEntry
	// at is the place of the account that the step left, -1 where it is gone.
	at int
	do string // "remove", "put", "replace", "set", or empty for nothing
}

// revert decides about one account.
func (r *reverter) revert(e *archive.UndoEntry) revertItem {
	it := revertItem{entry: e, at: -1}
	if e.After != nil {
		if at, ok := r.st.index[e.After.ID]; ok {
			it.at = at
			cur := r.account(at)
			it.Existing = &cur
		}
	}
	switch {
	case e.Before == nil:
		r.unadd(&it)
	case e.After != nil && e.Before.ID == e.After.ID:
		r.unset(&it)
	default:
		r.unreplace(&it)
	}
	return it
}

func (r *reverter) account(at int) Account { return counted(&r.st.records[at], r.counters) }

// unadd removes what was added.
func (r *reverter) unadd(it *revertItem) {
	it.Account = accountOf(*it.entry.After)
	if it.at < 0 {
		it.Action, it.Reason = MergeLeave, "removed since"
		return
	}
	it.Action, it.do, it.Account = MergeRemove, "remove", *it.Existing
	if it.Differs = changedSince(it.entry.After, it.Existing); len(it.Differs) > 0 {
		it.Reason = "changed since: " + strings.Join(it.Differs, ", ")
	}
}

// unreplace puts back what was removed, or had another account put in its place.
func (r *reverter) unreplace(it *revertItem) {
	b := it.entry.Before
	it.Account = accountOf(b.Account)
	_, back := r.st.index[b.ID]
	switch {
	case back && it.at >= 0:
		it.Action, it.do, it.Account = MergeRemove, "remove", *it.Existing
		it.Reason = "what was there before is back already"
	case back:
		it.Action, it.Reason = MergeLeave, "back already"
	case b.Touch != nil && r.step.TouchRecipient != r.st.keys.TouchRecipient:
		it.Action, it.Reason = MergeLeave, "its secret was sealed to a touch key that is no more"
	case it.at >= 0:
		it.Action, it.do = MergeRestore, "replace"
	default:
		it.Action, it.do = MergeRestore, "put"
		if it.entry.After != nil {
			it.Reason = "what had taken its place was removed since"
		}
	}
}

// unset puts back what is said of an account, but for what was changed later.
func (r *reverter) unset(it *revertItem) {
	b, a := accountOf(it.entry.Before.Account), accountOf(*it.entry.After)
	if it.Account = b; it.at < 0 {
		it.Action, it.Reason = MergeLeave, "removed since"
		return
	}
	cur := *it.Existing
	out := cur
	var later []string
	for _, f := range fieldsOf(&b, &a, &cur, &out) {
		if f.stepped && f.later {
			later = append(later, f.name)
		} else if f.stepped && f.differs {
			f.revert()
			it.Differs = append(it.Differs, f.name)
		}
	}
	if out.Type == "hotp" { // which the step may have made one that has no counter
		out.Counter = max(cur.Counter, b.Counter)
	}
	it.Account = out
	if len(later) > 0 {
		it.Reason = "changed since, and stays: " + strings.Join(later, ", ")
	}
	if it.Action = MergeLeave; len(it.Differs) == 0 {
		return
	}
	it.do, it.Action = "set", MergeRestore
	if !slices.ContainsFunc(it.Differs, func(s string) bool { return s != "issuer" && s != "name" && s != "note" }) {
		it.Action = MergeRename
	}
}

// field is one thing said of an account: whether the step changed it, whether it
// was changed later, whether it is now other than before.
type field struct {
	name                    string
	stepped, later, differs bool
	revert                  func()
}

func fieldsOf(before, after, cur, out *Account) []field {
	var list []field
	str := func(name string, get func(a *Account) *string) {
		b := *get(before)
		list = append(list, field{name, b != *get(after), *get(cur) != *get(after) && *get(cur) != b, *get(cur) != b, func() { *get(out) = b }})
	}
	num := func(name string, get func(a *Account) *int) {
		b := *get(before)
		list = append(list, field{name, b != *get(after), *get(cur) != *get(after) && *get(cur) != b, *get(cur) != b, func() { *get(out) = b }})
	}
	str("issuer", func(a *Account) *string { return &a.Issuer })
	str("name", func(a *Account) *string { return &a.Name })
	str("note", func(a *Account) *string { return &a.Note })
	str("type", func(a *Account) *string { return &a.Type })
	str("algorithm", func(a *Account) *string { return &a.Algorithm })
	num("digits", func(a *Account) *int { return &a.Digits })
	num("period", func(a *Account) *int { return &a.Period })
	return list
}

func changedSince(then *archive.Account, now *Account) []string {
	return differences(now, &archive.Record{Account: *then})
}

func (r *reverter) merged() Merged {
	out := Merged{Source: r.step.Source, Items: make([]MergeItem, len(r.items))}
	for i := range r.items {
		out.Items[i] = r.items[i].MergeItem
	}
	return out
}

func (r *reverter) changes() bool {
	return slices.ContainsFunc(r.items, func(it revertItem) bool { return it.do != "" })
}

// apply makes the accounts as they were the draft's.
func (r *reverter) apply(v *Vault, d *draft) (*archive.Undo, error) {
	step, err := v.newStep(d, r.step.Source)
	if err != nil {
		return nil, err
	}
	step.Undoes = r.step.ID
	c := &changer{d: d, step: step, list: slices.Clone(d.records), counters: r.counters}
	var put []revertItem
	for _, it := range r.items {
		switch it.do {
		case "remove":
			c.remove(it.at)
		case "replace":
			c.replace(it.at, *it.entry.Before)
		case "set":
			if err := c.set(it.at, it.Account); err != nil {
				return nil, err
			}
		case "put":
			put = append(put, it)
		}
	}
	c.putBack(put)
	return step, c.finish()
}
