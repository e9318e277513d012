package main

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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

// A dollar in a program's path is not a variable's, and systemd has it no other
// way: systemd-analyze would not find the program by two.
func TestDollarInAProgramsPath(t *testing.T) {
	if got, want := systemdCommand([]string{"/opt/a$b c/tokenctl", "$x"}), `"/opt/a$b c/tokenctl" $$x`; got != want {
		t.Errorf("%s, not %s", got, want)
	}
}
