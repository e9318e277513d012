package desktop

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/godbus/dbus/v5"
)

// org.freedesktop.login1(5).
const (
	loginName    = "org.freedesktop.login1"
	loginPath    = dbus.ObjectPath("/org/freedesktop/login1")
	loginManager = loginName + ".Manager"
	loginSession = loginName + ".Session"
	properties   = "org.freedesktop.DBus.Properties"
)

// Login tells when the user leaves the machine to others: his session is locked
// or ends, or the machine sleeps.
type Login struct {
	log     *slog.Logger
	connect connector
	uid     uint32
	// own is the login session that counts; where it is empty, or logind does not
	// know it, all of the user's do.
	own string
	// leave is told why; sleep waits until it returns.
	leave func(ctx context.Context, reason string)
	// changed is told when Heard says otherwise; it can be nil.
	changed func()
	heard   atomic.Bool
}

// NewLogin is for the process's user; own is $XDG_SESSION_ID.
func NewLogin(own string, log *slog.Logger, leave func(ctx context.Context, reason string), changed func()) *Login {
	return &Login{log: log, connect: system, uid: uint32(max(0, os.Getuid())), own: own, leave: leave, changed: changed}
}

// Heard says that logind is there to be listened to.
func (l *Login) Heard() bool { return l.heard.Load() }

func (l *Login) hears(service string) {
	if l.heard.Swap(service != "") != (service != "") && l.changed != nil {
		l.changed()
	}
}

// Run listens until ctx ends.
func (l *Login) Run(ctx context.Context) { keep(ctx, l.log, "system", l.connect, l.serve) }

// watch is what is known while one connection lasts.
type watch struct {
	*Login
	link     *link
	manager  dbus.BusObject
	sessions map[dbus.ObjectPath]string // the user's, by path
	hold     *os.File                   // keeps the machine from sleeping before the vault is locked
}

func (l *Login) serve(ctx context.Context, c *link) error {
	signals := make(chan *dbus.Signal, 64)
	c.Signal(signals)
	for _, match := range [][]dbus.MatchOption{
		ownerMatch(loginName),
		{dbus.WithMatchSender(loginName), dbus.WithMatchInterface(loginManager)},
		{dbus.WithMatchSender(loginName), dbus.WithMatchInterface(loginSession), dbus.WithMatchMember("Lock")},
		{dbus.WithMatchSender(loginName), dbus.WithMatchInterface(properties),
			dbus.WithMatchMember("PropertiesChanged"), dbus.WithMatchArg(0, loginSession)},
	} {
		if err := c.AddMatchSignalContext(ctx, match...); err != nil {
			return err
		}
	}
	w := &watch{Login: l, link: c, manager: c.Object(loginName, loginPath)}
	defer w.release()
	service := owner(ctx, c, loginName) // before: what it tells meanwhile is heard
	w.begin(ctx)
	if service == "" {
		service = owner(ctx, c, loginName)
	}
	w.hears(service)
	defer w.hears("")
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case s := <-signals:
			if s == nil {
				return dbus.ErrClosed
			}
			if now, is := ownerChanged(s, loginName); is {
				if now == service && w.hold != nil {
					continue // it came while it was being met
				}
				service = now
				c.wire.listen(now)
				w.hears(now)
				if now != "" {
					w.begin(ctx)
				}
				continue
			}
			if s.Sender == service {
				w.tells(ctx, s)
			}
		}
	}
}

// begin learns which sessions there are, and asks to be waited for. What happened
// while logind was not heard counts as if it happened now.
func (w *watch) begin(ctx context.Context) {
	locked := w.list(ctx)
	w.inhibit(ctx)
	var asleep dbus.Variant
	if err := call(ctx, w.manager, properties+".Get", []any{loginManager, "PreparingForSleep"}, &asleep); err == nil && asleep.Value() == true {
		w.leave(ctx, "the machine sleeps")
		w.release()
		return
	}
	if slices.ContainsFunc(locked, w.counts) {
		w.leave(ctx, "the session is locked")
	}
}

