package client

import (
	"context"
	"encoding/json"
	"net/url"

	"github.com/tokenbridge/tokend/ipc"
)

const base = "/v1/"

// get, post and the like are generic so that a method of Client is one line.
func get[T any](ctx context.Context, c *Client, path string) (out T, err error) {
	err = c.call(ctx, request{method: "GET", path: base + path}, &out)
	return out, err
}

func send[T any](ctx context.Context, c *Client, method, path string, body any) (out T, err error) {
	err = c.call(ctx, request{method: method, path: base + path, body: body}, &out)
	return out, err
}

// plainText is an answer that is no JSON.
type plainText string

// Metrics reads the figures for monitoring, in Prometheus's text format. It fails with
// NotAuthorized for who does not administer the machine.
func (c *Client) Metrics(ctx context.Context) (string, error) {
	out, err := get[plainText](ctx, c, "metrics")
	return string(out), err
}

// large is a POST whose answer names many accounts.
func large[T any](ctx context.Context, c *Client, path string, body any) (out T, err error) {
	err = c.call(ctx, request{method: "POST", path: base + path, body: body, max: maxBackup}, &out)
	return out, err
}

// at puts an id, which can be a name with slashes in it, into a path.
func at(collection, id, action string) string {
	p := collection + "/" + url.PathEscape(id)
	if action != "" {
		p += "/" + action
	}
	return p
}

// Status tells of the daemon and of the caller's vault.
func (c *Client) Status(ctx context.Context) (ipc.Status, error) {
	return get[ipc.Status](ctx, c, "status")
}

// Doctor lists what is wrong, worst first.
func (c *Client) Doctor(ctx context.Context) (ipc.Findings, error) {
	return get[ipc.Findings](ctx, c, "doctor")
}

// Audit reads the caller's audit chain.
func (c *Client) Audit(ctx context.Context) (ipc.AuditLog, error) {
	return get[ipc.AuditLog](ctx, c, "audit")
}

// AuditEntries reads a page of those entries that are asked for.
func (c *Client) AuditEntries(ctx context.Context, q ipc.AuditQuery) (ipc.AuditPage, error) {
	return send[ipc.AuditPage](ctx, c, "POST", "audit/list", q)
}

// CheckpointAudit signs that the caller's chain has its last entry.
func (c *Client) CheckpointAudit(ctx context.Context) (ipc.AuditCheckpoint, error) {
	return send[ipc.AuditCheckpoint](ctx, c, "POST", "audit/checkpoint", nil)
}

// VerifyAudit checks the caller's chain, and compares it with checkpoints.
func (c *Client) VerifyAudit(ctx context.Context, r ipc.VerifyAuditRequest) (ipc.AuditVerdict, error) {
	return send[ipc.AuditVerdict](ctx, c, "POST", "audit/verify", r)
}

// Init makes the caller's vault.
func (c *Client) Init(ctx context.Context, r ipc.InitRequest) (ipc.InitResult, error) {
	return send[ipc.InitResult](ctx, c, "POST", "vault", r)
}

// Unlock opens the session class.
func (c *Client) Unlock(ctx context.Context, r ipc.UnlockRequest) (ipc.UnlockResult, error) {
	return send[ipc.UnlockResult](ctx, c, "POST", "vault/unlock", r)
}

// Lock drops the session key.
func (c *Client) Lock(ctx context.Context) error {
	return c.call(ctx, request{method: "POST", path: base + "vault/lock"}, nil)
}

// RecoverVault compares a damaged vault with the last good generation.
func (c *Client) RecoverVault(ctx context.Context, r ipc.RecoverVaultRequest) (ipc.RecoverVaultResult, error) {
	return send[ipc.RecoverVaultResult](ctx, c, "POST", "vault/recover", r)
}

// Leaving says what purging the vault would lose, and what would remain.
func (c *Client) Leaving(ctx context.Context) (ipc.Leaving, error) {
	return get[ipc.Leaving](ctx, c, "vault/purge")
}

// Purge removes the vault from this machine for good.
func (c *Client) Purge(ctx context.Context, r ipc.PurgeRequest) (ipc.PurgeResult, error) {
	return send[ipc.PurgeResult](ctx, c, "POST", "vault/purge", r)
}

// Accounts lists the caller's accounts in his order.
func (c *Client) Accounts(ctx context.Context) (ipc.AccountList, error) {
	return get[ipc.AccountList](ctx, c, "accounts")
}

