package vault

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/secret"
	"github.com/tokenbridge/tokend/tokens"
)

// Vault is an open vault: the session class, until Lock. Its methods may be
// called from several goroutines; none holds a lock while a token is waited
// for. After Lock they fail with ErrLocked.
type Vault struct {
	store *Store
	// write is held by whoever changes the vault, from the first look to the
	// last; mu, inside it, while the state is replaced.
	write    sync.Mutex
	mu       sync.RWMutex
	st       *state // nil after Lock
	pin      *pin
	journal  *journal
	readOnly error // why; nil when writable
	fresh    bool  // nothing of it is on disk yet
	notices  []string
	revision uint64 // the store's after the last write of this Vault; under the store's mu
}

func (s *Store) newVault(l *loaded, c *archive.Contents) (*Vault, error) {
	var st *state
	var err error
	secret.Do(func() {
		st, err = newState(l.archive, c)
		c.Wipe()
	})
	if err != nil {
		return nil, err
	}
	v := &Vault{store: s, st: st, pin: l.pin, revision: l.revision}
	if l.problem != nil {
		v.readOnly = l.problem
	}
	v.journal = &journal{fs: s.fs, path: filepath.Join(s.dir, journalName), key: st.keys.JournalKey, vaultID: st.parts.Header.VaultID, id: st.journal}
	return v, nil
}

// Lock wipes the vault's keys and secrets. It may be called again. It waits for
// a write that is under way, never for a token.
func (v *Vault) Lock() {
	v.write.Lock()
	defer v.write.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.st == nil {
		return
	}
	v.st.arena.Wipe()
	v.st.keys.buf.Wipe()
	v.st, v.journal = nil, nil
}

// Swappable says that the open vault's keys or secrets lie in memory that the
// system may swap out, because it would lock no more of it.
func (v *Vault) Swappable() (yes bool) {
	v.view(func(st *state) {
		for _, b := range []*secret.Buffer{st.keys.buf, st.arena} {
			yes = yes || b.Len() > 0 && !b.Locked()
		}
	})
	return yes
}

// view calls f with the state, which must not be kept, unless locked.
func (v *Vault) view(f func(st *state)) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.st != nil {
		f(v.st)
	}
}

// change lets f make the next state and writes it. Whatever fails, what is in
// memory is what is on disk.
func (v *Vault) change(ctx context.Context, f func(d *draft) error) error {
	v.write.Lock()
	defer v.write.Unlock()
	return v.changeHeld(ctx, f)
}

// changeHeld is change for who holds v.write.
func (v *Vault) changeHeld(ctx context.Context, f func(d *draft) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot change the vault: %w", err)
	}
	v.mu.RLock()
	st, readOnly := v.st, v.readOnly
	v.mu.RUnlock()
	if st == nil {
		return ErrLocked
	}
	if readOnly != nil {
		return fmt.Errorf("%w: %w", ErrReadOnly, readOnly)
	}
	d := st.draft()
	var err error
	secret.Do(func() { err = f(d) })
	if err == nil {
		err = v.commit(st, d)
	}
	if v.now() != &d.state {
		d.drop()
	}
	return err
}

func (v *Vault) now() *state {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.st
}

// commit writes a draft and makes it the state. It holds mu for the time of the
// write, so that no counter is handed out between folding the journal in and
// starting the next one.
func (v *Vault) commit(old *state, d *draft) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	d.parts.Generation = v.nextGeneration(old)
	d.parts.Time = v.store.now()
	if d.recordsChanged {
		foldCounters(old, d)
	}
	var data []byte
	var err error
	secret.Do(func() { data, err = d.build(v.store.rand, v.journal.disk) })
	if errors.Is(err, archive.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err != nil {
		return err
	}
	was := replaces{pin: v.pin, revision: v.revision}
	if d.undo != nil {
		secret.Do(func() { was.undo, err = d.sealUndo(old.counters) })
		if err != nil {
			return err
		}
		was.undoName = undoName(d.undo.Epoch, d.parts.Generation, d.undo.Time.Unix(), d.undo.ID)
	}
	if !v.fresh {
		was.epoch, was.number = old.parts.Header.Epoch, old.parts.Generation
	}
	w, err := v.store.write(data, d.manifest, was)
	if !w.committed {
		return err
	}
	v.pin, v.fresh, v.revision = w.pin, false, w.revision
	if w.warning != nil {
		v.notices = append(v.notices, w.warning.Error())
	}
	v.adopt(old, d)
	v.store.onWrite(Write{VaultID: d.parts.Header.VaultID, Epoch: d.parts.Header.Epoch, Generation: d.parts.Generation, Accounts: len(d.records)})
	return err
}

// nextGeneration is above all that were ever written here, also above a damaged
// one that was passed over.
func (v *Vault) nextGeneration(old *state) uint64 {
	g := old.parts.Generation
	if v.pin != nil && v.pin.VaultID == old.parts.Header.VaultID {
		g = max(g, v.pin.Generation)
		if v.pin.Next != nil {
			g = max(g, v.pin.Next.Generation)
		}
	}
	return g + 1
}

// foldCounters gives the draft's accounts the counters as they are now: the ones
// handed out meanwhile, unless the draft sets one.
func foldCounters(old *state, d *draft) {
	d.counters = map[string]uint64{}
	for i := range d.records {
		r := &d.records[i]
		if r.Type != "hotp" {
			continue
		}
		if n, ok := d.setCounters[r.ID]; ok {
			r.Counter = n
		} else if n, ok := old.counters[r.ID]; ok {
			r.Counter = n
		}
		r.Counter = max(r.Counter, d.raised[r.ID])
		d.counters[r.ID] = r.Counter
	}
}

