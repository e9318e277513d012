package httpapi_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc/httpapi"
	"github.com/tokenbridge/tokend/ipc/local"
)

// publicSocket serves b where every user can come in.
func publicSocket(t *testing.T, b *backend, l httpapi.Limits) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test starts processes of other users and must run as root")
	}
	dir, err := os.MkdirTemp("/tmp", "tokend-http-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return startAt(t, filepath.Join(dir, "s"), httpapi.Config{Backend: b, Limits: l}, local.Options{Mode: 0o666})
}

// curlAs asks as another user with a program that is not ours.
func curlAs(t *testing.T, uid, socket, path string) string {
	t.Helper()
	cmd := exec.Command("setpriv", "--reuid="+uid, "--regid="+uid, "--clear-groups",
		"curl", "-sS", "--max-time", "10", "--unix-socket", socket, "http://tokend"+path)
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("curl as %s: %v: %s", uid, err, out)
	}
	return string(out)
}

func TestCallersAreToldApart(t *testing.T) {
	b := newBackend()
	socket := publicSocket(t, b, httpapi.Limits{})
	curlAs(t, "12345", socket, "/v1/status")
	curlAs(t, "0", socket, "/v1/status")
	_, callers := b.seen()
	if len(callers) != 2 {
		t.Fatalf("callers %+v", callers)
	}
	if p := callers[0]; p.UID != "12345" || p.Admin || p.Program != "curl" || p.PID == 0 {
		t.Errorf("another user is %+v", p)
	}
	if p := callers[1]; p.UID != "0" || !p.Admin {
		t.Errorf("root is %+v", p)
	}
}

func TestOverflowUIDIsRefused(t *testing.T) {
	b := newBackend()
	socket := publicSocket(t, b, httpapi.Limits{})
	for _, path := range []string{"/v1/status", "/v1/health", "/v1/events", "/v1/openapi.json"} {
		if got := curlAs(t, "65534", socket, path); !strings.Contains(got, `"kind":"not-authorized"`) {
			t.Errorf("%s: %s", path, got)
		}
	}
	if calls, _ := b.seen(); len(calls) != 0 {
		t.Errorf("the backend was asked %q", calls)
	}
}

func TestFloodOfOneUserLeavesOthersAlone(t *testing.T) {
	socket := publicSocket(t, newBackend(), httpapi.Limits{})
	limit := httpapi.DefaultLimits().ConnectionsUser
	refused := 0
	for i := range 3 * limit {
		c := dial(t, socket)
		if i < limit {
			continue
		}
		// Beyond the limit the daemon answers before it is asked.
		if a := readAnswer(t, bufio.NewReader(c)); a.status == 503 {
			refused++
		}
	}
	if refused != 2*limit {
		t.Errorf("%d of %d connections refused, want %d", refused, 3*limit, 2*limit)
	}
	if got := curlAs(t, "12345", socket, "/v1/health"); got != `{"version":1,"status":"ok"}`+"\n" {
		t.Errorf("another user gets %s", got)
	}
}

func TestPrivateSocketKeepsOthersOut(t *testing.T) {
	b := newBackend()
	socket := publicSocket(t, b, httpapi.Limits{})
	if err := os.Chmod(socket, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups",
		"curl", "-sS", "--max-time", "10", "--unix-socket", socket, "http://tokend/v1/status")
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("another user got through: %s", out)
	}
	if calls, _ := b.seen(); len(calls) != 0 {
		t.Errorf("the backend was asked %q", calls)
	}
}
