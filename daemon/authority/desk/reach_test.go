package desk_test

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/softkey"
)

// family is a furnished desk with child authorities: west and east, and south
// beneath west. Each has a user of each role, "west-admin", who has a fob.
func family(t *testing.T) *bench {
	t.Helper()
	b := furnished(t)
	for _, x := range []ipc.NewChildAuthority{{Name: "west", Display: "Example West"}, {Name: "east"}, {Name: "south", Parent: "west"}} {
		if _, err := b.AddChildAuthority(t.Context(), root, x); err != nil {
			t.Fatal(err)
		}
	}
	for name := range relatives() {
		home, role, _ := strings.Cut(name, "-")
		n := ipc.NewUser{Name: name, Logins: []string{"os-" + name}, Authority: home}
		if role != "user" {
			n.Roles = []ipc.Role{ipc.Role(role)}
		}
		u, err := b.AddUser(t.Context(), root, n)
		if err != nil || u.Authority != home {
			t.Fatal(u, err)
		}
		b.ids[name] = u.ID
		b.issue(t, name+"-fob", name)
	}
	return b
}

// things are what somebody has, so that it can be asked for.
type things struct{ activation, bypass, device string }

func (b *bench) thingsOf(t *testing.T, user string) (out things) {
	t.Helper()
	ctx := t.Context()
	made, err := b.CreateActivation(ctx, root, ipc.NewActivation{User: user, Account: "vpn"})
	if err != nil {
		t.Fatal(err)
	}
	newLaptop(t, b, root).activate(made.Link)
	devices, err := b.UserDevices(ctx, root, ipc.UserRef{User: user})
	if err != nil || len(devices.Devices) != 1 {
		t.Fatal(devices, err)
	}
	open, err := b.CreateActivation(ctx, root, ipc.NewActivation{User: user, Account: "mail"})
	if err != nil {
		t.Fatal(err)
	}
	code, err := b.CreateBypassCode(ctx, root, ipc.NewBypassCode{User: user})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.AddSecurityKey(ctx, root, ipc.NewSecurityKey{User: user, Name: "one", Statement: softkey.New(t).New(b.ids[user])}); err != nil {
		t.Fatal(err)
	}
	return things{open.Activation.ID, code.Bypass.ID, devices.Devices[0].ID}
}

// What a method is about.
const (
	aboutUser = "a user, or what is his"
	aboutAll  = "what is the root authority's"
	aboutMany = "what the caller reaches, and nothing else"
	aboutSelf = "the caller himself, or everybody"
)

