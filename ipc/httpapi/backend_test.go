package httpapi_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/httpapi"
	"github.com/tokenbridge/tokend/ipc/local"
)

var (
	noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	mail = ipc.Account{
		ID: "a1", Issuer: "Example", Name: "alice@example.com", Kind: "third-party", Class: "session",
		Type: "totp", Algorithm: "SHA1", Digits: 6, Period: 30, Created: noon,
	}
)

// backend answers every call with something that shows what came in. What is
// under test here is the way in and out; the embedded interface is nil, so a
// method that is missing below panics.
type backend struct {
	ipc.Backend
	mu      sync.Mutex
	calls   []string
	callers []ipc.Principal
	waiting chan struct{} // a touch wait has begun
	request string        // what the last code's request was called
	ended   chan error    // and has ended with ctx's error
	events  func(ctx context.Context, send func(ipc.Event) error) error
	body    any // the last request
}

func newBackend() *backend {
	return &backend{waiting: make(chan struct{}, 8), ended: make(chan error, 8)}
}

func (b *backend) note(p ipc.Principal, call string, body any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, call)
	b.callers = append(b.callers, p)
	b.body = body
}

func (b *backend) seen() (calls []string, callers []ipc.Principal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.calls...), append([]ipc.Principal(nil), b.callers...)
}

func (b *backend) Status(_ context.Context, p ipc.Principal) (ipc.Status, error) {
	b.note(p, "Status", nil)
	return ipc.Status{
		Version: 1,
		Daemon:  ipc.Daemon{Version: "1.0.0", Mode: "user", PID: 4711, Socket: "/run/user/1000/tokend/tokend.sock", Time: noon, Started: noon, Helper: "ok"},
		Vault:   ipc.Vault{State: ipc.VaultUnlocked, ID: "v1", Epoch: 1, Generation: 3, UnlockedBy: "desk key", Accounts: 1},
		Grants:  ipc.GrantState{Mode: ipc.GrantOff},
	}, nil
}

