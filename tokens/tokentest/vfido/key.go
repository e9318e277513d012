// Package vfido is a virtual FIDO2 key (CTAP 2.0 and 2.1, U2F), for tests: it
// speaks CTAPHID on a pseudo-terminal that libfido2 opens as if it were a
// hidraw device, so that everything above it is the real libfido2. Everything
// about it can be scripted and counted. It guards nothing: keys lie in memory,
// and whoever holds the Key can read its PIN tries.
//
// Sections named here are those of the Client to Authenticator Protocol 2.1,
// proposed standard of 15 June 2021, where nothing else is said.
package vfido

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"
	"unicode/utf8"
)

// Key is a virtual FIDO2 key. It keeps its credentials, PIN and tries when it
// is pulled out and put in again. All methods are safe for concurrent use.
type Key struct {
	opts        Options
	attestation *attestationKey

	// op is held for the whole of a command, as a key does one thing at a
	// time; mu guards the fields below and is let go while waiting for a user.
	op sync.Mutex
	mu sync.Mutex

	pin         pinState
	uvTries     int
	credentials []*credential
	counter     uint32 // of signatures, one for all credentials

	session

	touch, finger TouchFunc
	delay         time.Duration
	hook          func(Command, []byte) []byte
	faults        []*Fault
	counts        Counts
	log           []Entry
	running       operation
	inserted      bool
}

// pinState is the PIN and what is kept about it without power.
type pinState struct {
	hash     []byte // the left half of SHA-256; nil is no PIN
	tries    int
	mustTurn bool // forcePINChange
}

// session is what a key forgets without power.
type session struct {
	agreement agreementKey
	token     *token
	misses    int // wrong PINs in a row
	powered   time.Time
	next      *remaining
	listing   *listing
	u2f       *u2fTouch
}

// operation is the command being done.
type operation struct {
	ctx   context.Context // ends when power is cut or the client cancels
	cmd   Command
	sub   byte
	fault *Fault
	state func(byte)
}

// States in keepalives (section 11.2.9.1.7); keepaliveNone has none sent.
const (
	keepaliveNone       byte = 0
	keepaliveProcessing byte = 1
	keepaliveTouch      byte = 2
)

// tell has state sent in keepalives from now on.
func (o operation) tell(state byte) {
	if o.state != nil {
		o.state(state)
	}
}

// New makes a key.
func New(o Options) (*Key, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	k := &Key{opts: o, touch: o.Touch, finger: o.Finger}
	k.counts.Commands = map[string]int{}
	if k.attestation, err = newAttestationKey(o); err != nil {
		return nil, err
	}
	if err := k.factory(); err != nil {
		return nil, err
	}
	if o.PIN != "" {
		k.pin.hash = hashPIN([]byte(o.PIN))
	}
	k.pin.mustTurn = o.ForcePINChange && o.PIN != ""
	return k, nil
}

// factory is what a reset leaves (section 6.6): everything but the attestation.
func (k *Key) factory() error {
	k.pin = pinState{tries: maxPINTries}
	k.uvTries = k.opts.UVTries
	k.credentials = nil
	return k.forget()
}

// forget makes the key as after power-up, but for the time of that.
func (k *Key) forget() error {
	agreement, err := newAgreementKey()
	if err != nil {
		return err
	}
	powered := k.powered
	if powered.IsZero() {
		powered = k.opts.Now()
	}
	k.session = session{agreement: agreement, powered: powered}
	return nil
}

// PowerCycle makes the key forget what it keeps only while it has power: its
// tokens and that a PIN was wrong three times in a row.
func (k *Key) PowerCycle() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.powered = time.Time{}
	k.counts.PowerCycles++
	return k.forget()
}

// CBOR answers one command (section 6), as over a line that never fails: the
// command's byte and its parameters in, the status and the answer out. It is
// nil where a fault has the key answer nothing.
func (k *Key) CBOR(ctx context.Context, request []byte) []byte {
	out, _ := k.execute(ctx, request, nil)
	return out
}

