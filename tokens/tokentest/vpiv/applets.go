package vpiv

import (
	"bytes"
	"encoding/binary"
)

// Instructions: those of SP 800-73-4 part 2, then Yubico's.
const (
	insVerify          byte = 0x20
	insChangeReference byte = 0x24
	insResetRetry      byte = 0x2C
	insGenerate        byte = 0x47
	insAuthenticate    byte = 0x87
	insSelect          byte = 0xA4
	insGetResponse     byte = 0xC0
	insGetData         byte = 0xCB
	insPutData         byte = 0xDB

	insMoveKey          byte = 0xF6
	insMetadata         byte = 0xF7
	insSerial           byte = 0xF8
	insAttest           byte = 0xF9
	insSetTries         byte = 0xFA
	insReset            byte = 0xFB
	insVersion          byte = 0xFD
	insImport           byte = 0xFE
	insSetManagementKey byte = 0xFF
)

// formFactor is a keychain key with USB-A, in attestations and the management
// applet.
const formFactor = 1

// applet is which application is selected; none after a power cycle.
type applet int

const (
	appletNone applet = iota
	appletPIV
	appletManagement
	appletOTP
)

func rid() []byte { return []byte{0xA0, 0x00, 0x00, 0x03, 0x08} }

// applicationID is the AID of the PIV card application, version 1.0.
func applicationID() []byte { return append(rid(), 0x00, 0x00, 0x10, 0x00, 0x01, 0x00) }

// execute does one whole command.
func (c *Card) execute(cmd command) ([]byte, status) {
	if cmd.ins == insSelect {
		return c.selectApplet(cmd)
	}
	switch c.applet {
	case appletPIV:
		return c.executePIV(cmd)
	case appletManagement:
		return c.executeManagement(cmd)
	case appletOTP:
		return c.executeOTP(cmd)
	}
	return nil, swNoInstruction
}

// selectApplet is SELECT (SP 800-73-4 part 2, section 3.1.1). Selecting the
// application that is selected already, or failing to select another, leaves
// whoever is authenticated authenticated; so does a YubiKey.
func (c *Card) selectApplet(cmd command) ([]byte, status) {
	if cmd.p1 != 0x04 {
		return nil, swWrongP1P2
	}
	var to applet
	var out []byte
	full := applicationID()
	short := full[:9] // without the version
	extra := c.opts.Yubico && !c.opts.NoApplets
	aid := cmd.data
	switch {
	case len(aid) >= 5 && (bytes.HasPrefix(full, aid) || bytes.HasPrefix(aid, short)):
		to = appletPIV
		out = tlv(0x61, tlv(0x4F, full[5:]), tlv(0x79, tlv(0x4F, rid())))
	case extra && bytes.Equal(aid, []byte{0xA0, 0x00, 0x00, 0x05, 0x27, 0x47, 0x11, 0x17}):
		to, out = appletManagement, []byte("Virtual mgr - FW version "+c.opts.Version.String())
	case extra && bytes.HasPrefix(aid, []byte{0xA0, 0x00, 0x00, 0x05, 0x27, 0x20, 0x01}):
		to, out = appletOTP, c.otpStatus()
	default:
		return nil, swNotFound
	}
	if to != c.applet {
		c.deauthenticate()
	}
	c.applet = to
	return out, swOK
}

func (c *Card) executePIV(cmd command) ([]byte, status) {
	switch cmd.ins {
	case insVerify:
		return nil, c.verify(cmd)
	case insChangeReference, insResetRetry:
		return nil, c.changeReference(cmd)
	case insAuthenticate:
		return c.generalAuthenticate(cmd)
	case insGenerate:
		return c.generateKey(cmd)
	case insGetData:
		return c.getData(cmd)
	case insPutData:
		return nil, c.putData(cmd)
	}
	if !c.opts.Yubico {
		return nil, swNoInstruction
	}
	return c.executeYubico(cmd)
}

