package desk_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/desk"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/softkey"
)

// caller is somebody at a process of his.
func caller(name string) ipc.Principal {
	p := as(name)
	p.PID = 4711
	return p
}

// since is the entries after one.
func (b *bench) since(t *testing.T, after uint64) []ipc.AuditEntry {
	t.Helper()
	page, err := b.AuthorityAudit(t.Context(), root, ipc.AuditQuery{After: after})
	if err != nil || !page.Intact {
		t.Fatalf("%+v, %v", page, err)
	}
	return page.Entries
}

// last is the number of the newest entry.
func (b *bench) last(t *testing.T) uint64 {
	t.Helper()
	page, err := b.AuthorityAudit(t.Context(), root, ipc.AuditQuery{Last: 1})
	if err != nil || len(page.Entries) != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	return page.Entries[0].Seq
}

// looks are the methods that change nothing. What they refuse is in the audit too.
func looks() []string {
	return []string{"Authority", "AuthorityAudit", "CheckpointAuthorityAudit", "VerifyAuthorityAudit", "Users", "User", "Fobs", "Fob", "Policy", "CheckPolicy",
		"AuthorityKeys", "ExplainPolicy", "Activations", "BypassCodes", "UserDevices", "UserDevice", "SecurityKeys", "AuthorityDescriptor",
		"Groups", "ChildAuthorities", "UserReport", "Verifiers", "CheckVerifier"}
}

// elsewhere are the methods whose success other tests look for in the audit:
// TestCreate, those of keys_test.go, which have tokens, and TestVerifiers, which has
// verifiers.
func elsewhere() []string {
	return []string{"CreateAuthority", "UnlockAuthority", "LockAuthority", "AddAuthorityKey", "RemoveAuthorityKey", "SetVerifier", "RemoveVerifier", "EnrollUser"}
}

