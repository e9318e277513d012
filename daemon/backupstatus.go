package daemon

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// How long the daemon waits with a word: for a backup that nothing opened, and
// after a copy was found to be lost.
const (
	unopenedAfter = 7 * day
	lostFor       = 7 * day
)

// The commands that mend backups.
const (
	fixDestination = "tokenctl backup destination add PATH"
	fixRun         = "tokenctl backup run"
	fixDrill       = "tokenctl backup drill"
	fixAgree       = "tokenctl backup status --agree"
)

// BackupList implements [ipc.AutoBackups].
func (d *Daemon) BackupList(_ context.Context, p ipc.Principal) (ipc.BackupList, error) {
	u, err := d.keeping(&p)
	if err != nil {
		return ipc.BackupList{}, err
	}
	n := u.notesOf().get()
	list := ipc.BackupList{Version: ipc.Version, Backups: []ipc.KnownBackup{}}
	for _, b := range slices.Backward(n.Backups) {
		if b.Spooled != "" || len(b.Where) > 0 {
			list.Backups = append(list.Backups, u.wireBackup(&n, b))
		}
	}
	return list, nil
}

// BackupStatus implements [ipc.AutoBackups].
func (d *Daemon) BackupStatus(_ context.Context, p ipc.Principal) (ipc.BackupStatus, error) {
	u, err := d.keeping(&p)
	if err != nil {
		return ipc.BackupStatus{}, err
	}
	return u.backupStatus(), nil
}

func (u *user) wireBackup(n *notesData, b backupNote) ipc.KnownBackup {
	out := ipc.KnownBackup{
		SHA256: b.SHA256, Made: wireTime(b.Made), VaultID: b.VaultID, Epoch: b.Epoch, Generation: b.Generation, Bytes: b.Size,
		Accounts: b.Accounts, OpenedBy: u.opensNote(b), Opened: wireTime(b.Opened), Proved: wireTime(b.Proved), ProvedBy: b.ProvedBy,
		Spooled: b.Spooled != "", Copies: []ipc.BackupCopy{}, Protected: n.Drop != nil && n.Drop.Before == b.SHA256,
	}
	for _, c := range b.Where {
		out.Copies = append(out.Copies, ipc.BackupCopy{
			Destination: c.Destination, Path: c.Path, Written: wireTime(c.Written), Seen: wireTime(c.Seen), Lost: c.Lost,
		})
	}
	return out
}

// backupStatus says how the user's backups are.
func (u *user) backupStatus() ipc.BackupStatus {
	n := u.notesOf().get()
	st := ipc.BackupStatus{Version: ipc.Version, Destinations: u.wireDestinations(&n), Volume: volumeOf(u.d.cfg.StateDir)}
	for _, part := range []struct {
		to **ipc.KnownBackup
		is func(backupNote) bool
	}{
		{&st.Newest, func(b backupNote) bool { return b.Spooled != "" || b.exists() }},
		{&st.Opened, func(b backupNote) bool { return !b.Opened.IsZero() && (b.Spooled != "" || b.exists()) }},
		{&st.Proved, func(b backupNote) bool { return !b.Proved.IsZero() }},
	} {
		if b := n.newestBackup(part.is); b != nil {
			*part.to = new(u.wireBackup(&n, *b))
		}
	}
	for _, b := range n.Backups {
		if b.Spooled != "" {
			st.Spooled++
		}
	}
	u.keeper.mu.Lock()
	st.Pending = u.keeper.due.Waits()
	u.keeper.mu.Unlock()
	if n.Drop != nil {
		st.Drop = &ipc.AccountDrop{Since: wireTime(n.Drop.Since), Had: n.Drop.Had, Has: n.Drop.Has, Before: n.Drop.Before}
	}
	st.Problems = u.backupProblems(&n)
	slices.SortStableFunc(st.Problems, func(a, b ipc.BackupProblem) int {
		switch {
		case a.Urgent == b.Urgent:
			return 0
		case a.Urgent:
			return -1
		}
		return 1
	})
	st.OK = !slices.ContainsFunc(st.Problems, func(p ipc.BackupProblem) bool { return p.Urgent })
	return st
}

// problems gathers what is wrong with backups.
type problems struct {
	list []ipc.BackupProblem
}

func (p *problems) add(urgent bool, code, fix, message string, args ...any) *ipc.BackupProblem {
	p.list = append(p.list, ipc.BackupProblem{Code: code, Fix: fix, Urgent: urgent, Message: fmt.Sprintf(message, args...)})
	return &p.list[len(p.list)-1]
}

