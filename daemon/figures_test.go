package daemon_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/daemon/metrics"
	"github.com/tokenbridge/tokend/ipc"
)

// TestFiguresNameNobody: who may have them has counts, and nothing that tells whose
// they are; everybody else has nothing.
func TestFiguresNameNobody(t *testing.T) {
	d := start(t, func(cfg *daemon.Config) { cfg.Metrics, cfg.Owner = metrics.New(), "990" })
	p := caller("4242")
	made := initSoft(t, d, p)
	if _, err := d.Metrics(t.Context(), p); !errors.Is(err, &ipc.Error{Kind: ipc.NotAuthorized}) {
		t.Errorf("a user: %v", err)
	}
	for _, uid := range []string{"0", "990"} {
		b, err := d.Metrics(t.Context(), caller(uid))
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		for _, want := range []string{
			`tokend_vaults{state="unlocked"} 1`, `tokend_audit_logs{state="intact"} 1`, `tokend_audit_logs{state="damaged"} 0`,
			`tokend_backup_problems{problem="no-backup"} 1`, `tokend_vault_actions_total{action="init",outcome="ok"} 1`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is missing:\n%s", want, text)
			}
		}
		for _, private := range []string{"4242", "key file", made.Token.ID, passphrase, recovery} {
			if private != "" && strings.Contains(text, private) {
				t.Errorf("%q is in the figures", private)
			}
		}
	}
}

// TestConfigurationIsTold: what of the file does not hold is a warning and a finding,
// and who does not administer the machine is not told what the file has.
func TestConfigurationIsTold(t *testing.T) {
	st := ipc.ConfigState{File: "/etc/tokend/tokend.toml"}
	d := start(t, func(cfg *daemon.Config) { cfg.Configuration = func() ipc.ConfigState { return st } })
	one := func(uid string) ipc.Finding {
		t.Helper()
		f := findings(t, d, caller(uid), "config")
		if len(f) != 1 {
			t.Fatalf("got %+v", f)
		}
		return f[0]
	}
	for _, c := range []struct {
		cause       func()
		level, fix  string
		root, other string
	}{
		{func() { st.Problem = "line 3: secretive" }, "error", "tokend config check " + st.File + " && sudo systemctl reload tokend", "secretive", "cannot be used"},
		{func() { st.Problem, st.Changed, st.Mended = "line 3: secretive", true, true }, "warning", "tokend config check " + st.File + " && sudo systemctl reload tokend", "can be used again", "can be used again"},
		{func() { st.Waits = []string{"bus", "socket"} }, "warning", "tokend config check " + st.File + " && sudo systemctl restart tokend", "restart for bus, socket", "restart for bus, socket"},
		{func() { st.Changed = true }, "warning", "tokend config check " + st.File + " && sudo systemctl reload tokend", "changed since it was read", "changed since it was read"},
	} {
		c.cause()
		for uid, want := range map[string]string{"0": c.root, "1000": c.other} {
			if f := one(uid); f.Level != c.level || f.Fix != c.fix || !strings.Contains(f.Message, want) {
				t.Errorf("for %s: %+v", uid, f)
			}
		}
		if f := one("1000"); strings.Contains(f.Message, "secretive") {
			t.Errorf("a user is told %+v", f)
		}
		st = ipc.ConfigState{File: st.File} // the advised command did it
		if f := one("0"); f.Level != "ok" || !strings.Contains(f.Message, st.File) {
			t.Errorf("afterwards: %+v", f)
		}
	}

	st.Failing = []ipc.ConfigFailure{{Setting: "authority.listen", Problem: "secretive"}, {Setting: "metrics.textfile", Problem: "secretive", Fix: "mkdir -p /secretive"}}
	for code, fix := range map[string]string{"authority-listen": "tokend config check " + st.File + " && sudo systemctl restart tokend", "metrics-textfile": "mkdir -p /secretive"} {
		if f := findings(t, d, caller("0"), code); len(f) != 1 || f[0].Level != "error" || f[0].Fix != fix || !strings.Contains(f[0].Message, "secretive") {
			t.Errorf("root is told %+v", f)
		}
		if f := findings(t, d, caller("1000"), code); len(f) != 1 || strings.Contains(f[0].Message+f[0].Fix, "secretive") {
			t.Errorf("a user is told %+v", f)
		}
	}
}
