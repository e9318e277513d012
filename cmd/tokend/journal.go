package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
)

// journalSocket is where the journal takes records with fields.
const journalSocket = "/run/systemd/journal/socket"

// maxRecord is the longest record in bytes. A longer one would need a file of its
// own to reach the journal; it is cut.
const maxRecord = 48 << 10

// journal writes records to systemd's journal, in its own protocol: fields, each of
// which can be searched for.
type journal struct {
	path   string
	stderr io.Writer

	mu   sync.Mutex
	conn net.Conn
}

// newJournal is a log that goes to the journal at path. What the journal does not
// take goes to stderr, with the severity in front as the journal reads it there.
func newJournal(path string, stderr io.Writer, level slog.Leveler) slog.Handler {
	j := &journal{path: path, stderr: stderr}
	return &lines{level: level, write: j.write}
}

func (j *journal) write(l slog.Level, message string, fields []field) error {
	text := lineText(message, fields)
	record := journalField(nil, "MESSAGE", text)
	record = journalField(record, "PRIORITY", fmt.Sprint(severity(l)))
	record = journalField(record, "SYSLOG_IDENTIFIER", "tokend")
	record = journalField(record, "TOKEND_MESSAGE", message)
	for _, f := range fields {
		if len(record)+len(f.value) < maxRecord {
			record = journalField(record, "TOKEND_"+fieldName(f.name), f.value)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.send(record) == nil {
		return nil
	}
	_, err := fmt.Fprintf(j.stderr, "<%d>%s\n", severity(l), text)
	return err
}

// send needs j.mu. The journal may have been started again since the last time.
func (j *journal) send(record []byte) error {
	var err error
	for range 2 {
		if j.conn == nil {
			c, dialErr := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: j.path, Net: "unixgram"})
			if dialErr != nil {
				return dialErr
			}
			j.conn = c
		}
		if _, err = j.conn.Write(record); err == nil {
			return nil
		}
		j.conn.Close()
		j.conn = nil
	}
	return err
}

// journalField adds a field: in one line, or with its length where the value has
// several.
func journalField(record []byte, name, value string) []byte {
	if len(value) > maxRecord/2 {
		value = value[:maxRecord/2]
	}
	record = append(record, name...)
	if !strings.Contains(value, "\n") {
		record = append(record, '=')
		record = append(record, value...)
		return append(record, '\n')
	}
	record = append(record, '\n')
	record = binary.LittleEndian.AppendUint64(record, uint64(len(value)))
	record = append(record, value...)
	return append(record, '\n')
}

// fieldName is a name as the journal allows it: capitals, digits and underscores.
func fieldName(s string) string {
	b := []byte(strings.ToUpper(s))
	for i, c := range b {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			b[i] = '_'
		}
	}
	return string(b[:min(len(b), 48)])
}

// lineText is a record in one line, as slog writes text.
func lineText(message string, fields []field) string {
	var b strings.Builder
	b.WriteString(oneLine(message))
	for _, f := range fields {
		v := f.value
		if v == "" || strings.ContainsAny(v, " \"=\n\t\r") || oneLine(v) != v {
			v = fmt.Sprintf("%q", v)
		}
		b.WriteString(" " + f.name + "=" + v)
	}
	return b.String()
}

// oneLine has no control characters, which could make a second line, or colour.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
