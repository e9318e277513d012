// Package fob verifies the passcodes of hardware tokens: HOTP (RFC 4226), TOTP
// (RFC 6238) and Yubico OTP. It is pure: given what is known of a fob, and what
// somebody typed, it tells the outcome and what is to be remembered. It has no
// clock, no files and no state; whoever calls it must have the new Moving on disk
// before he tells anybody that a passcode was accepted.
//
// One rule holds for all three: each passcode belongs to a moving factor (the
// counter of HOTP, the time step of TOTP, session and use of a Yubico OTP), and
// none is accepted below Moving.Counter, which only ever grows.
//
// Arithmetic leaves copies of secrets in memory; callers that mind run it inside
// secret.Do of daemon/secret.
package fob

import (
	"fmt"
	"time"

	"github.com/tokenbridge/tokend/daemon/otp"
)

// Type says how a fob makes its passcodes.
type Type string

// The types.
const (
	HOTP   Type = "hotp"
	TOTP   Type = "totp"
	Yubico Type = "yubico"
)

// State says whether passcodes of a fob are good for anything.
type State string

// The states. Passcodes are accepted of active fobs alone.
const (
	Unassigned State = "unassigned" // nobody's
	Active     State = "active"
	Disabled   State = "disabled" // for a while
	Lost       State = "lost"
)

// Bounds.
const (
	// LookAhead is how many passcodes of a HOTP fob may have been made and not
	// used: the expected one and the LookAhead after it are tried (RFC 4226,
	// section 7.2).
	LookAhead = 10
	// Window is how many time steps to either side of the expected one are tried
	// (RFC 6238, section 5.2).
	Window = 1
	// MaxWalk bounds how far, in time steps, accepted passcodes move the drift of
	// a TOTP fob away from where a resync put it. Without a bound, passcodes noted
	// down in advance could be used later and later.
	MaxWalk = 10
	// ResyncSteps is how far a resync looks: as many counters ahead for HOTP, as
	// many steps to either side for TOTP.
	ResyncSteps = 1000
	// MinSecret is the shortest secret of HOTP and TOTP fobs, in bytes.
	MinSecret = 10
	// MaxSecret is the longest, in bytes.
	MaxSecret = 64
	// KeySize is the length of the AES key of a Yubico OTP fob, in bytes.
	KeySize = 16
	// IDSize is the length of the public and the private id of a Yubico OTP fob,
	// in bytes.
	IDSize = 6
	// MaxSerial is the longest serial number, in characters.
	MaxSerial = 64
	// MaxPeriod is the longest time step, in seconds.
	MaxPeriod = 300
)

// Fob is what is known of a fob.
type Fob struct {
	Serial string
	Type   Type
	State  State
	// Secret is the HMAC key of HOTP and TOTP, MinSecret to MaxSecret bytes, or
	// the AES key of a Yubico OTP fob, KeySize bytes.
	Secret    []byte
	Algorithm otp.Algorithm // HOTP and TOTP
	Digits    int           // HOTP and TOTP: 6, 7 or 8
	Period    int           // TOTP: seconds, 1 to MaxPeriod
	PublicID  []byte        // Yubico: IDSize bytes
	PrivateID []byte        // Yubico: IDSize bytes
	// Start and Expiry bound when passcodes are accepted: Start is included,
	// Expiry is not. Zero is no bound.
	Start, Expiry time.Time
	Moving
}

// Moving is what changes with use.
type Moving struct {
	// Counter is the lowest moving factor that may be accepted: for HOTP the
	// counter, for TOTP the time step as the fob counts it, for Yubico OTP
	// session*256 + use.
	Counter uint64
	// Drift is by how many time steps a TOTP fob is ahead of our clock, as of the
	// last accepted passcode; negative where it lags behind.
	Drift int
	// Synced is the drift that a resync, or the import, found.
	Synced int
}

// Error says what is wrong with a fob. It never repeats a secret.
type Error struct {
	// Field is "serial", "type", "secret", "algorithm", "digits", "period",
	// "counter", "public-id", "private-id", "start", "expiry" or "drift".
	Field string
	// Problem is a sentence for people: lower case, no full stop.
	Problem string
}

func (e *Error) Error() string { return "cannot use " + e.Field + ": " + e.Problem }

func fail(field, format string, args ...any) error {
	return &Error{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// Validate says whether passcodes of f can be verified. The state is not looked
// at. It fails with an *Error.
func (f *Fob) Validate() error {
	if err := checkSerial(f.Serial); err != nil {
		return err
	}
	if !f.Start.IsZero() && !f.Expiry.IsZero() && !f.Start.Before(f.Expiry) {
		return fail("expiry", "it is not after the start")
	}
	switch f.Type {
	case HOTP, TOTP:
		return f.validateOATH()
	case Yubico:
		return f.validateYubico()
	}
	return fail("type", `it is not "hotp", "totp" or "yubico"`)
}

func checkSerial(s string) error {
	if s == "" {
		return fail("serial", "there is none")
	}
	if len([]rune(s)) > MaxSerial {
		return fail("serial", "it is longer than %d characters", MaxSerial)
	}
	if otp.CheckName("name", s) != nil {
		return fail("serial", "it holds characters that cannot be shown, or white space at an end")
	}
	return nil
}

func (f *Fob) validateOATH() error {
	switch {
	case len(f.Secret) < MinSecret || len(f.Secret) > MaxSecret:
		return fail("secret", "it has %d bytes and not %d to %d", len(f.Secret), MinSecret, MaxSecret)
	case f.Algorithm != otp.SHA1 && f.Algorithm != otp.SHA256 && f.Algorithm != otp.SHA512:
		return fail("algorithm", "it is not SHA1, SHA256 or SHA512")
	case f.Digits < 6 || f.Digits > 8:
		return fail("digits", "passcodes of 6, 7 or 8 digits are verified, not of %d", f.Digits)
	case len(f.PublicID) > 0 || len(f.PrivateID) > 0:
		return fail("type", "only yubico fobs have a public or private id")
	case f.Type == HOTP && (f.Drift != 0 || f.Synced != 0):
		return fail("drift", "only totp fobs have a clock")
	case f.Type == TOTP && (f.Period < 1 || f.Period > MaxPeriod):
		return fail("period", "it is not 1 to %d seconds", MaxPeriod)
	case f.Type == TOTP && abs(f.Synced) > ResyncSteps:
		return fail("drift", "it is more than %d steps", ResyncSteps)
	}
	return nil
}

func (f *Fob) validateYubico() error {
	switch {
	case len(f.Secret) != KeySize:
		return fail("secret", "the AES key has %d bytes and not %d", len(f.Secret), KeySize)
	case len(f.PublicID) != IDSize:
		return fail("public-id", "it has %d bytes and not %d", len(f.PublicID), IDSize)
	case len(f.PrivateID) != IDSize:
		return fail("private-id", "it has %d bytes and not %d", len(f.PrivateID), IDSize)
	case f.Counter > maxYubico+1:
		return fail("counter", "it is beyond session %d", maxSession)
	case f.Drift != 0 || f.Synced != 0:
		return fail("drift", "only totp fobs have a clock")
	}
	return nil
}

func abs(n int) int { return max(n, -n) }
