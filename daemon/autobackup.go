package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/backup"
	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
)

// BackupRules say when backups are made and when they are called old. The zero
// value of a field means its default.
type BackupRules struct {
	// Debounce is how long after a change of the vault a backup is made; 30 s.
	Debounce time.Duration
	// Daily is how often one is made, and the one there is looked at, without any
	// change; 24 h.
	Daily time.Duration
	// StaleAfter is how long a destination may be without success before it is
	// called stale, unless it has a time of its own; 72 h.
	StaleAfter time.Duration
	// ProveAfter is how long after the last drill the backups are called unproved;
	// 180 days. Negative: never.
	ProveAfter time.Duration
}

const day = 24 * time.Hour

// SetBackupRules changes when backups are made.
func (d *Daemon) SetBackupRules(r BackupRules) {
	for _, f := range []struct {
		value *time.Duration
		usual time.Duration
	}{{&r.Debounce, 30 * time.Second}, {&r.Daily, day}, {&r.StaleAfter, 3 * day}, {&r.ProveAfter, 180 * day}} {
		if *f.value == 0 {
			*f.value = f.usual
		}
	}
	d.rules.Store(&r)
}

// timing is when backups follow what happens.
func (r *BackupRules) timing() backup.Timing {
	return backup.Timing{Quiet: r.Debounce, Patience: 10 * r.Debounce, Counters: time.Hour, Retry: time.Minute}
}

// keeper is what the daemon has of one user's backups in memory.
type keeper struct {
	// one is held while the spool is read or changed. No code waits for it.
	one   sync.Mutex
	spool *backup.Spool
	// with are the notes that the spool was held against.
	with *notes

	mu     sync.Mutex // guards what follows; nothing is waited for under it
	due    backup.Due
	looked bool
	wrote  vault.Write
	// problem is why no backup could be made at the last try, since when.
	problem string
	since   time.Time
	// unopened are backups that did not open, and why.
	unopened map[string]string
}

// wroteVault is told of every generation that is written, while the vault is held.
func (u *user) wroteVault(w vault.Write) {
	k := &u.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	t := u.d.rules.Load().timing()
	if k.wrote.VaultID == w.VaultID && k.wrote.Epoch != w.Epoch {
		t.Quiet = 0 // what a revoked token opens is not to be the newest for long
	}
	k.wrote = w
	k.due.Changed(u.d.clock.Elapsed(), t)
}

// countedHOTP is told that a HOTP counter moved on. A restore skips some, so not
// every code is worth a backup.
func (u *user) countedHOTP(v *vault.Vault) {
	if v.CountersAhead() < vault.CounterMargin {
		return
	}
	u.keeper.mu.Lock()
	defer u.keeper.mu.Unlock()
	u.keeper.due.Counted(u.d.clock.Elapsed(), u.d.rules.Load().timing())
}

// backupCheck is how often it is looked whether a backup is due.
const backupCheck = time.Second

