package ipc

// Status is what the daemon says of itself and of the caller's vault.
type Status struct {
	Version  int       `json:"version"`
	Daemon   Daemon    `json:"daemon"`
	Vault    Vault     `json:"vault"`
	Tokens   []Token   `json:"tokens"`
	Warnings []Warning `json:"warnings"`
	// Backups says in short how the backups are; absent without a vault.
	Backups *BackupSummary `json:"backups,omitempty"`
	// Grants says what programs need to be handed codes.
	Grants GrantState `json:"grants"`
	// Authority is the authority that lives in this daemon, for those who have to
	// do with it.
	Authority *AuthorityState `json:"authority,omitempty"`
}

// Daemon says which daemon answers.
type Daemon struct {
	Version string `json:"version"`
	Mode    string `json:"mode"` // "system" or "user"
	PID     int    `json:"pid"`
	Socket  string `json:"socket"`
	Time    Time   `json:"time"`
	Started Time   `json:"started"`
	// Helper says whether tokens can be used: "ok", or what is wrong.
	Helper string `json:"helper"`
	// Bus says whether the daemon can be called over D-Bus: "ok", or what is wrong;
	// absent where it is not to.
	Bus string `json:"bus,omitempty"`
	// Config is which configuration holds.
	Config *ConfigState `json:"config,omitempty"`
}

// VaultState is how far a vault is open.
type VaultState string

// The states of a vault.
const (
	VaultNone     VaultState = "none"
	VaultIsLocked VaultState = "locked"
	VaultUnlocked VaultState = "unlocked"
	// VaultReadOnly: the newest generation is damaged and the one before is open.
	VaultReadOnly VaultState = "read-only"
	// VaultBroken: there is a vault and it cannot be used; Problem says why.
	VaultBroken VaultState = "damaged"
)

// Vault describes the caller's vault. What lies inside it is zero while locked.
type Vault struct {
	State      VaultState `json:"state"`
	ID         string     `json:"id,omitempty"`
	Epoch      uint64     `json:"epoch,omitempty"`
	Generation uint64     `json:"generation,omitempty"`
	Problem    *Error     `json:"problem,omitempty"`
	// UnlockedBy is the keyslot's label, "recovery password" or "recovery key".
	UnlockedBy string `json:"unlocked_by,omitempty"`
	UnlockedAt Time   `json:"unlocked_at,omitzero"`
	// IdleLock and HardLock are when it locks by itself.
	IdleLock Time `json:"idle_lock,omitzero"`
	HardLock Time `json:"hard_lock,omitzero"`
	Accounts int  `json:"accounts,omitempty"`
	Touch    int  `json:"touch_accounts,omitempty"`
	// Inactive is how many managed accounts have no secret on this device.
	Inactive int `json:"inactive_accounts,omitempty"`
	// Signer is the fingerprint of the key that signs the vault; a restore can
	// be told to accept no other.
	Signer string `json:"signer,omitempty"`
	// RecoverySet is when the recovery password was set, zero if never. It can
	// be read while locked.
	RecoverySet Time `json:"recovery_set,omitzero"`
	// RecoveryChecked is when the recovery password was last given right, zero if
	// never since it was set.
	RecoveryChecked Time `json:"recovery_checked,omitzero"`
	// LastBackup is when a backup was last copied out of the daemon's own folder,
	// zero if never.
	LastBackup Time `json:"last_backup,omitzero"`
	// AskRecovery says that it is time to ask the owner for a recovery password:
	// none is set, accounts of third parties are in the vault, and he did not
	// decline lately. It is told while the vault is open.
	AskRecovery bool `json:"ask_recovery,omitempty"`
}

// Warning is something the user should know of and can mend.
type Warning struct {
	Code    string `json:"code"` // "single-token", "no-recovery-password", "factory-pin", …
	Message string `json:"message"`
	// Fix is the command that mends it.
	Fix string `json:"fix,omitempty"`
}

