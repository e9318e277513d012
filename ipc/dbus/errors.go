package dbus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/godbus/dbus/v5"

	"github.com/tokenbridge/tokend/ipc"
)

// errorPrefix is what the names of our own errors begin with.
const errorPrefix = Name + ".Error."

// The errors of D-Bus itself, which every client knows.
const (
	errUnknownObject    = "org.freedesktop.DBus.Error.UnknownObject"
	errUnknownInterface = "org.freedesktop.DBus.Error.UnknownInterface"
	errUnknownMethod    = "org.freedesktop.DBus.Error.UnknownMethod"
	errUnknownProperty  = "org.freedesktop.DBus.Error.UnknownProperty"
	errReadOnly         = "org.freedesktop.DBus.Error.PropertyReadOnly"
	errInvalidArgs      = "org.freedesktop.DBus.Error.InvalidArgs"
	errInteraction      = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
)

func fault(name, message string) *dbus.Error {
	return &dbus.Error{Name: name, Body: []any{message}}
}

// noObject is the answer for every object that is not there for the caller: a
// missing one, another user's, and a path that can be none.
func noObject() *dbus.Error { return fault(errUnknownObject, "there is no such object") }

// errorName is the D-Bus name of a kind of error: its words, each with a capital,
// after Name and ".Error.".
func errorName(k ipc.Kind) string {
	var b strings.Builder
	b.WriteString(errorPrefix)
	for word := range strings.SplitSeq(string(k), "-") {
		if word == "pin" {
			word = "PIN"
		}
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

// errorNames is the table of the kinds: what each is called on the bus.
func errorNames() map[ipc.Kind]string {
	names := make(map[ipc.Kind]string)
	for _, k := range ipc.Kinds() {
		names[k.Kind] = errorName(k.Kind)
	}
	return names
}

// told is the cause of a call's failure as its caller is told it: the name and the
// message, and nothing beside it. Clients of GLib drop the message of an error that
// has a second argument.
func (s *Server) told(err error) *dbus.Error {
	var own *dbus.Error
	if errors.As(err, &own) {
		return own
	}
	var e *ipc.Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e = ipc.Errorf(ipc.Cancelled, "the call was cancelled")
	default:
		e = ipc.Errorf(ipc.Internal, "internal error")
		e.Err = err
	}
	name, ok := s.names[e.Kind]
	if !ok {
		name = s.names[ipc.Internal]
	}
	return fault(name, text(e.Message+details(e)))
}

// details is what an error says beside its message, to be put behind that.
func details(e *ipc.Error) string {
	var b strings.Builder
	if e.Token != nil && e.Token.Label != "" && !strings.Contains(e.Message, e.Token.Label) {
		fmt.Fprintf(&b, "; token: %s", e.Token.Label)
	}
	if e.TriesLeft != nil {
		fmt.Fprintf(&b, "; tries left: %d", max(0, *e.TriesLeft))
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, "; again in %d s", e.RetryAfter)
	}
	for _, i := range e.Items {
		b.WriteString("; " + i.ID)
		if i.Name != "" {
			b.WriteString(" " + i.Name)
		}
		if i.Reason != "" {
			b.WriteString(": " + i.Reason)
		}
	}
	return b.String()
}

// dict is a dictionary of D-Bus, a{sv}.
type dict map[string]dbus.Variant

func (d dict) set(key string, v any) { d[key] = dbus.MakeVariant(v) }

// text makes a string one that D-Bus can carry: a device may call itself anything.
func text(s string) string {
	if utf8.ValidString(s) && !strings.Contains(s, "\x00") {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}
