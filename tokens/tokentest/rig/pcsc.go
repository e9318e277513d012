//go:build linux

package rig

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// What is needed of the protocol between pcscd and its client library
// (winscard_msg.h): asking for all readers' states. It is spoken here so that
// neither cgo nor another process is needed to wait for pcscd.
const (
	cmdVersion      = 0x11
	cmdReaderStates = 0x12
	protocolMajor   = 4
	protocolMinor   = 4
	statePresent    = 0x04
	stateSwallowed  = 0x08 // there, but mute
	maxReaderName   = 128
)

// readerState is one entry of pcscd's answer, as it lies in memory.
type readerState struct {
	Name     [maxReaderName]byte
	Events   uint32
	State    uint32
	Sharing  int32
	ATR      [33]byte
	_        [3]byte
	ATRBytes uint32
	Protocol uint32
}

func (s readerState) name() string {
	name, _, _ := bytes.Cut(s.Name[:], []byte{0})
	return string(name)
}

func (s readerState) present() bool { return s.State&statePresent != 0 && s.ATRBytes > 0 }

// readerStates asks pcscd for its readers, sorted by name.
func readerStates(ctx context.Context, socket string) ([]readerState, error) {
	all, minor, err := askStates(ctx, socket, protocolMinor)
	if err != nil && minor != protocolMinor {
		// Another version of pcscd, which told its own: what is asked here has
		// been the same in all of them.
		all, _, err = askStates(ctx, socket, minor)
	}
	return all, err
}

// askStates also returns the minor protocol version that pcscd speaks.
func askStates(ctx context.Context, socket string, minor uint32) ([]readerState, uint32, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, minor, err
	}
	defer func() { _ = conn.Close() }() // nothing is left to be written
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, minor, err
		}
	}
	version := struct{ Size, Command, Major, Minor, Result uint32 }{12, cmdVersion, protocolMajor, minor, 0}
	if err := binary.Write(conn, binary.NativeEndian, version); err != nil {
		return nil, minor, err
	}
	var agreed struct{ Major, Minor, Result uint32 }
	if err := binary.Read(conn, binary.NativeEndian, &agreed); err != nil {
		return nil, minor, err
	}
	if agreed.Result != 0 {
		return nil, agreed.Minor, fmt.Errorf("pcscd speaks protocol %d.%d, not %d.%d", agreed.Major, agreed.Minor, protocolMajor, minor)
	}
	if err := binary.Write(conn, binary.NativeEndian, [2]uint32{0, cmdReaderStates}); err != nil {
		return nil, minor, err
	}
	all := make([]readerState, maxReaders)
	if err := binary.Read(conn, binary.NativeEndian, all); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, minor, errors.New("pcscd answered too little")
		}
		return nil, minor, err
	}
	all = slices.DeleteFunc(all, func(s readerState) bool { return s.name() == "" })
	slices.SortFunc(all, func(a, b readerState) int { return bytes.Compare(a.Name[:], b.Name[:]) })
	return all, minor, nil
}

// poll repeats check until it is content or ctx ends.
func (r *Rig) poll(ctx context.Context, what string, check func([]readerState) (bool, error)) error {
	for {
		states, err := readerStates(ctx, r.Socket())
		if err == nil {
			var ok bool
			if ok, err = check(states); ok {
				return nil
			}
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			if err == nil {
				err = ctx.Err()
			}
			return fmt.Errorf("cannot wait for %s: %w; pcscd's log ends: %s", what, err, tail(r.Log(), 600))
		}
	}
}

// waitReaders waits until pcscd answers and has all readers.
func (r *Rig) waitReaders(ctx context.Context) error {
	return r.poll(ctx, "pcscd to show its readers", func(states []readerState) (bool, error) {
		if len(states) != r.opts.Readers {
			return false, fmt.Errorf("it has %d readers, not %d", len(states), r.opts.Readers)
		}
		r.names = r.names[:0:0]
		for _, s := range states {
			r.names = append(r.names, s.name())
		}
		return true, nil
	})
}

// waitReader waits until pcscd sees a card in the reader, or none.
func (r *Rig) waitReader(ctx context.Context, reader int, present bool) error {
	what := fmt.Sprintf("a card in %q", r.names[reader])
	if !present {
		what = fmt.Sprintf("%q to be empty", r.names[reader])
	}
	return r.poll(ctx, what, func(states []readerState) (bool, error) {
		if reader >= len(states) {
			return false, errors.New("the reader is gone")
		}
		s := states[reader]
		if present && s.State&stateSwallowed != 0 {
			return false, errors.New("the card is mute")
		}
		if present {
			return s.present(), nil
		}
		return s.State&statePresent == 0, nil
	})
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }
