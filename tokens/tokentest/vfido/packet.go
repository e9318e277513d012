package vfido

import "encoding/binary"

// Sizes of CTAPHID (section 11.2.4).
const (
	packetSize = 64
	initData   = packetSize - 7
	nextData   = packetSize - 5
	maxPayload = initData + 128*nextData
	// reportSize is that of an output report as hidraw takes it: a report
	// number, 0, comes first.
	reportSize = packetSize + 1
)

const broadcast uint32 = 0xFFFFFFFF

// packet is one CTAPHID packet taken apart.
type packet struct {
	channel uint32
	init    bool
	cmd     Command // with its high bit, of an initialisation packet
	count   int     // of an initialisation packet
	seq     byte    // of a continuation packet
	data    []byte
}

func parsePacket(b [packetSize]byte) packet {
	p := packet{channel: binary.BigEndian.Uint32(b[:]), init: b[4]&0x80 != 0}
	if p.init {
		p.cmd, p.count, p.data = Command(b[4]), int(binary.BigEndian.Uint16(b[5:])), b[7:]
		return p
	}
	p.seq, p.data = b[4], b[5:]
	return p
}

// packets cuts a message into packets, badly where a fault says so.
func packets(channel uint32, cmd Command, payload []byte, f *Fault) [][packetSize]byte {
	count, seq := min(len(payload), 0xFFFF), byte(0)
	switch {
	case f.is(FaultLongCount):
		count += 200
	case f.is(FaultShortCount):
		count /= 2
	case f.is(FaultSequence):
		seq = 1
	case f.is(FaultChannel):
		channel ^= 0x00FF00FF
	case f.is(FaultCommand):
		cmd = CommandPing
	}
	var p [packetSize]byte
	binary.BigEndian.PutUint32(p[:], channel)
	p[4] = byte(cmd)
	binary.BigEndian.PutUint16(p[5:], uint16(count))
	n := copy(p[7:], payload)
	all := [][packetSize]byte{p}
	for rest := payload[n:]; len(rest) > 0; rest = rest[n:] {
		p = [packetSize]byte{}
		binary.BigEndian.PutUint32(p[:], channel)
		p[4] = seq & 0x7F
		n = copy(p[5:], rest)
		all = append(all, p)
		seq++
	}
	return all
}
