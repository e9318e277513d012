package daemon

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/tokens"
)

// notes is what the daemon remembers of a user beside the vault, in daemon.json:
// when a backup was last made, when a keyslot last opened the vault, what is
// weak about its token. Nothing in it is secret, and nothing is decided by it.
type notes struct {
	path string
	mu   sync.Mutex
	data notesData
	// unwritten says that data has something that the file has not.
	unwritten bool
	// closed says that the file is another's now: nothing is written any more.
	closed bool
	// problem is why the file could not be written at the last try.
	problem error
}

type notesData struct {
	Version    int                  `json:"version"`
	LastBackup time.Time            `json:"last_backup,omitzero"`
	Backups    []backupNote         `json:"backups,omitempty"`
	Slots      map[string]slotNotes `json:"slots,omitempty"`
	// RecoveryChecked is when the recovery password was last given right, and
	// RecoveryCheckedSet when the one that was given had been set.
	RecoveryChecked    time.Time `json:"recovery_checked,omitzero"`
	RecoveryCheckedSet time.Time `json:"recovery_checked_set,omitzero"`
	// SpoolSince is when the first backup was made by itself, SpoolChecked when the
	// spool was last brought up to date.
	SpoolSince   time.Time `json:"spool_since,omitzero"`
	SpoolChecked time.Time `json:"spool_checked,omitzero"`
	// Device tells the files of this device from those of others in a folder that
	// they share: 8 hexadecimal digits.
	Device       string            `json:"device,omitempty"`
	Destinations []destinationNote `json:"destinations,omitempty"`
	Drop         *dropNote         `json:"drop,omitempty"`
	DropAgreed   *agreedNote       `json:"drop_agreed,omitempty"`
	// Revoked are the keys of revoked keyslots, the newest last, so that they
	// can be wiped from their tokens and no others, and so that it is told when
	// a backup brings one of those keyslots back.
	Revoked []tokens.Key `json:"revoked,omitempty"`
	// Unfinished are keys that an enrolment left on a token without a keyslot of
	// theirs: it was interrupted, or could not be undone.
	Unfinished []tokens.Key `json:"unfinished,omitempty"`
	// Purged are keys that a vault which was purged left on tokens.
	Purged []tokens.Key `json:"purged,omitempty"`
	// Wiped are those of all these keys that were removed from their tokens.
	Wiped []tokens.Key `json:"wiped,omitempty"`
	// Declined is when the owner last said that he wants no recovery password.
	Declined *declined `json:"declined,omitempty"`
	// Underway is a change that was begun and not noted as ended.
	Underway *underway `json:"underway,omitempty"`
	// Checkpoint is the newest that was signed of the audit log: a locked vault signs
	// none, and backups are copied all the same.
	Checkpoint string `json:"checkpoint,omitempty"`
}

type slotNotes struct {
	LastUsed time.Time        `json:"last_used,omitzero"`
	Warnings []tokens.Warning `json:"warnings,omitempty"`
	// Attestation is the maker's word when the token was enrolled; a FIDO2 key
	// gives it then and never again.
	Attestation *tokens.Attestation `json:"attestation,omitempty"`
}

const keptRevoked = 64

// readNotes reads the notes; where they are missing or damaged it starts anew,
// for they are a convenience.
func readNotes(path string, log *slog.Logger) *notes {
	n := &notes{path: path}
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &n.data)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("cannot read the daemon's notes on a user; starting anew", "err", err)
		n.data = notesData{}
	}
	if n.data.Slots == nil {
		n.data.Slots = make(map[string]slotNotes)
	}
	return n
}

// get is a copy of the notes.
func (n *notes) get() notesData {
	if n == nil {
		return notesData{}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.data
	c.Backups = append([]backupNote(nil), c.Backups...)
	for i := range c.Backups {
		c.Backups[i].Where = slices.Clone(c.Backups[i].Where)
	}
	c.Destinations = slices.Clone(c.Destinations)
	if c.Drop != nil {
		c.Drop = new(*c.Drop)
	}
	c.Revoked = append([]tokens.Key(nil), c.Revoked...)
	c.Unfinished = append([]tokens.Key(nil), c.Unfinished...)
	c.Purged = append([]tokens.Key(nil), c.Purged...)
	c.Wiped = append([]tokens.Key(nil), c.Wiped...)
	c.Slots = make(map[string]slotNotes, len(n.data.Slots))
	for id, s := range n.data.Slots {
		c.Slots[id] = s
	}
	return c
}

// update changes the notes and puts them on disk.
func (n *notes) update(change func(*notesData)) error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	change(&n.data)
	return n.write()
}

// flush puts on disk what is only remembered so far.
func (n *notes) flush() error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.unwritten {
		return nil
	}
	return n.write()
}

// close ends the notes: their folder goes.
func (n *notes) close() {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
}

// write needs n.mu.
func (n *notes) write() error {
	if n.closed {
		return errors.New("the vault was purged")
	}
	n.data.Version = 1
	b, err := json.Marshal(n.data)
	if err != nil {
		return err
	}
	n.unwritten = true
	if n.problem = writeFile(n.path, b); n.problem != nil {
		return n.problem
	}
	n.unwritten = false
	return nil
}

// trouble is why the notes could not be written at the last try, nil when they
// could.
func (n *notes) trouble() error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.problem
}

// writeFile replaces path by data in one step, durably.
func writeFile(path string, data []byte) (err error) {
	// One name for the temporary file: one that a crash left is overwritten.
	f, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// notesOf is the user's notes, nil where he has no folder.
func (u *user) notesOf() *notes {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.notes
}

// noteUse remembers that a keyslot opened the vault. It waits for no disk: the
// file follows when the vault locks, or with the next thing worth writing.
func (u *user) noteUse(slot string) {
	n := u.notesOf()
	if slot == "" || n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.data.Slots[slot]
	s.LastUsed = u.d.now().UTC().Truncate(time.Second)
	n.data.Slots[slot] = s
	n.unwritten = true
}

// noteWarnings remembers what is weak about a keyslot's token.
func (u *user) noteWarnings(slot string, warnings []tokens.Warning) {
	u.note(func(n *notesData) { n.warn(slot, warnings) })
}

func (n *notesData) warn(slot string, warnings []tokens.Warning) {
	s := n.Slots[slot]
	s.Warnings = warnings
	n.Slots[slot] = s
}

// enrolled remembers what enrolling told of a keyslot's token.
func (n *notesData) enrolled(slot string, e tokens.Enrollment) {
	s := n.Slots[slot]
	s.Warnings, s.Attestation = e.Warnings, e.Attestation
	n.Slots[slot] = s
	// A key that is enrolled as it was, once more, is revoked no longer.
	again := func(k tokens.Key) bool { return hasKey(e.Keys, k) }
	n.Revoked = slices.DeleteFunc(n.Revoked, again)
	n.Purged = slices.DeleteFunc(n.Purged, again)
}
