package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/httpapi"
	"github.com/tokenbridge/tokend/ipc/local"
)

// await fails the test when c gives nothing within ten seconds.
func await[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}

func TestCallerGoneCancelsTheCall(t *testing.T) {
	for name, raw := range map[string]string{
		"with a body":    post("/v1/codes?account=touch", "{}"),
		"without a body": "POST /v1/codes?account=touch HTTP/1.1\r\nHost: tokend\r\nContent-Length: 0\r\n\r\n",
		"chunked":        "POST /v1/codes?account=touch HTTP/1.1\r\nHost: tokend\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend()
			// The limits are shorter than the wait: none of them may end it.
			l := httpapi.Limits{HeaderTime: 100 * time.Millisecond, BodyTime: 100 * time.Millisecond, WriteTime: 100 * time.Millisecond, IdleTime: 100 * time.Millisecond}
			socket := start(t, httpapi.Config{Backend: b, Limits: l}, local.Options{})
			c := dial(t, socket)
			if _, err := io.WriteString(c, raw); err != nil {
				t.Fatal(err)
			}
			await(t, "the wait for a touch", b.waiting)
			select {
			case err := <-b.ended:
				t.Fatalf("the wait ended while the caller was there: %v", err)
			case <-time.After(500 * time.Millisecond):
			}
			_ = c.Close()
			if err := await(t, "the end of the wait", b.ended); !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want context.Canceled", err)
			}
		})
	}
}

func TestEndOfServeCancelsCallsAndStreams(t *testing.T) {
	b := newBackend()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := local.Listen(socket, local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- httpapi.New(httpapi.Config{Backend: b}).Serve(ctx, l) }()
	call, events := dial(t, socket), dial(t, socket)
	_, _ = io.WriteString(call, post("/v1/codes?account=touch", "{}"))
	_, _ = io.WriteString(events, get("/v1/events"))
	await(t, "the wait for a touch", b.waiting)
	r := bufio.NewReader(events)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if a := readAnswer(t, bufio.NewReader(call)); a.status != 499 || a.kind != ipc.Cancelled {
		t.Errorf("the call: %d %s", a.status, a.kind)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Errorf("the stream did not end in order: %v", err)
	}
	if err := await(t, "the end of Serve", done); err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestEvents(t *testing.T) {
	b := newBackend()
	l := httpapi.Limits{KeepAlive: 50 * time.Millisecond}
	socket := start(t, httpapi.Config{Backend: b, Limits: l, Now: func() time.Time { return noon }}, local.Options{})
	c := dial(t, socket)
	_, _ = io.WriteString(c, get("/v1/events"))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Content-Type"); got != "application/x-ndjson" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", res.Header)
	}
	lines := bufio.NewScanner(res.Body)
	for i, want := range []string{ipc.EventState, httpapi.EventKeepAlive, httpapi.EventKeepAlive} {
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		var e ipc.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Type != want || !e.Time.Equal(noon) || e.Version != 1 {
			t.Errorf("line %d: %s (%v), want %s", i, lines.Bytes(), err, want)
		}
	}
	_ = c.Close()
}

func TestSlowReaderOfEventsIsDropped(t *testing.T) {
	b := newBackend()
	ended := make(chan error, 1)
	b.events = func(ctx context.Context, send func(ipc.Event) error) error {
		for {
			if err := send(ipc.Event{Version: 1, Type: ipc.EventNotice, Time: noon, Detail: strings.Repeat("x", 10000)}); err != nil {
				ended <- err
				return err
			}
		}
	}
	socket := start(t, httpapi.Config{Backend: b, Limits: httpapi.Limits{WriteTime: 200 * time.Millisecond}}, local.Options{})
	c := dial(t, socket)
	_, _ = io.WriteString(c, get("/v1/events"))
	if err := await(t, "the end of the stream", ended); err == nil {
		t.Error("send did not fail")
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Error("a stream cut short looks like one that ended")
	}
}

func TestStreamThatFailsBeforeItsFirstLineTellsWhy(t *testing.T) {
	b := newBackend()
	b.events = func(context.Context, func(ipc.Event) error) error { return ipc.Errorf(ipc.NotAuthorized, "not you") }
	socket := start(t, httpapi.Config{Backend: b}, local.Options{})
	if a := ask(t, socket, get("/v1/events")); a.status != 403 || a.kind != ipc.NotAuthorized {
		t.Errorf("%d %s", a.status, a.body)
	}
	b.events = func(_ context.Context, send func(ipc.Event) error) error {
		_ = send(ipc.Event{Version: 1, Type: ipc.EventNotice, Time: noon})
		panic("in the middle")
	}
	c := dial(t, socket)
	_, _ = io.WriteString(c, get("/v1/events"))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Error("a stream that broke looks like one that ended")
	}
}

