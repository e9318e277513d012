package dbus

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"
)

// The bounds of a message that is taken from the bus, in bytes. The bus itself
// lets 32 MiB and more through, of which a decoder makes many times as much.
const (
	maxHeader = 16 << 10
	maxBody   = 64 << 10
)

// writeTime is how long the bus may take for a message of ours. It does not take
// any while a receiver that does not read holds all that a connection may have
// under way: then a new connection is better than none.
const writeTime = 10 * time.Second

// wire is the connection to the bus as godbus sees it. It lets through what godbus
// decodes without fail; a body of any other form, or too long, is taken out of its
// message, so that the call is refused for its arguments. Without that, one odd
// message of anybody on the bus would end the connection for all: a value that
// godbus cannot decode does.
//
// It passes no file descriptors: the bus then keeps messages with some away.
type wire struct {
	net.Conn
	in   *bufio.Reader // of messages, once BEGIN was said
	rest []byte        // of the message being read
}

// Write notes where the text of the authentication ends.
func (w *wire) Write(p []byte) (int, error) {
	if err := w.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return 0, err
	}
	if w.in == nil && string(p) == "BEGIN\r\n" {
		w.in = bufio.NewReaderSize(w.Conn, maxHeader)
	}
	n, err := w.Conn.Write(p)
	if err != nil {
		_ = w.Close() // half a message may be out
	}
	return n, err
}

