// Package pcsc is the small part of PC/SC that package piv needs beside piv-go:
// to watch readers, to read from a card without leaking a lock when that fails,
// and to reset a card. It is WinSCard on Windows, and pcsc-lite or Apple's
// framework through cgo elsewhere; builds without cgo there have no Open.
package pcsc

import (
	"errors"
	"fmt"
)

// Error is a PC/SC return code.
type Error uint32

// The return codes that callers decide by ([MS-RDPESC] 2.2.8, winscard.h).
const (
	ErrCancelled         Error = 0x80100002
	ErrInvalidHandle     Error = 0x80100003
	ErrUnknownReader     Error = 0x80100009
	ErrTimeout           Error = 0x8010000A
	ErrSharing           Error = 0x8010000B
	ErrNoCard            Error = 0x8010000C
	ErrProtoMismatch     Error = 0x8010000F
	ErrComm              Error = 0x80100013
	ErrNotTransacted     Error = 0x80100016
	ErrReaderUnavailable Error = 0x80100017
	ErrNoService         Error = 0x8010001D
	ErrServiceStopped    Error = 0x8010001E
	ErrNoReaders         Error = 0x8010002E
	ErrCommDataLost      Error = 0x8010002F
	ErrUnresponsive      Error = 0x80100066
	ErrUnpowered         Error = 0x80100067
	ErrReset             Error = 0x80100068
	ErrRemoved           Error = 0x80100069
	ErrSecurity          Error = 0x8010006A
)

func (e Error) Error() string {
	names := map[Error]string{
		ErrCancelled: "cancelled", ErrInvalidHandle: "the handle is invalid", ErrUnknownReader: "there is no such reader",
		ErrTimeout: "timed out", ErrSharing: "another program holds the card", ErrNoCard: "there is no card in the reader",
		ErrProtoMismatch: "the card speaks another protocol", ErrComm: "cannot speak with the service", ErrNotTransacted: "the transaction is gone",
		ErrReaderUnavailable: "the reader is not available", ErrNoService: "the service is not running", ErrServiceStopped: "the service has stopped",
		ErrNoReaders: "there is no reader", ErrCommDataLost: "cannot speak with the card", ErrUnresponsive: "the card does not respond",
		ErrUnpowered: "the card has no power", ErrReset: "the card was reset", ErrRemoved: "the card was removed", ErrSecurity: "access was denied",
	}
	if s, ok := names[e]; ok {
		return "pcsc: " + s
	}
	return fmt.Sprintf("pcsc: error 0x%08x", uint32(e))
}

// ServiceGone says whether err means that the service cannot be spoken with.
func ServiceGone(err error) bool {
	return errors.Is(err, ErrNoService) || errors.Is(err, ErrServiceStopped) || errors.Is(err, ErrComm) || errors.Is(err, ErrInvalidHandle)
}

// State is what the service knows of a reader, the SCARD_STATE bits. The upper
// half of the 32 bits counts the cards that came and went.
type State uint32

// The bits of State.
const (
	StateUnaware     State = 0
	StateChanged     State = 0x0002
	StateUnknown     State = 0x0004
	StateUnavailable State = 0x0008
	StateEmpty       State = 0x0010
	StatePresent     State = 0x0020
	StateExclusive   State = 0x0080
	StateInUse       State = 0x0100
	StateMute        State = 0x0200
)

// Events is the counter in the upper half.
func (s State) Events() uint16 { return uint16(s >> 16) }

// Present says whether a card is in the reader.
func (s State) Present() bool { return s&StatePresent != 0 }

// PnP is the pseudo-reader that changes when a reader comes or goes. The service
// on macOS does not know it.
const PnP = `\\?PnP?\Notification`

// Reader is one reader in a call of Context.Wait: Current goes in, New comes out.
type Reader struct {
	Name    string
	Current State
	New     State
}

// maxReaders bounds what Wait takes.
const maxReaders = 64
