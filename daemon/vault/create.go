package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/secret"
)

// Create makes a vault with one keyslot, a recovery password, or both, and
// returns it open.
func (s *Store) Create(ctx context.Context, first *NewSlot, recoveryPassword []byte) (*Vault, error) {
	if first == nil && recoveryPassword == nil {
		return nil, fmt.Errorf("%w: a vault needs a token or a recovery password", ErrInvalid)
	}
	var pw []byte
	if recoveryPassword != nil {
		var err error
		if pw, err = archive.NewPassword(recoveryPassword); err != nil {
			return nil, err
		}
		defer clear(pw)
	}
	revision := s.standing()
	if s.Exists() {
		return nil, ErrExists
	}
	v, err := s.emptyVault()
	if err != nil {
		return nil, err
	}
	v.revision = revision
	if err := v.made(v.populate(ctx, first, pw)); err != nil {
		v.Lock()
		if first != nil && first.Enrollment.KeyFile != nil && archive.ValidSlotID(first.ID) {
			_ = remove(s.fs, s.keyFile(first.ID))
		}
		return nil, fmt.Errorf("cannot make the vault: %w", err)
	}
	return v, nil
}

// made turns ErrUncertain into a notice: the vault is there, and a caller who got
// an error would try again and be told so.
func (v *Vault) made(err error) error {
	if errors.Is(err, ErrUncertain) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.notices = append(v.notices, err.Error())
		return nil
	}
	return err
}

// emptyVault is a vault of which nothing is on disk and that nothing opens.
func (s *Store) emptyVault() (*Vault, error) {
	id, err := randomHex(s.rand, 16)
	if err != nil {
		return nil, err
	}
	journalID, err := randomHex(s.rand, 8)
	if err != nil {
		return nil, err
	}
	st := &state{journal: journalID, counters: map[string]uint64{}}
	st.parts.Header = archive.Header{VaultID: id, Epoch: 1}
	secret.Do(func() {
		var keys *archive.Keys
		if keys, err = newKeys(s, id, 1); err == nil {
			st.keys, err = newKeyring(keys)
		}
	})
	if err != nil {
		return nil, err
	}
	if err := st.setRecords(nil); err != nil {
		st.keys.buf.Wipe()
		return nil, err
	}
	st.manifest.Signer = archive.Signer(st.keys.SigningKey)
	v := &Vault{store: s, st: st, fresh: true}
	v.journal = &journal{fs: s.fs, path: filepath.Join(s.dir, journalName), key: st.keys.JournalKey, vaultID: id, id: journalID}
	return v, nil
}

// populate gives a new vault its first ways and writes it, in one write.
func (v *Vault) populate(ctx context.Context, first *NewSlot, pw []byte) error {
	var slot archive.Keyslot
	var touch *sealedTouch
	var epoch uint64 = 1
	if first != nil {
		var err error
		if slot, err = v.store.newSlot(*first); err != nil {
			return err
		}
		if key, ok := slot.Key(archive.ClassTouch); ok {
			touch = &sealedTouch{epoch: 1}
			b := archive.Binding{VaultID: v.ID(), SlotID: slot.ID, Class: archive.ClassTouch, Epoch: 1}
			secret.Do(func() {
				if touch.fresh, touch.recipient, err = archive.NewIdentity(); err == nil {
					touch.wrap, err = archive.Seal(key, b, touch.fresh)
				}
			})
			defer clear(touch.fresh)
			if err != nil {
				return err
			}
		}
		if epoch, err = v.sealAndTry(ctx, *first, &slot, touch); err != nil {
			return err
		}
	}
	v.write.Lock()
	defer v.write.Unlock()
	if first != nil && first.Enrollment.KeyFile != nil {
		if err := v.store.writeNewKeyFile(slot.ID, first.Enrollment.KeyFile); err != nil {
			return err
		}
	}
	return v.changeHeld(ctx, func(d *draft) error {
		d.recordsChanged, d.keysChanged = true, true
		if pw != nil {
			if err := v.newRecovery(d, pw); err != nil {
				return err
			}
		}
		if first == nil {
			return nil
		}
		return d.addSlot(first.Label, slot, epoch, touch)
	})
}

// settleCounters skips what may have been handed out and writes the vault.
func (v *Vault) settleCounters(ctx context.Context, why string) error {
	if len(v.st.counters) > 0 {
		v.skipCounters(why)
	}
	return v.made(v.change(ctx, v.foldAll))
}

// Recover tells what is wrong with the vault and opens the last good
// generation, read-only; with apply it makes that the newest and returns it
// writable. It also accepts, with apply, a vault whose pin is lost, or one that
// was put back to an earlier generation of the same epoch. Where nothing is
// wrong, apply is Unlock; without apply the Vault returned is for looking at, and
// nothing is changed.
func (s *Store) Recover(ctx context.Context, w Way, apply bool) (*Recovery, *Vault, error) {
	s.mu.RLock()
	l, err := s.loadLocked(true)
	s.mu.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot recover the vault: %w", err)
	}
	if l.problem == nil && apply {
		v, err := s.Unlock(ctx, w)
		if err != nil {
			return nil, nil, err
		}
		return &Recovery{Generation: v.Generation(), Written: v.Written(), Signer: v.Signer(), Accounts: v.Accounts()}, v, nil
	}
	c, err := open(ctx, l.archive, w)
	if err != nil {
		return nil, nil, err
	}
	r := &Recovery{Damaged: l.problem != nil && archive.IsDamage(l.problem), Problem: l.problem, Generation: l.archive.Manifest.Generation,
		Written: l.archive.Manifest.Time, Signer: l.archive.Manifest.Signer}
	if l.problem != nil {
		secret.Do(func() { r.Lost = s.lost(l, c) })
	} else {
		l.revision = lookOnly
	}
	v, err := s.newVault(l, c)
	if err != nil {
		return nil, nil, err
	}
	v.replayReadOnly()
	r.Accounts = v.Accounts()
	if apply {
		if err := v.applyRecovery(ctx, l, r); err != nil {
			v.Lock()
			return nil, nil, fmt.Errorf("cannot recover the vault: %w", err)
		}
	}
	return r, v, nil
}