func (w *wire) Read(p []byte) (int, error) {
	if w.in == nil {
		return w.Conn.Read(p)
	}
	for len(w.rest) == 0 {
		m, err := readMessage(w.in)
		if err != nil {
			return 0, err
		}
		w.rest = m
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// errNoMessage is for what can be no message: the bus is none.
var errNoMessage = errors.New("the bus sends what is no message")

// The parts of a message's head, D-Bus specification "Message Format".
const (
	headSize     = 16 // up to the fields, whose length is the last part
	bodyLength   = 4  // where the length of the body is
	fieldsLength = 12
)

// readMessage reads one message, nothing of one whose head is too long to be
// answered. Its errors are those of r, and errNoMessage.
func readMessage(r io.Reader) ([]byte, error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	order, err := byteOrder(head[0])
	if err != nil {
		return nil, err
	}
	fields, body := int64(order.Uint32(head[fieldsLength:])), int64(order.Uint32(head[bodyLength:]))
	padded := (fields + 7) &^ 7
	if fields > maxHeader {
		_, err := io.CopyN(io.Discard, r, padded+body)
		return nil, err
	}
	size := body
	if body > maxBody {
		size = 0
	}
	m := make([]byte, headSize+padded+size)
	copy(m, head[:])
	if _, err := io.ReadFull(r, m[headSize:]); err != nil {
		return nil, err
	}
	if body > maxBody {
		if _, err := io.CopyN(io.Discard, r, body); err != nil {
			return nil, err
		}
		return strip(m, order, int(fields))
	}
	sig, err := signature(m[headSize:headSize+fields], order)
	if err != nil {
		return nil, err
	}
	if sig == "" && body == 0 || plain(sig) && (!strings.Contains(sig, "v") || plainVariants(sig, m[headSize+padded:], order)) {
		return m, nil
	}
	return strip(m, order, int(fields))
}

func byteOrder(mark byte) (binary.ByteOrder, error) {
	switch mark {
	case 'l':
		return binary.LittleEndian, nil
	case 'B':
		return binary.BigEndian, nil
	}
	return nil, errNoMessage
}

// plain says whether a body of this signature is let through: what our methods
// take, and what the bus and polkit answer. Whatever the bus has found valid of it
// godbus can decode, variants aside.
func plain(sig string) bool {
	switch sig {
	case "b", "s", "ss", "sss", "u", "i", "o", "a{sv}", "sa{sv}", "(bba{ss})":
		return true
	}
	return false
}

// headerSignature is the code of the field that holds the body's signature.
const headerSignature = 8

// eachField calls f with the code and the bytes of each field of a head, from
// where it is aligned to where it ends.
func eachField(fields []byte, order binary.ByteOrder, f func(code byte, field []byte)) error {
	c := cursor{b: fields, order: order}
	for {
		c.align(8)
		if c.at >= len(fields) {
			return c.err
		}
		begin := c.at
		code := c.byte()
		c.skip(string(c.take(int(c.byte()) + 1)))
		if c.err != nil {
			return c.err
		}
		f(code, fields[begin:c.at])
	}
}

// signature is the body's signature, empty where there is none.
func signature(fields []byte, order binary.ByteOrder) (sig string, err error) {
	err = eachField(fields, order, func(code byte, field []byte) {
		// code, "g" with its length and end, length, signature, end
		if code == headerSignature && len(field) >= 6 && field[2] == 'g' {
			sig = string(field[5 : len(field)-1])
		}
	})
	return sig, err
}

// strip takes the body out of a message, and what its head says of it. m begins
// with the whole head.
func strip(m []byte, order binary.ByteOrder, fields int) ([]byte, error) {
	out := make([]byte, headSize, headSize+fields+8)
	copy(out, m)
	end := headSize
	err := eachField(m[headSize:headSize+fields], order, func(code byte, field []byte) {
		if code == headerSignature {
			return
		}
		for len(out)%8 != 0 {
			out = append(out, 0)
		}
		out = append(out, field...)
		end = len(out)
	})
	if err != nil {
		return nil, err
	}
	order.PutUint32(out[bodyLength:], 0)
	order.PutUint32(out[fieldsLength:], uint32(end-headSize))
	for len(out)%8 != 0 {
		out = append(out, 0)
	}
	return out, nil
}

// plainVariants says whether each variant of a body of signature a{sv} or sa{sv}
// holds a basic type or an array of one, and no file descriptor.
func plainVariants(sig string, body []byte, order binary.ByteOrder) bool {
	c := cursor{b: body, order: order}
	if sig == "sa{sv}" {
		c.skip("s\x00")
	}
	size := int(c.uint32())
	c.align(8)
	for end := c.at + size; c.err == nil && c.at < end; {
		c.align(8)
		c.skip("s\x00")
		c.skip(string(c.take(int(c.byte()) + 1)))
	}
	return c.err == nil
}

// cursor walks through the bytes of a message.
type cursor struct {
	b     []byte
	at    int
	order binary.ByteOrder
	err   error
}

func (c *cursor) take(n int) []byte {
	if c.err != nil || n < 0 || n > len(c.b)-c.at {
		c.err = errNoMessage
		return nil
	}
	c.at += n
	return c.b[c.at-n : c.at]
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uint32() uint32 {
	c.align(4)
	if b := c.take(4); b != nil {
		return c.order.Uint32(b)
	}
	return 0
}

// align goes to the next multiple of n; behind the last value there may be none.
func (c *cursor) align(n int) {
	c.at = min((c.at+n-1)/n*n, len(c.b))
}

// skip goes past a value of a type, with the zero byte that ends its signature. Of
// containers it knows arrays of basic types alone.
func (c *cursor) skip(sig string) {
	switch sig {
	case "y\x00":
		c.take(1)
	case "n\x00", "q\x00":
		c.align(2)
		c.take(2)
	case "b\x00", "i\x00", "u\x00":
		c.align(4)
		c.take(4)
	case "x\x00", "t\x00", "d\x00":
		c.align(8)
		c.take(8)
	case "s\x00", "o\x00":
		c.take(int(c.uint32()) + 1)
	case "g\x00":
		c.take(int(c.byte()) + 1)
	case "ay\x00", "an\x00", "aq\x00", "ab\x00", "ai\x00", "au\x00", "as\x00", "ao\x00":
		n := int(c.uint32())
		c.take(n)
	case "ax\x00", "at\x00", "ad\x00":
		n := int(c.uint32())
		c.align(8)
		c.take(n)
	default:
		c.err = errNoMessage
	}
}

// dial connects to the first bus of an address that answers, D-Bus specification
// "Server Addresses". Of the transports it knows unix sockets.
func dial(ctx context.Context, address string) (*wire, error) {
	var reasons error
	for _, one := range strings.Split(address, ";") {
		if one == "" {
			continue
		}
		name, err := socketName(one)
		if err == nil {
			var c net.Conn
			if c, err = (&net.Dialer{Timeout: dialTime}).DialContext(ctx, "unix", name); err == nil {
				return &wire{Conn: c}, nil
			}
		}
		reasons = errors.Join(reasons, err)
	}
	if reasons == nil {
		reasons = errors.New("the address is empty")
	}
	return nil, reasons
}

const dialTime = 5 * time.Second

// socketName is the socket of one address, an abstract one with "@" before it.
func socketName(address string) (string, error) {
	transport, pairs, _ := strings.Cut(address, ":")
	if transport != "unix" {
		return "", fmt.Errorf("a bus is reached by a unix socket alone, not by %q", transport)
	}
	for _, pair := range strings.Split(pairs, ",") {
		key, value, _ := strings.Cut(pair, "=")
		value, err := url.PathUnescape(value)
		if err != nil || value == "" {
			continue
		}
		switch key {
		case "path":
			return value, nil
		case "abstract":
			return "@" + value, nil
		}
	}
	return "", errors.New("the address of the bus names no socket")
}
