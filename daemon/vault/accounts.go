package vault

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/secret"
	"github.com/tokenbridge/tokend/tokens"
)

// Accounts returns the accounts in the user's order.
func (v *Vault) Accounts() []Account {
	var out []Account
	v.view(func(st *state) {
		out = make([]Account, len(st.records))
		for i := range st.records {
			out[i] = st.account(&st.records[i])
		}
	})
	return out
}

// Account returns one account.
func (v *Vault) Account(id string) (a Account, err error) {
	err = ErrLocked
	v.view(func(st *state) {
		var r *archive.Record
		if r, err = st.record(id); err == nil {
			a = st.account(r)
		}
	})
	return a, err
}

// account is a record as a caller sees it, with the counter as it is now.
func (st *state) account(r *archive.Record) Account { return counted(r, st.counters) }

// counted is a record as a caller sees it, with its counter from a table.
func counted(r *archive.Record, counters map[string]uint64) Account {
	a := accountOf(r.Account)
	if a.Type == "hotp" {
		a.Counter = counters[a.ID]
	}
	return a
}

// Add adds all accounts at the end, or none.
func (v *Vault) Add(ctx context.Context, list []NewAccount) ([]Account, error) {
	var added []archive.Record
	err := v.change(ctx, func(d *draft) error {
		if len(d.records)+len(list) > archive.MaxAccounts {
			return fmt.Errorf("%w: a vault has at most %d accounts", ErrInvalid, archive.MaxAccounts)
		}
		all := slices.Clone(d.records)
		for _, n := range list {
			r, err := v.newRecord(d, n)
			if err != nil {
				return err
			}
			all = append(all, r)
		}
		if err := d.setRecords(all); err != nil {
			return err
		}
		added = all[len(d.records)-len(list):]
		return nil
	})
	out := make([]Account, 0, len(added))
	for _, r := range added {
		out = append(out, accountOf(r.Account))
	}
	return out, err
}

