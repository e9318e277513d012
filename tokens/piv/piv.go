// Package piv drives PIV cards (NIST SP 800-73) that have Yubico's extensions,
// through the PC/SC service of the machine.
//
// A card is recognised by its public keys: as its metadata tells them (firmware
// 5.3 and later, where they are the truth), else from the certificate that
// enrolling leaves in the slot, else from an attestation. Serial numbers are
// for people.
//
// Private keys, PINs and new keys go through piv-go, which holds a card
// exclusively. What is only read goes through package pcsc, because a failing
// Open of piv-go keeps the card locked until the process ends, and because a
// watching process must never do that.
//
// Whenever a PIN or the management key was shown to a card, the card is reset
// before the method returns, so that no other program finds it authenticated.
package piv

import (
	"io/fs"
	"time"
)

// Options says how a Driver behaves.
type Options struct {
	// Patience is how long an operation waits for a card that another program
	// holds; zero means DefaultPatience.
	Patience time.Duration
	// OnBusy, when set, is called when an operation begins to wait for a card
	// that somebody else holds.
	OnBusy func()
	// TouchTimeout is how long a card has waited at the least when its refusal
	// means that nobody touched it; zero means DefaultTouchTimeout.
	TouchTimeout time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Root is the machine's file system, where Diagnose looks for USB devices
	// and for what is installed; nil means the real one.
	Root fs.FS
}

// DefaultPatience is how long an operation waits for a card that another
// program holds.
const DefaultPatience = 5 * time.Second

// DefaultTouchTimeout tells a timeout from a refusal. A YubiKey waits 15 s.
const DefaultTouchTimeout = 10 * time.Second