// applyRecovery writes the generation that is open as the newest, above all that
// were ever written, and keeps the file that it replaces.
func (v *Vault) applyRecovery(ctx context.Context, l *loaded, r *Recovery) error {
	s := v.store
	newest, err := s.newest()
	same := err == nil && newest.Manifest.Signer == l.archive.Manifest.Signer &&
		newest.Manifest.Generation == l.archive.Manifest.Generation
	if !same && !errors.Is(err, fs.ErrNotExist) {
		kept := filepath.Join(s.generations(), damagedName(l.archive.Header.Epoch, s.now().Unix()))
		if err := s.keepDamaged(kept); err != nil {
			return err
		}
		r.Kept = kept
	}
	v.fresh = !same
	v.mu.Lock()
	v.readOnly = nil
	v.mu.Unlock()
	if err := v.settleCounters(ctx, "the vault was recovered"); err != nil {
		return err
	}
	r.Applied = true
	r.Accounts = v.Accounts()
	return nil
}

// keepDamaged gives the damaged file a name among the generations. Without hard
// links it is moved: a crash then leaves no newest file, which is damage, too.
func (s *Store) keepDamaged(to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := remove(s.fs, to)
	if err == nil {
		if err = s.fs.Link(s.vaultFile(), to); err != nil && !isDiskFull(err) {
			err = s.fs.Rename(s.vaultFile(), to)
		}
	}
	if err == nil {
		err = s.fs.SyncDir(s.generations())
	}
	return diskError("keep the damaged file", err)
}

// lost says what is known of the changes after the generation that c is of: from
// the pin, and from the damaged file as far as its accounts still open. That is
// for people to read; nothing of it is used.
func (s *Store) lost(l *loaded, c *archive.Contents) []string {
	var out []string
	if l.pin != nil && l.pin.Generation > l.archive.Manifest.Generation {
		from := l.archive.Manifest.Generation + 1
		missing := fmt.Sprintf("generations %d to %d are not there", from, l.pin.Generation)
		if from == l.pin.Generation {
			missing = fmt.Sprintf("generation %d is not there", from)
		}
		out = append(out, missing)
	}
	s.mu.RLock()
	data, err := readFile(s.fs, s.vaultFile(), archive.MaxSize+1)
	s.mu.RUnlock()
	if err != nil {
		return out
	}
	found := archive.Salvage(data, c.Keys().SessionKey)
	if found == nil {
		return append(out, "the accounts in the damaged file cannot be read")
	}
	was := map[string]archive.Account{}
	for _, a := range c.Accounts {
		was[a.ID] = a
	}
	for _, a := range found {
		before, ok := was[a.ID]
		delete(was, a.ID)
		before.Counter = a.Counter // the journal has it
		if !ok {
			out = append(out, fmt.Sprintf("added: %s", title(a)))
		} else if before != a {
			out = append(out, fmt.Sprintf("changed: %s", title(a)))
		}
	}
	for _, a := range c.Accounts {
		if _, ok := was[a.ID]; ok {
			out = append(out, fmt.Sprintf("removed: %s", title(a)))
		}
	}
	return out
}

func title(a archive.Account) string {
	if a.Issuer == "" {
		return a.Name
	}
	return a.Issuer + ": " + a.Name
}

// Inspect opens a backup, this vault's or another's, and changes nothing.
func (s *Store) Inspect(ctx context.Context, data []byte, w Way) (Contents, error) {
	a, err := archive.Parse(data)
	if err != nil {
		return Contents{}, fmt.Errorf("cannot read the backup: %w", err)
	}
	c, err := open(ctx, a, w)
	if err != nil {
		return Contents{}, err
	}
	defer c.Wipe()
	out := Contents{BackupInfo: backupInfo(a, data), SignerProved: c.SignerProved}
	for i := range out.Slots {
		if l := c.Labels[out.Slots[i].ID]; l != "" {
			out.Slots[i].Label = l
		}
	}
	out.Accounts = make([]Account, 0, len(c.Accounts))
	for _, acc := range c.Accounts {
		out.Accounts = append(out.Accounts, accountOf(acc))
	}
	return out, nil
}

// CheckRecovery tries a Way with a Password or RecoveryKey against the vault,
// and sees that everything opens with it; ErrWrongPassword, ErrNoRecovery.
func (s *Store) CheckRecovery(ctx context.Context, w Way) error {
	if w.SlotID != "" {
		return fmt.Errorf("%w: a recovery password or recovery key is needed", ErrInvalid)
	}
	l, err := s.load()
	if err != nil {
		return err
	}
	c, err := open(ctx, l.archive, w)
	if err != nil {
		return err
	}
	defer c.Wipe()
	secret.Do(func() { err = c.CheckTouch() })
	return err
}

// ShowRecoveryKey returns the recovery key, AGE-SECRET-KEY-1…, which the caller
// wipes.
func (s *Store) ShowRecoveryKey(ctx context.Context, password []byte) (key []byte, err error) {
	l, err := s.load()
	if err != nil {
		return nil, err
	}
	secret.Do(func() {
		var k []byte
		if k, err = l.archive.RecoveryIdentity(password); err == nil {
			key = slices.Clone(k)
			clear(k)
		}
	})
	return key, err
}