// reached says for each method what it is about, and how to ask it about a user.
func reached() map[string]struct {
	about string
	args  func(user string, has things) []any
} {
	type row = struct {
		about string
		args  func(user string, has things) []any
	}
	user := func(args func(user string, has things) []any) row { return row{aboutUser, args} }
	with := func(arg func(user string) any) row {
		return user(func(user string, _ things) []any { return []any{arg(user)} })
	}
	fob := func(more ...any) row {
		return user(func(user string, _ things) []any { return append([]any{user + "-fob"}, more...) })
	}
	ref := with(func(user string) any { return ipc.UserRef{User: user} })
	whole := row{about: aboutAll}
	return map[string]row{
		"Authority": {about: aboutMany}, "Policy": {about: aboutMany}, "Users": {about: aboutMany}, "Fobs": {about: aboutMany},
		"AuthorityAudit": {about: aboutMany}, "ChildAuthorities": {about: aboutMany},

		"CreateAuthority": whole, "EditAuthority": whole, "UnlockAuthority": whole, "LockAuthority": whole, "AuthorityKeys": whole,
		"AddAuthorityKey": whole, "RemoveAuthorityKey": whole, "CheckpointAuthorityAudit": whole, "VerifyAuthorityAudit": whole,
		"Groups": whole, "AddGroup": whole, "RemoveGroup": whole, "ImportFobs": whole, "SetPolicy": whole, "CheckPolicy": whole,
		"Verifiers": whole, "SetVerifier": whole, "CheckVerifier": whole, "RemoveVerifier": whole, "EnrollUser": whole,

		"ResyncOwnFob": {about: aboutSelf}, "AuthorityMessage": {about: aboutSelf}, "AuthorityDescriptor": {about: aboutSelf},

		"User":       user(func(user string, _ things) []any { return []any{user} }),
		"UserReport": user(func(user string, _ things) []any { return []any{user} }),
		"AddUser": with(func(user string) any {
			return ipc.NewUser{Name: "new", Authority: map[string]string{"bob": "Example AG", "east-user": "east", "west-user": "west", "south-user": "south"}[user]}
		}),
		"EditUser":   user(func(user string, _ things) []any { return []any{user, ipc.EditUserRequest{}} }),
		"RemoveUser": user(func(user string, _ things) []any { return []any{user, ipc.RemoveUserRequest{Confirm: "no"}} }),
		"AddChildAuthority": with(func(user string) any {
			return ipc.NewChildAuthority{Name: "under-" + user, Parent: map[string]string{"bob": "Example AG", "east-user": "east", "west-user": "west", "south-user": "south"}[user]}
		}),
		// Of south's the parent is west: so each is asked for what lies in the user's.
		"RemoveChildAuthority": with(func(user string) any {
			return ipc.ChildAuthorityRef{Authority: map[string]string{"bob": "east", "east-user": "under-east", "west-user": "south", "south-user": "under-south-user"}[user]}
		}),
		"Fob":         fob(),
		"AssignFob":   user(func(user string, _ things) []any { return []any{"west-admin-fob", ipc.AssignFobRequest{User: user}} }),
		"UnassignFob": user(func(user string, _ things) []any { return []any{user + "-fob", ipc.UnassignFobRequest{User: user}} }),
		"EnableFob":   fob(), "DisableFob": fob(), "LoseFob": fob(),
		"ReplaceFob":    fob(ipc.ReplaceFobRequest{With: "spare"}),
		"ResyncFob":     fob(ipc.ResyncFobRequest{Passcodes: ipc.Secret("123456 123456")}),
		"BurnFobs":      with(func(user string) any { return ipc.BurnFobsRequest{Serial: user + "-fob", Margin: 1} }),
		"ExplainPolicy": with(func(user string) any { return ipc.ExplainPolicyRequest{User: user} }),
		"Verify": with(func(user string) any {
			return ipc.VerifyRequest{User: user, Service: "gate", Passcode: ipc.Secret("123456")}
		}),
		"VerifyAttended":    with(func(user string) any { return ipc.VerifyRequest{User: user, Passcode: ipc.Secret("123456")} }),
		"CreateActivation":  with(func(user string) any { return ipc.NewActivation{User: user, Account: "vpn"} }),
		"Activations":       ref,
		"ApproveActivation": user(func(_ string, has things) []any { return []any{has.activation} }),
		"RevokeActivation":  user(func(_ string, has things) []any { return []any{has.activation} }),
		"CreateBypassCode":  with(func(user string) any { return ipc.NewBypassCode{User: user} }),
		"BypassCodes":       ref,
		"RevokeBypassCode":  user(func(_ string, has things) []any { return []any{has.bypass} }),
		"UserDevices":       ref,
		"UserDevice":        user(func(_ string, has things) []any { return []any{has.device} }),
		"RevokeUserDevice":  user(func(_ string, has things) []any { return []any{has.device} }),
		"AddSecurityKey":    with(func(user string) any { return ipc.NewSecurityKey{User: user, Name: "two"} }),
		"SecurityKeys":      ref,
		"RemoveSecurityKey": with(func(user string) any { return ipc.SecurityKeyRef{User: user, Key: "none"} }),
	}
}

// beyond says that a call was refused because of whose it was, and not for the role.
func beyond(err error) bool {
	return err != nil && ipc.KindOf(err) == ipc.NotAuthorized && strings.Contains(err.Error(), "your roles end at")
}

// TestRolesEndAtTheirAuthority asks everything as everybody of west, about a user of
// the root authority and of a sibling: all is refused, and in the audit. About its
// own and about south beneath it west is asked no less than the root authority.
func TestRolesEndAtTheirAuthority(t *testing.T) {
	b := family(t)
	b.issue(t, "spare", "")
	if _, err := b.AddChildAuthority(t.Context(), root, ipc.NewChildAuthority{Name: "under-east", Parent: "east"}); err != nil {
		t.Fatal(err)
	}
	has := map[string]things{}
	for _, user := range []string{"bob", "east-user", "west-user", "south-user"} {
		has[user] = b.thingsOf(t, user)
	}
	rows, methods := reached(), reflect.TypeFor[ipc.Authority]()
	for i := range methods.NumMethod() {
		name := methods.Method(i).Name
		row, ok := rows[name]
		switch {
		case !ok:
			t.Errorf("how far does %s reach?", name)
		case row.about == aboutAll:
			b.isBeyond(t, name, "", table()[name].args)
		case row.about == aboutUser:
			for _, user := range []string{"bob", "east-user"} {
				b.isBeyond(t, name, user, row.args(user, has[user]))
			}
			if name == "ReplaceFob" {
				continue // what takes the place is nobody's, and so the root authority's
			}
			for _, user := range []string{"west-user", "south-user"} {
				if err := ask(t, b, name, as("west-owner"), row.args(user, has[user])); beyond(err) {
					t.Errorf("%s of %s as west-owner: %v", name, user, err)
				}
			}
		}
	}
	if len(rows) != methods.NumMethod() {
		t.Errorf("%d rows of %d methods", len(rows), methods.NumMethod())
	}
	b.searched(t)
}

