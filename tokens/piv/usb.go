package piv

import (
	"io"
	"io/fs"
	"path"
	"strings"
	"unicode"
)

// The USB devices as Linux's sysfs shows them.
const (
	usbDevices = "sys/bus/usb/devices"
	ccidClass  = "0b" // bInterfaceClass of a smart card reader (USB CCID 1.1, 4.3)
	maxUSBFile = 256  // bytes that are read of a file
	maxUSB     = 512  // interfaces that are looked at
)

// usbReaders names the USB devices that are smart card readers, YubiKeys with
// PIV among them, by their products' names. It is empty where the system does
// not show its USB devices in this way.
func usbReaders(root fs.FS) []string {
	entries, err := fs.ReadDir(root, usbDevices)
	if err != nil {
		return nil
	}
	var list []string
	seen := make(map[string]bool)
	for _, e := range entries[:min(len(entries), maxUSB)] {
		device, _, isInterface := strings.Cut(e.Name(), ":") // "1-4:1.0" is an interface of "1-4"
		if !isInterface || seen[device] || usbText(root, path.Join(e.Name(), "bInterfaceClass")) != ccidClass {
			continue
		}
		seen[device] = true
		name := strings.TrimSpace(usbText(root, path.Join(device, "manufacturer")) + " " + usbText(root, path.Join(device, "product")))
		if name == "" {
			name = "USB device " + device
		}
		list = append(list, name)
	}
	return list
}

// usbText is a file of sysfs on one line, without what would not print: a device
// chooses its own names.
func usbText(root fs.FS, name string) string {
	f, err := root.Open(path.Join(usbDevices, name))
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxUSBFile))
	if err != nil {
		return ""
	}
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(string(b), ""), func(r rune) bool {
		return !unicode.IsPrint(r) || unicode.IsSpace(r)
	}), " ")
}