// Account reads one account.
func (c *Client) Account(ctx context.Context, id string) (ipc.Account, error) {
	return get[ipc.Account](ctx, c, at("accounts", id, ""))
}

// AddAccounts adds all of the accounts or none.
func (c *Client) AddAccounts(ctx context.Context, r ipc.AddAccountsRequest) (ipc.AccountList, error) {
	return send[ipc.AccountList](ctx, c, "POST", "accounts", r)
}

// ImportAccounts plans bringing in accounts from elsewhere, or does it.
func (c *Client) ImportAccounts(ctx context.Context, r ipc.ImportRequest) (ipc.Plan, error) {
	return large[ipc.Plan](ctx, c, "accounts/import", r)
}

// EditAccount changes an account's settings.
func (c *Client) EditAccount(ctx context.Context, id string, r ipc.EditAccountRequest) (ipc.Account, error) {
	return send[ipc.Account](ctx, c, "PUT", at("accounts", id, ""), r)
}

// MoveAccount puts an account at another place in the user's order.
func (c *Client) MoveAccount(ctx context.Context, id string, r ipc.MoveAccountRequest) (ipc.AccountList, error) {
	return send[ipc.AccountList](ctx, c, "POST", at("accounts", id, "move"), r)
}

// RemoveAccount removes an account for good.
func (c *Client) RemoveAccount(ctx context.Context, id string, r ipc.RemoveAccountRequest) (ipc.RemoveAccountResult, error) {
	return send[ipc.RemoveAccountResult](ctx, c, "DELETE", at("accounts", id, ""), r)
}

// RemoveAccounts removes accounts for good, all or none.
func (c *Client) RemoveAccounts(ctx context.Context, r ipc.RemoveAccountsRequest) (ipc.RemoveAccountsResult, error) {
	return send[ipc.RemoveAccountsResult](ctx, c, "POST", "accounts/remove", r)
}

// RevealAccount hands out an account's secret.
func (c *Client) RevealAccount(ctx context.Context, id string, r ipc.RevealRequest) (ipc.Reveal, error) {
	return send[ipc.Reveal](ctx, c, "POST", at("accounts", id, "reveal"), r)
}

// ExportAccounts hands out the secrets of several accounts.
func (c *Client) ExportAccounts(ctx context.Context, r ipc.ExportRequest) (out ipc.Export, err error) {
	err = c.call(ctx, request{method: "POST", path: base + "accounts/export", body: r, max: maxBackup}, &out)
	return out, err
}

// Code makes a code for the account that ref names.
func (c *Client) Code(ctx context.Context, ref string, r ipc.CodeRequest) (ipc.Code, error) {
	return send[ipc.Code](ctx, c, "POST", "codes?account="+url.QueryEscape(ref), r)
}

// Tokens lists keyslots and the tokens present.
func (c *Client) Tokens(ctx context.Context) (ipc.TokenList, error) {
	return get[ipc.TokenList](ctx, c, "tokens")
}

// TokenInfo reads what a token tells now.
func (c *Client) TokenInfo(ctx context.Context, id string) (ipc.TokenInfo, error) {
	return get[ipc.TokenInfo](ctx, c, at("tokens", id, ""))
}

// EnrollToken makes a keyslot.
func (c *Client) EnrollToken(ctx context.Context, r ipc.EnrollRequest) (ipc.EnrollResult, error) {
	return send[ipc.EnrollResult](ctx, c, "POST", "tokens", r)
}

// RevokeToken removes a keyslot and rotates the keys.
func (c *Client) RevokeToken(ctx context.Context, id string, r ipc.RevokeRequest) (ipc.RevokeResult, error) {
	return send[ipc.RevokeResult](ctx, c, "POST", at("tokens", id, "revoke"), r)
}

// TestToken opens a keyslot once for each of its classes.
func (c *Client) TestToken(ctx context.Context, id string, r ipc.TestTokenRequest) (ipc.TestTokenResult, error) {
	return send[ipc.TestTokenResult](ctx, c, "POST", at("tokens", id, "test"), r)
}

// RenameToken gives a keyslot a new label.
func (c *Client) RenameToken(ctx context.Context, id string, r ipc.RenameTokenRequest) (ipc.Token, error) {
	return send[ipc.Token](ctx, c, "PUT", at("tokens", id, ""), r)
}

