package ipc

// RemoveAccountsRequest removes accounts for good: all of them in one step, or
// none.
type RemoveAccountsRequest struct {
	// Accounts are ids or names, as for a code. With Apply each must be an id: a
	// name can come to mean another account meanwhile.
	Accounts []string `json:"accounts"`
	// Apply removes them; without it is only said what that would do.
	Apply bool `json:"apply,omitempty"`
}

// RemoveAccountsResult says what is gone, or without Apply would be.
type RemoveAccountsResult struct {
	Version  int              `json:"version"`
	Accounts []RemovedAccount `json:"accounts"`
	Applied  bool             `json:"applied"`
	// LastBackup is when a backup was last copied out of the daemon's own folder,
	// zero if never.
	LastBackup Time `json:"last_backup,omitzero"`
	// Earlier is how many earlier states of the vault are kept beside it. Each of
	// those from before the removal holds the accounts until later ones take its
	// place.
	Earlier int `json:"earlier"`
}

// RemovedAccount is an account that is removed, and where it is held still.
type RemovedAccount struct {
	Account Account `json:"account"`
	// InBackups names copies of backups that should hold it, outside of the daemon's
	// own folder.
	InBackups []string `json:"in_backups"`
	// InSpool is how many backups in the daemon's own folder should hold it, until
	// newer ones take their place.
	InSpool int `json:"in_spool,omitempty"`
	// InUndo are ids of undo snapshots that may hold it.
	InUndo []string `json:"in_undo,omitempty"`
}

// Leaving is what purging the caller's vault would lose, and what would remain.
type Leaving struct {
	Version int   `json:"version"`
	Vault   Vault `json:"vault"`
	// Listed says that the accounts are told; of a locked vault nobody can.
	Listed   bool      `json:"listed"`
	Accounts []Account `json:"accounts"`
	// Counting are ids of HOTP accounts whose counters are, or as far as is known may
	// be, ahead of those in the newest backup from which it could be restored.
	Counting []string `json:"counting,omitempty"`
	// Changes is how often the vault was written since the newest backup from
	// which it could be restored; -1 where there is none.
	Changes int `json:"changes"`
	// Backed says that such a backup is known: it was opened or proved, a copy of
	// it is known outside of the state folder, and something opens it that is not
	// removed with the vault.
	Backed  bool         `json:"backed"`
	Backups []LeftBackup `json:"backups"`
	// Tokens are those on which keys of the vault remain, or of earlier keyslots.
	Tokens []LeftToken `json:"tokens"`
	Files  []LeftFiles `json:"files"`
}

// LeftBackup is a copy of a backup that the daemon knows of. Nothing removes it.
type LeftBackup struct {
	Path       string `json:"path"`
	SHA256     string `json:"sha256"`
	Made       Time   `json:"made"`
	Generation uint64 `json:"generation"`
	Accounts   int    `json:"accounts"` // -1 when nobody could count them
	// Opened is when it was decrypted and compared with the vault, Proved when a
	// drill last restored it; zero if never.
	Opened Time `json:"opened,omitzero"`
	Proved Time `json:"proved,omitzero"`
	// OpenedBy says what opens it once the vault is gone: labels of tokens,
	// "recovery password".
	OpenedBy []string `json:"opened_by"`
	// Destination is the id of the destination it lies in, empty for a file made
	// by hand.
	Destination string `json:"destination,omitempty"`
	// Lost says what was found in its place when it was last looked for.
	Lost string `json:"lost,omitempty"`
}

// LeftToken is a token on which keys of the vault's remain, in PIV slots. A FIDO2
// key keeps nothing of a vault, a software token is a file that goes with it.
type LeftToken struct {
	Token TokenRef `json:"token"`
	// Enrolled says that it opens the vault; else the keys are of a revoked
	// keyslot, of an enrolment that was interrupted, or of a vault that is gone.
	Enrolled bool     `json:"enrolled"`
	Hardware bool     `json:"hardware"`
	Present  bool     `json:"present"`
	Slots    []string `json:"slots"`
}

// LeftFiles are files or folders of one kind in the daemon's state folder.
type LeftFiles struct {
	// Kind is "vault", "generations", "aside", "undo", "spool", "soft", "grants"
	// (what programs need to be handed codes), "audit" or "notes".
	Kind string `json:"kind"`
	Path string `json:"path"`
	// Count is how many of them there are.
	Count int `json:"count"`
	// Stays says that something of it remains: of the audit log one entry, that
	// the vault was purged; of the notes, which keys are left on tokens.
	Stays bool `json:"stays,omitempty"`
}

// PurgeRequest removes the caller's vault from this machine for good.
type PurgeRequest struct {
	// Confirm must be the vault's id, or UnreadableVault where that cannot be read.
	Confirm string `json:"confirm"`
	// WithoutBackup goes on although no backup is known from which the vault could
	// be restored.
	WithoutBackup bool `json:"without_backup,omitempty"`
}

// UnreadableVault confirms that a vault is meant of which not even the id can be
// read.
const UnreadableVault = "unreadable"

// PurgeResult says what was removed and what remains.
type PurgeResult struct {
	Version int    `json:"version"`
	VaultID string `json:"vault_id,omitempty"`
	// Left is what remains: backups, and keys on tokens.
	Left Leaving `json:"left"`
	// Warnings say what could not be removed yet; the daemon tries again when it
	// starts.
	Warnings []Warning `json:"warnings"`
}
