package httpapi_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/client"
	"github.com/tokenbridge/tokend/ipc/httpapi"
	"github.com/tokenbridge/tokend/ipc/local"
)

// TestClientReachesEveryMethod calls each method of the client with made-up
// arguments and looks for the backend's method of the same name behind it.
func TestClientReachesEveryMethod(t *testing.T) {
	b := newBackend()
	c := client.New(start(t, httpapi.Config{Backend: b, Authority: b}, local.Options{}))
	defer c.Close()
	var names []string
	for _, served := range []reflect.Type{reflect.TypeFor[ipc.Backend](), reflect.TypeFor[ipc.Authority]()} {
		for i := range served.NumMethod() {
			names = append(names, served.Method(i).Name)
		}
	}
	cv := reflect.ValueOf(c)
	const id = "a/b ?#%ü"
	for _, name := range names {
		if name == "Events" || name == "Agent" {
			continue // streams, which TestClientEvents and TestAgentStream follow
		}
		m := cv.MethodByName(name)
		if !m.IsValid() {
			t.Errorf("the client lacks %s", name)
			continue
		}
		args := []reflect.Value{reflect.ValueOf(context.Background())}
		expect, body := name, any(nil)
		for j := 1; j < m.Type().NumIn(); j++ {
			if in := m.Type().In(j); in.Kind() == reflect.String {
				args = append(args, reflect.ValueOf(id))
				expect += " " + id
			} else {
				v := sample(in)
				args = append(args, v)
				body = v.Interface()
			}
		}
		out := m.Call(args)
		if err, _ := out[len(out)-1].Interface().(error); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		calls, _ := b.seen()
		if got := calls[len(calls)-1]; got != expect {
			t.Errorf("%s arrived as %q", name, got)
		}
		// Backups are noted by their size alone.
		if _, size := b.body.(int); !size && reflect.TypeOf(b.body) != reflect.TypeOf(body) {
			t.Errorf("%s: %T arrived for %T", name, b.body, body)
		}
	}
}

// sample is a request with all required fields and, for Unlock, the right PIN.
func sample(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	if f := v.FieldByName("Auth"); f.IsValid() {
		f.Set(reflect.ValueOf(ipc.Auth{PIN: ipc.Secret("123456")}))
	}
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Slice {
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		}
	}
	return v
}

// TestAgentStream follows what an agent hears, and carries its answer back.
func TestAgentStream(t *testing.T) {
	b := newBackend()
	c := client.New(start(t, httpapi.Config{Backend: b}, local.Options{}))
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var heard ipc.Event
	err := c.Agent(ctx, "touch,pin&x", func(e ipc.Event) error {
		heard = e
		cancel()
		return nil
	})
	if ipc.KindOf(err) != ipc.Cancelled || heard.Type != ipc.EventConsentWanted || heard.From == nil || heard.From.Unit != "session-2.scope" {
		t.Errorf("%v, heard %+v", err, heard)
	}
	if calls, _ := b.seen(); calls[0] != "Agent touch,pin&x" {
		t.Errorf("it arrived as %q", calls[0])
	}
	if err := c.Agent(t.Context(), "nothing", nil); ipc.KindOf(err) != ipc.AlreadyExists {
		t.Errorf("a second agent: %v", err)
	}
	if err := c.AnswerAgent(t.Context(), ipc.AgentAnswer{Operation: "gone"}); ipc.KindOf(err) != ipc.NotFound {
		t.Errorf("an answer to nothing: %v", err)
	}
}

