package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// The fake's tokens, recovery and backups.

// tried is the PINs that reached the token, in order.
func (f *fake) tried() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.spent, " ")
}

func (f *fake) Tokens(context.Context, ipc.Principal) (ipc.TokenList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return ipc.TokenList{Version: 1, Tokens: slices.Clone(f.tokens)}, nil
}

func (f *fake) TokenInfo(_ context.Context, _ ipc.Principal, id string) (ipc.TokenInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.tokens[1:] {
		if t.ID != id {
			continue
		}
		info := ipc.TokenInfo{Version: 1, Token: t, PINTries: -1, PUKTries: -1, Attested: t.Enrolled, MakerModel: "2fc0579f-8113", Keys: []ipc.TokenKey{}}
		if t.Present {
			info.PINTries, info.Facts = 8, []ipc.TokenFact{{Name: "CTAP versions", Value: "FIDO_2_0, FIDO_2_1"}, {Name: factMinPIN, Value: "6"}}
		}
		if t.Enrolled {
			info.Backups = f.oldBackups()
		}
		return info, nil
	}
	return ipc.TokenInfo{Version: 1, Token: f.tokens[0], PINTries: f.tries, PUKTries: -1, FactoryPIN: true,
		Keys: []ipc.TokenKey{{Slot: "82", Algorithm: "P-256", PINPolicy: "once", TouchPolicy: "never", Ours: true}}}, nil
}

// oldBackups are one that has no path, one that is there, and one that is gone.
func (f *fake) oldBackups() []string {
	here := filepath.Join(filepath.Dir(f.socket), "here.tokend")
	if err := os.WriteFile(here, []byte("x"), 0o600); err != nil {
		panic(err)
	}
	return []string{"old one", here, "/nowhere/b.tokend"}
}

func (f *fake) EnrollToken(_ context.Context, _ ipc.Principal, r ipc.EnrollRequest) (ipc.EnrollResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(true); err != nil {
		return ipc.EnrollResult{}, err
	}
	if f.wantAgreed {
		if _, err := f.openWith(r.Auth); err != nil {
			return ipc.EnrollResult{}, err
		}
	}
	here := func(enrolled bool) bool {
		return slices.ContainsFunc(f.tokens, func(t ipc.Token) bool { return t.Present && t.Enrolled == enrolled && t.Kind == r.Kind })
	}
	if r.Kind != "soft" && r.Locator == "" && here(true) && !here(false) {
		return ipc.EnrollResult{}, ipc.Errorf(ipc.AlreadyExists, "the tokens of kind %q that are present are all enrolled already", r.Kind)
	}
	t := ipc.Token{ID: "slot2", Kind: r.Kind, Label: r.Label, Present: true, Enrolled: true, Hardware: r.Kind != "soft", Classes: []string{"session"}}
	res := ipc.EnrollResult{Version: 1, Warnings: []ipc.Warning{}, Attested: r.Kind == "fido2"}
	if r.RequireAttestation {
		return res, ipc.Errorf(ipc.TokenUnattested, "cannot use token %q: nobody vouches for it", "Key")
	}
	if r.Kind == "fido2" {
		if t.ID, t.NoPIN = "slot3", f.fido2PIN == ""; !t.NoPIN && string(r.PIN) != f.fido2PIN {
			e := ipc.Errorf(ipc.PINRequired, "cannot use token: it wants its PIN")
			e.Token = &ipc.TokenRef{ID: r.Locator, Label: "Key", Kind: "fido2"}
			return res, e
		}
		if t.NoPIN {
			res.Warnings = []ipc.Warning{{Code: "no-pin", Message: "token \"" + r.Label + "\" opens the vault without a PIN: revoke it, set a PIN, and enrol it again", Fix: "tokenctl token revoke slot3"}}
		}
	}
	if f.enrollAt = r.Locator; r.Kind != "soft" {
		if i := slices.IndexFunc(f.tokens, func(t ipc.Token) bool { return t.ID == r.Locator }); i > 0 {
			f.tokens = slices.Delete(f.tokens, i, i+1)
		}
	}
	f.tokens = append(f.tokens, t)
	res.Token = t
	return res, nil
}

func (f *fake) RevokeToken(_ context.Context, _ ipc.Principal, id string, r ipc.RevokeRequest) (ipc.RevokeResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(true); err != nil {
		return ipc.RevokeResult{}, err
	}
	if f.wantAgreed {
		if _, err := f.openWith(r.Auth); err != nil {
			return ipc.RevokeResult{}, err
		}
	}
	if len(f.tokens) == 1 {
		return ipc.RevokeResult{}, ipc.Errorf(ipc.LastKeyslot, "it is the last way to open accounts; nothing was changed")
	}
	i := slices.IndexFunc(f.tokens, func(t ipc.Token) bool { return t.ID == id })
	t := f.tokens[i]
	f.tokens = slices.Delete(f.tokens, i, i+1)
	f.status.Vault.Signer = "cd34"
	return ipc.RevokeResult{Version: 1, Revoked: t, Vault: f.status.Vault, OldBackups: f.oldBackups(), Warnings: []ipc.Warning{}}, nil
}

func (f *fake) TestToken(_ context.Context, _ ipc.Principal, _ string, r ipc.TestTokenRequest) (ipc.TestTokenResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.openWith(r.Auth); err != nil {
		return ipc.TestTokenResult{}, err
	}
	return ipc.TestTokenResult{Version: 1, Token: f.tokens[0], Opened: []string{"session", "touch"}}, nil
}