// isBeyond has a method called by each of west's roles, who all are refused, and
// looks for it in the audit.
func (b *bench) isBeyond(t *testing.T, name, user string, args []any) {
	t.Helper()
	for _, who := range []string{"west-user", "west-verifier", "west-helpdesk", "west-admin", "west-owner"} {
		b.clock.pass(2 * time.Minute)
		if name == "AddUser" {
			n := args[0].(ipc.NewUser)
			n.Name += "-" + who
			args = []any{n}
		}
		before := b.last(t)
		err := ask(t, b, name, caller(who), args)
		role := strings.TrimPrefix(who, "west-")
		may := slices.Contains(table()[name].roles, role) || role == "owner"
		switch want := ipc.KindOf(err); {
		case err == nil:
			t.Errorf("%s %s as %s is done", name, user, who)
		case name == "Verify" && may && want == ipc.PasscodeInvalid: // a service is told the same of all
		case want != ipc.NotAuthorized || may && !beyond(err):
			t.Errorf("%s %s as %s: %v", name, user, who, err)
		}
		if !slices.ContainsFunc(b.since(t, before), func(e ipc.AuditEntry) bool {
			about := e.Object == b.ids[user] || strings.Contains(e.Detail, "user="+b.ids[user])
			return !e.OK && e.By == b.ids[who] && e.From != "" && (about || user == "" || !may || strings.HasSuffix(name, "ChildAuthority") || name == "AddUser")
		}) {
			t.Errorf("%s %s as %s left %+v", name, user, who, b.since(t, before))
		}
	}
}

// TestRanksWithinReach: within reach it is the rank that counts, as ever, and the
// reach comes first.
func TestRanksWithinReach(t *testing.T) {
	b := family(t)
	for _, c := range []struct {
		who, whom string
		kind      ipc.Kind
	}{
		{"west-owner", "user", ipc.NotAuthorized}, {"west-owner", "admin", ipc.NotAuthorized}, {"west-owner", "owner", ipc.NotAuthorized},
		{"west-owner", "east-user", ipc.NotAuthorized}, {"south-owner", "west-user", ipc.NotAuthorized},
		{"west-admin", "west-admin", ipc.PolicyDenied}, {"admin", "west-admin", ipc.NotAuthorized}, {"helpdesk", "south-helpdesk", ipc.NotAuthorized},
		{"west-owner", "west-owner", ipc.PolicyDenied},
		{"owner", "west-owner", ""}, {"owner", "south-admin", ""}, {"west-owner", "west-admin", ""}, {"west-owner", "south-owner", ""},
		{"admin", "south-helpdesk", ""}, {"helpdesk", "south-user", ""}, {"west-helpdesk", "south-user", ""}, {"west-helpdesk", "west-user", ""},
	} {
		_, err := b.CreateActivation(t.Context(), as(c.who), ipc.NewActivation{User: c.whom, Account: "vpn"})
		_, bypass := b.CreateBypassCode(t.Context(), as(c.who), ipc.NewBypassCode{User: c.whom})
		for _, err := range []error{err, bypass} {
			if c.kind == "" && err != nil || c.kind != "" && (err == nil || ipc.KindOf(err) != c.kind) {
				t.Errorf("%s helps %s: %v", c.who, c.whom, err)
			}
		}
		if c.kind == "" {
			continue
		}
		if !slices.ContainsFunc(b.entries(t, "activation-create"), func(e ipc.AuditEntry) bool {
			return !e.OK && e.By == b.ids[c.who] && e.Object == b.ids[c.whom]
		}) {
			t.Errorf("%s helps %s: not in the audit", c.who, c.whom)
		}
	}
}