// Event is one line of the event stream. Accounts are named only to their owner.
type Event struct {
	Version int    `json:"version"`
	Type    string `json:"type"` // one of the Event… constants
	Time    Time   `json:"time"`
	// Vault is set for "state", "unlocked", "locked".
	Vault  *Vault    `json:"vault,omitempty"`
	Token  *TokenRef `json:"token,omitempty"`
	Detail string    `json:"detail,omitempty"` // why it locked, what changed
	// Account is set for touch and account events.
	Account *AccountRef `json:"account,omitempty"`
	// Requester is the program that caused a touch or a wait.
	Requester string `json:"requester,omitempty"`
	// From tells more of the requester, for waits that a person ends.
	From *Requester `json:"from,omitempty"`
	// Request is what the requester called the request that caused a wait, where
	// he called it anything (see NameRequest): by it a client knows the
	// waits that are its own.
	Request string `json:"request,omitempty"`
	// Operation identifies a wait from "…-wanted" to "…-done".
	Operation string `json:"operation,omitempty"`
	// Waits, in "state", are the operations of all waits that are open: others
	// that were told of have ended.
	Waits []string `json:"waits,omitempty"`
	// Wanted is the account that the requester named, where a PIN is wanted before
	// it is known which that is.
	Wanted string `json:"wanted,omitempty"`
	// Touch says which touch of the operation is wanted, 1 being the first.
	Touch int `json:"touch,omitempty"`
	// Place is the place in a token's queue, 1 being next.
	Place int `json:"place,omitempty"`
	// Action is what consent is wanted for.
	Action GrantAction `json:"action,omitempty"`
	// TriesLeft is how many tries of the PIN are left, where known. At 1 the PIN
	// is tried only with the user's word for it.
	TriesLeft *int `json:"tries_left,omitempty"`
	// OK says how a wait ended.
	OK *bool `json:"ok,omitempty"`
}

// The types of Event.
const (
	EventState          = "state"
	EventUnlocked       = "unlocked"
	EventLocked         = "locked"
	EventTokenInserted  = "token-inserted"
	EventTokenRemoved   = "token-removed"
	EventTouchWanted    = "touch-wanted"
	EventTouchDone      = "touch-done"
	EventTokenWaiting   = "token-waiting" // behind others in the token's queue
	EventWorking        = "working"       // a slow key derivation has begun
	EventAccountAdded   = "account-added"
	EventAccountChanged = "account-changed"
	EventAccountRemoved = "account-removed"
	EventTokenEnrolled  = "token-enrolled"
	EventTokenRevoked   = "token-revoked"
	EventBackupMade     = "backup-made"
	EventPurged         = "purged"         // the vault was removed from this machine for good
	EventBackupState    = "backup-state"   // Detail says what became known of a backup
	EventBackupAlarm    = "backup-alarm"   // Detail says what is wrong with the backups
	EventPINWanted      = "pin-wanted"     // of Token, by an agent; Detail says what was wrong with the one before
	EventPINDone        = "pin-done"       // answered, withdrawn, or nobody answered in time
	EventConsentWanted  = "consent-wanted" // by an agent: may From have a code, or the secret, of Account?
	EventConsentDone    = "consent-done"
	EventBackupDue      = "backup-due" // "backup run" is to be run in the user's session
	EventNotice         = "notice"     // Detail is for people: a resync may be needed, …
	EventDropped        = "dropped"    // this client was too slow; Detail says how many events it missed
)

// AccountRef names an account in an event.
type AccountRef struct {
	ID     string `json:"id"`
	Issuer string `json:"issuer,omitempty"`
	Name   string `json:"name"`
}

