//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// programs builds tokend and its helper into one folder, once.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"tokend", "tokend-helper"} {
		out, err := exec.Command("go", "build", "-o", filepath.Join(dir, name), "./../"+name).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return dir
}

// output is what a process wrote.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// running is a daemon process.
type running struct {
	cmd    *exec.Cmd
	stderr *output
	socket string
}

func launch(t *testing.T, cmd *exec.Cmd, socket string) *running {
	t.Helper()
	r := &running{cmd: cmd, stderr: new(output), socket: socket}
	cmd.Stderr = r.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("tokend said:\n%s", r.stderr)
		}
	})
	return r
}

// get asks the daemon for a document.
func (r *running) get(path string, into any) error {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", r.socket)
		},
	}}
	resp, err := client.Get("http://localhost/v1/" + path)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// await waits until is says so.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for begin := time.Now(); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > 15*time.Second {
			t.Fatalf("%s did not come about", what)
		}
	}
}

// end asks the process to stop and returns how it did.
func (r *running) end(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it did not stop within 10 s")
	}
}

func TestServe(t *testing.T) {
	bin, dir := programs(t), t.TempDir()
	socket, state, config := filepath.Join(dir, "run", "s"), filepath.Join(dir, "state"), filepath.Join(dir, "tokend.toml")
	if err := os.WriteFile(config, []byte("[session]\nidle_lock = \"5m\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	serve := func() *exec.Cmd {
		return exec.Command(filepath.Join(bin, "tokend"), "serve", "--user", "--config", config, "--state-dir", state, "--socket", socket)
	}
	begin := time.Now()
	r := launch(t, serve(), socket)
	var s ipc.Status
	await(t, "the socket", func() bool { return r.get("status", &s) == nil })
	t.Logf("from start to the first answer: %v", time.Since(begin))
	if s.Daemon.PID != r.cmd.Process.Pid || s.Daemon.Mode != "user" || s.Daemon.Socket != socket || s.Vault.State != ipc.VaultNone {
		t.Errorf("status: %+v", s)
	}
	await(t, "the helper beside the program", func() bool { return r.get("status", &s) == nil && s.Daemon.Helper == "ok" })

	// A second daemon on the same state says so.
	second := exec.Command(filepath.Join(bin, "tokend"), "serve", "--user", "--state-dir", state, "--socket", filepath.Join(dir, "run", "other"))
	if out, err := second.CombinedOutput(); err == nil || !strings.Contains(string(out), "another daemon uses the state folder") {
		t.Errorf("a second daemon: %v\n%s", err, out)
	}

	// The configuration is reloaded, and a wrong one is not, a file that it names included.
	if err := os.WriteFile(config, []byte("log_level = \"debug\"\nbus = \"none\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	found := func() (f ipc.Finding) {
		var all ipc.Findings
		if err := r.get("doctor", &all); err != nil {
			t.Fatal(err)
		}
		for _, f = range all.Findings {
			if f.Code == "config" {
				return f
			}
		}
		t.Fatalf("the doctor says nothing of the configuration: %+v", all.Findings)
		return f
	}
	if f := found(); f.Level != "warning" || !strings.Contains(f.Message, "changed since it was read") || f.Fix != fmt.Sprintf("tokend config check %s && kill -HUP %d", config, r.cmd.Process.Pid) {
		t.Errorf("a file that was changed: %+v", f)
	}
	hangup := func() {
		if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	hangup()
	await(t, "the reload", func() bool { return strings.Contains(r.stderr.String(), "the configuration was reloaded") })
	if err := r.get("status", &s); err != nil || s.Daemon.Config == nil || s.Daemon.Config.File != config || s.Daemon.Config.Changed ||
		strings.Join(s.Daemon.Config.Waits, " ") != "bus" {
		t.Errorf("after the reload: %+v, %v", s.Daemon.Config, err)
	}
	if f := found(); f.Level != "warning" || !strings.Contains(f.Message, "restart for bus") || !strings.HasPrefix(f.Fix, "tokend config check "+config+" && kill ") {
		t.Errorf("a setting that waits: %+v", f)
	}
	if log := r.stderr.String(); !strings.Contains(log, `changed="log_level, session.idle_lock"`) || !strings.Contains(log, "at the next start\" settings=bus") {
		t.Error("the log does not say what changed and what waits")
	}
	for n, bad := range []string{"log_level = \"loud\"\n", "[tokens]\nattestation_roots = \"/nowhere/roots.pem\"\n"} {
		if err := os.WriteFile(config, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		hangup()
		await(t, "the refusal", func() bool { return strings.Count(r.stderr.String(), "was not reloaded") == n+1 })
	}
	if err := r.get("status", &s); err != nil || !strings.Contains(s.Daemon.Config.Problem, "/nowhere/roots.pem") {
		t.Errorf("after a refused configuration: %+v, %v", s.Daemon.Config, err)
	}
	if f := found(); f.Level != "error" || !strings.HasPrefix(f.Fix, "tokend config check "+config+" && kill -HUP ") || !strings.Contains(f.Message, "what was read before holds") {
		t.Errorf("a refused configuration: %+v", f)
	}
	if err := os.WriteFile(config, []byte("log_level = 4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f := found(); f.Level != "error" || !strings.Contains(f.Message, "log_level takes a text") || strings.Contains(f.Message, "roots.pem") {
		t.Errorf("what is wrong by now: %+v", f)
	}
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if f := found(); f.Level != "warning" || !strings.Contains(f.Message, "can be used again, and is not read yet") || !strings.HasPrefix(f.Fix, "tokend config check "+config+" && kill -HUP ") {
		t.Errorf("a file that was mended: %+v", f)
	}
	hangup()
	await(t, "what is right again", func() bool { return found().Level == "ok" })
	r.end(t)
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
	log := strings.TrimSpace(r.stderr.String())
	if last := log[strings.LastIndexByte(log, '\n')+1:]; !strings.Contains(last, `level=INFO msg=ended why="terminated signal received"`) {
		t.Errorf("its last word: %s", last)
	}
}

// TestWhyEnded: the log says what ended the daemon.
func TestWhyEnded(t *testing.T) {
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if why := whyEnded(stopped, nil); why != "the service manager" {
		t.Errorf("stopped: %s", why)
	}
	if why := whyEnded(stopped, os.ErrClosed); why != os.ErrClosed.Error() {
		t.Errorf("failed: %s", why)
	}
}

func TestServeWithoutHelper(t *testing.T) {
	bin, dir := programs(t), t.TempDir()
	socket := filepath.Join(dir, "run", "s")
	r := launch(t, exec.Command(filepath.Join(bin, "tokend"), "serve", "--user", "--helper", filepath.Join(dir, "none"),
		"--state-dir", filepath.Join(dir, "state"), "--socket", socket), socket)
	var s ipc.Status
	await(t, "what is wrong with the helper", func() bool {
		return r.get("status", &s) == nil && strings.Contains(s.Daemon.Helper, "cannot find")
	})
	if len(s.Warnings) != 1 || s.Warnings[0].Code != "helper" {
		t.Errorf("warnings: %+v", s.Warnings)
	}
	if log := r.stderr.String(); strings.Count(log, "the token helper cannot be used") != 1 || !strings.Contains(log, "none unlocks a vault") {
		t.Error("the log does not say it, once")
	}
	r.end(t)
}

// TestHelperGoesAndComesBack: status tells it with the next call, and the log once each
// time, also where nobody asks.
func TestHelperGoesAndComesBack(t *testing.T) {
	bin, dir := programs(t), t.TempDir()
	socket, path := filepath.Join(dir, "run", "s"), filepath.Join(dir, "bin", "tokend-helper")
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	away := filepath.Join(bin, "tokend-helper")
	move(away, path)
	r := launch(t, exec.Command(filepath.Join(bin, "tokend"), "serve", "--user", "--helper", path,
		"--state-dir", filepath.Join(dir, "state"), "--socket", socket), socket)
	state := func() string {
		t.Helper()
		var s ipc.Status
		if err := r.get("status", &s); err != nil {
			t.Fatal(err)
		}
		return s.Daemon.Helper
	}
	await(t, "the socket", func() bool { return r.get("status", new(ipc.Status)) == nil })
	await(t, "the helper", func() bool { return state() == "ok" })
	const went, came = "level=WARN msg=\"the token helper cannot be used", "level=INFO msg=\"the token helper can be used again"
	logged := func(text string) int { return strings.Count(r.stderr.String(), text) }
	if logged(went)+logged(came) > 0 {
		t.Errorf("all is well, and the log says %s", r.stderr)
	}
	move(path, away)
	for range 3 {
		if now := state(); !strings.Contains(now, "no such file") {
			t.Errorf("once it is gone: %s", now)
		}
	}
	move(away, path)
	await(t, "its answer", func() bool { return state() != unanswered })
	if now := state(); now != "ok" {
		t.Errorf("once it is back: %s", now)
	}
	if logged(went) != 1 || logged(came) != 1 {
		t.Errorf("it went and came back once, and the log says %s", r.stderr)
	}
	move(path, away)
	await(t, "the log of a helper that nobody asked for", func() bool { return logged(went) == 2 })
	move(away, path)
	await(t, "the log of one that came back", func() bool { return logged(came) == 2 })
	r.end(t)
}

// TestSocketActivation hands the daemon a socket and a place to report to, as
// systemd does.
func TestSocketActivation(t *testing.T) {
	bin, dir := programs(t), t.TempDir()
	socket, notify := filepath.Join(dir, "given"), filepath.Join(dir, "notify")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	reports, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reports.Close() }()
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" serve --user --state-dir "$1"`, filepath.Join(bin, "tokend"), filepath.Join(dir, "state"))
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "NOTIFY_SOCKET="+notify)
	cmd.ExtraFiles = []*os.File{f}
	r := launch(t, cmd, socket)
	told := func() string {
		b := make([]byte, 256)
		_ = reports.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := reports.Read(b)
		if err != nil {
			t.Fatalf("no report came: %v", err)
		}
		return string(b[:n])
	}
	if got := told(); got != "READY=1" {
		t.Errorf("it reports %q", got)
	}
	var s ipc.Status
	if err := r.get("status", &s); err != nil || s.Daemon.Socket != socket {
		t.Errorf("status: %+v, %v", s.Daemon, err)
	}
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if got := told(); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("at a reload it reports %q", got)
	}
	if got := told(); got != "READY=1" {
		t.Errorf("after a reload it reports %q", got)
	}
	r.end(t)
	if got := told(); got != "STOPPING=1" {
		t.Errorf("at the end it reports %q", got)
	}
}

func TestUsage(t *testing.T) {
	bin := programs(t)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"serve", "--fido1-device", "x"}, 2, "unknown flag"},
		{[]string{"serve", "--fido2-device", ""}, 2, "is not the path of a FIDO2 key"},
		{[]string{"serve", "extra"}, 2, "unexpected argument"},
		{[]string{"serve", "--config", "/nowhere/tokend.toml"}, 2, "cannot read the configuration"},
		{[]string{"config", "check", "--config", "/nowhere"}, 2, "cannot read"},
		{[]string{"version"}, 0, "tokend "},
		{[]string{"config", "sample"}, 0, "lock_on_token_removal"},
	} {
		out, err := exec.Command(filepath.Join(bin, "tokend"), c.args...).CombinedOutput()
		code := 0
		if e, ok := err.(*exec.ExitError); ok { //nolint:errorlint // exec returns it bare
			code = e.ExitCode()
		}
		if code != c.code || !strings.Contains(string(out), c.says) {
			t.Errorf("%v: exit %d, %s", c.args, code, out)
		}
	}
}
