package daemon

import (
	"cmp"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
)

// checkBackupFile refuses what cannot be noted of the file of a backup.
func checkBackupFile(f ipc.BackupFile) error {
	return cmp.Or(
		checkText("path of a backup", f.Path, longestPath),
		checkText("volume of a backup", f.Volume, longestPath),
	)
}

// cameFrom notes the backup that a vault, or accounts of it, came from: whatever
// opened it goes on opening it. accounts is how many it has, or -1.
func (u *user) cameFrom(data []byte, from ipc.BackupFile, accounts int) {
	info, err := vault.HeadOfBackup(data)
	if err != nil || from.Path == "" {
		return
	}
	own := volumeOf(u.d.cfg.StateDir)
	now, made := wireTime(u.d.now()), wireTime(info.Written)
	note := noteOf(info, len(data), made)
	note.Accounts = accounts
	c := copyNote{
		Path: from.Path, Written: made, Seen: now,
		Elsewhere: from.Synced || own != "" && from.Volume != "" && from.Volume != own,
	}
	u.note(func(n *notesData) {
		n.found(note, c)
		if b := n.backup(note.SHA256); b != nil && b.Opened.IsZero() {
			b.Opened = now
		}
	})
}
