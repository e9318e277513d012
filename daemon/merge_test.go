package daemon_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
)

const otherSecret = "GEZDGNBVGY3TQOJQ"

// imports are three accounts of another product, the second called like alice.
func imports() []ipc.NewAccount {
	return []ipc.NewAccount{
		{Issuer: "Mail", Name: "me", Secret: secretOf(otherSecret)},
		{Issuer: "example", Name: "ALICE", Secret: secretOf("MFRGGZDFMZTWQ2LK")},
		{URI: secretOf(aliceURI), Issuer: "Elsewhere"},
	}
}

func planned(p ipc.Plan) string {
	var out []string
	for _, it := range p.Items {
		out = append(out, it.Action)
	}
	return strings.Join(out, " ")
}

func TestImportIsAPlanFirst(t *testing.T) {
	d := start(t, nil)
	p := caller("1000")
	_, err := d.ImportAccounts(t.Context(), p, ipc.ImportRequest{Accounts: imports()})
	wantKind(t, err, ipc.NoVault)
	initSoft(t, d, p)
	alice := add(t, d, p, aliceURI)
	events := listen(t, d, p)
	plan, err := d.ImportAccounts(t.Context(), p, ipc.ImportRequest{Source: "a phone", Accounts: imports()})
	if err != nil || planned(plan) != "add conflict same" || plan.Applied || plan.Conflicts != 1 || plan.Vault.Accounts != 1 {
		t.Fatalf("%+v, %v", plan, err)
	}
	if it := plan.Items[1]; it.Existing == nil || it.Existing.ID != alice.ID || it.Item != "2" || it.Differs[0] != "secret" {
		t.Errorf("the conflict is told as %+v", it)
	}
	if it := plan.Items[2]; it.Existing.ID != alice.ID || it.Account.Issuer != alice.Issuer || !strings.Contains(it.Reason, "known as") {
		t.Errorf("the same account is told as %+v", it)
	}
	_, err = d.ImportAccounts(t.Context(), p, ipc.ImportRequest{Accounts: imports(), Apply: true})
	if e := wantKind(t, err, ipc.Conflict); len(e.Items) != 1 || e.Items[0].ID != "2" || e.Items[0].Name != "example:ALICE" {
		t.Errorf("%+v", e)
	}
	if all, _ := d.Accounts(t.Context(), p); len(all.Accounts) != 1 {
		t.Fatalf("a refused import left %d accounts", len(all.Accounts))
	}
	plan, err = d.ImportAccounts(t.Context(), p, ipc.ImportRequest{Source: "a phone", Accounts: imports(), Apply: true,
		Resolve: []ipc.Resolution{{Item: "2", Action: "replace"}}})
	if err != nil || !plan.Applied || plan.Undo == "" || plan.Added != 1 || plan.Replaced != 1 || plan.Same != 1 || plan.Vault.Accounts != 2 {
		t.Fatalf("%+v, %v", plan, err)
	}
	if plan.Items[1].Account.ID == alice.ID {
		t.Error("another secret under the id of the old one")
	}
	if e := events.next(t, ipc.EventAccountAdded); e.Account.Name != "me" {
		t.Errorf("%+v", e)
	}
	if e := events.next(t, ipc.EventAccountRemoved); e.Account.ID != alice.ID {
		t.Errorf("%+v", e)
	}
	audited(t, d, p, "account-import", plan.Undo)
	list, err := d.Undos(t.Context(), p)
	if err != nil || len(list.Undos) != 1 || list.Undos[0].ID != plan.Undo || list.Undos[0].Source != "a phone" || list.Undos[0].Added != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	back, err := d.Undo(t.Context(), p, ipc.UndoRequest{})
	if err != nil || planned(back) != "remove restore" || back.Applied || back.Removed != 1 || back.Restored != 1 {
		t.Fatalf("%+v, %v", back, err)
	}
	if back, err = d.Undo(t.Context(), p, ipc.UndoRequest{Apply: true}); err != nil || !back.Applied {
		t.Fatalf("%+v, %v", back, err)
	}
	if all, _ := d.Accounts(t.Context(), p); len(all.Accounts) != 1 || all.Accounts[0].ID != alice.ID {
		t.Errorf("after the undo: %+v", all)
	}
	audited(t, d, p, "undo", back.Undo)
	_, err = d.Undo(t.Context(), p, ipc.UndoRequest{Apply: true})
	wantKind(t, err, ipc.NotFound)
	_, err = d.Undo(t.Context(), p, ipc.UndoRequest{ID: "../../etc/passwd"})
	wantKind(t, err, ipc.NotFound)
}

