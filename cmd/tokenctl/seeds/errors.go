package seeds

import (
	"errors"
	"fmt"
)

// Kind is why a file could not be read; a caller chooses its advice by it.
type Kind string

// The kinds.
const (
	// WrongKey: the key or passphrase does not open the file.
	WrongKey Kind = "wrong-key"
	// KeyNeeded: the file is encrypted and nobody can be asked.
	KeyNeeded Kind = "key-needed"
	// Damaged: the file is cut short or changed.
	Damaged Kind = "damaged"
	// Unsupported: it is known what the file is, and why it cannot be read.
	Unsupported Kind = "unsupported"
	// Packed: another program has to unpack or decrypt it first.
	Packed Kind = "packed"
	// NewerVersion: a version of the format that is not known here.
	NewerVersion Kind = "newer-version"
	// TooCostly: opening it would take more time than is allowed.
	TooCostly Kind = "too-costly"
	// TooLarge: it is larger than MaxFile, has more rows than MaxRows, or is nested
	// deeper than any seed file.
	TooLarge Kind = "too-large"
	// Unsafe: it has a document type, by which XML reaches for other files.
	Unsafe Kind = "unsafe"
	// NoFobs: a file of a known format without a single fob.
	NoFobs Kind = "no-fobs"
	// Empty: there is nothing in the file.
	Empty Kind = "empty"
	// WebPage: a page, perhaps of a log-in, was saved in place of the file.
	WebPage Kind = "web-page"
	// Unknown: none of the known formats.
	Unknown Kind = "unknown"
)

// Error says why a file could not be read. Its words are the package's own: they
// repeat nothing of the file but names of elements and algorithms, cleaned, and
// numbers.
type Error struct {
	Kind Kind
	// Format is the kind of file, where known.
	Format string
	// Message is lower case, without full stop.
	Message string
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