func (u *user) backupProblems(n *notesData) []ipc.BackupProblem {
	p := &problems{list: []ipc.BackupProblem{}}
	u.spoolProblems(p, n)
	u.copyProblems(p, n)
	for _, t := range n.Destinations {
		u.destinationProblems(p, t)
	}
	u.proofProblems(p, n)
	return p.list
}

// spoolProblems is about the daemon's own folder.
func (u *user) spoolProblems(p *problems, n *notesData) {
	k := &u.keeper
	k.mu.Lock()
	problem, since := k.problem, k.since
	k.mu.Unlock()
	if problem != "" {
		p.add(true, ipc.BackupSpool, fixRun, "no backup could be made since %s: %s; those from before are kept",
			since.UTC().Format(time.RFC3339), problem)
	}
	if err := u.notesOf().trouble(); err != nil && problem == "" {
		p.add(true, ipc.BackupSpool, fixRun, "what is known of the backups cannot be written down: %s", mapError(err).Message)
	}
	if d := n.Drop; d != nil {
		p.add(true, ipc.BackupDropped, fixAgree,
			"the number of accounts fell from %d to %d; the backup from before is kept until you agree", d.Had, d.Has)
	}
	if b := n.newestBackup(func(b backupNote) bool { return b.Spooled != "" }); b != nil && b.Opened.IsZero() {
		if why := u.whyUnopened(b.SHA256); why != "" {
			p.add(true, ipc.BackupUnopened, fixRun, "the newest backup does not open: %s", why)
		}
	}
}

// copyProblems is about backups outside of the daemon's folder, all together. Those in
// a folder that is gone are gone with it, though nobody has looked.
func (u *user) copyProblems(p *problems, n *notesData) {
	copies, elsewhere := 0, false
	n.eachCopy(func(c *copyNote) {
		if t := n.destination(c.Destination); c.Lost == "" && (t == nil || !t.gone()) {
			copies++
			elsewhere = elsewhere || c.Elsewhere
		}
	})
	switch {
	case n.LastBackup.IsZero() && copies == 0:
		p.add(len(n.Destinations) == 0, ipc.BackupNone, u.copyFix(n), "no backup was ever copied out of the daemon's own folder")
	case copies == 0:
		p.add(true, ipc.BackupNone, u.copyFix(n), "no copy of a backup is left outside of the daemon's own folder")
	case !elsewhere:
		p.add(false, ipc.BackupSameDisk, fixDestination, "every copy of a backup is on the file system of the vault, and would be lost with it")
	}
	if len(n.Destinations) > 0 {
		return
	}
	if copies > 0 {
		p.add(false, ipc.BackupNoDestination, fixDestination, "backups are not copied anywhere by themselves")
	}
	u.handProblems(p, n)
}

// copyFix is what copies a backup out of the daemon's folder.
func (u *user) copyFix(n *notesData) string {
	fix := fixDestination
	for _, t := range n.Destinations {
		switch _, back := t.away(); {
		case !t.gone():
			return fixRun
		case !t.Memory:
			fix = back
		}
	}
	return fix
}

// handProblems is about backups that are made by hand alone.
func (u *user) handProblems(p *problems, n *notesData) {
	newest := n.newestBackup(func(b backupNote) bool { return b.exists() })
	store, err := u.existing()
	if newest == nil || err != nil {
		return
	}
	head, err := store.Head()
	if err != nil || head.VaultID == newest.VaultID && head.Generation <= newest.Generation {
		return
	}
	old := u.d.now().Sub(n.LastBackup) > staleBackup
	p.add(old, ipc.BackupIsStale, "tokenctl backup create FILE", "the vault was changed since a backup was last copied out of the daemon's folder")
}

// destinationProblems is about one destination.
func (u *user) destinationProblems(p *problems, t destinationNote) {
	now := u.d.now()
	last := "never"
	if !t.LastSuccess.IsZero() {
		last = t.LastSuccess.UTC().Format(time.DateOnly)
	}
	hint, fix := t.away()
	if t.State != ipc.DestinationAbsent {
		fix = fixRun
	}
	var found *ipc.BackupProblem
	switch t.state(now, u.d.rules.Load().StaleAfter) {
	case ipc.DestinationFailing:
		found = p.add(true, ipc.BackupFailing, fixRun, "backups cannot be copied to %s since %s: %s", t.Path, t.Since.UTC().Format(time.RFC3339), t.Reason)
	case ipc.DestinationAbsent:
		found = p.add(false, ipc.BackupAbsent, fix, "%s is not there since %s: %s", t.Path, t.Since.UTC().Format(time.RFC3339), hint)
	case ipc.DestinationStale:
		why := "nothing runs `tokenctl backup run`"
		if t.State == ipc.DestinationAbsent {
			why = "the folder is not there: " + hint
		}
		found = p.add(true, ipc.BackupIsStale, fix, "%s has no fresh backup: the last success was %s; %s", t.Path, last, why)
	}
	if found != nil {
		found.Destination = t.ID
	}
	if t.Memory {
		p.add(false, ipc.BackupInMemory, fixForget(&t),
			"%s is in memory and not on a disk: the backups there are gone after a restart of the machine", t.Path).Destination = t.ID
	}
	if !t.LastLost.IsZero() && now.Sub(t.LastLost) < lostFor {
		p.add(false, ipc.BackupLost, fixAgree, "a copy was lost, found on %s: %s", t.LastLost.UTC().Format(time.DateOnly), t.Lost).Destination = t.ID
	}
}

