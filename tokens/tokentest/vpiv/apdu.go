package vpiv

import "encoding/binary"

// status is the trailer of an answer (ISO/IEC 7816-4 section 5.1.3).
type status uint16

const (
	swOK              status = 0x9000
	swMore            status = 0x6100 // the low byte tells how much
	swWrongTry        status = 0x63C0 // the low nibble tells how many are left
	swWrongLength     status = 0x6700
	swNotSatisfied    status = 0x6982
	swBlocked         status = 0x6983
	swConditions      status = 0x6985
	swWrongData       status = 0x6A80
	swNotFound        status = 0x6A82
	swNoSpace         status = 0x6A84
	swWrongP1P2       status = 0x6A86
	swNoReference     status = 0x6A88
	swNoInstruction   status = 0x6D00
	swNoClass         status = 0x6E00
	swInternalProblem status = 0x6F00
)

// maxCommand bounds what command chaining may gather, a little above the
// largest object with its tags.
const maxCommand = maxObject + 64

// command is a parsed APDU.
type command struct {
	cla, ins, p1, p2 byte
	data             []byte
	le               int // most bytes of answer wanted
}

// parseCommand takes an APDU of any case, short or extended, apart.
func parseCommand(in []byte) (command, status) {
	if len(in) < 4 {
		return command{}, swWrongLength
	}
	c := command{cla: in[0], ins: in[1], p1: in[2], p2: in[3], le: 256}
	b := in[4:]
	switch {
	case len(b) == 0:
	case len(b) == 1:
		c.le = expected(int(b[0]), 256)
	case b[0] == 0:
		return parseExtended(c, b[1:])
	default:
		n := int(b[0])
		switch len(b) - 1 - n {
		case 0:
		case 1:
			c.le = expected(int(b[1+n]), 256)
		default:
			return command{}, swWrongLength
		}
		c.data = b[1 : 1+n]
	}
	return c, swOK
}

// parseExtended goes on after the zero that announces extended lengths.
func parseExtended(c command, b []byte) (command, status) {
	if len(b) < 2 {
		return command{}, swWrongLength
	}
	n := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	if len(b) == 0 {
		c.le = expected(n, 65536)
		return c, swOK
	}
	c.le = 65536
	switch len(b) - n {
	case 0:
	case 2:
		c.le = expected(int(binary.BigEndian.Uint16(b[n:])), 65536)
	default:
		return command{}, swWrongLength
	}
	c.data = b[:n]
	return c, swOK
}

func expected(n, whole int) int {
	if n == 0 {
		return whole
	}
	return n
}

// answer puts the trailer behind the data.
func answer(data []byte, s status) []byte {
	return binary.BigEndian.AppendUint16(data, uint16(s))
}

// dispatch gathers chained commands, hands the whole one on, and deals the
// answer out in the portions the client asks for. c.mu is held.
func (c *Card) dispatch(cmd command) []byte {
	if cmd.cla&^0x10 != 0 {
		return answer(nil, swNoClass)
	}
	if cmd.cla&0x10 != 0 {
		return answer(nil, c.chainPart(cmd))
	}
	if cmd.ins == insGetResponse {
		return c.portion(cmd.le)
	}
	if c.chained != nil {
		head := *c.chained
		c.chained = nil
		if head.ins == cmd.ins && head.p1 == cmd.p1 && head.p2 == cmd.p2 {
			cmd.data = append(head.data, cmd.data...)
		}
	}
	if len(cmd.data) > maxCommand {
		return answer(nil, swWrongLength)
	}
	c.rest = nil
	resp, s := c.execute(cmd)
	if s != swOK {
		return answer(resp, s)
	}
	c.rest = resp
	return c.portion(cmd.le)
}

func (c *Card) chainPart(cmd command) status {
	head := c.chained
	if head == nil || head.ins != cmd.ins || head.p1 != cmd.p1 || head.p2 != cmd.p2 {
		head = &command{ins: cmd.ins, p1: cmd.p1, p2: cmd.p2}
	}
	if len(head.data)+len(cmd.data) > maxCommand {
		c.chained = nil
		return swWrongLength
	}
	head.data = append(head.data, cmd.data...)
	c.chained = head
	return swOK
}

// portion answers with the next le bytes, and says how much is left.
func (c *Card) portion(le int) []byte {
	if len(c.rest) <= le {
		out := c.rest
		c.rest = nil
		return answer(append([]byte(nil), out...), swOK)
	}
	out := append([]byte(nil), c.rest[:le]...)
	c.rest = c.rest[le:]
	return answer(out, swMore|status(min(len(c.rest), 0xFF)))
}