// newRecord makes an account's record; a session secret still aliases n.Secret.
func (v *Vault) newRecord(d *draft, n NewAccount) (archive.Record, error) {
	r := archive.Record{Account: archiveAccount(n.Account)}
	id, err := randomHex(v.store.rand, 8)
	if err != nil {
		return r, err
	}
	if _, taken := d.index[id]; taken {
		return r, fmt.Errorf("%w: an account id was drawn twice", ErrConflict)
	}
	r.ID, r.Inactive, r.Created = id, false, v.store.now().UTC().Truncate(time.Second)
	tidy(&r.Account)
	if err := r.Account.Check(); err != nil {
		return r, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(n.Secret) < 1 || len(n.Secret) > archive.MaxSecret {
		return r, fmt.Errorf("%w: a secret has 1 to %d bytes", ErrInvalid, archive.MaxSecret)
	}
	return r, sealSecret(d, &r, n.Secret)
}

// tidy fills in defaults and drops what the type does not have.
func tidy(a *archive.Account) {
	a.Defaults()
	if a.Type == "hotp" {
		a.Period = 0
	} else {
		a.Counter = 0
	}
}

// sealSecret gives a record its secret in the form that its class wants.
func sealSecret(d *draft, r *archive.Record, s []byte) error {
	r.Tag = ""
	if r.Class == archive.ClassSession {
		r.Secret, r.Touch = s, nil
		return nil
	}
	if d.keys.TouchRecipient == "" {
		return fmt.Errorf("%w: no keyslot of the touch class", ErrNoKeyslot)
	}
	blob, err := archive.Encrypt(s, d.keys.TouchRecipient)
	r.Secret, r.Touch = nil, blob
	if err != nil || r.Kind == Managed {
		return err
	}
	tags, err := archive.NewTagger(d.keys.JournalKey)
	if err != nil {
		return err
	}
	defer tags.Wipe()
	r.Tag = tags.Tag(s)
	return nil
}

// Edit changes an account's Issuer, Name, Note, Type, Algorithm, Digits, Period,
// Counter or NoExport; ErrInvalid when change touched anything else. Fields that change
// makes zero become the defaults. change must not call v.
func (v *Vault) Edit(ctx context.Context, id string, change func(*Account) error) (Account, error) {
	err := v.change(ctx, func(d *draft) error {
		before, err := v.Account(id)
		if err != nil {
			return err
		}
		after := before
		if err := change(&after); err != nil {
			return err
		}
		if after.ID != before.ID || after.Class != before.Class || after.Kind != before.Kind ||
			!after.Created.Equal(before.Created) || after.Inactive != before.Inactive {
			return fmt.Errorf("%w: id, kind, class and time of an account cannot be edited", ErrInvalid)
		}
		a := archiveAccount(after)
		tidy(&a)
		if err := a.Check(); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		list := slices.Clone(d.records)
		list[d.index[id]].Account = a
		if a.Counter != before.Counter || before.Type != "hotp" {
			d.setCounters[id] = a.Counter
		}
		return d.setRecords(list)
	})
	if err != nil {
		return Account{}, err
	}
	return v.Account(id)
}

// SetClass moves an account's secret to another class; from touch it needs w.
func (v *Vault) SetClass(ctx context.Context, id string, c tokens.Class, w Way) (Account, error) {
	var r archive.Record
	err := v.copyRecord(id, &r)
	if err != nil {
		return Account{}, err
	}
	if r.Class == string(c) {
		return v.Account(id)
	}
	move := func(plain []byte) error {
		return v.change(ctx, func(d *draft) error {
			cur, err := d.record(id)
			if err != nil {
				return err
			}
			// The secret was taken out before the vault was held.
			if cur.Class != r.Class || !bytes.Equal(cur.Touch, r.Touch) {
				return ErrConflict
			}
			if plain == nil {
				plain = cur.Secret
			}
			list := slices.Clone(d.records)
			n := &list[d.index[id]]
			n.Class = string(c)
			if err := n.Account.Check(); err != nil {
				return fmt.Errorf("%w: %w", ErrInvalid, err)
			}
			if err := sealSecret(d, n, plain); err != nil {
				return err
			}
			return d.setRecords(list)
		})
	}
	switch {
	case r.Inactive:
		err = ErrNoSecret
	case r.Touch != nil:
		err = v.Use(ctx, id, w, move)
	default:
		err = move(nil)
	}
	if err != nil {
		return Account{}, err
	}
	return v.Account(id)
}

// copyRecord copies a record without its session secret.
func (v *Vault) copyRecord(id string, into *archive.Record) error {
	err := ErrLocked
	v.view(func(st *state) {
		var r *archive.Record
		if r, err = st.record(id); err == nil {
			*into = *r
			into.Secret = nil
		}
	})
	return err
}

// Move puts an account at position, 0 being first.
func (v *Vault) Move(ctx context.Context, id string, position int) error {
	return v.change(ctx, func(d *draft) error {
		if _, err := d.record(id); err != nil {
			return err
		}
		if position < 0 || position >= len(d.records) {
			return fmt.Errorf("%w: there is no position %d among %d accounts", ErrInvalid, position, len(d.records))
		}
		list := slices.Clone(d.records)
		at := d.index[id]
		r := list[at]
		list = slices.Insert(slices.Delete(list, at, at+1), position, r)
		return d.setRecords(list)
	})
}

// Use gives f the account's secret for the time of the call; f must not keep
// it. For a touch account w opens the touch key for this one call; for others w
// is ignored.
func (v *Vault) Use(ctx context.Context, id string, w Way, f func(secret []byte) error) error {
	var r archive.Record
	if err := v.copyRecord(id, &r); err != nil {
		return err
	}
	if r.Inactive {
		return fmt.Errorf("%w: %s", ErrNoSecret, id)
	}
	if r.Class == archive.ClassTouch {
		t, err := v.touchLock(w)
		if err != nil {
			return err
		}
		return t.with(ctx, w, func(key []byte) error {
			plain, err := archive.Decrypt(r.Touch, key)
			if err != nil {
				// The keys changed between the two looks at the vault.
				return fmt.Errorf("%w: account %s: %w", ErrConflict, id, err)
			}
			defer clear(plain)
			if r.Tag == "" && r.Kind == ThirdParty {
				v.learnTag(ctx, id, r.Touch, plain)
			}
			return f(plain)
		})
	}
	return v.useSession(id, f)
}

// usualSecret is the size that few secrets exceed.
const usualSecret = 64

func (v *Vault) useSession(id string, f func(secret []byte) error) (err error) {
	// Made outside of Do, where each piece of memory costs the runtime a mark to
	// erase it by, and wiped here instead.
	plain := make([]byte, 0, usualSecret)
	defer func() { clear(plain[:cap(plain)]) }()
	secret.Do(func() {
		err = ErrLocked
		v.view(func(st *state) {
			var r *archive.Record
			if r, err = st.record(id); err != nil {
				return
			}
			if r.Secret == nil {
				err = fmt.Errorf("%w: its class was changed", ErrConflict)
				return
			}
			plain = append(plain, r.Secret...)
		})
		if err == nil {
			err = f(plain)
		}
	})
	return err
}

// NextCounter returns the account's HOTP counter and moves on; when it returns,
// the next one is on disk.
func (v *Vault) NextCounter(id string) (uint64, error) {
	n, full, err := v.nextCounter(id)
	if full {
		// Counters are safe where they are: when this fails it is tried again
		// with the next one.
		_ = v.change(context.Background(), func(d *draft) error {
			d.recordsChanged = true
			return nil
		})
	}
	return n, err
}

func (v *Vault) nextCounter(id string) (n uint64, full bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.st == nil {
		return 0, false, ErrLocked
	}
	r, err := v.st.record(id)
	if err != nil {
		return 0, false, err
	}
	if r.Type != "hotp" {
		return 0, false, fmt.Errorf("%w: %s has no counter", ErrInvalid, id)
	}
	if v.readOnly != nil {
		return 0, false, fmt.Errorf("%w: %w", ErrReadOnly, v.readOnly)
	}
	n = v.st.counters[id]
	if n == math.MaxUint64 {
		return 0, false, fmt.Errorf("%w: the counter of %s is at its end", ErrInvalid, id)
	}
	if err := v.count(id, n+1); err != nil {
		return 0, false, err
	}
	v.st.counters[id] = n + 1
	return n, v.journal.records >= journalFold, nil
}

// count writes to the journal what an account's next counter is.
func (v *Vault) count(id string, next uint64) error {
	v.store.mu.Lock()
	defer v.store.mu.Unlock()
	if v.revision != v.store.revision {
		return errStale()
	}
	v.store.revision++
	v.revision = v.store.revision
	return v.journal.append(id, next)
}

// replayJournal brings the counters up to what was handed out since the last
// write, or beyond it where that cannot be known.
func (v *Vault) replayJournal() {
	st := v.st
	r, err := v.journal.load()
	unknown := err != nil
	switch {
	case err != nil:
	case r.id == st.journal:
		v.raise(r.counters)
		unknown = r.broken > 0
	case r.claimed == st.before && r.claimed != "":
		// Folded in; a crash came before the next journal was started. Its MAC
		// may be under the key of the epoch before. Who could put such a file
		// here could as well cut the right one short.
	default:
		// Missing, foreign, or of a write that is no longer there.
		v.raise(r.counters)
		unknown = true
	}
	if unknown && len(st.counters) > 0 {
		v.skipCounters("the counter journal is damaged or missing")
		// Kept in memory where it cannot be written; the next opening skips again.
		if err := v.change(context.Background(), v.foldAll); err != nil {
			v.notices = append(v.notices, "the counters skipped could not be written: "+err.Error())
		}
		return
	}
	if r.id != st.journal {
		_ = v.startJournal() // or before the next counter
	}
}

func (v *Vault) foldAll(d *draft) error {
	d.recordsChanged = true
	return nil
}

// replayReadOnly takes what the journal says without writing anything.
func (v *Vault) replayReadOnly() {
	if r, err := v.journal.load(); err == nil {
		v.raise(r.counters)
	}
}

func (v *Vault) raise(counters map[string]uint64) {
	for id, n := range counters {
		if cur, ok := v.st.counters[id]; ok {
			v.st.counters[id] = max(cur, n)
		}
	}
}

// skipCounters moves every HOTP counter on by CounterMargin.
func (v *Vault) skipCounters(why string) {
	for id, n := range v.st.counters {
		v.st.counters[id] = n + min(CounterMargin, math.MaxUint64-n)
	}
	v.notices = append(v.notices, fmt.Sprintf("%s: the counters of %s skip %d; "+
		"a service that does not accept the next code needs a resync", why, hotpAccounts(len(v.st.counters)), CounterMargin))
}

func hotpAccounts(n int) string {
	if n == 1 {
		return "1 HOTP account"
	}
	return fmt.Sprintf("%d HOTP accounts", n)
}

// learnTag writes down the tag of a touch account that has none: vaults written
// before there were tags. A failure costs the tag alone.
func (v *Vault) learnTag(ctx context.Context, id string, touch, plain []byte) {
	_ = v.change(ctx, func(d *draft) error {
		cur, err := d.record(id)
		if err != nil || !bytes.Equal(cur.Touch, touch) {
			return ErrConflict
		}
		tags, err := archive.NewTagger(d.keys.JournalKey)
		if err != nil {
			return err
		}
		defer tags.Wipe()
		list := slices.Clone(d.records)
		list[d.index[id]].Tag = tags.Tag(plain)
		return d.setRecords(list)
	})
}
