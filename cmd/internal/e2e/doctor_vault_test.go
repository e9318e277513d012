//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// overwrite changes bytes in the midst of a file.
func (w *ward) overwrite(path string) {
	w.t.Helper()
	data, err := os.ReadFile(path)
	w.must(err)
	for i := len(data) / 2; i < len(data)/2+16; i++ {
		data[i] ^= 0xff
	}
	w.must(os.WriteFile(path, data, 0o600))
}

// ruin leaves nothing of a vault that could be opened.
func (w *ward) ruin() {
	w.t.Helper()
	w.Daemon.Stop()
	w.must(os.WriteFile(filepath.Join(w.userFolder(), "vault.tokend"), []byte("nothing"), 0o600))
	w.must(os.RemoveAll(filepath.Join(w.userFolder(), "generations")))
	w.Start()
}

// doctorVault damages a vault and what lies beside it, and brings it back.
func doctorVault(t *testing.T) *ward {
	w := newVaultWard(t)
	dir := w.userFolder()
	vault := filepath.Join(dir, "vault.tokend")
	backup := filepath.Join(w.home, "backup.tokend")
	for _, f := range []finding{
		{code: "no-recovery-password", level: "warning", says: secrets()},
		{code: "recovery-unchecked", level: "warning", says: secrets(),
			cause: func(w *ward) {
				w.OK(doctorPassword, "recovery", "check", "--recovery-password-file", "-")
				w.later(100*days, "recovery_checked")
				w.unlock()
			}},
		{code: "state-folder", level: "error",
			cause: func(w *ward) { w.must(os.Chmod(vault, 0o644)) }},
		{code: "grants-damaged", level: "warning",
			cause: func(w *ward) {
				w.Daemon.Stop()
				w.must(os.WriteFile(filepath.Join(dir, "grants.json"), []byte("{"), 0o600))
				w.Start()
				w.unlock()
			}},
		{code: "revoked-before", level: "warning", says: secrets(),
			cause: func(w *ward) {
				w.OK("", "token", "enroll", "--token", "soft", "--label", "second", "--pin-file", File(w.t, "another passphrase here"), "--auth-token", "soft", "--auth-pin-file", File(w.t, doctorPass))
				w.OK("", "backup", "create", backup)
				w.OK(doctorPass, "token", "revoke", "second", "--yes", "--auth-token", "soft", "--pin-file", "-")
				w.ruin()
				w.OK(doctorPassword, "backup", "restore", backup, "--recovery-password-file", "-")
			}},
		{code: "put-aside", level: "note"},
		{code: "vault", level: "error", says: secrets(), next: "to go back to that state: ",
			cause: func(w *ward) {
				w.account("late")
				w.Daemon.Stop()
				w.overwrite(vault)
				w.Start()
			}},
		{code: "read-only", level: "warning", says: secrets(), next: "to go back to that state: ",
			cause: func(w *ward) {
				w.account("later")
				w.Daemon.Stop()
				w.overwrite(vault)
				w.Start()
				w.unlock()
			}},
		{code: "vault", level: "error", says: secrets(), fill: map[string]string{"FILE": backup},
			cause: func(w *ward) { w.ruin() }},
		{code: "audit", level: "error", exit: 18, stays: true,
			cause: func(w *ward) {
				w.Daemon.Stop()
				w.overwrite(filepath.Join(dir, "audit.log"))
				w.Start()
			}},
	} {
		w.prove(f)
	}
	return w
}
