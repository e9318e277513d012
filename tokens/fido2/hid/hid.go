// Package hid speaks just enough of CTAPHID (CTAP 2.1, section 11.2) to ask a
// FIDO key for what needs neither PIN nor touch and no secret: whether it
// answers, whether it is busy, what it can do, how many PIN tries are left. It
// also sees which keys are plugged in and which of them may not be opened.
//
// Whatever has to do with credentials and PINs goes through libfido2. That has
// no way to bound the first exchange with a mute key, to tell a busy key from a
// broken one, or to say more of getInfo than a few members, all of which a
// process that watches keys needs.
//
// All system calls go through the C library, as libfido2's do, so that what
// stands in for devices in tests stands in for both.
package hid

import "errors"

// The ways in which a key does not answer as it should.
var (
	// ErrLocked: another program works with the key through libfido2.
	ErrLocked = errors.New("the device is locked")
	// ErrBusy: the key waits for a touch that another program asked for.
	ErrBusy = errors.New("the device is busy")
	// ErrTimeout: the key did not answer in time.
	ErrTimeout = errors.New("the device does not answer")
	// ErrFormat: what the key answered is not of the protocol.
	ErrFormat = errors.New("not the protocol of FIDO keys")
)

// Refusal is a status other than success (CTAP 2.1, section 8.2) with which a
// key answered a command.
type Refusal byte

func (r Refusal) Error() string {
	const digits = "0123456789abcdef"
	return "the device refused with status 0x" + string([]byte{digits[r>>4], digits[r&0xf]})
}
