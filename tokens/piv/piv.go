// Package piv drives PIV cards (NIST SP 800-73) that have Yubico's extensions,
// through the PC/SC service of the machine.
package piv

import "time"

// Options says how a Driver behaves.
type Options struct {
	// Patience is how long an operation waits for a card that another program
	// holds; zero means DefaultPatience.
	Patience time.Duration
}

// DefaultPatience is how long an operation waits for a card that another
// program holds.
const DefaultPatience = 5 * time.Second
