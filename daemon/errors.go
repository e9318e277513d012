package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// wireTime is t as it travels: UTC, whole seconds, no monotonic reading.
func wireTime(t time.Time) ipc.Time { return ipc.WireTime(t) }

// fault is how a failure with a cause is answered; the cause is for the log.
func fault(kind ipc.Kind, cause error, message string, args ...any) *ipc.Error {
	return &ipc.Error{Kind: kind, Message: fmt.Sprintf(message, args...), Err: cause}
}

// errNoVault is what a caller without a vault gets; it is the same whether he
// never had one or may not have one.
func errNoVault() *ipc.Error { return ipc.Errorf(ipc.NoVault, "there is no vault") }

func errLocked() *ipc.Error { return ipc.Errorf(ipc.VaultLocked, "the vault is locked") }

// errFilesGone says that the vault's files were removed under the daemon.
func errFilesGone(cause error) *ipc.Error {
	return fault(ipc.VaultDamaged, cause, "the vault's folder, or a file in it, was removed while the daemon ran; nothing was written")
}

func errClosing() *ipc.Error { return ipc.Errorf(ipc.Cancelled, "the daemon is stopping") }

// errLockedBefore ends an unlock that a lock overtook.
func errLockedBefore() *ipc.Error {
	return ipc.Errorf(ipc.Cancelled, "the vault was locked while it was being unlocked")
}

// errLockedMeanwhile is the cause a session's context ends with.
type errLockedMeanwhile struct{ reason, slot string }

// pulledOut is the reason for a lock because the session's token is gone.
const pulledOut = "the token that unlocked it was pulled out"

func (e errLockedMeanwhile) Error() string { return "the vault was locked: " + e.reason }

// tokenKinds maps why a token failed to what a client acts on.
func tokenKind(c tokens.Code) ipc.Kind {
	switch c {
	case tokens.CodeNotPresent:
		return ipc.TokenNotPresent
	case tokens.CodeNoService:
		return ipc.TokenService
	case tokens.CodeProtocol, tokens.CodeTimeout:
		return ipc.TokenFailed
	case tokens.CodeWrongToken:
		return ipc.NoKeyslot
	case tokens.CodePINRequired:
		return ipc.PINRequired
	case tokens.CodePINInvalid:
		return ipc.PINInvalid
	case tokens.CodePINBlocked:
		return ipc.PINBlocked
	case tokens.CodeLastTry:
		return ipc.PINLastTry
	case tokens.CodePINPaused:
		return ipc.PINPaused
	case tokens.CodePINNotSet:
		return ipc.PINNotSet
	case tokens.CodePINChange:
		return ipc.PINChange
	case tokens.CodePINPolicy:
		return ipc.PINPolicy
	case tokens.CodeTouchTimeout:
		return ipc.TouchTimeout
	case tokens.CodeTouchDenied:
		return ipc.TouchDenied
	case tokens.CodeCancelled:
		return ipc.Cancelled
	case tokens.CodeRemoved:
		return ipc.TokenRemoved
	case tokens.CodeBusy:
		return ipc.Busy
	case tokens.CodeOccupied:
		return ipc.TokenOccupied
	case tokens.CodeEnrolled:
		return ipc.AlreadyExists
	case tokens.CodeNoSpace:
		return ipc.TokenFull
	case tokens.CodeNoAccess:
		return ipc.TokenAccess
	case tokens.CodeNoKey:
		return ipc.NotFound
	case tokens.CodeManagement:
		return ipc.NotAuthorized
	case tokens.CodeUnsupported:
		return ipc.TokenUnsupported
	case tokens.CodeInvalid:
		return ipc.InvalidArgument
	default:
		return ipc.Internal
	}
}

// tokenMessage is the fact behind a token's failure, without its name.
func tokenMessage(e *tokens.Error, kind tokens.Kind) string {
	pin := "PIN"
	if kind == tokens.KindSoft {
		pin = "passphrase"
	}
	switch e.Code {
	case tokens.CodeNotPresent:
		return "it is not present"
	case tokens.CodeWrongToken:
		return "another token is in its place"
	case tokens.CodePINRequired:
		return "its " + pin + " is needed"
	case tokens.CodePINInvalid:
		switch {
		case e.Tries == 1:
			return "the " + pin + " is wrong, 1 try is left"
		case e.Tries > 1:
			return fmt.Sprintf("the %s is wrong, %d tries are left", pin, e.Tries)
		}
		return "the " + pin + " is wrong"
	case tokens.CodePINBlocked:
		return "its " + pin + " is blocked"
	case tokens.CodeLastTry:
		return "only one " + pin + " try is left and it was not spent"
	case tokens.CodePINPaused:
		return "it takes no " + pin + " until it has been pulled out and put back"
	case tokens.CodePINNotSet:
		return "it wants a " + pin + " to be set first"
	case tokens.CodePINChange:
		return "it wants its " + pin + " to be changed first"
	case tokens.CodeEnrolled:
		return "it is enrolled already"
	case tokens.CodeNoSpace:
		return "it has no room for another key"
	case tokens.CodeTouchTimeout:
		return "it was not touched in time"
	case tokens.CodeTouchDenied:
		return "the touch was denied"
	case tokens.CodeCancelled:
		return "the operation was cancelled"
	case tokens.CodeRemoved:
		return "it was pulled out"
	}
	if e.Detail != "" {
		return e.Detail
	}
	return string(e.Code)
}

