//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/duorig"
)

// duoFactors is a policy whose factors Duo verifies.
const duoFactors = `version = 1
[contact]
name = "IT, room 4.12"
[reactivation]
allow = ["fob", "push"]
after_restore = "allowed"
old_device = "revoke"
[help]
for_user = ["owner"]
[verifiers]
fob = ["local"]
push = ["duo"]
`

// put writes a file that is the daemon's own.
func (w *ward) put(path, text string) {
	w.t.Helper()
	w.must(os.WriteFile(path, []byte(text), 0o600))
}

func (w *ward) get(path string) string {
	w.t.Helper()
	b, err := os.ReadFile(path)
	w.must(err)
	return string(b)
}

// while does something to the files of a daemon that is stopped.
func (w *ward) while(do func()) {
	w.t.Helper()
	w.Daemon.Stop()
	do()
	w.Start()
}

// holdPort is another program that has a port.
const holdPort = `
import socket, time
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
time.sleep(600)
`

// takesPort starts it, and returns the address.
func (w *ward) takesPort() string {
	w.t.Helper()
	cmd := exec.Command("/usr/bin/python3", "-c", holdPort)
	out, err := cmd.StdoutPipe()
	w.must(err)
	w.must(cmd.Start())
	w.holder = cmd
	w.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var port int
	_, err = fmt.Fscan(out, &port)
	w.must(err)
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// endsNamed ends the process that a command names as the one which has a port.
func (w *ward) endsNamed(command string) {
	w.t.Helper()
	printed := w.runs(command).ends(0)
	m := regexp.MustCompile(`pid=(\d+)`).FindStringSubmatch(printed)
	if m == nil || m[1] != strconv.Itoa(w.holder.Process.Pid) {
		w.t.Fatalf("%s names %q, and %d has the port:\n%s", command, m, w.holder.Process.Pid, printed)
	}
	w.must(w.holder.Process.Kill())
}

// doctorAuthority is about an authority: how it is reached, what it goes by, and
// copies of its files from another day.
func doctorAuthority(t *testing.T) *ward {
	config := File(t, "")
	w := newOwnWard(t, "--config", config)
	w.Start()
	w.OK("", "init", "--token", "soft", "--label", "soft", "--pin-file", File(t, doctorPass), "--no-recovery-password")
	w.OK("", "admin", "authority", "create", "Example Ltd")
	w.OK("", "admin", "fob", "import", File(t, "serial number,secret,type,digits,time interval,user\n10001,3132333435363738393031323334353637383931,hotp,6,,alice\n"), "--apply", "--assign-by-file", "--add-users")
	dir := filepath.Join(w.State, "authority")
	registry, audit, rules := filepath.Join(dir, "registry.db"), filepath.Join(dir, "audit.log"), filepath.Join(dir, "policy.toml")
	duo := duorig.Start(t)
	w.put(filepath.Join(w.home, "duo.toml"), fmt.Sprintf("host = %q\nintegration_key = %q\nsecret_key_file = \"duo.secret\"\nca_file = \"duo-ca.pem\"\n", duo.Host(), duorig.IntegrationKey))
	w.put(filepath.Join(w.home, "duo.secret"), duorig.SecretKey+"\n")
	w.put(filepath.Join(w.home, "duo-ca.pem"), string(duo.CA()))
	w.put(filepath.Join(w.home, "policy.toml"), duoFactors)
	good := ""
	for _, f := range []finding{
		{code: "authority-listen", level: "error",
			cause: func(w *ward) {
				w.while(func() { w.put(config, fmt.Sprintf("[authority]\nlisten = %q\n", w.takesPort())) })
			},
			after: func(w *ward, f ipc.Finding) { w.endsNamed(f.Fix) }},
		{code: "authority-mail", level: "error", background: true,
			cause: func(w *ward) {
				w.while(func() {
					w.put(config, fmt.Sprintf("[mail]\nserver = \"mail.example.org:587\"\nfrom = \"it@example.org\"\ntemplate = %q\n", File(w.t, "Subject: x\n\nHello\n")))
				})
			},
			hand: func(w *ward, _ ipc.Finding) { w.put(config, "") }},
		{code: "authority-policy", level: "error", fill: map[string]string{"FILE": "policy.toml"},
			cause: func(w *ward) { w.while(func() { w.put(rules, "nonsense") }) }},
		{code: "authority-verifier", level: "error", fill: map[string]string{"FILE": "duo.toml"}},
		{code: "authority", level: "error",
			cause: func(w *ward) {
				w.while(func() { good = w.get(registry); w.put(registry, "nonsense") })
			},
			hand: func(w *ward, _ ipc.Finding) { w.while(func() { w.put(registry, good) }) }},
		{code: "authority-older", level: "error", says: secrets(),
			cause: func(w *ward) {
				w.while(func() { good = w.get(registry) })
				w.OK(hotp(w.t, "3132333435363738393031323334353637383931", 0), "admin", "verify", "alice", "--passcode-file", "-")
				w.while(func() { w.put(registry, good) })
			},
			after: func(w *ward, _ ipc.Finding) { w.OK("", "admin", "authority", "edit", "--accept-copy") }},
		{code: "authority-audit-cut", level: "error", exit: 18, fill: map[string]string{"FILE": "checkpoint"},
			cause: func(w *ward) {
				w.while(func() { good = w.get(audit) })
				w.OK("", "admin", "user", "add", "bob")
				w.put(filepath.Join(w.home, "checkpoint"), w.OK("", "admin", "audit", "checkpoint").Stdout)
				w.while(func() { w.put(audit, good) })
			},
			after: func(w *ward, _ ipc.Finding) { w.OK("", "admin", "authority", "edit", "--accept-copy") }},
		{code: "authority-audit", level: "error", exit: 18, stays: true,
			cause: func(w *ward) { w.while(func() { w.overwrite(audit) }) }},
	} {
		w.prove(f)
	}
	return w
}

// doctorAuthorityKey is about an authority whose key is on a token.
func doctorAuthorityKey(t *testing.T) *ward {
	w := newVaultWard(t)
	w.OK("", "admin", "authority", "create", "Example Ltd", "--key", "token", "--token", w.token(), "--pin-file", File(t, doctorPass))
	w.prove(finding{code: "authority-locked", level: "error", says: secrets(), cause: func(w *ward) { w.while(func() {}) }})
	return w
}