// Account is an account without its secret.
type Account struct {
	ID     string `json:"id"` // random and stable
	Issuer string `json:"issuer,omitempty"`
	Name   string `json:"name"`
	Kind   string `json:"kind"`  // "third-party" or "managed"
	Class  string `json:"class"` // "session" or "touch"
	Type   string `json:"type"`  // "totp", "hotp", "steam"
	// Algorithm is "SHA1", "SHA256" or "SHA512".
	Algorithm string `json:"algorithm"`
	Digits    int    `json:"digits"`
	Period    int    `json:"period,omitempty"` // seconds; totp and steam
	// Counter is the next HOTP counter; hotp only.
	Counter *uint64 `json:"counter,omitempty"`
	Note    string  `json:"note,omitempty"`
	Created Time    `json:"created,omitzero"`
	// NoExport says that the secret is not to be exported.
	NoExport bool `json:"no_export,omitempty"`
	// Inactive says that the secret is not on this device: a managed account's that
	// came from a backup.
	Inactive bool `json:"inactive,omitempty"`
}

// AccountList is all accounts in the user's order.
type AccountList struct {
	Version  int       `json:"version"`
	Accounts []Account `json:"accounts"`
}

// NewAccount is an account to be added: either URI, or the fields.
type NewAccount struct {
	// URI is an otpauth:// URI; the other fields, where set, override Issuer,
	// Name, Class and Note only.
	URI    Secret `json:"uri,omitempty"`
	Issuer string `json:"issuer,omitempty"`
	Name   string `json:"name,omitempty"`
	// Secret is base32 (RFC 4648), with or without spaces, dashes and padding.
	Secret    Secret  `json:"secret,omitempty"`
	Type      string  `json:"type,omitempty"`      // totp when empty
	Algorithm string  `json:"algorithm,omitempty"` // SHA1 when empty
	Digits    int     `json:"digits,omitempty"`    // 6 when 0
	Period    int     `json:"period,omitempty"`    // 30 when 0
	Counter   *uint64 `json:"counter,omitempty"`   // 0 when nil
	Class     string  `json:"class,omitempty"`     // touch where a token can, when empty
	Note      string  `json:"note,omitempty"`
	NoExport  bool    `json:"no_export,omitempty"` // its secret is not to be exported
}

// AddAccountsRequest adds all of its accounts in one step, or none. An account
// that has the same issuer and name as another is refused with AlreadyExists
// unless AllowDuplicate.
type AddAccountsRequest struct {
	Accounts       []NewAccount `json:"accounts"`
	AllowDuplicate bool         `json:"allow_duplicate,omitempty"`
}

// EditAccountRequest changes what is not nil. Changing the class from touch
// needs the token and a touch: Auth; taking NoExport back opens the vault anew.
type EditAccountRequest struct {
	Auth    Auth    `json:"auth,omitzero"`
	Issuer  *string `json:"issuer,omitempty"`
	Name    *string `json:"name,omitempty"`
	Note    *string `json:"note,omitempty"`
	Class   *string `json:"class,omitempty"`
	Digits  *int    `json:"digits,omitempty"`
	Period  *int    `json:"period,omitempty"`
	Counter *uint64 `json:"counter,omitempty"`
	// NoExport says that the secret is not to be exported.
	NoExport *bool `json:"no_export,omitempty"`
}

// MoveAccountRequest puts an account at Position, 0 being first.
type MoveAccountRequest struct {
	Position int `json:"position"`
}

// RemoveAccountRequest confirms that the account's name is meant.
type RemoveAccountRequest struct {
	// Confirm must be the account's id.
	Confirm string `json:"confirm"`
}

// RemoveAccountResult says what is gone.
type RemoveAccountResult struct {
	Version int     `json:"version"`
	Removed Account `json:"removed"`
	// InBackups names backups that the daemon knows to hold the account still.
	InBackups []string `json:"in_backups"`
}

// RevealRequest asks for an account's secret.
type RevealRequest struct {
	Auth Auth `json:"auth,omitzero"`
	// Interaction is as in CodeRequest.
	Interaction string `json:"interaction,omitempty"`
}

// Reveal is an account's secret.
type Reveal struct {
	Version int     `json:"version"`
	Account Account `json:"account"`
	URI     Secret  `json:"uri"`
}

