//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tokenbridge/tokend/tokens/tokentest/smtprig"
)

// people are the machines of a script: the authority's, which is a system's, and the
// devices of its users; and the server by which the authority sends letters.
type people struct {
	tb       testing.TB
	machines map[string]*Daemon
	mail     *smtprig.Server
}

type peopleKey struct{}

// TestPeople are stories of administrators who lost what they had, each with logins
// of the authority's machine of their own (those that every Debian has), on the built
// programs.
func TestPeople(t *testing.T) {
	t.Parallel()
	if NeedRoot(t) {
		return
	}
	// Where other logins can write their pictures and read files.
	dir, err := os.MkdirTemp("", "tokend-people-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p := programs(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/people", UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "", RequireExplicitExec: true, WorkdirRoot: dir,
		Setup: func(e *testscript.Env) error { return newPeople(e, p) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": startCommand, "as": asCommand, "exits": exitsCommand, "patiently": patientlyCommand, "letter": letterCommand, "press": pressCommand,
		},
	})
}

func newPeople(e *testscript.Env, p Programs) error {
	tb, ok := e.T().(testing.TB)
	if !ok {
		return errors.New("the script's test is no testing.TB")
	}
	srv, err := smtprig.Start(smtprig.Options{})
	if err != nil {
		return err
	}
	e.Defer(srv.Close)
	w := &people{tb: tb, mail: srv, machines: map[string]*Daemon{}}
	e.Values[peopleKey{}] = w
	config := File(tb, fmt.Sprintf("[mail]\nserver = %q\nfrom = \"help@example.org\"\nca_file = %q\n", srv.Addr, File(tb, string(srv.CA))))
	w.machines["office"] = NewDaemon(tb, p, nil, "--config", config)
	w.machines["office"].System = true
	for _, name := range []string{"phone", "tablet", "laptop", "notebook"} {
		w.machines[name] = NewDaemon(tb, p, nil)
	}
	for name, d := range w.machines {
		e.Setenv(strings.ToUpper(name), d.Socket)
	}
	e.Vars = append(e.Vars, p.Env()...)
	e.Setenv("PATH", p.Dir+string(os.PathListSeparator)+e.Getenv("PATH"))
	e.Setenv("TOKEND_SOCKET", w.machines["office"].Socket)
	e.Setenv("HOME", e.WorkDir)
	for _, open := range []string{filepath.Dir(w.machines["office"].Socket), p.Dir} {
		if err := os.Chmod(open, 0o755); err != nil {
			return err
		}
	}
	return os.Chmod(e.WorkDir, 0o1777)
}

func peopleOf(ts *testscript.TestScript) *people {
	w, ok := ts.Value(peopleKey{}).(*people)
	if !ok {
		ts.Fatalf("there are no machines")
	}
	return w
}

// startCommand is start MACHINE…
func startCommand(ts *testscript.TestScript, _ bool, args []string) {
	w := peopleOf(ts)
	for _, name := range args {
		d := w.machines[name]
		if d == nil {
			ts.Fatalf("machines: %q", slices.Sorted(maps.Keys(w.machines)))
		}
		d.Start()
	}
}

// asCommand is as LOGIN EXIT ARGS…: tokenctl at the authority's machine, by one of
// its logins.
func asCommand(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: as LOGIN EXIT ARGS…")
	}
	argv := append([]string{"setpriv", "--reuid=" + args[0], "--regid=nogroup", "--clear-groups", "tokenctl"}, args[2:]...)
	ended(ts, args[1], ts.Exec(argv[0], argv[1:]...))
}

// ended checks the exit code of a program.
func ended(ts *testscript.TestScript, want string, err error) {
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != want {
		ts.Fatalf("it ended with exit code %d, not %s", got, want)
	}
}

// patientlyCommand is exits, again and again while the authority holds somebody up
// after a wrong passcode.
func patientlyCommand(ts *testscript.TestScript, _ bool, args []string) {
	var err error
	Eventually(peopleOf(ts).tb, time.Minute, func() error {
		err = ts.Exec(args[1], args[2:]...)
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == 17 {
			return err
		}
		return nil
	})
	ended(ts, args[0], err)
}

// letterCommand is letter FILE: the link in the letter that came last.
func letterCommand(ts *testscript.TestScript, _ bool, args []string) {
	w := peopleOf(ts)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(mailedLink(w.tb, w.mail)+"\n"), 0o600))
}

// pressCommand is press COUNTER FILE: the button of the fob of these scripts.
func pressCommand(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec("oathtool", "-c", args[0], buttonSeed))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(ts.ReadFile("stdout")), 0o644))
}
