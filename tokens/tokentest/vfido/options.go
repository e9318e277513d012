package vfido

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Version is what a key speaks.
type Version int

// The versions.
const (
	CTAP21  Version = iota + 1 // FIDO_2_1: permissions, makeCredUvNotRqd, selection
	CTAP20                     // FIDO_2_0: pinToken only, a PIN is needed for each new credential
	U2FOnly                    // U2F_V2 alone: CTAPHID_MSG and no CTAPHID_CBOR
)

// Attestation is what a key says about its maker in a new credential.
type Attestation int

// The attestations (WebAuthn section 8.2 and 8.7).
const (
	AttestationMaker Attestation = iota // packed, with a certificate under the root of Key.AttestationRoot
	AttestationSelf                     // packed, signed by the credential's own key
	AttestationNone                     // format "none"
)

// Algorithms of credentials (COSE).
const (
	AlgES256 = -7
	AlgEdDSA = -8
)

// maxPINTries is what CTAP 2.1 section 6.5.2.3 allows at most and keys have.
const maxPINTries = 8

// Options describe a key. Zero values stand for what an ordinary key of that
// version has, whose touch sensor is always touched at once.
type Options struct {
	// Version is what the key speaks; 0 is CTAP21.
	Version Version
	// AAGUID tells the model; zero means one of our own.
	AAGUID [16]byte
	// Firmware is told by CTAPHID_INIT and, by CTAP21 keys, getInfo.
	Firmware [3]byte

	// Protocols are the PIN/UV auth protocols in the order offered, of 1 and 2;
	// nil means 2, 1 for CTAP21 and 1 for CTAP20.
	Protocols []int
	// PIN is what the key starts with; "" is none. A reset removes it.
	PIN string
	// MinPINLength is in code points; 0 means 4.
	MinPINLength int
	// ForcePINChange has the PIN refused until it was changed (CTAP21).
	ForcePINChange bool
	// AlwaysUV has nothing but pre-flights done without user verification (CTAP21).
	AlwaysUV bool
	// MakeCredUVRequired turns makeCredUvNotRqd off: a key with a PIN wants it
	// for non-resident credentials too, as CTAP20 keys do anyway.
	MakeCredUVRequired bool

	// UV gives the key a fingerprint reader with a finger enrolled.
	UV bool
	// UVTries is how often another finger may be tried before the reader is
	// blocked and the PIN needed; 0 means 3.
	UVTries int
	// Finger answers when the reader waits for a finger: true is the right
	// one, false another. nil means TouchYes.
	Finger TouchFunc

	// NoHMACSecret leaves the extension out.
	NoHMACSecret bool
	// OneCredRandom has hmac-secret give the same output with and without user
	// verification, as some keys do. Otherwise the two differ.
	OneCredRandom bool
	// NoCredProtect leaves the extension out.
	NoCredProtect bool
	// NoU2F leaves U2F out of a CTAP 2 key.
	NoU2F bool
	// MaxResident is how many resident credentials fit; 0 means 25, below 0
	// that the key knows none (option rk false).
	MaxResident int
	// NoManagement leaves credentialManagement out of a CTAP21 key.
	NoManagement bool
	// NoManagementPreview leaves the command 0x41 of FIDO_2_1_PRE out of a
	// CTAP21 key with credentialManagement, where most keys keep it for clients
	// that know no other, as libfido2 1.12.
	NoManagementPreview bool
	// ManagementPreview gives it to a CTAP20 key.
	ManagementPreview bool
	// CredentialIDLength is 16 to 1023 bytes; 0 means 64.
	CredentialIDLength int
	// MaxMessage is the longest request taken in bytes, 1024 to 7609; 0 means
	// 1200, or 2048 where credential ids are longer than 256 bytes.
	MaxMessage int
	// MaxList is how many credentials an allowList or excludeList may have; 0
	// means 8. CTAP20 keys do not tell it.
	MaxList int
	// Algorithms of credentials, of AlgES256 and AlgEdDSA; nil means ES256.
	Algorithms []int
	// Attestation is what new credentials come with.
	Attestation Attestation
	// Maker attests; nil means a maker of this key alone.
	Maker *Maker

	// ResetWindow is how long after power-up a reset is possible: 10 s on keys
	// without a display. 0 means always.
	ResetWindow time.Duration
	// InitAborts has a CTAPHID_INIT on the broadcast channel end what another
	// channel waits for. Otherwise the answer is ERR_CHANNEL_BUSY (section
	// 11.2.5.3), also when whoever sent the command is long dead.
	InitAborts bool
	// Touch answers when the key wants to be touched; nil means TouchYes.
	Touch TouchFunc
	// TouchTimeout is how long the key waits for a touch or a finger; 0 means 30 s.
	TouchTimeout time.Duration
	// LogSecrets keeps PIN blocks, salts and outputs in the log, encrypted as
	// they travel.
	LogSecrets bool
	// Now is the key's clock, for the life of tokens, ResetWindow and the log;
	// nil is time.Now.
	Now func() time.Time
}

