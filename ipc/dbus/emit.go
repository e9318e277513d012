package dbus

import (
	"github.com/godbus/dbus/v5"
)

// emit sends a signal to one connection. It is the only place that makes any:
// one without a destination would be read by every user of the bus.
func (l *link) emit(to *caller, path dbus.ObjectPath, iface, member string, body ...any) {
	if to.ctx.Err() != nil {
		return
	}
	m := &dbus.Message{
		Type:  dbus.TypeSignal,
		Flags: dbus.FlagNoReplyExpected,
		Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: dbus.MakeVariant(to.name),
			dbus.FieldPath:        dbus.MakeVariant(path),
			dbus.FieldInterface:   dbus.MakeVariant(iface),
			dbus.FieldMember:      dbus.MakeVariant(member),
		},
		Body: body,
	}
	l.send(m)
}

// answer answers a call.
func (l *link) answer(to *dbus.Message, out []any, err error) {
	m := &dbus.Message{
		Type:  dbus.TypeMethodReply,
		Flags: dbus.FlagNoReplyExpected,
		Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: to.Headers[dbus.FieldSender],
			dbus.FieldReplySerial: dbus.MakeVariant(to.Serial()),
		},
		Body: out,
	}
	if err != nil {
		e := l.s.told(err)
		m.Type, m.Body = dbus.TypeError, e.Body
		m.Headers[dbus.FieldErrorName] = dbus.MakeVariant(e.Name)
	}
	l.send(m)
}

// send sends a message that has no answer. The bus takes it at once and keeps it for
// a receiver that is slow; an error is that the connection has ended.
func (l *link) send(m *dbus.Message) {
	if len(m.Body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(m.Body...))
	}
	_ = l.conn.Send(m, nil)
}

// unicast sees each message before it is sent. A signal for nobody in particular,
// which no code of ours makes, goes to ourselves.
func (l *link) unicast(m *dbus.Message) {
	if m.Type != dbus.TypeSignal {
		return
	}
	if to, _ := m.Headers[dbus.FieldDestination].Value().(string); to == "" || to[0] != ':' {
		m.Headers[dbus.FieldDestination] = dbus.MakeVariant(l.conn.Names()[0])
	}
}
