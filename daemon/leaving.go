package daemon

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// Leaving implements [ipc.Vaults]. Where there is no vault it tells what one that
// was purged, and enrolments that came to nothing, left on tokens.
func (d *Daemon) Leaving(_ context.Context, p ipc.Principal) (ipc.Leaving, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.Leaving{}, err
	}
	return u.leaving(p)
}

func (u *user) leaving(p ipc.Principal) (ipc.Leaving, error) {
	left := ipc.Leaving{
		Version: ipc.Version, Vault: u.vaultInfo(), Accounts: []ipc.Account{}, Changes: -1,
		Backups: []ipc.LeftBackup{}, Files: []ipc.LeftFiles{},
	}
	store, err := u.storeIfAny()
	if err != nil {
		return left, mapError(err)
	}
	if store == nil || !store.Exists() {
		if u.sess.Load() != nil { // what is in memory may be all that is left
			return left, errFilesGone(nil)
		}
		left.Tokens = u.leftTokens(p, nil)
		return left, nil
	}
	slots := u.slotsAnyhow()
	left.Tokens = u.leftTokens(p, slots)
	newest := u.leftBackups(&left, slots)
	if s, err := u.open(false); err == nil {
		u.leftAccounts(&left, s, newest)
	}
	left.Files = u.leftFiles(store)
	return left, nil
}

// leftBackups tells of the backups that are known, and returns the newest from
// which the vault could be restored, nil where there is none.
func (u *user) leftBackups(left *ipc.Leaving, slots []vault.Slot) *backupNote {
	var newest *backupNote
	for _, b := range u.notesOf().get().Backups {
		if b.VaultID != left.Vault.ID || b.SHA256 == "" {
			continue
		}
		by := opensAfter(b, slots)
		for _, c := range b.Where {
			left.Backups = append(left.Backups, ipc.LeftBackup{
				Path: c.Path, SHA256: b.SHA256, Made: wireTime(b.Made), Generation: b.Generation, Accounts: b.Accounts,
				Opened: wireTime(b.Opened), Proved: wireTime(b.Proved), OpenedBy: by, Destination: c.Destination, Lost: c.Lost,
			})
		}
		if b.exists() && len(by) > 0 && (!b.Opened.IsZero() || !b.Proved.IsZero()) && (newest == nil || b.Generation >= newest.Generation) {
			newest = &b
		}
	}
	if newest != nil {
		left.Backed = true
		left.Changes = int(max(newest.Generation, left.Vault.Generation) - newest.Generation)
	}
	return newest
}

// opensAfter says what opens a backup once the vault is gone: not a software
// token, whose key file goes with it.
func opensAfter(b backupNote, slots []vault.Slot) []string {
	by := []string{}
	for _, slot := range slots {
		if slot.Kind != tokens.KindSoft && slices.Contains(b.Slots, slot.ID) {
			by = append(by, slotRef(slot).Label)
		}
	}
	if !b.RecoverySet.IsZero() {
		by = append(by, byRecovery)
	}
	return by
}

// leftAccounts tells of the accounts of an open vault.
func (u *user) leftAccounts(left *ipc.Leaving, s *session, newest *backupNote) {
	list := s.vault.Accounts()
	left.Listed, left.Accounts = true, wireAccounts(list)
	switch {
	case newest == nil: // there is nothing to be ahead of
	case newest.Generation >= s.vault.Generation():
		left.Counting = s.vault.Counting()
	default:
		ids, err := u.countedSince(s, *newest)
		if err == nil {
			left.Counting = ids
			return
		}
		for _, a := range list {
			if a.Type == typeHOTP {
				left.Counting = append(left.Counting, a.ID)
			}
		}
	}
}

// countedSince are the accounts whose counters are ahead of those in a backup, where
// the spool has it too.
func (u *user) countedSince(s *session, b backupNote) ([]string, error) {
	u.keeper.one.Lock()
	defer u.keeper.one.Unlock()
	spool, err := u.openSpool()
	if err != nil {
		return nil, err
	}
	data, err := u.readSpooled(spool, b)
	if err != nil {
		return nil, err
	}
	defer u.d.collectSoon()
	return s.vault.CountedSince(data)
}

// leftFiles are the files of the vault in the state folder.
func (u *user) leftFiles(store *vault.Store) []ipc.LeftFiles {
	list := []ipc.LeftFiles{{Kind: "vault", Path: u.dir, Count: 1}}
	add := func(kind, path string, count int, stays bool) {
		if count > 0 {
			list = append(list, ipc.LeftFiles{Kind: kind, Path: path, Count: count, Stays: stays})
		}
	}
	add("generations", filepath.Join(u.dir, "generations"), store.Earlier(), false)
	add("soft", filepath.Join(u.dir, "soft"), len(store.KeyFiles()), false)
	add("undo", filepath.Join(u.dir, "undo"), store.Steps(), false)
	spooled := 0
	for _, b := range u.notesOf().get().Backups {
		if b.Spooled != "" {
			spooled++
		}
	}
	add("spool", filepath.Join(u.dir, spoolName), spooled, false)
	for _, dir := range store.Aside() {
		add("aside", dir, 1, false)
	}
	if _, err := os.Lstat(filepath.Join(u.dir, modesName)); err == nil {
		add("grants", filepath.Join(u.dir, modesName), 1, false)
	}
	add("audit", filepath.Join(u.dir, auditName), 1, true)
	add("notes", filepath.Join(u.dir, notesName), 1, true)
	return list
}
