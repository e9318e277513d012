package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"golang.org/x/sys/windows/svc/eventlog"
)

// eventSource is by what name the event log knows this program. Its messages are
// known once the service was installed.
const eventSource = "tokend"

// maxEvent is the longest event in bytes, which is as many characters at most; the
// event log takes 31,839 of these.
const maxEvent = 31000

// The ids of events in the event log, by their level.
const (
	eventInfo    = 1
	eventWarning = 2
	eventError   = 3
)

// events is the event log. It stands in the place of standard error where the
// service manager has started this process, and there alone.
type events struct{ log *eventlog.Log }

func openEvents() (events, error) {
	log, err := eventlog.Open(eventSource)
	if err != nil {
		return events{}, fmt.Errorf("cannot open the event log: %w", err)
	}
	return events{log}, nil
}

// Write implements [io.Writer], for what is written in a form of its own.
func (e events) Write(b []byte) (int, error) {
	return len(b), e.write(slog.LevelInfo, strings.TrimSuffix(string(b), "\n"))
}

func (e events) write(l slog.Level, text string) error {
	text = strings.ReplaceAll(text[:min(len(text), maxEvent)], "\x00", " ") // at which it would end
	switch {
	case l >= slog.LevelError:
		return e.log.Error(eventError, text)
	case l >= slog.LevelWarn:
		return e.log.Warning(eventWarning, text)
	}
	return e.log.Info(eventInfo, text)
}

// ownLog is the event log where that stands for standard error; nil elsewhere.
func ownLog(stderr io.Writer, level slog.Leveler) (slog.Handler, error) {
	e, ok := stderr.(events)
	if !ok {
		return nil, nil
	}
	return &lines{level: level, write: func(l slog.Level, message string, fields []field) error {
		return e.write(l, lineText(message, fields))
	}}, nil
}
