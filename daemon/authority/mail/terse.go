package mail

import (
	"errors"
	"net"
)

// maxSaid is how many bytes a server may send with one letter, with its certificates
// and all of its answers. net/smtp keeps whole answers, of however many lines and
// however long, and the first ones anybody on the way can make.
const maxSaid = 256 << 10

var errTalkative = errors.New("the server says more than any has to")

// terse is a connection on which so much may come.
type terse struct {
	net.Conn
	left int // bytes
}

func (c *terse) Read(b []byte) (int, error) {
	if c.left <= 0 && len(b) > 0 {
		return 0, errTalkative
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}
