package httpapi_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tokenbridge/tokend/ipc/httpapi"
	"github.com/tokenbridge/tokend/ipc/local"
)

// TestSecretsAreHandledInTheGuard counts how often the guard is entered: to read
// a body, and where that holds a secret to check and to decode it; to write an
// answer with a secret. What bears none costs no more than the reading.
func TestSecretsAreHandledInTheGuard(t *testing.T) {
	var entered atomic.Int32
	socket := start(t, httpapi.Config{Backend: newBackend(), Guard: func(f func()) {
		entered.Add(1)
		f()
	}}, local.Options{})
	for _, c := range []struct {
		name, request string
		status        int
		want          int32
	}{
		{"no body", get("/v1/status"), 200, 0},
		{"no secret", post("/v1/codes?account=a1", `{"fresh":false}`), 200, 1},
		{"a PIN", post("/v1/vault/unlock", `{"auth":{"pin":"123456"}}`), 200, 3},
		{"a long body", post("/v1/vault/unlock", `{"auth":{"pin":"123456"}`+strings.Repeat(" ", 9000)+`}`), 200, 3},
		{"not decoded", post("/v1/vault/unlock", `{"auth":{"pin":"123456"`), 400, 2},
		{"an answer with a secret", post("/v1/accounts/a1/reveal", `{}`), 200, 2},
		{"a secret either way", post("/v1/accounts/a1/reveal", `{"auth":{"pin":"123456"}}`), 200, 4},
	} {
		entered.Store(0)
		a := ask(t, socket, c.request)
		if a.status != c.status {
			t.Errorf("%s: status %d, want %d", c.name, a.status, c.status)
		}
		if got := entered.Load(); got != c.want {
			t.Errorf("%s: the guard was entered %d times, want %d", c.name, got, c.want)
		}
	}
}