// keepBackups makes backups when they are due, until ctx ends.
func (d *Daemon) keepBackups(ctx context.Context) {
	d.loadUsers()
	tick := time.NewTicker(backupCheck)
	defer tick.Stop()
	for {
		for _, u := range d.everyUser() {
			if ctx.Err() == nil {
				u.keepBackups(ctx)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// loadUsers looks for vaults whose users have not asked for anything yet: theirs
// are backed up too.
func (d *Daemon) loadUsers() {
	entries, err := os.ReadDir(filepath.Join(d.cfg.StateDir, "users"))
	if err != nil {
		d.log.Warn("cannot look for vaults to back up", "err", err)
		return
	}
	for _, e := range entries {
		u, err := d.user(&ipc.Principal{UID: e.Name()})
		if err != nil {
			continue // none of this daemon's users
		}
		if _, err := u.storeIfAny(); err != nil {
			d.log.Warn("cannot open the folder of a user's vault", "uid", u.uid, "err", err)
		}
	}
}

// keepBackups does what is due for one user.
func (u *user) keepBackups(ctx context.Context) {
	n := u.notesOf()
	if n == nil {
		return
	}
	k := &u.keeper
	k.mu.Lock()
	due, first := k.due.Now(u.d.clock.Elapsed()), !k.looked
	k.looked = true
	k.mu.Unlock()
	now, checked := u.d.now(), n.lastSpoolCheck()
	setBack := checked.After(now.Add(time.Minute))
	if setBack {
		u.note(func(n *notesData) { n.notAhead(wireTime(now)) })
	}
	daily := now.Sub(checked) >= u.d.rules.Load().Daily || setBack
	if due || daily || first {
		made, _ := u.makeBackup(ctx, due || daily) // what failed is told in the status
		if made && len(n.get().Destinations) > 0 {
			u.tellBackup(ipc.EventBackupDue, "")
		}
	}
	u.openSpooled()
}

// makeBackup puts a backup of the newest generation into the spool, unless it is
// there, and opens it where the vault is unlocked. With fold the HOTP counters are
// written into the vault first, where that can be done. made says that there is a
// new one.
func (u *user) makeBackup(ctx context.Context, fold bool) (made bool, err error) {
	k := &u.keeper
	k.one.Lock()
	defer k.one.Unlock()
	store, err := u.existing() // as it is from here on: a purge holds one, too
	if ipc.KindOf(err) == ipc.NoVault {
		return false, err
	}
	if err == nil {
		if s, openErr := u.open(false); openErr == nil && fold && !s.vault.ReadOnly() {
			if err := s.vault.FoldCounters(ctx); err != nil {
				u.d.log.Warn("cannot write HOTP counters for a backup", "uid", u.uid, "err", err)
			}
		}
		// Whatever is written from here on asks for a backup of its own.
		k.mu.Lock()
		k.due.Done()
		k.looked = true
		k.mu.Unlock()
		made, err = u.spoolNewest(store)
	}
	u.noteAttempt(err)
	return made, err
}

// spoolNewest needs keeper.one. made is as for makeBackup.
func (u *user) spoolNewest(store *vault.Store) (made bool, err error) {
	spool, err := u.openSpool()
	if err != nil {
		return false, err
	}
	data, info, err := store.Backup()
	if err != nil {
		return false, err
	}
	item, err := spool.Put(data)
	if err != nil {
		return false, err
	}
	note := noteOf(info, len(data), wireTime(u.d.now()))
	note.Accounts = u.countOf(info)
	now := wireTime(u.d.now())
	err = u.notesOf().update(func(n *notesData) {
		made = n.backup(info.SHA256) == nil
		b := n.putBackup(note)
		b.Spooled = item.Name
		if b.Accounts < 0 {
			b.Accounts = note.Accounts
		}
		n.SpoolChecked = now
		if n.SpoolSince.IsZero() {
			n.SpoolSince = now
		}
	})
	if err != nil { // remembered in memory; the file can be found again by its name
		u.d.log.Warn("cannot write the daemon's notes on a user", "uid", u.uid, "err", err)
	}
	if made {
		_ = u.checkpointNew() // for the copies; a locked vault signs none
		u.tellBackup(ipc.EventBackupState, "a backup was made")
	}
	k := &u.keeper
	k.mu.Lock()
	delete(k.unopened, info.SHA256) // it is whole, and may open this time
	k.mu.Unlock()
	u.openOne(data, info.SHA256)
	u.watchDrop(info.SHA256)
	u.rotateSpool(spool, info.VaultID, info.Epoch)
	return made, nil
}

// noteOf is the note of a backup that was just made.
func noteOf(info vault.BackupInfo, size int, at time.Time) backupNote {
	note := backupNote{
		SHA256: info.SHA256, Made: at, VaultID: info.VaultID, Epoch: info.Epoch, Generation: info.Generation,
		RecoverySet: info.RecoverySet, Size: size, Accounts: -1,
	}
	for _, slot := range info.Slots {
		note.Slots = append(note.Slots, slot.ID)
	}
	return note
}

// countOf is how many accounts a generation has, as told when it was written, or
// -1.
func (u *user) countOf(info vault.BackupInfo) int {
	u.keeper.mu.Lock()
	defer u.keeper.mu.Unlock()
	w := u.keeper.wrote
	if w.VaultID == info.VaultID && w.Epoch == info.Epoch && w.Generation == info.Generation {
		return w.Accounts
	}
	return -1
}

// noteAttempt remembers whether a backup could be made; what begins to fail is told
// once, and tried again.
func (u *user) noteAttempt(err error) {
	k := &u.keeper
	k.mu.Lock()
	before := k.problem
	k.problem = ""
	if err != nil {
		k.problem = plainly(err)
		if before == "" {
			k.since = u.d.now()
		}
		k.due.Failed(u.d.clock.Elapsed(), u.d.rules.Load().timing())
	}
	now := k.problem
	k.mu.Unlock()
	switch {
	case err != nil && before == "":
		u.d.log.Error("cannot make a backup", "uid", u.uid, "err", err)
		u.tellBackup(ipc.EventBackupAlarm, "no backup can be made: "+now)
	case err == nil && before != "":
		u.tellBackup(ipc.EventBackupState, "backups are made again")
	}
}

func (u *user) tellBackup(kind, detail string) {
	e := u.d.event(kind)
	e.Detail = detail
	u.d.hub.publish(u.uid, e)
}

// openSpool needs keeper.one.
func (u *user) openSpool() (*backup.Spool, error) {
	if _, err := os.Lstat(filepath.Join(u.dir, spoolName)); err == nil && u.keeper.spool != nil && u.keeper.with == u.notesOf() {
		return u.keeper.spool, nil
	}
	spool, err := backup.Open(nil, filepath.Join(u.dir, spoolName))
	if err != nil {
		return nil, err
	}
	u.keeper.spool, u.keeper.with = spool, u.notesOf()
	return spool, u.reconcile(spool)
}

// spoolName is the spool's folder in the user's.
const spoolName = "backups"

// reconcile makes the notes fit what is in the spool: a crash can come between the
// two.
func (u *user) reconcile(spool *backup.Spool) error {
	items, err := spool.List()
	if err != nil {
		return err
	}
	there := make(map[string]bool)
	var found []backupNote
	known := u.notesOf().get()
	for _, i := range items {
		there[i.Name] = true
		if spooled(known.Backups, i.Name) {
			continue
		}
		data, err := spool.Get(i)
		if err != nil {
			continue
		}
		if info, err := vault.HeadOfBackup(data); err == nil {
			note := noteOf(info, len(data), wireTime(info.Written))
			note.Spooled = i.Name
			found = append(found, note)
		}
	}
	err = u.notesOf().update(func(n *notesData) {
		for _, note := range found {
			n.putBackup(note).Spooled = note.Spooled
		}
		for i := range n.Backups {
			if b := &n.Backups[i]; !there[b.Spooled] {
				b.Spooled = ""
			}
		}
	})
	if err != nil {
		u.d.log.Warn("cannot write the daemon's notes on a user", "uid", u.uid, "err", err)
	}
	return nil
}

func spooled(list []backupNote, name string) bool {
	for _, b := range list {
		if b.Spooled == name {
			return true
		}
	}
	return false
}

// openSpooled opens the newest backup in the spool that was not opened yet, where
// the vault is unlocked.
func (u *user) openSpooled() {
	s := u.sess.Load()
	if s == nil || u.notesOf().trouble() != nil && u.notesOf().flush() != nil {
		return // what would be found out could not be noted
	}
	id, epoch := s.vault.ID(), s.vault.Epoch()
	n := u.notesOf().get()
	newest := n.newestBackup(func(b backupNote) bool { return b.Spooled != "" && b.VaultID == id && b.Epoch == epoch })
	if newest == nil || !newest.Opened.IsZero() || u.whyUnopened(newest.SHA256) != "" {
		return
	}
	u.keeper.one.Lock()
	defer u.keeper.one.Unlock()
	spool, err := u.openSpool()
	if err != nil {
		return
	}
	data, err := u.readSpooled(spool, *newest)
	if err != nil {
		u.failedOpen(newest.SHA256, err)
		return
	}
	u.openOne(data, newest.SHA256)
	u.watchDrop(newest.SHA256)
	u.rotateSpool(spool, id, epoch)
}

// readSpooled reads the bytes of a backup that the spool has.
func (u *user) readSpooled(spool *backup.Spool, b backupNote) ([]byte, error) {
	items, err := spool.List()
	if err != nil {
		return nil, err
	}
	for _, i := range items {
		if i.Name == b.Spooled && b.Spooled != "" {
			return spool.Get(i)
		}
	}
	return nil, backup.ErrGone
}

// openOne opens a backup with the session key and compares it with the vault, where
// that is unlocked; it needs keeper.one.
func (u *user) openOne(data []byte, sum string) {
	s := u.sess.Load()
	if s == nil || s.vault.ReadOnly() {
		return
	}
	known := u.notesOf().get()
	if b := known.backup(sum); b == nil || !b.Opened.IsZero() {
		return
	}
	got, err := s.vault.CompareBackup(data)
	u.d.collectSoon()
	switch {
	case errors.Is(err, vault.ErrLocked), errors.Is(err, vault.ErrOtherKeys):
		return // at another time
	case err != nil:
		u.failedOpen(sum, err)
		return
	}
	// It is called opened once that is on disk: who was told so is not told
	// otherwise after a crash.
	if err := u.notesOf().markOpened(sum, got.Accounts, u.d.now()); err != nil {
		u.d.log.Warn("cannot write the daemon's notes on a user", "uid", u.uid, "err", err)
		return
	}
	u.tellBackup(ipc.EventBackupState, "the newest backup was opened and compared")
}

// failedOpen raises the alarm for a backup that does not open.
func (u *user) failedOpen(sum string, err error) {
	k := &u.keeper
	k.mu.Lock()
	if k.unopened == nil {
		k.unopened = make(map[string]string)
	}
	why := backupError(err).Message
	if errors.Is(err, archive.ErrDamaged) {
		why = "its file in the daemon's folder is damaged; the vault itself is not"
	}
	k.unopened[sum] = why
	k.mu.Unlock()
	u.d.log.Error("a backup does not open", "uid", u.uid, "sha256", shortSum(sum), "err", err)
	u.tellBackup(ipc.EventBackupAlarm, "a backup does not open: "+why)
}

// whyUnopened is why a backup did not open at the last try, empty when none was.
func (u *user) whyUnopened(sum string) string {
	u.keeper.mu.Lock()
	defer u.keeper.mu.Unlock()
	return u.keeper.unopened[sum]
}

// watchDrop raises the alarm where a backup has far fewer accounts than those
// before it.
func (u *user) watchDrop(sum string) {
	var began bool
	err := u.notesOf().update(func(n *notesData) { began = n.watchDrop(sum, wireTime(u.d.now())) })
	if err != nil {
		u.d.log.Warn("cannot write the daemon's notes on a user", "uid", u.uid, "err", err)
	}
	if began {
		u.tellBackup(ipc.EventBackupAlarm, "the newest backup has far fewer accounts than the one before it, which is kept")
	}
}

// rotateSpool removes what the spool need not keep; it needs keeper.one.
func (u *user) rotateSpool(spool *backup.Spool, vaultID string, epoch uint64) {
	items, err := spool.List()
	if err != nil {
		u.d.log.Warn("cannot tidy the spool", "uid", u.uid, "err", err)
		return
	}
	n := u.notesOf().get()
	gone := make(map[string]bool)
	for _, i := range n.excess(items, vaultID, epoch) {
		if err := spool.Remove(i); err != nil {
			u.d.log.Warn("cannot tidy the spool", "uid", u.uid, "err", err)
			continue
		}
		gone[i.Name] = true
	}
	if len(gone) == 0 {
		return
	}
	err = u.notesOf().update(func(n *notesData) {
		for i := range n.Backups {
			if gone[n.Backups[i].Spooled] {
				n.Backups[i].Spooled = ""
			}
		}
	})
	if err != nil {
		u.d.log.Warn("cannot write the daemon's notes on a user", "uid", u.uid, "err", err)
	}
}
