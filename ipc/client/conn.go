package client

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	readBuffer = 4 << 10
	maxHead    = 16 << 10 // bytes of status line and header fields
)

// conn is one connection and the reading of HTTP/1.1 (RFC 9112) from it.
type conn struct {
	net.Conn
	path string
	r    *bufio.Reader
	used time.Time
	stop func() bool // ends the watch over the call's context
}

func newConn(nc net.Conn, path string) *conn {
	return &conn{Conn: nc, path: path, r: bufio.NewReaderSize(nc, readBuffer)}
}

// begin makes ctx's end break off whatever the connection waits for.
func (c *conn) begin(ctx context.Context) {
	c.stop = context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
}

// finish ends what begin began. A connection whose context ended meanwhile is
// of no use, even when its answer came just in time.
func (c *conn) finish(err error) error {
	if !c.stop() && err == nil {
		return errors.New("the call was cancelled")
	}
	return err
}

// send writes the request. sent says that the daemon may have got some of it.
func (c *conn) send(head, body []byte) (sent bool, err error) {
	if len(body) <= readBuffer {
		// One segment: the daemon wakes once.
		b := make([]byte, 0, len(head)+len(body))
		b = append(append(b, head...), body...)
		defer clear(b)
		n, err := c.Write(b)
		return n > 0, err
	}
	if n, err := c.Write(head); err != nil {
		return n > 0, err
	}
	_, err = c.Write(body)
	return true, err
}

// answer is the head of a response and where its body is.
type answer struct {
	status    int
	length    int64 // -1 when chunked
	keepAlive bool
	body      io.Reader
}

var (
	errNotHTTP = errors.New("the answer is not HTTP/1.1")
	errTooBig  = errors.New("the answer is too large")
)

// readHead reads the status line and the header fields. An interim (1xx)
// response is passed over.
func (c *conn) readHead(limit int64) (answer, error) {
	left := maxHead
	for {
		line, err := c.line(&left)
		if err != nil {
			return answer{}, err
		}
		proto, rest, _ := bytes.Cut(line, []byte(" "))
		code, _, _ := bytes.Cut(rest, []byte(" "))
		status, err := strconv.Atoi(string(code))
		if err != nil || len(code) != 3 || string(proto) != "HTTP/1.1" {
			return answer{}, errNotHTTP
		}
		a := answer{status: status, length: -2, keepAlive: true}
		if err := c.fields(&a, &left); err != nil {
			return answer{}, err
		}
		if status/100 == 1 {
			continue
		}
		return a, c.locate(&a, limit)
	}
}

// fields reads the header fields up to the empty line.
func (c *conn) fields(a *answer, left *int) error {
	for {
		line, err := c.line(left)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return errNotHTTP
		}
		v := string(bytes.TrimSpace(value))
		switch strings.ToLower(string(name)) {
		case "content-length":
			n, err := strconv.ParseUint(v, 10, 63)
			if err != nil || (a.length != -2 && a.length != int64(n)) {
				return errNotHTTP
			}
			a.length = int64(n)
		case "transfer-encoding":
			if !strings.EqualFold(v, "chunked") || a.length >= 0 {
				return errNotHTTP
			}
			a.length = -1
		case "connection":
			if strings.EqualFold(v, "close") {
				a.keepAlive = false
			}
		}
	}
}

// locate finds the body.
func (c *conn) locate(a *answer, limit int64) error {
	switch {
	case a.length > limit:
		return errTooBig
	case a.length >= 0:
		a.body = io.LimitReader(c.r, a.length)
	case a.length == -1:
		a.body = &chunks{c: c}
	default:
		return errNotHTTP // a body that only the end of the connection ends can be cut short unseen
	}
	return nil
}

// line reads one line without its end. It is valid until the next read.
func (c *conn) line(left *int) ([]byte, error) {
	b, err := c.r.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, bufio.ErrBufferFull) {
			err = errNotHTTP
		} else if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if *left -= len(b); *left < 0 {
		return nil, errNotHTTP
	}
	b = b[:len(b)-1]
	return bytes.TrimSuffix(b, []byte("\r")), nil
}

// readAll reads the body, at most limit bytes of it. The caller wipes it, also
// when there is an error.
func (a answer) readAll(limit int64) ([]byte, error) {
	if a.length >= 0 {
		data := make([]byte, a.length)
		_, err := io.ReadFull(a.body, data)
		return data, err
	}
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(a.body, limit+1))
	if err == nil && n > limit {
		err = errTooBig
	}
	return b.Bytes(), err
}

// chunks reads a chunked body (RFC 9112, section 7.1).
type chunks struct {
	c    *conn
	left int64 // of the present chunk
	some bool  // a chunk has been read, its end is due
	end  bool
}

func (k *chunks) Read(p []byte) (int, error) {
	if k.end {
		return 0, io.EOF
	}
	if k.left == 0 {
		if err := k.next(); err != nil {
			return 0, err
		}
		if k.end {
			return 0, io.EOF
		}
	}
	n, err := k.c.r.Read(p[:min(int64(len(p)), k.left)])
	k.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (k *chunks) next() error {
	left := maxHead
	if k.some {
		if b, err := k.c.line(&left); err != nil || len(b) != 0 {
			return cmp.Or(err, errNotHTTP)
		}
	}
	k.some = true
	b, err := k.c.line(&left)
	if err != nil {
		return err
	}
	size, _, _ := bytes.Cut(b, []byte(";"))
	n, err := strconv.ParseUint(string(bytes.TrimSpace(size)), 16, 31)
	if err != nil {
		return errNotHTTP
	}
	if k.left = int64(n); n > 0 {
		return nil
	}
	for { // trailer fields
		b, err := k.c.line(&left)
		if err != nil {
			return err
		}
		if len(b) == 0 {
			k.end = true
			return nil
		}
	}
}
