package vfido

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// Status words of U2F (FIDO U2F Raw Message Formats 1.2, section 3.3).
const (
	wordOK          uint16 = 0x9000
	wordNoTouch     uint16 = 0x6985
	wordWrongData   uint16 = 0x6A80
	wordWrongLength uint16 = 0x6700
	wordNoClass     uint16 = 0x6E00
	wordNoCommand   uint16 = 0x6D00
)

// U2F's instructions (sections 4 to 6) and ways of authenticating (section 5.1).
const (
	u2fRegister     = 0x01
	u2fAuthenticate = 0x02
	u2fVersion      = 0x03

	u2fCheckOnly = 0x07
	u2fEnforce   = 0x03
	u2fDontAsk   = 0x08
)

// u2fTouch is a touch being waited for: U2F clients ask again and again.
type u2fTouch struct {
	answer chan bool
	cancel context.CancelFunc
}

// message answers a CTAPHID_MSG: a U2F command in extended length encoding.
func (k *Key) message(ctx context.Context, in []byte) ([]byte, *Fault) {
	k.op.Lock()
	defer k.op.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.counts.Commands[CommandMessage.String()]++
	fault := k.takeFault(CommandMessage, 0)
	k.running = operation{ctx: ctx, cmd: CommandMessage, fault: fault}
	if !k.pause(k.running) {
		return nil, fault
	}
	out, word := k.u2fCommand(in)
	return fault.apply(binary.BigEndian.AppendUint16(out, word)), fault
}

func (k *Key) hasU2F() bool {
	return k.opts.Version == U2FOnly || !k.opts.NoU2F && !k.opts.AlwaysUV
}

func (k *Key) u2fCommand(in []byte) ([]byte, uint16) {
	switch {
	case !k.hasU2F():
		return nil, wordNoCommand
	case len(in) < 4:
		return nil, wordWrongLength
	case in[0] != 0:
		return nil, wordNoClass
	}
	data, ok := u2fData(in[4:])
	if !ok {
		return nil, wordWrongLength
	}
	switch in[1] {
	case u2fRegister:
		return k.u2fRegister(data)
	case u2fAuthenticate:
		return k.u2fAuthenticate(in[2], data)
	case u2fVersion:
		if len(data) > 0 {
			return nil, wordWrongLength
		}
		return []byte("U2F_V2"), wordOK
	}
	return nil, wordNoCommand
}

// u2fData takes what follows the header apart: nothing, or an extended Le, or
// an extended Lc, data and maybe Le.
func u2fData(b []byte) ([]byte, bool) {
	if len(b) == 0 {
		return nil, true
	}
	if len(b) < 3 || b[0] != 0 {
		return nil, false
	}
	n := int(binary.BigEndian.Uint16(b[1:]))
	b = b[3:]
	switch len(b) {
	case 0: // it was Le
		return nil, true
	case n, n + 2:
		return b[:n], true
	}
	return nil, false
}

// u2fTouched says whether the key was touched since it was first asked, and
// waits a little for it.
func (k *Key) u2fTouched() bool {
	if k.u2f == nil {
		k.counts.TouchesAsked++
		ctx, cancel := context.WithTimeout(context.WithoutCancel(k.running.ctx), k.opts.TouchTimeout)
		t := &u2fTouch{make(chan bool, 1), cancel}
		touch := k.touch
		go func() { t.answer <- touch(ctx, Prompt{Command: CommandMessage}) }()
		k.u2f = t
	}
	t := k.u2f
	k.mu.Unlock()
	defer k.mu.Lock()
	wait := time.NewTimer(50 * time.Millisecond)
	defer wait.Stop()
	select {
	case ok := <-t.answer:
		t.cancel()
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.u2f == t {
			k.u2f = nil
		}
		if ok {
			k.counts.TouchesGiven++
		}
		return ok
	case <-wait.C:
		return false
	}
}

// u2fRegister is section 4.
func (k *Key) u2fRegister(data []byte) ([]byte, uint16) {
	if len(data) != 64 {
		return nil, wordWrongLength
	}
	if !k.u2fTouched() {
		return nil, wordNoTouch
	}
	c, s := k.newCredential(AlgES256)
	if s != StatusOK || len(c.id) > 255 {
		return nil, wordWrongData
	}
	copy(c.rpHash[:], data[32:])
	point := c.point()
	signature, s := k.attestation.sign([]byte{0}, data[32:], data[:32], c.id, point)
	if s != StatusOK || k.add(c) != StatusOK {
		return nil, wordWrongData
	}
	k.counts.MakeCredentials++
	out := append([]byte{5}, point...)
	out = append(append(out, byte(len(c.id))), c.id...)
	out = append(out, k.attestation.certificate.Raw...)
	return append(out, signature...), wordOK
}

// point is the uncompressed public key of an ES256 credential, whose COSE key
// ends with the coordinates: 32 bytes, the 3 of the next label, 32 bytes.
func (c *credential) point() []byte {
	n := len(c.public)
	return append(append([]byte{4}, c.public[n-67:n-35]...), c.public[n-32:]...)
}

// u2fAuthenticate is section 5.
func (k *Key) u2fAuthenticate(how byte, data []byte) ([]byte, uint16) {
	if len(data) < 65 || len(data) != 65+int(data[64]) {
		return nil, wordWrongLength
	}
	c := k.find([sha256.Size]byte(data[32:64]), data[65:])
	if c == nil || c.alg != AlgES256 {
		return nil, wordWrongData
	}
	var presence byte
	switch how {
	case u2fCheckOnly:
		k.counts.Preflights++
		return nil, wordNoTouch
	case u2fEnforce:
		if !k.u2fTouched() {
			return nil, wordNoTouch
		}
		presence = flagUP
	case u2fDontAsk:
	default:
		return nil, wordWrongData
	}
	k.counter++
	head := binary.BigEndian.AppendUint32([]byte{presence}, k.counter)
	signature, s := c.sign(data[32:64], head, data[:32])
	if s != StatusOK {
		return nil, wordWrongData
	}
	k.counts.Assertions++
	return append(head, signature...), wordOK
}
