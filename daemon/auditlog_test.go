package daemon_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
)

// leaves says of each method of the backend what it leaves in the user's audit:
// the action, or nothing, and then why.
func leaves() map[string]string {
	const (
		looks  = "" // it changes nothing and hands out no secret
		steps  = "-what an authority answers is in the audit when it comes: TestManaged and those beside it"
		around = "-it is about the connection, not about the vault"
	)
	return map[string]string{
		"Status": looks, "Events": looks, "Doctor": looks, "Audit": looks, "AuditEntries": looks, "VerifyAudit": looks, "CheckpointAudit": looks,
		"Leaving": looks, "Accounts": looks, "Account": looks, "Tokens": looks, "TokenInfo": looks, "Undos": looks, "Grants": looks,
		"BackupList": looks, "BackupStatus": looks, "Destinations": looks, "Conversations": looks,
		"Init": "init", "Unlock": "unlock", "Lock": "lock", "RecoverVault": "vault-recover", "Purge": "purge",
		"AddAccounts": "account-add", "EditAccount": "account-edit", "MoveAccount": "account-move", "RemoveAccount": "account-remove",
		"RemoveAccounts": "account-remove", "ImportAccounts": "account-import", "Undo": "undo", "RevealAccount": "account-reveal",
		"ExportAccounts": "account-export", "Code": "code",
		"EnrollToken": "token-enroll", "RevokeToken": "token-revoke", "TestToken": "token-test", "RenameToken": "token-rename", "ChangePIN": "token-pin",
		"WipeToken": "token-wipe", "MakeSecurityKey": "security-key-make",
		"SetRecoveryPassword": "recovery-set", "DeclineRecovery": "recovery-decline", "CheckRecovery": "recovery-check",
		"ShowRecoveryKey": "recovery-show-key", "RotateRecovery": "recovery-rotate",
		"CreateBackup": "backup", "ConfirmBackup": "backup-confirm", "InspectBackup": "backup-inspect", "DrillBackup": "drill", "RestoreBackup": "restore",
		"MergeBackup": "backup-merge", "SetGrantMode": "grant-mode", "AllowGrant": "grant", "RevokeGrants": "grant-revoke", "Agent": around, "AnswerAgent": "-the grant is, by whom it was asked for",
		"AddDestination": "backup-destination", "RemoveDestination": "backup-destination", "PlanBackupRun": "-the backup is made by itself, and handed out by SpooledBackup", "SpooledBackup": "backup",
		"ReportBackupRun": "backup-run", "AgreeToDrop": "backup-agree",
		"Activate": "activate", "Reactivate": "reactivate", "GiveFactor": steps, "PollConversation": steps, "ProveAgain": steps, "TakeAnswer": steps,
		"AskQuestions": steps, "AnswerQuestion": steps, "AskNotices": steps, "AskDevices": steps, "RevokeDevice": steps,
	}
}

// TestEveryMethodIsInTheAuditOrNot: a new method has to say what it leaves.
func TestEveryMethodIsInTheAuditOrNot(t *testing.T) {
	rows := leaves()
	all := reflect.TypeFor[ipc.Backend]()
	for i := range all.NumMethod() {
		name := all.Method(i).Name
		if _, ok := rows[name]; !ok {
			t.Errorf("what does %s leave in the audit?", name)
		}
	}
	if len(rows) != all.NumMethod() {
		t.Errorf("%d methods, %d rows", all.NumMethod(), len(rows))
	}
}

// TestDeedsAreInTheAudit does what a software token allows, rightly and wrongly.
func TestDeedsAreInTheAudit(t *testing.T) {
	c := newClock()
	d := start(t, func(cfg *daemon.Config) {
		cfg.Clock, cfg.Limits = c.clock(), daemon.Limits{Idle: 1000 * time.Hour, Hard: 1000 * time.Hour}
	})
	ctx, p := t.Context(), caller("1000")
	rows := leaves()
	var seen uint64
	left := func(method string, ok bool, err error) {
		t.Helper()
		if ok != (err == nil) {
			t.Errorf("%s: %v", method, err)
		}
		page, err := d.AuditEntries(ctx, p, ipc.AuditQuery{After: seen})
		if err != nil || !page.Intact {
			t.Fatalf("%+v, %v", page, err)
		}
		if !slices.ContainsFunc(page.Entries, func(e ipc.AuditEntry) bool {
			// A session is ended by the daemon, whoever asked for it.
			mine := e.By == "1000" && e.From == "local uid=1000 pid=4711" || method == "Lock" && e.By == "tokend"
			return e.Action == rows[method] && e.OK == ok && mine
		}) {
			t.Errorf("%s (%v) left %+v", method, ok, page.Entries)
		}
		for _, e := range page.Entries {
			seen = e.Seq
		}
		c.pass(time.Hour) // wrong passwords in a row are throttled
	}
	one := func(_ any, err error) error { return err }
	wrong := func() ipc.Auth { return ipc.Auth{RecoveryPassword: secretOf("not the password")} }
	right := func() ipc.Auth { return ipc.Auth{RecoveryPassword: secretOf(recovery)} }

	made := initSoft(t, d, p)
	left("Init", true, nil)
	a := add(t, d, p, aliceURI)
	left("AddAccounts", true, nil)
	left("EditAccount", true, one(d.EditAccount(ctx, p, a.ID, ipc.EditAccountRequest{Note: new("a note")})))
	left("MoveAccount", true, one(d.MoveAccount(ctx, p, a.ID, ipc.MoveAccountRequest{Position: 0})))
	left("Code", true, one(d.Code(ctx, p, a.ID, ipc.CodeRequest{})))
	left("RevealAccount", true, one(d.RevealAccount(ctx, p, a.ID, ipc.RevealRequest{Auth: right()})))
	left("RenameToken", true, one(d.RenameToken(ctx, p, made.Token.ID, ipc.RenameTokenRequest{Label: "other"})))
	left("SetGrantMode", true, one(d.SetGrantMode(ctx, p, ipc.SetGrantModeRequest{Mode: ipc.GrantAsk})))
	left("CreateBackup", true, one(d.CreateBackup(ctx, p)))
	left("CheckRecovery", true, one(d.CheckRecovery(ctx, p, ipc.CheckRecoveryRequest{Password: secretOf(recovery)})))
	left("CheckRecovery", false, one(d.CheckRecovery(ctx, p, ipc.CheckRecoveryRequest{Password: secretOf(other)})))
	left("ShowRecoveryKey", false, one(d.ShowRecoveryKey(ctx, p, ipc.ShowRecoveryKeyRequest{Password: secretOf(other)})))
	left("SetRecoveryPassword", false, one(d.SetRecoveryPassword(ctx, p, ipc.SetRecoveryRequest{Password: secretOf(other), Auth: wrong()})))
	left("RotateRecovery", true, one(d.RotateRecovery(ctx, p, ipc.SetRecoveryRequest{Password: secretOf(other), Auth: right()})))
	left("RemoveAccount", true, one(d.RemoveAccount(ctx, p, a.ID, ipc.RemoveAccountRequest{Confirm: a.ID})))
	left("Lock", true, d.Lock(ctx, p))
	left("Unlock", false, one(d.Unlock(ctx, p, ipc.UnlockRequest{Auth: wrong()})))
	left("Unlock", true, one(d.Unlock(ctx, p, ipc.UnlockRequest{Auth: ipc.Auth{RecoveryPassword: secretOf(other)}})))
}

