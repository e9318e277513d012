package piv

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"
)

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

// machine is the file system of one with a YubiKey, a card reader and a mouse.
func machine() fstest.MapFS {
	const usb = "sys/bus/usb/devices/"
	return fstest.MapFS{
		usb + "usb1/product":            file("xHCI Host Controller\n"),
		usb + "1-4/manufacturer":        file("Yubico\n"),
		usb + "1-4/product":             file("YubiKey OTP+FIDO+CCID\n"),
		usb + "1-4:1.0/bInterfaceClass": file("03\n"),
		usb + "1-4:1.1/bInterfaceClass": file("03\n"),
		usb + "1-4:1.2/bInterfaceClass": file("0b\n"),
		usb + "1-5:1.0/bInterfaceClass": file("0b\n"),
		usb + "1-5:1.1/bInterfaceClass": file("0b\n"),
		usb + "1-6/product":             file("Mouse\n"),
		usb + "1-6:1.0/bInterfaceClass": file("03\n"),
		"usr/sbin/pcscd":                file(""),
	}
}

func TestUSBReaders(t *testing.T) {
	if got, want := usbReaders(machine()), []string{"Yubico YubiKey OTP+FIDO+CCID", "USB device 1-5"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := usbReaders(fstest.MapFS{}); got != nil {
		t.Errorf("without sysfs: %q", got)
	}
}

// FuzzUSBName: what a device calls itself is one line that prints.
func FuzzUSBName(f *testing.F) {
	f.Add([]byte("Yubico\n"))
	f.Add([]byte("\x1b[2Jbell\a \xff\xfe"))
	f.Add([]byte(strings.Repeat("x", 1000)))
	f.Fuzz(func(t *testing.T, name []byte) {
		m := machine()
		m["sys/bus/usb/devices/1-4/product"].Data = name
		got := usbReaders(m)
		if len(got) != 2 || len(got[0]) > 2*maxUSBFile {
			t.Fatalf("got %q", got)
		}
		if strings.ContainsFunc(got[0], func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("it does not print: %q", got[0])
		}
	})
}
