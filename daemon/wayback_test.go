package daemon_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
)

// confirm says that a backup was written.
func confirm(t *testing.T, d *daemon.Daemon, p ipc.Principal, b ipc.Backup, name string) {
	t.Helper()
	r, err := d.ConfirmBackup(t.Context(), p, ipc.ConfirmBackupRequest{Name: name, SHA256: b.SHA256})
	if err != nil || r.LastBackup.IsZero() {
		t.Fatalf("confirm: %+v, %v", r, err)
	}
}

// backup makes a backup that counts.
func backup(t *testing.T, d *daemon.Daemon, p ipc.Principal, name string) ipc.Backup {
	t.Helper()
	b, err := d.CreateBackup(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	confirm(t, d, p, b, name)
	return b
}

// ruin damages every container in a user's folder.
func ruin(t *testing.T, folder string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "generations", "*.tokend"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, filepath.Join(folder, "vault.tokend")) {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 0x40
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func fixOf(list []ipc.Warning, code string) string {
	for _, w := range list {
		if w.Code == code {
			return w.Fix
		}
	}
	return ""
}

func has(warnings []ipc.Warning, code string) bool {
	return slices.ContainsFunc(warnings, func(w ipc.Warning) bool { return w.Code == code })
}

func saidIn(list []ipc.Warning, part string) bool {
	return slices.ContainsFunc(list, func(w ipc.Warning) bool { return strings.Contains(w.Message, part) })
}

// TestRestoreOverADamagedVault goes the way of a user who has a good backup, a
// good token, and a vault of which nothing is left.
func TestRestoreOverADamagedVault(t *testing.T) {
	var dir string
	d := start(t, func(c *daemon.Config) { dir = c.StateDir })
	p := caller("1000")
	initSoft(t, d, p)
	add(t, d, p, "otpauth://hotp/counted?secret=GEZDGNBVGY3TQOJQ&counter=0")
	old := backup(t, d, p, "/stick/old.tokend")
	add(t, d, p, aliceURI)
	restore := func(a ipc.Auth) (ipc.RestoreResult, error) {
		return d.RestoreBackup(t.Context(), p, ipc.RestoreBackupRequest{Auth: a, Data: old.Data})
	}
	pass := func() ipc.Auth { return ipc.Auth{PIN: secretOf(passphrase)} }
	ruin(t, folderOf(dir, p))
	// What is open may be newer than any backup.
	_, err := restore(pass())
	wantKind(t, err, ipc.AlreadyExists)
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	_, err = d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: pass()})
	if e := wantKind(t, err, ipc.VaultDamaged); !strings.Contains(e.Message, "no good generation of it is left") {
		t.Errorf("unlock says %q", e.Message)
	}
	_, err = d.RecoverVault(t.Context(), p, ipc.RecoverVaultRequest{Auth: pass(), Apply: true})
	wantKind(t, err, ipc.VaultDamaged)
	_, err = d.Init(t.Context(), p, ipc.InitRequest{RecoveryPassword: secretOf(recovery)})
	wantKind(t, err, ipc.AlreadyExists)
	s, err := d.Status(t.Context(), p)
	if err != nil || s.Vault.State != ipc.VaultBroken || fixOf(s.Warnings, "vault-damaged") != "tokenctl backup restore FILE" {
		t.Errorf("status: %+v, %v", s, err)
	}
	// A passphrase that is wrong leaves everything where it is.
	_, err = restore(ipc.Auth{PIN: secretOf("not the passphrase")})
	wantKind(t, err, ipc.PINInvalid)
	aside := func() []string {
		found, _ := filepath.Glob(filepath.Join(folderOf(dir, p), "aside-*"))
		return found
	}
	if len(aside()) != 0 {
		t.Errorf("put aside in vain: %v", aside())
	}
	r, err := restore(pass())
	if err != nil || len(r.Accounts) != 1 || r.Vault.State != ipc.VaultUnlocked || r.Vault.Problem != nil || len(aside()) != 1 {
		t.Fatalf("restore: %+v, %v, aside %v", r, err, aside())
	}
	for _, part := range []string{aside()[0], "was the newest here", "the counters of 1 HOTP account skip 8"} {
		if !saidIn(r.Notices, part) {
			t.Errorf("%q is not said: %+v", part, r.Notices)
		}
	}
	doctor, err := d.Doctor(t.Context(), p)
	if err != nil || !slices.ContainsFunc(doctor.Findings, func(f ipc.Finding) bool { return f.Code == "put-aside" && f.Fix == "sudo rm -r "+aside()[0] }) {
		t.Errorf("the doctor does not name it: %+v, %v", doctor, err)
	}
	if _, err := d.Code(t.Context(), p, "counted", ipc.CodeRequest{}); err != nil {
		t.Error(err)
	}
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if u, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: pass()}); err != nil || len(u.Notices) != 0 {
		t.Errorf("unlocked afterwards: %+v, %v", u, err)
	}
	// Rotating the keys leaves what was put aside, and says so.
	rot, err := d.RotateRecovery(t.Context(), p, ipc.SetRecoveryRequest{Auth: pass(), Password: secretOf("a new recovery password")})
	if err != nil || !saidIn(rot.Warnings, aside()[0]) {
		t.Errorf("rotate: %+v, %v", rot.Warnings, err)
	}
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	_, err = restore(pass())
	wantKind(t, err, ipc.AlreadyExists)
}

