package httpapi

import "bytes"

// trail wipes what a connection's requests and answers leave in net/http's
// buffers. Those live as long as the connection, go on to others through a pool,
// and are never overwritten as a whole; but each read and write of the
// connection is given a piece of them. Its methods are for the connection's own
// goroutine.
type trail struct {
	// last is what the last read put into net/http's buffer.
	last []byte
	// secret says that what is being written is to be wiped.
	secret bool
}

// Read wipes before it reads: net/http reads on only behind what it has not
// looked at yet, so all of p is stale.
func (c *conn) Read(p []byte) (int, error) {
	if len(p) <= 1 {
		// The one byte by which net/http notices, from another goroutine, that
		// the caller has left.
		return c.Conn.Read(p)
	}
	clear(p)
	n, err := c.Conn.Read(p)
	c.trail.last = p[:n]
	return n, err
}

// forget wipes a request's body from the buffer that it came through. A body
// that the buffer was too small for has been read past it, but for a piece at
// either end, of which the next read wiped the first. What follows the body in
// the buffer is the next request, and stays. body itself is not changed.
func (t *trail) forget(body []byte) {
	last := t.last
	t.last = nil
	if len(body) == 0 || len(last) == 0 || &body[:cap(body)][cap(body)-1] == &last[:cap(last)][cap(last)-1] {
		return // read into body itself
	}
	if i := bytes.Index(last, body); i >= 0 {
		clear(last[i : i+len(body)])
		return
	}
	for n := min(len(last), len(body)); n > 0; n-- {
		if bytes.HasPrefix(last, body[len(body)-n:]) {
			clear(last[:n])
			return
		}
		if bytes.HasSuffix(last, body[:n]) {
			clear(last[len(last)-n:])
			return
		}
	}
}

// bufferByHTTP is the size of net/http's buffer for writing to a connection, in
// bytes. What is longer is written from its own place.
const bufferByHTTP = 4096

// wrote wipes what was written: from net/http's buffer always (codes, names),
// from elsewhere where it is a secret.
func (t *trail) wrote(p []byte) {
	if t.secret || len(p) <= bufferByHTTP {
		clear(p)
	}
}
