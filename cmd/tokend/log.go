package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
)

// The forms of the log.
const (
	logAuto    = "auto"
	logText    = "text"
	logJSON    = "json"
	logJournal = "journal"
)

func (c config) checkFormat() error {
	switch c.LogFormat {
	case logAuto, logText, logJSON, logJournal:
		return nil
	}
	return fmt.Errorf("log_format must be %s, %s, %s or %s, not %q", logAuto, logText, logJSON, logJournal, c.LogFormat)
}

// newLog is the log of a form. stderr is where it goes, but for the journal and the
// event log of Windows.
func newLog(form string, stderr io.Writer, level slog.Leveler) (*slog.Logger, error) {
	o := &slog.HandlerOptions{Level: level}
	switch form {
	case logJSON:
		return slog.New(slog.NewJSONHandler(stderr, o)), nil
	case logText:
		return slog.New(slog.NewTextHandler(stderr, o)), nil
	case logJournal:
		return slog.New(newJournal(journalSocket, stderr, level)), nil
	}
	h, err := ownLog(stderr, level)
	if err != nil {
		return nil, err
	}
	if h == nil {
		h = slog.NewTextHandler(stderr, o)
	}
	return slog.New(h), nil
}

// severity is syslog's, by which the journal sorts: 7 for debug, 6, 4 and 3.
func severity(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}

// lines is a slog.Handler that hands on each record as a line of text without its
// time and level, and its fields.
type lines struct {
	level slog.Leveler
	// prefix stands before the names of fields, for the groups that were opened.
	prefix string
	fields []field
	write  func(l slog.Level, message string, fields []field) error
}

// field is an attribute of a record, as text.
type field struct{ name, value string }

// Enabled implements [slog.Handler].
func (h *lines) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// Handle implements [slog.Handler].
func (h *lines) Handle(_ context.Context, r slog.Record) error {
	fields := h.fields[:len(h.fields):len(h.fields)]
	r.Attrs(func(a slog.Attr) bool {
		fields = flatten(fields, h.prefix, a)
		return true
	})
	return h.write(r.Level, r.Message, fields)
}

// WithAttrs implements [slog.Handler].
func (h *lines) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.fields = h.fields[:len(h.fields):len(h.fields)]
	for _, a := range attrs {
		c.fields = flatten(c.fields, h.prefix, a)
	}
	return &c
}

// WithGroup implements [slog.Handler].
func (h *lines) WithGroup(name string) slog.Handler {
	c := *h
	if name != "" {
		c.prefix += name + "."
	}
	return &c
}

// flatten adds an attribute, or those of its group.
func flatten(fields []field, prefix string, a slog.Attr) []field {
	v := a.Value.Resolve() // a secret says "[secret]" here
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, one := range v.Group() {
			fields = flatten(fields, prefix, one)
		}
		return fields
	}
	if a.Equal(slog.Attr{}) {
		return fields
	}
	return append(fields, field{prefix + a.Key, v.String()})
}
