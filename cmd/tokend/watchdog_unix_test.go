//go:build unix

package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// manager is where a service reports to.
func manager(t *testing.T) (*net.UnixConn, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, path
}

// told is the next report, empty where none comes within the time.
func told(c *net.UnixConn, within time.Duration) string {
	b := make([]byte, 256)
	_ = c.SetReadDeadline(time.Now().Add(within))
	n, err := c.Read(b)
	if err != nil {
		return ""
	}
	return string(b[:n])
}

// TestWatchdog: a daemon that answers says so again and again, where it was asked to.
func TestWatchdog(t *testing.T) {
	bin, dir := programs(t), t.TempDir()
	reports, path := manager(t)
	socket := filepath.Join(dir, "run", "s")
	cmd := exec.Command(filepath.Join(bin, "tokend"), "serve", "--user", "--state-dir", filepath.Join(dir, "state"), "--socket", socket)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=900000")
	r := launch(t, cmd, socket)
	if got := told(reports, 20*time.Second); got != "READY=1" {
		t.Errorf("it reports %q", got)
	}
	for range 5 {
		if got := told(reports, 20*time.Second); got != "WATCHDOG=1" {
			t.Errorf("it reports %q", got)
		}
	}
	r.end(t)
}

// TestWatchdogOfWhatHangs: a daemon that accepts connections and does not answer, one
// that answers with a failure and one that accepts none are reported dead by silence, and
// what works again by word.
func TestWatchdogOfWhatHangs(t *testing.T) {
	reports, path := manager(t)
	t.Setenv("NOTIFY_SOCKET", path)
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	hang := make(chan bool, 1)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case hangs := <-hang:
			hang <- hangs
			if hangs {
				<-r.Context().Done()
			}
		default: // fails
			w.WriteHeader(http.StatusInternalServerError)
		}
	})}
	go func() { _ = server.Serve(l) }()
	defer func() { _ = server.Close() }()
	s := &service{log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	s.config.Socket = socket
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	checks := make(chan error)
	go s.pat(ctx, 50*time.Millisecond, func(ctx context.Context) error {
		err := answers(ctx, socket)
		select {
		case checks <- err:
		case <-t.Context().Done():
		}
		return err
	})
	silent := func(why string) {
		t.Helper()
		for range 3 {
			if err := <-checks; err == nil {
				t.Errorf("%s: it passes", why)
			}
		}
		if got := told(reports, 10*time.Millisecond); got != "" {
			t.Errorf("%s: it reports %q", why, got)
		}
	}
	silent("it fails")
	hang <- true
	<-checks // may have begun before
	silent("it hangs")
	<-hang
	hang <- false
	well := false
	for range 20 {
		well = well || <-checks == nil
	}
	if got := told(reports, 20*time.Second); !well || got != "WATCHDOG=1" {
		t.Errorf("%t, it reports %q", well, got)
	}
	_ = server.Close()
	if err := answers(ctx, socket); err == nil || strings.Contains(err.Error(), "status") {
		t.Errorf("without a socket: %v", err)
	}
}