func TestClientCarriesValuesBothWays(t *testing.T) {
	b := newBackend()
	c := client.New(start(t, httpapi.Config{Backend: b}, local.Options{}))
	defer c.Close()
	ctx := context.Background()
	code, err := c.Code(ctx, "Example:alice", ipc.CodeRequest{Fresh: true, MinRemaining: 5})
	if err != nil || code.Code != "492039" || !code.ValidUntil.Equal(noon.Add(30*time.Second)) {
		t.Errorf("%+v, %v", code, err)
	}
	if r, ok := b.body.(ipc.CodeRequest); !ok || !r.Fresh || r.MinRemaining != 5 {
		t.Errorf("the request came in as %+v", b.body)
	}
	if b.request == "" || b.request != c.Name() {
		t.Errorf("the request came in as %q, not as %q", b.request, c.Name())
	}
	backup, err := c.CreateBackup(ctx)
	if err != nil || len(backup.Data) != 2<<20 {
		t.Errorf("%d bytes, %v", len(backup.Data), err)
	}
	if _, err := c.InspectBackup(ctx, ipc.InspectBackupRequest{Data: make([]byte, 40<<20)}); err != nil || b.body != 40<<20 {
		t.Errorf("40 MiB: %v, %v came in", err, b.body)
	}
	_, err = c.InspectBackup(ctx, ipc.InspectBackupRequest{Data: make([]byte, 50<<20)})
	if ipc.KindOf(err) != ipc.InvalidArgument {
		t.Errorf("50 MiB: %v, want invalid-argument", err)
	}
	_, err = c.Unlock(ctx, ipc.UnlockRequest{Auth: ipc.Auth{PIN: ipc.Secret("000000")}})
	var e *ipc.Error
	if !errors.As(err, &e) || e.Kind != ipc.PINInvalid || e.TriesLeft == nil || *e.TriesLeft != 2 || e.Token.Label != "desk key" {
		t.Errorf("a wrong PIN: %+v", err)
	}
	reveal, err := c.RevealAccount(ctx, "a1", ipc.RevealRequest{})
	if err != nil || string(reveal.URI) != "otpauth://totp/x?secret=AAAA" {
		t.Errorf("%q, %v", string(reveal.URI), err)
	}
}

func TestSecretsAreWipedAfterTheCall(t *testing.T) {
	b := newBackend()
	c := client.New(start(t, httpapi.Config{Backend: b}, local.Options{}))
	defer c.Close()
	if _, err := c.Unlock(context.Background(), ipc.UnlockRequest{Auth: ipc.Auth{PIN: ipc.Secret("123456")}}); err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if pin := b.body.(ipc.UnlockRequest).Auth.PIN; strings.Trim(string(pin), "\x00") != "" || len(pin) != 6 {
		t.Errorf("the PIN is left in memory")
	}
}

func TestClientEvents(t *testing.T) {
	b := newBackend()
	l := httpapi.Limits{KeepAlive: 20 * time.Millisecond}
	c := client.New(start(t, httpapi.Config{Backend: b, Limits: l}, local.Options{}))
	defer c.Close()
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan ipc.Event, 8)
	done := make(chan error, 1)
	go func() { done <- c.Events(ctx, func(e ipc.Event) error { got <- e; return nil }) }()
	if e := await(t, "the first event", got); e.Type != ipc.EventState || e.Vault == nil || e.Vault.State != ipc.VaultIsLocked {
		t.Errorf("%+v", e)
	}
	time.Sleep(100 * time.Millisecond) // some keep-alive lines, which are not passed on
	cancel()
	if err := await(t, "the end", done); ipc.KindOf(err) != ipc.Cancelled || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want cancelled", err)
	}
	if len(got) != 0 {
		t.Errorf("more events: %+v", <-got)
	}
	stop := errors.New("enough")
	if err := c.Events(context.Background(), func(ipc.Event) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v, want the callback's error", err)
	}
	b.events = func(_ context.Context, send func(ipc.Event) error) error {
		return send(ipc.Event{Version: 1, Type: ipc.EventState, Time: noon})
	}
	if err := c.Events(context.Background(), func(ipc.Event) error { return nil }); ipc.KindOf(err) != ipc.Unreachable {
		t.Errorf("a stream that the daemon ends: %v", err)
	}
}

func TestClientCancelReachesTheBackend(t *testing.T) {
	b := newBackend()
	c := client.New(start(t, httpapi.Config{Backend: b}, local.Options{}))
	defer c.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { _, err := c.Code(ctx, "touch", ipc.CodeRequest{}); done <- err }()
	await(t, "the wait for a touch", b.waiting)
	cancel()
	if err := await(t, "the client's answer", done); ipc.KindOf(err) != ipc.Cancelled || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want cancelled", err)
	}
	if err := await(t, "the backend's end", b.ended); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	if _, err := c.Code(context.Background(), "a1", ipc.CodeRequest{}); err != nil {
		t.Errorf("the next call: %v", err)
	}
}