// deeds are the other methods: what does each successfully, and the kind of entry
// that it leaves.
func deeds(t *testing.T, b *bench) map[string]struct {
	kind string
	do   func(ctx context.Context, p ipc.Principal) error
} {
	t.Helper()
	type row = struct {
		kind string
		do   func(ctx context.Context, p ipc.Principal) error
	}
	one := func(_ any, err error) error { return err }
	key := softkey.New(t)
	two := func(serial string) ipc.Secret {
		return ipc.Secret(passcode(t, serial, 50) + " " + passcode(t, serial, 51))
	}
	id := func(made ipc.MadeActivation, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return made.Activation.ID
	}
	open := func(ctx context.Context) string {
		return id(b.CreateActivation(ctx, root, ipc.NewActivation{User: "bob", Account: "vpn"}))
	}
	return map[string]row{
		"EditAuthority": {"authority-edit", func(ctx context.Context, p ipc.Principal) error {
			return one(b.EditAuthority(ctx, p, ipc.EditAuthorityRequest{}))
		}},
		"AddUser": {"user-add", func(ctx context.Context, p ipc.Principal) error {
			return one(b.AddUser(ctx, p, ipc.NewUser{Name: "new"}))
		}},
		"AddGroup": {"group-add", func(ctx context.Context, p ipc.Principal) error {
			return one(b.AddGroup(ctx, p, ipc.NewGroup{Name: "staff", Roles: []ipc.Role{ipc.RoleHelpdesk}}))
		}},
		"AddChildAuthority": {"authority-child-create", func(ctx context.Context, p ipc.Principal) error {
			return one(b.AddChildAuthority(ctx, p, ipc.NewChildAuthority{Name: "west"}))
		}},
		"RemoveChildAuthority": {"authority-child-remove", func(ctx context.Context, p ipc.Principal) error {
			return one(b.RemoveChildAuthority(ctx, p, ipc.ChildAuthorityRef{Authority: "west"}))
		}},
		"RemoveGroup": {"group-remove", func(ctx context.Context, p ipc.Principal) error {
			return one(b.RemoveGroup(ctx, p, ipc.GroupRef{Name: "staff"}))
		}},
		"EditUser": {"user-edit", func(ctx context.Context, p ipc.Principal) error {
			return one(b.EditUser(ctx, p, "bob", ipc.EditUserRequest{}))
		}},
		"RemoveUser": {"user-remove", func(ctx context.Context, p ipc.Principal) error {
			return one(b.RemoveUser(ctx, p, "ghost", ipc.RemoveUserRequest{Confirm: b.ids["ghost"]}))
		}},
		"ImportFobs": {"fob-import", func(ctx context.Context, p ipc.Principal) error {
			return one(b.ImportFobs(ctx, p, ipc.ImportFobsRequest{Fobs: []ipc.NewFob{newFob("one"), newFob("two")}, Apply: true}))
		}},
		"AssignFob": {"fob-assign", func(ctx context.Context, p ipc.Principal) error {
			return one(b.AssignFob(ctx, p, "spare", ipc.AssignFobRequest{User: "bob"}))
		}},
		"UnassignFob": {"fob-unassign", func(ctx context.Context, p ipc.Principal) error {
			return one(b.UnassignFob(ctx, p, "user-fob", ipc.UnassignFobRequest{}))
		}},
		"EnableFob":  {"fob-enable", func(ctx context.Context, p ipc.Principal) error { return one(b.EnableFob(ctx, p, "helpdesk-fob")) }},
		"DisableFob": {"fob-disable", func(ctx context.Context, p ipc.Principal) error { return one(b.DisableFob(ctx, p, "verifier-fob")) }},
		"LoseFob":    {"fob-lost", func(ctx context.Context, p ipc.Principal) error { return one(b.LoseFob(ctx, p, "helpdesk2-fob")) }},
		"ReplaceFob": {"fob-replace", func(ctx context.Context, p ipc.Principal) error {
			return one(b.ReplaceFob(ctx, p, "admin-fob", ipc.ReplaceFobRequest{With: "spare2"}))
		}},
		"ResyncFob": {"fob-resync", func(ctx context.Context, p ipc.Principal) error {
			return one(b.ResyncFob(ctx, p, "bob-fob", ipc.ResyncFobRequest{Passcodes: two("bob-fob")}))
		}},
		"ResyncOwnFob": {"fob-resync", func(ctx context.Context, p ipc.Principal) error {
			return one(b.ResyncOwnFob(ctx, p, "owner-fob", ipc.ResyncFobRequest{Passcodes: ipc.Secret(string(two("owner-fob")) + " " + passcode(t, "owner-fob", 52))}))
		}},
		"BurnFobs": {"fob-burn", func(ctx context.Context, p ipc.Principal) error {
			return one(b.BurnFobs(ctx, p, ipc.BurnFobsRequest{Serial: "admin2-fob", Margin: 10}))
		}},
		"SetPolicy": {"policy-set", func(ctx context.Context, p ipc.Principal) error {
			now, err := b.Policy(ctx, root)
			if err != nil {
				return err
			}
			return one(b.SetPolicy(ctx, p, ipc.SetPolicyRequest{Text: now.Text}))
		}},
		"Verify": {"verify", func(ctx context.Context, p ipc.Principal) error {
			return one(b.Verify(ctx, p, ipc.VerifyRequest{User: "bob", Service: "pam", Passcode: ipc.Secret(passcode(t, "bob-fob", 60))}))
		}},
		"VerifyAttended": {"verify", func(ctx context.Context, p ipc.Principal) error {
			return one(b.VerifyAttended(ctx, p, ipc.VerifyRequest{User: "bob", Passcode: ipc.Secret(passcode(t, "bob-fob", 61))}))
		}},
		"AuthorityMessage": {"activate", func(ctx context.Context, p ipc.Principal) error {
			made, err := b.CreateActivation(ctx, root, ipc.NewActivation{User: "bob", Account: "mail"})
			if err == nil {
				newLaptop(t, b, p).activate(made.Link)
			}
			return err
		}},
		"CreateActivation": {"activation-create", func(ctx context.Context, p ipc.Principal) error {
			return one(b.CreateActivation(ctx, p, ipc.NewActivation{User: "bob", Account: "x"}))
		}},
		"ApproveActivation": {"activation-approve", func(ctx context.Context, p ipc.Principal) error {
			id, back := b.waiting(t)
			defer back()
			return one(b.ApproveActivation(ctx, p, id))
		}},
		"RevokeActivation": {"activation-revoke", func(ctx context.Context, p ipc.Principal) error { return one(b.RevokeActivation(ctx, p, open(ctx))) }},
		"CreateBypassCode": {"bypass-create", func(ctx context.Context, p ipc.Principal) error {
			return one(b.CreateBypassCode(ctx, p, ipc.NewBypassCode{User: "bob"}))
		}},
		"RevokeBypassCode": {"bypass-revoke", func(ctx context.Context, p ipc.Principal) error {
			made, err := b.CreateBypassCode(ctx, root, ipc.NewBypassCode{User: "bob"})
			if err != nil {
				return err
			}
			return one(b.RevokeBypassCode(ctx, p, made.Bypass.ID))
		}},
		"RevokeUserDevice": {"device-revoke", func(ctx context.Context, p ipc.Principal) error {
			newLaptop(t, b, root).activate(func() ipc.Secret {
				made, err := b.CreateActivation(ctx, root, ipc.NewActivation{User: "bob", Account: "vpn"})
				if err != nil {
					t.Fatal(err)
				}
				return made.Link
			}())
			list, err := b.UserDevices(ctx, root, ipc.UserRef{User: "bob"})
			if err != nil {
				return err
			}
			at := slices.IndexFunc(list.Devices, func(d ipc.UserDevice) bool { return d.State == ipc.DeviceActive })
			return one(b.RevokeUserDevice(ctx, p, list.Devices[at].ID))
		}},
		"AddSecurityKey": {"security-key-add", func(ctx context.Context, p ipc.Principal) error {
			return one(b.AddSecurityKey(ctx, p, ipc.NewSecurityKey{User: "bob", Name: "one", Statement: key.New(b.ids["bob"])}))
		}},
		"RemoveSecurityKey": {"security-key-remove", func(ctx context.Context, p ipc.Principal) error {
			if _, err := b.AddSecurityKey(ctx, root, ipc.NewSecurityKey{User: "bob", Name: "other", Statement: softkey.New(t).New(b.ids["bob"])}); err != nil {
				return err
			}
			return one(b.RemoveSecurityKey(ctx, p, ipc.SecurityKeyRef{User: "bob", Key: "other"}))
		}},
	}
}

