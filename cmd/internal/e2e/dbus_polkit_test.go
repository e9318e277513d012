//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens/tokentest/busrig"
)

const (
	polkitd   = "/usr/lib/polkit-1/polkitd"
	polkitBus = "/usr/share/dbus-1/system.d/org.freedesktop.PolicyKit1.conf"
)

// startPolkit runs the real polkitd on a bus, with our policy as the only actions,
// and rules of the test's. Where both are looked for is fixed, hence namespaces.
func startPolkit(t *testing.T, bus *busrig.Bus, rules string) (stop func()) {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // polkitd is a user of its own
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	policy, err := os.ReadFile("../../../packaging/polkit/io.github.tokenbridge.tokend.policy")
	if err != nil {
		t.Fatal(err)
	}
	ours, err := os.ReadFile("../../../packaging/polkit/50-tokend.rules")
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		"actions/t.policy": string(policy), "rules/10.rules": rules, "rules/50-tokend.rules": string(ours), "none/README": "no rules\n",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const script = `set -e
mount --bind "$1/actions" /usr/share/polkit-1/actions
mount --bind "$1/rules" /usr/share/polkit-1/rules.d
if [ -d /etc/polkit-1/rules.d ]; then mount --bind "$1/none" /etc/polkit-1/rules.d; fi
exec "$2"`
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", dir, polkitd)
	log := new(Buffer)
	cmd.Env = append(os.Environ(), bus.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if said := log.String(); strings.Contains(said, "rror compiling") || strings.Contains(said, "rror evaluating") {
			t.Errorf("polkitd takes a rule amiss:\n%s", said)
		}
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("polkitd said:\n%s", log)
		}
	})
	Eventually(t, time.Minute, func() error {
		pk := exec.Command("pkaction", "--action-id", "io.github.tokenbridge.tokend.edit-account")
		pk.Env = append(os.Environ(), bus.Env...)
		return pk.Run()
	})
	return stop
}

// TestPolkitIsAsked: on the system bus polkit decides who may change accounts and
// tokens of his own; where it is not there, root alone may.
func TestPolkitIsAsked(t *testing.T) {
	t.Parallel()
	if NeedRoot(t) {
		return
	}
	d, bus, account := newSystemBench(t, polkitBus)
	path := root + "/account/" + account
	edit := busCall{path, accountIface, "Edit", []any{[]opt{{"note", "x"}}}}
	move := busCall{path, accountIface, "Move", []any{uint32(0)}}
	remove := busCall{path, accountIface, "Remove", []any{account}}
	approve := busCall{root + "/vault", vaultIface, "AnswerQuestion", []any{"none", []opt{{"yes", false}}}}
	revoke := busCall{root + "/vault", vaultIface, "RevokeDevice", []any{"none", []opt{{"device", "x"}}}}
	reactivate := busCall{path, accountIface, "Reactivate", []any{"desk", []opt{}}}
	fails := func(what string, c busCall, uid int, words ...string) {
		t.Helper()
		err := bus.python(uid, nil, c)
		for _, w := range words {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v, want %q", what, err, w)
			}
		}
	}
	fails("without polkit", edit, zoey, ownError+"NotAuthorized", "polkit does not answer, and without it only root may do this over D-Bus")
	for _, c := range []busCall{approve, revoke, reactivate} {
		fails("without polkit", c, zoey, ownError+"NotAuthorized", "polkit does not answer")
	}
	if err := bus.python(zoey, nil, busCall{path, accountIface, "GenerateCode", []any{[]opt{}}}); err != nil {
		t.Errorf("a code without polkit: %v", err)
	}
	stop := startPolkit(t, bus.Bus, `polkit.addRule(function(action, subject) {
  if (action.id == "io.github.tokenbridge.tokend.edit-account" && subject.user == "daemon") return polkit.Result.YES;
  if (action.id == "io.github.tokenbridge.tokend.rename-token") return polkit.Result.NO;
});`)
	for _, c := range []busCall{edit, move} {
		if err := bus.python(zoey, nil, c); err != nil {
			t.Errorf("what a rule allows: %v", err)
		}
	}
	for _, c := range []busCall{remove, approve, revoke, reactivate} {
		fails("what the policy asks the user for", c, zoey, standardError+"InteractiveAuthorizationRequired")
	}
	// busctl allows that he is asked; nobody is there to ask him.
	if _, errOut, ok := bus.run(zoey, busctlArgs(bus.Address, remove)...); ok || !strings.Contains(errOut, "polkit does not allow this") {
		t.Errorf("asked without an agent: %v %s", ok, errOut)
	}
	fails("a missing account", busCall{root + "/account/00000000000000ff", accountIface, "Remove", []any{account}}, zoey, standardError+"UnknownObject")
	fails("another's account", edit, bob, ownError+"NoVault")
	list := d.okAs(t, zoey, "", "--json", "token", "list")
	token := root + "/token/" + between(list.Stdout, `"id":"`, `"`)
	fails("what a rule forbids", busCall{token, tokenIface, "Rename", []any{"x"}}, zoey, ownError+"NotAuthorized", "polkit does not allow this")

	// Root is not asked about.
	stop()
	d.okAs(t, 0, "root's long passphrase", "init", "--token", "soft", "--pin-file", "-", "--no-recovery-password")
	roots := d.addAs(t, 0, "Rootsbank")
	if err := bus.python(0, nil, busCall{root + "/account/" + roots, accountIface, "Remove", []any{roots}}); err != nil {
		t.Errorf("root without polkit: %v", err)
	}
	fails("after polkit went", edit, zoey, ownError+"NotAuthorized")
}
