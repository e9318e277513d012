// Package remote is how an authority asks a verifier that an organisation has
// already, a RADIUS server or Duo, whether a factor is the user's. The packages
// below it ask one kind each.
//
// What such a verifier accepts it asserts: the authority has not seen the factor.
// A verifier that does not answer, or whose answer is not its own, is an
// [Unavailable] error and never an accept.
package remote

import (
	"context"
	"fmt"
	"time"
)

// The bounds of what a verifier hands back.
const (
	MaxToken  = 1024 // bytes of Answer.Token
	MaxPrompt = 256  // characters of Answer.Prompt and Answer.Enrolment
)

// Question is what a verifier is asked.
type Question struct {
	// User is the user's name at the verifier.
	User string
	// Factor is the factor, by the policy's name: fob, push, sms, phone_call.
	Factor string
	// Passcode is what the user typed; nil where nothing is typed. The caller wipes it.
	Passcode []byte
	// Device, Account and Reference are shown to the user where the verifier can
	// show him something.
	Device, Account, Reference string
}

// State is how far a verifier is.
type State string

// The states.
const (
	Accepted   State = "accepted"
	Rejected   State = "rejected"
	Waiting    State = "waiting"    // ask again with Continue and no passcode
	Challenged State = "challenged" // ask again with Continue and what the user types
)

// Reason is why a verifier rejected.
type Reason string

// The reasons.
const (
	Wrong     Reason = "wrong"      // the passcode is not good
	Denied    Reason = "denied"     // the user, or the verifier's own policy, said no
	Fraud     Reason = "fraud"      // the user reported it as somebody else's
	TimedOut  Reason = "timed-out"  // the user did not answer
	LockedOut Reason = "locked-out" // too many failures at the verifier
	Unknown   Reason = "unknown"    // the user is not enrolled there, or cannot use this factor
)

// Answer is what a verifier answered.
type Answer struct {
	State State
	// Reason says why, where State is Rejected.
	Reason Reason
	// Token continues the same question, where State is Waiting or Challenged. It is
	// the verifier's own, at most MaxToken bytes, and is to be kept from others.
	Token []byte
	// Prompt is what a user who is challenged is asked; printable, one line.
	Prompt string
	// RetryAfter is how long to wait before asking again, where State is Waiting.
	RetryAfter time.Duration
	// Enrolment is a link by which the user enrols at the verifier, where it gave one
	// with a rejection.
	Enrolment string
}

// Verifier asks one verifier. Its methods are safe for concurrent use and return
// when ctx ends; they fail with an *Unavailable.
type Verifier interface {
	// Begin asks a question.
	Begin(ctx context.Context, q Question) (Answer, error)
	// Continue goes on with a question that was answered with a token.
	Continue(ctx context.Context, token, passcode []byte) (Answer, error)
	// Check says whether the verifier answers and knows this authority.
	Check(ctx context.Context) error
}

// Unavailable says that a verifier gave no answer that counts.
type Unavailable struct {
	Verifier string // "radius", "duo"
	Server   string // whom it was asked of; may be empty
	Problem  string // lower case, no full stop
	Err      error  // may be nil
}

func (e *Unavailable) Error() string {
	if e.Server == "" {
		return fmt.Sprintf("%s: %s", e.Verifier, e.Problem)
	}
	return fmt.Sprintf("%s at %s: %s", e.Verifier, e.Server, e.Problem)
}

// Unwrap returns what came of it below; nil if nothing did.
func (e *Unavailable) Unwrap() error { return e.Err }
