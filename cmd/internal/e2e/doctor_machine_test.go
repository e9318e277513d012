//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

// newOwnWard is a ward whose daemon has its state where a person's own has it.
func newOwnWard(t *testing.T, args ...string) *ward {
	t.Helper()
	w := newWard(t, nil, args...)
	w.Daemon.State = filepath.Join(w.home, ".local", "state", "tokend")
	return w
}

// hangup has the daemon read its configuration.
func (w *ward) hangup() {
	w.t.Helper()
	w.must(syscall.Kill(w.PID(), syscall.SIGHUP))
}

// doctorMachine is about the daemon, its helper, its configuration and its disk.
func doctorMachine(t *testing.T) *ward {
	bin := t.TempDir()
	config, helper := File(t, ""), filepath.Join(bin, "tokend-helper")
	w := newOwnWard(t, "--config", config, "--helper", helper)
	program, err := os.ReadFile(w.Programs.Path("tokend-helper"))
	w.must(err)
	w.must(os.WriteFile(helper, program, 0o755))
	w.must(os.MkdirAll(w.State, 0o700))
	w.mount(w.State, "100m")
	w.must(os.Chmod(bin, 0o777))
	w.Start()
	write := func(text string) { w.must(os.WriteFile(config, []byte(text), 0o600)) }
	ballast := filepath.Join(w.State, "ballast")
	fill := func(mib int) func(w *ward) {
		return func(w *ward) { w.must(os.WriteFile(ballast, make([]byte, mib<<20), 0o600)) }
	}
	remove := func(w *ward, _ ipc.Finding) { w.must(os.Remove(ballast)) }
	for _, f := range []finding{
		{code: "helper", level: "error", about: "changed by everybody"},
		{code: "helper", level: "error", about: "no such file", fill: map[string]string{"PATH": helper + ".away"},
			cause: func(w *ward) {
				w.Daemon.Stop()
				w.must(os.Rename(helper, helper+".away"))
				w.Start()
			}},
		// One that goes while the daemon runs, with its folder.
		{code: "helper", level: "error", about: "no such file", fill: map[string]string{"PATH": bin + ".away/tokend-helper.away"},
			cause: func(w *ward) { w.must(os.Rename(bin, bin+".away")) }},
		{code: "daemon-unreachable", level: "error", background: true, cause: func(w *ward) { w.Daemon.Stop() }},
		{code: "socket", level: "warning", background: true, cause: func(w *ward) { w.Daemon.Stop() }},
		{code: "config", level: "warning", about: "since it was read", cause: func(*ward) { write("log_level = \"debug\"\n") }},
		{code: "config", level: "error", about: "not taken",
			cause: func(w *ward) { write("log_level = \"loud\"\n"); w.hangup() },
			hand:  func(*ward, ipc.Finding) { write("log_level = \"info\"\n") }},
		{code: "config", level: "warning", about: "can be used again",
			cause: func(w *ward) {
				write("log_level = \"loud\"\n")
				w.hangup()
				Eventually(w.t, patience, func() error {
					if w.status().Daemon.Config.Problem == "" {
						return errors.New("the file was not read yet")
					}
					return nil
				})
				write("log_level = \"info\"\n")
			}},
		{code: "config", level: "warning", about: "restart for", background: true,
			cause: func(w *ward) { write("log_format = \"json\"\n"); w.hangup() }},
		{code: "metrics-textfile", level: "error", cause: func(w *ward) {
			w.while(func() {
				write(fmt.Sprintf("[metrics]\ntextfile = %q\ninterval = \"5s\"\n", filepath.Join(t.TempDir(), "figures", "t.prom")))
			})
		}},
		{code: "disk", level: "warning", cause: fill(50), hand: remove},
		{code: "disk", level: "error", cause: fill(98), hand: remove},
	} {
		w.prove(f)
	}
	w.terminal()
	return w
}

// terminal is about what depends on where the doctor is asked.
func (w *ward) terminal() {
	w.t.Helper()
	if f, is := w.tells(finding{code: "terminal"}); !is || f.Level != "note" {
		w.t.Errorf("without a terminal: %+v", f)
	}
	asked := w.runs("tokenctl --json doctor").ends(0)
	if strings.Contains(asked, "there is no terminal") || !strings.Contains(asked, `"code": "terminal"`) {
		w.t.Errorf("at a terminal: %s", asked)
	}
	const code = `"code": "socket-environment"`
	if !strings.Contains(asked, code) || !strings.Contains(asked, `"fix": "unset TOKEND_SOCKET"`) {
		w.t.Errorf("with TOKEND_SOCKET: %s", asked)
	}
	if asked = w.runs("socket=$TOKEND_SOCKET; unset TOKEND_SOCKET; tokenctl --socket $socket --json doctor").ends(0); strings.Contains(asked, code) {
		w.t.Errorf("after unset: %s", asked)
	}
	w.seen["terminal"], w.seen["socket-environment"] = true, true
}