func (c *Card) executeYubico(cmd command) ([]byte, status) {
	v := c.opts.Version
	switch {
	case cmd.ins == insVersion:
		return bytes.Clone(v[:]), swOK
	case cmd.ins == insSerial && v.AtLeast(5, 0, 0) && !c.opts.NoSerial:
		return c.serial(), swOK
	case cmd.ins == insMetadata && v.AtLeast(5, 3, 0) && !c.opts.NoMetadata:
		return c.metadata(cmd)
	case cmd.ins == insAttest && v.AtLeast(4, 3, 0) && !c.opts.NoAttestation:
		return c.attest(cmd)
	case cmd.ins == insMoveKey && v.AtLeast(5, 7, 0):
		return nil, c.moveKey(cmd)
	case cmd.ins == insSetTries:
		return nil, c.setTries(cmd)
	case cmd.ins == insReset:
		return nil, c.reset()
	case cmd.ins == insImport:
		return nil, c.importKey(cmd)
	case cmd.ins == insSetManagementKey:
		return nil, c.setManagementKey(cmd)
	}
	return nil, swNoInstruction
}

func (c *Card) serial() []byte { return binary.BigEndian.AppendUint32(nil, c.opts.Serial) }

// metadata is Yubico's GET METADATA.
func (c *Card) metadata(cmd command) ([]byte, status) {
	if cmd.p1 != 0 {
		return nil, swWrongP1P2
	}
	flag := func(b bool) []byte {
		if b {
			return []byte{1}
		}
		return []byte{0}
	}
	pinLike := func(r reference, factory string) []byte {
		out := append(tlv(1, []byte{0xFF}), tlv(5, flag(r.isFactory(factory)))...)
		return append(out, tlv(6, []byte{byte(r.max), byte(r.left)})...)
	}
	switch cmd.p2 {
	case refPIN:
		return pinLike(c.pin, FactoryPIN), swOK
	case refPUK:
		return pinLike(c.puk, FactoryPUK), swOK
	case slotManagement:
		touch := touchNever
		if c.mgm.touch {
			touch = touchAlways
		}
		out := append(tlv(1, []byte{c.mgm.alg}), tlv(2, []byte{0, touch})...)
		return append(out, tlv(5, flag(c.mgm.isFactory()))...), swOK
	}
	k := c.keys[cmd.p2]
	if k == nil {
		return nil, swNoReference
	}
	out := append(tlv(1, []byte{k.alg}), tlv(2, []byte{k.pin, k.touch})...)
	out = append(out, tlv(3, []byte{k.origin})...)
	return append(out, tlv(4, k.public())...), swOK
}

// executeManagement knows READ CONFIG alone: a key with PIV over USB.
func (c *Card) executeManagement(cmd command) ([]byte, status) {
	if cmd.ins != 0x1D || !c.opts.Version.AtLeast(4, 1, 0) {
		return nil, swNoInstruction
	}
	const capabilities = 0x023B // OTP, U2F, OpenPGP, PIV, OATH, FIDO2
	usb := []byte{capabilities >> 8, capabilities & 0xFF}
	out := tlv(0x01, usb)
	if !c.opts.NoSerial {
		out = append(out, tlv(0x02, c.serial())...)
	}
	out = append(out, tlv(0x03, usb)...)
	out = append(out, tlv(0x04, []byte{formFactor})...)
	out = append(out, tlv(0x05, c.opts.Version[:])...)
	out = append(out, tlv(0x06, []byte{0, 0})...) // no automatic eject
	out = append(out, tlv(0x07, []byte{15})...)   // seconds for a challenge
	out = append(out, tlv(0x08, []byte{0})...)
	out = append(out, tlv(0x0A, []byte{0})...) // configuration not locked
	return append([]byte{byte(len(out))}, out...), swOK
}

// otpStatus is the version, a programming sequence of 1, and no slot in use.
func (c *Card) otpStatus() []byte { return append(bytes.Clone(c.opts.Version[:]), 1, 0, 0) }

// executeOTP knows the status and the serial number, which firmware before 5.0
// tells here alone.
func (c *Card) executeOTP(cmd command) ([]byte, status) {
	switch {
	case cmd.ins == 0x03:
		return c.otpStatus(), swOK
	case cmd.ins == 0x01 && cmd.p1 == 0x10 && !c.opts.NoSerial:
		return c.serial(), swOK
	}
	return nil, swNoInstruction
}
