package main

import (
	"fmt"
	"io"
	"log/slog"

	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
)

// eventSource is by what name the event log knows this program. Its messages are
// known once the service was installed.
const eventSource = "tokend"

// The ids of events in the event log, by their level.
const (
	eventInfo    = 1
	eventWarning = 2
	eventError   = 3
)

// ownLog is the event log where Windows runs this as a service; nil elsewhere.
func ownLog(_ io.Writer, level slog.Leveler) (slog.Handler, error) {
	service, err := svc.IsWindowsService()
	if err != nil {
		return nil, fmt.Errorf("cannot tell whether this is a service: %w", err)
	}
	if !service {
		return nil, nil
	}
	log, err := eventlog.Open(eventSource)
	if err != nil {
		return nil, fmt.Errorf("cannot open the event log: %w", err)
	}
	return &lines{level: level, write: func(l slog.Level, message string, fields []field) error {
		text := lineText(message, fields)
		switch {
		case l >= slog.LevelError:
			return log.Error(eventError, text)
		case l >= slog.LevelWarn:
			return log.Warning(eventWarning, text)
		}
		return log.Info(eventInfo, text)
	}}, nil
}