// TestEveryDeedIsInTheAudit does every thing that changes something, and has
// everything refused that can be: each is in the audit, with who, what and from
// where.
func TestEveryDeedIsInTheAudit(t *testing.T) {
	b := furnished(t)
	b.issue(t, "spare", "")
	b.issue(t, "spare2", "")
	rows := deeds(t, b)
	all := reflect.TypeFor[ipc.Authority]()
	for i := range all.NumMethod() {
		name := all.Method(i).Name
		row, deed := rows[name]
		if deed == (slices.Contains(looks(), name) || slices.Contains(elsewhere(), name)) {
			t.Errorf("what does %s leave in the audit?", name)
		}
		b.clock.pass(2 * time.Minute) // so that it is not counted as one more of a kind
		if deed {
			before := b.last(t)
			if err := row.do(t.Context(), caller("owner")); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			from := "local uid=" + uids()["owner"] + " pid=4711"
			if !slices.ContainsFunc(b.since(t, before), func(e ipc.AuditEntry) bool {
				return e.OK && e.Action == row.kind && e.From == from && (e.By == b.ids["owner"] || name == "AuthorityMessage")
			}) {
				t.Errorf("%s left %+v", name, b.since(t, before))
			}
		}
		args, everybodys := table()[name].args, slices.Contains(table()[name].roles, "user")
		if everybodys {
			continue
		}
		b.clock.pass(2 * time.Minute)
		before := b.last(t)
		if err := ask(t, b, name, caller("user"), args); ipc.KindOf(err) != ipc.NotAuthorized {
			t.Errorf("%s: %v", name, err)
		}
		from := "local uid=" + uids()["user"] + " pid=4711"
		if !slices.ContainsFunc(b.since(t, before), func(e ipc.AuditEntry) bool {
			return !e.OK && e.By == b.ids["user"] && e.From == from && e.Detail == string(ipc.NotAuthorized) && (!deed || row.kind == e.Action)
		}) {
			t.Errorf("%s refused left %+v", name, b.since(t, before))
		}
	}
	b.searched(t)
}

