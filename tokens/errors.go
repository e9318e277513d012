package tokens

import "fmt"

// Code is the reason why a token operation failed. Callers decide by it.
type Code string

// FixAccess is the command that mends CodeNoAccess: it installs the udev rule that
// lets the person at the machine use FIDO keys, and has the system apply it to
// what is plugged in.
const FixAccess = "sudo tokenctl service install --udev"

// The reasons.
const (
	CodeNotPresent   Code = "not-present"   // no token at the locator
	CodeWrongToken   Code = "wrong-token"   // another token is there
	CodePINRequired  Code = "pin-required"  // ask for the PIN and repeat
	CodePINInvalid   Code = "pin-invalid"   // Tries are left
	CodePINBlocked   Code = "pin-blocked"   // no tries are left
	CodeLastTry      Code = "last-try"      // one try is left and SpendLastTry was not set; nothing was tried
	CodePINPaused    Code = "pin-paused"    // no PIN is taken until the token has been pulled out and put back; Tries are left
	CodePINNotSet    Code = "pin-not-set"   // the token wants a PIN to be set before it is used
	CodePINChange    Code = "pin-change"    // the token wants its PIN to be changed before it is used
	CodePINPolicy    Code = "pin-policy"    // the new PIN is too short, too long or too simple for the token; nothing was changed
	CodeTouchTimeout Code = "touch-timeout" // nobody touched the token in time
	CodeTouchDenied  Code = "touch-denied"  // the token refused without waiting for a touch
	CodeCancelled    Code = "cancelled"     // the caller's context ended
	CodeRemoved      Code = "removed"       // the token was pulled out during the operation
	CodeBusy         Code = "busy"          // another program holds the token
	CodeOccupied     Code = "occupied"      // the slot holds a key that was not named for overwriting
	CodeEnrolled     Code = "enrolled"      // the token holds a key of EnrollRequest.Exclude
	CodeNoSpace      Code = "no-space"      // the token has no room for another key
	CodeNoAccess     Code = "no-access"     // the system does not let this program open the device
	CodeNoKey        Code = "no-key"        // the slot holds no key that could be used
	CodeManagement   Code = "management"    // the management key is wrong or was not found
	CodeNoService    Code = "no-service"    // pcscd or its like does not answer
	CodeUnsupported  Code = "unsupported"   // the token, or this build, cannot do it
	CodeInvalid      Code = "invalid"       // the request makes no sense
	CodeTimeout      Code = "timeout"       // the token or the helper did not answer in time
	CodeProtocol     Code = "protocol"      // the token or the helper answered nonsense
)

// Error is how every Driver fails. It never holds a secret.
type Error struct {
	Code Code `json:"code"`
	// Tries is how many PIN tries are left; below zero when not known.
	Tries int `json:"tries"`
	// Detail is a sentence for people: lower case, no full stop.
	Detail string `json:"detail,omitempty"`
	// Err is the cause, for logs; it does not cross the helper's pipe.
	Err error `json:"-"`
}

func (e *Error) Error() string {
	s := e.Detail
	if s == "" {
		s = "token: " + string(e.Code)
	}
	if e.Code == CodePINInvalid && e.Tries >= 0 {
		s += fmt.Sprintf(" (%d tries left)", e.Tries)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, &Error{Code: c}) compare codes.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Errorf makes an *Error with no known tries; detail is as in fmt.Sprintf.
func Errorf(code Code, detail string, args ...any) *Error {
	return &Error{Code: code, Tries: -1, Detail: fmt.Sprintf(detail, args...)}
}