func TestRestoreSaysWhatIsWrongWithTheSigner(t *testing.T) {
	d := start(t, nil)
	alice, bob := caller("1000"), caller("1001")
	made := initSoft(t, d, alice)
	b := backup(t, d, alice, "/stick/a.tokend")
	restore := func(signer string) error {
		_, err := d.RestoreBackup(t.Context(), bob, ipc.RestoreBackupRequest{
			Auth: ipc.Auth{RecoveryPassword: secretOf(recovery)}, Data: b.Data, Signer: signer,
		})
		return err
	}
	for _, bad := range []string{"1234", "not hexadecimal", made.Vault.Signer + "00"} {
		wantKind(t, restore(bad), ipc.InvalidArgument)
	}
	e := wantKind(t, restore(strings.Repeat("ab", 32)), ipc.BackupUnknown)
	if !strings.Contains(e.Message, "it is signed by "+made.Vault.Signer) {
		t.Errorf("another signer: %q", e.Message)
	}
	if s := state(t, d, bob); s.State != ipc.VaultNone {
		t.Errorf("a refused backup left %+v", s)
	}
	if err := restore(" " + strings.ToUpper(made.Vault.Signer) + "\n"); err != nil {
		t.Error(err)
	}
}

// TestOldBackupsAreTrue: only what was written, under the name that it has, and
// only where it still opens.
func TestOldBackupsAreTrue(t *testing.T) {
	k := newClock()
	d := start(t, func(c *daemon.Config) { c.Clock = k.clock() })
	p := caller("1000")
	first := initSoft(t, d, p)
	before := backup(t, d, p, "/stick/before.tokend")
	if _, err := d.CreateBackup(t.Context(), p); err != nil { // never written
		t.Fatal(err)
	}
	k.pass(time.Minute)
	e, err := d.EnrollToken(t.Context(), p, ipc.EnrollRequest{Kind: "soft", Label: "second", PIN: secretOf("a second passphrase"), Auth: ipc.Auth{PIN: secretOf(passphrase)}})
	if err != nil {
		t.Fatal(err)
	}
	k.pass(time.Minute)
	both := backup(t, d, p, "/stick/both.tokend")
	confirm(t, d, p, both, "/stick/both.tokend") // said twice
	confirm(t, d, p, both, "/home/both.tokend")  // and copied
	k.pass(time.Minute)

	for name, r := range map[string]ipc.ConfirmBackupRequest{
		"a checksum nobody was given": {Name: "/x", SHA256: strings.Repeat("0", 64)},
		"no checksum":                 {Name: "/x"},
	} {
		if _, err := d.ConfirmBackup(t.Context(), p, r); ipc.KindOf(err) != ipc.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"", "a\nb", strings.Repeat("x", 5000)} {
		_, err := d.ConfirmBackup(t.Context(), p, ipc.ConfirmBackupRequest{Name: name, SHA256: before.SHA256})
		wantKind(t, err, ipc.InvalidArgument)
	}
	initSoft(t, d, caller("1001"))
	_, err = d.ConfirmBackup(t.Context(), caller("1001"), ipc.ConfirmBackupRequest{Name: "/x", SHA256: before.SHA256})
	wantKind(t, err, ipc.NotFound)

	rev, err := d.RevokeToken(t.Context(), p, "second", ipc.RevokeRequest{Confirm: e.Token.ID, Auth: ipc.Auth{Token: first.Token.ID, PIN: secretOf(passphrase)}})
	if want := []string{"/stick/both.tokend", "/home/both.tokend"}; err != nil || !slices.Equal(rev.OldBackups, want) {
		t.Fatalf("the revoked token opens %v, %v; want %v", rev.OldBackups, err, want)
	}
	if rev.Vault.Signer == first.Vault.Signer || !saidIn(rev.Warnings, rev.Vault.Signer) || !has(rev.Warnings, "signer-changed") {
		t.Errorf("the new signer is not told: %+v", rev)
	}
	k.pass(time.Minute)
	set, err := d.SetRecoveryPassword(t.Context(), p, ipc.SetRecoveryRequest{Password: secretOf("a second recovery password"), Auth: ipc.Auth{PIN: secretOf(passphrase)}})
	if want := []string{"/stick/before.tokend", "/stick/both.tokend", "/home/both.tokend"}; err != nil || !slices.Equal(set.OldBackups, want) || has(set.Warnings, "signer-changed") {
		t.Fatalf("the first password opens %v, %v", set.OldBackups, err)
	}
	k.pass(time.Minute)
	rot, err := d.RotateRecovery(t.Context(), p, ipc.SetRecoveryRequest{Password: secretOf("a third recovery password"), Auth: ipc.Auth{PIN: secretOf(passphrase)}})
	if err != nil || len(rot.OldBackups) != 0 || !has(rot.Warnings, "signer-changed") {
		t.Fatalf("the second password opens %v, %v; %+v", rot.OldBackups, err, rot.Warnings)
	}
	if _, err := d.RevokeToken(t.Context(), p, first.Token.ID, ipc.RevokeRequest{Confirm: first.Token.ID, Auth: ipc.Auth{PIN: secretOf(passphrase)}}); err != nil {
		t.Fatal(err)
	}
	if s, err := d.Status(t.Context(), p); err != nil || !has(s.Warnings, "recovery-only") {
		t.Errorf("that the password alone opens it is not said: %+v, %v", s.Warnings, err)
	}
}

