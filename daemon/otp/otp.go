// Package otp computes one-time codes and reads how accounts are written down:
// HOTP (RFC 4226), TOTP (RFC 6238), Steam's variant of TOTP, otpauth:// URIs
// (the "Key Uri Format" of Google Authenticator) and base32 secrets as people
// and services write them.
//
// The package is pure: no clock, no files, no state. Everything is checked here
// before it reaches the library that does the arithmetic, which takes an unknown
// algorithm for SHA1 and computes nonsense beyond ten digits. What it computes
// with leaves copies of the secret in memory; callers that mind run it inside
// secret.Do of daemon/secret.
package otp

import (
	"encoding/base32"
	"strconv"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

// Type says how the moving factor of a code comes about.
type Type string

// The types.
const (
	TypeTOTP  Type = "totp"  // from the time, RFC 6238
	TypeHOTP  Type = "hotp"  // from a counter, RFC 4226
	TypeSteam Type = "steam" // TOTP in 5 characters of Steam's alphabet
)

// Algorithm is the hash function of the HMAC.
type Algorithm string

// The algorithms (RFC 6238, section 1.2).
const (
	SHA1   Algorithm = "SHA1"
	SHA256 Algorithm = "SHA256"
	SHA512 Algorithm = "SHA512"
)

// Bounds and defaults of Params.
const (
	DefaultDigits = 6
	MinDigits     = 6 // RFC 4226, section 5.3
	// MaxDigits is 10 because the truncated value has 31 bits: the first of ten
	// digits is 0, 1 or 2.
	MaxDigits     = 10
	SteamDigits   = 5
	DefaultPeriod = 30 // seconds; RFC 6238, section 5.2
	MinPeriod     = 1
	MaxPeriod     = 365 * 24 * 60 * 60
)

// Params says how codes are made from a secret. The zero value is not valid;
// see WithDefaults.
type Params struct {
	Type      Type
	Algorithm Algorithm
	// Digits is the number of characters of a code: 6 to 10, for Steam 5.
	Digits int
	// Period is how long a code is valid, in whole seconds, 1 to MaxPeriod; for
	// Steam 30. HOTP does not look at it.
	Period int
	// Counter is the next counter of HOTP. TOTP and Steam do not look at it.
	Counter uint64
}

// Value is the characters of a code, zeros after them. It is an array so that a
// code leaves runtime/secret without a piece of heap memory that must be erased.
type Value [MaxDigits]byte

// String is the characters alone, empty for the zero Value.
func (v Value) String() string { return strings.TrimRight(string(v[:]), "\x00") }

// Code is a code made from the time.
type Code struct {
	Value Value
	// From and Until bound its validity, in UTC: From is included, Until is not.
	From, Until time.Time
}

// Error is how everything in this package fails. Its text is made of the
// package's own words and bounds: it never repeats any part of the input.
type Error struct {
	// Field is what is wrong: "uri", "secret", "issuer", "name", "type",
	// "algorithm", "digits", "period", "counter", "encoder" or "time".
	Field string
	// Problem is a sentence for people: lower case, no full stop.
	Problem string
}

func (e *Error) Error() string { return "cannot use " + e.Field + ": " + e.Problem }

func fail(field, problem string) error { return &Error{Field: field, Problem: problem} }

// WithDefaults returns p with the usual value for each field that is zero: totp,
// SHA1, 6 digits, 30 s; 5 digits for Steam. HOTP gets no period.
func (p Params) WithDefaults() Params {
	if p.Type == "" {
		p.Type = TypeTOTP
	}
	if p.Algorithm == "" {
		p.Algorithm = SHA1
	}
	if p.Digits == 0 {
		p.Digits = DefaultDigits
		if p.Type == TypeSteam {
			p.Digits = SteamDigits
		}
	}
	if p.Period == 0 && p.Type != TypeHOTP {
		p.Period = DefaultPeriod
	}
	return p
}

// Validate says whether codes can be made with p.
func (p Params) Validate() error {
	switch p.Type {
	case TypeTOTP, TypeHOTP, TypeSteam:
	default:
		return fail("type", `it is not "totp", "hotp" or "steam"`)
	}
	if _, err := p.library(); err != nil {
		return err
	}
	if p.Type == TypeSteam {
		return p.validateSteam()
	}
	if p.Digits < MinDigits || p.Digits > MaxDigits {
		return fail("digits", "there must be 6 to 10")
	}
	if p.Type == TypeTOTP && (p.Period < MinPeriod || p.Period > MaxPeriod) {
		return fail("period", "it must be 1 to "+strconv.Itoa(MaxPeriod)+" seconds")
	}
	return nil
}

// validateSteam: Steam has one set of parameters, and codes made with others are
// right nowhere.
func (p Params) validateSteam() error {
	switch {
	case p.Algorithm != SHA1:
		return fail("algorithm", "Steam codes are made with SHA1")
	case p.Digits != SteamDigits:
		return fail("digits", "Steam codes have 5 characters")
	case p.Period != DefaultPeriod:
		return fail("period", "Steam codes are valid for 30 seconds")
	}
	return nil
}

// library translates the algorithm; the library's zero value is SHA1, so an
// unknown one must not get there.
func (p Params) library() (otp.Algorithm, error) {
	switch p.Algorithm {
	case SHA1:
		return otp.AlgorithmSHA1, nil
	case SHA256:
		return otp.AlgorithmSHA256, nil
	case SHA512:
		return otp.AlgorithmSHA512, nil
	}
	return 0, fail("algorithm", "it is not SHA1, SHA256 or SHA512")
}

// maxTime is the end of year 9999, the last that RFC 3339 can write.
const maxTime = 253402300799

// TOTP returns the code that is valid at the given time, for the types totp and
// steam. The time steps count from 1970-01-01 UTC (RFC 6238, section 4.2: T0 is
// 0); there is none for times before, nor is there for years after 9999.
func TOTP(secret []byte, p Params, at time.Time) (Code, error) {
	if p.Type == TypeHOTP {
		return Code{}, fail("type", "hotp codes are made from a counter, not from the time")
	}
	if err := p.Validate(); err != nil {
		return Code{}, err
	}
	now, period := at.Unix(), int64(p.Period)
	// The year is looked at too: far enough away, Unix overflows.
	if now < 0 || now > maxTime || at.UTC().Year() < 1970 || at.UTC().Year() > 9999 {
		return Code{}, fail("time", "it is not between the years 1970 and 9999")
	}
	step := now / period
	value, err := compute(secret, p, uint64(step))
	if err != nil {
		return Code{}, err
	}
	return Code{
		Value: value,
		From:  time.Unix(step*period, 0).UTC(),
		Until: time.Unix((step+1)*period, 0).UTC(),
	}, nil
}

// HOTP returns the code for a counter; p.Counter is not looked at. Every 8-byte
// counter is good (RFC 4226, section 5.1).
func HOTP(secret []byte, p Params, counter uint64) (Value, error) {
	if p.Type != TypeHOTP {
		return Value{}, fail("type", "only hotp codes are made from a counter")
	}
	if err := p.Validate(); err != nil {
		return Value{}, err
	}
	return compute(secret, p, counter)
}

// compute needs valid Params.
func compute(secret []byte, p Params, counter uint64) (Value, error) {
	if err := checkSecret(secret); err != nil {
		return Value{}, err
	}
	algorithm, err := p.library()
	if err != nil {
		return Value{}, err
	}
	opts := hotp.ValidateOpts{Digits: otp.Digits(p.Digits), Algorithm: algorithm}
	if p.Type == TypeSteam {
		opts.Encoder = otp.EncoderSteam
	}
	code, err := hotp.GenerateCodeCustom(base32.StdEncoding.EncodeToString(secret), counter, opts)
	if err != nil || len(code) != p.Digits {
		// The library's error is left out: it was given the secret.
		return Value{}, fail("secret", "no code can be computed with it")
	}
	var text Value
	copy(text[:], code)
	return text, nil
}
