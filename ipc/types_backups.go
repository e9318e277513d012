package ipc

import "context"

// AutoBackups keeps backups without being asked: the daemon makes them, and
// tokenctl, as the user, copies them to where he wants them.
type AutoBackups interface {
	// BackupList lists the backups that are known, the newest first.
	BackupList(ctx context.Context, p Principal) (BackupList, error)
	// BackupStatus says whether the backups are as they should be. It works while
	// the vault is locked.
	BackupStatus(ctx context.Context, p Principal) (BackupStatus, error)
	// Destinations lists the folders that backups are copied to.
	Destinations(ctx context.Context, p Principal) (DestinationList, error)
	// AddDestination adds a folder, or changes how one that is there is kept.
	AddDestination(ctx context.Context, p Principal, r AddDestinationRequest) (Destination, error)
	// RemoveDestination forgets a folder by id or path; the files in it stay.
	RemoveDestination(ctx context.Context, p Principal, id string, r RemoveDestinationRequest) (DestinationList, error)
	// PlanBackupRun brings the spool up to date and says what is to be copied.
	PlanBackupRun(ctx context.Context, p Principal, r BackupRunRequest) (BackupRun, error)
	// SpooledBackup hands out a backup that a plan names, by its checksum.
	SpooledBackup(ctx context.Context, p Principal, r SpooledBackupRequest) (Backup, error)
	// ReportBackupRun says what became of the copies to one destination.
	ReportBackupRun(ctx context.Context, p Principal, r BackupRunReport) (BackupStatus, error)
	// AgreeToDrop says that accounts were meant to be so few: the backup from
	// before is kept no longer than others.
	AgreeToDrop(ctx context.Context, p Principal, r AgreeToDropRequest) (BackupStatus, error)
}

// KnownBackup is a backup that the daemon knows of. What is known of it is never
// merged: Copies were written, synced, read back and found equal; Opened and
// Proved say when that was, and are zero otherwise.
type KnownBackup struct {
	SHA256     string `json:"sha256"`
	Made       Time   `json:"made"`
	VaultID    string `json:"vault_id"`
	Epoch      uint64 `json:"epoch"`
	Generation uint64 `json:"generation"`
	Bytes      int    `json:"bytes,omitempty"`
	// Accounts is -1 when nobody could count them.
	Accounts int `json:"accounts"`
	// OpenedBy says what opens it: labels of keyslots, "recovery password".
	OpenedBy []string `json:"opened_by"`
	// Opened is when the daemon decrypted it with the session key and compared it
	// with the vault.
	Opened Time `json:"opened,omitzero"`
	// Proved is when a drill restored it into memory, ProvedBy what opened it then.
	Proved   Time   `json:"proved,omitzero"`
	ProvedBy string `json:"proved_by,omitempty"`
	// Spooled says that the daemon's own folder has it.
	Spooled bool         `json:"spooled,omitempty"`
	Copies  []BackupCopy `json:"copies"`
	// Protected says that no rotation removes it, because of a drop in accounts
	// after it.
	Protected bool `json:"protected,omitempty"`
}

// BackupCopy is a copy of a backup outside of the daemon's folder.
type BackupCopy struct {
	// Destination is the destination's id, empty for a file made by hand.
	Destination string `json:"destination,omitempty"`
	Path        string `json:"path"`
	Written     Time   `json:"written"`
	// Seen is when it was last found whole.
	Seen Time `json:"seen,omitzero"`
	// Lost says what was found in its place, empty as long as it is whole.
	Lost string `json:"lost,omitempty"`
}

// BackupList is all known backups, the newest first.
type BackupList struct {
	Version int           `json:"version"`
	Backups []KnownBackup `json:"backups"`
}

// DestinationState is how a destination is.
type DestinationState string

// The states of a destination.
const (
	DestinationNew     DestinationState = "new"     // nothing was copied there yet
	DestinationOK      DestinationState = "ok"      // it has the newest backup
	DestinationAbsent  DestinationState = "absent"  // the folder is not there now, as a stick that is pulled out
	DestinationFailing DestinationState = "failing" // the last try failed; Reason says why
	DestinationStale   DestinationState = "stale"   // it has had nothing new for longer than it should
)

