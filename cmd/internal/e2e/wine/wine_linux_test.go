//go:build wine

package wine

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/cmd/internal/e2e"
	"github.com/tokenbridge/tokend/ipc"
)

const (
	passphrase = "a long passphrase, for trying"
	password   = "correct horse battery staple"
)

// secrets are files for flags, as both systems name them.
type secrets struct{ pin, password string }

func newSecrets(tb testing.TB) (here, there secrets) {
	tb.Helper()
	here = secrets{pin: e2e.File(tb, passphrase+"\n"), password: e2e.File(tb, password+"\n")}
	return here, secrets{pin: windowsPath(here.pin), password: windowsPath(here.password)}
}

// TestPrograms makes a vault with the programs for Windows, has codes of it, locks it,
// cuts its power, and carries backups to this system and back.
func TestPrograms(t *testing.T) {
	here, there := newSecrets(t)
	w := newDaemon(t, "one")
	w.start()
	w.ok("", "init", "--token", "soft", "--pin-file", there.pin, "--recovery-password-file", there.password)
	for _, a := range accounts() {
		w.ok(a.uri(), "account", "add", "--uri-file", "-")
	}
	code := func(args ...string) e2e.Result { t.Helper(); return w.ok("", args...) }
	agrees(t, code)
	w.told(t, there.pin)

	w.ok("", "lock")
	w.fails(12, []string{"code", accounts()[0].name}, "--pin-file")
	w.ok("", "unlock", "--pin-file", there.pin)
	agrees(t, code)
	w.kill()
	w.start()
	w.fails(12, []string{"code", accounts()[0].name})
	w.ok("", "unlock", "--pin-file", there.pin)
	agrees(t, code)

	// To this system.
	backup := filepath.Join(t.TempDir(), "from windows.tokend")
	w.ok("", "backup", "create", windowsPath(backup))
	w.ok("", "backup", "drill", windowsPath(backup), "--recovery-password-file", there.password)
	l := linux(t)
	l.OK("", "backup", "restore", backup, "--recovery-password-file", here.password)
	agrees(t, func(args ...string) e2e.Result { t.Helper(); return l.OK("", args...) })
	l.OK("", "lock")
	l.OK("", "unlock", "--recovery-password-file", here.password)
}

// TestRestoreFromLinux restores there what was made here.
func TestRestoreFromLinux(t *testing.T) {
	here, there := newSecrets(t)
	l := linux(t)
	l.OK("", "init", "--token", "soft", "--pin-file", here.pin, "--recovery-password-file", here.password)
	for _, a := range accounts() {
		l.OK(a.uri(), "account", "add", "--uri-file", "-")
	}
	backup := filepath.Join(t.TempDir(), "from linux.tokend")
	l.OK("", "backup", "create", backup)

	w := newDaemon(t, "two")
	w.start()
	w.ok("", "backup", "inspect", windowsPath(backup))
	w.ok("", "backup", "restore", windowsPath(backup), "--recovery-password-file", there.password)
	agrees(t, func(args ...string) e2e.Result { t.Helper(); return w.ok("", args...) })
	// The software token's file does not travel.
	w.ok("", "lock")
	w.fails(13, []string{"unlock", "--pin-file", there.pin}, "is not on this machine")
	w.ok("", "unlock", "--recovery-password-file", there.password)
	agrees(t, func(args ...string) e2e.Result { t.Helper(); return w.ok("", args...) })
}

// linux is a daemon of this system.
func linux(t *testing.T) *e2e.Daemon {
	t.Helper()
	p, err := e2e.Build(t.TempDir(), false, "CGO_ENABLED=0")
	if err != nil {
		t.Fatal(err)
	}
	l := e2e.NewDaemon(t, p, nil)
	l.Start()
	return l
}

// told is what status and doctor say there.
func (d *daemon) told(t *testing.T, pin string) {
	t.Helper()
	var s ipc.Status
	d.json(&s, "status")
	if s.Daemon.Mode != "user" || s.Daemon.Socket != d.pipe || s.Vault.State != ipc.VaultUnlocked || s.Vault.Accounts != len(accounts()) {
		t.Errorf("status: %+v", s)
	}
	var f ipc.Findings
	if err := json.Unmarshal([]byte(d.ctl("", "--json", "doctor").Stdout), &f); err != nil {
		t.Fatalf("the doctor's JSON: %v", err)
	}
	if !slices.ContainsFunc(f.Findings, func(f ipc.Finding) bool {
		return strings.Contains(f.Message, "FIDO2") && strings.Contains(f.Message, "Windows")
	}) {
		t.Errorf("the doctor does not say that FIDO2 keys cannot be used here: %+v", f.Findings)
	}
	// wine says of every file that all may read it, so that the folder is found open here.
	for _, f := range f.Findings {
		if f.Level == "error" && f.Code != "state-folder" {
			t.Errorf("the doctor: %+v", f)
		}
	}
	// Another daemon on the same folder does not start.
	args := []string{"serve", "--user", "--state-dir", windowsPath(d.state), "--socket", d.pipe + "-other"}
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	if r := run(t, windows(ctx, t, "tokend", args...), args); r.Exit != 1 || !strings.Contains(r.Stderr, "another daemon") {
		t.Errorf("a second daemon: %s", r)
	}
	d.fails(13, []string{"token", "enroll", "--token", "fido2", "--auth-pin-file", pin}, "FIDO2", "Windows", "--token piv")
}