// adopt makes a written draft the state, wipes what the old one alone had and
// starts the journal that goes with it.
func (v *Vault) adopt(old *state, d *draft) {
	if old.arena != d.arena {
		old.arena.Wipe()
	}
	v.st = &d.state
	v.journal.key = d.keys.JournalKey
	if old.keys.buf != d.keys.buf {
		old.keys.buf.Wipe()
	}
	if v.journal.id != d.journal {
		v.journal.id = d.journal
		// One that cannot be started now is started before the next counter.
		_ = v.startJournal()
	}
}

// startJournal starts the journal that goes with the accounts, unless another
// Vault of the store has written since.
func (v *Vault) startJournal() error {
	v.store.mu.Lock()
	defer v.store.mu.Unlock()
	if v.revision != v.store.revision {
		return errStale()
	}
	return v.journal.reset()
}

// Stale says that another Vault of the same store has written since this one was
// opened: it shows what was, and can write nothing.
func (v *Vault) Stale() bool {
	// A write of this Vault's own counts in the store before it counts here.
	v.mu.RLock()
	defer v.mu.RUnlock()
	v.store.mu.RLock()
	defer v.store.mu.RUnlock()
	return v.revision != v.store.revision
}

func errStale() error {
	return fmt.Errorf("%w: it was opened a second time, and written there", ErrConflict)
}

// ID is the vault's id; empty after Lock, as the other values then are zero.
func (v *Vault) ID() (id string) {
	v.view(func(st *state) { id = st.parts.Header.VaultID })
	return id
}

// Epoch counts the rotations of the vault's keys, from 1.
func (v *Vault) Epoch() (n uint64) {
	v.view(func(st *state) { n = st.parts.Header.Epoch })
	return n
}

// Generation counts the vault's writes, from 1.
func (v *Vault) Generation() (n uint64) {
	v.view(func(st *state) { n = st.parts.Generation })
	return n
}

// Written is when the open generation was written.
func (v *Vault) Written() (t time.Time) {
	v.view(func(st *state) { t = st.manifest.Time })
	return t
}

// Signer is the public key that signs the vault, hexadecimal.
func (v *Vault) Signer() (s string) {
	v.view(func(st *state) { s = st.manifest.Signer })
	return s
}

// Sign signs a message with the key that signs the vault: ErrLocked. By its first
// words the message must not be what a container has signed.
func (v *Vault) Sign(message []byte) (signature []byte, err error) {
	err = ErrLocked
	v.view(func(st *state) {
		key := slices.Clone(st.keys.SigningKey) // crypto/ed25519 wants it on the Go heap
		defer clear(key)
		signature, err = ed25519.Sign(key, message), nil
	})
	return signature, err
}

// RecoverySet is when the recovery password was set, zero if never.
func (v *Vault) RecoverySet() (t time.Time) {
	v.view(func(st *state) { t = st.parts.Header.RecoverySet })
	return t
}

// ReadOnly says that an earlier generation is open because the newest is
// damaged; Problem says why.
func (v *Vault) ReadOnly() bool { return v.Problem() != nil }

// Problem is what is wrong with the newest generation, nil when nothing is.
func (v *Vault) Problem() error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.readOnly
}

// Notices are sentences for the user on what happened at opening or since
// (counters skipped, …), oldest first.
func (v *Vault) Notices() []string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return slices.Clone(v.notices)
}

// HasTouch says that a keyslot can guard accounts by touch.
func (v *Vault) HasTouch() (yes bool) {
	v.view(func(st *state) { yes = hasTouchSlot(st.parts.Header.Keyslots) })
	return yes
}

// NeedsTouch says that there are touch accounts: what makes new keys for the
// touch class then needs a Way that opens it.
func (v *Vault) NeedsTouch() (yes bool) {
	v.view(func(st *state) { yes = st.touchAccounts() > 0 })
	return yes
}

func hasTouchSlot(list []archive.Keyslot) bool {
	return slices.ContainsFunc(list, func(k archive.Keyslot) bool {
		_, ok := k.Key(archive.ClassTouch)
		return ok
	})
}

// Slots returns the keyslots with the user's labels, nil once the vault is locked.
func (v *Vault) Slots() []Slot {
	var out []Slot
	v.view(func(st *state) {
		out = slotsOf(st.parts.Header.Keyslots)
		for i := range out {
			if l := st.keys.Slot(out[i].ID).Label; l != "" {
				out[i].Label = l
			}
		}
	})
	v.store.mu.RLock()
	defer v.store.mu.RUnlock()
	v.store.fillKeyFiles(out)
	return out
}

func accountOf(a archive.Account) Account {
	return Account{ID: a.ID, Issuer: a.Issuer, Name: a.Name, Note: a.Note, Kind: a.Kind, Class: tokens.Class(a.Class),
		Type: a.Type, Algorithm: a.Algorithm, Digits: a.Digits, Period: a.Period, Counter: a.Counter,
		Created: a.Created, NoExport: a.NoExport, Inactive: a.Inactive}
}

func archiveAccount(a Account) archive.Account {
	return archive.Account{ID: a.ID, Issuer: a.Issuer, Name: a.Name, Note: a.Note, Kind: a.Kind, Class: string(a.Class),
		Type: a.Type, Algorithm: a.Algorithm, Digits: a.Digits, Period: a.Period, Counter: a.Counter,
		Created: a.Created, NoExport: a.NoExport, Inactive: a.Inactive}
}
