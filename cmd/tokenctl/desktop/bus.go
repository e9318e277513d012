// Package desktop is what the agent has of the user's session: notifications
// that are shown until they are taken back, and word of when the session is
// locked, the machine sleeps, or the user leaves. Both come over D-Bus, and both
// outlive a restart of the bus or of the service behind it.
package desktop

import (
	"context"
	"log/slog"
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

// connector connects to a bus.
type connector func() (*dbus.Conn, error)

// session is the bus of the user's session. None is started for it.
func session() (*dbus.Conn, error) { return greet(dbus.SessionBusPrivateNoAutoStartup()) }

func system() (*dbus.Conn, error) { return greet(dbus.SystemBusPrivate()) }

func greet(c *dbus.Conn, err error) (*dbus.Conn, error) {
	if err != nil {
		return nil, err
	}
	if err = c.Auth(nil); err == nil {
		err = c.Hello()
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// keep calls serve with a connection for as long as that lasts, and again with
// the next one, until ctx ends.
func keep(ctx context.Context, log *slog.Logger, bus string, connect connector, serve func(context.Context, *dbus.Conn) error) {
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

func serveOne(ctx context.Context, c *dbus.Conn, serve func(context.Context, *dbus.Conn) error) error {
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

// owner is the connection that has a name, empty where none has.
func owner(ctx context.Context, c *dbus.Conn, name string) string {
	var unique string
	if call(ctx, c.BusObject(), "org.freedesktop.DBus.GetNameOwner", []any{name}, &unique) != nil {
		return ""
	}
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
