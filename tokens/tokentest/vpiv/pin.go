package vpiv

import (
	"bytes"
	"crypto/subtle"
)

const (
	minReference = 6
	maxReference = 8
	factoryTries = 3
	// Key references of SP 800-73-4 part 1, table 6.
	refPIN byte = 0x80
	refPUK byte = 0x81
)

// reference is a PIN or PUK: 8 bytes, padded with FF, and its counter.
type reference struct {
	value     []byte
	left, max int
}

func newReference(s string, tries int) reference {
	v := bytes.Repeat([]byte{0xFF}, maxReference)
	copy(v, s)
	return reference{value: v, left: tries, max: tries}
}

// try compares v and counts. The status of a failed last try is 63C0, that of
// later ones 6983.
func (r *reference) try(v []byte) status {
	if r.left == 0 {
		return swBlocked
	}
	if subtle.ConstantTimeCompare(v, r.value) == 1 {
		r.left = r.max
		return swOK
	}
	r.left--
	return r.wrong()
}

// wrong tells how many tries are left, 15 at most.
func (r *reference) wrong() status { return swWrongTry | status(min(r.left, 15)) }

func (r *reference) isFactory(s string) bool {
	return bytes.Equal(r.value, newReference(s, 1).value)
}

// wellFormed says whether v may become a PIN or PUK.
func wellFormed(v []byte) bool {
	n := len(bytes.TrimRight(v, "\xff"))
	return len(v) == maxReference && n >= minReference && !bytes.Contains(v[:n], []byte{0xFF})
}

// verify is VERIFY (SP 800-73-4 part 2, section 3.2.1).
func (c *Card) verify(cmd command) status {
	switch {
	case cmd.p2 != refPIN:
		return swNoReference
	case cmd.p1 == 0xFF && len(cmd.data) == 0:
		c.pinOK, c.pinFresh = false, false
		return swOK
	case cmd.p1 != 0:
		return swWrongP1P2
	case len(cmd.data) == 0:
		if c.pinOK {
			return swOK
		}
		if c.pin.left == 0 {
			return swBlocked
		}
		return c.pin.wrong()
	}
	c.counts.PINsSeen++
	if len(cmd.data) != maxReference {
		return swWrongData
	}
	s := c.pin.try(cmd.data)
	c.pinOK = s == swOK
	c.pinFresh = c.pinOK
	if !c.pinOK {
		c.counts.PINFailures++
	}
	return s
}

// changeReference is CHANGE REFERENCE DATA (section 3.2.2) and RESET RETRY
// COUNTER (section 3.2.3).
func (c *Card) changeReference(cmd command) status {
	var old, changed *reference
	switch {
	case cmd.p1 != 0:
		return swWrongP1P2
	case cmd.p2 == refPIN && cmd.ins == insChangeReference:
		old, changed = &c.pin, &c.pin
	case cmd.p2 == refPUK && cmd.ins == insChangeReference:
		old, changed = &c.puk, &c.puk
	case cmd.p2 == refPIN && cmd.ins == insResetRetry:
		old, changed = &c.puk, &c.pin
	default:
		return swNoReference
	}
	c.counts.PINsSeen++
	if len(cmd.data) != 2*maxReference {
		return swWrongData
	}
	// The old value is compared first: clients block a card on purpose with
	// new values that are not well formed.
	s := old.try(cmd.data[:maxReference])
	if s != swOK {
		c.counts.PINFailures++
		if old == &c.pin {
			c.pinOK, c.pinFresh = false, false
		}
		return s
	}
	if !wellFormed(cmd.data[maxReference:]) {
		return swWrongData
	}
	*changed = reference{bytes.Clone(cmd.data[maxReference:]), changed.max, changed.max}
	if old == &c.pin {
		c.pinOK = true
	}
	return swOK
}

// setTries is Yubico's SET PIN RETRIES; it also sets PIN and PUK back.
func (c *Card) setTries(cmd command) status {
	if !c.mgmOK || !c.pinOK {
		return swNotSatisfied
	}
	if cmd.p1 == 0 || cmd.p2 == 0 {
		return swWrongData
	}
	c.pin = newReference(FactoryPIN, int(cmd.p1))
	c.puk = newReference(FactoryPUK, int(cmd.p2))
	return swOK
}

// reset is Yubico's RESET: allowed when PIN and PUK are blocked.
func (c *Card) reset() status {
	if c.pin.left > 0 || c.puk.left > 0 {
		return swConditions
	}
	c.factory()
	c.counts.Resets++
	return swOK
}
