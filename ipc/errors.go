package ipc

import (
	"errors"
	"fmt"
	"time"
)

// Kind names a reason for failing that a client can act on. HTTP status, D-Bus
// error name and exit code follow from it; see Kinds.
type Kind string

// The kinds of error.
const (
	InvalidArgument  Kind = "invalid-argument"
	Unsupported      Kind = "unsupported"
	NotAuthorized    Kind = "not-authorized"
	ConsentRequired  Kind = "consent-required"
	NotFound         Kind = "not-found"
	NoVault          Kind = "no-vault"
	AlreadyExists    Kind = "already-exists"
	Ambiguous        Kind = "ambiguous"        // of accounts
	AmbiguousToken   Kind = "ambiguous-token"  // Items has ids, and readers or labels
	AccountInactive  Kind = "account-inactive" // its secret is not on this device: its authority has to make another
	VaultLocked      Kind = "vault-locked"
	TokenNotPresent  Kind = "token-not-present"
	TokenRemoved     Kind = "token-removed"
	NoKeyslot        Kind = "no-matching-keyslot"
	PINRequired      Kind = "token-pin-required"
	PINInvalid       Kind = "token-pin-invalid"
	PINBlocked       Kind = "token-pin-blocked"
	PINLastTry       Kind = "token-pin-last-try"
	PINPaused        Kind = "token-pin-paused"          // no PIN is taken until it has been pulled out and put back
	PINNotSet        Kind = "token-pin-not-set"         // it wants a PIN to be set first
	PINChange        Kind = "token-pin-change-required" // it wants its PIN to be changed first
	PINPolicy        Kind = "token-pin-policy"          // the token does not take the new PIN
	TouchTimeout     Kind = "token-touch-timeout"
	TouchDenied      Kind = "token-touch-denied"
	Cancelled        Kind = "cancelled"
	TokenUnsupported Kind = "token-unsupported"
	TokenOccupied    Kind = "token-slot-occupied" // a slot holds a key that was not named for overwriting
	TokenFull        Kind = "token-full"          // it has no room for another key
	TokenAccess      Kind = "token-no-access"     // the system does not let the daemon open it
	TokenUnattested  Kind = "token-not-attested"  // no maker that is trusted here vouches for it
	TokenFailed      Kind = "token-failed"        // it answered nonsense, or not at all
	TokenService     Kind = "token-service-down"  // pcscd or its like does not answer
	PasscodeInvalid  Kind = "passcode-invalid"
	PasscodeReused   Kind = "passcode-reused"
	Throttled        Kind = "throttled"
	BackupDamaged    Kind = "backup-damaged"
	BackupUnknown    Kind = "backup-not-vouched" // by another signer, or of another vault, than is known or asked for
	VaultDamaged     Kind = "vault-damaged"
	VaultReplaced    Kind = "vault-replaced"
	VaultRolledBack  Kind = "vault-rolled-back"
	WrongPassword    Kind = "wrong-password"
	NewerVersion     Kind = "newer-version"
	PolicyDenied     Kind = "policy-denied"
	ActivationBad    Kind = "activation-invalid"
	AuthorityDamaged Kind = "authority-damaged"      // its registry or its policy
	AuthorityKey     Kind = "authority-key-unusable" // missing, another's, or open to others
	Conflict         Kind = "conflict"
	RowsSkipped      Kind = "rows-skipped"
	LastKeyslot      Kind = "last-keyslot"
	Unreachable      Kind = "daemon-unreachable"
	BackupStale      Kind = "backup-stale"
	VerifierDown     Kind = "verifier-unreachable"
	MailFailed       Kind = "mail-failed" // a letter was not sent; what it was about is undone
	DiskFull         Kind = "disk-full"
	Busy             Kind = "busy"
	Internal         Kind = "internal"
)

// KindInfo is what follows from a Kind.
type KindInfo struct {
	Kind Kind
	HTTP int // status; 0 where the error never travels over HTTP
	Exit int // tokenctl's exit code
}