// complete fills in what is not set and refuses what makes no sense.
func (o Options) complete() (Options, error) {
	num := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	if o.Version == 0 {
		o.Version = CTAP21
	}
	if o.AAGUID == [16]byte{} {
		copy(o.AAGUID[:], "virtual-fido-key")
	}
	if o.Firmware == [3]byte{} {
		o.Firmware = [3]byte{5, 4, 3}
	}
	if o.Protocols == nil {
		o.Protocols = []int{1}
		if o.Version == CTAP21 {
			o.Protocols = []int{2, 1}
		}
	}
	if o.Algorithms == nil {
		o.Algorithms = []int{AlgES256}
	}
	num(&o.MinPINLength, 4)
	num(&o.UVTries, 3)
	num(&o.MaxResident, 25)
	num(&o.CredentialIDLength, 64)
	num(&o.MaxList, 8)
	if o.CredentialIDLength > 256 {
		num(&o.MaxMessage, 2048)
	}
	num(&o.MaxMessage, 1200)
	if o.Touch == nil {
		o.Touch = TouchYes
	}
	if o.Finger == nil {
		o.Finger = TouchYes
	}
	if o.TouchTimeout == 0 {
		o.TouchTimeout = 30 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, o.check()
}

func (o Options) check() error {
	if o.Version < CTAP21 || o.Version > U2FOnly {
		return fmt.Errorf("cannot make a key: unknown version %d", o.Version)
	}
	if len(o.Protocols) == 0 || slices.ContainsFunc(o.Protocols, func(p int) bool { return p != 1 && p != 2 }) {
		return fmt.Errorf("cannot make a key: PIN/UV auth protocols %v, not of 1 and 2", o.Protocols)
	}
	if slices.ContainsFunc(o.Algorithms, func(a int) bool { return a != AlgES256 && a != AlgEdDSA }) {
		return fmt.Errorf("cannot make a key: algorithms %v, not of -7 and -8", o.Algorithms)
	}
	if o.PIN != "" && !o.goodPIN([]byte(o.PIN), o.MinPINLength) {
		return errors.New("cannot make a key: the PIN is shorter than allowed or longer than 63 bytes")
	}
	for _, r := range []struct {
		what       string
		n, min, to int
	}{
		{"shortest PIN", o.MinPINLength, 4, 63},
		{"tries of fingers", o.UVTries, 1, 25},
		{"credential id length", o.CredentialIDLength, 16, 1023},
		{"longest message", o.MaxMessage, 1024, maxPayload},
		{"longest list", o.MaxList, 1, 1000},
	} {
		if r.n < r.min || r.n > r.to {
			return fmt.Errorf("cannot make a key: %s is %d, not %d to %d", r.what, r.n, r.min, r.to)
		}
	}
	if o.Version != CTAP21 && (o.AlwaysUV || o.ForcePINChange) {
		return errors.New("cannot make a key: alwaysUv and forcePINChange are of CTAP 2.1")
	}
	return nil
}
