package daemon_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
)

// deedsElsewhere are the methods whose entries other tests look for, because they take
// what is not here: the test, and what it has.
func deedsElsewhere() map[string]string {
	return map[string]string{
		"RecoverVault": "TestDamage, a vault that is damaged", "MakeSecurityKey": "TestSecurityKey, a FIDO2 key",
		"WipeToken": "TestPIV, a card", "AgreeToDrop": "TestDrop, accounts that vanished", "Reactivate": "TestManaged, an authority", "Activate": "TestManaged, an authority",
		// TestDeedsAreInTheAudit.
		"EditAccount": "", "MoveAccount": "", "Code": "", "RevealAccount": "", "RenameToken": "", "SetGrantMode": "", "CreateBackup": "", "CheckRecovery": "",
		"RotateRecovery": "", "RemoveAccount": "", "Lock": "", "Unlock": "", "Init": "", "AddAccounts": "", "SetRecoveryPassword": "",
	}
}

// refusedDeeds are those of a user that can be refused him, each with how it ends and
// why: with the wrong password, of something that is not there, or without what it
// takes. By is what the daemon says.
func refusedDeeds(t *testing.T, d *daemon.Daemon, p ipc.Principal, id string, backup []byte) map[string]func() error {
	t.Helper()
	ctx := t.Context()
	one := func(_ any, err error) error { return err }
	wrong := func() ipc.Auth { return ipc.Auth{RecoveryPassword: secretOf("not the password")} }
	none := strings.Repeat("0", 32)
	return map[string]func() error{
		"Init":          func() error { return one(d.Init(ctx, p, ipc.InitRequest{RecoveryPassword: secretOf(recovery)})) },
		"Unlock":        func() error { return one(d.Unlock(ctx, p, ipc.UnlockRequest{Auth: wrong()})) },
		"EditAccount":   func() error { return one(d.EditAccount(ctx, p, none, ipc.EditAccountRequest{Note: new("x")})) },
		"RevealAccount": func() error { return one(d.RevealAccount(ctx, p, none, ipc.RevealRequest{Auth: wrong()})) },
		"ExportAccounts": func() error {
			return one(d.ExportAccounts(ctx, p, ipc.ExportRequest{Auth: wrong(), Accounts: []string{none}}))
		},
		"EnrollToken": func() error {
			return one(d.EnrollToken(ctx, p, ipc.EnrollRequest{Kind: "soft", Label: "x", PIN: secretOf(passphrase), Auth: wrong()}))
		},
		"RevokeToken": func() error {
			return one(d.RevokeToken(ctx, p, id, ipc.RevokeRequest{Auth: wrong(), Confirm: id}))
		},
		"TestToken": func() error {
			return one(d.TestToken(ctx, p, "key file", ipc.TestTokenRequest{Auth: ipc.Auth{PIN: secretOf("wrong")}}))
		},
		"ChangePIN": func() error {
			return d.ChangePIN(ctx, p, "key file", ipc.ChangePINRequest{Which: "pin", Old: secretOf("wrong"), New: secretOf("another passphrase")})
		},
		"SetRecoveryPassword": func() error {
			return one(d.SetRecoveryPassword(ctx, p, ipc.SetRecoveryRequest{Password: secretOf(other), Auth: wrong()}))
		},
		"RotateRecovery": func() error {
			return one(d.RotateRecovery(ctx, p, ipc.SetRecoveryRequest{Password: secretOf(other), Auth: wrong()}))
		},
		"CheckRecovery": func() error { return one(d.CheckRecovery(ctx, p, ipc.CheckRecoveryRequest{Password: secretOf(other)})) },
		"ShowRecoveryKey": func() error {
			return one(d.ShowRecoveryKey(ctx, p, ipc.ShowRecoveryKeyRequest{Password: secretOf(other)}))
		},
		"Purge": func() error { return one(d.Purge(ctx, p, ipc.PurgeRequest{Confirm: "another vault"})) },
		"InspectBackup": func() error {
			return one(d.InspectBackup(ctx, p, ipc.InspectBackupRequest{Auth: wrong(), Data: slices.Clone(backup)}))
		},
		"DrillBackup": func() error {
			return one(d.DrillBackup(ctx, p, ipc.DrillRequest{Auth: wrong(), Data: slices.Clone(backup)}))
		},
		"RestoreBackup": func() error {
			return one(d.RestoreBackup(ctx, p, ipc.RestoreBackupRequest{Auth: wrong(), Data: []byte("no backup")}))
		},
		"MergeBackup": func() error {
			return one(d.MergeBackup(ctx, p, ipc.MergeBackupRequest{Auth: wrong(), Data: slices.Clone(backup), Apply: true}))
		},
		"WipeToken":     func() error { return one(d.WipeToken(ctx, p, "key file", ipc.WipeTokenRequest{Confirm: "x"})) },
		"RemoveAccount": func() error { return one(d.RemoveAccount(ctx, p, none, ipc.RemoveAccountRequest{Confirm: none})) },
		"AddAccounts": func() error {
			return one(d.AddAccounts(ctx, p, ipc.AddAccountsRequest{Accounts: []ipc.NewAccount{{URI: secretOf(aliceURI)}}}))
		},
		"ImportAccounts": func() error {
			return one(d.ImportAccounts(ctx, p, ipc.ImportRequest{Accounts: []ipc.NewAccount{{URI: secretOf("otpauth://nothing")}}, Apply: true}))
		},
		"RecoverVault": func() error { return one(d.RecoverVault(ctx, p, ipc.RecoverVaultRequest{Auth: wrong(), Apply: true})) },
		"Code":         func() error { return one(d.Code(ctx, p, none, ipc.CodeRequest{})) },
	}
}