// tokenError maps a driver's failure; ref names the token for the caller.
func tokenError(err error, ref ipc.TokenRef) *ipc.Error {
	var te *tokens.Error
	if !errors.As(err, &te) {
		return mapError(err)
	}
	e := &ipc.Error{Kind: tokenKind(te.Code), Err: err, Token: &ref}
	name := ref.Label
	if name == "" {
		name = ref.ID
	}
	e.Message = fmt.Sprintf("cannot use token %q: %s", name, tokenMessage(te, tokens.Kind(ref.Kind)))
	switch te.Code {
	case tokens.CodePINInvalid, tokens.CodePINRequired, tokens.CodeLastTry, tokens.CodePINBlocked, tokens.CodePINPaused:
		if te.Tries >= 0 {
			e.TriesLeft = new(te.Tries)
		}
	case tokens.CodeBusy:
		e.RetryAfter = 1
	}
	return e
}

// mapError turns any failure of the parts below into what a client acts on.
// Messages say what was kept where something was at stake.
func mapError(err error) *ipc.Error {
	var already *ipc.Error
	if errors.As(err, &already) {
		return already
	}
	var te *tokens.Error
	if errors.As(err, &te) {
		e := fault(tokenKind(te.Code), err, "cannot use the token: %s", tokenMessage(te, ""))
		if te.Tries >= 0 && tokenKind(te.Code) != ipc.Internal {
			e.TriesLeft = new(te.Tries)
		}
		return e
	}
	var locked errLockedMeanwhile
	switch {
	case errors.As(err, &locked):
		e := fault(ipc.VaultLocked, err, "%s", locked.Error())
		e.Meanwhile = true
		return e
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault(ipc.Cancelled, err, "the call was cancelled")
	}
	return vaultError(err)
}

// vaultError maps the failures of the vault.
func vaultError(err error) *ipc.Error {
	switch {
	case errors.Is(err, vault.ErrNoVault):
		e := errNoVault()
		e.Err = err
		return e
	case errors.Is(err, vault.ErrLocked):
		e := errLocked()
		e.Err = err
		return e
	case errors.Is(err, vault.ErrInvalid), errors.Is(err, vault.ErrPasswordRule):
		return fault(ipc.InvalidArgument, err, "%s", err)
	case err == vault.ErrExists: //nolint:errorlint // one with details says them
		return fault(ipc.AlreadyExists, err, "there is a vault already; it was left as it is")
	case errors.Is(err, vault.ErrExists):
		return fault(ipc.AlreadyExists, err, "%s; it was left as it is", err)
	case errors.Is(err, vault.ErrNewer):
		return fault(ipc.NewerVersion, err, "a newer version of tokend wrote this; it was left as it is")
	case errors.Is(err, vault.ErrReplaced):
		return fault(ipc.VaultReplaced, err, "the vault file is not the one this daemon knows%s; nothing in it was used or changed", detail(err, vault.ErrReplaced))
	case errors.Is(err, vault.ErrRolledBack):
		return fault(ipc.VaultRolledBack, err, "the vault file is older than the newest this daemon wrote%s; nothing in it was used or changed", detail(err, vault.ErrRolledBack))
	case errors.Is(err, vault.ErrWrongPassword):
		return fault(ipc.WrongPassword, err, "the recovery password or key is wrong")
	case errors.Is(err, vault.ErrNoRecovery):
		return fault(ipc.NotFound, err, "no recovery password was ever set")
	case errors.Is(err, vault.ErrNoPin):
		return fault(ipc.VaultReplaced, err, "nothing vouches for the vault file; nothing in it was used or changed")
	case errors.Is(err, vault.ErrBusy):
		return &ipc.Error{Kind: ipc.Busy, Err: err, Message: "another process uses the vault", RetryAfter: 1}
	case errors.Is(err, vault.ErrReadOnly):
		return fault(ipc.VaultDamaged, err, "the newest generation of the vault is damaged; the one before is open for reading only")
	case errors.Is(err, vault.ErrDamaged):
		return fault(ipc.VaultDamaged, err, "the vault is damaged and no good generation of it is left; its files were kept")
	case errors.Is(err, vault.ErrJournal):
		return fault(ipc.VaultDamaged, err, "the journal of counters is damaged; its file was kept")
	case errors.Is(err, vault.ErrNotArchive):
		return fault(ipc.VaultDamaged, err, "the vault file is no vault; its files were kept")
	}
	return slotError(err)
}

