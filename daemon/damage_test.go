package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
)

// folderOf is the folder of a user's vault.
func folderOf(dir string, p ipc.Principal) string { return filepath.Join(dir, "users", p.UID) }

// copyFile puts the bytes of one file in the place of another.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReplacedAndRolledBackVaults(t *testing.T) {
	var dir string
	d := start(t, func(c *daemon.Config) { dir = c.StateDir })
	alice, bob := caller("1000"), caller("1001")
	initSoft(t, d, alice)
	initSoft(t, d, bob)
	file := filepath.Join(folderOf(dir, alice), "vault.tokend")
	known := state(t, d, alice)
	older := filepath.Join(t.TempDir(), "older")
	copyFile(t, file, older)
	add(t, d, alice, aliceURI)
	good := filepath.Join(t.TempDir(), "good")
	copyFile(t, file, good)
	for _, c := range []struct {
		name string
		from string
		kind ipc.Kind
	}{
		{"another's", filepath.Join(folderOf(dir, bob), "vault.tokend"), ipc.VaultReplaced},
		{"an older one", older, ipc.VaultRolledBack},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := d.Lock(t.Context(), alice); err != nil {
				t.Fatal(err)
			}
			copyFile(t, c.from, file)
			defer copyFile(t, good, file)
			for way, auth := range map[string]ipc.Auth{
				"nothing":  {},
				"token":    {PIN: secretOf(passphrase)},
				"password": {RecoveryPassword: secretOf(recovery)},
			} {
				_, err := d.Unlock(t.Context(), alice, ipc.UnlockRequest{Auth: auth})
				if e := wantKind(t, err, c.kind); !strings.Contains(e.Message, "); nothing in it was used or changed") {
					t.Errorf("by %s: the message is %q", way, e.Message)
				}
			}
			if v := state(t, d, alice); v.State != ipc.VaultBroken || v.Signer != known.Signer || v.ID != known.ID || v.Problem == nil || v.Problem.Kind != c.kind {
				t.Errorf("status: %+v", v)
			}
		})
	}
	u, err := d.Unlock(t.Context(), alice, ipc.UnlockRequest{Auth: ipc.Auth{PIN: secretOf(passphrase)}})
	if err != nil || u.Vault.Accounts != 1 || u.Vault.Problem != nil {
		t.Errorf("with its own file back: %+v, %v", u.Vault, err)
	}
}

func TestRecoverADamagedVault(t *testing.T) {
	var dir string
	d := start(t, func(c *daemon.Config) { dir = c.StateDir })
	p := caller("1000")
	initSoft(t, d, p)
	add(t, d, p, aliceURI)
	add(t, d, p, "otpauth://totp/lost?secret=GEZDGNBVGY3TQOJQ")
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folderOf(dir, p), "vault.tokend")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 0x40
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	auth := func() ipc.Auth { return ipc.Auth{PIN: secretOf(passphrase)} }
	u, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: auth()})
	if err != nil || u.Vault.State != ipc.VaultReadOnly || len(u.Notices) == 0 {
		t.Fatalf("unlocking it: %+v, %v", u, err)
	}
	if _, err := d.Code(t.Context(), p, "alice", ipc.CodeRequest{}); err != nil {
		t.Errorf("a code while it is read-only: %v", err)
	}
	_, err = d.AddAccounts(t.Context(), p, ipc.AddAccountsRequest{Accounts: []ipc.NewAccount{{Name: "x", Secret: secretOf("GEZDGNBVGY3TQOJQ")}}})
	wantKind(t, err, ipc.VaultDamaged)
	_, err = d.EnrollToken(t.Context(), p, ipc.EnrollRequest{Kind: "soft", PIN: secretOf(passphrase)})
	wantKind(t, err, ipc.VaultDamaged)

	seen, err := d.RecoverVault(t.Context(), p, ipc.RecoverVaultRequest{Auth: auth()})
	if err != nil || !seen.Damaged || seen.Applied || len(seen.Accounts) != 1 {
		t.Fatalf("looking: %+v, %v", seen, err)
	}
	done, err := d.RecoverVault(t.Context(), p, ipc.RecoverVaultRequest{Auth: auth(), Apply: true})
	if err != nil || !done.Applied || done.Kept == "" {
		t.Fatalf("recovering: %+v, %v", done, err)
	}
	if v := state(t, d, p); v.State != ipc.VaultUnlocked || v.Problem != nil {
		t.Errorf("after recovering: %+v", v)
	}
	add(t, d, p, "otpauth://totp/new?secret=GEZDGNBVGY3TQOJQ")
	if _, err := os.Stat(filepath.Join(folderOf(dir, p), filepath.Base(done.Kept))); err != nil {
		if _, err := os.Stat(done.Kept); err != nil {
			t.Errorf("the damaged file was not kept at %s", done.Kept)
		}
	}
}
