package daemon

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// CreateBackup implements [ipc.Backups]. It works while the vault is locked.
// What it hands out counts as a backup when [Daemon.ConfirmBackup] is called.
func (d *Daemon) CreateBackup(_ context.Context, p ipc.Principal) (ipc.Backup, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.Backup{}, err
	}
	store, err := u.existing()
	if err != nil {
		return ipc.Backup{}, err
	}
	data, info, err := store.Backup()
	if err != nil {
		u.auditResult(p, "backup", "", err)
		return ipc.Backup{}, mapError(err)
	}
	made := wireTime(d.now())
	b := ipc.Backup{
		Version: ipc.Version, Name: backupName(info.VaultID, made), VaultID: info.VaultID, Generation: info.Generation,
		SHA256: info.SHA256, Accounts: -1, OpenedBy: u.openedBy(info), Data: data,
	}
	if s := u.sess.Load(); s != nil {
		b.Accounts = len(s.index.Load().list)
	}
	note := noteOf(info, len(data), made)
	note.Accounts = b.Accounts
	u.handOut(note)
	u.auditResult(p, "backup", shortSum(info.SHA256), nil)
	return b, nil
}

// shortSum is enough of a checksum to know a backup by in the audit log.
func shortSum(sum string) string { return sum[:min(16, len(sum))] }

// handOut remembers a backup until it is confirmed.
func (u *user) handOut(n backupNote) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.handed = append(u.handed, n)
	u.handed = u.handed[max(0, len(u.handed)-keptBackupNotes):]
}

// everBackedUp says whether a backup was made that anybody knows of.
func (u *user) everBackedUp() bool {
	made := !u.notesOf().get().LastBackup.IsZero()
	u.mu.Lock()
	defer u.mu.Unlock()
	return made || len(u.handed) > 0
}

// handedOut is the newest backup handed out with a checksum.
func (u *user) handedOut(sum string) (backupNote, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, n := range slices.Backward(u.handed) {
		if n.SHA256 == sum {
			return n, true
		}
	}
	return backupNote{}, false
}

// longestPath bounds, in bytes, the name that a backup is confirmed under.
const longestPath = 4096

// ConfirmBackup implements [ipc.Backups].
func (d *Daemon) ConfirmBackup(_ context.Context, p ipc.Principal, r ipc.ConfirmBackupRequest) (ipc.ConfirmBackupResult, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.ConfirmBackupResult{}, err
	}
	if _, err := u.existing(); err != nil {
		return ipc.ConfirmBackupResult{}, err
	}
	if r.Name == "" {
		return ipc.ConfirmBackupResult{}, ipc.Errorf(ipc.InvalidArgument, "a backup needs a name to be known by")
	}
	if err := checkText("name of a backup", r.Name, longestPath); err != nil {
		return ipc.ConfirmBackupResult{}, err
	}
	note, ok := u.handedOut(strings.ToLower(r.SHA256))
	if !ok {
		return ipc.ConfirmBackupResult{}, ipc.Errorf(ipc.NotFound, "no backup with this checksum was handed out since the daemon started")
	}
	at := wireTime(d.now())
	err = u.notesOf().update(func(n *notesData) {
		n.confirm(note, copyNote{Path: r.Name, Elsewhere: r.Elsewhere, Written: at}, at)
	})
	u.auditResult(p, "backup-confirm", shortSum(note.SHA256), err)
	if err != nil {
		return ipc.ConfirmBackupResult{}, mapError(err)
	}
	u.openConfirmed(note.SHA256)
	e := d.event(ipc.EventBackupMade)
	e.Detail = r.Name
	d.hub.publish(u.uid, e)
	return ipc.ConfirmBackupResult{Version: ipc.Version, LastBackup: wireTime(u.notesOf().get().LastBackup)}, nil
}

// openConfirmed opens a backup that was just written by hand: it may be all that is
// to be left, and does not wait for the spool. One of an earlier generation has no
// bytes here any more, and waits.
func (u *user) openConfirmed(sum string) {
	if u.sess.Load() == nil {
		return
	}
	u.keeper.one.Lock()
	defer u.keeper.one.Unlock()
	store, err := u.existing()
	if err != nil {
		return
	}
	if data, info, err := store.Backup(); err == nil && info.SHA256 == sum {
		u.openOne(data, sum)
	}
}

// backupName is a name that sorts by time and tells vaults apart.
func backupName(vaultID string, at time.Time) string {
	return "tokend-" + vaultID[:min(8, len(vaultID))] + "-" + at.UTC().Format("20060102T150405Z") + ".tokend"
}

// openedBy says what opens a backup, with the user's own labels where the
// keyslots are his.
func (u *user) openedBy(info vault.BackupInfo) []string {
	own := make(map[string]string)
	for _, s := range u.slots() {
		own[s.ID] = slotRef(s).Label
	}
	list := []string{}
	for _, s := range info.Slots {
		label := own[s.ID]
		if label == "" {
			label = slotRef(s).Label
		}
		list = append(list, label)
	}
	if !info.RecoverySet.IsZero() {
		list = append(list, byRecovery)
	}
	return list
}

// backupsOf names the copies, outside of the spool, of a vault's backups that is picks.
func (u *user) backupsOf(vaultID string, is func(backupNote) bool) []string {
	list := []string{}
	for _, b := range u.notesOf().get().Backups {
		if b.SHA256 == "" || b.VaultID != vaultID || !is(b) {
			continue
		}
		for _, c := range b.Where {
			if c.Lost == "" {
				list = append(list, c.Path)
			}
		}
	}
	return list
}

// backupsSince names those made at or after t: they may hold what was there then.
func (u *user) backupsSince(vaultID string, t time.Time) []string {
	return u.backupsOf(vaultID, func(b backupNote) bool { return !b.Made.Before(t.Truncate(time.Second)) })
}

