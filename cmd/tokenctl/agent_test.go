//go:build !windows

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/cmd/tokenctl/pinentry"
	"github.com/tokenbridge/tokend/ipc"
)

// Where the user has to agree, he is asked at the terminal, and says for how long.
func TestConsentAtTheTerminal(t *testing.T) {
	f := opened("GitHub me session totp")
	f.grants.mode = ipc.GrantAsk
	given := func() []ipc.Grant { f.mu.Lock(); defer f.mu.Unlock(); return slices.Clone(f.grants.given) }
	code := regexp.MustCompile(`[0-9]{6}\r\n$`)
	ask := `Hand out a code of github\? \(yes/10min/lock/no\) \[no\]: `
	for answer, exit := range map[string]int{"": 15, "no": 15, "yes": 0, "perhaps\nyes": 0} {
		x := at(t, f, "code", "github").sees(ask).types(answer + "\n")
		if out := x.ends(exit); (exit == 0) != (code.MatchString(out)) {
			t.Errorf("after %q:\n%s", answer, out)
		}
		if got := given(); len(got) != 0 {
			t.Errorf("after %q more was granted than once: %+v", answer, got)
		}
	}
	at(t, f, "code", "github").sees(ask).types("lock\n").ends(0)
	if got := given(); len(got) != 1 || got[0].For != ipc.GrantToLock || got[0].Action != ipc.GrantCode {
		t.Errorf("granted: %+v", got)
	}
	if out := at(t, f, "code", "github").ends(0); strings.Contains(out, "Hand out") {
		t.Errorf("asked again:\n%s", out)
	}
	at(t, f, "code", "github", "--no-input").ends(0)
	f.mu.Lock()
	f.grants.given = nil
	f.mu.Unlock()
	at(t, f, "code", "github", "--no-input").ends(10)
	// Who typed yes to see the secret is not asked again.
	at(t, f, "account", "show", "github", "--qr").sees("Type yes to go on: ").types("yes\n").sees("clear the screen").ends(0)
	at(t, f, "account", "show", "github", "--uri", "--yes").sees("Hand out the secret of GitHub:me").types("no\n").ends(15)
}

// Who typed yes to an export is not asked again; who gave --yes is, once for all
// accounts, and without a terminal nothing leaves.
func TestConsentToAnExport(t *testing.T) {
	f := opened("GitHub me session totp", "GitLab me session totp")
	f.grants.mode = ipc.GrantAsk
	dir := t.TempDir()
	export := func(name string, more ...string) *terminal {
		return at(t, f, append([]string{"export", "--format", "otpauth", "--output", filepath.Join(dir, name)}, more...)...)
	}
	export("a").sees("Export 2 accounts").types("yes\n").ends(0)
	export("b", "--yes").sees(`Hand out the secret of 2 accounts\?`).types("no\n").ends(15)
	export("b", "--yes").sees(`Hand out the secret of 2 accounts\?`).types("yes\n").ends(0)
	export("c", "--yes", "--no-input").ends(10)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
}

// TestAgentUnits writes what starts the agent, with words that need quoting.
func TestAgentUnits(t *testing.T) {
	plain := []string{"/usr/bin/tokenctl", "agent"}
	odd := []string{"/opt/my tools/tokenctl", "agent", "--socket", `/x/100%/a"b\c$d<&>`}
	for file, want := range map[string]string{
		agentUnit:     `ExecStart="/opt/my tools/tokenctl" agent --socket "/x/100%%/a\"b\\c$$d<&>"`,
		autostartFile: `Exec="/opt/my tools/tokenctl" agent --socket "/x/100%%/a\\"b\\\\c\\$d<&>"`,
		launchdFile:   "<string>/x/100%/a\"b\\c$d&lt;&amp;&gt;</string>",
	} {
		packaged, err := agentUnits.ReadFile("units/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := agentFile(file, plain); err != nil || string(b) != string(packaged) {
			t.Errorf("%s: with the packaged command it is not the packaged file: %v\n%s", file, err, b)
		}
		b, err := agentFile(file, odd)
		if err != nil || !strings.Contains(string(b), want+"\n") {
			t.Errorf("%s: %v, want %s in\n%s", file, err, want, b)
		}
	}
	b, err := agentFile(launchdFile, odd)
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(strings.NewReader(string(b))); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if path, err := exec.LookPath("desktop-file-validate"); err == nil {
		if out, err := exec.Command(path, "units/"+autostartFile).CombinedOutput(); err != nil {
			t.Errorf("%s", out)
		}
	}
}

