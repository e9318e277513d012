package pcsc

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// procs are WinSCard's functions; the library is loaded from the system folder
// alone.
type procs struct {
	establish, release, cancel, list, status, connect, disconnect, transmit *windows.LazyProc
}

func load() procs {
	dll := windows.NewLazySystemDLL("winscard.dll")
	return procs{
		establish: dll.NewProc("SCardEstablishContext"), release: dll.NewProc("SCardReleaseContext"), cancel: dll.NewProc("SCardCancel"),
		list: dll.NewProc("SCardListReadersW"), status: dll.NewProc("SCardGetStatusChangeW"), connect: dll.NewProc("SCardConnectW"),
		disconnect: dll.NewProc("SCardDisconnect"), transmit: dll.NewProc("SCardTransmit"),
	}
}

// Context is a connection to the service. Only Cancel may be called while
// another call is under way.
type Context struct {
	p procs
	c uintptr
}

func check(rc uintptr) error {
	if uint32(rc) == 0 {
		return nil
	}
	return Error(uint32(rc))
}

// Open connects to the service.
func Open() (*Context, error) {
	x := &Context{p: load()}
	if err := x.p.establish.Find(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoService, err)
	}
	const scopeSystem = 2
	rc, _, _ := x.p.establish.Call(scopeSystem, 0, 0, uintptr(unsafe.Pointer(&x.c)))
	if err := check(rc); err != nil {
		return nil, err
	}
	return x, nil
}

// Close disconnects from the service.
func (x *Context) Close() error {
	rc, _, _ := x.p.release.Call(x.c)
	return check(rc)
}

// Cancel makes a Wait that is under way fail with ErrCancelled.
func (x *Context) Cancel() error {
	rc, _, _ := x.p.cancel.Call(x.c)
	return check(rc)
}

// Readers names the readers.
func (x *Context) Readers() ([]string, error) {
	var n uint32
	// A reader that comes between the two calls makes the second fail.
	for range 3 {
		rc, _, _ := x.p.list.Call(x.c, 0, 0, uintptr(unsafe.Pointer(&n)))
		if err := check(rc); errors.Is(err, ErrNoReaders) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		if n == 0 || n > 1<<20 {
			return nil, nil
		}
		b := make([]uint16, n)
		rc, _, _ = x.p.list.Call(x.c, 0, uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&n)))
		if check(rc) != nil {
			continue
		}
		var names []string
		for start, i := 0, 0; i < len(b); i++ {
			if b[i] == 0 {
				if i > start {
					names = append(names, syscall.UTF16ToString(b[start:i]))
				}
				start = i + 1
			}
		}
		return names, nil
	}
	return nil, ErrComm
}

// readerState is SCARD_READERSTATEW.
type readerState struct {
	name           *uint16
	user           uintptr
	current, event uint32
	atrLen         uint32
	atr            [36]byte
}

// Wait returns when a reader's state differs from Current, at once for one that
// is StateUnaware, and fails with ErrTimeout when none does for that long.
func (x *Context) Wait(readers []Reader, timeout time.Duration) error {
	if len(readers) == 0 || len(readers) > maxReaders {
		return fmt.Errorf("cannot wait for %d readers", len(readers))
	}
	states := make([]readerState, len(readers))
	var pin runtime.Pinner
	defer pin.Unpin()
	for i, r := range readers {
		name, err := syscall.UTF16PtrFromString(r.Name)
		if err != nil {
			return fmt.Errorf("cannot wait for a reader: %w", err)
		}
		pin.Pin(name)
		states[i].name, states[i].current = name, uint32(r.Current)
	}
	rc, _, _ := x.p.status.Call(x.c, uintptr(uint32(timeout.Milliseconds())), uintptr(unsafe.Pointer(&states[0])), uintptr(len(states)))
	for i := range readers {
		readers[i].New = State(states[i].event)
	}
	return check(rc)
}

// Card is a connection to a card. It must be disconnected.
type Card struct {
	p procs
	h uintptr
}

// Connect connects to the card in a reader, exclusively or shared with others.
func (x *Context) Connect(reader string, exclusive bool) (*Card, error) {
	name, err := syscall.UTF16PtrFromString(reader)
	if err != nil {
		return nil, ErrUnknownReader
	}
	const shareExclusive, shareShared, protocolT1 = 1, 2, 2
	mode := uintptr(shareShared)
	if exclusive {
		mode = shareExclusive
	}
	c := &Card{p: x.p}
	var protocol uint32
	rc, _, _ := x.p.connect.Call(x.c, uintptr(unsafe.Pointer(name)), mode, protocolT1, uintptr(unsafe.Pointer(&c.h)), uintptr(unsafe.Pointer(&protocol)))
	if err := check(rc); err != nil {
		return nil, err
	}
	return c, nil
}

// Disconnect gives the card free; with reset the card forgets every PIN and key
// that was shown to it.
func (c *Card) Disconnect(reset bool) error {
	const leaveCard, resetCard = 0, 1
	how := uintptr(leaveCard)
	if reset {
		how = resetCard
	}
	rc, _, _ := c.p.disconnect.Call(c.h, how)
	return check(rc)
}

// transmit sends one command and returns the answer with its status word.
func (c *Card) transmit(command []byte) ([]byte, error) {
	var answer [maxAnswer]byte
	n := uint32(len(answer))
	pci := struct{ protocol, size uint32 }{2, 8} // SCARD_IO_REQUEST for T=1
	rc, _, _ := c.p.transmit.Call(c.h, uintptr(unsafe.Pointer(&pci)), uintptr(unsafe.Pointer(&command[0])), uintptr(len(command)), 0,
		uintptr(unsafe.Pointer(&answer[0])), uintptr(unsafe.Pointer(&n)))
	if err := check(rc); err != nil {
		return nil, err
	}
	return append([]byte(nil), answer[:n]...), nil
}
