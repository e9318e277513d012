package client_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/client"
	"github.com/tokenbridge/tokend/ipc/local"
)

// babble answers each request on a connection with what say returns for it; an
// empty answer closes the connection.
func babble(t *testing.T, say func(connection, request int) string) (socket string, requests *atomic.Int32) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	l, err := local.Listen(socket, local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	requests = new(atomic.Int32)
	go func() {
		for connection := 0; ; connection++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveBabble(c, func(request int) string { requests.Add(1); return say(connection, request) })
		}
	}()
	return socket, requests
}

func serveBabble(c net.Conn, say func(int) string) {
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	for request := 0; ; request++ {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		text := say(request)
		if text == "" {
			return
		}
		if _, err := c.Write([]byte(text)); err != nil {
			return
		}
	}
}

const good = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + `{"version":1}`

func TestAnswersOfABrokenDaemon(t *testing.T) {
	for name, c := range map[string]struct {
		say  string
		kind ipc.Kind // empty for success
	}{
		"good":                {good, ""},
		"chunked":             {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7;x=y\r\n{\"versi\r\n6\r\non\":1}\r\n0\r\nTrailer: x\r\n\r\n", ""},
		"interim":             {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + good, ""},
		"unknown fields":      {"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n" + `{"version":1,"new":2}`, ""},
		"closes":              {"", ipc.Unreachable},
		"no http":             {"SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n", ipc.Unreachable},
		"http 1.0":            {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", ipc.Unreachable},
		"no length":           {"HTTP/1.1 200 OK\r\n\r\n{}", ipc.Unreachable},
		"two lengths":         {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", ipc.Unreachable},
		"length and chunked":  {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", ipc.Unreachable},
		"negative length":     {"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}", ipc.Unreachable},
		"huge length":         {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}", ipc.Unreachable},
		"huge chunk":          {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffff\r\n", ipc.Unreachable},
		"too many chunks":     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1100000\r\n" + strings.Repeat(" ", 0x1100000) + "\r\n0\r\n\r\n", ipc.Unreachable},
		"bad chunk":           {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ipc.Unreachable},
		"chunk without end":   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}xx\r\n", ipc.Unreachable},
		"huge header":         {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", ipc.Unreachable},
		"endless header":      {"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 1<<16) + "\r\n", ipc.Unreachable},
		"field without colon": {"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", ipc.Unreachable},
		"no json":             {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nxx", ipc.Internal},
		"wrong type":          {"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n" + `{"version":"1"}`, ipc.Internal},
		"error without kind":  {"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}", ipc.Internal},
		"proxy's error":       {"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nfoo", ipc.Internal},
		"error of the future": {"HTTP/1.1 418 Tea\r\nContent-Length: 57\r\n\r\n" + `{"version":1,"error":{"kind":"teapot","message":"short"}}`, "teapot"},
	} {
		t.Run(name, func(t *testing.T) {
			socket, _ := babble(t, func(int, int) string { return c.say })
			cl := client.New(socket)
			defer cl.Close()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			st, err := cl.Status(ctx)
			if c.kind == "" {
				if err != nil || st.Version != 1 {
					t.Errorf("%+v, %v", st, err)
				}
				return
			}
			var e *ipc.Error
			if !errors.As(err, &e) || e.Kind != c.kind {
				t.Errorf("%v (%s), want %s", err, ipc.KindOf(err), c.kind)
			}
		})
	}
}

func TestUnreachableSaysWhatWasTried(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(local.EnvSocket, "")
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("HOME", dir)
	_, err := client.New("").Status(context.Background())
	var e *ipc.Error
	if !errors.As(err, &e) || e.Kind != ipc.Unreachable {
		t.Fatalf("%v, want unreachable (does a system daemon run here?)", err)
	}
	if len(e.Items) != 3 || e.Items[0].Name != filepath.Join(dir, "tokend/tokend.sock") || e.Items[0].Reason != "no such file or directory" {
		t.Errorf("tried: %+v", e.Items)
	}
	if got := e.Kind.Info().Exit; got != 21 {
		t.Errorf("exit code %d", got)
	}
	// A socket whose daemon is dead.
	stale := filepath.Join(dir, "stale")
	l, err := net.Listen("unix", stale)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	_, err = client.New(stale).Status(context.Background())
	if !errors.As(err, &e) || e.Kind != ipc.Unreachable || len(e.Items) != 1 || e.Items[0].Reason != "connection refused" {
		t.Errorf("a dead daemon: %+v", err)
	}
}

func TestFirstCandidateThatAnswersIsUsed(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(local.EnvSocket, "")
	t.Setenv("XDG_RUNTIME_DIR", "/nowhere/at/all")
	t.Setenv("HOME", dir)
	path := filepath.Join(dir, ".local/state/tokend/run/tokend.sock")
	l, err := local.Listen(path, local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		if c, err := l.Accept(); err == nil {
			serveBabble(c, func(int) string { return good })
		}
	}()
	c := client.New("")
	defer c.Close()
	if _, err := c.Status(context.Background()); err != nil {
		t.Fatal(err)
	}
	if c.Socket() != path || local.DefaultSocket() != path {
		t.Errorf("socket %q, default %q, want %q", c.Socket(), local.DefaultSocket(), path)
	}
}

func TestConnectionIsKept(t *testing.T) {
	var connections atomic.Int32
	socket, requests := babble(t, func(connection, _ int) string {
		connections.Store(int32(connection) + 1)
		return good
	})
	c := client.New(socket)
	defer c.Close()
	for range 5 {
		if _, err := c.Status(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if connections.Load() != 1 || requests.Load() != 5 {
		t.Errorf("%d connections for %d requests", connections.Load(), requests.Load())
	}
}

func TestDaemonRestartIsBridgedAndNothingIsSaidTwice(t *testing.T) {
	// The daemon answers one request on each connection and closes it.
	socket, requests := babble(t, func(_, request int) string {
		if request == 0 {
			return good
		}
		return ""
	})
	c := client.New(socket)
	defer c.Close()
	ctx := context.Background()
	if _, err := c.Code(ctx, "hotp", ipc.CodeRequest{}); err != nil {
		t.Fatal(err)
	}
	// This request arrives and its answer does not: to repeat it could burn a
	// second counter value.
	if _, err := c.Code(ctx, "hotp", ipc.CodeRequest{}); ipc.KindOf(err) != ipc.Unreachable {
		t.Errorf("%v, want unreachable", err)
	}
	if n := requests.Load(); n != 2 {
		t.Errorf("%d requests arrived, want 2", n)
	}
	if _, err := c.Code(ctx, "hotp", ipc.CodeRequest{}); err != nil {
		t.Errorf("the call after that: %v", err)
	}
}

func TestKeptConnectionThatTheDaemonClosedIsReplaced(t *testing.T) {
	socket, requests := babble(t, func(int, int) string { return good })
	closing := filepath.Join(filepath.Dir(socket), "closing")
	l, err := local.Listen(closing, local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	closed := make(chan struct{}, 2)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				requests.Add(1)
				_, _ = c.Write([]byte(good))
			}
			_ = c.Close()
			closed <- struct{}{}
		}
	}()
	c := client.New(closing)
	defer c.Close()
	for range 2 {
		if _, err := c.Code(context.Background(), "hotp", ipc.CodeRequest{}); err != nil {
			t.Fatal(err)
		}
		<-closed
	}
	if n := requests.Load(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

func TestCancelledBeforeAndByDeadline(t *testing.T) {
	socket, _ := babble(t, func(int, int) string { time.Sleep(time.Second); return good })
	c := client.New(socket)
	defer c.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Status(ctx); ipc.KindOf(err) != ipc.Cancelled || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
	ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Status(ctx); ipc.KindOf(err) != ipc.Cancelled || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("by deadline: %v", err)
	}
}

// TestStartsLight keeps what is slow to start out of every tokenctl process.
func TestStartsLight(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 20 {
		t.Fatalf("go list told only %q", deps)
	}
	for _, d := range deps {
		switch d {
		case "net/http", "crypto/tls", "crypto/x509", "log/slog", "regexp", "text/template":
			t.Errorf("the client depends on %s", d)
		}
	}
}