// manager runs a program of wine's own.
func manager(t *testing.T, args ...string) e2e.Result {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	return run(t, exec.CommandContext(ctx, filepath.Join(prepared(t), "run"), args...), args)
}

func must(t *testing.T, word string, args ...string) {
	t.Helper()
	if r := manager(t, args...); r.Exit != 0 || !strings.Contains(r.Stdout, word) {
		t.Fatalf("want %q: %s", word, r)
	}
}

// TestService has wine's service manager start tokend.exe, and stop it.
func TestService(t *testing.T) {
	pipe, state := `\\.\pipe\tokend-test-service`, filepath.Join(t.TempDir(), "state")
	bin, config := filepath.Join(prepared(t), "bin"), e2e.File(t, "log_level = \"info\"\n")
	must(t, "", "sc", "create", "tokend", "binPath=",
		windowsPath(filepath.Join(bin, "tokend.exe"))+" serve --user --state-dir "+windowsPath(state)+" --socket "+pipe+" --config "+windowsPath(config))
	t.Cleanup(func() { manager(t, "net", "stop", "tokend"); manager(t, "sc", "delete", "tokend") })
	d := &daemon{tb: t, pipe: pipe, ended: make(chan struct{})}
	end := d.holdPipe()
	defer end()
	must(t, "", "net", "start", "tokend")
	must(t, "RUNNING", "sc", "query", "tokend")
	d.until("an answer", func() bool { return d.ctl("", "status").Exit == 0 })
	if err := os.WriteFile(config, []byte("log_level = \"loud\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "", filepath.Join(bin, "control.exe"), "tokend", "6") // SERVICE_CONTROL_PARAMCHANGE
	d.until("word of the mistake", func() bool { return strings.Contains(d.ok("", "--json", "status").Stdout, "log_level must be") })
	must(t, "", "net", "stop", "tokend")
	must(t, "STOPPED", "sc", "query", "tokend")
	d.fails(21, []string{"status"})
	// With the mistake in the file it does not stay; wine's net waits for the process alone.
	manager(t, "net", "start", "tokend")
	d.until("its end", func() bool { return strings.Contains(manager(t, "sc", "query", "tokend").Stdout, "STOPPED") })
}

// TestServiceInstalled has tokenctl.exe make the service, and take it away.
func TestServiceInstalled(t *testing.T) {
	const source = `HKLM\SYSTEM\CurrentControlSet\Services\EventLog\Application\tokend`
	d := &daemon{tb: t, pipe: `\\.\pipe\tokend-test-installed`}
	t.Cleanup(func() { d.ctl("", "service", "uninstall") })
	state := func() (st struct {
		Installed bool   `json:"installed"`
		Active    string `json:"active"`
	}) {
		t.Helper()
		d.json(&st, "service", "status")
		return st
	}
	d.ok("", "service", "install")
	if st := state(); !st.Installed || st.Active != "active" {
		t.Errorf("after install: %+v", st)
	}
	must(t, "EventCreate.exe", "reg", "query", source, "/v", "EventMessageFile")
	d.ok("", "service", "install") // anew
	d.ok("", "service", "stop")
	if st := state(); st.Active != "inactive" {
		t.Errorf("after stop: %+v", st)
	}
	d.ok("", "service", "uninstall")
	if st := state(); st.Installed {
		t.Errorf("after uninstall: %+v", st)
	}
	if r := manager(t, "reg", "query", source); r.Exit == 0 {
		t.Errorf("the event log's source is left: %s", r)
	}
}

// TestConfig has the sample checked, and a mistake found.
func TestConfig(t *testing.T) {
	tokend := func(args ...string) e2e.Result {
		t.Helper()
		ctx, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		return run(t, windows(ctx, t, "tokend", args...), args)
	}
	sample := tokend("config", "sample")
	if sample.Exit != 0 || !strings.Contains(sample.Stdout, "idle_lock") || !strings.Contains(sample.Stdout, `%ProgramData%\tokend`) {
		t.Fatalf("%s", sample)
	}
	file := filepath.Join(t.TempDir(), "tokend.toml")
	if err := os.WriteFile(file, []byte(sample.Stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := tokend("config", "check", "--config", windowsPath(file)); r.Exit != 0 {
		t.Errorf("%s", r)
	}
	if err := os.WriteFile(file, []byte("nonsense = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := tokend("config", "check", "--config", windowsPath(file)); r.Exit != 2 || !strings.Contains(r.Stdout, `tokend.toml:1: error: there is no setting "nonsense"`) {
		t.Errorf("%s", r)
	}
}
