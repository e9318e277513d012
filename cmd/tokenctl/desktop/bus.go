// Package desktop is what the agent has of the user's session: notifications
// that are shown until they are taken back, and word of when the session is
// locked, the machine sleeps, or the user leaves. Both come over D-Bus, and both
// outlive a restart of the bus or of the service behind it.
package desktop

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// A bus that is not there is looked for again after a second, then later and
// later.
const (
	firstRetry   = time.Second
	longestRetry = 30 * time.Second
)

// callLimit is how long a service may take to answer.
const callLimit = 10 * time.Second

// link is a connection to a bus.
type link struct {
	*dbus.Conn
	wire *wire
}

// connector connects to a bus.
type connector func() (*link, error)

// session is the bus of the user's session. None is started for it.
func session() (*link, error) {
	address := os.Getenv("DBUS_SESSION_BUS_ADDRESS")
	if run := os.Getenv("XDG_RUNTIME_DIR"); address == "" && run != "" {
		address = "unix:path=" + run + "/bus"
	}
	return connect(address, false)
}

func system() (*link, error) {
	address := os.Getenv("DBUS_SYSTEM_BUS_ADDRESS")
	if address == "" {
		address = "unix:path=/run/dbus/system_bus_socket"
	}
	return connect(address, true)
}

// connect connects to the first bus of an address that answers (D-Bus
// specification, "Server Addresses"), of those that are unix sockets.
// descriptors says that its services answer with some.
func connect(address string, descriptors bool) (*link, error) {
	reasons := errors.New("there is no unix socket in the address of the bus")
	for one := range strings.SplitSeq(address, ";") {
		name := socketName(one)
		if name == "" {
			continue
		}
		c, err := (&net.Dialer{Timeout: dialTime}).DialContext(context.Background(), "unix", name)
		if u, ok := c.(*net.UnixConn); ok && err == nil {
			return greet(&wire{UnixConn: u, descriptors: descriptors})
		}
		reasons = errors.Join(reasons, err)
	}
	return nil, reasons
}

// socketName is the socket of one address, an abstract one with "@" before it;
// empty for another transport.
func socketName(address string) string {
	pairs, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		return ""
	}
	for pair := range strings.SplitSeq(pairs, ",") {
		key, value, _ := strings.Cut(pair, "=")
		value, err := url.PathUnescape(value)
		switch {
		case err != nil || value == "":
		case key == "path":
			return value
		case key == "abstract":
			return "@" + value
		}
	}
	return ""
}

// greet introduces us to the bus.
func greet(w *wire) (*link, error) {
	c, err := dbus.NewConn(w)
	if err != nil {
		_ = w.Close()
		return nil, err
	}
	if err = w.SetDeadline(time.Now().Add(dialTime)); err == nil {
		if err = c.Auth(nil); err == nil {
			err = c.Hello()
		}
	}
	if err == nil {
		err = w.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return &link{Conn: c, wire: w}, nil
}

// keep calls serve with a connection for as long as that lasts, and again with
// the next one, until ctx ends.
func keep(ctx context.Context, log *slog.Logger, bus string, connect connector, serve func(context.Context, *link) error) {
	retry := firstRetry
	for ctx.Err() == nil {
		c, err := connect()
		if err == nil {
			began := time.Now()
			err = serveOne(ctx, c, serve)
			if time.Since(began) > longestRetry {
				retry = firstRetry
			}
		}
		if ctx.Err() != nil {
			return
		}
		log.Debug("no message bus", "bus", bus, "err", err, "again", retry)
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
		retry = min(2*retry, longestRetry)
	}
}

func serveOne(ctx context.Context, c *link, serve func(context.Context, *link) error) error {
	defer c.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(c.Context(), cancel) // the bus is gone
	defer stop()
	return serve(ctx, c)
}

// call calls a method of an object, in bounded time.
func call(ctx context.Context, o dbus.BusObject, method string, args []any, out ...any) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	c := o.CallWithContext(ctx, method, 0, args...)
	if c.Err != nil || len(out) == 0 {
		return c.Err
	}
	return c.Store(out...)
}

// owner is the connection that has a name, empty where none has. Its signals are
// heard from then on.
func owner(ctx context.Context, c *link, name string) string {
	var unique string
	if call(ctx, c.BusObject(), "org.freedesktop.DBus.GetNameOwner", []any{name}, &unique) != nil {
		unique = ""
	}
	c.wire.listen(unique)
	return unique
}

// ownerChanged is the new owner that a signal tells of, if it is about name and
// from the bus itself.
func ownerChanged(s *dbus.Signal, name string) (now string, is bool) {
	if s.Sender != "org.freedesktop.DBus" || s.Name != "org.freedesktop.DBus.NameOwnerChanged" || len(s.Body) != 3 || s.Body[0] != name {
		return "", false
	}
	now, is = s.Body[2].(string)
	return now, is
}

// ownerMatch asks for those signals.
func ownerMatch(name string) []dbus.MatchOption {
	return []dbus.MatchOption{
		dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchInterface("org.freedesktop.DBus"),
		dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, name),
	}
}