// execute answers a command until ctx ends. The fault is what the transport
// has to do about the answer; some have none.
func (k *Key) execute(ctx context.Context, in []byte, state func(byte)) ([]byte, *Fault) {
	k.op.Lock()
	defer k.op.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	o := operation{ctx: ctx, state: state}
	if len(in) > 0 {
		o.cmd = Command(in[0])
		o.sub = subcommand(o.cmd, in[1:])
	}
	k.counts.Commands[o.cmd.Name(o.sub)]++
	o.fault = k.takeFault(o.cmd, o.sub)
	k.running = o
	if !k.pause(o) {
		return nil, o.fault
	}
	o.tell(keepaliveProcessing)
	out := k.dispatch(in)
	out = o.fault.apply(out)
	if k.hook != nil {
		hook := k.hook
		k.mu.Unlock()
		out = hook(o.cmd, out)
		k.mu.Lock()
	}
	k.record(in, out)
	return out, o.fault
}

// dispatch does what a command asks. k.mu is held.
func (k *Key) dispatch(in []byte) []byte {
	switch {
	case len(in) == 0:
		return []byte{byte(StatusInvalidLength)}
	case k.opts.Version == U2FOnly:
		return []byte{byte(StatusInvalidCommand)}
	case len(in) > k.opts.MaxMessage:
		return []byte{byte(StatusRequestTooLarge)}
	}
	cmd := k.running.cmd
	// A stateful sequence ends with any other command (section 6).
	if cmd != CommandGetNextAssertion {
		k.next = nil
	}
	if cmd != CommandManagement && cmd != CommandManagementPreview {
		k.listing = nil
	}
	out, s := k.command(cmd, in[1:])
	if s != StatusOK {
		return []byte{byte(s)}
	}
	return append([]byte{byte(StatusOK)}, out...)
}

func (k *Key) command(cmd Command, params []byte) ([]byte, Status) {
	modern := k.opts.Version == CTAP21
	switch {
	case cmd == CommandMakeCredential:
		return k.makeCredential(params)
	case cmd == CommandGetAssertion:
		return k.getAssertion(params)
	case cmd == CommandGetNextAssertion:
		return k.getNextAssertion()
	case cmd == CommandGetInfo:
		return marshal(k.info())
	case cmd == CommandClientPIN:
		return k.clientPIN(params)
	case cmd == CommandReset:
		return nil, k.reset()
	case cmd == CommandSelection && modern:
		return nil, k.waitTouch("")
	case cmd == CommandManagement && k.manages(),
		cmd == CommandManagementPreview && k.previews():
		return k.management(params)
	}
	return nil, StatusInvalidCommand
}

// reset is authenticatorReset (section 6.6).
func (k *Key) reset() Status {
	if w := k.opts.ResetWindow; w > 0 && k.opts.Now().Sub(k.powered) > w {
		return StatusNotAllowed
	}
	if s := k.waitTouch(""); s != StatusOK {
		return s
	}
	if err := k.factory(); err != nil {
		return StatusOther
	}
	k.counts.Resets++
	return StatusOK
}

// PINTries is how many tries of the PIN are left.
func (k *Key) PINTries() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pin.tries
}

// UVTries is how many tries of the fingerprint reader are left.
func (k *Key) UVTries() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.uvTries
}

// PINIs says whether the key's PIN is that one; "" asks whether it has none.
func (k *Key) PINIs(pin string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if pin == "" || k.pin.hash == nil {
		return pin == "" && k.pin.hash == nil
	}
	return string(k.pin.hash) == string(hashPIN([]byte(pin)))
}

// Options are what the key was made from, with defaults filled in.
func (k *Key) Options() Options { return k.opts }

// hashPIN is what travels and is kept of a PIN.
func hashPIN(pin []byte) []byte {
	h := sha256.Sum256(pin)
	return h[:16]
}

// goodPIN says whether a PIN may be set (section 6.5.1): its length counts in
// code points, its end in bytes.
func (o Options) goodPIN(pin []byte, shortest int) bool {
	return utf8.Valid(pin) && len(pin) <= 63 && utf8.RuneCount(pin) >= shortest
}
