package daemon

import (
	"cmp"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/backup"
)

// backupNote is a backup that the daemon knows of, by the hash of its bytes: two
// backups of one generation are the same bytes, and so the same backup.
//
// What is known of it is kept apart: that it was written (a copyNote for each
// place where it was synced, read back and found equal), that it was opened, and
// that it was proved.
type backupNote struct {
	// Name is the path under which it was first confirmed; empty while it lies in
	// the spool alone.
	Name       string    `json:"name,omitempty"`
	SHA256     string    `json:"sha256,omitempty"`
	Made       time.Time `json:"made"`
	VaultID    string    `json:"vault_id"`
	Epoch      uint64    `json:"epoch"`
	Generation uint64    `json:"generation"`
	Size       int       `json:"size,omitempty"` // bytes
	// Accounts is how many it holds, or -1 when nobody could count them.
	Accounts int `json:"accounts"`
	// Slots are the keyslots that open it, RecoverySet tells the recovery
	// password that does by when it was set.
	Slots       []string  `json:"slots,omitempty"`
	RecoverySet time.Time `json:"recovery_set,omitzero"`

	// Opened is when its bytes were decrypted with the session key and compared
	// with the vault, or the vault was restored from them; zero if never.
	Opened time.Time `json:"opened,omitzero"`
	// Proved is when a drill last restored it into memory, ProvedBy what opened it
	// then: "recovery password", or a keyslot's id.
	Proved   time.Time `json:"proved,omitzero"`
	ProvedBy string    `json:"proved_by,omitempty"`

	// Spooled is the name of the file in the spool; empty when it is not there.
	Spooled string `json:"spooled,omitempty"`
	// Where are the copies that were seen whole outside of the spool.
	Where []copyNote `json:"where,omitempty"`
}

// copyNote is one copy of a backup outside of the spool.
type copyNote struct {
	// Destination is the destination's id; empty for a file that was made by hand.
	Destination string `json:"destination,omitempty"`
	Path        string `json:"path"`
	// Elsewhere says that it was on another file system than the vault, or synced
	// to another machine.
	Elsewhere bool `json:"elsewhere,omitempty"`
	// Written is when it was synced, read back and found equal, Seen when it last
	// was found whole since.
	Written time.Time `json:"written"`
	Seen    time.Time `json:"seen,omitzero"`
	// Lost says what was found in its place; empty as long as it is whole.
	Lost string `json:"lost,omitempty"`
}

// keptBackupNotes bounds how many backups are remembered.
const keptBackupNotes = 128

// backup is the note with a checksum, nil when there is none.
func (n *notesData) backup(sum string) *backupNote {
	for i := range n.Backups {
		if sum != "" && n.Backups[i].SHA256 == sum {
			return &n.Backups[i]
		}
	}
	return nil
}

// putBackup adds a note, or gives back the one that is there, in the order in
// which backups were made.
func (n *notesData) putBackup(b backupNote) *backupNote {
	if known := n.backup(b.SHA256); known != nil {
		return known
	}
	n.Backups = append(n.Backups, b)
	slices.SortStableFunc(n.Backups, func(a, b backupNote) int {
		return cmp.Or(a.Made.Compare(b.Made), cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Generation, b.Generation))
	})
	n.forgetBackups(b.SHA256)
	return n.backup(b.SHA256)
}

// forgetBackups drops the oldest notes beyond those that are kept, first of
// backups that are nowhere any more. What the spool holds is never forgotten, nor
// the newest that was opened or proved.
func (n *notesData) forgetBackups(keep string) {
	pinned := map[string]bool{keep: true}
	for _, is := range []func(backupNote) bool{
		func(b backupNote) bool { return !b.Opened.IsZero() }, func(b backupNote) bool { return !b.Proved.IsZero() },
	} {
		for _, b := range slices.Backward(n.Backups) {
			if is(b) {
				pinned[b.SHA256] = true
				break
			}
		}
	}
	for _, nowhere := range []bool{true, false} {
		n.Backups = slices.DeleteFunc(n.Backups, func(b backupNote) bool {
			drop := len(n.Backups) > keptBackupNotes && !pinned[b.SHA256] && b.Spooled == "" && (!nowhere || !b.exists())
			return drop
		})
	}
}

