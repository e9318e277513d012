package radius

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/daemon/secret"
)

// maxDatagram is room for whatever can come by UDP.
const maxDatagram = 64 << 10

// maxReadErrors is how often the system may fail to read: on some, what cannot be
// delivered comes back as such.
const maxReadErrors = 64

// patience is how often a packet is sent to one server, and how long it has time.
type patience struct {
	every time.Duration
	sends int
	total time.Duration
}

func (c *Client) patience(word bool) patience {
	p := patience{every: c.timeout, sends: c.tries, total: c.timeout * time.Duration(c.tries)}
	if word {
		p.total = c.wait
	}
	return p
}

// failure is why a server has given no answer.
type failure struct {
	server  string
	problem string
	err     error
	dropped bool // something came that was not the answer
	sent    bool
}

// silent says that the server was asked, and nothing at all came.
func (f *failure) silent() bool { return f.sent && !f.dropped }

// exchange asks one server and waits for its answer. A packet that is sent again is
// the same, byte for byte and from the same port, so that the server knows it again
// and does not use up a passcode twice (RFC 5080, section 2.2.2).
func (c *Client) exchange(ctx context.Context, s *server, q question, p patience) (reply, *failure) {
	fail := func(what string, err error) *failure {
		return &failure{server: s.address, problem: fmt.Sprintf("%s: %v", what, err), err: err}
	}
	to, err := resolve(ctx, s.address)
	if err != nil {
		return reply{}, fail("cannot find its address", err)
	}
	network := "udp6"
	if to.Addr().Is4() {
		network = "udp4"
	}
	// Not a connected socket: it would not see the answers of a server that answers
	// from another of its addresses, and the administrator would not be told.
	conn, err := net.ListenUDP(network, nil)
	if err != nil {
		return reply{}, fail("cannot open a socket", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	var r reply
	var f *failure
	err = s.secret.Use(func(shared []byte) error {
		request, err := c.encode(q, shared)
		if err != nil {
			return err
		}
		defer clear(request)
		w := waiting{conn: conn, to: to, request: request, shared: shared}
		if r, err = w.wait(ctx, p); err != nil {
			f = w.failure(ctx, s.address, p, err)
		}
		return nil
	})
	if err != nil {
		return reply{}, fail("cannot ask", err)
	}
	return r, f
}

func (c *Client) encode(q question, shared []byte) (b []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	secret.Do(func() { b, err = encode(q, c.nas, shared, c.random) })
	return b, err
}

// resolve finds the first address of a server.
func resolve(ctx context.Context, address string) (netip.AddrPort, error) {
	if ap, err := netip.ParseAddrPort(address); err == nil {
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if len(found) == 0 {
		return netip.AddrPort{}, errors.New("the name has none")
	}
	return netip.ParseAddrPort(net.JoinHostPort(found[0].Unmap().String(), port))
}

// waiting is a request that is under way.
type waiting struct {
	conn            *net.UDPConn
	to              netip.AddrPort
	request, shared []byte
	sent            bool
	dropped         map[error]int // by why
}

// errSilence ends waiting.
var errSilence = errors.New("no answer in time")

func (w *waiting) wait(ctx context.Context, p patience) (reply, error) {
	buf := make([]byte, maxDatagram)
	defer clear(buf)
	end := time.Now().Add(p.total)
	next, left, bad := time.Now(), p.sends, 0
	for {
		if ctx.Err() != nil {
			return reply{}, ctx.Err()
		}
		now := time.Now()
		if !now.Before(end) {
			return reply{}, errSilence
		}
		if left > 0 && !now.Before(next) {
			if _, err := w.conn.WriteToUDPAddrPort(w.request, w.to); err != nil {
				return reply{}, fmt.Errorf("cannot send: %w", err)
			}
			w.sent = true
			next, left = now.Add(p.every), left-1
		}
		until := end
		if left > 0 && next.Before(end) {
			until = next
		}
		if err := w.conn.SetReadDeadline(until); err != nil {
			return reply{}, fmt.Errorf("cannot wait: %w", err)
		}
		n, from, err := w.conn.ReadFromUDPAddrPort(buf)
		switch {
		case err == nil:
			if r, ok := w.take(buf[:n], from); ok {
				return r, nil
			}
		case ctx.Err() != nil:
			return reply{}, ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded):
		default:
			if bad++; bad > maxReadErrors {
				return reply{}, fmt.Errorf("cannot receive: %w", err)
			}
		}
	}
}

// take says whether what came is the answer, and remembers why it is not.
func (w *waiting) take(b []byte, from netip.AddrPort) (reply, bool) {
	err := ErrAddress
	if netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port()) == netip.AddrPortFrom(w.to.Addr().WithZone(""), w.to.Port()) {
		var r reply
		if r, err = parse(b, w.request, w.shared); err == nil {
			return r, true
		}
	}
	if w.dropped == nil {
		w.dropped = map[error]int{}
	}
	w.dropped[err]++
	return reply{}, false
}

// failure tells why there is no answer, and what came in its place.
func (w *waiting) failure(ctx context.Context, server string, p patience, err error) *failure {
	f := &failure{server: server, problem: err.Error(), err: err, dropped: len(w.dropped) > 0, sent: w.sent}
	switch {
	case ctx.Err() != nil: // the socket was closed for it, and that may be the error
		f.problem, f.err = "no answer before the question was given up", ctx.Err()
	case errors.Is(err, errSilence):
		f.problem = fmt.Sprintf("no answer within %v", p.total)
	}
	var came []string
	for _, why := range []error{ErrNoMessageAuthenticator, ErrNotAuthentic, ErrCode, ErrIdentifier, ErrMalformed, ErrAddress} {
		if n := w.dropped[why]; n > 0 {
			came = append(came, fmt.Sprintf("%v (%d)", why, n))
			f.err = errors.Join(f.err, why)
		}
	}
	if len(came) > 0 {
		f.problem += " that counts; " + strings.Join(came, ", ")
	}
	return f
}
