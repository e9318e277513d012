// Package client calls the daemon over its local socket: one method for each
// method of ipc.Backend, without the Principal, which the kernel tells the
// daemon. Every error is an *ipc.Error; Unreachable says what was tried.
//
// It speaks HTTP/1.1 itself rather than through net/http: a code is a process
// of its own (tokenctl code), and starting net/http costs that process more
// than the whole call. It needs one request at a time on a socket of this
// machine: no redirects, no proxies, no TLS, no compression.
package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/local"
)

// Limits of an answer, in bytes. The daemon is trusted to be ours or root's,
// but not to be free of bugs.
const (
	maxAnswer = 16 << 20
	maxBackup = 96 << 20 // a backup of 64 MiB in base64
	maxLine   = 1 << 20  // an event
)

// idleTime is how long a connection is kept for the next call. It is shorter
// than any daemon's limit, so that a call never meets a connection that is just
// being closed.
const idleTime = 15 * time.Second

// Client calls one daemon. Its methods can be called from several goroutines;
// it keeps one connection for calls that follow each other.
type Client struct {
	sockets []string
	// name is what this client calls its requests.
	name string

	mu     sync.Mutex
	idle   *conn
	socket string // that answered last
}

// New returns a client of the daemon at socket, or, where socket is empty, of
// the first of local.Candidates that answers. It connects with the first call.
func New(socket string) *Client {
	c := &Client{sockets: []string{socket}, name: rand.Text()}
	if socket == "" {
		c.sockets = local.Candidates()
	}
	return c
}

// Name is what the client calls its requests: events of what they wait for have
// it as Request.
func (c *Client) Name() string { return c.name }

// Socket is the path at which a daemon answered last, empty before that.
func (c *Client) Socket() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.socket
}

// Close closes the kept connection. The client can still be used.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle != nil {
		c.idle.Close()
		c.idle = nil
	}
}

// request is one call: what to send and how much may come back.
type request struct {
	method string
	path   string // escaped
	body   any    // nil for none; encoded is sent as it is
	max    int64
}

// call sends r and reads the answer into out, which is nil where the answer
// does not matter.
func (c *Client) call(ctx context.Context, r request, out any) error {
	if r.max == 0 {
		r.max = maxAnswer
	}
	head, body, err := r.encode(c.name)
	defer clear(body)
	if err != nil {
		return err
	}
	cn, a, err := c.exchange(ctx, head, body, r.max)
	if err != nil {
		return err
	}
	data, err := a.readAll(r.max)
	defer clear(data)
	if err = cn.finish(err); err != nil {
		return c.broken(ctx, cn, err)
	}
	c.keep(cn, a.keepAlive)
	if a.status != 200 {
		return answerError(a.status, data)
	}
	if out == nil {
		return nil
	}
	if text, is := out.(*plainText); is {
		*text = plainText(data)
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return nonsense(err)
	}
	return nil
}

// exchange sends a request and reads the head of its answer.
func (c *Client) exchange(ctx context.Context, head, body []byte, limit int64) (*conn, answer, error) {
	for {
		cn, reused, err := c.take(ctx)
		if err != nil {
			return nil, answer{}, err
		}
		cn.begin(ctx)
		sent, err := cn.send(head, body)
		if err != nil && !sent && reused && ctx.Err() == nil {
			// The daemon has closed the kept connection and has taken nothing of
			// the request: it is safe to say it again.
			_ = cn.finish(err)
			cn.Close()
			continue
		}
		// A daemon that refuses a request may answer before it has read it all,
		// so its answer counts for more than the failed write.
		a, readErr := cn.readHead(limit)
		if readErr == nil {
			return cn, a, nil
		}
		if err == nil {
			err = readErr
		}
		return nil, answer{}, c.broken(ctx, cn, cn.finish(err))
	}
}

// broken closes a connection that cannot go on and says why.
func (c *Client) broken(ctx context.Context, cn *conn, err error) error {
	cn.Close()
	if e := ctx.Err(); e != nil {
		return cancelled(e)
	}
	var e *ipc.Error
	if errors.As(err, &e) {
		return e
	}
	message := "cannot get an answer: the daemon broke the connection"
	if errors.Is(err, errNotHTTP) || errors.Is(err, errTooBig) {
		message = "cannot understand what answers at the socket"
	}
	return &ipc.Error{
		Kind:    ipc.Unreachable,
		Message: message,
		Items:   []ipc.Item{{Name: cn.path, Reason: err.Error()}},
		Err:     err,
	}
}

