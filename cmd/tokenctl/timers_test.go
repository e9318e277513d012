package main

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

// A program and a socket whose paths have everything in them.
func oddCommand() []string {
	return []string{"/opt/my tools/100%/token ctl", "--socket", `/run/a "b" $HOME/s\x`, "--no-input", "backup", "run"}
}

func TestSystemdUnits(t *testing.T) {
	text := systemdServiceText(oddCommand())
	want := `ExecStart="/opt/my tools/100%%/token ctl" --socket "/run/a \"b\" $$HOME/s\\x" --no-input backup run` + "\n"
	if !strings.Contains(text, want) {
		t.Errorf("the service says\n%s", text)
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("systemd-analyze is not here")
		return
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "token ctl")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	command := append([]string{program}, oddCommand()[1:]...)
	for name, text := range map[string]string{systemdService: systemdServiceText(command), systemdUnit: systemdTimerText()} {
		if err := replaceUnit(filepath.Join(dir, name), text); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(analyze, "verify", "--user", "--man=no", filepath.Join(dir, systemdUnit), filepath.Join(dir, systemdService))
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir)
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), dir) {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
}

// Where systemctl answers, the timer is put in place and enabled; where it does
// not, the line for cron is told, and nothing is left.
func TestTimerIsInstalledWhereSomethingAnswers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("systemd is Linux's") // the others' are tried as text, below
	}
	home, bin := t.TempDir(), t.TempDir()
	f := opened()
	socket := serve(t, f, shortDir(t))
	calls := filepath.Join(home, "calls")
	systemctl := func(exit string) {
		script := "#!/bin/sh\necho \"$@\" >>'" + calls + "'\nexit " + exit + "\n"
		if err := os.WriteFile(filepath.Join(bin, "systemctl"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (string, int) {
		cmd := exec.Command("tokenctl", append([]string{"backup", "schedule"}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "PATH="+bin+":"+os.Getenv("PATH"), "TOKEND_SOCKET="+socket)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	unit := filepath.Join(home, "systemd", "user", systemdUnit)
	systemctl("1")
	out, exit := run("install")
	if exit != 2 || !strings.Contains(out, "17 * * * * ") || !strings.Contains(out, "--socket "+socket) || isThere(unit) {
		t.Errorf("without systemd: exit %d\n%s", exit, out)
	}
	systemctl("0")
	for range 2 { // it can be repeated
		if out, exit := run("install"); exit != 0 || !isThere(unit) {
			t.Errorf("exit %d\n%s", exit, out)
		}
	}
	if b, err := os.ReadFile(calls); err != nil || !strings.Contains(string(b), "--user enable --now tokend-backup.timer") {
		t.Errorf("systemctl was called with\n%s%v", b, err)
	}
	if out, exit := run("status"); exit != 0 || !strings.Contains(out, "the timer is installed") {
		t.Errorf("exit %d\n%s", exit, out)
	}
	if out, exit := run("remove"); exit != 0 || isThere(unit) || isThere(filepath.Join(filepath.Dir(unit), systemdService)) {
		t.Errorf("exit %d\n%s", exit, out)
	}
}

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestAgentIsAPropertyList(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader(agentText([]string{"/opt/a & b/<tokenctl>", "backup", "run"})))
	var words []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok && strings.TrimSpace(string(text)) != "" {
			words = append(words, string(text))
		}
	}
	if all := strings.Join(words, "|"); !strings.Contains(all, "|/opt/a & b/<tokenctl>|backup|run|") || !strings.Contains(all, agentLabel) {
		t.Errorf("it holds %q", all)
	}
}

func TestLines(t *testing.T) {
	if got := shellLine([]string{"/a b/c", "--x", "it's", ""}); got != `'/a b/c' --x 'it'\''s' ''` {
		t.Errorf("for a shell: %s", got)
	}
	if got := windowsLine([]string{`C:\Program Files\tokenctl.exe`, "backup", "run"}); got != `"C:\Program Files\tokenctl.exe" backup run` {
		t.Errorf("for Windows: %s", got)
	}
	c := newCLI()
	c.getenv = func(string) string { return "" }
	var e *ipc.Error
	if err := c.noTimer("why"); !errors.As(err, &e) || e.Kind != ipc.Unsupported {
		t.Errorf("%v", err)
	}
	if asError(context.Background(), c.noTimer("why")).Message != "why" {
		t.Error("the reason is lost")
	}
}
