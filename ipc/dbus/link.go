package dbus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

// busName is what the bus itself is called, and the interface it has.
const busName = "org.freedesktop.DBus"

// link is one connection to the bus, and what is known of who else is on it. It
// ends with the connection: names on a bus mean nothing on the next.
type link struct {
	s      *Server
	conn   *dbus.Conn
	ctx    context.Context // ends when calls must
	cancel context.CancelFunc

	mu      sync.Mutex
	callers map[string]*caller // by unique name
	watches map[string]*watch  // by uid
	calls   int                // under way
	closing bool
	idle    chan struct{} // closed once closing and without calls
}

// handshakeTime is how long the bus may take to let us in.
const handshakeTime = 5 * time.Second

// session connects, serves, and returns why the connection ended.
func (s *Server) session(ctx context.Context) error {
	w, err := dial(ctx, s.cfg.Address)
	if err != nil {
		return err
	}
	l := &link{s: s, callers: map[string]*caller{}, watches: map[string]*watch{}, idle: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(ctx)
	defer l.cancel()
	// The connection outlives ctx by the answers of what is cancelled.
	l.conn, err = dbus.NewConn(w, dbus.WithHandler(l), dbus.WithSignalHandler(l),
		dbus.WithContext(context.WithoutCancel(ctx)), dbus.WithOutgoingInterceptor(l.unicast))
	if err != nil {
		_ = w.Close()
		return err
	}
	defer l.close()
	if err := w.SetReadDeadline(time.Now().Add(handshakeTime)); err != nil {
		return err
	}
	if err := l.enter(); err != nil {
		return err
	}
	if err := w.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-l.conn.Context().Done():
		return errors.New("the connection was closed")
	}
}

// enter introduces us to the bus. Callers may come from the first moment.
func (l *link) enter() error {
	if err := l.conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))}); err != nil {
		return err
	}
	if err := l.conn.Hello(); err != nil {
		return err
	}
	// Every connection that ends: to have a rule for each caller would take a
	// round trip each, and the bus allows 512.
	const leaving = "type='signal',sender='" + busName + "',interface='" + busName + "',member='NameOwnerChanged',arg2=''"
	if err := l.bus("AddMatch", leaving).Err; err != nil {
		return err
	}
	// Where another has the name, this waits in the bus's queue for it.
	reply, err := l.conn.RequestName(Name, 0)
	if err != nil {
		return fmt.Errorf("the name %s is refused: %w", Name, err)
	}
	if reply == dbus.RequestNameReplyPrimaryOwner || reply == dbus.RequestNameReplyAlreadyOwner {
		l.s.setState(stateOK)
	} else {
		l.s.setState("another program has the name " + Name + l.owner())
	}
	return nil
}

// bus calls a method of the bus itself.
func (l *link) bus(method string, args ...any) *dbus.Call {
	ctx, cancel := context.WithTimeout(l.conn.Context(), handshakeTime)
	defer cancel()
	return l.conn.BusObject().CallWithContext(ctx, busName+"."+method, 0, args...)
}

// owner says which process has our name, as far as the bus knows.
func (l *link) owner() string {
	var c map[string]dbus.Variant
	if l.bus("GetConnectionCredentials", Name).Store(&c) != nil {
		return ""
	}
	return fmt.Sprintf(" (process %v of user %v)", c["ProcessID"].Value(), c["UnixUserID"].Value())
}

// DeliverSignal takes what the bus tells, in its order: others may send us signals
// too, and are not listened to.
func (l *link) DeliverSignal(iface, name string, sig *dbus.Signal) {
	if sig.Sender != busName || iface != busName {
		return
	}
	arg := func(i int) string {
		if i >= len(sig.Body) {
			return ""
		}
		s, _ := sig.Body[i].(string)
		return s
	}
	switch {
	case name == "NameOwnerChanged" && arg(2) == "" && arg(0) != "" && arg(0)[0] == ':':
		l.gone(arg(0))
	case name == "NameAcquired" && arg(0) == Name:
		l.s.setState(stateOK)
	case name == "NameLost" && arg(0) == Name:
		l.s.setState("the name " + Name + " was taken away")
	}
}

// begin counts a call in, unless the connection is being closed.
func (l *link) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return false
	}
	l.calls++
	return true
}

func (l *link) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls--; l.calls == 0 && l.closing {
		close(l.idle)
	}
}

// close cancels the calls under way, lets them answer, and leaves the bus.
func (l *link) close() {
	l.mu.Lock()
	l.closing = true
	if l.calls == 0 {
		close(l.idle)
	}
	l.mu.Unlock()
	l.cancel()
	select {
	case <-l.idle:
	case <-l.conn.Context().Done():
	case <-time.After(l.s.limits.StopTime):
	}
	_ = l.conn.Close()
	l.mu.Lock()
	watches := l.watches
	l.watches = nil
	l.mu.Unlock()
	for _, w := range watches {
		<-w.done
	}
}
