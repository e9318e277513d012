// Package busrig runs a private D-Bus message bus, the real dbus-daemon, of the
// system's or a session's type. It needs Linux.
package busrig
