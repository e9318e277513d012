package daemon_test

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
)

const aliceURI = "otpauth://totp/Example:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example"

func TestUsersSeeOnlyTheirOwn(t *testing.T) {
	d := start(t, nil)
	alice, bob, carol := caller("1000"), caller("1001"), caller("1002")
	initSoft(t, d, alice)
	a := add(t, d, alice, aliceURI)
	initSoft(t, d, bob)

	// What is another's answers like what is missing.
	for _, ref := range []string{a.ID, "alice", "Example"} {
		_, foreign := d.Code(t.Context(), bob, ref, ipc.CodeRequest{})
		_, missing := d.Code(t.Context(), bob, "0123456789abcdef", ipc.CodeRequest{})
		if !reflect.DeepEqual(foreign, missing) {
			t.Errorf("another's account answers %v, a missing one %v", foreign, missing)
		}
	}
	list, err := d.Accounts(t.Context(), bob)
	if err != nil || len(list.Accounts) != 0 {
		t.Errorf("bob lists %+v, %v", list, err)
	}
	// Who has no vault learns nothing, and asking leaves nothing behind.
	for _, err := range []error{
		func() error { _, err := d.Accounts(t.Context(), carol); return err }(),
		func() error { _, err := d.Code(t.Context(), carol, a.ID, ipc.CodeRequest{}); return err }(),
		func() error { _, err := d.CreateBackup(t.Context(), carol); return err }(),
		d.Lock(t.Context(), carol),
	} {
		wantKind(t, err, ipc.NoVault)
	}
	s, err := d.Status(t.Context(), carol)
	if err != nil || s.Vault.State != ipc.VaultNone || len(s.Tokens) != 0 {
		t.Errorf("carol's status is %+v, %v", s, err)
	}
	// Root has a vault of his own, or none.
	root := caller("0")
	_, err = d.Accounts(t.Context(), root)
	wantKind(t, err, ipc.NoVault)
	// One user's lock is not another's.
	if err := d.Lock(t.Context(), bob); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Code(t.Context(), alice, "alice", ipc.CodeRequest{}); err != nil {
		t.Errorf("alice after bob's lock: %v", err)
	}
}

func TestAskingLeavesNothingBehind(t *testing.T) {
	var dir string
	d := start(t, func(c *daemon.Config) { dir = c.StateDir })
	p := caller("1000")
	_, _ = d.Accounts(t.Context(), p)
	_, _ = d.Status(t.Context(), p)
	_, _ = d.Doctor(t.Context(), p)
	_, _ = d.Audit(t.Context(), p)
	_, _ = d.Init(t.Context(), p, ipc.InitRequest{RecoveryPassword: secretOf("short")})
	if _, err := os.Stat(filepath.Join(dir, "users", "1000")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder was made for a user who has no vault: %v", err)
	}
}

func TestFoldersAreTheDaemonsAlone(t *testing.T) {
	var dir string
	d := start(t, func(c *daemon.Config) { dir = c.StateDir })
	p := caller("1000")
	initSoft(t, d, p)
	add(t, d, p, aliceURI)
	backup(t, d, p, "/stick/a.tokend")
	seen := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		seen++
		return nil
	})
	if err != nil || seen < 8 {
		t.Errorf("%d files seen, %v", seen, err)
	}
}

func TestWhoIsServed(t *testing.T) {
	system := start(t, nil)
	own := start(t, func(c *daemon.Config) { c.Mode, c.Owner = daemon.ModeUser, "1000" })
	for _, c := range []struct {
		d      *daemon.Daemon
		uid    string
		served bool
		admin  bool
	}{
		{system, "1000", true, false},
		{system, "0", true, true},
		{system, "S-1-5-21-1-2-3-1001", true, false},
		{own, "1000", true, true},
		{own, "1001", false, false},
		{own, "0", false, false},
		{system, "", false, false},
		{system, "../1000", false, false},
		{system, ".", false, false},
		{system, "1000/x", false, false},
		{system, strings.Repeat("1", 200), false, false},
	} {
		p, err := c.d.Identify(ipc.Principal{UID: c.uid, Admin: true})
		if (err == nil) != c.served || err == nil && p.Admin != c.admin {
			t.Errorf("uid %q: %+v, %v; want served %v, admin %v", c.uid, p, err, c.served, c.admin)
		}
		_, err = c.d.Status(t.Context(), caller(c.uid))
		if (err == nil) != c.served {
			t.Errorf("uid %q: status answers %v", c.uid, err)
		}
		if err != nil {
			wantKind(t, err, ipc.NotAuthorized)
		}
	}
}

