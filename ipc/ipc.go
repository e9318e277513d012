// Package ipc is the contract between the daemon and whoever speaks with it:
// the wire types, the kinds of error, who a caller is, and the Backend that the
// adapters (ipc/httpapi, ipc/dbus) serve. It imports nothing of ours, so that
// adapters and daemon never need each other.
package ipc

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Version is the version of every JSON document of the API.
const Version = 1

// Principal is who calls: what the kernel says of the socket's other end, never
// what the caller says of himself.
type Principal struct {
	// UID is the user's number, or on Windows his SID.
	UID string
	// PID is the calling process, 0 when not known. It can be reused: for
	// display only, never for authorisation.
	PID int
	// Program is the caller's short process name, for display only.
	Program string
	// Session is the login session (logind's id), Unit the unit or scope of
	// systemd that the process runs in, Exe the path of its file. Each is empty
	// where it is not known. A grant is for what has them in common; a program of
	// the same user can have itself started under any of them.
	Session, Unit, Exe string
	// Terminal is the controlling terminal ("pts/3") and Leader the process that
	// leads the process session, where the kernel tells of no unit; else both are
	// empty. A grant then is for what has them in common: mostly one window.
	Terminal string
	Leader   int
	// Admin is set for root and for the owner of a user's own daemon.
	Admin bool
	// Via is "bus" for a call over a message bus, and empty for the daemon's own
	// socket or pipe.
	Via string
}

// From says for an audit where a call came from: how, by which user and process.
// Not by which program: an audit has no names, and a program's can be a person's or
// a service's, and is what the program says of itself.
func (p Principal) From() string {
	via := p.Via
	if via == "" {
		via = "local"
	}
	s := via + " uid=" + p.UID
	if p.PID != 0 {
		s += " pid=" + strconv.Itoa(p.PID)
	}
	return s
}

// RequestHeader is the field of a request over HTTP that holds its name.
const RequestHeader = "Tokend-Request"

// MaxRequestName is the greatest length of a request's name in bytes.
const MaxRequestName = 64

type requestName struct{}

// NameRequest returns a context for a call that its caller calls name. The name
// comes back in the events of what the call waits for; it is the caller's own
// word, and decides nothing.
func NameRequest(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, requestName{}, name)
}

// RequestName is what the caller calls the call of ctx, empty if nothing.
func RequestName(ctx context.Context) string {
	name, _ := ctx.Value(requestName{}).(string)
	return name
}

// Secret is a PIN, password, key or OTP secret on its way. It prints as
// "[secret]" in every format; only JSON, which is the wire, carries it.
type Secret []byte

// String hides the secret.
func (s Secret) String() string { return "[secret]" }

// GoString hides the secret.
func (s Secret) GoString() string { return "[secret]" }

// Format hides the secret from every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[secret]")) }

// MarshalJSON writes the secret as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(string(s)) }

// UnmarshalJSON reads the secret from a JSON string.
func (s *Secret) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*s = nil
		return nil
	}
	if len(b) < 2 || b[0] != '"' || !json.Valid(b) {
		return fmt.Errorf("a secret must be a string") // never the value
	}
	// encoding/json would make a Go string of it, which nobody could wipe.
	*s = unquote(b[1 : len(b)-1])
	return nil
}

