package daemon

import (
	"context"
	"time"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// CreateBackup implements [ipc.Backups]. It works while the vault is locked.
// That a backup was made is on disk before the bytes leave.
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
	// A full disk must not keep anybody from taking his backup elsewhere; then
	// status goes on saying that there is none.
	if noteErr := u.notesOf().update(func(n *notesData) {
		n.LastBackup = made
		n.Backups = append(n.Backups, backupNote{
			Name: b.Name, Made: made, VaultID: info.VaultID, Epoch: info.Epoch, Generation: info.Generation,
		})
		n.Backups = n.Backups[max(0, len(n.Backups)-keptBackupNotes):]
	}); noteErr != nil {
		d.log.Error("cannot remember that a backup was made", "uid", u.uid, "err", noteErr)
	}
	u.auditResult(p, "backup", info.SHA256[:min(16, len(info.SHA256))], nil)
	e := d.event(ipc.EventBackupMade)
	e.Detail = b.Name
	d.hub.publish(u.uid, e)
	return b, nil
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

// backupsSince names the remembered backups of a vault made at or after t: they
// may hold what was there then.
func (u *user) backupsSince(vaultID string, t time.Time) []string {
	list := []string{}
	for _, b := range u.notesOf().get().Backups {
		if b.VaultID == vaultID && !b.Made.Before(t.Truncate(time.Second)) {
			list = append(list, b.Name)
		}
	}
	return list
}

// backupsBefore names the remembered backups of a vault from before an epoch.
func (u *user) backupsBefore(vaultID string, epoch uint64) []string {
	list := []string{}
	for _, b := range u.notesOf().get().Backups {
		if b.VaultID == vaultID && b.Epoch < epoch {
			list = append(list, b.Name)
		}
	}
	return list
}

// foreignWay is how a backup will be opened: by its own keyslots, which need not
// be those of the caller's vault.
func (u *user) foreignWay(ctx context.Context, p ipc.Principal, a ipc.Auth, data []byte) (opening, error) {
	head, err := vault.HeadOf(data)
	if err != nil {
		return opening{}, backupError(err)
	}
	// A software token's key file is in no backup. Where the caller's own vault
	// has that keyslot, its key file serves.
	files := make(map[string][]byte)
	for _, own := range u.slots() {
		files[own.ID] = own.KeyFile
	}
	for i, s := range head.Slots {
		if s.Kind == tokens.KindSoft && len(s.KeyFile) == 0 {
			head.Slots[i].KeyFile = files[s.ID]
		}
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
	s, err := u.restore(ctx, p, r)
	u.auditResult(p, "restore", "", err)
	if err != nil {
		return ipc.RestoreResult{}, backupError(err)
	}
	d.tellUnlocked(u, "the vault was restored from a backup")
	return ipc.RestoreResult{
		Version: ipc.Version, Vault: u.vaultInfo(), Accounts: wireAccounts(s.vault.Accounts()), Notices: notices(s.vault),
	}, nil
}

func (u *user) restore(ctx context.Context, p ipc.Principal, r ipc.RestoreBackupRequest) (*session, error) {
	if store, err := u.storeIfAny(); err != nil {
		return nil, err
	} else if store != nil && store.Exists() {
		return nil, mapError(vault.ErrExists)
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
		v, err = store.Restore(ctx, r.Data, o.way, r.Signer)
		return err
	})
	if err != nil {
		return nil, err
	}
	u.problem.Store(nil)
	u.noteUse(o.slot)
	return u.replace(v, o.slot, u.labelOf(v, o)), nil
}
