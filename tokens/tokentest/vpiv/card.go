// Package vpiv is a virtual PIV card (NIST SP 800-73-4) with Yubico's
// extensions, for tests: it answers APDUs, and plugs into a reader of vpcd
// (vsmartcard), so that everything above it is the real PC/SC stack. Everything
// about it can be scripted and counted. It guards nothing: keys lie in memory,
// and whoever holds the Card can read its PIN tries.
package vpiv

import (
	"context"
	"crypto/x509"
	"maps"
	"slices"
	"sync"
	"time"
)

// Card is a virtual card. It keeps its keys, objects and tries when it is
// pulled out and put in again. All methods are safe for concurrent use.
type Card struct {
	opts Options
	root *x509.Certificate

	// op is held for the whole of a command, as a card does one thing at a
	// time; mu guards the fields below and is let go while waiting for a touch.
	op sync.Mutex
	mu sync.Mutex

	pin, puk reference
	mgm      management
	keys     map[byte]*key
	objects  map[uint32][]byte

	session

	touch     TouchFunc
	delay     time.Duration
	faults    []*Fault
	counts    Counts
	log       []Entry
	inserted  *Inserted
	operation context.Context // of the command being done: ends when power is cut
}

// session is what a card forgets without power.
type session struct {
	applet       applet
	pinOK        bool
	pinFresh     bool // no private key was used since VERIFY
	mgmOK        bool
	witness      []byte
	challenge    []byte
	chained      *command
	rest         []byte
	touchedUntil map[byte]time.Time
}

// New makes a card.
func New(o Options) (*Card, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	c := &Card{opts: o, touch: o.Touch, operation: context.Background()}
	c.factory()
	c.pin = newReference(o.PIN, o.PINTries)
	c.puk = newReference(o.PUK, o.PUKTries)
	c.mgm = management{alg: o.ManagementAlgorithm, key: slices.Clone(o.ManagementKey)}
	if err := c.makeAttestationKey(); err != nil {
		return nil, err
	}
	return c, nil
}

// factory is what RESET leaves: everything but the attestation key and its
// certificate, which the maker put there.
func (c *Card) factory() {
	attestation, certificate := c.keys[slotAttestation], c.objects[objectAttestation]
	c.pin = newReference(FactoryPIN, factoryTries)
	c.puk = newReference(FactoryPUK, factoryTries)
	c.mgm = management{alg: factoryManagementAlgorithm(c.opts.Version), key: FactoryManagementKey()}
	c.keys, c.objects = map[byte]*key{}, map[uint32][]byte{}
	if attestation != nil {
		c.keys[slotAttestation] = attestation
	}
	if certificate != nil {
		c.objects[objectAttestation] = certificate
	}
	c.deauthenticate()
}

func (c *Card) deauthenticate() {
	c.pinOK, c.pinFresh, c.mgmOK = false, false, false
	c.witness, c.challenge = nil, nil
	c.touchedUntil = nil
}

// PowerCycle makes the card forget what it keeps only while it has power, as a
// reader's reset does: nothing is selected and nobody is authenticated.
func (c *Card) PowerCycle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = session{}
	c.counts.PowerCycles++
}

// APDU answers one command APDU (ISO/IEC 7816-4), as over a reader that never
// cuts power. With a hanging fault it does not return.
func (c *Card) APDU(in []byte) []byte {
	out, _ := c.transmit(context.Background(), in)
	return out
}

// transmit answers a command until ctx, the power, ends; ok is false when there
// is no answer and never will be.
func (c *Card) transmit(ctx context.Context, in []byte) (out []byte, ok bool) {
	c.op.Lock()
	defer c.op.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.operation = ctx
	c.counts.Commands++
	cmd, s := parseCommand(in)
	fault := c.takeFault(cmd.ins)
	if !c.pause(ctx, fault) {
		return nil, false
	}
	if s != swOK {
		out = answer(nil, s)
	} else {
		out = c.dispatch(cmd)
	}
	if ctx.Err() != nil {
		return nil, false
	}
	out = fault.apply(out)
	c.record(in, cmd, out)
	return out, true
}

// PINTries is how many tries of the PIN are left.
func (c *Card) PINTries() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pin.left
}

// PUKTries is how many tries of the PUK are left.
func (c *Card) PUKTries() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.puk.left
}

// PINVerified says whether the card holds its user for authenticated now, so
// that keys with the PIN policy "once" answer to anybody.
func (c *Card) PINVerified() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pinOK
}

// ManagementKey is the present management key and its algorithm.
func (c *Card) ManagementKey() (algorithm byte, key []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mgm.alg, slices.Clone(c.mgm.key)
}

// Slots are the slots that hold a key now, in rising order, the attestation
// slot left out.
func (c *Card) Slots() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	slots := slices.Sorted(maps.Keys(c.keys))
	return slices.DeleteFunc(slots, func(s byte) bool { return s == slotAttestation })
}

// Options are what the card was made from, with defaults filled in.
func (c *Card) Options() Options { return c.opts }

// SetTouch replaces the answer to touches; nil means TouchYes. A touch being
// waited for keeps the old answer.
func (c *Card) SetTouch(f TouchFunc) {
	if f == nil {
		f = TouchYes
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.touch = f
}

// Memory is what a card keeps without power: PIN and PUK with their tries, the
// management key, keys and objects.
type Memory struct {
	pin, puk reference
	mgm      management
	keys     map[byte]*key
	objects  map[uint32][]byte
}

// Memory copies what the card keeps, so that a test can put it back.
func (c *Card) Memory() Memory {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Memory{c.pin, c.puk, c.mgm, c.keys, c.objects}.clone()
}

// SetMemory puts back what Memory copied. Nobody is authenticated afterwards.
func (c *Card) SetMemory(m Memory) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m = m.clone()
	c.pin, c.puk, c.mgm, c.keys, c.objects = m.pin, m.puk, m.mgm, m.keys, m.objects
	c.deauthenticate()
}

// clone shares keys and objects themselves, which are replaced and not changed.
func (m Memory) clone() Memory {
	m.pin.value, m.puk.value, m.mgm.key = slices.Clone(m.pin.value), slices.Clone(m.puk.value), slices.Clone(m.mgm.key)
	m.keys, m.objects = maps.Clone(m.keys), maps.Clone(m.objects)
	return m
}