// list learns the user's sessions, and returns those that are locked. One in
// which nobody can be, of the user's systemd or of a job at night, does not keep
// the last of the others from being the last.
func (w *watch) list(ctx context.Context) (locked []dbus.ObjectPath) {
	var all []struct {
		ID   string
		UID  uint32
		User string
		Seat string
		Path dbus.ObjectPath
	}
	if err := call(ctx, w.manager, loginManager+".ListSessions", nil, &all); err != nil {
		w.log.Debug("cannot list login sessions", "err", err)
		return nil
	}
	w.sessions = make(map[dbus.ObjectPath]string)
	for _, s := range all {
		if s.UID != w.uid {
			continue
		}
		var is map[string]dbus.Variant
		if err := call(ctx, w.link.Object(loginName, s.Path), properties+".GetAll", []any{loginSession}, &is); err != nil {
			w.log.Debug("cannot learn of what kind a login session is", "err", err)
		}
		class, _ := is["Class"].Value().(string)
		if s.ID != w.own && (strings.HasPrefix(class, "manager") || strings.HasPrefix(class, "background")) {
			continue
		}
		w.sessions[s.Path] = s.ID
		if is["LockedHint"].Value() == true {
			locked = append(locked, s.Path)
		}
	}
	return locked
}

// inhibit asks logind to wait with sleep until the vault is locked.
func (w *watch) inhibit(ctx context.Context) {
	w.release()
	w.link.wire.keep(nil) // of an answer that came too late
	var fd dbus.UnixFDIndex
	err := call(ctx, w.manager, loginManager+".Inhibit",
		[]any{"sleep", "tokend", "the vault is locked first", "delay"}, &fd)
	if err != nil {
		w.log.Debug("cannot delay sleep until the vault is locked", "err", err)
		return
	}
	w.hold = w.link.wire.fetch()
}

func (w *watch) release() {
	if w.hold != nil {
		_ = w.hold.Close()
		w.hold = nil
	}
}

// counts says whether a session is the one, or one of those, that matter.
func (w *watch) counts(path dbus.ObjectPath) bool {
	id, mine := w.sessions[path]
	return mine && (!w.knowsOwn() || id == w.own)
}

func (w *watch) knowsOwn() bool {
	for _, id := range w.sessions {
		if id == w.own {
			return true
		}
	}
	return false
}

func (w *watch) tells(ctx context.Context, s *dbus.Signal) {
	switch s.Name {
	case loginManager + ".PrepareForSleep":
		if len(s.Body) != 1 {
			return
		}
		if s.Body[0] == true {
			w.leave(ctx, "the machine sleeps")
			w.release()
			return
		}
		w.inhibit(ctx)
	case loginManager + ".SessionNew":
		w.list(ctx)
	case loginManager + ".SessionRemoved":
		w.removed(ctx, s)
	case loginSession + ".Lock":
		if w.counts(s.Path) {
			w.leave(ctx, "the session is locked")
		}
	case properties + ".PropertiesChanged":
		if w.counts(s.Path) && lockedHint(s) {
			w.leave(ctx, "the session is locked")
		}
	}
}

// removed is told that a session ended: it counts if it is the own one, or the
// user's last.
func (w *watch) removed(ctx context.Context, s *dbus.Signal) {
	if len(s.Body) != 2 {
		return
	}
	path, ok := s.Body[1].(dbus.ObjectPath)
	if _, mine := w.sessions[path]; !ok || !mine {
		return
	}
	own := w.knowsOwn() && w.counts(path)
	delete(w.sessions, path)
	if own || len(w.sessions) == 0 {
		w.leave(ctx, "the login session ended")
	}
}

// lockedHint says that a desktop locked the session by itself.
func lockedHint(s *dbus.Signal) bool {
	if len(s.Body) < 2 {
		return false
	}
	changed, ok := s.Body[1].(map[string]dbus.Variant)
	if !ok {
		return false
	}
	v, ok := changed["LockedHint"]
	return ok && v.Value() == true
}
