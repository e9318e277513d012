package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Where systemctl answers, the timer is put in place and enabled; where it does
// not, the line for cron is told, and nothing is left.
func TestTimerIsInstalledWhereSomethingAnswers(t *testing.T) {
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
	if exit != 2 || !strings.Contains(out, "\n17 * * * * ") || !strings.Contains(out, "--socket "+socket) || isThere(unit) {
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
