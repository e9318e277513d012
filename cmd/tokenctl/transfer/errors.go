package transfer

import (
	"errors"
	"fmt"
)

// Kind is why a file could not be read; a caller chooses its advice by it.
type Kind string

// The kinds.
const (
	// NotThisFormat: Detect was wrong. Read of the package never returns it.
	NotThisFormat Kind = "not-this-format"
	// WrongPassword: the password does not open the file. Formats without a check
	// of their own cannot tell that from damage.
	WrongPassword Kind = "wrong-password"
	// PasswordNeeded: the file is encrypted and nobody can be asked.
	PasswordNeeded Kind = "password-needed"
	// Damaged: the file is cut short or changed.
	Damaged Kind = "damaged"
	// Unsupported: it is known what the file is, and why it cannot be read.
	Unsupported Kind = "unsupported"
	// NewerVersion: a version of the format that is not known here.
	NewerVersion Kind = "newer-version"
	// TooCostly: opening it would take more memory or time than is allowed.
	TooCostly Kind = "too-costly"
	// TooLarge: it is larger than MaxFile, or unpacks to more.
	TooLarge Kind = "too-large"
	// NoAccounts: a file of a known format without a single account.
	NoAccounts Kind = "no-accounts"
	// Empty: there is nothing in the file.
	Empty Kind = "empty"
	// Placeholder: what a cloud service leaves in the place of a file that is not
	// on this machine.
	Placeholder Kind = "placeholder"
	// WebPage: a page, perhaps of a log-in, was saved in place of the file.
	WebPage Kind = "web-page"
	// ListOnly: a list of accounts without their secrets.
	ListOnly Kind = "list-only"
	// OwnBackup: a vault or backup of tokend.
	OwnBackup Kind = "own-backup"
	// UnknownEncrypted: encrypted, or compressed, by an unknown product. Where a
	// password was asked for, a product that leaves no sign in its files was tried;
	// another password may do.
	UnknownEncrypted Kind = "unknown-encrypted"
	// Unknown: none of the known formats.
	Unknown Kind = "unknown"
)

// Error says why a file could not be read. Its words are the package's own: they
// repeat nothing of the file but version numbers and amounts.
type Error struct {
	Kind Kind
	// Format is the product, where known.
	Format string
	// Message is lower case, without full stop.
	Message string
	// Notes are those of the Result that came to nothing.
	Notes []string
}

func (e *Error) Error() string {
	if e.Format == "" {
		return e.Message
	}
	return e.Format + ": " + e.Message
}

// KindOf is the kind of an error of this package, or "".
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

func problem(kind Kind, format, message string, args ...any) error {
	return &Error{Kind: kind, Format: format, Message: fmt.Sprintf(message, args...)}
}

func notMine(format string) error {
	return problem(NotThisFormat, format, "the file is of another format")
}

func wrongPassword(format string) error {
	return problem(WrongPassword, format, "the password does not open the file")
}

func damaged(format, what string) error {
	return problem(Damaged, format, "the file is damaged: %s", what)
}

func newer(format string, version uint64) error {
	return problem(NewerVersion, format, "version %d of this format is not known", version)
}