// ChangePIN changes a token's PIN.
func (c *Client) ChangePIN(ctx context.Context, id string, r ipc.ChangePINRequest) error {
	return c.call(ctx, request{method: "POST", path: base + at("tokens", id, "pin"), body: r}, nil)
}

// MakeSecurityKey has a FIDO2 key make a credential for an authority.
func (c *Client) MakeSecurityKey(ctx context.Context, r ipc.MakeSecurityKeyRequest) (ipc.MadeSecurityKey, error) {
	return send[ipc.MadeSecurityKey](ctx, c, "POST", "tokens/security-key", r)
}

// WipeToken removes from a token what a revoked keyslot left there.
func (c *Client) WipeToken(ctx context.Context, id string, r ipc.WipeTokenRequest) (ipc.WipeTokenResult, error) {
	return send[ipc.WipeTokenResult](ctx, c, "POST", at("tokens", id, "wipe"), r)
}

// SetRecoveryPassword sets the recovery password.
func (c *Client) SetRecoveryPassword(ctx context.Context, r ipc.SetRecoveryRequest) (ipc.RecoveryResult, error) {
	return send[ipc.RecoveryResult](ctx, c, "POST", "recovery", r)
}

// DeclineRecovery notes that the owner wants no recovery password.
func (c *Client) DeclineRecovery(ctx context.Context) error {
	return c.call(ctx, request{method: "POST", path: base + "recovery/decline"}, nil)
}

// CheckRecovery tries the recovery password or key and opens nothing.
func (c *Client) CheckRecovery(ctx context.Context, r ipc.CheckRecoveryRequest) (ipc.CheckRecoveryResult, error) {
	return send[ipc.CheckRecoveryResult](ctx, c, "POST", "recovery/check", r)
}

// ShowRecoveryKey hands out the recovery key.
func (c *Client) ShowRecoveryKey(ctx context.Context, r ipc.ShowRecoveryKeyRequest) (ipc.RecoveryKey, error) {
	return send[ipc.RecoveryKey](ctx, c, "POST", "recovery/key", r)
}

// RotateRecovery makes a new recovery key.
func (c *Client) RotateRecovery(ctx context.Context, r ipc.SetRecoveryRequest) (ipc.RecoveryResult, error) {
	return send[ipc.RecoveryResult](ctx, c, "POST", "recovery/rotate", r)
}

// CreateBackup makes a backup; it works while the vault is locked.
func (c *Client) CreateBackup(ctx context.Context) (out ipc.Backup, err error) {
	err = c.call(ctx, request{method: "POST", path: base + "backups", max: maxBackup}, &out)
	return out, err
}

// ConfirmBackup says that a backup was written, synced and read back.
func (c *Client) ConfirmBackup(ctx context.Context, r ipc.ConfirmBackupRequest) (ipc.ConfirmBackupResult, error) {
	return send[ipc.ConfirmBackupResult](ctx, c, "POST", "backups/confirm", r)
}

// InspectBackup opens a backup and says what a restore would bring.
func (c *Client) InspectBackup(ctx context.Context, r ipc.InspectBackupRequest) (ipc.BackupContents, error) {
	return send[ipc.BackupContents](ctx, c, "POST", "backups/inspect", r)
}

// DrillBackup restores a backup into memory and says whether all of it is good.
func (c *Client) DrillBackup(ctx context.Context, r ipc.DrillRequest) (ipc.DrillResult, error) {
	return send[ipc.DrillResult](ctx, c, "POST", "backups/drill", r)
}

// RestoreBackup makes the caller's vault from a backup.
func (c *Client) RestoreBackup(ctx context.Context, r ipc.RestoreBackupRequest) (ipc.RestoreResult, error) {
	return send[ipc.RestoreResult](ctx, c, "POST", "backups/restore", r)
}

// MergeBackup plans bringing in what a backup has, or does it.
func (c *Client) MergeBackup(ctx context.Context, r ipc.MergeBackupRequest) (ipc.Plan, error) {
	return large[ipc.Plan](ctx, c, "backups/merge", r)
}

// Undos lists the imports and merges that can be taken back.
func (c *Client) Undos(ctx context.Context) (ipc.UndoList, error) {
	return get[ipc.UndoList](ctx, c, "undo")
}