func (f *fake) RenameToken(_ context.Context, _ ipc.Principal, _ string, r ipc.RenameTokenRequest) (ipc.Token, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tokens[0].Label = r.Label
	return f.tokens[0], nil
}

func (f *fake) ChangePIN(_ context.Context, _ ipc.Principal, id string, r ipc.ChangePINRequest) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, t := range f.tokens {
		if t.ID != id || t.Kind != "fido2" {
			continue
		}
		if string(r.Old) != f.fido2PIN || r.Which != "pin" {
			return ipc.Errorf(ipc.PINInvalid, "the PIN is wrong")
		}
		f.fido2PIN, f.tokens[i].NoPIN = string(r.New), false
		return nil
	}
	if err := f.usePIN(r.Old, r.SpendLastTry); err != nil {
		return err
	}
	f.pin = string(r.New)
	return nil
}

func (f *fake) MakeSecurityKey(context.Context, ipc.Principal, ipc.MakeSecurityKeyRequest) (ipc.MadeSecurityKey, error) {
	return ipc.MadeSecurityKey{Version: 1, Statement: []byte("statement"), Token: ipc.TokenRef{ID: "fido2-1", Label: "key", Kind: "fido2"}}, nil
}

func (f *fake) WipeToken(context.Context, ipc.Principal, string, ipc.WipeTokenRequest) (ipc.WipeTokenResult, error) {
	return ipc.WipeTokenResult{Version: 1, Cleared: []string{"82", "83"}}, nil
}

func (f *fake) SetRecoveryPassword(_ context.Context, _ ipc.Principal, r ipc.SetRecoveryRequest) (ipc.RecoveryResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(true); err != nil {
		return ipc.RecoveryResult{}, err
	}
	if f.wantAgreed {
		if _, err := f.openWith(r.Auth); err != nil {
			return ipc.RecoveryResult{}, err
		}
	}
	f.password, f.status.Vault.RecoverySet = string(r.Password), time.Now()
	return ipc.RecoveryResult{Version: 1, Set: time.Now(), Vault: f.status.Vault, OldBackups: []string{}}, nil
}

func (f *fake) CheckRecovery(_ context.Context, _ ipc.Principal, r ipc.CheckRecoveryRequest) (ipc.CheckRecoveryResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if string(r.Password) != f.password {
		return ipc.CheckRecoveryResult{}, ipc.Errorf(ipc.WrongPassword, "the recovery password is wrong")
	}
	return ipc.CheckRecoveryResult{Version: 1, Set: time.Now()}, nil
}

func (f *fake) ShowRecoveryKey(context.Context, ipc.Principal, ipc.ShowRecoveryKeyRequest) (ipc.RecoveryKey, error) {
	return ipc.RecoveryKey{Version: 1, Key: ipc.Secret("AGE-SECRET-KEY-1TEST"), VaultID: "v1", Signer: "ab12"}, nil
}

func (f *fake) RotateRecovery(ctx context.Context, p ipc.Principal, r ipc.SetRecoveryRequest) (ipc.RecoveryResult, error) {
	return f.SetRecoveryPassword(ctx, p, r)
}

func (f *fake) CreateBackup(context.Context, ipc.Principal) (ipc.Backup, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.status.Vault.State == ipc.VaultNone {
		return ipc.Backup{}, ipc.Errorf(ipc.NoVault, "there is no vault")
	}
	sum, accounts := sha256.Sum256(f.backup), len(f.accounts)
	if f.status.Vault.State != ipc.VaultUnlocked {
		accounts = -1
	}
	return ipc.Backup{Version: 1, Name: "vault-v1.tokend", VaultID: "v1", Generation: 3, SHA256: hex.EncodeToString(sum[:]),
		Accounts: accounts, OpenedBy: []string{"YubiKey"}, Data: f.backup}, nil
}

func (f *fake) ConfirmBackup(_ context.Context, _ ipc.Principal, r ipc.ConfirmBackupRequest) (ipc.ConfirmBackupResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := sha256.Sum256(f.backup)
	if r.SHA256 != hex.EncodeToString(sum[:]) || !filepath.IsAbs(r.Name) {
		return ipc.ConfirmBackupResult{}, ipc.Errorf(ipc.NotFound, "no backup with this checksum was handed out")
	}
	f.status.Vault.LastBackup = time.Now()
	return ipc.ConfirmBackupResult{Version: 1, LastBackup: f.status.Vault.LastBackup}, nil
}

func (f *fake) InspectBackup(_ context.Context, _ ipc.Principal, r ipc.InspectBackupRequest) (ipc.BackupContents, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.openWith(r.Auth); err != nil {
		return ipc.BackupContents{}, err
	}
	return ipc.BackupContents{Version: 1, OpenedBy: []string{"YubiKey"}, Accounts: slices.Clone(f.accounts)}, nil
}

func (f *fake) RestoreBackup(_ context.Context, _ ipc.Principal, r ipc.RestoreBackupRequest) (ipc.RestoreResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	by, err := f.openWith(r.Auth)
	if err != nil {
		return ipc.RestoreResult{}, err
	}
	f.add("GitHub", "me", "session", "totp")
	f.status.Vault = ipc.Vault{State: ipc.VaultUnlocked, ID: "v1", UnlockedBy: by}
	return ipc.RestoreResult{Version: 1, Vault: f.status.Vault, Accounts: slices.Clone(f.accounts), Notices: []ipc.Warning{}}, nil
}
