package daemon_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

const other = "another recovery password"

func TestRecoveryPassword(t *testing.T) {
	d := start(t, nil)
	p := caller("1000")
	initSoft(t, d, p)
	add(t, d, p, aliceURI)
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	check := func(password string) error {
		_, err := d.CheckRecovery(t.Context(), p, ipc.CheckRecoveryRequest{Password: secretOf(password)})
		return err
	}
	if err := check(recovery); err != nil {
		t.Errorf("the right password: %v", err)
	}
	wantKind(t, check(other), ipc.WrongPassword)
	if state(t, d, p).State != ipc.VaultIsLocked {
		t.Error("checking opened the vault")
	}
	key, err := d.ShowRecoveryKey(t.Context(), p, ipc.ShowRecoveryKeyRequest{Password: secretOf(recovery)})
	if err != nil || !strings.HasPrefix(string(key.Key), "AGE-SECRET-KEY-1") {
		t.Fatalf("the recovery key: %v", err)
	}
	if res, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: ipc.Auth{RecoveryKey: secretOf(string(key.Key))}}); err == nil && res.Vault.UnlockedBy != "recovery key" {
		t.Errorf("the key opened it, and it says %q", res.Vault.UnlockedBy)
	} else if err != nil {
		t.Errorf("unlock by the recovery key: %v", err)
	}
	backup(t, d, p, "/stick/a.tokend")
	// An unlocked vault alone does not let a program change who can open it.
	_, err = d.RotateRecovery(t.Context(), p, ipc.SetRecoveryRequest{Password: secretOf(other)})
	wantKind(t, err, ipc.PINRequired)
	_, err = d.SetRecoveryPassword(t.Context(), p, ipc.SetRecoveryRequest{Password: secretOf(other), Auth: ipc.Auth{RecoveryPassword: secretOf("not the password")}})
	wantKind(t, err, ipc.WrongPassword)
	set, err := d.RotateRecovery(t.Context(), p, ipc.SetRecoveryRequest{Password: secretOf(other), Auth: ipc.Auth{RecoveryPassword: secretOf(recovery)}})
	if err != nil || set.Vault.Epoch != 2 || len(set.OldBackups) != 1 {
		t.Fatalf("rotate: %+v, %v", set, err)
	}
	wantKind(t, check(recovery), ipc.WrongPassword)
	if err := check(other); err != nil {
		t.Errorf("the new password: %v", err)
	}
	_, err = d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: ipc.Auth{RecoveryKey: secretOf(string(key.Key))}})
	wantKind(t, err, ipc.WrongPassword)
	_, err = d.SetRecoveryPassword(t.Context(), p, ipc.SetRecoveryRequest{Password: secretOf("too short")})
	wantKind(t, err, ipc.InvalidArgument)
	if _, err := d.Code(t.Context(), p, "alice", ipc.CodeRequest{}); err != nil {
		t.Errorf("a code after rotating: %v", err)
	}
}

func TestRecoveryGuessesAreThrottled(t *testing.T) {
	k := newClock()
	d := start(t, func(c *daemon.Config) { c.Clock = k.clock() })
	alice, bob := caller("1000"), caller("1001")
	initSoft(t, d, alice)
	initSoft(t, d, bob)
	guess := func(p ipc.Principal, password string) error {
		_, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: ipc.Auth{RecoveryPassword: secretOf(password)}})
		return err
	}
	for range 3 {
		wantKind(t, guess(alice, other), ipc.WrongPassword)
	}
	var e *ipc.Error
	if err := guess(alice, recovery); !errors.As(err, &e) || e.Kind != ipc.Throttled || e.RetryAfter < 1 {
		t.Errorf("the fourth guess at once: %v", err)
	}
	if err := guess(bob, recovery); err != nil {
		t.Errorf("another user is throttled too: %v", err)
	}
	k.pass(time.Second)
	if err := guess(alice, recovery); err != nil {
		t.Errorf("after waiting: %v", err)
	}
}