// TestChildSeesItsOwn: lists and the audit have what a role reaches, and nothing else.
func TestChildSeesItsOwn(t *testing.T) {
	b := family(t)
	ctx := t.Context()
	b.issue(t, "spare", "")
	own := func(name string) bool { return strings.HasPrefix(name, "west-") || strings.HasPrefix(name, "south-") }
	users, err := b.Users(ctx, as("west-helpdesk"), ipc.UserQuery{})
	if err != nil || len(users.Users) != 10 || slices.ContainsFunc(users.Users, func(u ipc.User) bool { return !own(u.Name) }) {
		t.Errorf("%+v, %v", users, err)
	}
	users, err = b.Users(ctx, as("west-helpdesk"), ipc.UserQuery{Authority: "South"})
	if err != nil || len(users.Users) != 5 || users.Users[0].Authority != "south" {
		t.Errorf("%+v, %v", users, err)
	}
	if users, err = b.Users(ctx, as("helpdesk"), ipc.UserQuery{Authority: "west"}); err != nil || len(users.Users) != 10 {
		t.Errorf("%+v, %v", users, err)
	}
	for who, authority := range map[string]string{"west-owner": "east", "south-admin": "west", "east-helpdesk": "Example AG"} {
		if _, err := b.Users(ctx, as(who), ipc.UserQuery{Authority: authority}); !beyond(err) {
			t.Errorf("%s of %s: %v", who, authority, err)
		}
	}
	fobs, err := b.Fobs(ctx, as("west-helpdesk"), ipc.FobQuery{})
	if err != nil || len(fobs.Fobs) != 10 || slices.ContainsFunc(fobs.Fobs, func(f ipc.Fob) bool { return !own(f.Serial) }) {
		t.Errorf("%+v, %v", fobs, err)
	}
	for who, want := range map[string]string{"west-helpdesk": "south west", "south-owner": "south", "helpdesk": "east south west", "root": "east south west"} {
		list, err := b.ChildAuthorities(ctx, as(who))
		var names []string
		for _, x := range list.Authorities {
			names = append(names, x.Name)
		}
		if err != nil || strings.Join(names, " ") != want {
			t.Errorf("%s: %v, %v", who, list, err)
		}
	}
	info, err := b.Authority(ctx, as("west-owner"))
	if err != nil || info.Child != "west" || info.Name != "Example AG" {
		t.Errorf("%+v, %v", info, err)
	}
	if s := b.State(as("south-admin")); s.Child != "south" || b.State(as("admin")).Child != "" || b.Findings(as("south-owner")) != nil {
		t.Errorf("%+v, %+v", s, b.Findings(as("south-owner")))
	}
	reach := map[string]bool{}
	for name, id := range b.ids {
		reach[id] = own(name)
	}
	page, err := b.AuthorityAudit(ctx, as("west-admin"), ipc.AuditQuery{})
	if err != nil || len(page.Entries) < 20 {
		t.Fatalf("%+v, %v", page, err)
	}
	for _, e := range page.Entries {
		if !reach[e.By] && !reach[e.Object] && !slices.ContainsFunc(strings.Fields(e.Detail), func(w string) bool { return reach[strings.TrimPrefix(w, "user=")] }) {
			t.Errorf("west sees %+v", e)
		}
	}
}