// CodeRequest asks for a code.
type CodeRequest struct {
	// Auth opens the touch class; it does not unlock the vault.
	Auth Auth `json:"auth,omitzero"`
	// Fresh waits for a time step that was never handed out before.
	Fresh bool `json:"fresh,omitempty"`
	// MinRemaining waits for the next step when fewer seconds remain.
	MinRemaining int `json:"min_remaining,omitempty"`
	// NoTouchWait fails with TouchTimeout rather than wait for a touch.
	NoTouchWait bool `json:"no_touch_wait,omitempty"`
	// Interaction is "none" (the same as empty) or "agent": then the call waits,
	// two minutes at most, while the user's agent asks him for what is wanting: the
	// PIN that unlocks the vault, his consent. Without an agent it is as with "none".
	Interaction string `json:"interaction,omitempty"`
	// Passive says that nobody asked for this very code (a list being
	// refreshed): it does not extend the idle limit.
	Passive bool `json:"passive,omitempty"`
}

// Code is a code. A HOTP code has a Counter and no times.
type Code struct {
	Version    int        `json:"version"`
	Account    AccountRef `json:"account"`
	Code       string     `json:"code"`
	ValidFrom  Time       `json:"valid_from,omitzero"`
	ValidUntil Time       `json:"valid_until,omitzero"`
	Period     int        `json:"period,omitempty"`
	Counter    *uint64    `json:"counter,omitempty"`
}

// InitRequest makes the caller's vault.
type InitRequest struct {
	// Enroll is the first token; nil makes a vault that the recovery password
	// alone opens, which then must be set.
	Enroll *EnrollRequest `json:"enroll,omitempty"`
	// RecoveryPassword is 10 to 128 characters; empty for none.
	RecoveryPassword Secret `json:"recovery_password,omitempty"`
}

// InitResult says what was made. The vault is unlocked.
type InitResult struct {
	Version  int       `json:"version"`
	Vault    Vault     `json:"vault"`
	Token    *Token    `json:"token,omitempty"`
	Warnings []Warning `json:"warnings"`
}

// UnlockRequest opens the session class.
type UnlockRequest struct {
	Auth Auth `json:"auth,omitzero"`
	// Interaction is as in CodeRequest; without an agent the call fails as with
	// "none".
	Interaction string `json:"interaction,omitempty"`
}

// UnlockResult says how the vault is now.
type UnlockResult struct {
	Version int       `json:"version"`
	Vault   Vault     `json:"vault"`
	Notices []Warning `json:"notices"`
}

// RecoverVaultRequest repairs a damaged vault.
type RecoverVaultRequest struct {
	Auth Auth `json:"auth,omitzero"`
	// Apply makes the last good generation the newest; without it the
	// differences are only listed.
	Apply bool `json:"apply,omitempty"`
}

// RecoverVaultResult says what is damaged and what the last good generation has.
type RecoverVaultResult struct {
	Version    int       `json:"version"`
	Damaged    bool      `json:"damaged"`
	Problem    string    `json:"problem,omitempty"`
	Generation uint64    `json:"generation"` // the last good one
	Written    Time      `json:"written,omitzero"`
	Signer     string    `json:"signer"` // of the last good one, hexadecimal
	Accounts   []Account `json:"accounts"`
	// Lost says what is known of the changes after that generation.
	Lost    []string `json:"lost"`
	Applied bool     `json:"applied"`
	// Kept is where the damaged file was put.
	Kept string `json:"kept,omitempty"`
	// Notices say what else there is to know, such as HOTP counters skipped.
	Notices []Warning `json:"notices"`
}

// SetRecoveryRequest sets the recovery password. Auth opens the vault anew, or
// the touch class where accounts are in it: an unlocked vault is not enough to
// change who can open it.
type SetRecoveryRequest struct {
	Auth     Auth   `json:"auth,omitzero"`
	Password Secret `json:"password"`
}

// RecoveryResult says what is in force now.
type RecoveryResult struct {
	Version int   `json:"version"`
	Set     Time  `json:"set"`
	Vault   Vault `json:"vault"`
	// OldBackups are the confirmed ones that the former password still opens.
	OldBackups []string `json:"old_backups"`
	// Warnings say what else changed, such as the signer.
	Warnings []Warning `json:"warnings"`
}

