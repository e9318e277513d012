//go:build cgo && linux && !nofido2

package hid

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// CTAPHID commands (CTAP 2.1, section 11.2.9), with the bit of a first packet.
const (
	cmdInit      = 0x86
	cmdCBOR      = 0x90
	cmdKeepalive = 0xbb
	cmdError     = 0xbf
)

// CTAPHID errors (CTAP 2.1, section 11.2.9.1.6).
const errChannelBusy = 0x06

// capCBOR is the capability of a key that speaks CTAP 2.
const capCBOR = 0x04

const broadcast = 0xffffffff

// slice is how long one wait lasts at most, so that a context is honoured.
const slice = 20 * time.Millisecond

// Port is an open device, locked against everybody who uses libfido2.
type Port struct {
	fd      int
	in, out int
	cid     uint32
	// Firmware is what the key tells as its version in CTAPHID_INIT.
	Firmware [3]byte
	// CTAP2 says that the key speaks more than U2F.
	CTAP2 bool
}

// Open opens a device and greets it, all before the time limit. It fails with
// ErrLocked, ErrBusy, ErrTimeout, ErrFormat, or as the system does.
func Open(ctx context.Context, path string, limit time.Time) (*Port, error) {
	st, err := Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Character {
		return nil, failed("open", path, syscall.ENOTTY)
	}
	fd, err := openDevice(path)
	if err != nil {
		return nil, err
	}
	p := &Port{fd: fd, in: reportSize, out: reportSize}
	if l := parseDescriptor(descriptor(fd)); l.in > 0 && l.out > 0 {
		p.in, p.out = l.in, l.out
	}
	if err := p.greet(ctx, limit); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Close lets go of the device.
func (p *Port) Close() { closeFD(p.fd) }

// Release lets others use the device, and keeps it open: as long as it is, the
// system gives its name to no other, even if it is pulled out.
func (p *Port) Release() error { return unlock(p.fd) }

// At says whether a path still leads to the device.
func (p *Port) At(path string) bool { return isOpenAs(p.fd, path) }

// greet asks for a channel.
func (p *Port) greet(ctx context.Context, limit time.Time) error {
	if err := lock(p.fd); err != nil {
		return err
	}
	p.drain()
	var nonce [8]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return fmt.Errorf("cannot get random bytes: %w", err)
	}
	if err := p.send(broadcast, cmdInit, nonce[:]); err != nil {
		return err
	}
	for {
		cmd, b, err := p.receive(ctx, broadcast, limit)
		if err != nil {
			return err
		}
		switch {
		case cmd == cmdError && len(b) == 1 && b[0] == errChannelBusy:
			return ErrBusy
		case cmd != cmdInit || len(b) < 8 || !bytes.Equal(b[:8], nonce[:]):
			continue // somebody else's greeting
		case len(b) < 17:
			return fmt.Errorf("greeting of %d bytes: %w", len(b), ErrFormat)
		}
		p.cid = binary.BigEndian.Uint32(b[8:])
		p.Firmware = [3]byte(b[13:16])
		p.CTAP2 = b[16]&capCBOR != 0
		if p.cid == broadcast || p.cid == 0 {
			return fmt.Errorf("channel %#x: %w", p.cid, ErrFormat)
		}
		return nil
	}
}

// drain drops what nobody has read: a terminal line keeps it.
func (p *Port) drain() {
	b := make([]byte, maxReportSize)
	for range 1024 {
		if some, err := readable(p.fd, 0); err != nil || !some {
			return
		}
		if n, err := read(p.fd, b); err != nil || n == 0 {
			return
		}
	}
}

// CBOR sends a CTAP 2 command and returns what the answer has after its status.
// It fails as Open does, or with a Refusal.
func (p *Port) CBOR(ctx context.Context, command byte, parameters []byte, limit time.Time) ([]byte, error) {
	if err := p.send(p.cid, cmdCBOR, append([]byte{command}, parameters...)); err != nil {
		return nil, err
	}
	cmd, b, err := p.receive(ctx, p.cid, limit)
	switch {
	case err != nil:
		return nil, err
	case cmd == cmdError && len(b) == 1 && b[0] == errChannelBusy:
		return nil, ErrBusy
	case cmd != cmdCBOR || len(b) == 0:
		return nil, fmt.Errorf("answer %#x of %d bytes: %w", cmd, len(b), ErrFormat)
	case b[0] != 0:
		return nil, Refusal(b[0])
	}
	return b[1:], nil
}

// send writes a message in packets.
func (p *Port) send(cid uint32, cmd byte, b []byte) error {
	packet := make([]byte, 1+p.out) // the report's number, always 0, comes first
	binary.BigEndian.PutUint32(packet[1:], cid)
	packet[5] = cmd
	binary.BigEndian.PutUint16(packet[6:], uint16(len(b)))
	n := copy(packet[8:], b)
	for seq := byte(0); ; seq++ {
		if written, err := write(p.fd, packet); err != nil {
			return fmt.Errorf("cannot write to the device: %w", err)
		} else if written != len(packet) {
			return fmt.Errorf("cannot write to the device: %d of %d bytes: %w", written, len(packet), syscall.EIO)
		}
		if b = b[n:]; len(b) == 0 {
			return nil
		}
		clear(packet[5:])
		packet[5] = seq
		n = copy(packet[6:], b)
	}
}

// receive reads one message of a channel; keepalives and other channels' packets
// are passed over.
func (p *Port) receive(ctx context.Context, cid uint32, limit time.Time) (cmd byte, b []byte, err error) {
	var m message
	for {
		packet, err := p.packet(ctx, limit)
		if err != nil {
			return 0, nil, err
		}
		if len(packet) < minReportSize || binary.BigEndian.Uint32(packet) != cid {
			continue
		}
		done, err := m.add(packet[4:])
		if err != nil {
			return 0, nil, err
		}
		if !done {
			continue
		}
		if m.cmd == cmdKeepalive {
			m = message{}
			continue
		}
		return m.cmd, m.data, nil
	}
}

// packet reads one report.
func (p *Port) packet(ctx context.Context, limit time.Time) ([]byte, error) {
	b := make([]byte, p.in)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		left := time.Until(limit)
		if left <= 0 {
			return nil, ErrTimeout
		}
		some, err := readable(p.fd, min(max(left, time.Millisecond), slice))
		if err != nil {
			return nil, fmt.Errorf("cannot read from the device: %w", err)
		}
		if !some {
			continue
		}
		n, err := read(p.fd, b)
		switch {
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return nil, fmt.Errorf("cannot read from the device: %w", err)
		case n == 0:
			return nil, fmt.Errorf("cannot read from the device: %w", syscall.EIO)
		}
		return b[:n], nil
	}
}