// TestLabelsAreSealed: after a restart nothing here knows what the user calls
// his tokens, and the error says so.
func TestLabelsAreSealed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	p := caller("1000")
	use := func(c *daemon.Config) { c.StateDir = dir }
	first := start(t, use)
	made := initSoft(t, first, p)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	d := start(t, use)
	unlock := func(name string) error {
		_, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: ipc.Auth{Token: name, PIN: secretOf(passphrase)}})
		return err
	}
	e := wantKind(t, unlock("key file"), ipc.NotFound)
	if !strings.Contains(e.Message, "sealed") || len(e.Items) != 1 || e.Items[0].ID != made.Token.ID {
		t.Errorf("%q, %+v", e.Message, e.Items)
	}
	if err := unlock(made.Token.ID); err != nil {
		t.Fatal(err)
	}
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if err := unlock("key file"); err != nil {
		t.Errorf("a label that was seen is not known: %v", err)
	}
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if e := wantKind(t, unlock("no such label"), ipc.NotFound); strings.Contains(e.Message, "sealed") {
		t.Errorf("%q", e.Message)
	}
}

// lines is a log to look into.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestFolderRemovedUnderTheDaemon(t *testing.T) {
	var dir string
	var log lines
	d := start(t, func(c *daemon.Config) { dir = c.StateDir; c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	p := caller("1000")
	initSoft(t, d, p)
	add(t, d, p, aliceURI)
	b := backup(t, d, p, "/stick/a.tokend")
	if err := os.RemoveAll(folderOf(dir, p)); err != nil {
		t.Fatal(err)
	}
	// What is open may be all that is left: it goes on, and is told.
	if _, err := d.Code(t.Context(), p, "alice", ipc.CodeRequest{}); err != nil {
		t.Errorf("a code: %v", err)
	}
	s, err := d.Status(t.Context(), p)
	if err != nil || s.Vault.State != ipc.VaultUnlocked || s.Vault.Problem == nil || !has(s.Warnings, "vault-gone") {
		t.Errorf("status: %+v, %v", s, err)
	}
	_, err = d.AddAccounts(t.Context(), p, ipc.AddAccountsRequest{Accounts: []ipc.NewAccount{{Name: "x", Secret: secretOf("GEZDGNBVGY3TQOJQ")}}})
	if e := wantKind(t, err, ipc.VaultDamaged); e.Err == nil {
		t.Error("the failure has no cause for the log")
	}
	restore := func() (ipc.RestoreResult, error) {
		return d.RestoreBackup(t.Context(), p, ipc.RestoreBackupRequest{Auth: ipc.Auth{RecoveryPassword: secretOf(recovery)}, Data: b.Data})
	}
	_, err = restore()
	wantKind(t, err, ipc.AlreadyExists)
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if s := state(t, d, p); s.State != ipc.VaultNone {
		t.Errorf("after the lock: %+v", s)
	}
	if !strings.Contains(log.String(), "was removed or replaced while the daemon ran") {
		t.Errorf("the log does not say it: %s", log.String())
	}
	_, err = d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: ipc.Auth{PIN: secretOf(passphrase)}})
	wantKind(t, err, ipc.NoVault)
	if r, err := restore(); err != nil || len(r.Accounts) != 1 {
		t.Fatalf("restore: %+v, %v", r, err)
	}
	add(t, d, p, "otpauth://totp/new?secret=GEZDGNBVGY3TQOJQ")
	if a, err := d.Audit(t.Context(), p); err != nil || len(a.Entries) == 0 || !a.Intact {
		t.Errorf("the audit log begun anew: %+v, %v", a, err)
	}
}