// confirm notes a copy that was written, synced, read back and found equal. What
// was under this path before is not there any more.
func (n *notesData) confirm(b backupNote, c copyNote, at time.Time) {
	for i := range n.Backups {
		n.Backups[i].Where = slices.DeleteFunc(n.Backups[i].Where, func(old copyNote) bool { return old.Path == c.Path })
	}
	known := n.putBackup(b)
	known.Where = append(known.Where, c)
	if known.Name == "" {
		known.Name = c.Path
	}
	if at.After(n.LastBackup) {
		n.LastBackup = at
	}
}

// found notes a copy that was found whole. Where it is known already, by whatever
// wrote it, that it was seen.
func (n *notesData) found(b backupNote, c copyNote) {
	if known := n.backup(b.SHA256); known != nil {
		for i := range known.Where {
			if known.Where[i].Path == c.Path {
				known.Where[i].Seen, known.Where[i].Lost = c.Seen, ""
				return
			}
		}
	}
	n.confirm(b, c, b.Made)
}

// exists says that a whole copy of it is known outside of the spool.
func (b backupNote) exists() bool {
	return slices.ContainsFunc(b.Where, func(c copyNote) bool { return c.Lost == "" })
}

// markProved notes that the backup with this checksum was restored into memory
// and found whole, by what opened it: "recovery password", "recovery key" or a
// keyslot's id. It says whether the backup is one that is known.
func (n *notes) markProved(sum, by string, at time.Time) (known bool, err error) {
	err = n.update(func(d *notesData) {
		b := d.backup(sum)
		if known = b != nil; known && at.After(b.Proved) {
			b.Proved, b.ProvedBy = at.UTC().Truncate(time.Second), by
		}
	})
	return known, err
}

// markOpened notes that the backup with this checksum was opened and has so many
// accounts. Where that cannot be written down it is as if it had not been.
func (n *notes) markOpened(sum string, accounts int, at time.Time) error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	b := n.data.backup(sum)
	if b == nil {
		return nil
	}
	before := *b
	b.Opened, b.Accounts = at.UTC().Truncate(time.Second), accounts
	err := n.write()
	if err != nil {
		b.Opened = before.Opened
	}
	return err
}

// dropNote is a sharp drop in accounts that the user did not agree to yet.
type dropNote struct {
	Since time.Time `json:"since"`
	Had   int       `json:"had"`
	Has   int       `json:"has"`
	// Before is the backup that has them still, by its checksum.
	Before string `json:"before"`
}

// agreedNote is the newest backup when the user last agreed to a drop: what was
// before it is compared with no more.
type agreedNote struct {
	VaultID    string `json:"vault_id"`
	Epoch      uint64 `json:"epoch"`
	Generation uint64 `json:"generation"`
}

// after says that b is of a later generation of the same vault than other, which
// may be given by its parts.
func (b backupNote) after(vaultID string, epoch, generation uint64) bool {
	return b.VaultID == vaultID && (b.Epoch > epoch || b.Epoch == epoch && b.Generation > generation)
}

// watchDrop compares a backup with those before it: the one right before, and all
// of the last day, so that removing in small steps is noticed too. It says whether
// an alarm began. An alarm ends by itself when the accounts are back.
func (n *notesData) watchDrop(sum string, now time.Time) (began bool) {
	b := n.backup(sum)
	if b == nil || b.Accounts < 0 {
		return false
	}
	if d := n.Drop; d != nil {
		if before := n.backup(d.Before); before != nil && before.VaultID == b.VaultID && b.after(before.VaultID, before.Epoch, before.Generation) {
			d.Has = b.Accounts
			if b.Accounts >= d.Had {
				n.Drop = nil
			}
		}
		return false
	}
	var most *backupNote
	right := true
	for i := len(n.Backups) - 1; i >= 0; i-- {
		o := &n.Backups[i]
		if o.Accounts < 0 || o.Spooled == "" && !o.exists() || !b.after(o.VaultID, o.Epoch, o.Generation) || n.agreedPast(*o) {
			continue
		}
		if (right || b.Made.Sub(o.Made) < day) && (most == nil || o.Accounts > most.Accounts) {
			most = o
		}
		right = false
	}
	if most == nil || !backup.Dropped(most.Accounts, b.Accounts) {
		return false
	}
	n.Drop = &dropNote{Since: now, Had: most.Accounts, Has: b.Accounts, Before: most.SHA256}
	return true
}

