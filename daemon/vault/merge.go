package vault

import (
	"context"
	"maps"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/secret"
)

// What a merge or an undo does with one account.
const (
	MergeAdd      = "add"
	MergeSame     = "same"     // it is there
	MergeReplace  = "replace"  // it takes the place of Existing
	MergeRename   = "rename"   // it is added under another name, or Existing gets it
	MergeKeep     = "keep"     // Existing stays
	MergeLeave    = "leave"    // it is left out
	MergeConflict = "conflict" // undecided
	MergeRemove   = "remove"   // of an undo: what was added is removed
	MergeRestore  = "restore"  // of an undo: what was before is put back
)

// Decision is what is to be done with one account: MergeKeep, MergeReplace,
// MergeRename with a name, or MergeLeave.
type Decision struct {
	Action       string
	Issuer, Name string
}

// MergeOptions says how a merge is meant.
type MergeOptions struct {
	// Source is what the accounts come from, for people: at most 256 bytes.
	Source string
	// Keep decides all conflicts without a Decision for what is there.
	Keep bool
	// Decide has decisions by the number of the account, from 1.
	Decide map[int]Decision
	// Margin is how many HOTP codes may have been made elsewhere since; an account
	// that is added skips as many.
	Margin uint64
	// Apply does it; ErrUndecided where a conflict is left.
	Apply bool
}

// MergeItem is what is done with one account.
type MergeItem struct {
	Action string
	// Account is how it comes in, or is afterwards. Its ID is empty where that is
	// yet to be drawn.
	Account  Account
	Existing *Account
	// Differs names what the two differ by.
	Differs []string
	// Reason is for people.
	Reason string
}

// Merged is what a merge or an undo does, or did.
type Merged struct {
	Source string
	Items  []MergeItem
	// Touch says that there are accounts which take ErrTouchWanted's way.
	Touch bool
	// Applied says that it was done, Undo is the id that takes it back; empty where
	// there was nothing to do.
	Applied bool
	Undo    string
}

// Count is how many items have one of the actions.
func (m *Merged) Count(actions ...string) (n int) {
	for i := range m.Items {
		for _, a := range actions {
			if m.Items[i].Action == a {
				n++
			}
		}
	}
	return n
}

// Merge compares accounts with those of the vault and says what would be done or,
// with Apply, does it in one write that Undo takes back. What is there is neither
// changed nor removed unless a Decision names the item. ErrUndecided and
// ErrTouchWanted come with what was found; an ItemError says which Decision
// cannot be.
func (v *Vault) Merge(ctx context.Context, in *Incoming, o MergeOptions) (Merged, error) {
	v.write.Lock()
	defer v.write.Unlock()
	st, counters := v.standing()
	if st == nil {
		return Merged{}, ErrLocked
	}
	var m *merger
	var err error
	secret.Do(func() { m, err = newMerger(st, counters, in, o) })
	if err != nil {
		return Merged{}, err
	}
	out := m.merged()
	switch {
	case !o.Apply:
		return out, nil
	case m.undecided() > 0:
		return out, ErrUndecided
	case out.Touch:
		return out, ErrTouchWanted
	case !m.changes():
		out.Applied = true
		return out, nil
	}
	err = v.changeHeld(ctx, func(d *draft) error { return m.apply(v, d) })
	if v.now() == st { // nothing was written
		return out, err
	}
	out = m.merged()
	out.Applied, out.Undo = true, m.step.ID
	return out, err
}

// standing is the state as it is now, with the counters as they are now, for who
// holds v.write: until then only counters change.
func (v *Vault) standing() (*state, map[string]uint64) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.st == nil {
		return nil, nil
	}
	return v.st, maps.Clone(v.st.counters)
}

// newStep begins what takes a change back.
func (v *Vault) newStep(d *draft, source string) (*archive.Undo, error) {
	id, err := randomHex(v.store.rand, 8)
	if err != nil {
		return nil, err
	}
	h := d.parts.Header
	return &archive.Undo{VaultID: h.VaultID, Epoch: h.Epoch, ID: id, Time: v.store.now(), Source: source,
		TouchRecipient: d.keys.TouchRecipient}, nil
}
