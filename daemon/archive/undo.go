package archive

import (
	"fmt"
	"time"
)

const formatUndo = "tokend-vault-undo"

// Undo is what it takes to take back one step that changed several accounts at
// once. It lies beside the vault, sealed to the session key, and is in no backup.
type Undo struct {
	VaultID string
	Epoch   uint64
	ID      string // 16 hexadecimal digits
	Time    time.Time
	Source  string // what the step brought in, for people
	Undoes  string // the id of the step that this one took back, or empty
	// TouchRecipient is the touch key that the records' Touch are for.
	TouchRecipient string
	Entries        []UndoEntry
}

// UndoEntry is one account that the step changed.
type UndoEntry struct {
	// At is where the account stood before, 0 being first.
	At int
	// Before is nil for an account that was added; its secrets are there also for a
	// managed account.
	Before *Record
	// After is nil for one that was removed. It has another ID than Before where
	// another secret took its place.
	After *Account
}

type undoDoc struct {
	Format         string        `json:"format"`
	Version        int           `json:"version"`
	VaultID        string        `json:"vault_id"`
	Epoch          uint64        `json:"epoch"`
	ID             string        `json:"id"`
	Time           int64         `json:"time"`
	Source         string        `json:"source"`
	Undoes         string        `json:"undoes"`
	TouchRecipient string        `json:"touch_recipient"`
	Entries        []undoEntryV1 `json:"entries"`
}

type undoEntryV1 struct {
	At     int       `json:"at"`
	Before *recordV1 `json:"before"`
	After  *recordV1 `json:"after"`
}

// EncodeUndo writes an undo's JSON.
func EncodeUndo(u *Undo) ([]byte, error) {
	size := 1024
	for _, e := range u.Entries {
		size += 1024
		if b := e.Before; b != nil {
			size += 2*(len(b.Issuer)+len(b.Name)+len(b.Note)+len(b.Secret)+len(b.Touch)) + b.Issued.size()
		}
		if a := e.After; a != nil {
			size += 2 * (len(a.Issuer) + len(a.Name) + len(a.Note))
		}
	}
	w := &jsonWriter{buf: make([]byte, 0, size)}
	w.open('{')
	w.str("format", formatUndo)
	w.num("version", 1)
	w.str("vault_id", u.VaultID)
	w.num("epoch", u.Epoch)
	w.str("id", u.ID)
	w.num("time", uint64(u.Time.Unix()))
	w.opt("source", u.Source, "")
	w.opt("undoes", u.Undoes, "")
	w.opt("touch_recipient", u.TouchRecipient, "")
	w.name("entries")
	w.open('[')
	for i := range u.Entries {
		if err := u.Entries[i].check(); err != nil {
			clear(w.buf)
			return nil, err
		}
		w.undoEntry(&u.Entries[i])
	}
	w.close(']')
	w.close('}')
	return w.done()
}

func (w *jsonWriter) undoEntry(e *UndoEntry) {
	w.open('{')
	w.num("at", uint64(e.At))
	if e.Before != nil {
		w.name("before")
		w.record(e.Before)
	}
	if e.After != nil {
		w.name("after")
		w.record(&Record{Account: *e.After})
	}
	w.close('}')
}

// check says what of an entry is outside the format's bounds.
func (e *UndoEntry) check() error {
	if e.At < 0 || e.At > MaxAccounts || e.Before == nil && e.After == nil {
		return fmt.Errorf("undo: an entry without a place or an account")
	}
	if e.After != nil {
		if err := e.After.Check(); err != nil {
			return err
		}
	}
	b := e.Before
	if b == nil {
		return nil
	}
	if err := b.Account.Check(); err != nil {
		return err
	}
	if err := b.checkTag(); err != nil {
		return err
	}
	if err := b.checkIssued(); err != nil {
		return err
	}
	if b.Kind == Managed && b.Secret == nil && b.Touch == nil {
		return nil // inactive
	}
	return checkSecret(b.Class, b.Secret, b.Touch)
}

// DecodeUndo reads what EncodeUndo wrote: ErrDamaged, ErrNewer.
func DecodeUndo(raw []byte) (*Undo, error) {
	var d undoDoc
	if err := decodeStrict(raw, &d); err != nil {
		return nil, damaged("undo: %w", err)
	}
	if d.Format != formatUndo || d.Version < 1 || !isHex(d.VaultID, 16) || !isHex(d.ID, 8) ||
		d.Undoes != "" && !isHex(d.Undoes, 8) || !text(d.Source) || d.Time < 0 || len(d.Entries) > 2*MaxAccounts {
		return nil, damaged("undo: no format, version or id")
	}
	if d.Version > 1 {
		return nil, &NewerError{formatUndo, d.Version}
	}
	u := &Undo{VaultID: d.VaultID, Epoch: d.Epoch, ID: d.ID, Time: time.Unix(d.Time, 0).UTC(), Source: d.Source, Undoes: d.Undoes,
		TouchRecipient: d.TouchRecipient, Entries: make([]UndoEntry, 0, len(d.Entries))}
	for i := range d.Entries {
		e := UndoEntry{At: d.Entries[i].At}
		if b := d.Entries[i].Before; b != nil {
			r := b.record()
			r.Inactive = r.Kind == Managed && r.Secret == nil && r.Touch == nil
			e.Before = &r
		}
		if a := d.Entries[i].After; a != nil {
			r := a.record()
			e.After = &r.Account
		}
		if err := e.check(); err != nil {
			return nil, damaged("undo: %w", err)
		}
		u.Entries = append(u.Entries, e)
	}
	return u, nil
}

// Wipe overwrites the secrets.
func (u *Undo) Wipe() {
	for _, e := range u.Entries {
		if e.Before != nil {
			e.Before.Wipe()
		}
	}
}