// logged is the daemon's own log.
type logged struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(b)
}

func (l *logged) has(word string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.String(), word)
}

// TestVaultCheckpoints: the vault's key signs while it is open; the chain holds it
// when it is locked and after the keys were rotated, and does not once its end was
// cut off.
func TestVaultCheckpoints(t *testing.T) {
	var log logged
	dir := t.TempDir()
	begin := func() *daemon.Daemon {
		d, err := daemon.New(daemon.Config{StateDir: dir, Mode: daemon.ModeSystem, ScryptLogN: cheapLogN, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		return d
	}
	d := begin()
	ctx, p := t.Context(), caller("1000")
	if _, err := d.CheckpointAudit(ctx, p); ipc.KindOf(err) != ipc.NoVault {
		t.Errorf("without a vault: %v", err)
	}
	if _, err := d.Init(ctx, p, ipc.InitRequest{RecoveryPassword: secretOf(recovery)}); err != nil {
		t.Fatal(err)
	}
	add(t, d, p, aliceURI)
	point, err := d.CheckpointAudit(ctx, p)
	if err != nil || point.Seq == 0 || !log.has("checkpoint="+point.Checkpoint) {
		t.Fatalf("%+v, %v", point, err)
	}
	if err := d.Lock(ctx, p); err != nil {
		t.Fatal(err)
	}
	_, err = d.CheckpointAudit(ctx, p)
	wantKind(t, err, ipc.VaultLocked)
	standing := func(d *daemon.Daemon, p ipc.Principal) ipc.CheckpointStanding {
		t.Helper()
		v, err := d.VerifyAudit(ctx, p, ipc.VerifyAuditRequest{Checkpoints: []string{point.Checkpoint}})
		if err != nil || !v.Intact || len(v.Checkpoints) != 1 {
			t.Fatalf("%+v, %v", v, err)
		}
		return v.Checkpoints[0].Standing
	}
	if s := standing(d, p); s != ipc.CheckpointHeld {
		t.Errorf("while it is locked: %s", s)
	}
	bob := caller("1001")
	if _, err := d.Init(ctx, bob, ipc.InitRequest{RecoveryPassword: secretOf(other)}); err != nil {
		t.Fatal(err)
	}
	if s := standing(d, bob); s != ipc.CheckpointOther {
		t.Errorf("to another user: %s", s)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "users", "1000", "audit.log")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data[:bytes.IndexByte(data, '\n')+1], 0o600); err != nil {
		t.Fatal(err)
	}
	if s := standing(begin(), p); s != ipc.CheckpointCut {
		t.Errorf("its end cut off: %s", s)
	}
}

// TestCheckpointsComeDaily: the daemon's log has one soon after a vault was opened,
// the next a day later, and none where nothing was added.
func TestCheckpointsComeDaily(t *testing.T) {
	var log logged
	c := newClock()
	d := start(t, func(cfg *daemon.Config) {
		cfg.Clock, cfg.Log = c.clock(), slog.New(slog.NewTextHandler(&log, nil))
		cfg.Limits.Hard, cfg.Limits.Idle = 100*time.Hour, 100*time.Hour
	})
	p := caller("1000")
	initSoft(t, d, p)
	a := add(t, d, p, aliceURI)
	count := func() int {
		log.mu.Lock()
		defer log.mu.Unlock()
		return strings.Count(log.String(), `msg="audit checkpoint" of=vault uid=1000`)
	}
	until := func(n int) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); count() < n; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the log has %d, want %d", count(), n)
			}
		}
	}
	until(1)
	if _, err := d.Code(t.Context(), p, a.ID, ipc.CodeRequest{}); err != nil {
		t.Fatal(err)
	}
	c.pass(25 * time.Hour)
	until(2)
	if n := count(); n != 2 {
		t.Errorf("%d checkpoints", n)
	}
}