func TestAuthorizeIsAskedWithTheRoute(t *testing.T) {
	b := newBackend()
	socket := start(t, httpapi.Config{Backend: b, Authorize: func(_ context.Context, p ipc.Principal, r httpapi.Route) error {
		if p.UID == "" {
			return errors.New("no caller")
		}
		if r.Access == httpapi.AccessReveal {
			return ipc.Errorf(ipc.NotAuthorized, "not %s", r.Polkit)
		}
		return nil
	}}, local.Options{})
	a := ask(t, socket, post("/v1/recovery/key", `{"password":"x"}`))
	if a.status != 403 || a.err.Message != "not io.github.tokenbridge.tokend.show-recovery-key" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := ask(t, socket, get("/v1/status")); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if calls, _ := b.seen(); len(calls) != 1 || calls[0] != "Status" {
		t.Errorf("the backend was asked %q", calls)
	}
}

func TestRoutesAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range httpapi.Routes() {
		if seen[r.Method+r.Path] {
			t.Errorf("%s %s is there twice", r.Method, r.Path)
		}
		seen[r.Method+r.Path] = true
		if r.Access == "" || r.Summary == "" || r.Response == nil {
			t.Errorf("%s %s lacks access, summary or answer", r.Method, r.Path)
		}
		if (r.Polkit == "") != (r.Access == httpapi.AccessPublic || r.Access == httpapi.AccessMachine) {
			t.Errorf("%s %s: access %s with the action %q", r.Method, r.Path, r.Access, r.Polkit)
		}
		if r.Method == "GET" && r.Access != httpapi.AccessPublic && r.Access != httpapi.AccessRead && r.Access != httpapi.AccessRole && r.Access != httpapi.AccessMachine {
			t.Errorf("%s %s has the access %s", r.Method, r.Path, r.Access)
		}
	}
}

func TestOneUsersConnectionsAreLimited(t *testing.T) {
	socket := start(t, httpapi.Config{Backend: newBackend(), Limits: httpapi.Limits{ConnectionsUser: 4}}, local.Options{})
	for i := range 4 {
		c := dial(t, socket)
		_, _ = io.WriteString(c, get("/v1/health"))
		if a := readAnswer(t, bufio.NewReader(c)); a.status != 200 {
			t.Fatalf("connection %d: %d", i, a.status)
		}
		if i == 3 {
			if a := readAnswer(t, bufio.NewReader(dial(t, socket))); a.status != 503 || a.kind != ipc.Busy || a.err.RetryAfter != 1 {
				t.Errorf("one too many: %d %s", a.status, a.body)
			}
			_ = c.Close()
		}
	}
	for i := 0; ; i++ {
		c := dial(t, socket)
		_, _ = io.WriteString(c, get("/v1/health"))
		if a := readAnswer(t, bufio.NewReader(c)); a.status == 200 {
			break
		}
		if i == 100 {
			t.Fatal("the place of a closed connection is not given back")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestServesSeveralListeners(t *testing.T) {
	b := newBackend()
	s := httpapi.New(httpapi.Config{Backend: b})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	for i := range 2 {
		socket := filepath.Join(t.TempDir(), fmt.Sprint("s", i))
		l, err := local.Listen(socket, local.Options{})
		if err != nil {
			t.Fatal(err)
		}
		go func() { done <- s.Serve(ctx, l) }()
		if a := ask(t, socket, get("/v1/health")); a.status != 200 || string(a.body) != `{"version":1,"status":"ok"}`+"\n" {
			t.Errorf("listener %d: %d %s", i, a.status, a.body)
		}
	}
	cancel()
	for range 2 {
		if err := await(t, "the end of Serve", done); err != nil {
			t.Error(err)
		}
	}
}

// TestDaemonsOwnPlace fills all places with as many users as it takes: one person can
// have thousands of uids (subuid(5)). The daemon, which asks itself whether it answers,
// and administrators are served all the same.
func TestDaemonsOwnPlace(t *testing.T) {
	who := make(chan ipc.Principal, 1)
	socket := start(t, httpapi.Config{Backend: newBackend(), Own: "999", Limits: httpapi.Limits{Connections: 4, ConnectionsUser: 2},
		Identify: func(net.Conn) (ipc.Principal, error) { return <-who, nil }}, local.Options{})
	status := func(p ipc.Principal) int {
		who <- p
		c := dial(t, socket)
		_, _ = io.WriteString(c, get("/v1/health"))
		return readAnswer(t, bufio.NewReader(c)).status
	}
	for _, c := range []struct {
		who  ipc.Principal
		want int
	}{
		{ipc.Principal{UID: "999"}, 200}, // is none of the others' places
		{ipc.Principal{UID: "100001"}, 200},
		{ipc.Principal{UID: "100001"}, 200},
		{ipc.Principal{UID: "100002"}, 200},
		{ipc.Principal{UID: "100002"}, 200},
		{ipc.Principal{UID: "100003"}, 503},
		{ipc.Principal{UID: "999"}, 200},
		{ipc.Principal{UID: "999"}, 503}, // has as much as another
		{ipc.Principal{UID: "0", Admin: true}, 200},
		{ipc.Principal{UID: ""}, 503},
	} {
		if got := status(c.who); got != c.want {
			t.Errorf("%+v: %d, want %d", c.who, got, c.want)
		}
	}
}
