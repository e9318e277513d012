package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
)

// TestRevokedComesBack restores a backup from before a token was revoked: for as
// long as its keyslot is in the vault, that is told, with the way to mend it.
func TestRevokedComesBack(t *testing.T) {
	var dir string
	d := start(t, func(c *daemon.Config) { dir = c.StateDir })
	p := caller("1000")
	first := initSoft(t, d, p)
	auth := func() ipc.Auth { return ipc.Auth{Token: first.Token.ID, PIN: secretOf(passphrase)} }
	e, err := d.EnrollToken(t.Context(), p, ipc.EnrollRequest{Kind: "soft", Label: "lost", PIN: secretOf("another passphrase"), Auth: auth()})
	if err != nil {
		t.Fatal(err)
	}
	old := backup(t, d, p, "/stick/before.tokend")
	fix := func() (status, list string) {
		t.Helper()
		s, err := d.Status(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		l, err := d.Tokens(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range l.Tokens {
			list += fixOf(k.Warnings, "revoked-before")
		}
		return fixOf(s.Warnings, "revoked-before"), list
	}
	revoke := func() {
		t.Helper()
		if _, err := d.RevokeToken(t.Context(), p, e.Token.ID, ipc.RevokeRequest{Confirm: e.Token.ID, Auth: auth()}); err != nil {
			t.Fatal(err)
		}
		if s, l := fix(); s != "" || l != "" {
			t.Errorf("told of what is revoked: %q, %q", s, l)
		}
	}
	if s, l := fix(); s != "" || l != "" {
		t.Errorf("told of what was never revoked: %q, %q", s, l)
	}
	revoke()
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	ruin(t, folderOf(dir, p))
	if _, err := d.RestoreBackup(t.Context(), p, ipc.RestoreBackupRequest{Auth: auth(), Data: old.Data}); err != nil {
		t.Fatal(err)
	}
	want := "tokenctl token revoke " + e.Token.ID
	if s, l := fix(); s != want || l != want {
		t.Errorf("status says %q and the list %q, want %q", s, l, want)
	}
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if s, l := fix(); s != want || l != want {
		t.Errorf("locked, status says %q and the list %q, want %q", s, l, want)
	}
	if _, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: auth()}); err != nil {
		t.Fatal(err)
	}
	revoke()
}

// TestWhichGenerationStandsIn has the newest generation damaged and an older one
// kept under the name of the one before: it is told which one is open.
func TestWhichGenerationStandsIn(t *testing.T) {
	var dir string
	d := start(t, func(c *daemon.Config) { dir = c.StateDir })
	p := caller("1000")
	initSoft(t, d, p)
	var number []uint64
	for n := range 3 {
		add(t, d, p, fmt.Sprintf("otpauth://totp/number%d?secret=GEZDGNBVGY3TQOJQ", n))
		number = append(number, state(t, d, p).Generation)
	}
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	kept, err := filepath.Glob(filepath.Join(folderOf(dir, p), "generations", "*.tokend"))
	if err != nil || len(kept) < 2 {
		t.Fatalf("kept: %v, %v", kept, err)
	}
	// Their names sort by number: the newest kept is the one before.
	copyFile(t, kept[len(kept)-2], kept[len(kept)-1])
	file := filepath.Join(folderOf(dir, p), "vault.tokend")
	if err := os.WriteFile(file, []byte("nothing of it is left"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("generation %d of %d, written ", number[0], number[2])
	if v := state(t, d, p); v.Problem == nil || !strings.Contains(v.Problem.Message, want) {
		t.Errorf("locked: %+v", v.Problem)
	}
	u, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: ipc.Auth{PIN: secretOf(passphrase)}})
	if err != nil || u.Vault.State != ipc.VaultReadOnly || u.Vault.Accounts != 1 || !saidIn(u.Notices, want) {
		t.Fatalf("%+v, %v", u, err)
	}
	s, err := d.Status(t.Context(), p)
	if err != nil || !saidIn(s.Warnings, want) {
		t.Errorf("status: %+v, %v", s.Warnings, err)
	}
}
