package daemon_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
)

const counterURI = "otpauth://hotp/Bank:carol?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Bank&counter=0"

// tree is every file below a folder, by its path there.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, relErr := filepath.Rel(dir, path)
			list, err = append(list, rel), relErr
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return list
}

// A purge takes everything of the one vault, leaves one entry of the audit log, and
// nothing of another user's is touched or told.
func TestPurge(t *testing.T) {
	var dir string
	d := start(t, func(c *daemon.Config) { dir = c.StateDir })
	p, other := caller("1000"), caller("1001")
	initSoft(t, d, other)
	add(t, d, other, aliceURI)
	events := listen(t, d, other)
	others := func() []string { // but for backups, which come by themselves sooner or later
		return slices.DeleteFunc(tree(t, filepath.Join(dir, "users", "1001")), func(f string) bool { return strings.HasPrefix(f, "backups") || strings.HasSuffix(f, ".tmp") })
	}
	before := others()

	id := initSoft(t, d, p).Vault.ID
	add(t, d, p, aliceURI)
	add(t, d, p, counterURI)
	if _, err := d.SetGrantMode(t.Context(), p, ipc.SetGrantModeRequest{Mode: ipc.GrantDeny, Account: "alice"}); err != nil {
		t.Fatal(err)
	}
	if left, err := d.Leaving(t.Context(), p); err != nil || !slices.ContainsFunc(left.Files, func(f ipc.LeftFiles) bool { return f.Kind == "grants" && !f.Stays }) {
		t.Fatalf("the modes of grants are not said to go: %+v, %v", left.Files, err)
	}
	own := listen(t, d, p)
	_, err := d.Purge(t.Context(), p, ipc.PurgeRequest{})
	wantKind(t, err, ipc.InvalidArgument)
	_, err = d.Purge(t.Context(), p, ipc.PurgeRequest{Confirm: strings.Repeat("0", len(id)), WithoutBackup: true})
	wantKind(t, err, ipc.Conflict)
	_, err = d.Purge(t.Context(), p, ipc.PurgeRequest{Confirm: id})
	wantKind(t, err, ipc.Conflict)
	if left, err := d.Leaving(t.Context(), p); err != nil || left.Backed || left.Changes != -1 || len(left.Accounts) != 2 || len(left.Counting) != 1 {
		t.Fatalf("%+v, %v", left, err)
	}

	// With a backup that was opened: nothing changed since, and then one code.
	b := backup(t, d, p, "/stick/b.tokend")
	left, err := d.Leaving(t.Context(), p)
	if err != nil || !left.Backed || left.Changes != 0 || len(left.Counting) != 0 || len(left.Backups) != 1 {
		t.Fatalf("%+v, %v", left, err)
	}
	if got := left.Backups[0]; got.SHA256 != b.SHA256 || got.Opened.IsZero() || !slices.Equal(got.OpenedBy, []string{"recovery password"}) {
		t.Fatalf("a software token goes with the vault, and opens no backup then: %+v", got)
	}
	if _, err := d.Code(t.Context(), p, "Bank", ipc.CodeRequest{}); err != nil {
		t.Fatal(err)
	}
	if left, err := d.Leaving(t.Context(), p); err != nil || len(left.Counting) != 1 {
		t.Fatalf("%+v, %v", left, err)
	}
	log, err := d.Audit(t.Context(), p)
	if err != nil || len(log.Entries) == 0 {
		t.Fatal(err)
	}
	last := log.Entries[len(log.Entries)-1]

	res, err := d.Purge(t.Context(), p, ipc.PurgeRequest{Confirm: id})
	if err != nil || res.VaultID != id || len(res.Warnings) > 0 || len(res.Left.Tokens) > 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	if e := own.next(t, ipc.EventPurged); e.Vault == nil || e.Vault.State != ipc.VaultNone {
		t.Errorf("the event is %+v", e)
	}
	if got := tree(t, filepath.Join(dir, "users", "1000")); !slices.Equal(got, []string{"audit.log", "daemon.json", "lock"}) {
		t.Errorf("left are %v", got)
	}
	for _, sub := range []string{"purging", "pins"} {
		if got := tree(t, filepath.Join(dir, sub)); slices.ContainsFunc(got, func(f string) bool { return strings.HasPrefix(f, "1000") }) {
			t.Errorf("left in %s are %v", sub, got)
		}
	}
	log, err = d.Audit(t.Context(), p)
	if err != nil || !log.Intact || len(log.Entries) != 1 {
		t.Fatalf("%+v, %v", log, err)
	}
	// One entry was written between: that a counter moved on, or that it was locked.
	if e := log.Entries[0]; e.Action != "purge" || e.Object != id || e.By != "1000" || !strings.Contains(e.Detail, "of the log that was removed") || e.Seq != 1 || last.Seq < 4 {
		t.Errorf("the last entry is %+v", e)
	}
	_, err = d.Accounts(t.Context(), p)
	wantKind(t, err, ipc.NoVault)
	if st, err := d.Status(t.Context(), p); err != nil || st.Grants.Accounts != 0 || st.Grants.Mode != ipc.GrantOff {
		t.Errorf("the modes outlive the vault: %+v, %v", st.Grants, err)
	}
	_, err = d.Purge(t.Context(), p, ipc.PurgeRequest{Confirm: id, WithoutBackup: true})
	wantKind(t, err, ipc.NoVault)

	if got := others(); !slices.Equal(got, before) {
		t.Errorf("the other's files are %v, not %v", got, before)
	}
	if list, err := d.Accounts(t.Context(), other); err != nil || len(list.Accounts) != 1 {
		t.Errorf("the other has %+v, %v", list, err)
	}
	for len(events.events) > 0 {
		if e := <-events.events; e.Type != ipc.EventBackupState { // his own backup's
			t.Errorf("the other was told %+v", e)
		}
	}

	// The backup brings it back, and a vault can be made in its place.
	if _, err := d.RestoreBackup(t.Context(), p, ipc.RestoreBackupRequest{Auth: ipc.Auth{RecoveryPassword: secretOf(recovery)}, Data: b.Data}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Purge(t.Context(), p, ipc.PurgeRequest{Confirm: id, WithoutBackup: true}); err != nil {
		t.Fatal(err)
	}
	if again := initSoft(t, d, p); again.Vault.ID == id {
		t.Error("the new vault has the old one's id")
	}
}

// A backup that only a software token opens is worth nothing once the vault is gone.
func TestPurgeCountsNoBackupThatNothingOpens(t *testing.T) {
	d := start(t, nil)
	p := caller("1000")
	r, err := d.Init(t.Context(), p, ipc.InitRequest{Enroll: &ipc.EnrollRequest{Kind: "soft", PIN: secretOf(passphrase)}})
	if err != nil {
		t.Fatal(err)
	}
	add(t, d, p, aliceURI)
	backup(t, d, p, "/stick/b.tokend")
	if left, err := d.Leaving(t.Context(), p); err != nil || left.Backed || len(left.Backups) != 1 || len(left.Backups[0].OpenedBy) != 0 {
		t.Fatalf("%+v, %v", left, err)
	}
	_, err = d.Purge(t.Context(), p, ipc.PurgeRequest{Confirm: r.Vault.ID})
	wantKind(t, err, ipc.Conflict)
}

// Locked, damaged, or not to be read at all: an owner can always leave.
func TestPurgeOfWhatCannotBeOpened(t *testing.T) {
	var dir string
	d := start(t, func(c *daemon.Config) { dir = c.StateDir })
	p := caller("1000")
	id := initSoft(t, d, p).Vault.ID
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if left, err := d.Leaving(t.Context(), p); err != nil || left.Listed || len(left.Accounts) != 0 {
		t.Fatalf("%+v, %v", left, err)
	}
	if _, err := d.Purge(t.Context(), p, ipc.PurgeRequest{Confirm: id, WithoutBackup: true}); err != nil {
		t.Fatal(err)
	}

	id = initSoft(t, d, p).Vault.ID
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	ruin(t, filepath.Join(dir, "users", "1000"))
	if _, err := d.Purge(t.Context(), p, ipc.PurgeRequest{Confirm: id, WithoutBackup: true}); err != nil {
		t.Fatal(err)
	}

	initSoft(t, d, p)
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	ruin(t, filepath.Join(dir, "users", "1000"))
	if err := os.Remove(filepath.Join(dir, "pins", "1000.json")); err != nil {
		t.Fatal(err)
	}
	_, err := d.Purge(t.Context(), p, ipc.PurgeRequest{Confirm: "", WithoutBackup: true})
	wantKind(t, err, ipc.InvalidArgument)
	if _, err := d.Purge(t.Context(), p, ipc.PurgeRequest{Confirm: ipc.UnreadableVault, WithoutBackup: true}); err != nil {
		t.Fatal(err)
	}
	initSoft(t, d, p)
}

// Several accounts go in one step, or none; a name alone removes nothing.
func TestRemoveSeveral(t *testing.T) {
	d := start(t, nil)
	p := caller("1000")
	initSoft(t, d, p)
	a, b := add(t, d, p, aliceURI), add(t, d, p, counterURI)
	name := backup(t, d, p, "/stick/b.tokend").Name
	c := add(t, d, p, strings.ReplaceAll(aliceURI, "alice", "dora"))
	if name == "" {
		t.Fatal("no name")
	}
	_, err := d.RemoveAccounts(t.Context(), p, ipc.RemoveAccountsRequest{Accounts: []string{"Bank", "Example"}})
	if e := wantKind(t, err, ipc.Ambiguous); len(e.Items) != 2 || e.Items[0].ID == "" || !strings.Contains(e.Message, "Example") {
		t.Errorf("it says %+v", e)
	}
	_, err = d.RemoveAccounts(t.Context(), p, ipc.RemoveAccountsRequest{Accounts: []string{a.ID, "Bank"}, Apply: true})
	wantKind(t, err, ipc.InvalidArgument)
	_, err = d.RemoveAccounts(t.Context(), p, ipc.RemoveAccountsRequest{Accounts: []string{a.ID, "0123456789abcdef"}, Apply: true})
	wantKind(t, err, ipc.NotFound)
	plan, err := d.RemoveAccounts(t.Context(), p, ipc.RemoveAccountsRequest{Accounts: []string{"alice", "Bank", a.ID}})
	if err != nil || plan.Applied || len(plan.Accounts) != 2 || plan.LastBackup.IsZero() || plan.Earlier == 0 {
		t.Fatalf("%+v, %v", plan, err)
	}
	if list, err := d.Accounts(t.Context(), p); err != nil || len(list.Accounts) != 3 {
		t.Fatalf("something was removed: %+v, %v", list, err)
	}
	res, err := d.RemoveAccounts(t.Context(), p, ipc.RemoveAccountsRequest{Accounts: []string{a.ID, b.ID}, Apply: true})
	if err != nil || !res.Applied || len(res.Accounts) != 2 || !slices.Equal(res.Accounts[1].InBackups, []string{"/stick/b.tokend"}) {
		t.Fatalf("%+v, %v", res, err)
	}
	if list, err := d.Accounts(t.Context(), p); err != nil || len(list.Accounts) != 1 || list.Accounts[0].ID != c.ID {
		t.Fatalf("left are %+v, %v", list, err)
	}
}
