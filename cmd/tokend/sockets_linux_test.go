//go:build cgo && !nofido2

package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/tokentest/socketrig"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// sockets has systemd's program start helpers of both kinds, with these FIDO2 keys.
func sockets(t *testing.T, bin string, devices ...string) string {
	t.Helper()
	program := filepath.Join(bin, "tokend-helper")
	folder := socketrig.Start(t, socketrig.Options{Program: program, Kind: tokens.KindFIDO2, Devices: devices})
	return socketrig.Start(t, socketrig.Options{
		Program: program, Kind: tokens.KindPIV, Folder: folder, Env: []string{"PCSCLITE_CSOCK_NAME=" + filepath.Join(folder, "none")},
	})
}

// TestServeWithHelperSockets: keys come and go where systemd starts the helper, and
// it is said how that is confined; without it, that it is not there.
func TestServeWithHelperSockets(t *testing.T) {
	bin, dir := programs(t), t.TempDir()
	port := vfido.NewPort(filepath.Join(dir, "key"))
	t.Cleanup(func() { port.Remove() })
	k, err := vfido.New(vfido.Options{PIN: "271828"})
	if err != nil {
		t.Fatal(err)
	}
	folder := sockets(t, bin, port.Path())
	config, socket := filepath.Join(dir, "tokend.toml"), filepath.Join(dir, "run", "s")
	text := fmt.Sprintf("helper_sockets = %q\n[tokens]\nfido2_devices = [%q]\n", folder, port.Path())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := launch(t, exec.Command(filepath.Join(bin, "tokend"), "serve", "--user", "--config", config,
		"--state-dir", filepath.Join(dir, "state"), "--socket", socket), socket)
	has := func() bool {
		var l ipc.TokenList
		return r.get("tokens", &l) == nil && slices.ContainsFunc(l.Tokens, func(k ipc.Token) bool {
			return k.Locator == port.Path() && k.Present && k.Problem == nil
		})
	}
	confined := func() bool {
		var f ipc.Findings
		return r.get("doctor", &f) == nil && slices.ContainsFunc(f.Findings, func(f ipc.Finding) bool { return f.Code == "helper-confined" })
	}
	await(t, "the helper's word", confined)
	if err := port.Insert(k); err != nil {
		t.Fatal(err)
	}
	await(t, "the key", has)
	if err := port.Remove(); err != nil {
		t.Fatal(err)
	}
	await(t, "its removal", func() bool { return !has() })
	r.end(t)

	// Nobody listens there any more, and a daemon that is started now says so.
	for _, mode := range []string{"op", "watch"} {
		if err := os.Remove(filepath.Join(folder, "fido2-"+mode+".sock")); err != nil {
			t.Fatal(err)
		}
	}
	r = launch(t, exec.Command(filepath.Join(bin, "tokend"), "serve", "--user", "--config", config,
		"--state-dir", filepath.Join(dir, "state"), "--socket", socket), socket)
	await(t, "word of what is wrong", func() bool {
		var s ipc.Status
		return r.get("status", &s) == nil && strings.Contains(s.Daemon.Helper, "fido2 tokens: cannot find the token helper's socket")
	})
}

// TestServeTheMachineAsAnotherUser: the system's daemon need not be root where the
// service manager gives it its socket, and is nothing without.
func TestServeTheMachineAsAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("another user needs root")
	}
	bin, dir := programs(t), t.TempDir()
	for _, d := range []string{filepath.Dir(filepath.Dir(bin)), filepath.Dir(bin), bin, filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	state, socket := filepath.Join(dir, "state"), filepath.Join(dir, "s")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(state, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	daemon := []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
		filepath.Join(bin, "tokend"), "serve", "--system", "--config", "/dev/null", "--state-dir", state, "--socket", filepath.Join(state, "none")}
	out, err := exec.Command(daemon[0], daemon[1:]...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "the service manager gave none") {
		t.Errorf("without a socket: %v\n%s", err, out)
	}
	r := launch(t, exec.Command("systemd-socket-activate", append([]string{"--listen=" + socket}, daemon...)...), socket)
	var s ipc.Status
	await(t, "the system's daemon", func() bool { return r.get("status", &s) == nil })
	if s.Daemon.Mode != "system" || s.Daemon.Socket != socket {
		t.Errorf("%+v", s.Daemon)
	}
	r.end(t)
	out, err = exec.Command(filepath.Join(bin, "tokend"), "serve", "--system", "--user").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "user") {
		t.Errorf("for both: %v\n%s", err, out)
	}
}

// TestHelpersUserIsNoClient: what runs as the user of the helpers that systemd starts
// is refused, whichever process it is.
func TestHelpersUserIsNoClient(t *testing.T) {
	var log bytes.Buffer
	s := &service{apart: "4711", log: slog.New(slog.NewTextHandler(io.Writer(&log), nil))}
	if _, err := s.admit(ipc.Principal{UID: "4711", PID: 1}); ipc.KindOf(err) != ipc.NotAuthorized {
		t.Errorf("%v", err)
	}
	if !strings.Contains(log.String(), "a token helper tried to use the vault") {
		t.Errorf("%s", log.String())
	}
}