// audited wants the newest entry to be of an action.
func audited(t *testing.T, d *daemon.Daemon, p ipc.Principal, action, object string) {
	t.Helper()
	log, err := d.Audit(t.Context(), p)
	if err != nil || !log.Intact {
		t.Fatalf("%+v, %v", log, err)
	}
	last := log.Entries[len(log.Entries)-1]
	if last.Action != action || last.Object != object || !last.OK {
		t.Errorf("the newest entry is %+v", last)
	}
	for _, e := range log.Entries {
		if text := fmt.Sprintf("%+v", e); strings.Contains(text, "alice") || strings.Contains(text, "a phone") || strings.Contains(text, "Mail") {
			t.Errorf("the audit log names things: %+v", e)
		}
	}
}

func TestImportRefusesHostileRequests(t *testing.T) {
	d := start(t, nil)
	p := caller("1000")
	initSoft(t, d, p)
	add(t, d, p, aliceURI)
	one := func(item, action string) []ipc.Resolution { return []ipc.Resolution{{Item: item, Action: action}} }
	for name, r := range map[string]ipc.ImportRequest{
		"no account":       {},
		"number zero":      {Accounts: imports(), Resolve: one("0", "keep")},
		"beyond":           {Accounts: imports(), Resolve: one("4", "keep")},
		"leading zero":     {Accounts: imports(), Resolve: one("01", "keep")},
		"sign":             {Accounts: imports(), Resolve: one("+1", "keep")},
		"no number":        {Accounts: imports(), Resolve: one("alice", "keep")},
		"huge":             {Accounts: imports(), Resolve: one("99999999999999999999", "keep")},
		"no action":        {Accounts: imports(), Resolve: one("2", "")},
		"other action":     {Accounts: imports(), Resolve: one("2", "remove")},
		"twice":            {Accounts: imports(), Resolve: append(one("2", "keep"), one("2", "replace")...)},
		"name for keep":    {Accounts: imports(), Resolve: []ipc.Resolution{{Item: "2", Action: "keep", Name: "x"}}},
		"rename to naught": {Accounts: imports(), Resolve: one("2", "rename")},
		"control in name":  {Accounts: imports(), Resolve: []ipc.Resolution{{Item: "2", Action: "rename", Name: "a\x1b[2J"}}},
		"source":           {Accounts: imports(), Source: "a\nb"},
		"class":            {Accounts: imports(), Class: "other"},
		"control":          {Accounts: []ipc.NewAccount{{Name: "a\x00", Secret: secretOf(otherSecret)}}},
		"no secret":        {Accounts: []ipc.NewAccount{{Name: "a"}}},
		"bad secret":       {Accounts: []ipc.NewAccount{{Name: "a", Secret: secretOf("1!")}}},
		"digits":           {Accounts: []ipc.NewAccount{{Name: "a", Secret: secretOf(otherSecret), Digits: 99}}},
	} {
		r.Apply = true
		_, err := d.ImportAccounts(t.Context(), p, r)
		e := wantKind(t, err, ipc.InvalidArgument)
		if strings.Contains(e.Error(), otherSecret) {
			t.Errorf("%s: the error tells a secret", name)
		}
	}
	_, err := d.ImportAccounts(t.Context(), p, ipc.ImportRequest{Accounts: imports(), Class: "touch"})
	wantKind(t, err, ipc.NoKeyslot)
	if all, _ := d.Accounts(t.Context(), p); len(all.Accounts) != 1 {
		t.Errorf("%d accounts", len(all.Accounts))
	}
}