// spooledSince is how many of them the daemon's own folder has.
func (u *user) spooledSince(vaultID string, t time.Time) int {
	count := 0
	for _, b := range u.notesOf().get().Backups {
		if b.Spooled != "" && b.VaultID == vaultID && !b.Made.Before(t.Truncate(time.Second)) {
			count++
		}
	}
	return count
}

// backupsBySlot names those that a keyslot opens.
func (u *user) backupsBySlot(vaultID, slot string) []string {
	return u.backupsOf(vaultID, func(b backupNote) bool { return slices.Contains(b.Slots, slot) })
}

// backupsByRecovery names those that the recovery password set at set opens.
func (u *user) backupsByRecovery(vaultID string, set time.Time) []string {
	return u.backupsOf(vaultID, func(b backupNote) bool { return !set.IsZero() && b.RecoverySet.Equal(set) })
}

// foreignWay is how a backup will be opened: by its own keyslots, which need not
// be those of the caller's vault.
func (u *user) foreignWay(ctx context.Context, p ipc.Principal, a ipc.Auth, data []byte) (opening, error) {
	head, err := vault.HeadOf(data)
	if err != nil {
		return opening{}, backupError(err)
	}
	// A software token's key file is in no backup. One that is left of the
	// caller's own vault serves.
	if store, err := u.storeIfAny(); err == nil && store != nil {
		store.FillKeyFiles(head.Slots)
	}
	return u.way(ctx, a, tokens.ClassSession, head.Slots, cause{who: p})
}

// InspectBackup implements [ipc.Backups].
func (d *Daemon) InspectBackup(ctx context.Context, p ipc.Principal, r ipc.InspectBackupRequest) (ipc.BackupContents, error) {
	defer wipeAuth(&r.Auth)
	u, err := d.user(&p)
	if err != nil {
		return ipc.BackupContents{}, err
	}
	o, err := u.foreignWay(ctx, p, r.Auth, r.Data)
	if err != nil {
		return ipc.BackupContents{}, err
	}
	store, err := u.storeOrNew()
	if err != nil {
		return ipc.BackupContents{}, mapError(err)
	}
	var c vault.Contents
	err = u.opened(ctx, o, false, func(ctx context.Context) error {
		c, err = store.Inspect(ctx, r.Data, o.way)
		return err
	})
	u.auditResult(p, "backup-inspect", "", err)
	if err != nil {
		return ipc.BackupContents{}, backupError(err)
	}
	return ipc.BackupContents{
		Version: ipc.Version, VaultID: c.VaultID, Epoch: c.Epoch, Generation: c.Generation,
		Written: wireTime(c.Written), Signer: c.Signer, OpenedBy: u.openedBy(c.BackupInfo), Accounts: wireAccounts(c.Accounts),
	}, nil
}

// RestoreBackup implements [ipc.Backups].
func (d *Daemon) RestoreBackup(ctx context.Context, p ipc.Principal, r ipc.RestoreBackupRequest) (ipc.RestoreResult, error) {
	defer wipeAuth(&r.Auth)
	u, err := d.user(&p)
	if err != nil {
		return ipc.RestoreResult{}, err
	}
	leave, err := u.alone(ctx)
	if err != nil {
		return ipc.RestoreResult{}, err
	}
	defer leave()
	if err := checkBackupFile(r.From); err != nil {
		return ipc.RestoreResult{}, err
	}
	s, err := u.restore(ctx, p, r)
	u.auditResult(p, "restore", "", err)
	if err != nil {
		return ipc.RestoreResult{}, backupError(err)
	}
	u.cameFrom(r.Data, r.From, len(s.vault.Accounts()))
	u.passwordGiven(r.Auth)
	d.tellUnlocked(u, "the vault was restored from a backup")
	return ipc.RestoreResult{
		Version: ipc.Version, Vault: u.vaultInfo(), Accounts: wireAccounts(s.vault.Accounts()), Notices: u.notices(s.vault),
	}, nil
}

func (u *user) restore(ctx context.Context, p ipc.Principal, r ipc.RestoreBackupRequest) (*session, error) {
	signer, err := fingerprint(r.Signer)
	if err != nil {
		return nil, err
	}
	if s, err := u.open(false); err == nil && !s.vault.ReadOnly() {
		return nil, ipc.Errorf(ipc.AlreadyExists, "there is a vault already, and it is unlocked; it was left as it is")
	}
	if store, err := u.storeIfAny(); err != nil {
		return nil, err
	} else if store != nil && store.Exists() {
		if err := store.Restorable(r.Data); err != nil {
			return nil, err
		}
	}
	o, err := u.foreignWay(ctx, p, r.Auth, r.Data)
	if err != nil {
		return nil, err
	}
	store, err := u.storeOrNew()
	if err != nil {
		return nil, err
	}
	var v *vault.Vault
	err = u.opened(ctx, o, false, func(ctx context.Context) error {
		v, err = store.Restore(ctx, r.Data, o.way, signer)
		return err
	})
	if err != nil {
		return nil, err
	}
	u.problem.Store(nil)
	u.noteUse(o.slot)
	return u.replace(v, o.slot, u.labelOf(v, o)), nil
}

// fingerprint is a signer's as the vault writes it, empty when none was given.
func fingerprint(given string) (string, error) {
	if given == "" {
		return "", nil
	}
	raw, err := hex.DecodeString(strings.TrimSpace(given))
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return "", ipc.Errorf(ipc.InvalidArgument, "the fingerprint of a signer has %d hexadecimal digits", 2*ed25519.PublicKeySize)
	}
	return hex.EncodeToString(raw), nil
}
