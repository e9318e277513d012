package fidorig

import (
	"fmt"
	"strings"
)

// major is hidraw's device number.
const major = 241

// description is what umockdev loads for port n: a USB key with one HID
// interface, as umockdev-record writes it.
func description(o Options, n int) string {
	usb := fmt.Sprintf("/devices/pci0000:00/0000:00:14.0/usb1/1-%d", n+1)
	face := fmt.Sprintf("%s/1-%d:1.1", usb, n+1)
	hid := fmt.Sprintf("%s/0003:%04X:%04X.%04X", face, o.Vendor, o.Product, n+1)
	return strings.Join([]string{
		"P: " + usb,
		fmt.Sprintf("N: bus/usb/001/%03d", n+2),
		"E: DEVTYPE=usb_device", "E: SUBSYSTEM=usb", "E: DRIVER=usb",
		fmt.Sprintf("E: PRODUCT=%x/%x/543", o.Vendor, o.Product),
		fmt.Sprintf("A: idVendor=%04x", o.Vendor), fmt.Sprintf("A: idProduct=%04x", o.Product),
		"A: manufacturer=" + o.Manufacturer, "A: product=" + o.Name, "",
		"P: " + face,
		"E: DEVTYPE=usb_interface", "E: SUBSYSTEM=usb", "E: DRIVER=usbhid", "",
		"P: " + hid,
		"E: SUBSYSTEM=hid", "E: DRIVER=hid-generic",
		fmt.Sprintf("E: HID_ID=0003:%08X:%08X", o.Vendor, o.Product),
		fmt.Sprintf("E: HID_NAME=%s %s", o.Manufacturer, o.Name), "",
		fmt.Sprintf("P: %s/hidraw/%s", hid, node(n)),
		"N: " + node(n),
		"E: SUBSYSTEM=hidraw", "E: DEVNAME=/dev/" + node(n),
		fmt.Sprintf("E: MAJOR=%d", major), fmt.Sprintf("E: MINOR=%d", n), fmt.Sprintf("A: dev=%d:%d", major, n),
		"E: ID_FIDO_TOKEN=1", "E: ID_SECURITY_TOKEN=1", "E: ID_BUS=usb", "E: TAGS=:uaccess:security-device:",
		"", "",
	}, "\n")
}

// node is the name of port n's device.
func node(n int) string { return fmt.Sprintf("hidraw%d", n) }

// reportDescriptor is that of CTAP 2.1 section 11.2.8.1: usage page FIDO, 64
// bytes in and 64 out.
const reportDescriptor = "06D0F10901A1010920150026FF007508954081020921150026FF00750895409102C0"

// ioctls is what umockdev answers the ioctls of hidraw with for port n.
func ioctls(n int) string {
	const most = 4096 // bytes of struct hidraw_report_descriptor behind its size
	size := fmt.Sprintf("%02X000000", len(reportDescriptor)/2)
	padding := strings.Repeat("0", 2*most-len(reportDescriptor))
	return fmt.Sprintf("@DEV /dev/%s\nHIDIOCGRDESCSIZE 0 %s\nHIDIOCGRDESC 0 %s%s%s\n", node(n), size, size, reportDescriptor, padding)
}
