package dbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/tokenbridge/tokend/ipc"
)

// call is one method call on its way.
type call struct {
	s     *Server
	l     *link
	ctx   context.Context // ends with the caller
	from  *caller
	who   ipc.Principal
	flags dbus.Flags
	node  node
	iface string
	name  string
	args  []any
	sig   string // of args

	// What the call is about, once it was looked up.
	acct *ipc.Account
	tok  *ipc.Token
}

// LookupObject is godbus's way in: it asks for an object, an interface of it and a
// method of that, and would answer itself where one is missing. So all are there,
// and what is called is found out where the caller is known.
func (l *link) LookupObject(dbus.ObjectPath) (dbus.ServerObject, bool) { return l, true }

// LookupInterface is part of the way in.
func (l *link) LookupInterface(string) (dbus.Interface, bool) { return l, true }

// LookupMethod is part of the way in.
func (l *link) LookupMethod(string) (dbus.Method, bool) { return entry{l}, true }

// entry is the one method that godbus knows: it takes every call as its message.
type entry struct{ l *link }

// DecodeArguments hands on the message.
func (e entry) DecodeArguments(_ *dbus.Conn, _ string, m *dbus.Message, _ []any) ([]any, error) {
	return []any{m}, nil
}

// NumArguments is not asked for a method with DecodeArguments.
func (entry) NumArguments() int { return 0 }

// NumReturns is not asked.
func (entry) NumReturns() int { return 0 }

// ArgumentValue is not asked.
func (entry) ArgumentValue(int) any { return nil }

// ReturnValue is not asked.
func (entry) ReturnValue(int) any { return nil }

// Call serves a message, in a goroutine of its own. It answers by itself, so that
// the connection is not closed before the answer is out.
func (e entry) Call(args ...any) ([]any, error) {
	m, ok := args[0].(*dbus.Message)
	if !ok {
		return nil, fault(errInvalidArgs, "there is no message")
	}
	wanted := m.Flags&dbus.FlagNoReplyExpected == 0
	m.Flags |= dbus.FlagNoReplyExpected // of godbus
	began := e.l.begin()
	if began {
		defer e.l.end()
	}
	start := time.Now()
	c := e.l.received(m)
	out, err := c.guarded(sender(m), began)
	c.log(err, start)
	if observe := c.s.cfg.Observe; observe != nil {
		observe(kindOf(err))
	}
	if wanted {
		e.l.answer(m, out, err)
	}
	return nil, nil
}

// kindOf is the kind of a call's failure, empty for none. What is wrong with a call
// itself has names of D-Bus's own.
func kindOf(err error) ipc.Kind {
	var e *ipc.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Kind
	}
	return ipc.InvalidArgument
}

// guarded is serve, from which no panic gets out.
func (c *call) guarded(from string, began bool) (out []any, err error) {
	defer func() {
		if v := recover(); v != nil {
			// The values in a panic can be anybody's.
			c.s.cfg.Log.LogAttrs(context.Background(), slog.LevelError, "panic in a call over D-Bus",
				slog.String("type", fmt.Sprintf("%T", v)), slog.String("stack", string(debug.Stack())))
			out, err = nil, ipc.Errorf(ipc.Internal, "internal error")
		}
	}()
	if !began {
		return nil, ipc.Errorf(ipc.Cancelled, "the daemon is stopping")
	}
	return c.serve(from)
}

// received reads the head of a message.
func (l *link) received(m *dbus.Message) *call {
	c := &call{s: l.s, l: l, flags: m.Flags, args: m.Body}
	path, _ := m.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	c.node = locate(path)
	c.iface, _ = m.Headers[dbus.FieldInterface].Value().(string)
	c.name, _ = m.Headers[dbus.FieldMember].Value().(string)
	if sig, ok := m.Headers[dbus.FieldSignature].Value().(dbus.Signature); ok {
		c.sig = sig.String()
	}
	return c
}

func sender(m *dbus.Message) string {
	name, _ := m.Headers[dbus.FieldSender].Value().(string)
	return name
}

