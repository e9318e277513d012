//go:build linux

package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
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

// doctorAuthority is about an authority: how it is reached, what it goes by, and
// copies of its files from another day.
func doctorAuthority(t *testing.T) *ward {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
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
		{code: "authority-listen", level: "error", background: true,
			cause: func(w *ward) {
				w.while(func() { w.put(config, fmt.Sprintf("[authority]\nlisten = %q\n", taken.Addr().String())) })
			},
			hand: func(w *ward, _ ipc.Finding) { w.must(taken.Close()) }},
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
