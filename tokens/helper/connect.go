package helper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper/wire"
)

// socketPath is where the service manager starts the program for a kind of token
// and a mode. There is one socket for each pair, because the program must know both
// before it reads anything; and an operation may be given a longest time there,
// which a watch has not.
func socketPath(folder string, kind tokens.Kind, mode string) string {
	return filepath.Join(folder, string(kind)+"-"+mode+".sock")
}

// connection is an operation of a program that the service manager has started
// for us, as another user. It cannot be killed; it ends when its input does.
type connection struct {
	client  *Client
	conn    *net.UnixConn
	answers *wire.Answers
	sent    chan error
	ignore  func() bool // has the context's end not matter any more
}

// connect begins an operation by connecting to the program's socket.
func (c *Client) connect(ctx context.Context, req wire.Request, mode string) (operation, error) {
	path := socketPath(c.cfg.Sockets, c.cfg.Kind, mode)
	conn, err := dial(ctx, path)
	if err != nil {
		return nil, err
	}
	p := &connection{client: c, conn: conn, sent: make(chan error, 1)}
	p.answers = wire.NewAnswers(untilEnd{conn}, mode == modeOp, c.cfg.Guard)
	p.ignore = context.AfterFunc(ctx, func() { p.hangUp(letGo + 200*time.Millisecond) })
	// In a goroutine, because a program that reads nothing must not keep us.
	go func() {
		var err error
		c.cfg.Guard(func() { err = wire.WriteRequest(conn, req) })
		p.sent <- err
	}()
	return p, nil
}

// dial connects to the program's socket, if it is one that nobody can have put there
// who should not: a PIN is told to whoever is at the other end.
func dial(ctx context.Context, path string) (*net.UnixConn, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("the path of the token helper's socket is not absolute: %q", path)
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("cannot find the token helper's socket: %w", err)
	}
	if err := trustFolders(folder); err != nil {
		return nil, err
	}
	path = filepath.Join(folder, filepath.Base(path))
	info, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot find the token helper's socket: %w", err)
	}
	if info.Mode().Type() != os.ModeSocket {
		return nil, fmt.Errorf("the token helper's socket %s is no socket", path)
	}
	any, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to the token helper: %w", err)
	}
	conn, ok := any.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.ErrUnsupported, any.Close())
	}
	if err := checkPeer(conn, path); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// hangUp tells the program that nobody waits any more. It is listened to for a while
// yet: its end says that it has let go of its token.
func (p *connection) hangUp(listen time.Duration) {
	_ = p.conn.SetDeadline(time.Now().Add(listen)) // for a request that is not taken, too
	_ = p.conn.CloseWrite()
}

// next implements operation.
func (p *connection) next() (wire.Answer, error) { return p.answers.Next() }

// end implements operation. How the program ended only the service manager knows.
func (p *connection) end(now bool) error {
	p.ignore()
	grace := endGrace
	if now {
		grace = letGo
	}
	p.hangUp(grace)
	// Nothing that comes now counts but the end, after which the next operation finds
	// the token free.
	_, _ = io.Copy(io.Discard, p.conn)
	_ = p.conn.Close()
	if err := <-p.sent; err != nil {
		p.client.cfg.Log.Debug("the token helper did not take its request", "kind", p.client.cfg.Kind, "error", err)
	}
	return nil
}

// untilEnd reads from a connection. A program that ends before it has read all that
// was sent makes the kernel reset the connection; it is the same end.
type untilEnd struct{ conn net.Conn }

func (u untilEnd) Read(b []byte) (int, error) {
	n, err := u.conn.Read(b)
	if errors.Is(err, syscall.ECONNRESET) {
		err = io.EOF
	}
	return n, err
}

// Hello asks the program what it says of itself, where the Client connects to it.
func (c *Client) Hello(ctx context.Context) (wire.Hello, error) {
	var h wire.Hello
	if err := c.call(ctx, wire.Request{Op: wire.OpHello}, call{timeout: helloTimeout}, &h); err != nil {
		return wire.Hello{}, err
	}
	if h.Version != wire.Version {
		return wire.Hello{}, protocolError(fmt.Sprintf("it speaks version %d, not %d", h.Version, wire.Version))
	}
	cleanHello(&h)
	return h, nil
}
