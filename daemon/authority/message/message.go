// Package message is what a device and an authority say to each other, sealed
// so that it does not matter who carries it: a local socket, a TLS connection,
// a file, a QR code. The package is pure: it makes and opens messages and keeps
// no state; time and the randomness of keys, ids and numbers are passed in.
//
// # Keys
//
// An authority has an Ed25519 key, by which it signs, and an X25519 key, to
// which requests are sealed. A Descriptor hands out both, signed by the first.
// Its Fingerprint is compared by eye, or a Link commits to its KeysHash; nothing
// else makes a descriptor trusted. A device has the same two kinds of key; its id
// is a hash of both, so an id cannot be claimed without them. Each account has an
// Ed25519 reactivation key, made by the device that first activates it and kept
// in its backups; the authority knows the public half.
//
// # Messages
//
// A request is signed by the device, and for begin, factor and proof by the
// account's reactivation key too; then padded to one of a few sizes; then sealed
// with HPKE (RFC 9180, base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
// AES-256-GCM) to the authority. What is signed names the authority, so that it
// cannot be sealed to another. A carrier sees which authority a request is for,
// its size class and its time, and that two copies are the same message.
//
// An answer is signed by the authority and sealed to the device. It names the
// hash of the request, the device, the conversation and the step. Every
// signature and every info of HPKE begins with its own words, so none can stand
// for another.
//
// # Conversations
//
// A conversation has an id that the device chooses; its requests are counted
// from 1, and each but the first names the hash of the answer before (After). The
// device sends the next only when it has opened that answer, and sends the very
// same bytes again where none came. The authority keeps an Order of each
// conversation until it ends, and the bytes of its last answer: Check says whether
// a request is the next, the same again (then it gets the same answer), or neither.
// First requests have no order yet, so their hashes are kept until they expire
// (Seen). What a request does and its Order must reach the disk in one step.
//
//	activate       first and, but for proof, only: secret or refused
//	begin          first: offer, which is the factors to choose from, or refused
//	factor         tries one: secret, offer (another is asked for), waiting,
//	               challenge (more is asked for), or refused. Again after challenge
//	poll           while waiting: waiting, challenge, secret, offer or refused. As a first
//	               request: questions, which other devices ask this one
//	approve        after questions: done or refused
//	proof          a code of the new secret: done, which says what became of the
//	               old devices, or refused
//	revoke-notice  first: notices, which accounts of this device were revoked. The
//	               device then forgets their secrets
//	devices        first, and again: devices, which are the user's
//	revoke-device  after devices: done, with the device's name, or refused
//
// A kind that is not known is a newer version's, and refused as that.
//
// What remains to be decided by whoever serves requests: whether the device is
// known and active (for poll, approve, devices and
// revoke-device it must be, for revoke-notice known), whether the
// account is the user's, what the policy says, whether an activation is unused,
// and that answers to what is unknown and what is wrong look alike. The account's
// name is in no answer before a factor was proved.
//
// Approval on another device uses a number (NewNumber) that the authority sends
// to the new device alone, in Waiting; the user reads it there and types it on the
// other one, which sends it in Approve. One wrong number ends the question.
package message

import (
	"fmt"
	"time"
)

// Bounds of messages.
const (
	// MaxSize is how many bytes a message has at most, sealed.
	MaxSize = 20 << 10
	// MaxInteractive is how long a request is good for that is answered at once.
	MaxInteractive = 15 * time.Minute
	// MaxFiles is how long one is good for that travels as a file.
	MaxFiles = 24 * time.Hour
	// Skew is how far a clock may be behind that looks at when a message was made.
	Skew = 5 * time.Minute
)

// The versions of messages that this package makes and opens.
const (
	lowest  = 1
	highest = 1
)

// ID is a random or derived name of 128 bits.
type ID [16]byte

func (id ID) String() string { return fmt.Sprintf("%x", id[:]) }

// Hash is a SHA-256 that begins with what was hashed.
type Hash [32]byte

func (h Hash) String() string { return fmt.Sprintf("%x", h[:]) }

// Secret is a secret within a message. It prints as "[secret]" in every format.
type Secret []byte

// String hides the secret.
func (s Secret) String() string { return "[secret]" }

// Format hides the secret from every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[secret]")) }

// MarshalJSON hides the secret: messages are CBOR.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"[secret]"`), nil }

// Wipe overwrites the secret.
func (s Secret) Wipe() { clear(s) }
