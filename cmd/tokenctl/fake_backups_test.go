package main

import (
	"context"

	"github.com/tokenbridge/tokend/ipc"
)

// What keeps backups by itself is tried with the real daemon, in
// cmd/internal/e2e; here it has nothing to do.

func (f *fake) BackupList(context.Context, ipc.Principal) (ipc.BackupList, error) {
	return ipc.BackupList{Version: 1, Backups: []ipc.KnownBackup{}}, nil
}

func (f *fake) BackupStatus(context.Context, ipc.Principal) (ipc.BackupStatus, error) {
	return ipc.BackupStatus{Version: 1, OK: true, Problems: []ipc.BackupProblem{}, Destinations: []ipc.Destination{}}, nil
}

func (f *fake) Destinations(context.Context, ipc.Principal) (ipc.DestinationList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return ipc.DestinationList{Version: 1, Destinations: append([]ipc.Destination{}, f.destinations...)}, nil
}

func (f *fake) AddDestination(_ context.Context, _ ipc.Principal, r ipc.AddDestinationRequest) (ipc.Destination, error) {
	return ipc.Destination{ID: "d1", Path: r.Path, Kind: r.Kind, Keep: r.Keep, State: ipc.DestinationNew}, nil
}

func (f *fake) RemoveDestination(context.Context, ipc.Principal, string, ipc.RemoveDestinationRequest) (ipc.DestinationList, error) {
	return ipc.DestinationList{}, ipc.Errorf(ipc.NotFound, "there is no such destination")
}

func (f *fake) PlanBackupRun(context.Context, ipc.Principal, ipc.BackupRunRequest) (ipc.BackupRun, error) {
	return ipc.BackupRun{Version: 1, Backups: []ipc.PlannedBackup{}, Destinations: []ipc.PlannedDestination{}}, nil
}

func (f *fake) SpooledBackup(context.Context, ipc.Principal, ipc.SpooledBackupRequest) (ipc.Backup, error) {
	return ipc.Backup{}, ipc.Errorf(ipc.NotFound, "the spool has no backup with this checksum")
}

func (f *fake) ReportBackupRun(ctx context.Context, p ipc.Principal, _ ipc.BackupRunReport) (ipc.BackupStatus, error) {
	return f.BackupStatus(ctx, p)
}

func (f *fake) AgreeToDrop(context.Context, ipc.Principal, ipc.AgreeToDropRequest) (ipc.BackupStatus, error) {
	return ipc.BackupStatus{}, ipc.Errorf(ipc.NotFound, "there is no such drop in accounts to agree to")
}
