package archive

import (
	"errors"
	"fmt"
)

// The reasons for failing that a caller decides by, with errors.Is.
var (
	// ErrNotArchive: the bytes are no container of ours.
	ErrNotArchive = errors.New("not a vault or backup")
	// ErrDamaged: a container, but not the bytes that were written.
	ErrDamaged = errors.New("damaged")
	// ErrNewer: written by a newer version of the format; see NewerError.
	ErrNewer = errors.New("written by a newer version")
	// ErrWrongPassword: the recovery password or recovery key is not the one.
	ErrWrongPassword = errors.New("wrong recovery password")
	// ErrNoRecovery: the container has no recovery key.
	ErrNoRecovery = errors.New("no recovery password was set")
	// ErrPasswordRule: a new password is not 10 to 128 code points after NFC.
	ErrPasswordRule = errors.New("a recovery password has 10 to 128 characters")
	// ErrWrongKey: a key does not open what was sealed.
	ErrWrongKey = errors.New("the key does not open this")
	// ErrTooLarge: what is to be written exceeds a bound of the format.
	ErrTooLarge = errors.New("too large")
)

// NewerError names the version that this program does not know.
type NewerError struct {
	What    string // which document: "tokend-vault", …
	Version int
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("%s format version %d is newer than this program", e.What, e.Version)
}

// Is makes errors.Is(err, ErrNewer) true.
func (e *NewerError) Is(target error) bool { return target == ErrNewer }

// damaged makes an error that is ErrDamaged and says what is wrong.
func damaged(detail string, args ...any) error {
	return fmt.Errorf("%w: "+detail, append([]any{ErrDamaged}, args...)...)
}
