package hid

// The usage that makes a HID device a FIDO key (CTAP 2.1, section 11.2.8).
const fidoPage = 0xf1d0

// The size of a report in bytes: what every key so far has, and the least and
// most that make sense.
const (
	reportSize    = 64
	minReportSize = 8
	maxReportSize = 64
)

// layout is what a report descriptor says.
type layout struct {
	fido    bool
	in, out int // sizes of reports in bytes, 0 where it does not tell
}

// Items of a report descriptor (HID 1.11, section 6.2.2), without their sizes.
const (
	itemInput       = 0x80
	itemOutput      = 0x90
	itemUsagePage   = 0x04
	itemReportSize  = 0x74
	itemReportCount = 0x94
	itemLong        = 0xfe
)

// parseDescriptor reads a report descriptor as far as it is well-formed.
func parseDescriptor(b []byte) layout {
	var l layout
	var size, count uint32
	for len(b) > 0 {
		head := b[0]
		n := [4]int{0, 1, 2, 4}[head&3]
		if head == itemLong {
			if len(b) < 3 || len(b) < 3+int(b[1]) {
				return l
			}
			b = b[3+int(b[1]):]
			continue
		}
		if len(b) < 1+n {
			return l
		}
		var v uint32
		for i := range n {
			v |= uint32(b[1+i]) << (8 * i)
		}
		b = b[1+n:]
		switch head &^ 3 {
		case itemUsagePage:
			l.fido = l.fido || v == fidoPage
		case itemReportSize:
			size = v
		case itemReportCount:
			count = v
		case itemInput:
			l.in = bytesOf(size, count)
		case itemOutput:
			l.out = bytesOf(size, count)
		}
	}
	return l
}

func bytesOf(size, count uint32) int {
	n := uint64(size) * uint64(count) / 8
	if n < minReportSize || n > maxReportSize {
		return 0
	}
	return int(n)
}
