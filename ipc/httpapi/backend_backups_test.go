package httpapi_test

import (
	"context"

	"github.com/tokenbridge/tokend/ipc"
)

func (b *backend) BackupList(_ context.Context, p ipc.Principal) (ipc.BackupList, error) {
	b.note(p, "BackupList", nil)
	return ipc.BackupList{Version: 1, Backups: []ipc.KnownBackup{}}, nil
}

func (b *backend) BackupStatus(_ context.Context, p ipc.Principal) (ipc.BackupStatus, error) {
	b.note(p, "BackupStatus", nil)
	return backupStatus(), nil
}

func backupStatus() ipc.BackupStatus {
	return ipc.BackupStatus{Version: 1, OK: true, Problems: []ipc.BackupProblem{}, Destinations: []ipc.Destination{}}
}

func (b *backend) Destinations(_ context.Context, p ipc.Principal) (ipc.DestinationList, error) {
	b.note(p, "Destinations", nil)
	return ipc.DestinationList{Version: 1, Destinations: []ipc.Destination{}}, nil
}

func (b *backend) AddDestination(_ context.Context, p ipc.Principal, r ipc.AddDestinationRequest) (ipc.Destination, error) {
	b.note(p, "AddDestination", r)
	return ipc.Destination{ID: "5e0f11d2", Path: r.Path, Kind: "folder", Keep: 30, StaleDays: 3, Added: noon, State: ipc.DestinationNew}, nil
}

func (b *backend) RemoveDestination(_ context.Context, p ipc.Principal, id string, r ipc.RemoveDestinationRequest) (ipc.DestinationList, error) {
	b.note(p, "RemoveDestination "+id, r)
	return ipc.DestinationList{Version: 1, Destinations: []ipc.Destination{}}, nil
}

func (b *backend) PlanBackupRun(_ context.Context, p ipc.Principal, r ipc.BackupRunRequest) (ipc.BackupRun, error) {
	b.note(p, "PlanBackupRun", r)
	return ipc.BackupRun{Version: 1, Backups: []ipc.PlannedBackup{}, Destinations: []ipc.PlannedDestination{}}, nil
}

func (b *backend) SpooledBackup(_ context.Context, p ipc.Principal, r ipc.SpooledBackupRequest) (ipc.Backup, error) {
	b.note(p, "SpooledBackup", r)
	return ipc.Backup{Version: 1, Name: "v1.tokend", Data: make([]byte, 2<<20), OpenedBy: []string{"desk key"}}, nil
}

func (b *backend) ReportBackupRun(_ context.Context, p ipc.Principal, r ipc.BackupRunReport) (ipc.BackupStatus, error) {
	b.note(p, "ReportBackupRun", r)
	return backupStatus(), nil
}

func (b *backend) AgreeToDrop(_ context.Context, p ipc.Principal, r ipc.AgreeToDropRequest) (ipc.BackupStatus, error) {
	b.note(p, "AgreeToDrop", r)
	return backupStatus(), nil
}