func TestMergeABackup(t *testing.T) {
	d := start(t, nil)
	alice, bob := caller("1000"), caller("1001")
	initSoft(t, d, alice)
	add(t, d, alice, aliceURI)
	b, err := d.CreateBackup(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	merge := func(p ipc.Principal, a ipc.Auth, apply bool) (ipc.Plan, error) {
		return d.MergeBackup(t.Context(), p, ipc.MergeBackupRequest{Auth: a, Data: b.Data, Apply: apply, From: ipc.BackupFile{Path: "/stick/merged.tokend"}})
	}
	isFrom := func(k ipc.KnownBackup) bool { return len(k.Copies) == 1 && k.Copies[0].Path == "/stick/merged.tokend" }
	byPassword := func() ipc.Auth { return ipc.Auth{RecoveryPassword: secretOf(recovery)} }
	_, err = merge(bob, byPassword(), true)
	wantKind(t, err, ipc.NoVault)
	initSoft(t, d, bob)
	if err := d.Lock(t.Context(), bob); err != nil {
		t.Fatal(err)
	}
	_, err = merge(bob, byPassword(), true)
	wantKind(t, err, ipc.VaultLocked)
	if _, err := d.Unlock(t.Context(), bob, ipc.UnlockRequest{Auth: ipc.Auth{PIN: secretOf(passphrase)}}); err != nil {
		t.Fatal(err)
	}
	_, err = merge(bob, ipc.Auth{RecoveryPassword: secretOf("another password")}, true)
	wantKind(t, err, ipc.WrongPassword)
	_, err = d.MergeBackup(t.Context(), bob, ipc.MergeBackupRequest{Auth: byPassword(), Data: []byte("no backup"), Apply: true})
	wantKind(t, err, ipc.BackupDamaged)
	_, err = d.MergeBackup(t.Context(), bob, ipc.MergeBackupRequest{Auth: byPassword(), Data: b.Data, Signer: strings.Repeat("0", 64), Apply: true})
	wantKind(t, err, ipc.BackupUnknown)
	plan, err := merge(bob, byPassword(), false)
	if err != nil || planned(plan) != "add" || plan.Applied || !has(plan.Notices, "other-vault") || has(plan.Notices, "signer-unproved") {
		t.Fatalf("%+v, %v", plan, err)
	}
	plan, err = merge(bob, byPassword(), true)
	if err != nil || !plan.Applied || plan.Undo == "" || !strings.HasPrefix(plan.Source, "backup of ") {
		t.Fatalf("%+v, %v", plan, err)
	}
	audited(t, d, bob, "backup-merge", plan.Undo)
	if _, err := d.Code(t.Context(), bob, "alice", ipc.CodeRequest{}); err != nil {
		t.Error(err)
	}
	if plan, err = merge(bob, byPassword(), true); err != nil || planned(plan) != "same" || plan.Undo != "" || !plan.Applied {
		t.Errorf("once more: %+v, %v", plan, err)
	}
	if list, err := d.BackupList(t.Context(), bob); err != nil || slices.ContainsFunc(list.Backups, isFrom) {
		t.Errorf("one of another vault is called one of this: %+v, %v", list, err)
	}
	if plan, err = merge(alice, ipc.Auth{PIN: secretOf(passphrase)}, true); err != nil || planned(plan) != "same" || len(plan.Notices) != 0 {
		t.Errorf("into its own vault: %+v, %v", plan, err)
	}
	if list, err := d.BackupList(t.Context(), alice); err != nil || !slices.ContainsFunc(list.Backups, isFrom) {
		t.Errorf("what was merged is not known: %+v, %v", list, err)
	}
}

// TestRotationEndsUndos: what takes a step back is sealed to the old keys, and a
// revoked token's session may have had those.
func TestRotationEndsUndos(t *testing.T) {
	d := start(t, nil)
	p := caller("1000")
	initSoft(t, d, p)
	if _, err := d.ImportAccounts(t.Context(), p, ipc.ImportRequest{Accounts: imports(), Apply: true}); err != nil {
		t.Fatal(err)
	}
	r, err := d.RotateRecovery(t.Context(), p, ipc.SetRecoveryRequest{Auth: ipc.Auth{PIN: secretOf(passphrase)}, Password: secretOf("a new password")})
	if err != nil || !has(r.Warnings, "undo-dropped") {
		t.Fatalf("%+v, %v", r, err)
	}
	if list, err := d.Undos(t.Context(), p); err != nil || len(list.Undos) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	_, err = d.Undo(t.Context(), p, ipc.UndoRequest{})
	wantKind(t, err, ipc.NotFound)
}

func TestNoExport(t *testing.T) {
	d := start(t, nil)
	p := caller("1000")
	initSoft(t, d, p)
	list, err := d.AddAccounts(t.Context(), p, ipc.AddAccountsRequest{Accounts: []ipc.NewAccount{{URI: secretOf(aliceURI), NoExport: true}}})
	if err != nil || !list.Accounts[0].NoExport {
		t.Fatalf("%+v, %v", list, err)
	}
	id := list.Accounts[0].ID
	_, err = d.RevealAccount(t.Context(), p, id, ipc.RevealRequest{})
	wantKind(t, err, ipc.PolicyDenied)
	edit := func(a ipc.Auth, to bool) error {
		_, err := d.EditAccount(t.Context(), p, id, ipc.EditAccountRequest{Auth: a, NoExport: &to})
		return err
	}
	wantKind(t, edit(ipc.Auth{}, false), ipc.PINRequired)
	wantKind(t, edit(ipc.Auth{PIN: secretOf("a wrong one")}, false), ipc.PINInvalid)
	if a, _ := d.Account(t.Context(), p, id); !a.NoExport {
		t.Fatal("it was taken back without consent")
	}
	if err := edit(ipc.Auth{PIN: secretOf(passphrase)}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := d.RevealAccount(t.Context(), p, id, ipc.RevealRequest{}); err != nil {
		t.Error(err)
	}
	if err := edit(ipc.Auth{}, true); err != nil {
		t.Errorf("to set it takes nothing: %v", err)
	}
}