func (b *backend) Events(ctx context.Context, p ipc.Principal, send func(ipc.Event) error) error {
	b.note(p, "Events", nil)
	if b.events != nil {
		return b.events(ctx, send)
	}
	if err := send(ipc.Event{Version: 1, Type: ipc.EventState, Time: noon, Vault: &ipc.Vault{State: ipc.VaultIsLocked}}); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (b *backend) Doctor(_ context.Context, p ipc.Principal) (ipc.Findings, error) {
	b.note(p, "Doctor", nil)
	return ipc.Findings{Version: 1}, nil
}

func (b *backend) Audit(_ context.Context, p ipc.Principal) (ipc.AuditLog, error) {
	b.note(p, "Audit", nil)
	return ipc.AuditLog{Version: 1, Intact: true}, nil
}

func (b *backend) AuditEntries(_ context.Context, p ipc.Principal, q ipc.AuditQuery) (ipc.AuditPage, error) {
	b.note(p, "AuditEntries", q)
	return ipc.AuditPage{Version: 1, Intact: true}, nil
}

func (b *backend) CheckpointAudit(_ context.Context, p ipc.Principal) (ipc.AuditCheckpoint, error) {
	b.note(p, "CheckpointAudit", nil)
	return ipc.AuditCheckpoint{Version: 1, Checkpoint: "tokend-checkpoint-1.0123.1", Seq: 1, Time: noon}, nil
}

func (b *backend) VerifyAudit(_ context.Context, p ipc.Principal, r ipc.VerifyAuditRequest) (ipc.AuditVerdict, error) {
	b.note(p, "VerifyAudit", r)
	return ipc.AuditVerdict{Version: 1, Intact: true}, nil
}

func (b *backend) Init(_ context.Context, p ipc.Principal, r ipc.InitRequest) (ipc.InitResult, error) {
	b.note(p, "Init", r)
	return ipc.InitResult{Version: 1, Vault: ipc.Vault{State: ipc.VaultUnlocked}}, nil
}

func (b *backend) Unlock(_ context.Context, p ipc.Principal, r ipc.UnlockRequest) (ipc.UnlockResult, error) {
	b.note(p, "Unlock", r)
	if string(r.Auth.PIN) != "123456" {
		n := 2
		return ipc.UnlockResult{}, &ipc.Error{Kind: ipc.PINInvalid, Message: "the PIN is wrong",
			Token: &ipc.TokenRef{ID: "k1", Label: "desk key", Kind: "piv"}, TriesLeft: &n}
	}
	return ipc.UnlockResult{Version: 1, Vault: ipc.Vault{State: ipc.VaultUnlocked}}, nil
}

func (b *backend) Lock(_ context.Context, p ipc.Principal) error {
	b.note(p, "Lock", nil)
	return nil
}

func (b *backend) RecoverVault(_ context.Context, p ipc.Principal, r ipc.RecoverVaultRequest) (ipc.RecoverVaultResult, error) {
	b.note(p, "RecoverVault", r)
	return ipc.RecoverVaultResult{Version: 1, Applied: r.Apply}, nil
}

func (b *backend) Accounts(_ context.Context, p ipc.Principal) (ipc.AccountList, error) {
	b.note(p, "Accounts", nil)
	return ipc.AccountList{Version: 1, Accounts: []ipc.Account{mail}}, nil
}

func (b *backend) Account(_ context.Context, p ipc.Principal, id string) (ipc.Account, error) {
	b.note(p, "Account "+id, nil)
	switch id {
	case "panic":
		panic("a secret value")
	case "plain":
		return ipc.Account{}, errors.New("a secret cause")
	case "none":
		return ipc.Account{}, ipc.Errorf(ipc.NotFound, "there is no such account")
	}
	return mail, nil
}

func (b *backend) AddAccounts(_ context.Context, p ipc.Principal, r ipc.AddAccountsRequest) (ipc.AccountList, error) {
	b.note(p, "AddAccounts", r)
	return ipc.AccountList{Version: 1, Accounts: []ipc.Account{mail}}, nil
}

func (b *backend) ImportAccounts(_ context.Context, p ipc.Principal, r ipc.ImportRequest) (ipc.Plan, error) {
	b.note(p, "ImportAccounts", r)
	return ipc.Plan{Version: 1, Source: r.Source, Added: len(r.Accounts), Applied: r.Apply, Vault: ipc.Vault{State: ipc.VaultUnlocked}}, nil
}

func (b *backend) Undos(_ context.Context, p ipc.Principal) (ipc.UndoList, error) {
	b.note(p, "Undos", nil)
	return ipc.UndoList{Version: 1}, nil
}

func (b *backend) Undo(_ context.Context, p ipc.Principal, r ipc.UndoRequest) (ipc.Plan, error) {
	b.note(p, "Undo", r)
	return ipc.Plan{Version: 1, Applied: r.Apply}, nil
}

func (b *backend) EditAccount(_ context.Context, p ipc.Principal, id string, r ipc.EditAccountRequest) (ipc.Account, error) {
	b.note(p, "EditAccount "+id, r)
	return mail, nil
}

func (b *backend) MoveAccount(_ context.Context, p ipc.Principal, id string, r ipc.MoveAccountRequest) (ipc.AccountList, error) {
	b.note(p, "MoveAccount "+id, r)
	return ipc.AccountList{Version: 1}, nil
}

func (b *backend) RemoveAccount(_ context.Context, p ipc.Principal, id string, r ipc.RemoveAccountRequest) (ipc.RemoveAccountResult, error) {
	b.note(p, "RemoveAccount "+id, r)
	return ipc.RemoveAccountResult{Version: 1, Removed: mail}, nil
}

func (b *backend) RemoveAccounts(_ context.Context, p ipc.Principal, r ipc.RemoveAccountsRequest) (ipc.RemoveAccountsResult, error) {
	b.note(p, "RemoveAccounts", r)
	return ipc.RemoveAccountsResult{Version: 1, Accounts: []ipc.RemovedAccount{{Account: mail, InBackups: []string{"/media/stick/v1.tokend"}}},
		Applied: r.Apply, LastBackup: noon}, nil
}

func (b *backend) Leaving(_ context.Context, p ipc.Principal) (ipc.Leaving, error) {
	b.note(p, "Leaving", nil)
	return ipc.Leaving{Version: 1, Vault: ipc.Vault{State: ipc.VaultIsLocked, ID: "v1"}, Changes: -1}, nil
}

func (b *backend) Purge(_ context.Context, p ipc.Principal, r ipc.PurgeRequest) (ipc.PurgeResult, error) {
	b.note(p, "Purge", r)
	return ipc.PurgeResult{Version: 1, VaultID: r.Confirm}, nil
}

func (b *backend) DeclineRecovery(_ context.Context, p ipc.Principal) error {
	b.note(p, "DeclineRecovery", nil)
	return nil
}

func (b *backend) RevealAccount(_ context.Context, p ipc.Principal, id string, r ipc.RevealRequest) (ipc.Reveal, error) {
	b.note(p, "RevealAccount "+id, r)
	return ipc.Reveal{Version: 1, Account: mail, URI: ipc.Secret("otpauth://totp/x?secret=AAAA")}, nil
}

func (b *backend) ExportAccounts(_ context.Context, p ipc.Principal, r ipc.ExportRequest) (ipc.Export, error) {
	b.note(p, "ExportAccounts", r)
	return ipc.Export{Version: 1, Refused: []ipc.Item{}, Accounts: []ipc.Exported{{Account: mail, URI: ipc.Secret("otpauth://totp/x?secret=AAAA")}}}, nil
}

func (b *backend) Code(ctx context.Context, p ipc.Principal, ref string, r ipc.CodeRequest) (ipc.Code, error) {
	b.mu.Lock()
	b.request = ipc.RequestName(ctx)
	b.mu.Unlock()
	b.note(p, "Code "+ref, r)
	switch ref {
	case "touch":
		b.waiting <- struct{}{}
		<-ctx.Done()
		b.ended <- ctx.Err()
		return ipc.Code{}, ctx.Err()
	case "busy":
		return ipc.Code{}, &ipc.Error{Kind: ipc.Busy, Message: "the token is busy", RetryAfter: 3}
	}
	return ipc.Code{Version: 1, Account: ipc.AccountRef{ID: "a1", Issuer: "Example", Name: "alice@example.com"}, Code: "492039",
		ValidFrom: noon, ValidUntil: noon.Add(30 * time.Second), Period: 30}, nil
}

func (b *backend) Tokens(_ context.Context, p ipc.Principal) (ipc.TokenList, error) {
	b.note(p, "Tokens", nil)
	return ipc.TokenList{Version: 1, Tokens: []ipc.Token{{ID: "k1", Kind: "piv", Label: "desk key"}}}, nil
}

func (b *backend) TokenInfo(_ context.Context, p ipc.Principal, id string) (ipc.TokenInfo, error) {
	b.note(p, "TokenInfo "+id, nil)
	return ipc.TokenInfo{Version: 1, PINTries: 3}, nil
}

func (b *backend) EnrollToken(_ context.Context, p ipc.Principal, r ipc.EnrollRequest) (ipc.EnrollResult, error) {
	b.note(p, "EnrollToken", r)
	return ipc.EnrollResult{Version: 1}, nil
}

func (b *backend) RevokeToken(_ context.Context, p ipc.Principal, id string, r ipc.RevokeRequest) (ipc.RevokeResult, error) {
	b.note(p, "RevokeToken "+id, r)
	return ipc.RevokeResult{Version: 1}, nil
}

func (b *backend) TestToken(_ context.Context, p ipc.Principal, id string, r ipc.TestTokenRequest) (ipc.TestTokenResult, error) {
	b.note(p, "TestToken "+id, r)
	return ipc.TestTokenResult{Version: 1}, nil
}

func (b *backend) RenameToken(_ context.Context, p ipc.Principal, id string, r ipc.RenameTokenRequest) (ipc.Token, error) {
	b.note(p, "RenameToken "+id, r)
	return ipc.Token{ID: id, Label: r.Label}, nil
}

func (b *backend) ChangePIN(_ context.Context, p ipc.Principal, id string, r ipc.ChangePINRequest) error {
	b.note(p, "ChangePIN "+id, r)
	return nil
}

func (b *backend) MakeSecurityKey(_ context.Context, p ipc.Principal, r ipc.MakeSecurityKeyRequest) (ipc.MadeSecurityKey, error) {
	b.note(p, "MakeSecurityKey", r)
	return ipc.MadeSecurityKey{Version: 1, Statement: []byte("statement")}, nil
}

func (b *backend) WipeToken(_ context.Context, p ipc.Principal, id string, r ipc.WipeTokenRequest) (ipc.WipeTokenResult, error) {
	b.note(p, "WipeToken "+id, r)
	return ipc.WipeTokenResult{Version: 1}, nil
}

func (b *backend) SetRecoveryPassword(_ context.Context, p ipc.Principal, r ipc.SetRecoveryRequest) (ipc.RecoveryResult, error) {
	b.note(p, "SetRecoveryPassword", r)
	return ipc.RecoveryResult{Version: 1, Set: noon}, nil
}

func (b *backend) CheckRecovery(_ context.Context, p ipc.Principal, r ipc.CheckRecoveryRequest) (ipc.CheckRecoveryResult, error) {
	b.note(p, "CheckRecovery", r)
	return ipc.CheckRecoveryResult{Version: 1, Set: noon}, nil
}

func (b *backend) ShowRecoveryKey(_ context.Context, p ipc.Principal, r ipc.ShowRecoveryKeyRequest) (ipc.RecoveryKey, error) {
	b.note(p, "ShowRecoveryKey", r)
	return ipc.RecoveryKey{Version: 1, Key: ipc.Secret("AGE-SECRET-KEY-1X")}, nil
}

func (b *backend) RotateRecovery(_ context.Context, p ipc.Principal, r ipc.SetRecoveryRequest) (ipc.RecoveryResult, error) {
	b.note(p, "RotateRecovery", r)
	return ipc.RecoveryResult{Version: 1, Set: noon}, nil
}

func (b *backend) CreateBackup(_ context.Context, p ipc.Principal) (ipc.Backup, error) {
	b.note(p, "CreateBackup", nil)
	return ipc.Backup{Version: 1, Name: "v1.tokend", Data: make([]byte, 2<<20), OpenedBy: []string{"desk key"}}, nil
}

func (b *backend) ConfirmBackup(_ context.Context, p ipc.Principal, r ipc.ConfirmBackupRequest) (ipc.ConfirmBackupResult, error) {
	b.note(p, "ConfirmBackup", r)
	return ipc.ConfirmBackupResult{Version: 1, LastBackup: noon}, nil
}

func (b *backend) InspectBackup(_ context.Context, p ipc.Principal, r ipc.InspectBackupRequest) (ipc.BackupContents, error) {
	b.note(p, "InspectBackup", len(r.Data))
	return ipc.BackupContents{Version: 1, Written: noon}, nil
}

func (b *backend) DrillBackup(_ context.Context, p ipc.Principal, r ipc.DrillRequest) (ipc.DrillResult, error) {
	b.note(p, "DrillBackup", len(r.Data))
	return ipc.DrillResult{Version: 1, Written: noon, At: noon, Accounts: []ipc.DrillAccount{}, Missing: []ipc.Account{}}, nil
}

func (b *backend) RestoreBackup(_ context.Context, p ipc.Principal, r ipc.RestoreBackupRequest) (ipc.RestoreResult, error) {
	b.note(p, "RestoreBackup", len(r.Data))
	return ipc.RestoreResult{Version: 1}, nil
}

func (b *backend) MergeBackup(_ context.Context, p ipc.Principal, r ipc.MergeBackupRequest) (ipc.Plan, error) {
	b.note(p, "MergeBackup", len(r.Data))
	return ipc.Plan{Version: 1, Applied: r.Apply}, nil
}

func (b *backend) Grants(_ context.Context, p ipc.Principal) (ipc.GrantList, error) {
	b.note(p, "Grants", nil)
	return ipc.GrantList{Version: 1, Mode: ipc.GrantAsk}, nil
}

func (b *backend) SetGrantMode(_ context.Context, p ipc.Principal, r ipc.SetGrantModeRequest) (ipc.GrantList, error) {
	b.note(p, "SetGrantMode", r)
	return ipc.GrantList{Version: 1, Mode: r.Mode}, nil
}

func (b *backend) AllowGrant(_ context.Context, p ipc.Principal, r ipc.AllowRequest) (ipc.GrantList, error) {
	b.note(p, "AllowGrant", r)
	return ipc.GrantList{Version: 1, Mode: ipc.GrantAsk}, nil
}

func (b *backend) RevokeGrants(_ context.Context, p ipc.Principal, r ipc.RevokeGrantsRequest) (ipc.GrantList, error) {
	b.note(p, "RevokeGrants", r)
	return ipc.GrantList{Version: 1, Mode: ipc.GrantAsk}, nil
}

func (b *backend) Agent(ctx context.Context, p ipc.Principal, can string, send func(ipc.Event) error) error {
	b.note(p, "Agent "+can, nil)
	if can == "nothing" {
		return ipc.Errorf(ipc.AlreadyExists, "an agent answers for this session already")
	}
	if err := send(ipc.Event{Version: 1, Type: ipc.EventConsentWanted, Time: noon, Operation: "c1", Action: ipc.GrantCode,
		Account: &ipc.AccountRef{ID: "a1", Issuer: "Example", Name: "alice@example.com"}, Requester: "curl (4712)",
		From: &ipc.Requester{Program: "curl", PID: 4712, Exe: "/usr/bin/curl", Unit: "session-2.scope", Session: "2"}}); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (b *backend) AnswerAgent(_ context.Context, p ipc.Principal, r ipc.AgentAnswer) error {
	b.note(p, "AnswerAgent", r)
	if r.Operation == "gone" {
		return ipc.Errorf(ipc.NotFound, "nothing of that name is being asked")
	}
	return nil
}

// start serves b on a socket of its own until the test ends.
func start(tb testing.TB, c httpapi.Config, o local.Options) (socket string) {
	tb.Helper()
	return startAt(tb, filepath.Join(tb.TempDir(), "s"), c, o)
}

func startAt(tb testing.TB, socket string, c httpapi.Config, o local.Options) string {
	tb.Helper()
	l, err := local.Listen(socket, o)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s := httpapi.New(c)
	go func() { done <- s.Serve(ctx, l) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Serve: %v", err)
		}
	})
	return socket
}

func dial(tb testing.TB, socket string) net.Conn {
	tb.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		tb.Fatal(err)
	}
	return c
}
