package authority

import (
	"errors"
	"fmt"

	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/otp"
)

// ErrorKind is what kind of error it is.
type ErrorKind string

// The kinds of errors.
const (
	NotFound ErrorKind = "not-found" // there is no such user or fob
	Exists   ErrorKind = "exists"    // the name, login or id is taken
	Invalid  ErrorKind = "invalid"   // something given is not as it must be
	Conflict ErrorKind = "conflict"  // the state of a user or fob forbids it
	TooMany  ErrorKind = "too-many"  // a bound is reached
	Refused  ErrorKind = "refused"   // the passcodes are not right
)

// Error is an error that the caller can do something about. It repeats no
// secret, but may hold a name.
type Error struct {
	Kind ErrorKind
	// Field is what it is about: "user", "name", "login", "fob", "serial",
	// "passcode" and others.
	Field string
	// Problem is a sentence for people: lower case, no full stop.
	Problem string
}

func (e *Error) Error() string { return e.Problem }

func failure(kind ErrorKind, field, format string, args ...any) error {
	return &Error{Kind: kind, Field: field, Problem: fmt.Sprintf(format, args...)}
}

func invalid(field, problem string) error {
	return failure(Invalid, field, "cannot use %s: %s", field, problem)
}

// asError gives the errors of other packages their kind here.
func asError(err error) error {
	var e *fob.Error
	if errors.As(err, &e) {
		return invalid(e.Field, e.Problem)
	}
	return err
}

// checkText: texts for people may be empty, and are short and harmless.
func checkText(field, s string) error {
	var e *otp.Error
	if err := otp.CheckName("name", s); errors.As(err, &e) {
		return invalid(field, e.Problem)
	}
	return nil
}

// Why is what the audit says of an error: no text, for that may hold a name.
func Why(err error) string {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return string(e.Kind)
	case errors.Is(err, store.ErrFull):
		return "disk-full"
	case errors.Is(err, store.ErrDamaged):
		return "damaged"
	}
	return "failed"
}
