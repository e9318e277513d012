package vfido

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Events of /dev/uhid and their layout (linux/uhid.h).
const (
	uhidOutput  = 6
	uhidCreate2 = 11
	uhidInput2  = 12

	uhidData  = 4096
	uhidEvent = 4 + uhidData + 284 // the largest, rounded up
	busUSB    = 3
	// What the device says it is: numbers that no maker has.
	uhidVendor, uhidProduct = 0xF1D0, 0x0001
)

// uhidWithin is how long the kernel may take to make the hidraw device.
const uhidWithin = 10 * time.Second

// reportDescriptor is that of CTAPHID (section 11.2.8.1): reports of 64 bytes
// each way, on the usage page of FIDO.
func reportDescriptor() []byte {
	return []byte{
		0x06, 0xD0, 0xF1, 0x09, 0x01, 0xA1, 0x01,
		0x09, 0x20, 0x15, 0x00, 0x26, 0xFF, 0x00, 0x75, 0x08, 0x95, packetSize, 0x81, 0x02,
		0x09, 0x21, 0x15, 0x00, 0x26, 0xFF, 0x00, 0x75, 0x08, 0x95, packetSize, 0x91, 0x02,
		0xC0,
	}
}

// uhid is a hidraw device of which this process is the hardware.
type uhid struct {
	device *os.File
	path   string
}

func openUHID() (*uhid, error) {
	device, err := os.OpenFile("/dev/uhid", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make a hidraw device: %w", err)
	}
	serial := "virtual-" + rand.Text()
	if _, err = device.Write(uhidCreation(serial)); err != nil {
		err = fmt.Errorf("cannot make a hidraw device: %w", err)
	}
	u := &uhid{device: device}
	if err == nil {
		u.path, err = findHIDRaw(serial)
	}
	if err != nil {
		_ = device.Close()
		return nil, err
	}
	return u, nil
}

// uhidCreation is the event that makes a device.
func uhidCreation(serial string) []byte {
	text := func(s string, room int) []byte { return append([]byte(s), make([]byte, room-len(s))...) }
	descriptor := reportDescriptor()
	ev := binary.NativeEndian.AppendUint32(nil, uhidCreate2)
	ev = append(ev, text("Virtual FIDO2 key", 128)...)
	ev = append(ev, text("virtual-token", 64)...)
	ev = append(ev, text(serial, 64)...)
	ev = binary.NativeEndian.AppendUint16(ev, uint16(len(descriptor)))
	ev = binary.NativeEndian.AppendUint16(ev, busUSB)
	for _, n := range []uint32{uhidVendor, uhidProduct, 1, 0} { // version, country
		ev = binary.NativeEndian.AppendUint32(ev, n)
	}
	return append(ev, descriptor...)
}

// findHIDRaw waits until the device with the serial number has a name.
func findHIDRaw(serial string) (string, error) {
	for end := time.Now().Add(uhidWithin); time.Now().Before(end); time.Sleep(time.Millisecond) {
		all, err := filepath.Glob("/sys/class/hidraw/*/device/uevent")
		if err != nil {
			return "", err
		}
		for _, path := range all {
			text, err := os.ReadFile(path)
			if err == nil && strings.Contains(string(text), "HID_UNIQ="+serial+"\n") {
				return filepath.Join("/dev", filepath.Base(filepath.Dir(filepath.Dir(path)))), nil
			}
		}
	}
	return "", errors.New("cannot make a hidraw device: the kernel made none")
}

func (u *uhid) at() string { return u.path }

// close pulls the key out: the kernel takes the device away.
func (u *uhid) close() { _ = u.device.Close() }

// Read reads one report that a client wrote; b has room for one. What else the
// kernel tells, such as that somebody opened the device, is passed over.
func (u *uhid) Read(b []byte) (int, error) {
	var ev [uhidEvent]byte
	for {
		if _, err := u.device.Read(ev[:]); err != nil {
			return 0, err
		}
		size := int(binary.NativeEndian.Uint16(ev[4+uhidData:]))
		if binary.NativeEndian.Uint32(ev[:]) == uhidOutput && size == reportSize {
			return copy(b, ev[4:4+size]), nil
		}
	}
}

// Write sends a report to all who have the device open.
func (u *uhid) Write(report []byte) (int, error) {
	ev := binary.NativeEndian.AppendUint32(nil, uhidInput2)
	ev = binary.NativeEndian.AppendUint16(ev, uint16(len(report)))
	if _, err := u.device.Write(append(ev, report...)); err != nil {
		return 0, err
	}
	return len(report), nil
}