// waiting is an activation of the helpdesk's that waits for a second person; what
// is returned with it puts the policy back.
func (b *bench) waiting(t *testing.T) (id string, back func()) {
	t.Helper()
	back = b.asksForSecond(t)
	made, err := b.CreateActivation(t.Context(), as("helpdesk"), ipc.NewActivation{User: "bob", Account: "second"})
	if err != nil || made.Activation.State != ipc.CodeWaiting {
		t.Fatalf("%+v, %v", made, err)
	}
	return made.Activation.ID, back
}

// searched looks through the audit's files for names, serial numbers and secrets.
func (b *bench) searched(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(b.dir, "audit.log*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"os-", "-fob", "bob", "ghost", "spare", "Example AG", "IT desk", "help.example.org", "vpn", "laptop", "YubiKey",
			passcode(t, "bob-fob", 60), passcode(t, "bob-fob", 61), "tokend-activation"} {
			if at := bytes.Index(data, []byte(word)); at >= 0 {
				t.Errorf("%s has %q: …%s…", path, word, data[max(0, at-80):min(len(data), at+80)])
			}
		}
	}
}

// TestAuditFilters asks for entries by each of the filters.
func TestAuditFilters(t *testing.T) {
	b := furnished(t)
	begun := b.clock.Now()
	b.clock.pass(time.Hour)
	ctx := t.Context()
	made, err := b.CreateActivation(ctx, as("helpdesk"), ipc.NewActivation{User: "bob", Account: "vpn"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.AddUser(ctx, as("helpdesk"), ipc.NewUser{Name: "nobody"}); ipc.KindOf(err) != ipc.NotAuthorized {
		t.Fatal(err)
	}
	secret := newLaptop(t, b, as("bob")).activate(made.Link)
	whole := b.since(t, 0)
	for name, c := range map[string]struct {
		q    ipc.AuditQuery
		want func(e ipc.AuditEntry) bool
	}{
		"since":  {ipc.AuditQuery{Since: begun.Add(time.Minute)}, func(e ipc.AuditEntry) bool { return e.Time.After(begun) }},
		"until":  {ipc.AuditQuery{Until: begun}, func(e ipc.AuditEntry) bool { return !e.Time.After(begun) }},
		"kind":   {ipc.AuditQuery{Kind: "activation"}, func(e ipc.AuditEntry) bool { return e.Action == "activation-create" }},
		"action": {ipc.AuditQuery{Kind: "fob-assign"}, func(e ipc.AuditEntry) bool { return e.Action == "fob-assign" }},
		"user": {ipc.AuditQuery{User: "BOB"}, func(e ipc.AuditEntry) bool {
			return e.Object == b.ids["bob"] || strings.Contains(e.Detail, "user="+b.ids["bob"])
		}},
		"by":      {ipc.AuditQuery{By: "helpdesk"}, func(e ipc.AuditEntry) bool { return e.By == b.ids["helpdesk"] }},
		"by root": {ipc.AuditQuery{By: "uid 0"}, func(e ipc.AuditEntry) bool { return e.By == "uid 0" }},
		"account": {ipc.AuditQuery{Account: secret.Account}, func(e ipc.AuditEntry) bool { return strings.Contains(e.Detail, "account="+secret.Account) }},
		"failed":  {ipc.AuditQuery{Failed: true}, func(e ipc.AuditEntry) bool { return !e.OK }},
		"two":     {ipc.AuditQuery{By: "helpdesk", Failed: true}, func(e ipc.AuditEntry) bool { return !e.OK && e.By == b.ids["helpdesk"] }},
		"after":   {ipc.AuditQuery{After: 5}, func(e ipc.AuditEntry) bool { return e.Seq > 5 }},
		"nobody":  {ipc.AuditQuery{User: strings.Repeat("0f", 16)}, func(ipc.AuditEntry) bool { return false }},
	} {
		var want []ipc.AuditEntry
		for _, e := range whole {
			if c.want(e) {
				want = append(want, e)
			}
		}
		if len(want) == 0 != (name == "nobody") || len(want) == len(whole) {
			t.Fatalf("%s: the test wants %d entries", name, len(want))
		}
		page, err := b.AuthorityAudit(ctx, root, c.q)
		if err != nil || page.More || !slices.Equal(page.Entries, append([]ipc.AuditEntry{}, want...)) {
			t.Errorf("%s: %+v, %v, want %+v", name, page, err, want)
		}
		c.q.Last = 2
		if page, err := b.AuthorityAudit(ctx, root, c.q); err != nil || !slices.Equal(page.Entries, append([]ipc.AuditEntry{}, want[max(0, len(want)-2):]...)) {
			t.Errorf("the last of %s: %+v, %v", name, page, err)
		}
	}
	for _, q := range []ipc.AuditQuery{{Last: -1}, {Last: 1001}, {Limit: -1}, {Limit: 1001}} {
		if _, err := b.AuthorityAudit(ctx, root, q); ipc.KindOf(err) != ipc.InvalidArgument {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// TestAuditOfNobody: what there is not is said to be not there, and is no reason to
// believe that nothing happened. Who was removed is found by his id.
func TestAuditOfNobody(t *testing.T) {
	b := furnished(t)
	ctx := t.Context()
	for want, queries := range map[ipc.Kind][]ipc.AuditQuery{
		ipc.NotFound:        {{User: "nosuch"}, {By: "nosuch"}, {By: "uid"}, {By: "root"}},
		ipc.InvalidArgument: {{Kind: "nosuch"}, {Kind: "fob-"}, {Kind: "fo"}, {Account: "vpn"}, {Device: "laptop"}},
	} {
		for _, q := range queries {
			if page, err := b.AuthorityAudit(ctx, root, q); ipc.KindOf(err) != want {
				t.Errorf("%+v: %+v, %v", q, page, err)
			}
		}
	}
	_, err := b.AuthorityAudit(ctx, root, ipc.AuditQuery{Kind: "nosuch"})
	var e *ipc.Error
	if !errors.As(err, &e) || !slices.ContainsFunc(e.Items, func(i ipc.Item) bool { return i.ID == "fob-lost" && i.Reason == "kind" }) {
		t.Errorf("%+v", err)
	}
	for _, kind := range desk.AuditKinds() {
		if _, err := b.AuthorityAudit(ctx, root, ipc.AuditQuery{Kind: kind}); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if _, err := b.RemoveUser(ctx, as("admin"), "bob", ipc.RemoveUserRequest{Confirm: b.ids["bob"]}); err != nil {
		t.Fatal(err)
	}
	page, err := b.AuthorityAudit(ctx, root, ipc.AuditQuery{Kind: "user-remove"})
	if err != nil || len(page.Entries) != 1 || page.Entries[0].Object != b.ids["bob"] {
		t.Fatalf("%+v, %v", page, err)
	}
	if page, err = b.AuthorityAudit(ctx, root, ipc.AuditQuery{User: page.Entries[0].Object}); err != nil || len(page.Entries) < 3 {
		t.Errorf("%+v, %v", page, err)
	}
	if _, err = b.AuthorityAudit(ctx, root, ipc.AuditQuery{User: "bob"}); ipc.KindOf(err) != ipc.NotFound {
		t.Error(err)
	}
}

// journal is what the daemon's log gets.
type journal struct {
	mu sync.Mutex
	bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.Buffer.Write(b)
}

// TestAuthorityCheckpoints: a checkpoint holds over a restart; a cut tail, a chain
// made anew, another authority's and one of a file moved away are told apart.
func TestAuthorityCheckpoints(t *testing.T) {
	b, other := furnished(t), furnished(t)
	ctx := t.Context()
	path := filepath.Join(b.dir, "audit.log")
	early, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.AddUser(ctx, as("admin"), ipc.NewUser{Name: "late"}); err != nil {
		t.Fatal(err)
	}
	point, err := b.CheckpointAuthorityAudit(ctx, as("admin"))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := other.CheckpointAuthorityAudit(ctx, root)
	if err != nil {
		t.Fatal(err)
	}
	info, err := b.Authority(ctx, root)
	if err != nil || point.Chain != info.ID {
		t.Errorf("%+v of %+v, %v", point, info, err)
	}
	forged := strings.Replace(point.Checkpoint, "."+point.Hash+".", "."+strings.Repeat("0", 64)+".", 1)
	verdict := func(data []byte) (ipc.AuditVerdict, []ipc.CheckpointStanding) {
		t.Helper()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if data != nil {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b.Desk = desk.New(desk.Config{Dir: b.dir, Login: loginOf, Now: b.clock.Now, Wait: b.clock.wait})
		b.Open()
		v, err := b.VerifyAuthorityAudit(ctx, root, ipc.VerifyAuditRequest{Checkpoints: []string{point.Checkpoint, theirs.Checkpoint, forged, "nonsense"}})
		if err != nil {
			t.Fatal(err)
		}
		var list []ipc.CheckpointStanding
		for _, c := range v.Checkpoints {
			list = append(list, c.Standing)
		}
		return v, list
	}
	rest := []ipc.CheckpointStanding{ipc.CheckpointOther, ipc.CheckpointForged, ipc.CheckpointUnreadable}
	if v, got := verdict(nil); !v.Intact || len(v.Warnings) > 0 || v.Last != point.Seq+2 || !slices.Equal(got, append([]ipc.CheckpointStanding{ipc.CheckpointHeld}, rest...)) {
		t.Errorf("as it was: %+v", v)
	}
	// The daemon notes that it opened: so the number is there again, and is another.
	if v, got := verdict(early); v.Intact || got[0] != ipc.CheckpointRewritten {
		t.Errorf("its end cut off, and gone on with: %+v", v)
	}
	if v, got := verdict(early[:len(early)/2]); got[0] != ipc.CheckpointCut {
		t.Errorf("its end cut off: %+v", v)
	}
	if v, got := verdict([]byte{}); v.Intact || got[0] != ipc.CheckpointCut {
		t.Errorf("begun anew: %+v", v)
	}
	if _, err := b.VerifyAuthorityAudit(ctx, root, ipc.VerifyAuditRequest{Checkpoints: make([]string, 1001)}); ipc.KindOf(err) != ipc.InvalidArgument {
		t.Errorf("1,001 checkpoints: %v", err)
	}
}

// TestCheckpointsInTheLog: the daemon's log has each one that is asked for.
func TestCheckpointsInTheLog(t *testing.T) {
	var log journal
	d := desk.New(desk.Config{Dir: filepath.Join(t.TempDir(), "authority"), Login: loginOf, Log: slog.New(slog.NewTextHandler(&log, nil))})
	t.Cleanup(func() { _ = d.Close() })
	if _, err := d.CreateAuthority(t.Context(), root, ipc.CreateAuthorityRequest{Name: "Example AG"}); err != nil {
		t.Fatal(err)
	}
	point, err := d.CheckpointAuthorityAudit(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	if text := log.String(); !strings.Contains(text, `level=INFO msg="audit checkpoint" of=authority`) || !strings.Contains(text, "checkpoint="+point.Checkpoint) {
		t.Errorf("the log has %s", text)
	}
}
