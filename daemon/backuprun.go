package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/daemon/backup"
	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
)

// PlanBackupRun implements [ipc.AutoBackups]. It makes a backup of what changed
// since the last one; where that fails, what the spool has is still copied, and the
// status tells.
func (d *Daemon) PlanBackupRun(ctx context.Context, p ipc.Principal, _ ipc.BackupRunRequest) (ipc.BackupRun, error) {
	u, err := d.keeping(&p)
	if err != nil {
		return ipc.BackupRun{}, err
	}
	s := u.sess.Load()
	fold := s != nil && s.vault.CountersAhead() >= vault.CounterMargin
	if _, err := u.makeBackup(ctx, fold); err != nil {
		d.log.Warn("a run has no new backup to copy", "uid", u.uid, "err", err)
	}
	u.openSpooled()
	device, err := u.device()
	if err != nil {
		return ipc.BackupRun{}, mapError(err)
	}
	n := u.notesOf().get()
	run := ipc.BackupRun{
		Version: ipc.Version, Device: device, Volume: volumeOf(d.cfg.StateDir),
		Backups: []ipc.PlannedBackup{}, Destinations: []ipc.PlannedDestination{}, Checkpoint: n.Checkpoint,
	}
	vaultID := u.vaultInfo().ID
	wanted := n.wanted(vaultID)
	if len(wanted) > 0 {
		vaultID = wanted[0].VaultID
	}
	run.VaultID = vaultID
	for _, b := range wanted {
		run.Backups = append(run.Backups, ipc.PlannedBackup{
			SHA256: b.SHA256, Name: copyName(b.VaultID, device, b.Made), Made: wireTime(b.Made), Generation: b.Generation, Bytes: b.Size,
		})
	}
	for _, t := range n.Destinations {
		run.Destinations = append(run.Destinations, u.planDestination(&n, t, wanted))
	}
	return run, nil
}

// wanted is what every destination should have of a vault: the newest backup, where
// that was not opened yet the newest that was, and what a drop in accounts
// protects, as far as the spool has them.
func (n *notesData) wanted(vaultID string) []backupNote {
	var list []backupNote
	add := func(b *backupNote) {
		if b != nil && !slices.ContainsFunc(list, func(o backupNote) bool { return o.SHA256 == b.SHA256 }) {
			list = append(list, *b)
		}
	}
	own := func(b backupNote) bool { return b.Spooled != "" && (vaultID == "" || b.VaultID == vaultID) }
	add(n.newestBackup(own))
	add(n.newestBackup(func(b backupNote) bool { return own(b) && !b.Opened.IsZero() }))
	if n.Drop != nil {
		add(n.newestBackup(func(b backupNote) bool { return own(b) && b.SHA256 == n.Drop.Before }))
	}
	return list
}

// planDestination is what one destination should have, and what it has by what was
// seen.
func (u *user) planDestination(n *notesData, t destinationNote, wanted []backupNote) ipc.PlannedDestination {
	out := ipc.PlannedDestination{
		Destination: u.wireDestination(n, t), Wanted: []string{}, Known: []ipc.KnownCopy{}, Older: []ipc.KnownCopy{}, Protected: []string{},
	}
	for _, b := range wanted {
		out.Wanted = append(out.Wanted, b.SHA256)
	}
	here := func(b backupNote) *copyNote {
		for i := range b.Where {
			if c := &b.Where[i]; c.Destination == t.ID && c.Lost == "" {
				return c
			}
		}
		return nil
	}
	known := func(to *[]ipc.KnownCopy, b *backupNote) {
		if b == nil || slices.ContainsFunc(out.Known, func(k ipc.KnownCopy) bool { return k.SHA256 == b.SHA256 }) {
			return
		}
		if c := here(*b); c != nil {
			*to = append(*to, ipc.KnownCopy{Path: c.Path, SHA256: b.SHA256, Bytes: b.Size, Seen: wireTime(c.Seen)})
		}
	}
	protect := func(b *backupNote) {
		if b != nil && !slices.Contains(out.Protected, b.SHA256) {
			out.Protected = append(out.Protected, b.SHA256)
		}
	}
	for i := range wanted {
		known(&out.Known, &wanted[i])
		protect(&wanted[i])
	}
	known(&out.Known, n.newestBackup(func(b backupNote) bool { return here(b) != nil }))
	for i := range n.Backups {
		known(&out.Older, &n.Backups[i])
	}
	slices.SortStableFunc(out.Older, func(a, b ipc.KnownCopy) int { return a.Seen.Compare(b.Seen) })
	for _, is := range []func(backupNote) bool{
		func(b backupNote) bool { return !b.Opened.IsZero() && here(b) != nil },
		func(b backupNote) bool { return !b.Proved.IsZero() && here(b) != nil },
		func(b backupNote) bool { return n.Drop != nil && b.SHA256 == n.Drop.Before },
	} {
		protect(n.newestBackup(is))
	}
	return out
}

