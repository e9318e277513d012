//go:build unix

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

// TestMetrics reads the figures of a daemon that runs, at the socket and as a file.
func TestMetrics(t *testing.T) {
	bin, dir := programs(t), t.TempDir()
	socket, file, config := filepath.Join(dir, "run", "s"), filepath.Join(dir, "tokend.prom"), filepath.Join(dir, "tokend.toml")
	if err := os.WriteFile(config, []byte("[metrics]\ntextfile = \""+file+"\"\ninterval = \"5s\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := launch(t, exec.Command(filepath.Join(bin, "tokend"), "serve", "--user", "--config", config, "--state-dir", filepath.Join(dir, "state"), "--socket", socket), socket)
	var s ipc.Status
	await(t, "the helper", func() bool { return r.get("status", &s) == nil && s.Daemon.Helper == "ok" })
	_ = r.get("accounts", &s) // fails: there is no vault
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	resp, err := client.Get("http://tokend/v1/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" {
		t.Fatalf("%v, %v", resp.Status, err)
	}
	for _, want := range []string{
		"tokend_helper_up 1\n", `tokend_requests_total{api="http",outcome="no-vault"} 1`, `tokend_requests_total{api="http",outcome="ok"}`,
		"tokend_config_ok 1\n", `tokend_vaults{state="locked"} 0`, `tokend_connections{listener="local"} `, "go_goroutines ", `tokend_token_service_up{kind="piv"} `,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is missing:\n%s", want, text)
		}
	}
	await(t, "the textfile", func() bool { b, err := os.ReadFile(file); return err == nil && strings.Contains(string(b), "tokend_start_time_seconds") })
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info, err)
	}
	if tool, err := exec.LookPath("promtool"); err != nil {
		t.Error(err)
	} else {
		cmd := exec.Command(tool, "check", "metrics")
		cmd.Stdin = strings.NewReader(string(text))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool: %v\n%s", err, out)
		}
	}
	r.end(t)
	if left, err := filepath.Glob(filepath.Join(dir, "*.prom*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