func TestBackupAndRestore(t *testing.T) {
	d := start(t, nil)
	alice, bob := caller("1000"), caller("1001")
	initSoft(t, d, alice)
	add(t, d, alice, aliceURI)
	warned := func(p ipc.Principal, code string) bool {
		s, err := d.Status(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range s.Warnings {
			if w.Code == code {
				if w.Fix == "" {
					t.Errorf("warning %s names no command", code)
				}
				return true
			}
		}
		return false
	}
	if !warned(alice, "no-backup") || !warned(alice, "software-token") || warned(alice, "no-recovery-password") {
		t.Error("the warnings are wrong before a backup")
	}
	open, err := d.CreateBackup(t.Context(), alice)
	if err != nil || open.Accounts != 1 || len(open.OpenedBy) != 2 {
		t.Fatalf("backup: %+v, %v", open, err)
	}
	if err := d.Lock(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	b, err := d.CreateBackup(t.Context(), alice)
	if err != nil || b.Accounts != -1 || b.Generation != open.Generation {
		t.Fatalf("backup of a locked vault: %+v, %v", b, err)
	}
	if s := state(t, d, alice); !s.LastBackup.IsZero() || !warned(alice, "no-backup") {
		t.Errorf("a backup that nobody said was written counts: %v", s.LastBackup)
	}
	confirm(t, d, alice, b, "/stick/alice.tokend")
	if s := state(t, d, alice); s.LastBackup.IsZero() || warned(alice, "no-backup") || warned(alice, "backup-stale") {
		t.Errorf("the last backup is told as %v", s.LastBackup)
	}
	inspect := func(p ipc.Principal, a ipc.Auth, data []byte) (ipc.BackupContents, error) {
		return d.InspectBackup(t.Context(), p, ipc.InspectBackupRequest{Auth: a, Data: data})
	}
	c, err := inspect(bob, ipc.Auth{RecoveryPassword: secretOf(recovery)}, b.Data)
	if err != nil || len(c.Accounts) != 1 || c.Accounts[0].Name != "alice" || c.VaultID != b.VaultID {
		t.Errorf("inspected: %+v, %v", c, err)
	}
	_, err = inspect(bob, ipc.Auth{RecoveryPassword: secretOf(other)}, b.Data)
	wantKind(t, err, ipc.WrongPassword)
	if _, err := inspect(alice, ipc.Auth{PIN: secretOf(passphrase)}, b.Data); err != nil {
		t.Errorf("the owner's key file opens his backup: %v", err)
	}
	_, err = inspect(bob, ipc.Auth{PIN: secretOf(passphrase)}, b.Data)
	wantKind(t, err, ipc.TokenNotPresent)
	_, err = inspect(bob, ipc.Auth{RecoveryPassword: secretOf(recovery)}, []byte("not a backup"))
	wantKind(t, err, ipc.BackupDamaged)
	damaged := append([]byte(nil), b.Data...)
	damaged[len(damaged)/2] ^= 1
	_, err = inspect(bob, ipc.Auth{RecoveryPassword: secretOf(recovery)}, damaged)
	wantKind(t, err, ipc.BackupDamaged)
	if state(t, d, bob).State != ipc.VaultNone {
		t.Error("inspecting made a vault")
	}

	restore := func(p ipc.Principal, signer string) (ipc.RestoreResult, error) {
		return d.RestoreBackup(t.Context(), p, ipc.RestoreBackupRequest{
			Auth: ipc.Auth{RecoveryPassword: secretOf(recovery)}, Data: b.Data, Signer: signer,
			From: ipc.BackupFile{Path: "/stick/restored.tokend", Volume: "another"},
		})
	}
	_, err = restore(alice, "")
	wantKind(t, err, ipc.AlreadyExists)
	if _, err = restore(bob, strings.Repeat("00", 32)); err == nil {
		t.Error("another signer was accepted")
	}
	r, err := restore(bob, c.Signer)
	if err != nil || r.Vault.State != ipc.VaultUnlocked || len(r.Accounts) != 1 {
		t.Fatalf("restored: %+v, %v", r, err)
	}
	if _, err := d.Code(t.Context(), bob, "alice", ipc.CodeRequest{}); err != nil {
		t.Errorf("a code of the restored vault: %v", err)
	}
	// What it came from is known, and what opens that.
	st, err := d.BackupStatus(t.Context(), bob)
	if err != nil || st.Newest == nil || slices.ContainsFunc(st.Problems, func(p ipc.BackupProblem) bool {
		return p.Code == ipc.BackupNone || p.Code == ipc.BackupSameDisk
	}) {
		t.Errorf("status after the restore: %+v, %v", st, err)
	}
	gone, err := d.RemoveAccounts(t.Context(), bob, ipc.RemoveAccountsRequest{Accounts: []string{"alice"}})
	if err != nil || gone.LastBackup.IsZero() || !slices.Contains(gone.Accounts[0].InBackups, "/stick/restored.tokend") {
		t.Errorf("removing what was restored: %+v, %v", gone, err)
	}
	list, err := d.Tokens(t.Context(), bob)
	if err != nil || len(list.Tokens) != 1 {
		t.Fatalf("tokens: %+v, %v", list, err)
	}
	info, err := d.TokenInfo(t.Context(), bob, list.Tokens[0].ID)
	if err != nil || !slices.Contains(info.Backups, "/stick/restored.tokend") {
		t.Errorf("what the token opens: %+v, %v", info, err)
	}
	_, err = d.RestoreBackup(t.Context(), bob, ipc.RestoreBackupRequest{Data: b.Data, From: ipc.BackupFile{Path: "/a\nb"}})
	wantKind(t, err, ipc.InvalidArgument)
}

func TestARestartKeepsEverything(t *testing.T) {
	cfg := daemon.Config{
		StateDir: t.TempDir(), Mode: daemon.ModeSystem, ScryptLogN: cheapLogN,
		Drivers: map[tokens.Kind]tokens.Driver{tokens.KindSoft: softDriver()},
	}
	p := caller("1000")
	first, err := daemon.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	initSoft(t, first, p)
	add(t, first, p, aliceURI)
	backup(t, first, p, "/stick/a.tokend")
	made := state(t, first, p)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = first.Status(t.Context(), p)
	wantKind(t, err, ipc.Cancelled)
	second, err := daemon.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	now := state(t, second, p)
	if now.State != ipc.VaultIsLocked || !now.LastBackup.Equal(made.LastBackup) || !now.RecoverySet.Equal(made.RecoverySet) {
		t.Errorf("after a restart: %+v", now)
	}
	list, err := second.Tokens(t.Context(), p)
	if err != nil || len(list.Tokens) != 1 || list.Tokens[0].LastUsed.IsZero() {
		t.Errorf("after a restart the token is %+v, %v", list.Tokens, err)
	}
	if now.Accounts != 0 {
		t.Error("a locked vault tells how many accounts it has")
	}
	if _, err := second.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: ipc.Auth{PIN: secretOf(passphrase)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Code(t.Context(), p, "alice", ipc.CodeRequest{}); err != nil {
		t.Error(err)
	}
}
