package message

import (
	"errors"
	"fmt"
	"strings"
)

// The reasons for failing that a caller decides by, with errors.Is. What is
// opened is refused by the first that holds.
var (
	// ErrMalformed: not such a message, link, descriptor or part at all.
	ErrMalformed = errors.New("not as the format has it")
	// ErrTooLarge: a bound of the format is exceeded.
	ErrTooLarge = errors.New("too large")
	// ErrDamaged: it has been changed on its way, or was sealed to another key.
	ErrDamaged = errors.New("damaged")
	// ErrForged: a signature is not by who must have signed.
	ErrForged = errors.New("not signed by who should have")
	// ErrNewer: made by a newer version.
	ErrNewer = errors.New("made by a newer version")
	// ErrDowngraded: an older version than both sides know.
	ErrDowngraded = errors.New("an older version than both sides know")
	// ErrWrongAuthority: for, or by, another authority.
	ErrWrongAuthority = errors.New("another authority's")
	// ErrOtherDevice: an answer to another device, or a request of another
	// device than the conversation's.
	ErrOtherDevice = errors.New("another device's")
	// ErrOtherRequest: an answer to another request of this device.
	ErrOtherRequest = errors.New("the answer to another request")
	// ErrExpired: its time is over.
	ErrExpired = errors.New("expired")
	// ErrTooEarly: it was made in the future, by this machine's clock.
	ErrTooEarly = errors.New("made in the future")
	// ErrReplayed: a request that came before.
	ErrReplayed = errors.New("came before")
	// ErrReordered: not the next request of its conversation, or not the answer
	// to the step.
	ErrReordered = errors.New("not the next of its conversation")
	// ErrUnexpected: an answer of a kind that the request cannot have.
	ErrUnexpected = errors.New("an answer that does not fit the request")
	// ErrFull: no more can be remembered.
	ErrFull = errors.New("too many at once")
	// ErrMixed: parts of different messages.
	ErrMixed = errors.New("parts of different messages")
	// ErrMissingParts: see MissingError.
	ErrMissingParts = errors.New("parts are missing")
)

// MissingError names the parts that a message still lacks.
type MissingError struct {
	Total   int
	Missing []int // from 1
}

func (e *MissingError) Error() string {
	names := make([]string, len(e.Missing))
	for i, n := range e.Missing {
		names[i] = fmt.Sprint(n)
	}
	return fmt.Sprintf("of %d parts there are missing: %s", e.Total, strings.Join(names, ", "))
}

// Is makes errors.Is(err, ErrMissingParts) true.
func (e *MissingError) Is(target error) bool { return target == ErrMissingParts }

// because makes an error of a kind that says more.
func because(kind error, detail string, args ...any) error {
	return fmt.Errorf("%w: "+detail, append([]any{kind}, args...)...)
}