// Destination is a folder that backups are copied to. The daemon keeps what is
// known of it and never opens it.
type Destination struct {
	ID   string `json:"id"`
	Path string `json:"path"` // absolute
	// Kind is "folder", "sync" (another program copies it to another machine) or
	// "removable".
	Kind string `json:"kind"`
	// Service is the program that syncs it, where that is known.
	Service string `json:"service,omitempty"`
	// Mount is where its file system was mounted when it was added: when another one
	// is there, the folder counts as absent. Empty for the system's own.
	Mount string `json:"mount,omitempty"`
	// Keep is how many backups of this device are kept there, KeepDays for how
	// many days; 0 days is for ever.
	Keep     int `json:"keep"`
	KeepDays int `json:"keep_days,omitempty"`
	// StaleDays is after how many days without success it is called stale.
	StaleDays int  `json:"stale_days"`
	Added     Time `json:"added"`
	// LastSuccess is when it was last seen to have the newest backup, LastTry when
	// it was last looked at.
	LastSuccess Time             `json:"last_success,omitzero"`
	LastTry     Time             `json:"last_try,omitzero"`
	State       DestinationState `json:"state"`
	// Since is since when it has been absent or failing, Reason why.
	Since  Time   `json:"since,omitzero"`
	Reason string `json:"reason,omitempty"`
	// Elsewhere says that it is on another file system than the vault, or synced to
	// another machine.
	Elsewhere bool `json:"elsewhere"`
	// Memory says that the folder is in memory (tmpfs), and empty after a restart.
	Memory bool `json:"memory,omitempty"`
	// Copies is how many whole backups are known to be there.
	Copies int `json:"copies"`
}

// DestinationList is the folders that backups are copied to.
type DestinationList struct {
	Version      int           `json:"version"`
	Destinations []Destination `json:"destinations"`
}

// AddDestinationRequest adds a destination, or changes the one with this path.
type AddDestinationRequest struct {
	Path      string `json:"path"`
	Kind      string `json:"kind,omitempty"` // "folder" when empty
	Service   string `json:"service,omitempty"`
	Mount     string `json:"mount,omitempty"`
	Keep      int    `json:"keep,omitempty"` // 30 when 0
	KeepDays  int    `json:"keep_days,omitempty"`
	StaleDays int    `json:"stale_days,omitempty"` // 3 when 0, 30 for a removable one
	Elsewhere bool   `json:"elsewhere,omitempty"`
	Memory    bool   `json:"memory,omitempty"`
}

// RemoveDestinationRequest confirms which one is meant.
type RemoveDestinationRequest struct {
	// Confirm must be the destination's id.
	Confirm string `json:"confirm"`
}

// BackupStatus says whether the backups are as they should be.
type BackupStatus struct {
	Version int `json:"version"`
	// OK says that no Problem is urgent: exit code 0 of a monitor, 22 otherwise.
	OK bool `json:"ok"`
	// Problems are what is wrong, the urgent ones first.
	Problems []BackupProblem `json:"problems"`
	// Newest is the newest backup, Opened the newest that was opened, Proved the
	// one that was proved last; nil where there is none.
	Newest       *KnownBackup  `json:"newest,omitempty"`
	Opened       *KnownBackup  `json:"opened,omitempty"`
	Proved       *KnownBackup  `json:"proved,omitempty"`
	Destinations []Destination `json:"destinations"`
	// Volume names the file system of the vault; copies on it die with it.
	Volume string `json:"volume,omitempty"`
	// Spooled is how many backups the daemon's own folder holds.
	Spooled int `json:"spooled"`
	// Pending says that the vault was changed and the backup of that is not made yet.
	Pending bool `json:"pending,omitempty"`
	// Drop is the drop in accounts that nobody agreed to yet.
	Drop *AccountDrop `json:"drop,omitempty"`
}

// BackupSummary is how the backups are, in short.
type BackupSummary struct {
	OK           bool `json:"ok"`
	Destinations int  `json:"destinations"`
	// Newest is when the newest backup was made, Opened when one was last opened
	// and compared, Proved when a drill last was done; zero if never.
	Newest Time `json:"newest,omitzero"`
	Opened Time `json:"opened,omitzero"`
	Proved Time `json:"proved,omitzero"`
}