// CheckRecoveryRequest tries a password against the vault; nothing is opened.
type CheckRecoveryRequest struct {
	Password Secret `json:"password,omitempty"`
	Key      Secret `json:"key,omitempty"`
}

// CheckRecoveryResult says that the password is right; a wrong one is the error
// WrongPassword.
type CheckRecoveryResult struct {
	Version int  `json:"version"`
	Set     Time `json:"set"`
	// Checked is when the password was last given right, which a check of the key
	// leaves as it was; zero if never since it was set.
	Checked Time `json:"checked,omitzero"`
}

// ShowRecoveryKeyRequest asks for the recovery key itself, to be printed.
type ShowRecoveryKeyRequest struct {
	Password Secret `json:"password"`
}

// RecoveryKey is the recovery key.
type RecoveryKey struct {
	Version int    `json:"version"`
	Key     Secret `json:"key"`
	VaultID string `json:"vault_id"`
	Signer  string `json:"signer"`
}

// Backup is a backup's bytes and what is in them.
type Backup struct {
	Version int `json:"version"`
	// Name is a proposal for the file's name.
	Name       string `json:"name"`
	VaultID    string `json:"vault_id"`
	Generation uint64 `json:"generation"`
	SHA256     string `json:"sha256"` // of Data, hexadecimal
	// Accounts is -1 while the vault is locked.
	Accounts int `json:"accounts"`
	// OpenedBy says what opens it: labels of keyslots, "recovery password".
	OpenedBy []string `json:"opened_by"`
	Data     []byte   `json:"data"`
}

// ConfirmBackupRequest says that a backup is where it belongs.
type ConfirmBackupRequest struct {
	// Name is what the user knows it by: the file's path. It comes back in lists
	// of old backups.
	Name   string `json:"name"`
	SHA256 string `json:"sha256"` // of what was read back, hexadecimal
	// Elsewhere says that it is on another file system than the vault, or synced
	// to another machine.
	Elsewhere bool `json:"elsewhere,omitempty"`
}

// ConfirmBackupResult says what counts as the last backup now.
type ConfirmBackupResult struct {
	Version    int  `json:"version"`
	LastBackup Time `json:"last_backup"`
}

// InspectBackupRequest opens a backup with Auth.
type InspectBackupRequest struct {
	Auth Auth   `json:"auth,omitzero"`
	Data []byte `json:"data"`
}

// BackupContents is what a backup holds.
type BackupContents struct {
	Version    int       `json:"version"`
	VaultID    string    `json:"vault_id"`
	Epoch      uint64    `json:"epoch"`
	Generation uint64    `json:"generation"`
	Written    Time      `json:"written"`
	Signer     string    `json:"signer"`
	OpenedBy   []string  `json:"opened_by"`
	Accounts   []Account `json:"accounts"`
}

// BackupFile is where a backup was read from. The daemon opens nothing there.
type BackupFile struct {
	Path string `json:"path,omitempty"` // absolute; empty when it is in no file
	// Volume names the file system that it is on, as BackupStatus does the vault's;
	// empty when that is not known.
	Volume string `json:"volume,omitempty"`
	// Synced says that another program copies it to another machine.
	Synced bool `json:"synced,omitempty"`
}

// RestoreBackupRequest makes a vault from a backup; Auth opens it.
type RestoreBackupRequest struct {
	Auth Auth   `json:"auth,omitzero"`
	Data []byte `json:"data"`
	// Signer, when set, is the only fingerprint accepted.
	Signer string `json:"signer,omitempty"`
	// From is the file it was read from: as that the backup is known from then on.
	From BackupFile `json:"from,omitzero"`
}

// RestoreResult says what was restored. The vault is unlocked.
type RestoreResult struct {
	Version  int       `json:"version"`
	Vault    Vault     `json:"vault"`
	Accounts []Account `json:"accounts"`
	Notices  []Warning `json:"notices"`
}
