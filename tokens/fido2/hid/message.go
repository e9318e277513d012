package hid

import (
	"encoding/binary"
	"fmt"
)

// message is put together from packets without their channel.
type message struct {
	cmd  byte
	want int
	seq  byte
	data []byte
}

// add takes the next packet and says whether the message is complete.
func (m *message) add(packet []byte) (done bool, err error) {
	if len(packet) < 3 {
		return false, fmt.Errorf("packet of %d bytes: %w", len(packet), ErrFormat)
	}
	first := packet[0]&0x80 != 0
	switch {
	case first:
		// A message that was not finished is forgotten.
		*m = message{cmd: packet[0], want: int(binary.BigEndian.Uint16(packet[1:]))}
		if m.want > maxMessage {
			return false, fmt.Errorf("message of %d bytes: %w", m.want, ErrFormat)
		}
		m.data = append(m.data, packet[3:3+min(m.want, len(packet)-3)]...)
	case m.cmd == 0:
		return false, nil // the rest of what came before we listened
	case packet[0] != m.seq:
		return false, fmt.Errorf("packet %d where %d was due: %w", packet[0], m.seq, ErrFormat)
	default:
		m.data = append(m.data, packet[1:1+min(m.want-len(m.data), len(packet)-1)]...)
		m.seq++
	}
	return len(m.data) == m.want, nil
}

// maxMessage is what fits into packets of 64 bytes (CTAP 2.1, section 11.2.4).
const maxMessage = 7609

// Changes in a folder, as inotify(7) tells them.
const (
	changeHeader   = 16
	changeOverflow = 0x4000
)

// parseChanges reads the names in what inotify tells; lost says that there were
// more.
func parseChanges(b []byte) (names []string, lost bool) {
	for len(b) >= changeHeader {
		mask := binary.NativeEndian.Uint32(b[4:])
		n := binary.NativeEndian.Uint32(b[12:])
		b = b[changeHeader:]
		if uint64(n) > uint64(len(b)) {
			return names, true
		}
		name := b[:n]
		b = b[n:]
		lost = lost || mask&changeOverflow != 0
		for i, c := range name {
			if c == 0 {
				name = name[:i]
				break
			}
		}
		if len(name) > 0 {
			names = append(names, string(name))
		}
	}
	return names, lost
}
