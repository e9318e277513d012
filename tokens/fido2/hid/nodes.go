//go:build cgo && linux && !nofido2

package hid

import "slices"

// sysHIDRaw is where the kernel lists what has a node of the name in /dev.
const sysHIDRaw = "/sys/class/hidraw"

// maxNodes is how many nodes are looked at.
const maxNodes = 256

// Node is a FIDO key that the kernel knows, whether or not it may be opened.
type Node struct {
	Path string // "/dev/hidraw3"
	Name string // what the device calls itself
}

// NodeNames names the nodes of HID devices that there are, FIDO keys or not.
func NodeNames() []string {
	names, err := readDir("/dev", 1<<12)
	if err != nil {
		return nil
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !IsNode("/dev/" + n) })
	slices.Sort(names)
	return names
}

// Nodes lists the FIDO keys that the kernel knows. Nothing is opened that would
// wake a device up.
func Nodes() []Node {
	names, err := readDir(sysHIDRaw, maxNodes)
	if err != nil {
		return nil // no such class: nothing of it was ever plugged in
	}
	slices.Sort(names)
	var out []Node
	for _, name := range names {
		if !IsNode("/dev/" + name) {
			continue
		}
		device := sysHIDRaw + "/" + name + "/device/"
		b, err := readFile(device+"report_descriptor", maxDescriptor)
		if err != nil || !parseDescriptor(b).fido {
			continue
		}
		n := Node{Path: "/dev/" + name}
		if b, err := readFile(device+"uevent", 4096); err == nil {
			n.Name = field(string(b), "HID_NAME")
		}
		out = append(out, n)
	}
	return out
}
