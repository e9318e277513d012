package daemon

import (
	"context"

	"github.com/tokenbridge/tokend/ipc"
)

// ImportAccounts implements [ipc.Accounts].
func (d *Daemon) ImportAccounts(context.Context, ipc.Principal, ipc.ImportRequest) (ipc.Plan, error) {
	return ipc.Plan{}, ipc.Errorf(ipc.Unsupported, "accounts cannot be imported yet")
}

// MergeBackup implements [ipc.Backups].
func (d *Daemon) MergeBackup(context.Context, ipc.Principal, ipc.MergeBackupRequest) (ipc.Plan, error) {
	return ipc.Plan{}, ipc.Errorf(ipc.Unsupported, "backups cannot be merged yet")
}

// Undos implements [ipc.Accounts].
func (d *Daemon) Undos(context.Context, ipc.Principal) (ipc.UndoList, error) {
	return ipc.UndoList{}, ipc.Errorf(ipc.Unsupported, "nothing can be taken back yet")
}

// Undo implements [ipc.Accounts].
func (d *Daemon) Undo(context.Context, ipc.Principal, ipc.UndoRequest) (ipc.Plan, error) {
	return ipc.Plan{}, ipc.Errorf(ipc.Unsupported, "nothing can be taken back yet")
}