// ids are those of all accounts.
func ids(t *testing.T, d *daemon.Daemon, p ipc.Principal) (out []string) {
	t.Helper()
	list, err := d.Accounts(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list.Accounts {
		out = append(out, a.ID)
	}
	return out
}

// refusedSilently are refusals that leave no entry: of what is not there, of what is
// there already, or without the confirmation that it takes. They end before a secret, a
// token or a password is touched.
func refusedSilently() []string {
	return []string{"Code", "EditAccount", "RemoveAccount", "RevealAccount", "ExportAccounts", "AddAccounts", "Purge", "WipeToken"}
}

// TestEveryDeedOfAUserIsInTheAudit does what TestDeedsAreInTheAudit does not, and has
// every deed refused: each is in the audit, with who, what and from where.
func TestEveryDeedOfAUserIsInTheAudit(t *testing.T) {
	c := newClock()
	d := start(t, func(cfg *daemon.Config) {
		cfg.Clock, cfg.Limits = c.clock(), daemon.Limits{Idle: 10000 * time.Hour, Hard: 10000 * time.Hour}
	})
	ctx, p := t.Context(), caller("1000")
	rows, done := leaves(), map[string]bool{}
	var seen uint64
	look := func(method string, ok bool, err error) {
		t.Helper()
		done[method] = done[method] || ok
		if ok != (err == nil) {
			t.Errorf("%s: %v", method, err)
		}
		page, err2 := d.AuditEntries(ctx, p, ipc.AuditQuery{After: seen})
		if err2 != nil || !page.Intact {
			t.Fatalf("%+v, %v", page, err2)
		}
		found := slices.ContainsFunc(page.Entries, func(e ipc.AuditEntry) bool {
			return e.Action == rows[method] && e.OK == ok && e.By == "1000" && e.From == "local uid=1000 pid=4711"
		})
		if silent := !ok && slices.Contains(refusedSilently(), method); found == silent {
			t.Errorf("%s (%v, %v) left %+v", method, ok, err, page.Entries)
		}
		for _, e := range page.Entries {
			seen = e.Seq
		}
		c.pass(2 * time.Hour) // wrong passwords in a row are throttled
	}
	one := func(_ any, err error) error { return err }
	right := func() ipc.Auth { return ipc.Auth{RecoveryPassword: secretOf(recovery)} }
	slot := initSoft(t, d, p).Token.ID
	look("Init", true, nil)
	add(t, d, p, aliceURI)
	look("AddAccounts", true, nil)
	first, err := d.CreateBackup(ctx, p)
	look("CreateBackup", true, err)
	for method, refused := range refusedDeeds(t, d, p, slot, first.Data) {
		look(method, false, refused())
	}
	look("ImportAccounts", true, one(d.ImportAccounts(ctx, p, ipc.ImportRequest{Accounts: []ipc.NewAccount{{URI: secretOf("otpauth://totp/Import:bob?secret=MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U")}}, Apply: true})))
	look("Undo", true, one(d.Undo(ctx, p, ipc.UndoRequest{Apply: true})))
	look("ExportAccounts", true, one(d.ExportAccounts(ctx, p, ipc.ExportRequest{Auth: right(), Accounts: ids(t, d, p)})))
	more, err := d.EnrollToken(ctx, p, ipc.EnrollRequest{Kind: "soft", Label: "more", PIN: secretOf("another passphrase"), Auth: right()})
	look("EnrollToken", true, err)
	look("TestToken", true, one(d.TestToken(ctx, p, more.Token.ID, ipc.TestTokenRequest{Auth: ipc.Auth{PIN: secretOf("another passphrase")}})))
	look("ChangePIN", true, d.ChangePIN(ctx, p, more.Token.ID, ipc.ChangePINRequest{Which: "pin", Old: secretOf("another passphrase"), New: secretOf("a third passphrase")}))
	look("RevokeToken", true, one(d.RevokeToken(ctx, p, more.Token.ID, ipc.RevokeRequest{Confirm: more.Token.ID, Auth: right()})))
	look("ShowRecoveryKey", true, one(d.ShowRecoveryKey(ctx, p, ipc.ShowRecoveryKeyRequest{Password: secretOf(recovery)})))
	look("AllowGrant", true, one(d.AllowGrant(ctx, p, ipc.AllowRequest{Action: ipc.GrantCode, Accounts: ids(t, d, p), For: ipc.GrantToLock})))
	look("RevokeGrants", true, one(d.RevokeGrants(ctx, p, ipc.RevokeGrantsRequest{All: true})))
	made, err := d.AddDestination(ctx, p, ipc.AddDestinationRequest{Path: "/somewhere", Kind: "folder"})
	look("AddDestination", true, err)
	run, err := d.PlanBackupRun(ctx, p, ipc.BackupRunRequest{})
	if err != nil || len(run.Backups) == 0 || !strings.HasPrefix(run.Checkpoint, "tokend-checkpoint-1.") {
		t.Fatalf("%+v, %v", run, err)
	}
	sum := run.Backups[0].SHA256
	backup, err := d.SpooledBackup(ctx, p, ipc.SpooledBackupRequest{SHA256: sum})
	look("SpooledBackup", true, err)
	look("ReportBackupRun", true, one(d.ReportBackupRun(ctx, p, ipc.BackupRunReport{Destination: run.Destinations[0].Destination.ID, State: ipc.DestinationOK,
		Seen: []ipc.KnownCopy{{Path: "/somewhere/x", SHA256: sum, Bytes: len(backup.Data)}}})))
	look("ConfirmBackup", true, one(d.ConfirmBackup(ctx, p, ipc.ConfirmBackupRequest{Name: "/elsewhere/x", SHA256: first.SHA256})))
	look("InspectBackup", true, one(d.InspectBackup(ctx, p, ipc.InspectBackupRequest{Auth: right(), Data: slices.Clone(backup.Data)})))
	look("DrillBackup", true, one(d.DrillBackup(ctx, p, ipc.DrillRequest{Auth: right(), Data: slices.Clone(backup.Data)})))
	look("MergeBackup", true, one(d.MergeBackup(ctx, p, ipc.MergeBackupRequest{Auth: right(), Data: slices.Clone(backup.Data), Apply: true})))
	look("RemoveDestination", true, one(d.RemoveDestination(ctx, p, made.ID, ipc.RemoveDestinationRequest{Confirm: made.ID})))
	look("RemoveAccounts", true, one(d.RemoveAccounts(ctx, p, ipc.RemoveAccountsRequest{Accounts: ids(t, d, p)[:1], Apply: true})))
	left, err := d.Leaving(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	err = one(d.Purge(ctx, p, ipc.PurgeRequest{Confirm: left.Vault.ID, WithoutBackup: true}))
	seen = 0 // the chain is another from here on
	look("Purge", true, err)
	look("RestoreBackup", true, one(d.RestoreBackup(ctx, p, ipc.RestoreBackupRequest{Auth: right(), Data: slices.Clone(backup.Data)})))
	bob := caller("1001")
	if _, err := d.Init(ctx, bob, ipc.InitRequest{Enroll: &ipc.EnrollRequest{Kind: "soft", PIN: secretOf(passphrase)}}); err != nil {
		t.Fatal(err)
	}
	if err := d.DeclineRecovery(ctx, bob); err != nil {
		t.Fatal(err)
	}
	page, err := d.AuditEntries(ctx, bob, ipc.AuditQuery{Kind: rows["DeclineRecovery"]})
	done["DeclineRecovery"] = err == nil && len(page.Entries) == 1 && page.Entries[0].OK && page.Entries[0].By == "1001"
	for method, action := range rows {
		if _, other := deedsElsewhere()[method]; action != "" && action[0] != '-' && !other && !done[method] {
			t.Errorf("%s was not done, or is not in the audit", method)
		}
	}
}
