package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

// asked is an answer of the daemon's.
type asked struct {
	status int
	body   string
}

// ask calls the daemon as this process's user.
func (r *running) ask(t *testing.T, method, path string, in any) asked {
	t.Helper()
	body := []byte("{}")
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			t.Fatal(err)
		}
	}
	if method == "GET" {
		body = nil
	}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://tokend/v1/"+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", r.socket)
	}}}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return asked{resp.StatusCode, b.String()}
}

func (r *running) must(t *testing.T, method, path string, in any) string {
	t.Helper()
	a := r.ask(t, method, path, in)
	if a.status != 200 {
		t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return a.body
}

// askAs calls the daemon as another user, with a program that is not ours.
func (r *running) askAs(t *testing.T, uid, path, body string) string {
	t.Helper()
	args := []string{"--reuid=" + uid, "--regid=" + uid, "--clear-groups", "curl", "-sS", "--max-time", "10", "--unix-socket", r.socket}
	if body != "" {
		args = append(args, "-H", "Content-Type: application/json", "-d", body)
	}
	cmd := exec.Command("setpriv", append(args, "http://tokend/v1/"+path)...)
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("curl as %s: %v: %s", uid, err, out)
	}
	return string(out)
}

func oathtool(t *testing.T, secret string, args ...string) string {
	t.Helper()
	out, err := exec.Command("oathtool", append(args, hex.EncodeToString([]byte(secret)))...).CombinedOutput()
	if err != nil {
		t.Fatalf("oathtool (Debian package oathtool): %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestAuthority makes an authority in the system's daemon, verifies a passcode
// that oathtool makes as a user who may do nothing else, and starts it anew: the
// passcode is not accepted again. Who has no role does not see it.
func TestAuthority(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test starts processes of other users and must run as root")
	}
	dir, err := os.MkdirTemp("/tmp", "tokend-door-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	bin := programs(t)
	start := func() *running {
		socket := filepath.Join(dir, "s")
		r := launch(t, exec.Command(filepath.Join(bin, "tokend"), "serve", "--state-dir", filepath.Join(dir, "state"), "--socket", socket, "--bus", "none",
			"--helper", filepath.Join(bin, "tokend-helper")), socket)
		var h map[string]any
		await(t, "the daemon", func() bool { return r.get("health", &h) == nil })
		return r
	}
	// Of /etc/passwd of every Debian: daemon is 1, bin is 2, sys is 3.
	const verifier, user, stranger = "1", "2", "3"
	const secret = "12345678901234567890"
	verify := `{"user":"bin","service":"pam","passcode":"` + oathtool(t, secret, "--hotp", "-c", "3") + `\n"}`
	r := start()
	none := r.askAs(t, stranger, "admin/users/list", "{}")
	if !strings.Contains(none, "no authority lives in this daemon") {
		t.Fatal(none)
	}
	r.must(t, "POST", "admin/authority", ipc.CreateAuthorityRequest{Name: "Example AG"})
	r.must(t, "POST", "admin/users", ipc.NewUser{Name: "door", Logins: []string{"daemon"}, Roles: []ipc.Role{ipc.RoleVerifier}})
	r.must(t, "POST", "admin/users", ipc.NewUser{Name: "bin", Logins: []string{"bin"}})
	r.must(t, "POST", "admin/fobs/import", ipc.ImportFobsRequest{Apply: true, Fobs: []ipc.NewFob{
		{Serial: "7700/1", Type: ipc.FobHOTP, Secret: ipc.Secret("MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=")},
	}})
	r.must(t, "POST", "admin/fobs/7700%2F1/assign", ipc.AssignFobRequest{User: "bin"})

	for _, c := range []struct{ uid, path, body, want string }{
		{verifier, "admin/users/list", "{}", `"kind":"not-authorized"`},
		{user, "verify", verify, `"kind":"not-authorized"`},
		{stranger, "verify", verify, none},
		{stranger, "admin/fobs/7700%2F1", "", none},
		{user, "status", "", `"authority":{"id":"`},
		{verifier, "verify", verify, `{"version":1,"accepted":true}`},
		{verifier, "verify", verify, `"kind":"passcode-invalid"`},
	} {
		if got := r.askAs(t, c.uid, c.path, c.body); !strings.Contains(got, c.want) {
			t.Errorf("%s asks %s: %s", c.uid, c.path, got)
		}
	}
	if got := r.must(t, "GET", "admin/fobs/7700%2F1", nil); !strings.Contains(got, `"counter":4`) {
		t.Errorf("the fob: %s", got)
	}
	if s := r.askAs(t, stranger, "status", ""); strings.Contains(s, "\"authority\"") {
		t.Errorf("a stranger's status: %s", s)
	}
	r.end(t)

	r = start()
	if got := r.askAs(t, verifier, "verify", verify); !strings.Contains(got, `"kind":"passcode-invalid"`) {
		t.Errorf("the passcode after a restart: %s", got)
	}
	if got := r.must(t, "POST", "admin/audit", nil); strings.Contains(got, `"name"`) || strings.Contains(got, "7700") || !strings.Contains(got, `"intact":true`) {
		t.Errorf("the audit: %s", got)
	}
	r.end(t)

	// A registry without its key is told to root at once, and to nobody else.
	if err := os.Remove(filepath.Join(dir, "state", "authority", "key")); err != nil {
		t.Fatal(err)
	}
	r = start()
	if a := r.ask(t, "GET", "admin/authority", nil); a.status != 503 || !strings.Contains(a.body, `"kind":"authority-key-unusable"`) {
		t.Errorf("without the key: %d %s", a.status, a.body)
	}
	var s ipc.Status
	if err := r.get("status", &s); err != nil || s.Authority == nil || s.Authority.Problem == nil || s.Authority.Problem.Kind != ipc.AuthorityKey {
		t.Errorf("the status: %+v, %v", s.Authority, err)
	}
	if got := r.askAs(t, verifier, "verify", verify); got != none {
		t.Errorf("a verifier without the key: %s", got)
	}
	if got := r.events(t); !strings.Contains(got, "the authority cannot be used") {
		t.Errorf("the events begin with %s", got)
	}
	r.end(t)
}

// events are the first lines of root's event stream.
func (r *running) events(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `curl -sSN --max-time 10 --unix-socket "$0" http://tokend/v1/events | head -n 2`, r.socket).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestAuthorityListens starts the daemon with a TLS listener: the descriptor names
// its key, which stays the same, nothing but messages is served there, and a
// daemon whose listener has no place to listen serves all the same, and says so.
func TestAuthorityListens(t *testing.T) {
	dir := t.TempDir()
	bin := programs(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	config := filepath.Join(dir, "tokend.toml")
	if err := os.WriteFile(config, []byte("[authority]\nlisten = \""+at+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func() *running {
		socket := filepath.Join(dir, "s")
		r := launch(t, exec.Command(filepath.Join(bin, "tokend"), "serve", "--user", "--config", config, "--state-dir", filepath.Join(dir, "state"), "--socket", socket, "--bus", "none",
			"--helper", filepath.Join(bin, "tokend-helper")), socket)
		var h map[string]any
		await(t, "the daemon", func() bool { return r.get("health", &h) == nil })
		return r
	}
	r := start()
	r.must(t, "POST", "admin/authority", ipc.CreateAuthorityRequest{Name: "Example AG"})
	if got := r.must(t, "GET", "admin/authority", nil); !strings.Contains(got, "cannot be reached from other machines: cannot listen") {
		t.Errorf("of a place that is taken: %s", got)
	}
	r.end(t)
	l.Close()
	pin := func() string {
		t.Helper()
		var d ipc.AuthorityDescriptor
		if err := json.Unmarshal([]byte(r.must(t, "GET", "authority/descriptor", nil)), &d); err != nil || len(d.Endpoints) != 2 || d.Endpoints[0] != at {
			t.Fatalf("%+v, %v", d, err)
		}
		var seen string
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
			seen = fmt.Sprintf("%x of %x", s.Version, sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo))
			return nil
		}}}}
		for path, want := range map[string]int{"/v1/descriptor": 200, "/v1/status": 404, "/v1/admin/authority": 404, "/": 404} {
			resp, err := c.Get("https://" + at + path)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s: %d", path, resp.StatusCode)
			}
		}
		return seen
	}
	r = start()
	first := pin()
	if !strings.HasPrefix(first, "304 of ") {
		t.Errorf("it speaks %s", first)
	}
	r.end(t)
	r = start()
	if again := pin(); again != first {
		t.Errorf("the key was %s, and is %s", first, again)
	}
	if info, err := os.Stat(filepath.Join(dir, "state", "authority", "listener.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}