// SpooledBackup implements [ipc.AutoBackups].
func (d *Daemon) SpooledBackup(_ context.Context, p ipc.Principal, r ipc.SpooledBackupRequest) (ipc.Backup, error) {
	u, err := d.keeping(&p)
	if err != nil {
		return ipc.Backup{}, err
	}
	n := u.notesOf().get()
	b := n.backup(strings.ToLower(r.SHA256))
	if b == nil || b.Spooled == "" {
		return ipc.Backup{}, ipc.Errorf(ipc.NotFound, "the spool has no backup with this checksum")
	}
	u.keeper.one.Lock()
	spool, err := u.openSpool()
	var data []byte
	if err == nil {
		data, err = u.readSpooled(spool, *b)
	}
	u.keeper.one.Unlock()
	u.auditResult(p, "backup", shortSum(b.SHA256), err)
	switch {
	case errors.Is(err, backup.ErrGone):
		return ipc.Backup{}, ipc.Errorf(ipc.NotFound, "the spool has no backup with this checksum")
	case errors.Is(err, vault.ErrDamaged):
		return ipc.Backup{}, fault(ipc.BackupDamaged, err, "the backup in the spool is damaged")
	case err != nil:
		return ipc.Backup{}, mapError(err)
	}
	device, err := u.device()
	if err != nil {
		return ipc.Backup{}, mapError(err)
	}
	return ipc.Backup{
		Version: ipc.Version, Name: copyName(b.VaultID, device, b.Made), VaultID: b.VaultID, Generation: b.Generation,
		SHA256: b.SHA256, Accounts: b.Accounts, OpenedBy: u.opensNote(*b), Data: data,
	}, nil
}

// opensNote says what opens a backup, with the labels that are known.
func (u *user) opensNote(b backupNote) []string {
	labels := make(map[string]string)
	for _, s := range u.slots() {
		labels[s.ID] = slotRef(s).Label
	}
	list := []string{}
	for _, id := range b.Slots {
		if labels[id] == "" {
			labels[id] = "a token that is not enrolled any more"
		}
		list = append(list, labels[id])
	}
	if !b.RecoverySet.IsZero() {
		list = append(list, byRecovery)
	}
	return list
}

// ReportBackupRun implements [ipc.AutoBackups].
func (d *Daemon) ReportBackupRun(_ context.Context, p ipc.Principal, r ipc.BackupRunReport) (ipc.BackupStatus, error) {
	u, err := d.keeping(&p)
	if err != nil {
		return ipc.BackupStatus{}, err
	}
	if err := checkReport(&r); err != nil {
		return ipc.BackupStatus{}, err
	}
	now := wireTime(d.now())
	var before, after destinationNote
	written, unknown := 0, true
	err = u.notesOf().update(func(n *notesData) {
		t := n.destination(r.Destination)
		if unknown = t == nil; unknown {
			return
		}
		before = *t
		written = n.takeReport(t, r, now)
		after = *n.destination(r.Destination)
	})
	if unknown {
		return ipc.BackupStatus{}, ipc.Errorf(ipc.NotFound, "there is no such destination")
	}
	if written+len(r.Lost)+len(r.Removed) > 0 || err != nil {
		u.auditResult(p, "backup-run", after.ID, err)
	}
	if err != nil { // what was copied is there; that it cannot be noted is told in the status
		d.log.Warn("cannot write the daemon's notes on a user", "uid", u.uid, "err", err)
	}
	u.tellReport(before, after, r, written)
	return u.backupStatus(), nil
}

// checkReport refuses a report that says what cannot be.
func checkReport(r *ipc.BackupRunReport) error {
	if !slices.Contains([]ipc.DestinationState{ipc.DestinationOK, ipc.DestinationAbsent, ipc.DestinationFailing}, r.State) {
		return ipc.Errorf(ipc.InvalidArgument, "a run ends ok, absent or failing")
	}
	texts := []string{r.Reason}
	for _, c := range r.Seen {
		texts = append(texts, c.Path)
	}
	for _, l := range r.Lost {
		texts = append(texts, l.Path, l.What, l.Kept)
	}
	for _, path := range append(texts, r.Removed...) {
		if err := checkText("text in a report", path, longestPath); err != nil {
			return err
		}
	}
	return nil
}