func TestOneDaemonAState(t *testing.T) {
	var cfg daemon.Config
	start(t, func(c *daemon.Config) { cfg = *c })
	if _, err := daemon.New(cfg); !errors.Is(err, daemon.ErrInUse) {
		t.Errorf("a second daemon on the same state: %v", err)
	}
}

func TestABrokenVaultStopsNobodyElse(t *testing.T) {
	var dir string
	d := start(t, func(c *daemon.Config) { dir = c.StateDir })
	alice, bob := caller("1000"), caller("1001")
	initSoft(t, d, alice)
	initSoft(t, d, bob)
	add(t, d, bob, aliceURI)
	if err := d.Lock(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "users", "1000")
	if err := os.WriteFile(filepath.Join(folder, "vault.tokend"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(folder, "generations")); err != nil {
		t.Fatal(err)
	}
	s, err := d.Status(t.Context(), alice)
	if err != nil || s.Vault.State != ipc.VaultBroken || s.Vault.Problem == nil || s.Vault.Problem.Kind != ipc.VaultDamaged {
		t.Errorf("status of a broken vault: %+v, %v", s.Vault, err)
	}
	_, err = d.Unlock(t.Context(), alice, ipc.UnlockRequest{Auth: ipc.Auth{RecoveryPassword: secretOf(recovery)}})
	if e := wantKind(t, err, ipc.VaultDamaged); !strings.Contains(e.Message, "kept") {
		t.Errorf("the message does not say that the files were kept: %q", e.Message)
	}
	if _, err := d.Code(t.Context(), bob, "alice", ipc.CodeRequest{}); err != nil {
		t.Errorf("bob is stopped by alice's broken vault: %v", err)
	}
}

// TestLogsHoldNoSecrets runs through the calls that carry secrets and searches
// everything that was logged and audited.
func TestLogsHoldNoSecrets(t *testing.T) {
	var logged bytes.Buffer
	var dir string
	d := start(t, func(c *daemon.Config) {
		dir = c.StateDir
		c.Log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	p := caller("1000")
	made := initSoft(t, d, p)
	a := add(t, d, p, aliceURI)
	_, _ = d.RevealAccount(t.Context(), p, a.ID, ipc.RevealRequest{})
	_, _ = d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: ipc.Auth{PIN: secretOf("wrong passphrase")}})
	_, _ = d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: ipc.Auth{RecoveryPassword: secretOf("wrong password")}})
	if err := d.ChangePIN(t.Context(), p, made.Token.ID, ipc.ChangePINRequest{
		Which: "pin", Old: secretOf(passphrase), New: secretOf("another passphrase"),
	}); err != nil {
		t.Fatal(err)
	}
	_, _ = d.ShowRecoveryKey(t.Context(), p, ipc.ShowRecoveryKeyRequest{Password: secretOf(recovery)})
	code, err := d.Code(t.Context(), p, "alice", ipc.CodeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	audited, err := os.ReadFile(filepath.Join(dir, "users", "1000", "audit.log"))
	if err != nil || len(audited) == 0 {
		t.Fatalf("the audit log: %d bytes, %v", len(audited), err)
	}
	notes, err := os.ReadFile(filepath.Join(dir, "users", "1000", "daemon.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		passphrase, recovery, "wrong passphrase", "wrong password", "another passphrase",
		"GEZDGNBV", "AGE-SECRET", "alice", "Example", "otpauth", code.Code,
	} {
		for where, b := range map[string][]byte{"log": logged.Bytes(), "audit": audited, "notes": notes} {
			if bytes.Contains(b, []byte(text)) {
				t.Errorf("the %s holds %q", where, text)
			}
		}
	}
}