// serve finds out who calls, what, and calls it.
func (c *call) serve(from string) ([]any, error) {
	var err error
	if c.from, err = c.l.caller(from); err != nil {
		return nil, err
	}
	c.who, c.ctx = c.from.who, c.from.ctx
	if !c.s.quota.take(c.who.UID) {
		return nil, &ipc.Error{Kind: ipc.Busy, Message: "too many calls at one time", RetryAfter: 1}
	}
	defer c.s.quota.give(c.who.UID)
	m, err := c.method()
	if err != nil {
		return nil, err
	}
	if sig := signatureOf(m.in); sig != c.sig {
		return nil, fault(errInvalidArgs, fmt.Sprintf("%s takes arguments of type %q", m.name, sig))
	}
	if m.action != "" {
		if err := c.authorize(m.action); err != nil {
			return nil, err
		}
	}
	return m.call(c)
}

// method finds what is called. Whether there is an object comes first: of what is
// not there, nothing else is told.
func (c *call) method() (*method, error) {
	if c.node.kind == kindNone {
		return nil, noObject()
	}
	if c.node.kind == kindAccount || c.node.kind == kindToken {
		err := c.exists()
		if err != nil && ipc.KindOf(err) == ipc.VaultLocked && c.byAgent() {
			if _, err = c.s.cfg.Backend.Unlock(c.ctx, c.who, ipc.UnlockRequest{Interaction: ipc.InteractionAgent}); err == nil {
				err = c.exists()
			}
		}
		if err != nil {
			return nil, err
		}
	}
	there := false
	for i := range c.s.table {
		f := &c.s.table[i]
		if !f.at(c.node.kind) || c.iface != "" && c.iface != f.name {
			continue
		}
		there = true
		if m := f.method(c.name); m != nil {
			c.iface = f.name
			return m, nil
		}
	}
	if c.iface != "" && !there {
		return nil, fault(errUnknownInterface, "the object has no such interface")
	}
	return nil, fault(errUnknownMethod, "the object has no such method")
}

// exists says with its error that there is no such object for the caller. Where
// the vault is closed it cannot be known, and the error says that.
func (c *call) exists() error {
	var err error
	if c.node.kind == kindAccount {
		var a ipc.Account
		if a, err = c.account(); err == nil {
			c.acct = &a
		}
		return err
	}
	var t ipc.Token
	if t, err = c.token(); err == nil {
		c.tok = &t
	}
	return err
}

// account is the account that the call is about. The backend finds accounts by
// names too; here an id is meant.
func (c *call) account() (ipc.Account, error) {
	a, err := c.s.cfg.Backend.Account(c.ctx, c.who, c.node.id)
	if err == nil && a.ID != c.node.id {
		return ipc.Account{}, noObject()
	}
	return a, missing(err)
}

// missing makes what the backend says of an id that it does not find the answer
// for every object that is not there.
func missing(err error) error {
	if err == nil {
		return nil
	}
	switch ipc.KindOf(err) {
	case ipc.NotFound, ipc.Ambiguous, ipc.AmbiguousToken:
		return noObject()
	}
	return err
}

// token is the token that the call is about.
func (c *call) token() (ipc.Token, error) {
	list, err := c.s.cfg.Backend.Tokens(c.ctx, c.who)
	if err != nil {
		return ipc.Token{}, err
	}
	for _, t := range list.Tokens {
		if t.ID == c.node.id {
			return t, nil
		}
	}
	return ipc.Token{}, noObject()
}

// log says that there was a call, without anything that a caller chose.
func (c *call) log(err error, start time.Time) {
	level, failed := slog.LevelDebug, ""
	if err != nil {
		e := c.s.told(err)
		failed = e.Name
		if failed == c.s.names[ipc.Internal] {
			level = slog.LevelError
		}
	}
	if !c.s.cfg.Log.Enabled(context.Background(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("kind", string(c.node.kind)), slog.String("error", failed),
		slog.String("uid", c.who.UID), slog.Duration("took", time.Since(start)),
	}
	if level == slog.LevelError {
		attrs = append(attrs, slog.Any("cause", err))
	}
	c.s.cfg.Log.LogAttrs(context.Background(), level, "call over D-Bus", attrs...)
}