// unquote is what stands between the quotes of a valid JSON string, in one piece
// of memory. What is no valid Unicode becomes U+FFFD, as encoding/json has it.
func unquote(b []byte) Secret {
	// An escape is longer than what it stands for; a stray byte is not.
	stray := 0
	for rest := b; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if r == utf8.RuneError && n == 1 {
			stray++
		}
		rest = rest[n:]
	}
	out := make(Secret, 0, len(b)+2*stray)
	for len(b) > 0 {
		if b[0] != '\\' {
			r, n := utf8.DecodeRune(b)
			out, b = utf8.AppendRune(out, r), b[n:]
			continue
		}
		if b[1] != 'u' {
			out, b = append(out, unescape(b[1])), b[2:]
			continue
		}
		r := hex4(b[2:6])
		b = b[6:]
		if utf16.IsSurrogate(r) {
			pair := utf8.RuneError
			if len(b) >= 6 && b[0] == '\\' && b[1] == 'u' {
				pair = utf16.DecodeRune(r, hex4(b[2:6]))
			}
			if r = pair; r != utf8.RuneError {
				b = b[6:]
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

// unescape is the byte that a backslash and c stand for.
func unescape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// hex4 reads four hexadecimal digits, which json.Valid has seen to be some.
func hex4(b []byte) (r rune) {
	for _, c := range b {
		switch {
		case c >= 'a':
			c -= 'a' - 10
		case c >= 'A':
			c -= 'A' - 10
		default:
			c -= '0'
		}
		r = r<<4 | rune(c)
	}
	return r
}

// AppendJSON appends the secret as a JSON string, in memory of the caller's:
// encoding/json works in buffers that it keeps. What is no valid Unicode becomes
// U+FFFD.
func (s Secret) AppendJSON(to []byte) []byte {
	const hex = "0123456789abcdef"
	to = append(to, '"')
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		switch c := s[0]; {
		case c == '"' || c == '\\':
			to = append(to, '\\', c)
		case c < ' ':
			to = append(to, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			to = utf8.AppendRune(to, r)
		}
		s = s[n:]
	}
	return append(to, '"')
}

// Wipe overwrites the secret.
func (s Secret) Wipe() { clear(s) }

// Auth is what a caller offers to open a class of the vault. With nothing set
// the daemon takes an enrolled token that is present, and fails with
// PINRequired, naming it, if that wants a PIN.
type Auth struct {
	// Token is a keyslot id (or its label, if unique). A PIN is used for no
	// other token; a PIN without Token is refused when several enrolled tokens
	// are present.
	Token string `json:"token,omitempty"`
	// PIN is the token's PIN, or a software token's passphrase.
	PIN Secret `json:"pin,omitempty"`
	// SpendLastTry allows PIN to be tried when only one try is left.
	SpendLastTry bool `json:"spend_last_try,omitempty"`
	// RecoveryPassword opens without any token.
	RecoveryPassword Secret `json:"recovery_password,omitempty"`
	// RecoveryKey is the age identity AGE-SECRET-KEY-1…, instead of the password.
	RecoveryKey Secret `json:"recovery_key,omitempty"`
}

// Backend is all that the daemon offers. Every method takes the caller and
// shows him nothing but his own; every error is an *Error.
type Backend interface {
	Reporter
	Vaults
	Accounts
	Tokens
	Recovery
	Backups
	AutoBackups
	Grants
	Agents
	Managed
}

// Reporter tells how things are.
type Reporter interface {
	Status(ctx context.Context, p Principal) (Status, error)
	// Events reports to send until ctx ends or send fails: first the present
	// state (one "state" event, then one event for each token present and each
	// touch being waited for), then what changes.
	Events(ctx context.Context, p Principal, send func(Event) error) error
	Doctor(ctx context.Context, p Principal) (Findings, error)
	Audit(ctx context.Context, p Principal) (AuditLog, error)
	// AuditEntries is a page of the caller's chain, of the entries that are asked
	// for.
	AuditEntries(ctx context.Context, p Principal, q AuditQuery) (AuditPage, error)
	// CheckpointAudit signs that the caller's chain has the entry that is its last.
	// It fails with VaultLocked while the vault is, whose key signs.
	CheckpointAudit(ctx context.Context, p Principal) (AuditCheckpoint, error)
	// VerifyAudit checks the caller's chain, and how it stands to checkpoints.
	VerifyAudit(ctx context.Context, p Principal, r VerifyAuditRequest) (AuditVerdict, error)
}

// Vaults makes, opens and closes the caller's vault.
type Vaults interface {
	Init(ctx context.Context, p Principal, r InitRequest) (InitResult, error)
	Unlock(ctx context.Context, p Principal, r UnlockRequest) (UnlockResult, error)
	Lock(ctx context.Context, p Principal) error
	// RecoverVault compares a damaged vault with the last good generation and,
	// with Apply, makes that the newest.
	RecoverVault(ctx context.Context, p Principal, r RecoverVaultRequest) (RecoverVaultResult, error)
	// Leaving says what purging the vault would lose, and what would remain.
	Leaving(ctx context.Context, p Principal) (Leaving, error)
	// Purge removes the vault from this machine for good, locked or damaged as
	// it may be. It fails with Conflict where no backup is known from which it
	// could be restored, unless WithoutBackup.
	Purge(ctx context.Context, p Principal, r PurgeRequest) (PurgeResult, error)
}

// Accounts reads and changes the caller's accounts. id is an account's id, or
// a name if it is unique (see Code).
type Accounts interface {
	Accounts(ctx context.Context, p Principal) (AccountList, error)
	Account(ctx context.Context, p Principal, id string) (Account, error)
	AddAccounts(ctx context.Context, p Principal, r AddAccountsRequest) (AccountList, error)
	EditAccount(ctx context.Context, p Principal, id string, r EditAccountRequest) (Account, error)
	MoveAccount(ctx context.Context, p Principal, id string, r MoveAccountRequest) (AccountList, error)
	RemoveAccount(ctx context.Context, p Principal, id string, r RemoveAccountRequest) (RemoveAccountResult, error)
	// RemoveAccounts removes all of the accounts, or none.
	RemoveAccounts(ctx context.Context, p Principal, r RemoveAccountsRequest) (RemoveAccountsResult, error)
	// ImportAccounts compares accounts from elsewhere with the caller's and, with
	// Apply, brings them in: in one step that Undo takes back.
	ImportAccounts(ctx context.Context, p Principal, r ImportRequest) (Plan, error)
	// Undos lists what Undo can take back.
	Undos(ctx context.Context, p Principal) (UndoList, error)
	// Undo says what taking back a step would do and, with Apply, does it. What was
	// changed later stays.
	Undo(ctx context.Context, p Principal, r UndoRequest) (Plan, error)
	// RevealAccount hands out the account's secret as an otpauth URI; audited.
	RevealAccount(ctx context.Context, p Principal, id string, r RevealRequest) (Reveal, error)
	// ExportAccounts hands out the secrets of several accounts; each is audited.
	// Those that may not leave are named in the answer and keep no other back.
	ExportAccounts(ctx context.Context, p Principal, r ExportRequest) (Export, error)
	// Code makes a code. ref is an id, a name, an issuer, or "issuer:name";
	// matching is exact first, then without case, then by substring.
	Code(ctx context.Context, p Principal, ref string, r CodeRequest) (Code, error)
}

// Tokens lists and enrols tokens. id is a keyslot id or label for enrolled
// tokens, else the id that Tokens lists.
type Tokens interface {
	Tokens(ctx context.Context, p Principal) (TokenList, error)
	TokenInfo(ctx context.Context, p Principal, id string) (TokenInfo, error)
	EnrollToken(ctx context.Context, p Principal, r EnrollRequest) (EnrollResult, error)
	RevokeToken(ctx context.Context, p Principal, id string, r RevokeRequest) (RevokeResult, error)
	TestToken(ctx context.Context, p Principal, id string, r TestTokenRequest) (TestTokenResult, error)
	RenameToken(ctx context.Context, p Principal, id string, r RenameTokenRequest) (Token, error)
	ChangePIN(ctx context.Context, p Principal, id string, r ChangePINRequest) error
	WipeToken(ctx context.Context, p Principal, id string, r WipeTokenRequest) (WipeTokenResult, error)
	// MakeSecurityKey has a FIDO2 key that is plugged in make a credential for an
	// authority, whose user it is registered for by SecurityKeys. It takes two
	// touches, and fails as EnrollToken does.
	MakeSecurityKey(ctx context.Context, p Principal, r MakeSecurityKeyRequest) (MadeSecurityKey, error)
}

// Recovery keeps the way back that needs no token.
type Recovery interface {
	SetRecoveryPassword(ctx context.Context, p Principal, r SetRecoveryRequest) (RecoveryResult, error)
	// DeclineRecovery notes that the owner was asked for a recovery password and
	// wants none: AskRecovery rests for a while.
	DeclineRecovery(ctx context.Context, p Principal) error
	CheckRecovery(ctx context.Context, p Principal, r CheckRecoveryRequest) (CheckRecoveryResult, error)
	ShowRecoveryKey(ctx context.Context, p Principal, r ShowRecoveryKeyRequest) (RecoveryKey, error)
	// RotateRecovery makes a new recovery key and a new epoch, so that the old
	// key opens no later vault or backup.
	RotateRecovery(ctx context.Context, p Principal, r SetRecoveryRequest) (RecoveryResult, error)
}

// Backups makes and restores backups. Files travel as bytes: the daemon opens
// no file of a user.
type Backups interface {
	// CreateBackup works while the vault is locked. It counts as made once
	// ConfirmBackup says so.
	CreateBackup(ctx context.Context, p Principal) (Backup, error)
	// ConfirmBackup tells that the bytes of CreateBackup were written, synced and
	// read back. It fails with NotFound for a backup that this daemon did not
	// hand out since it started.
	ConfirmBackup(ctx context.Context, p Principal, r ConfirmBackupRequest) (ConfirmBackupResult, error)
	// InspectBackup opens a backup with a token (or anything in Auth) and says
	// what a restore would bring; it changes nothing.
	InspectBackup(ctx context.Context, p Principal, r InspectBackupRequest) (BackupContents, error)
	// DrillBackup restores a backup into memory, makes a code of every account in
	// it, compares it with the vault where that is unlocked, and remembers a
	// backup that passed as proved. Nothing is written but that.
	DrillBackup(ctx context.Context, p Principal, r DrillRequest) (DrillResult, error)
	// RestoreBackup makes the caller's vault from a backup; it fails with
	// AlreadyExists where there is a vault. The files of one that cannot be used
	// are put aside and stay; a notice says where.
	RestoreBackup(ctx context.Context, p Principal, r RestoreBackupRequest) (RestoreResult, error)
	// MergeBackup compares what a backup has with the caller's open vault and, with
	// Apply, brings it in: in one step that Undo takes back.
	MergeBackup(ctx context.Context, p Principal, r MergeBackupRequest) (Plan, error)
}

// Grants says which programs of the user may have his codes and secrets.
type Grants interface {
	// Grants lists modes and grants; accounts have no names while the vault is
	// locked.
	Grants(ctx context.Context, p Principal) (GrantList, error)
	// SetGrantMode works while the vault is locked: for all accounts, and by its
	// id for one that has a mode of its own.
	SetGrantMode(ctx context.Context, p Principal, r SetGrantModeRequest) (GrantList, error)
	// AllowGrant makes a grant for the caller himself and those like him.
	AllowGrant(ctx context.Context, p Principal, r AllowRequest) (GrantList, error)
	RevokeGrants(ctx context.Context, p Principal, r RevokeGrantsRequest) (GrantList, error)
}

// Agents lets a program in the user's session ask him in the daemon's place.
type Agents interface {
	// Agent registers the caller as the agent of his login session for as long as
	// it runs, and reports like Events, and what is to be asked: "pin-wanted"
	// and "consent-wanted", each withdrawn by its "…-done". can holds the
	// AgentCan… words, between commas, and can be empty. Where the session has
	// an agent that is another process it fails with AlreadyExists.
	Agent(ctx context.Context, p Principal, can string, send func(Event) error) error
	// AnswerAgent says what the user answered. It fails with NotFound where
	// nothing of that name is being asked (any more) of the caller's user.
	AnswerAgent(ctx context.Context, p Principal, r AgentAnswer) error
}
