// Package fido2 drives FIDO2 security keys (CTAP 2.0 and 2.1) that have the
// hmac-secret extension, through libfido2.
//
// A key holds nothing of ours. For each class it makes a credential that it
// does not store ("non-resident": the credential id carries everything), and
// each assertion with that credential and a salt gives 32 secret bytes. They
// seal the private half of the class's key pair, and credential id, salt and
// sealed private key stand in tokens.Key.Params. A session key's secret is
// asked for with user verification where the key has a PIN or a fingerprint, a
// touch key's without; hmac-secret always waits for a touch.
//
// Several keys plugged in are told apart by a pre-flight: an assertion that
// waits for no touch (up=false), whose signature is checked with the
// credential's public key. So a key that merely claims a credential never sees
// a PIN.
//
// What needs no secret (what a key can do, how many tries are left, whether it
// is busy) is asked by package hid, within bounded time. libfido2 has no such
// bound: an operation runs in a process that can be killed. See package hid.
package fido2

import (
	"io"
	"time"
)

// RPID is the relying party of every credential of ours, for ever: a credential
// answers to no other. RFC 6761 keeps the domain from ever being one that a web
// site could have, so no browser will ask a key for these credentials.
const RPID = "tokend.invalid"

// Options says how a Driver behaves.
type Options struct {
	// Devices are paths of keys beside those that the system lists. What is
	// there counts as plugged in.
	Devices []string
	// Patience is how long an operation waits for a key that another program
	// uses; zero means DefaultPatience.
	Patience time.Duration
	// Answer is how long a key may take for what waits for nobody; zero means
	// DefaultAnswer.
	Answer time.Duration
	// Touch is how long a key may wait for a touch; zero means DefaultTouch.
	Touch time.Duration
	// OnBusy, when set, is called once when an operation begins to wait for a
	// key that somebody else uses.
	OnBusy func()
	// Random gives salts, challenges and private keys; nil means crypto/rand.
	Random io.Reader
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// DefaultPatience is how long an operation waits for a key that another program
// uses.
const DefaultPatience = 5 * time.Second

// DefaultAnswer is how long a key may take for what waits for nobody. The
// slowest part, agreeing on a secret for the PIN, takes some 200 ms.
const DefaultAnswer = 3 * time.Second

// DefaultTouch is how long a key may wait for a touch. Keys give up by themselves
// after 15 to 30 s.
const DefaultTouch = 45 * time.Second