// TestSharedFobOfTwoAuthorities: what becomes of it concerns all whose it is; to take
// it from one of them concerns him alone.
func TestSharedFobOfTwoAuthorities(t *testing.T) {
	b := family(t)
	ctx := t.Context()
	if _, err := b.AssignFob(ctx, root, "bob-fob", ipc.AssignFobRequest{User: "west-user"}); err != nil {
		t.Fatal(err)
	}
	one := func(_ any, err error) error { return err }
	for what, err := range map[string]error{
		"lost":           one(b.LoseFob(ctx, as("west-owner"), "bob-fob")),
		"disabled":       one(b.DisableFob(ctx, as("west-helpdesk"), "bob-fob")),
		"burnt":          one(b.BurnFobs(ctx, as("west-owner"), ipc.BurnFobsRequest{Serial: "bob-fob"})),
		"resynced":       one(b.ResyncFob(ctx, as("west-owner"), "bob-fob", ipc.ResyncFobRequest{User: "west-user", Passcodes: ipc.Secret("123456 123456")})),
		"taken":          one(b.UnassignFob(ctx, as("west-owner"), "bob-fob", ipc.UnassignFobRequest{})),
		"taken from bob": one(b.UnassignFob(ctx, as("west-owner"), "bob-fob", ipc.UnassignFobRequest{User: "bob"})),
		"given on":       one(b.AssignFob(ctx, as("west-owner"), "bob-fob", ipc.AssignFobRequest{User: "west-admin"})),
	} {
		if !beyond(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	f, err := b.Fob(ctx, as("west-helpdesk"), "bob-fob")
	if err != nil || len(f.Users) != 1 || f.Users[0].Name != "west-user" {
		t.Errorf("%+v, %v", f, err)
	}
	before := b.last(t)
	if f, err = b.LoseFob(ctx, as("helpdesk"), "bob-fob"); err != nil || len(f.Users) != 2 {
		t.Errorf("%+v, %v", f, err)
	}
	for _, user := range []string{"bob", "west-user"} {
		page, err := b.AuthorityAudit(ctx, root, ipc.AuditQuery{User: user, After: before})
		if err != nil || len(page.Entries) != 1 || page.Entries[0].Action != "fob-lost" || page.Entries[0].Object != f.ID {
			t.Errorf("of %s: %+v, %v", user, page, err)
		}
	}
	if f, err = b.UnassignFob(ctx, as("west-admin"), "bob-fob", ipc.UnassignFobRequest{User: "west-user"}); err != nil || len(f.Users) != 0 {
		t.Errorf("%+v, %v", f, err)
	}
	if f, err = b.Fob(ctx, root, "bob-fob"); err != nil || len(f.Users) != 1 || f.Users[0].Name != "bob" {
		t.Errorf("%+v, %v", f, err)
	}
}

// TestManySharers: an entry is found by each of a fob's users, however many.
func TestManySharers(t *testing.T) {
	b := furnished(t)
	ctx := t.Context()
	var names []string
	for name := range uids() {
		if name != "stranger" && name != "bob" {
			names = append(names, name)
			if _, err := b.AssignFob(ctx, root, "bob-fob", ipc.AssignFobRequest{User: name}); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := b.last(t)
	if _, err := b.DisableFob(ctx, root, "bob-fob"); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, "bob") {
		page, err := b.AuthorityAudit(ctx, root, ipc.AuditQuery{User: name, After: before})
		if err != nil || len(page.Entries) != 1 || page.Entries[0].Action != "fob-disable" {
			t.Errorf("of %s: %+v, %v", name, page, err)
		}
	}
}

// TestMovingUsers: who moves somebody reaches both authorities, and the last owner of
// all stays.
func TestMovingUsers(t *testing.T) {
	b := family(t)
	move := func(who, whom, to string) error {
		_, err := b.EditUser(t.Context(), as(who), whom, ipc.EditUserRequest{Authority: &to})
		return err
	}
	for _, c := range []struct{ who, whom, to string }{
		{"west-owner", "west-owner", "Example AG"}, {"west-owner", "west-user", "east"}, {"west-owner", "bob", "west"}, {"west-owner", "east-user", "west"},
		{"south-owner", "south-user", "west"},
	} {
		if err := move(c.who, c.whom, c.to); !beyond(err) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for what, kind := range map[string]ipc.Kind{"admin west-admin": ipc.NotAuthorized, "owner owner": ipc.Conflict, "admin west-helpdesk": "", "owner east-owner": ""} {
		who, whom, _ := strings.Cut(what, " ")
		if err := move(who, whom, "south"); err == nil != (kind == "") || err != nil && ipc.KindOf(err) != kind {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := move("owner", "bob", "nowhere"); ipc.KindOf(err) != ipc.NotFound || err == nil {
		t.Error(err)
	}
	// A new one is put where his maker is, and roles go as far as their user's authority.
	u, err := b.AddUser(t.Context(), as("west-admin"), ipc.NewUser{Name: "new"})
	if err != nil || u.Authority != "west" {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := b.User(t.Context(), as("east-owner"), "south-user"); err != nil {
		t.Errorf("moved to south: %v", err)
	}
	if _, err := b.User(t.Context(), as("east-owner"), "east-user"); !beyond(err) {
		t.Errorf("moved away: %v", err)
	}
	list, err := b.RemoveChildAuthority(context.Background(), as("owner"), ipc.ChildAuthorityRef{Authority: "south"})
	if ipc.KindOf(err) != ipc.Conflict || err == nil {
		t.Errorf("with users: %+v, %v", list, err)
	}
}

// TestGroupsGiveRolesThatEndToo: a role by a group of the host is its user's, and goes
// no further than one of his own.
func TestGroupsGiveRolesThatEndToo(t *testing.T) {
	b, h := grouped(t)
	ctx := t.Context()
	if _, err := b.AddChildAuthority(ctx, root, ipc.NewChildAuthority{Name: "west"}); err != nil {
		t.Fatal(err)
	}
	u, err := b.AddUser(ctx, root, ipc.NewUser{Name: "west-user", Logins: []string{"os-west-user"}, Authority: "west"})
	if err != nil {
		t.Fatal(err)
	}
	h.set("os-west-user", "owners")
	if _, err := b.User(ctx, as("west-user"), u.ID); err != nil {
		t.Error(err)
	}
	if _, err := b.User(ctx, as("west-user"), "bob"); !beyond(err) {
		t.Error(err)
	}
}

// TestPolicyKnowsAuthorities: a rule for an authority is one for those beneath it.
func TestPolicyKnowsAuthorities(t *testing.T) {
	b := family(t)
	p, err := b.Policy(t.Context(), as("west-helpdesk"))
	if err != nil {
		t.Fatal(err)
	}
	text := p.Text + "\n[[rule]]\nname = \"west\"\nauthorities = [\"West\"]\nexcept_authorities = [\"south\"]\ndeny = [\"fob\"]\n"
	if _, err := b.SetPolicy(t.Context(), root, ipc.SetPolicyRequest{Text: text}); err != nil {
		t.Fatal(err)
	}
	for user, denied := range map[string]bool{"west-user": true, "south-user": false, "east-user": false, "bob": false} {
		e, err := b.ExplainPolicy(t.Context(), root, ipc.ExplainPolicyRequest{User: user})
		if got := slices.ContainsFunc(e.Denials, func(x ipc.FactorDenial) bool { return x.Factor == ipc.FactorFob && x.By.Rule == "west" }); err != nil || got != denied {
			t.Errorf("%s: %+v, %v", user, e, err)
		}
	}
}

// TestRootIsNoSecondPerson: root can be anybody, and so is nobody's second; and who
// made a link as a uid does not approve it as the user to whom he gives its login.
func TestRootIsNoSecondPerson(t *testing.T) {
	b := furnished(t)
	ctx := t.Context()
	b.asksForSecond(t)
	made := func(who ipc.Principal) string {
		t.Helper()
		a, err := b.CreateActivation(ctx, who, ipc.NewActivation{User: "bob", Account: "vpn"})
		if err != nil || a.Activation.State != ipc.CodeWaiting {
			t.Fatalf("%+v, %v", a, err)
		}
		return a.Activation.ID
	}
	daemon := ipc.Principal{UID: uids()["stranger"], Admin: true} // administers the daemon, and is no user
	first := made(daemon)
	logins := []string{"os-admin", "os-stranger"}
	if _, err := b.EditUser(ctx, root, "admin", ipc.EditUserRequest{Logins: &logins}); err != nil {
		t.Fatal(err)
	}
	rooted := as("helpdesk")
	rooted.Admin = true
	for what, c := range map[string]struct {
		who  ipc.Principal
		kind ipc.Kind
		by   string
	}{
		"root": {root, ipc.NotAuthorized, "uid 0"}, "root who is a user": {rooted, ipc.NotAuthorized, b.ids["helpdesk"]},
		"the first, as a user": {as("admin"), ipc.PolicyDenied, b.ids["admin"]},
	} {
		b.pass(2 * time.Minute)
		before := b.last(t)
		if _, err := b.ApproveActivation(ctx, c.who, first); err == nil || ipc.KindOf(err) != c.kind {
			t.Errorf("%s: %v", what, err)
		}
		if !slices.ContainsFunc(b.since(t, before), func(e ipc.AuditEntry) bool {
			return !e.OK && e.Action == "activation-approve" && e.By == c.by && e.Object == b.ids["bob"]
		}) {
			t.Errorf("%s left %+v", what, b.since(t, before))
		}
	}
	if a, err := b.ApproveActivation(ctx, as("helpdesk2"), first); err != nil || a.State != ipc.CodeOpen {
		t.Errorf("%+v, %v", a, err)
	}
}