// What the user is shown of who asks fits into a line of pinentry's, whatever the
// account and the program are called.
func TestWhoAsks(t *testing.T) {
	for _, c := range []struct {
		name string
		from ipc.Requester
		want string
	}{
		{"me", ipc.Requester{Program: "curl", PID: 7, Exe: "/usr/bin/curl"}, "Program: /usr/bin/curl (7)"},
		{"me", ipc.Requester{Program: "/usr/bin/curl", PID: 7}, "Program: /usr/bin/curl (7), by its own word"},
		{"me", ipc.Requester{}, "Program: a program that is not known"},
		{"m\nProgram: x", ipc.Requester{Program: "a\x1b[1m\nb"}, `Program: a\x1b[1m\x0ab, by its own word`},
		{strings.Repeat("\u0301", 256), ipc.Requester{Exe: "/tmp/x", Unit: strings.Repeat("u", 500)}, "Program: /tmp/x"},
		{"me", ipc.Requester{Exe: "/bin/x", Terminal: "pts/3\n", Leader: 12}, "Program: /bin/x\nTerminal: pts/3\\x0a, session of process 12"},
		{"me", ipc.Requester{Exe: "/bin/x", Leader: 12}, "Program: /bin/x\nTerminal: none (session of process 12)"},
		{strings.Repeat("\U0001f600", 256), ipc.Requester{Exe: "/" + strings.Repeat("x", 500)}, "Program: /xxx"},
	} {
		if got := wish(ipc.Event{Wanted: c.name}); len(got) > 300 || !strings.HasPrefix(got, `a code of what it calls "`) || strings.Contains(got, "\n") {
			t.Errorf("%q", got)
		}
		e := ipc.Event{From: &c.from, Account: &ipc.AccountRef{Issuer: c.name, Name: c.name}}
		lines := whoAsks(e)
		if got := wish(e) + strings.Join(lines, "\n"); len(got) > 800 || strings.Count(got, "\n") != len(lines)-1 {
			t.Errorf("%d bytes: %q", len(got), got)
		}
		if got := strings.Join(lines, "\n"); !strings.HasPrefix(got, c.want) {
			t.Errorf("%q, not %q", got, c.want)
		}
	}
}

// A question that is put does not stay on the screen of who killed the agent.
func TestQuestionsEndByThemselves(t *testing.T) {
	dir := t.TempDir()
	said, program := filepath.Join(dir, "said"), filepath.Join(dir, "pinentry")
	script := "#!/bin/sh\necho OK\nwhile read -r line; do\n  echo \"$line\" >>'" + said + "'\n" +
		"  case $line in GETPIN) echo D 12345678;; esac\n  echo OK\ndone\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	a := &agent{pin: &pinentry.Program{Path: program}, turn: make(chan struct{}, 1), scope: ipc.GrantOnce}
	token := &ipc.TokenRef{ID: "t", Kind: "piv", Label: "blue"}
	pin, last, err := a.readPIN(t.Context(), ipc.Event{Token: token, TriesLeft: new(1)})
	if err != nil || string(pin) != "12345678" || !last {
		t.Errorf("%d bytes, %v, %v", len(pin), last, err)
	}
	if err := a.confirm(t.Context(), ipc.Event{}); err != nil {
		t.Error(err)
	}
	if err := a.confirm(t.Context(), ipc.Event{From: &ipc.Requester{Exe: "/bin/x", Leader: 7}}); err != nil {
		t.Error(err)
	}
	b, err := os.ReadFile(said)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), "SETTIMEOUT 180\n"); n != 4 {
		t.Errorf("%d of 4 questions end:\n%s", n, b)
	}
	// Of whom nothing is known that others do not share is no "there".
	for _, want := range []string{"once, for this program, wherever you run it.", "once, for this program there."} {
		if strings.Count(string(b), want) != 1 {
			t.Errorf("there is no %q:\n%s", want, b)
		}
	}
}
