//go:build unix

package main

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// journalRig is the journal's end of its socket.
func journalRig(t *testing.T) (path string, next func() map[string]string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return path, func() map[string]string {
		b := make([]byte, 1<<20)
		if err := l.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := l.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return journalFields(t, b[:n])
	}
}

// journalFields takes a record apart as the journal does.
func journalFields(t *testing.T, b []byte) map[string]string {
	t.Helper()
	fields := map[string]string{}
	for len(b) > 0 {
		line, rest, ok := bytes.Cut(b, []byte("\n"))
		if !ok {
			t.Fatalf("a field without an end: %q", b)
		}
		if name, value, is := strings.Cut(string(line), "="); is {
			fields[name] = value
			b = rest
			continue
		}
		n := binary.LittleEndian.Uint64(rest)
		fields[string(line)], b = string(rest[8:8+n]), rest[8+n+1:]
	}
	return fields
}

func TestJournal(t *testing.T) {
	path, next := journalRig(t)
	var stderr bytes.Buffer
	log := slog.New(newJournal(path, &stderr, slog.LevelInfo))
	for level, want := range map[slog.Level]string{slog.LevelInfo: "6", slog.LevelWarn: "4", slog.LevelError: "3"} {
		log.Log(t.Context(), level, "it is so", "uid", "1000", "why", "two\nlines", slog.Group("at", "place", 3))
		got := next()
		for name, value := range map[string]string{
			"PRIORITY": want, "SYSLOG_IDENTIFIER": "tokend", "MESSAGE": `it is so uid=1000 why="two\nlines" at.place=3`,
			"TOKEND_MESSAGE": "it is so", "TOKEND_UID": "1000", "TOKEND_WHY": "two\nlines", "TOKEND_AT_PLACE": "3",
		} {
			if got[name] != value {
				t.Errorf("%s is %q, want %q", name, got[name], value)
			}
		}
	}
	log.Debug("not this")
	log.With("a b=c\nPRIORITY", "0").WithGroup("g").Info("names and values cannot make fields", "x", "1\nPRIORITY=0", "pin", ipc.Secret("123456"))
	got := next()
	if got["PRIORITY"] != "6" || got["TOKEND_G_X"] != "1\nPRIORITY=0" || got["TOKEND_A_B_C_PRIORITY"] != "0" || got["TOKEND_G_PIN"] != "[secret]" {
		t.Errorf("got %q", got)
	}
	log.Info("long", "stack", strings.Repeat("x", 1<<20))
	if got := next(); len(got["MESSAGE"]) > maxRecord {
		t.Error("a record was not cut")
	}
	if stderr.Len() > 0 {
		t.Errorf("it wrote %q", stderr.String())
	}
}

func TestWithoutAJournalNothingIsLost(t *testing.T) {
	var stderr bytes.Buffer
	slog.New(newJournal(filepath.Join(t.TempDir(), "none"), &stderr, slog.LevelInfo)).Error("it\nfailed", "err", "so")
	if got := stderr.String(); got != "<3>it failed err=so\n" {
		t.Errorf("got %q", got)
	}
}

func TestLogForms(t *testing.T) {
	for form, want := range map[string]string{logText: "level=WARN msg=hm", logJSON: `"level":"WARN","msg":"hm"`, logAuto: "level=WARN msg=hm"} {
		var b bytes.Buffer
		log, err := newLog(form, &b, slog.LevelInfo)
		if err != nil {
			t.Fatal(err)
		}
		log.Warn("hm")
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s: %s", form, b.String())
		}
	}
	if _, err := parseConfig("log_format = \"xml\"\n"); err == nil || !strings.Contains(err.Error(), "log_format must be auto, text, json or journal") {
		t.Errorf("%v", err)
	}
	if inJournal(new(bytes.Buffer), "1:2") {
		t.Error("a buffer is no journal")
	}
}