// proofProblems is about what is known of the backups.
func (u *user) proofProblems(p *problems, n *notesData) {
	now := u.d.now()
	newest := n.newestBackup(func(b backupNote) bool { return b.Spooled != "" || b.exists() })
	if newest == nil || n.SpoolSince.IsZero() {
		return
	}
	if newest.RecoverySet.IsZero() {
		p.add(false, ipc.BackupTokensOnly, "tokenctl recovery set-password", "only tokens open the backups: no recovery password is set")
	}
	opened := n.newestBackup(func(b backupNote) bool { return !b.Opened.IsZero() })
	if opened == nil && now.Sub(n.SpoolSince) > unopenedAfter {
		p.add(false, ipc.BackupUnopened, "tokenctl unlock", "no backup was ever opened and compared with the vault")
	}
	after := u.d.rules.Load().ProveAfter
	proved := n.newestBackup(func(b backupNote) bool { return !b.Proved.IsZero() })
	switch {
	case after < 0:
	case proved == nil && now.Sub(n.SpoolSince) > after:
		p.add(true, ipc.BackupUnproved, fixDrill, "no backup was ever proved by a drill")
	case proved == nil:
		p.add(false, ipc.BackupUnproved, fixDrill, "no backup was proved by a drill yet")
	case now.Sub(lastProof(n)) > after:
		p.add(true, ipc.BackupUnproved, fixDrill, "the last drill was on %s", lastProof(n).UTC().Format(time.DateOnly))
	}
}

func lastProof(n *notesData) (last time.Time) {
	for _, b := range n.Backups {
		if b.Proved.After(last) {
			last = b.Proved
		}
	}
	return last
}

// backupWarnings is what the status says of backups; the doctor says more.
func (u *user) backupWarnings() []ipc.Warning {
	n := u.notesOf().get()
	var list []ipc.Warning
	for _, p := range u.backupProblems(&n) {
		switch {
		case p.Code == ipc.BackupTokensOnly: // said of the vault already
		case p.Code == ipc.BackupUnproved && !p.Urgent, p.Code == ipc.BackupAbsent: // a stick is seldom plugged in
		default:
			list = append(list, ipc.Warning{Code: p.Code, Message: p.Message, Fix: p.Fix})
		}
	}
	return list
}

// backupSummary is what the status says of backups in short; nil without a vault.
func (u *user) backupSummary() *ipc.BackupSummary {
	store, err := u.storeIfAny()
	if err != nil || store == nil || !store.Exists() {
		return nil
	}
	st := u.backupStatus()
	s := &ipc.BackupSummary{OK: st.OK, Destinations: len(st.Destinations)}
	if st.Newest != nil {
		s.Newest = st.Newest.Made
	}
	if st.Opened != nil {
		s.Opened = st.Opened.Opened
	}
	n := u.notesOf().get()
	s.Proved = wireTime(lastProof(&n))
	return s
}

// backups adds to the findings what is known of backups.
func (c *checkup) backups() {
	store, err := c.u.storeIfAny()
	if err != nil || store == nil || !store.Exists() {
		return
	}
	st := c.u.backupStatus()
	for _, p := range st.Problems {
		level := levelWarning
		switch {
		case p.Code == ipc.BackupDropped || p.Code == ipc.BackupSpool || p.Code == ipc.BackupFailing:
			level = levelError
		case !p.Urgent && slices.Contains([]string{ipc.BackupUnproved, ipc.BackupTokensOnly, ipc.BackupIsStale, ipc.BackupAbsent}, p.Code):
			level = levelNote
		}
		c.found(level, p.Code, p.Fix, "%s", p.Message)
	}
	for _, t := range st.Destinations {
		if t.State == ipc.DestinationOK {
			c.found(levelOK, "backup-destination", "", "%s had the newest backup on %s", t.Path, t.LastSuccess.Format(time.DateOnly))
		}
	}
	if b := st.Opened; b != nil {
		c.found(levelOK, "backup-opened", "", "the backup of %s was opened and compared with the vault", b.Made.Format(time.DateOnly))
	}
}