// newestDamaged is for a vault whose newest generation is damaged where an
// earlier one, which is what head tells of, is not.
func (u *user) newestDamaged(head vault.Head) *ipc.Error {
	return fault(ipc.VaultDamaged, head.Problem, "the newest generation of the vault is damaged; %s can be opened, for reading only",
		u.whichGeneration(head.Generation, head.Written))
}

// whichGeneration says which generation stands in for the newest: it need not be
// the one before.
func (u *user) whichGeneration(number uint64, written time.Time) string {
	which := fmt.Sprintf("generation %d", number)
	if store, err := u.storeIfAny(); err == nil && store != nil {
		if known, err := store.Known(); err == nil && known.Generation > number {
			which += fmt.Sprintf(" of %d", known.Generation)
		}
	}
	return which + ", written " + written.UTC().Format(time.RFC3339) + ","
}

// detail is what err says after what, in brackets: ids and fingerprints, which
// are no secrets.
func detail(err, what error) string {
	_, after, ok := strings.Cut(err.Error(), what.Error()+": ")
	if !ok {
		return ""
	}
	return " (" + after + ")"
}

// slotError maps the failures that concern keyslots and accounts.
func slotError(err error) *ipc.Error {
	switch {
	case errors.Is(err, vault.ErrLastWay):
		return fault(ipc.LastKeyslot, err, "it is the last way to open accounts%s", detail(err, vault.ErrLastWay))
	case errors.Is(err, vault.ErrWrongKey):
		return fault(ipc.NoKeyslot, err, "the token's key does not open the keyslot")
	case errors.Is(err, vault.ErrNoSecret):
		return fault(ipc.AccountInactive, err, "the account has no secret on this device")
	case errors.Is(err, vault.ErrUncertain):
		return fault(ipc.Internal, err, "the change was made, but it may not survive a power failure")
	case errors.Is(err, vault.ErrNoKeyslot):
		return fault(ipc.NoKeyslot, err, "no keyslot opens this")
	case errors.Is(err, vault.ErrDiskFull), errors.Is(err, syscall.ENOSPC):
		return fault(ipc.DiskFull, err, "the disk is full; the vault is as it was before")
	case errors.Is(err, vault.ErrNotFound):
		return fault(ipc.NotFound, err, "there is no such thing")
	case errors.Is(err, vault.ErrConflict):
		return fault(ipc.Conflict, err, "the vault was changed at the same time; nothing was changed by this call")
	case errors.Is(err, fs.ErrNotExist):
		return errFilesGone(err)
	case errors.Is(err, fs.ErrPermission):
		return fault(ipc.Internal, err, "cannot use the state folder: permission denied")
	}
	return fault(ipc.Internal, err, "the daemon failed; its log says why")
}

// backupError maps what can be wrong with a backup's bytes; nothing was changed
// by them.
func backupError(err error) *ipc.Error {
	var already *ipc.Error
	switch {
	case errors.As(err, &already):
		return already
	case errors.Is(err, vault.ErrNotArchive):
		return fault(ipc.BackupDamaged, err, "this is not a backup")
	case errors.Is(err, vault.ErrDamaged):
		return fault(ipc.BackupDamaged, err, "the backup is damaged")
	case errors.Is(err, vault.ErrNewer):
		return fault(ipc.NewerVersion, err, "a newer version of tokend wrote this backup")
	case errors.Is(err, vault.ErrNotVouched):
		return fault(ipc.BackupUnknown, err, "%s; nothing was used or changed",
			strings.TrimPrefix(strings.TrimPrefix(err.Error(), "cannot restore: "), "cannot merge: "))
	case errors.Is(err, vault.ErrNoRecovery):
		return fault(ipc.NotFound, err, "no recovery password had been set when the backup was made")
	}
	return mapError(err)
}

// plainly is why something in the state folder cannot be done: what the system said of
// which file, where nothing better is known.
func plainly(err error) string {
	e := mapError(err)
	var file *fs.PathError
	if e.Kind == ipc.Internal && errors.As(err, &file) {
		return fmt.Sprintf("%s cannot be used: %v", filepath.Dir(file.Path), file.Err)
	}
	return e.Message
}
