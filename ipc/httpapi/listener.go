package httpapi

import (
	"bytes"
	"encoding/json"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// quota counts what users hold, each and in all. Who is set apart has as much as any
// other, and is not counted among all.
type quota struct {
	mu        sync.Mutex
	all, each int
	total     int
	users     map[string]int
}

func newQuota(all, each int) *quota {
	return &quota{all: all, each: each, users: map[string]int{}}
}

func (q *quota) take(user string, apart bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !apart && q.total >= q.all || q.users[user] >= q.each {
		return false
	}
	if !apart {
		q.total++
	}
	q.users[user]++
	return true
}

func (q *quota) give(user string, apart bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !apart {
		q.total--
	}
	if q.users[user]--; q.users[user] == 0 {
		delete(q.users, user)
	}
}

// listener names the caller of each connection and turns away who has too many.
type listener struct {
	net.Listener
	s *Server
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: nc, s: l.s}
		c.principal, c.refusal = l.s.cfg.Identify(nc)
		c.apart = c.refusal == nil && (c.principal.Admin || c.principal.UID != "" && c.principal.UID == l.s.cfg.Own)
		// All who cannot be told apart share one user's quota.
		if !l.s.conns.take(c.principal.UID, c.apart) {
			c.turnAway()
			continue
		}
		return c, nil
	}
}

// conn is an accepted connection whose caller is known.
type conn struct {
	net.Conn
	s         *Server
	principal ipc.Principal
	refusal   error // why the caller is not known
	apart     bool  // of the daemon itself, or an administrator
	close     sync.Once
	trail     trail
}

func (c *conn) Close() error {
	err := net.ErrClosed
	c.close.Do(func() {
		err = c.Conn.Close()
		c.s.conns.give(c.principal.UID, c.apart)
	})
	return err
}

// turnAway answers without a goroutine and without waiting: the answer fits
// into any socket's buffer.
func (c *conn) turnAway() {
	e := &ipc.Error{Kind: ipc.Busy, Message: "too many connections", RetryAfter: 1}
	c.s.cfg.Observe(Observation{Kind: e.Kind, Refused: true})
	_ = c.Conn.SetDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = c.Conn.Write(rawAnswer(e.Kind.Info().HTTP, "Service Unavailable", e))
	_ = c.Conn.Close()
}

// writePiece is how much of an answer the caller must take in one WriteTime.
const writePiece = 64 << 10

// Write gives the caller WriteTime for each piece. net/http's own WriteTimeout
// is for a whole answer, with the time the backend needs: a wait for a touch,
// an event stream.
func (c *conn) Write(p []byte) (n int, err error) {
	if refused, ok := rewrite(p); ok {
		if err := c.Conn.SetWriteDeadline(time.Now().Add(c.s.limits.WriteTime)); err != nil {
			return 0, err
		}
		if _, err := c.Conn.Write(refused); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	defer c.trail.wrote(p)
	for {
		piece := p[n:min(len(p), n+writePiece)]
		if err := c.Conn.SetWriteDeadline(time.Now().Add(c.s.limits.WriteTime)); err != nil {
			return n, err
		}
		m, err := c.Conn.Write(piece)
		if n += m; err != nil || n == len(p) {
			return n, err
		}
	}
}

// refusalMark is how net/http's own refusals begin after the status line; the
// answers of this package always have other header fields first.
const refusalMark = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"

// rewrite turns net/http's refusal of a request that it could not read into an
// answer of this API.
func rewrite(p []byte) ([]byte, bool) {
	const start = "HTTP/1.1 "
	if len(p) > 512 || len(p) < len(start)+3 || (p[9] != '4' && p[9] != '5') || !bytes.HasPrefix(p, []byte(start)) {
		return nil, false
	}
	line, _, ok := bytes.Cut(p, []byte("\r\n"))
	if !ok || !bytes.HasPrefix(p[len(line):], []byte(refusalMark)) {
		return nil, false
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return nil, false
	}
	text := "Bad Request"
	if len(line) > 13 {
		text = string(line[13:])
	}
	message := "cannot read the request"
	if status == 431 {
		message = "the header is too large"
	}
	return rawAnswer(status, text, &ipc.Error{Kind: ipc.InvalidArgument, Message: message}), true
}

// rawAnswer is a whole answer for a connection that ends with it.
func rawAnswer(status int, text string, e *ipc.Error) []byte {
	body, err := json.Marshal(envelope{Version: ipc.Version, Error: e})
	if err != nil {
		body = []byte("{}")
	}
	body = append(body, '\n')
	b := make([]byte, 0, 512)
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, text...)
	b = append(b, "\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n\r\n"...)
	return append(b, body...)
}
