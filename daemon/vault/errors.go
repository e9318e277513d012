package vault

import (
	"errors"
	"fmt"

	"github.com/tokenbridge/tokend/daemon/archive"
)

// The reasons for failing that a caller decides by. They are found with
// errors.Is; the error that carries them says more.
var (
	// ErrNoVault: there is no vault in the folder.
	ErrNoVault = errors.New("there is no vault")
	// ErrExists: there is a vault already, and it is not overwritten.
	ErrExists = errors.New("there is a vault already")
	// ErrDamaged: no generation that could be opened is intact, or a backup's
	// bytes are not what was written.
	ErrDamaged = archive.ErrDamaged
	// ErrNotArchive: the bytes are no vault or backup at all.
	ErrNotArchive = archive.ErrNotArchive
	// ErrNewer: a newer program wrote it; errors.As with *archive.NewerError
	// tells the version.
	ErrNewer = archive.ErrNewer
	// ErrReplaced: another vault, or one signed by somebody else, is in place of
	// the one that is known here.
	ErrReplaced = errors.New("the vault was replaced by another one")
	// ErrNotVouched: a backup is signed by another than was asked for, or by none
	// that is known here for its vault, or is of another vault.
	ErrNotVouched = errors.New("nothing vouches for the backup")
	// ErrRolledBack: an earlier state of the vault is in place of the newest.
	ErrRolledBack = errors.New("the vault was put back to an earlier state")
	// ErrNoPin: a vault is there, but nothing here tells that it is the right
	// one. Recover with apply accepts it.
	ErrNoPin = errors.New("nothing vouches for this vault")
	// ErrWrongPassword: the recovery password or recovery key does not open it.
	ErrWrongPassword = archive.ErrWrongPassword
	// ErrKeyTyped: what was given for the recovery key can be nobody's; it was
	// mistyped.
	ErrKeyTyped = archive.ErrKeyTyped
	// ErrNoRecovery: no recovery password was ever set.
	ErrNoRecovery = archive.ErrNoRecovery
	// ErrPasswordRule: a new recovery password is not 10 to 128 code points.
	ErrPasswordRule = archive.ErrPasswordRule
	// ErrWrongKey: the token did its part, but its key does not open the keyslot.
	ErrWrongKey = archive.ErrWrongKey
	// ErrOtherKeys: a backup is of another vault, or of an epoch whose keys the
	// open vault no longer has.
	ErrOtherKeys = errors.New("the keys of the open vault do not open it")
	// ErrNoKeyslot: no such keyslot, or it has no key for the class.
	ErrNoKeyslot = errors.New("no such keyslot")
	// ErrLastWay: the last way to a class that has accounts cannot be removed.
	ErrLastWay = errors.New("it is the last way to accounts of the vault")
	// ErrReadOnly: the newest generation is damaged and an earlier one is open.
	ErrReadOnly = errors.New("the vault is open for reading only")
	// ErrUndecided: a merge has conflicts that nobody decided; nothing was changed.
	ErrUndecided = errors.New("conflicts are not decided")
	// ErrTouchWanted: a merge needs the touch class of its backup opened, see
	// Incoming.OpenTouch; nothing was changed.
	ErrTouchWanted = errors.New("the touch class of the backup is not open")
	// ErrNameTaken: another account has the name.
	ErrNameTaken = errors.New("there is an account of that name")
	// ErrLocked: Lock was called; the Vault is of no more use.
	ErrLocked = errors.New("the vault is locked")
	// ErrConflict: the vault changed while a token was being waited for, or a
	// keyslot with that id or key is there already.
	ErrConflict = errors.New("the vault changed meanwhile")
	// ErrNotFound: no such account.
	ErrNotFound = errors.New("no such account")
	// ErrNoSecret: the account is there but its secret is not: a managed account
	// that came from a backup and was not reactivated.
	ErrNoSecret = errors.New("the account has no secret on this device")
	// ErrNotIssued: nobody is known to have issued the account.
	ErrNotIssued = errors.New("no authority is known for the account")
	// ErrInvalid: what the caller wants to store makes no sense or is too large.
	ErrInvalid = errors.New("invalid")
	// ErrDiskFull: there is no room; nothing was changed.
	ErrDiskFull = errors.New("no space left")
	// ErrJournal: the counter journal cannot be used.
	ErrJournal = errors.New("the counter journal cannot be used")
	// ErrBusy: another process has the folder open.
	ErrBusy = errors.New("another process uses the vault")
	// ErrUncertain: the change is in the file, but the system could not confirm
	// that it would survive a power failure. The Vault has the change. Create,
	// Restore and Recover turn it into a notice.
	ErrUncertain = errors.New("the change may not survive a power failure")
)

// ItemError is what is wrong with one account of a merge, or with a decision
// about it: ErrInvalid or ErrNameTaken.
type ItemError struct {
	Item int // its number, from 1
	Err  error
}

func (e *ItemError) Error() string { return fmt.Sprintf("item %d: %v", e.Item, e.Err) }

func (e *ItemError) Unwrap() error { return e.Err }
