package vpiv

import "bytes"

// Data objects (SP 800-73-4 part 1, table 3, and Yubico's own).
const (
	objectDiscovery    uint32 = 0x7E
	objectCardAuth     uint32 = 0x5FC101
	objectFingerprints uint32 = 0x5FC103
	objectFace         uint32 = 0x5FC108
	objectPrinted      uint32 = 0x5FC109
	objectRetired      uint32 = 0x5FC10D // of slot 82; the others follow
	objectRetiredLast  uint32 = 0x5FC120
	objectIris         uint32 = 0x5FC121
	objectSMPairing    uint32 = 0x5FC123
	objectAdmin        uint32 = 0x5FFF00
	objectAttestation  uint32 = 0x5FFF01
	objectVendorLast   uint32 = 0x5FFF15
)

// maxObject is the most bytes one object holds, as on a YubiKey.
const maxObject = 3063

func parseObjectID(b []byte) (uint32, bool) {
	switch len(b) {
	case 1:
		return uint32(b[0]), b[0] == byte(objectDiscovery)
	case 3:
		return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]), true
	}
	return 0, false
}

// hasObject says whether the card has room for that object at all.
func (c *Card) hasObject(id uint32) bool {
	switch {
	case id >= objectRetired && id <= objectRetiredLast:
		return c.hasSlot(firstRetired + byte(id-objectRetired))
	case id >= objectCardAuth && id <= objectSMPairing:
		return true
	case id >= objectAdmin && id <= objectVendorLast:
		return c.opts.Yubico
	}
	return false
}

// getData is GET DATA (SP 800-73-4 part 2, section 3.1.2).
func (c *Card) getData(cmd command) ([]byte, status) {
	if cmd.p1 != 0x3F || cmd.p2 != 0xFF {
		return nil, swWrongP1P2
	}
	name, _ := findTLV(cmd.data, 0x5C)
	id, ok := parseObjectID(name)
	if !ok {
		return nil, swWrongData
	}
	switch id {
	case objectDiscovery:
		policy := tlv(0x5F2F, []byte{0x40, 0x00}) // the application PIN alone
		return tlv(0x7E, tlv(0x4F, applicationID()), policy), swOK
	case objectFingerprints, objectFace, objectPrinted, objectIris:
		if !c.pinOK {
			return nil, swNotSatisfied
		}
	}
	v, ok := c.objects[id]
	if !ok {
		return nil, swNotFound
	}
	return tlv(0x53, v), swOK
}

// putData is PUT DATA (SP 800-73-4 part 2, section 3.3.1); an empty object is
// deleted.
func (c *Card) putData(cmd command) status {
	if !c.mgmOK {
		return swNotSatisfied
	}
	if cmd.p1 != 0x3F || cmd.p2 != 0xFF {
		return swWrongP1P2
	}
	name, _ := findTLV(cmd.data, 0x5C)
	id, ok := parseObjectID(name)
	if !ok || id == objectDiscovery {
		return swWrongData
	}
	if !c.hasObject(id) {
		return swNotFound
	}
	v, ok := findTLV(cmd.data, 0x53)
	switch {
	case !ok:
		return swWrongData
	case len(v) > maxObject:
		return swNoSpace
	case len(v) == 0:
		delete(c.objects, id)
	default:
		c.objects[id] = bytes.Clone(v)
	}
	return swOK
}

// Object is the content of a data object ("5FFF00" is 0x5FFF00) without its tag
// 53, and whether the card holds it.
func (c *Card) Object(id uint32) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.objects[id]
	return bytes.Clone(v), ok
}
