package httpapi_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/client"
	"github.com/tokenbridge/tokend/ipc/httpapi"
	"github.com/tokenbridge/tokend/ipc/local"
)

// TestNoAuthority: without one every route of it answers as the one that is told
// to strangers where there is one.
func TestNoAuthority(t *testing.T) {
	socket := start(t, httpapi.Config{Backend: newBackend()}, local.Options{})
	want, err := json.Marshal(struct {
		Version int        `json:"version"`
		Error   *ipc.Error `json:"error"`
	}{1, ipc.ErrNoAuthority()})
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, r := range httpapi.Routes() {
		if r.Access != httpapi.AccessRole {
			continue
		}
		asked++
		path := strings.ReplaceAll(r.Path, "{id}", "7700001%2Fx")
		raw := get(path)
		if r.Method != "GET" {
			body := []byte("{}")
			if r.Request != nil {
				if body, err = json.Marshal(sample(r.Request).Interface()); err != nil {
					t.Fatal(err)
				}
			}
			raw = r.Method + strings.TrimPrefix(post(path, string(body)), "POST")
		}
		a := ask(t, socket, raw)
		if a.status != 404 || string(a.body) != string(want)+"\n" {
			t.Errorf("%s %s: %d %s", r.Method, path, a.status, a.body)
		}
	}
	if asked < 20 {
		t.Errorf("%d routes", asked)
	}
}

// TestPasscodesAreWiped: what was typed is not in memory when the call has ended.
func TestPasscodesAreWiped(t *testing.T) {
	b := newBackend()
	settled := make(chan struct{}, 2)
	c := client.New(start(t, httpapi.Config{Backend: b, Authority: b, Settle: func() { settled <- struct{}{} }}, local.Options{}))
	defer c.Close()
	r := ipc.VerifyRequest{User: "alice", Service: "pam", Passcode: ipc.Secret("755224\n")}
	if v, err := c.Verify(context.Background(), r); err != nil || !v.Accepted {
		t.Fatalf("%+v, %v", v, err)
	}
	await(t, "the end of the call", settled)
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.body.(ipc.VerifyRequest).Passcode; strings.Trim(string(p), "\x00") != "" || len(p) != 7 {
		t.Error("the passcode is left in memory")
	}
}