func cancelled(err error) error {
	message := "the call was cancelled"
	if errors.Is(err, context.DeadlineExceeded) {
		message = "the daemon did not answer in the time allowed"
	}
	return &ipc.Error{Kind: ipc.Cancelled, Message: message, Err: err}
}

// take returns the kept connection or makes a new one.
func (c *Client) take(ctx context.Context) (cn *conn, reused bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, cancelled(err)
	}
	c.mu.Lock()
	cn, c.idle = c.idle, nil
	c.mu.Unlock()
	if cn != nil {
		if time.Since(cn.used) < idleTime {
			return cn, true, nil
		}
		cn.Close()
	}
	cn, err = c.dial(ctx)
	return cn, false, err
}

// dial tries the sockets in turn. A socket that a stranger holds ends the
// search: the user should hear of it rather than be served by another daemon.
func (c *Client) dial(ctx context.Context) (*conn, error) {
	var tried []ipc.Item
	for _, path := range c.sockets {
		nc, err := local.Dial(ctx, path)
		if err == nil {
			c.mu.Lock()
			c.socket = path
			c.mu.Unlock()
			return newConn(nc, path), nil
		}
		if e := ctx.Err(); e != nil {
			return nil, cancelled(e)
		}
		tried = append(tried, ipc.Item{Name: path, Reason: err.Error()})
		var stranger *local.StrangerError
		if errors.As(err, &stranger) {
			return nil, &ipc.Error{Kind: ipc.Unreachable, Message: "cannot trust the daemon", Items: tried, Err: err}
		}
		if !absent(err) {
			return nil, &ipc.Error{Kind: ipc.Unreachable, Message: "cannot reach the daemon", Items: tried, Err: err}
		}
	}
	return nil, &ipc.Error{Kind: ipc.Unreachable, Message: "cannot reach a daemon", Items: tried}
}

// absent says that there is no daemon at a socket, so that the next may be
// tried. A socket that may not be opened is another user's or the system's.
func absent(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) || refused(err)
}

func (c *Client) keep(cn *conn, alive bool) {
	if !alive {
		cn.Close()
		return
	}
	cn.used = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle != nil {
		cn.Close()
		return
	}
	c.idle = cn
}

// encoded is a body that is JSON already.
type encoded []byte

// encode makes the head and the body of a request of that name. The caller wipes
// the body.
func (r request) encode(name string) (head, body []byte, err error) {
	head = make([]byte, 0, 192)
	head = append(head, r.method...)
	head = append(head, ' ')
	head = append(head, r.path...)
	head = append(head, " HTTP/1.1\r\nHost: tokend\r\n"...)
	head = append(head, ipc.RequestHeader+": "...)
	head = append(head, name...)
	head = append(head, "\r\n"...)
	if r.body != nil {
		if ready, ok := r.body.(encoded); ok {
			body = ready
		} else {
			body, err = json.Marshal(r.body)
		}
		if err != nil {
			return nil, nil, &ipc.Error{Kind: ipc.InvalidArgument, Message: "cannot put the request into words", Err: err}
		}
		// An empty object need not be said, and costs the daemon a body to read.
		if string(body) == "{}" {
			body = nil
		} else {
			head = append(head, "Content-Type: application/json\r\n"...)
		}
	}
	if r.method != "GET" {
		head = append(head, "Content-Length: "...)
		head = strconv.AppendInt(head, int64(len(body)), 10)
		head = append(head, "\r\n"...)
	}
	return append(head, "\r\n"...), body, nil
}

// envelope is how errors travel.
type envelope struct {
	Version int        `json:"version"`
	Error   *ipc.Error `json:"error"`
}

func answerError(status int, data []byte) error {
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil || e.Error == nil || e.Error.Kind == "" {
		return nonsense(errors.New("status " + strconv.Itoa(status) + " without an error of the API"))
	}
	return e.Error
}

// nonsense is a daemon that speaks another language; err holds nothing of what
// it said.
func nonsense(err error) error {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		err = errors.New("not valid JSON at byte " + strconv.FormatInt(syntax.Offset, 10))
	case errors.As(err, &typ):
		err = errors.New("the field " + typ.Field + " has the wrong type")
	}
	return &ipc.Error{Kind: ipc.Internal, Message: "cannot understand the daemon's answer", Err: err}
}
