//go:build cgo && (linux || darwin)

package pcsc

/*
#cgo darwin LDFLAGS: -framework PCSC
#cgo linux pkg-config: libpcsclite
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <PCSC/winscard.h>
#include <PCSC/wintypes.h>

// The struct is packed on macOS, which cgo cannot express, so C fills it in.
static LONG wait_for(SCARDCONTEXT c, DWORD ms, char **names, const uint32_t *current, uint32_t *event, int n) {
	SCARD_READERSTATE s[64];
	memset(s, 0, sizeof s);
	for (int i = 0; i < n; i++) {
		s[i].szReader = names[i];
		s[i].dwCurrentState = current[i];
	}
	LONG rc = SCardGetStatusChange(c, ms, s, n);
	for (int i = 0; i < n; i++)
		event[i] = (uint32_t)s[i].dwEventState;
	return rc;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unsafe"
)

// Context is a connection to the service. Only Cancel may be called while
// another call is under way.
type Context struct{ c C.SCARDCONTEXT }

func check(rc C.LONG) error {
	if rc == C.SCARD_S_SUCCESS {
		return nil
	}
	return Error(uint32(rc))
}

// Open connects to the service.
func Open() (*Context, error) {
	var c C.SCARDCONTEXT
	if err := check(C.SCardEstablishContext(C.SCARD_SCOPE_SYSTEM, nil, nil, &c)); err != nil {
		return nil, err
	}
	return &Context{c}, nil
}

// Close disconnects from the service.
func (x *Context) Close() error { return check(C.SCardReleaseContext(x.c)) }

// Cancel makes a Wait that is under way fail with ErrCancelled.
func (x *Context) Cancel() error { return check(C.SCardCancel(x.c)) }

// Readers names the readers.
func (x *Context) Readers() ([]string, error) {
	var n C.DWORD
	// A reader that comes between the two calls makes the second fail.
	for range 3 {
		err := check(C.SCardListReaders(x.c, nil, nil, &n))
		if errors.Is(err, ErrNoReaders) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if n == 0 || n > 1<<20 {
			return nil, nil
		}
		b := make([]byte, n)
		if err := check(C.SCardListReaders(x.c, nil, (*C.char)(unsafe.Pointer(&b[0])), &n)); err != nil {
			if errors.Is(err, ErrNoReaders) {
				return nil, nil
			}
			continue
		}
		return strings.FieldsFunc(string(b[:n]), func(r rune) bool { return r == 0 }), nil
	}
	return nil, ErrComm
}

// Wait returns when a reader's state differs from Current, at once for one that
// is StateUnaware, and fails with ErrTimeout when none does for that long.
func (x *Context) Wait(readers []Reader, timeout time.Duration) error {
	if len(readers) == 0 || len(readers) > maxReaders {
		return fmt.Errorf("cannot wait for %d readers", len(readers))
	}
	var names [maxReaders]*C.char
	var current, event [maxReaders]C.uint32_t
	for i, r := range readers {
		names[i] = C.CString(r.Name)
		defer C.free(unsafe.Pointer(names[i]))
		current[i] = C.uint32_t(r.Current)
	}
	err := check(C.wait_for(x.c, C.DWORD(timeout.Milliseconds()), &names[0], &current[0], &event[0], C.int(len(readers))))
	for i := range readers {
		readers[i].New = State(event[i])
	}
	return err
}

// Card is a connection to a card. It must be disconnected.
type Card struct{ h C.SCARDHANDLE }

// Connect connects to the card in a reader, exclusively or shared with others.
func (x *Context) Connect(reader string, exclusive bool) (*Card, error) {
	name := C.CString(reader)
	defer C.free(unsafe.Pointer(name))
	mode := C.DWORD(C.SCARD_SHARE_SHARED)
	if exclusive {
		mode = C.SCARD_SHARE_EXCLUSIVE
	}
	var h C.SCARDHANDLE
	var protocol C.DWORD
	if err := check(C.SCardConnect(x.c, name, mode, C.SCARD_PROTOCOL_T1, &h, &protocol)); err != nil {
		return nil, err
	}
	return &Card{h}, nil
}

// Disconnect gives the card free; with reset the card forgets every PIN and key
// that was shown to it.
func (c *Card) Disconnect(reset bool) error {
	how := C.DWORD(C.SCARD_LEAVE_CARD)
	if reset {
		how = C.SCARD_RESET_CARD
	}
	return check(C.SCardDisconnect(c.h, how))
}

// transmit sends one command and returns the answer with its status word.
func (c *Card) transmit(command []byte) ([]byte, error) {
	var answer [maxAnswer]byte
	n := C.DWORD(len(answer))
	rc := C.SCardTransmit(c.h, C.SCARD_PCI_T1, (*C.BYTE)(unsafe.Pointer(&command[0])), C.DWORD(len(command)), nil, (*C.BYTE)(unsafe.Pointer(&answer[0])), &n)
	if err := check(rc); err != nil {
		return nil, err
	}
	return append([]byte(nil), answer[:n]...), nil
}
