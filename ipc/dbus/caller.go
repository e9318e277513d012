package dbus

import (
	"context"
	"sync"

	"github.com/godbus/dbus/v5"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/local"
)

// caller is a connection of somebody else's on the bus. The bus never gives its
// unique name to another.
type caller struct {
	name string
	// ctx ends when the connection does, and ours.
	ctx    context.Context
	cancel context.CancelFunc

	known chan struct{} // closed once who and err are set
	who   ipc.Principal
	err   error

	mu       sync.Mutex
	requests map[string]*request // calls under way that have a name
}

// request is a call under way that its caller can end.
type request struct{ cancel context.CancelFunc }

// caller is what is known of the connection called name. Who he is the bus is
// asked once.
func (l *link) caller(name string) (*caller, error) {
	l.mu.Lock()
	c := l.callers[name]
	if c == nil {
		c = &caller{name: name, known: make(chan struct{}), requests: map[string]*request{}}
		c.ctx, c.cancel = context.WithCancel(l.ctx)
		// Kept before the bus is asked: if the connection ends meanwhile, gone
		// finds it.
		l.callers[name] = c
		l.mu.Unlock()
		l.identify(c)
	} else {
		l.mu.Unlock()
	}
	select {
	case <-c.known:
	case <-c.ctx.Done():
		return nil, c.ctx.Err()
	}
	return c, c.err
}

func (l *link) identify(c *caller) {
	defer close(c.known)
	var cred map[string]dbus.Variant
	call := l.conn.BusObject().CallWithContext(c.ctx, busName+".GetConnectionCredentials", 0, c.name)
	if err := call.Store(&cred); err != nil {
		c.err = err
	} else {
		c.who, c.err = l.principal(cred)
	}
	if c.err == nil && c.ctx.Err() == nil {
		return
	}
	if c.err == nil {
		c.err = c.ctx.Err() // what was read of the process may be another's
	} else if c.ctx.Err() == nil {
		l.s.cfg.Log.Info("a caller on D-Bus is not served", "err", c.err)
		c.err = ipc.Errorf(ipc.NotAuthorized, "the caller is not served")
	}
	l.mu.Lock() // the next call asks anew
	defer l.mu.Unlock()
	if l.callers[c.name] == c {
		delete(l.callers, c.name)
	}
}

func (l *link) principal(cred map[string]dbus.Variant) (ipc.Principal, error) {
	uid, ok := cred["UnixUserID"].Value().(uint32)
	if !ok {
		return ipc.Principal{}, ipc.Errorf(ipc.NotAuthorized, "the bus does not say who is calling")
	}
	pid, _ := cred["ProcessID"].Value().(uint32)
	p, err := local.Named(uid, int(pid))
	if err != nil {
		return p, err
	}
	p.Via = "bus"
	return l.s.cfg.Identify(p)
}

// gone is told that a connection ended: its calls are cancelled, and nothing is
// sent to it any more.
func (l *link) gone(name string) {
	l.mu.Lock()
	c := l.callers[name]
	delete(l.callers, name)
	l.mu.Unlock()
	if c == nil {
		return
	}
	c.cancel()
	select {
	case <-c.known:
		l.unsubscribe(c)
	default: // nobody subscribes before it is known who he is, and gone he cannot
	}
}

// begin names a call for as long as it is under way. A name that is in use is
// taken over: the older call can then be ended no more.
func (c *caller) begin(ctx context.Context, name string) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	r := &request{cancel}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests[name] = r
	return ctx, func() {
		cancel()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.requests[name] == r {
			delete(c.requests, name)
		}
	}
}

// end cancels the call under way that the caller named, and says whether there is
// one.
func (c *caller) end(name string) bool {
	c.mu.Lock()
	r := c.requests[name]
	c.mu.Unlock()
	if r == nil {
		return false
	}
	r.cancel()
	return true
}
