package remote

import (
	"context"
	"errors"
	"time"
)

// ErrEnrolled is that a verifier does not enrol this user: it does so for those alone
// whom it does not know.
var ErrEnrolled = errors.New("the user is known there already, or his name is refused")

// Enroller is a verifier that makes an account for a user whom it does not know.
type Enroller interface {
	// Enroll makes it. The error is an *Unavailable, which wraps ErrEnrolled where that
	// may be why.
	Enroll(ctx context.Context, user string) (Enrolment, error)
}

// Enrolment is how a user gets his account at a verifier onto his phone. Whoever has
// it can enrol in his place, so it is shown to him alone; it prints as "[enrolment]".
type Enrolment struct {
	// Link is opened on the phone; https, may be empty.
	Link string
	// Code is what the verifier's program reads as a QR code.
	Code string
	// Until is when it ceases to be good.
	Until time.Time
}

// String hides all of it.
func (Enrolment) String() string { return "[enrolment]" }

// GoString hides all of it.
func (Enrolment) GoString() string { return "[enrolment]" }