// The problems of backups.
const (
	BackupNone          = "no-backup"             // no copy outside of the daemon's folder
	BackupNoDestination = "no-backup-destination" // nothing copies them anywhere
	BackupSameDisk      = "backup-same-disk"      // all copies are on the vault's file system
	BackupInMemory      = "backup-in-memory"      // a destination is empty after a restart
	BackupIsStale       = "backup-stale"
	BackupFailing       = "backup-failing"
	BackupAbsent        = "backup-absent"
	BackupLost          = "backup-lost" // a copy vanished or was changed
	BackupSpool         = "backup-spool"
	BackupDropped       = "accounts-dropped"
	BackupUnopened      = "backup-unopened"
	BackupUnproved      = "backup-unproved"
	BackupTokensOnly    = "backup-tokens-only" // no recovery password opens them
)

// BackupProblem is something wrong with the backups.
type BackupProblem struct {
	Code    string `json:"code"` // one of the Backup… constants
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
	// Urgent makes BackupStatus.OK false.
	Urgent bool `json:"urgent"`
	// Destination is the id of the destination that it is about.
	Destination string `json:"destination,omitempty"`
}

// AccountDrop is a sharp drop in the number of accounts between two backups.
type AccountDrop struct {
	Since Time `json:"since"`
	Had   int  `json:"had"`
	Has   int  `json:"has"`
	// Before is the backup that still has them; no rotation removes it.
	Before string `json:"before"` // SHA-256
}

// AgreeToDropRequest says that the drop was meant, or that lost copies were seen.
type AgreeToDropRequest struct {
	// Before is that of the AccountDrop that is agreed to; empty for none.
	Before string `json:"before"`
	// Lost are the destinations, by id, whose lost copies need be told no more.
	Lost []string `json:"lost,omitempty"`
}

// SpooledBackupRequest asks for a backup that a plan names.
type SpooledBackupRequest struct {
	SHA256 string `json:"sha256"`
}

// BackupRunRequest asks what a run has to do.
type BackupRunRequest struct{}

// BackupRun is what a run has to do.
type BackupRun struct {
	Version int    `json:"version"`
	VaultID string `json:"vault_id"`
	// Device is this daemon's part of the names of files, 8 hexadecimal digits:
	// only files with it in their name are ever removed.
	Device string `json:"device"`
	// Volume names the file system of the vault; copies on it die with it.
	Volume string `json:"volume,omitempty"`
	// Backups are those that a destination may lack, the newest first.
	Backups      []PlannedBackup      `json:"backups"`
	Destinations []PlannedDestination `json:"destinations"`
	// Checkpoint is the newest that there is of the caller's audit chain, to be put
	// beside the backups; absent where none was signed yet.
	Checkpoint string `json:"checkpoint,omitempty"`
}

// PlannedBackup is a backup that can be had from the spool.
type PlannedBackup struct {
	SHA256 string `json:"sha256"`
	// Name is its file's name at every destination.
	Name       string `json:"name"`
	Made       Time   `json:"made"`
	Generation uint64 `json:"generation"`
	Bytes      int    `json:"bytes"`
}

// PlannedDestination is what one destination should have.
type PlannedDestination struct {
	Destination Destination `json:"destination"`
	// Wanted are the checksums that should be there.
	Wanted []string `json:"wanted"`
	// Known are the copies of wanted ones, and the newest of earlier runs: each is
	// read again.
	Known []KnownCopy `json:"known"`
	// Older are the other copies that should be there, that which was read longest ago
	// first: that one is read again, of the others it is seen whether they are there.
	Older []KnownCopy `json:"older"`
	// Protected are the checksums that no rotation removes.
	Protected []string `json:"protected"`
}

// KnownCopy is a copy that should be there.
type KnownCopy struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Bytes  int    `json:"bytes"`
	Seen   Time   `json:"seen,omitzero"`
}

// BackupRunReport says what became of one destination.
type BackupRunReport struct {
	Destination string `json:"destination"` // id
	// State is DestinationOK, DestinationAbsent or DestinationFailing.
	State  DestinationState `json:"state"`
	Reason string           `json:"reason,omitempty"`
	// Seen are the copies that were read and found whole in this run, new or not.
	Seen []KnownCopy `json:"seen"`
	// Lost are copies that are not there, or not whole, any more.
	Lost []LostCopy `json:"lost"`
	// Removed are the paths that rotation removed.
	Removed   []string `json:"removed"`
	Elsewhere bool     `json:"elsewhere"`
	Memory    bool     `json:"memory,omitempty"`
}

// LostCopy is a copy that is not what it was.
type LostCopy struct {
	Path string `json:"path"`
	// What was found: "it is gone", "it is empty", …
	What string `json:"what"`
	// Kept is the path under which the damaged file was kept.
	Kept string `json:"kept,omitempty"`
}