// Undo plans taking one back, or does it.
func (c *Client) Undo(ctx context.Context, r ipc.UndoRequest) (ipc.Plan, error) {
	return large[ipc.Plan](ctx, c, "undo", r)
}

// BackupList lists the backups that are known.
func (c *Client) BackupList(ctx context.Context) (ipc.BackupList, error) {
	return get[ipc.BackupList](ctx, c, "backups")
}

// BackupStatus says whether the backups are as they should be.
func (c *Client) BackupStatus(ctx context.Context) (ipc.BackupStatus, error) {
	return get[ipc.BackupStatus](ctx, c, "backups/status")
}

// Destinations lists the folders that backups are copied to.
func (c *Client) Destinations(ctx context.Context) (ipc.DestinationList, error) {
	return get[ipc.DestinationList](ctx, c, "destinations")
}

// AddDestination adds a folder that backups are copied to.
func (c *Client) AddDestination(ctx context.Context, r ipc.AddDestinationRequest) (ipc.Destination, error) {
	return send[ipc.Destination](ctx, c, "POST", "destinations", r)
}

// RemoveDestination forgets such a folder.
func (c *Client) RemoveDestination(ctx context.Context, id string, r ipc.RemoveDestinationRequest) (ipc.DestinationList, error) {
	return send[ipc.DestinationList](ctx, c, "DELETE", at("destinations", id, ""), r)
}

// PlanBackupRun brings the spool up to date and says what is to be copied.
func (c *Client) PlanBackupRun(ctx context.Context, r ipc.BackupRunRequest) (ipc.BackupRun, error) {
	return send[ipc.BackupRun](ctx, c, "POST", "backups/run", r)
}

// SpooledBackup reads a backup from the spool.
func (c *Client) SpooledBackup(ctx context.Context, r ipc.SpooledBackupRequest) (out ipc.Backup, err error) {
	err = c.call(ctx, request{method: "POST", path: base + "backups/fetch", body: r, max: maxBackup}, &out)
	return out, err
}

// ReportBackupRun says what became of the copies to one folder.
func (c *Client) ReportBackupRun(ctx context.Context, r ipc.BackupRunReport) (ipc.BackupStatus, error) {
	return send[ipc.BackupStatus](ctx, c, "POST", "backups/report", r)
}

// AgreeToDrop agrees to a sharp drop in accounts.
func (c *Client) AgreeToDrop(ctx context.Context, r ipc.AgreeToDropRequest) (ipc.BackupStatus, error) {
	return send[ipc.BackupStatus](ctx, c, "POST", "backups/agree", r)
}

// Grants lists modes and grants.
func (c *Client) Grants(ctx context.Context) (ipc.GrantList, error) {
	return get[ipc.GrantList](ctx, c, "grants")
}

// SetGrantMode says what programs need to be handed codes.
func (c *Client) SetGrantMode(ctx context.Context, r ipc.SetGrantModeRequest) (ipc.GrantList, error) {
	return send[ipc.GrantList](ctx, c, "PUT", "grants/mode", r)
}

// AllowGrant grants this program codes or secrets of accounts.
func (c *Client) AllowGrant(ctx context.Context, r ipc.AllowRequest) (ipc.GrantList, error) {
	return send[ipc.GrantList](ctx, c, "POST", "grants", r)
}

// RevokeGrants takes grants back.
func (c *Client) RevokeGrants(ctx context.Context, r ipc.RevokeGrantsRequest) (ipc.GrantList, error) {
	return send[ipc.GrantList](ctx, c, "POST", "grants/revoke", r)
}

// AnswerAgent says what the user answered to this agent. An agent lives as long
// as its session: no buffer of encoding/json's must keep the PIN.
func (c *Client) AnswerAgent(ctx context.Context, r ipc.AgentAnswer) error {
	pin := r.PIN
	r.PIN = nil
	rest, err := json.Marshal(r)
	if err != nil {
		return &ipc.Error{Kind: ipc.InvalidArgument, Message: "cannot put the answer into words", Err: err}
	}
	body := make([]byte, 0, len(rest)+6*len(pin)+16)
	body = append(body, rest...)
	if len(pin) > 0 {
		body = append(body[:len(body)-1], `,"pin":`...)
		body = append(pin.AppendJSON(body), '}')
	}
	return c.call(ctx, request{method: "POST", path: base + "agent/answer", body: encoded(body)}, nil)
}