// takeReport puts into the notes what a run found; it says how many copies are new.
func (n *notesData) takeReport(t *destinationNote, r ipc.BackupRunReport, now ipc.Time) (written int) {
	r.Elsewhere = r.Elsewhere && !r.Memory // what ends with the machine's power is no other disk
	for _, l := range r.Lost {
		n.eachCopy(func(c *copyNote) {
			if c.Path == l.Path && c.Lost == "" {
				c.Lost = l.What
			}
		})
		t.LastLost, t.Lost = now, l.Path+": "+l.What
	}
	if more := len(r.Lost) - 1; more > 0 {
		t.Lost += fmt.Sprintf("; and %d more", more)
	}
	for _, path := range r.Removed {
		for i := range n.Backups {
			n.Backups[i].Where = slices.DeleteFunc(n.Backups[i].Where, func(c copyNote) bool { return c.Path == path })
		}
	}
	for _, k := range r.Seen {
		b := n.backup(strings.ToLower(k.SHA256))
		if b == nil {
			continue // forgotten meanwhile; the file is as good
		}
		at := slices.IndexFunc(b.Where, func(c copyNote) bool { return c.Path == k.Path && c.Lost == "" })
		if at < 0 {
			n.confirm(*b, copyNote{Destination: t.ID, Path: k.Path, Elsewhere: r.Elsewhere, Written: now, Seen: now}, now)
			written++
			continue
		}
		b.Where[at].Seen, b.Where[at].Destination, b.Where[at].Elsewhere = now, t.ID, r.Elsewhere
	}
	if t.State != r.State || t.Since.IsZero() {
		t.Since = now
	}
	t.State, t.Reason, t.LastTry = r.State, r.Reason, now
	if r.State == ipc.DestinationOK {
		t.LastSuccess, t.Elsewhere, t.Memory = now, r.Elsewhere, r.Memory
	}
	return written
}

func (n *notesData) eachCopy(f func(*copyNote)) {
	for i := range n.Backups {
		for j := range n.Backups[i].Where {
			f(&n.Backups[i].Where[j])
		}
	}
}

// tellReport tells what changed with a run.
func (u *user) tellReport(before, after destinationNote, r ipc.BackupRunReport, written int) {
	if written > 0 {
		u.tellBackup(ipc.EventBackupMade, after.Path)
	}
	for _, l := range r.Lost {
		u.tellBackup(ipc.EventBackupAlarm, "a backup is not what it was: "+l.Path+": "+l.What)
	}
	switch {
	case before.State == after.State:
	case after.State == ipc.DestinationFailing:
		u.tellBackup(ipc.EventBackupAlarm, "backups cannot be copied to "+after.Path+": "+after.Reason)
	case before.State == ipc.DestinationFailing:
		u.tellBackup(ipc.EventBackupState, "backups are copied to "+after.Path+" again")
	}
}

// AgreeToDrop implements [ipc.AutoBackups].
func (d *Daemon) AgreeToDrop(_ context.Context, p ipc.Principal, r ipc.AgreeToDropRequest) (ipc.BackupStatus, error) {
	u, err := d.keeping(&p)
	if err != nil {
		return ipc.BackupStatus{}, err
	}
	agreed := false
	err = u.notesOf().update(func(n *notesData) {
		for i := range n.Destinations {
			if t := &n.Destinations[i]; slices.Contains(r.Lost, t.ID) && !t.LastLost.IsZero() {
				t.LastLost, t.Lost, agreed = time.Time{}, "", true
			}
		}
		if n.Drop == nil || n.Drop.Before != strings.ToLower(r.Before) {
			return
		}
		agreed = true
		n.Drop = nil
		if b := n.newestBackup(func(b backupNote) bool { return b.Accounts >= 0 && b.Spooled != "" }); b != nil {
			n.DropAgreed = &agreedNote{VaultID: b.VaultID, Epoch: b.Epoch, Generation: b.Generation}
		}
	})
	if err == nil && !agreed {
		return ipc.BackupStatus{}, ipc.Errorf(ipc.NotFound, "there is no such drop in accounts, or loss of a copy, to agree to")
	}
	u.auditResult(p, "backup-agree", shortSum(r.Before), err)
	if err != nil {
		return ipc.BackupStatus{}, mapError(err)
	}
	return u.backupStatus(), nil
}