// Kinds returns the table of all kinds in the order of the documentation.
func Kinds() []KindInfo {
	return []KindInfo{
		{InvalidArgument, 400, 2}, {Unsupported, 400, 2},
		{NotAuthorized, 403, 10}, {ConsentRequired, 403, 10},
		{NotFound, 404, 11}, {NoVault, 404, 11}, {AlreadyExists, 409, 11}, {Ambiguous, 409, 11}, {AmbiguousToken, 409, 11}, {AccountInactive, 409, 11},
		{VaultLocked, 423, 12},
		{TokenNotPresent, 409, 13}, {TokenRemoved, 409, 13}, {NoKeyslot, 409, 13}, {TokenUnsupported, 409, 13},
		{TokenFull, 409, 13}, {TokenAccess, 403, 13}, {TokenUnattested, 403, 13},
		{TokenOccupied, 409, 20}, {TokenFailed, 502, 13}, {TokenService, 503, 13},
		{PINRequired, 428, 14}, {PINInvalid, 403, 14}, {PINBlocked, 423, 14}, {PINLastTry, 409, 14},
		{PINPaused, 423, 14}, {PINNotSet, 409, 14}, {PINChange, 409, 14}, {PINPolicy, 400, 14},
		{TouchTimeout, 408, 15}, {TouchDenied, 403, 15}, {Cancelled, 499, 15},
		{PasscodeInvalid, 403, 16}, {PasscodeReused, 403, 16},
		{Throttled, 429, 17},
		{BackupDamaged, 422, 18}, {BackupUnknown, 422, 18}, {VaultDamaged, 422, 18}, {VaultReplaced, 422, 18}, {VaultRolledBack, 422, 18},
		{WrongPassword, 403, 18}, {NewerVersion, 422, 18},
		{AuthorityDamaged, 422, 18}, {AuthorityKey, 503, 18},
		{PolicyDenied, 403, 19}, {ActivationBad, 403, 19},
		{Conflict, 409, 20}, {RowsSkipped, 409, 20}, {LastKeyslot, 409, 20},
		{Unreachable, 0, 21},
		{BackupStale, 200, 22},
		{VerifierDown, 503, 23}, {MailFailed, 502, 23}, {DiskFull, 507, 23},
		{Busy, 503, 1}, {Internal, 500, 1},
	}
}

// Info returns what follows from k; for a kind this program does not know it
// answers like Internal, so that an older client survives a newer daemon.
func (k Kind) Info() KindInfo {
	for _, i := range Kinds() {
		if i.Kind == k {
			return i
		}
	}
	return KindInfo{k, 500, 1}
}

// Error is how every call of Backend fails. It never holds a secret, and for a
// caller who may not know of a thing it is the same as for a missing thing.
type Error struct {
	Kind Kind `json:"kind"`
	// Message is a fact for people: lower case, no full stop, no advice.
	Message string `json:"message"`
	// Token is the token the error is about.
	Token *TokenRef `json:"token,omitempty"`
	// TriesLeft is how many PIN tries are left, where known.
	TriesLeft *int `json:"tries_left,omitempty"`
	// RetryAfter is in seconds, for Throttled and Busy.
	RetryAfter int `json:"retry_after,omitempty"`
	// Meanwhile, with VaultLocked, says that the vault was open when the call
	// began: somebody locked it, and may have meant to.
	Meanwhile bool `json:"meanwhile,omitempty"`
	// Items lists what the error is about: the accounts an ambiguous name could
	// mean, the accounts in conflict, the rows skipped.
	Items []Item `json:"items,omitempty"`
	// Err is the cause, for the daemon's log only.
	Err error `json:"-"`
}

// Item is one thing an error is about.
type Item struct {
	ID     string `json:"id,omitempty"`
	Name   string `json:"name,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// TokenRef names a token in errors and events.
type TokenRef struct {
	ID    string `json:"id"`              // keyslot id of an enrolled token, else the token's own id
	Label string `json:"label,omitempty"` // what the user calls it, or its model
	Kind  string `json:"kind,omitempty"`
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, &Error{Kind: k}) compare kinds.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind
}

// Errorf makes an *Error; message is as in fmt.Errorf, and a %w cause is kept
// for logs only if cause is passed in Err by the caller.
func Errorf(kind Kind, message string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(message, args...)}
}

// KindOf is the kind of err, Internal when it is not an *Error.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Time is a moment on the wire: RFC 3339, UTC, whole seconds.
type Time = time.Time

// WireTime is a time as the API tells it, in UTC and in whole seconds; none stays
// none.
func WireTime(t time.Time) Time {
	if t.IsZero() {
		return Time{}
	}
	return t.UTC().Truncate(time.Second)
}