// agreedPast says that a backup is from before what the user agreed to.
func (n *notesData) agreedPast(b backupNote) bool {
	a := n.DropAgreed
	return a != nil && a.VaultID == b.VaultID && !(b.Epoch == a.Epoch && b.Generation == a.Generation) &&
		!b.after(a.VaultID, a.Epoch, a.Generation)
}

// newestBackup is the newest backup that is, nil where there is none.
func (n *notesData) newestBackup(is func(backupNote) bool) *backupNote {
	var newest *backupNote
	for i := range n.Backups {
		b := &n.Backups[i]
		if is(*b) && (newest == nil || newest.VaultID != b.VaultID && !b.Made.Before(newest.Made) ||
			b.after(newest.VaultID, newest.Epoch, newest.Generation)) {
			newest = b
		}
	}
	return newest
}

// notAhead takes back to now what was noted while the clock was ahead: else nothing
// would be called stale, lost or unproved until that time has come. When backups were
// made stays, for it is in the names of their copies.
func (n *notesData) notAhead(now time.Time) {
	times := []*time.Time{&n.LastBackup, &n.SpoolSince, &n.RecoveryChecked}
	for i := range n.Destinations {
		t := &n.Destinations[i]
		times = append(times, &t.Added, &t.LastTry, &t.LastSuccess, &t.Since, &t.LastLost)
	}
	for i := range n.Backups {
		times = append(times, &n.Backups[i].Opened, &n.Backups[i].Proved)
	}
	for _, t := range times {
		if t.After(now) {
			*t = now
		}
	}
}

// otherVaults is of how many other vaults the spool keeps the newest backup: of
// those that were here before.
const otherVaults = 4

// excess says which of the items in the spool go. Of an earlier epoch nothing
// stays once one of the new was opened, for a revoked token opens it, but for what a
// drop in accounts protects.
func (n *notesData) excess(items []backup.Item, vaultID string, epoch uint64) []backup.Item {
	byName := make(map[string]backupNote)
	for _, b := range n.Backups {
		if b.Spooled != "" {
			byName[b.Spooled] = b
		}
	}
	opened := n.newestBackup(func(b backupNote) bool {
		return b.Spooled != "" && !b.Opened.IsZero() && b.VaultID == vaultID && b.Epoch == epoch
	})
	var out []backup.Item
	var own []backup.Kept
	others := make(map[string]backup.Item) // the newest of each
	for _, i := range items {
		b, known := byName[i.Name]
		protected := n.Drop != nil && known && b.SHA256 == n.Drop.Before
		switch {
		case i.VaultID != vaultID[:min(8, len(vaultID))]:
			if before, ok := others[i.VaultID]; ok {
				out = append(out, before)
			}
			others[i.VaultID] = i
		case i.Epoch < epoch && !protected && opened != nil:
			out = append(out, i)
		default:
			firm := protected || opened != nil && known && opened.SHA256 == b.SHA256
			own = append(own, backup.Kept{Item: i, Made: b.Made, Size: int64(b.Size), Firm: firm})
		}
	}
	for id, i := range others {
		if len(others) <= otherVaults {
			break
		}
		out = append(out, i)
		delete(others, id)
	}
	return append(out, backup.DefaultLimits().Excess(own)...)
}

// lastSpoolCheck is when the spool was last brought up to date.
func (n *notes) lastSpoolCheck() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.data.SpoolChecked
}
