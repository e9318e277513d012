package hid

import "strings"

// IsNode says whether a path is that of a node which the kernel makes for a HID
// device, "/dev/hidraw0" and so on.
func IsNode(path string) bool {
	number, ok := strings.CutPrefix(path, "/dev/hidraw")
	if !ok || number == "" || len(number) > 6 {
		return false
	}
	return strings.Trim(number, "0123456789") == ""
}

// field finds a value among lines NAME=value.
func field(lines, name string) string {
	for line := range strings.Lines(lines) {
		if v, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), name+"="); ok {
			return v
		}
	}
	return ""
}
