package desk_test

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/tokenbridge/tokend/daemon/authority/desk"
	"github.com/tokenbridge/tokend/ipc"
)

// host has groups, which change.
type host struct {
	mu     sync.Mutex
	groups map[string][]string // by login
	broken string              // the login of which it cannot tell
}

func (h *host) of(login string) ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if login == h.broken {
		return nil, errors.New("the directory does not answer")
	}
	return h.groups[login], nil
}

func (h *host) set(login string, groups ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.groups[login] = groups
}

// grouped is a furnished desk on such a host, with a group for each of these roles.
func grouped(t *testing.T) (*bench, *host) {
	t.Helper()
	h := &host{groups: map[string][]string{}}
	b := furnished(t, func(c *desk.Config) {
		c.GroupsOf, c.HasGroup = h.of, func(name string) bool { return name != "typo" }
		c.HasLogin = func(name string) bool { return name != "typo" }
	})
	for name, role := range map[string]ipc.Role{"helpers": ipc.RoleHelpdesk, "admins": ipc.RoleAdmin, "owners": ipc.RoleOwner} {
		if g, err := b.AddGroup(t.Context(), root, ipc.NewGroup{Name: name, Roles: []ipc.Role{role}}); err != nil || !g.Known {
			t.Fatal(g, err)
		}
	}
	return b, h
}

// TestRolesByGroups: a role comes and goes with the group, at the next call, for
// users alone.
func TestRolesByGroups(t *testing.T) {
	b, h := grouped(t)
	ctx := t.Context()
	kind := func(who string) ipc.Kind {
		_, err := b.Users(ctx, as(who), ipc.UserQuery{})
		if err == nil {
			return ""
		}
		return ipc.KindOf(err)
	}
	if k := kind("bob"); k != ipc.NotAuthorized {
		t.Errorf("before: %v", k)
	}
	h.set("os-bob", "users", "helpers")
	h.set("os-stranger", "helpers", "owners")
	h.set("os-ghost", "owners")
	if k := kind("bob"); k != "" {
		t.Errorf("in the group: %v", k)
	}
	for _, who := range []string{"stranger", "ghost"} {
		if k := kind(who); k != ipc.NotFound {
			t.Errorf("%s is somebody: %v", who, k)
		}
	}
	u, err := b.User(ctx, root, "bob")
	if err != nil || !slices.Equal(u.Roles, []ipc.Role{ipc.RoleHelpdesk, ipc.RoleUser}) || !slices.Equal(u.GroupRoles, []ipc.Role{ipc.RoleHelpdesk}) {
		t.Errorf("%+v, %v", u, err)
	}
	if page, err := b.Users(ctx, root, ipc.UserQuery{Role: ipc.RoleHelpdesk}); err != nil || !slices.ContainsFunc(page.Users, func(u ipc.User) bool { return u.Name == "bob" }) {
		t.Errorf("%+v, %v", page, err)
	}
	// He helps as others of that role do, and the audit has him.
	if made, err := b.CreateActivation(ctx, as("bob"), ipc.NewActivation{User: "user", Account: "vpn"}); err != nil || made.Activation.By != b.ids["bob"] {
		t.Errorf("%+v, %v", made, err)
	}
	h.set("os-bob", "users")
	if k := kind("bob"); k != ipc.NotAuthorized {
		t.Errorf("after he left: %v", k)
	}
	h.set("os-bob", "helpers")
	if _, err := b.RemoveGroup(ctx, as("admin"), ipc.GroupRef{Name: "helpers"}); err != nil {
		t.Fatal(err)
	}
	if k := kind("bob"); k != ipc.NotAuthorized {
		t.Errorf("after the group has no role: %v", k)
	}
	if _, err := b.RemoveGroup(ctx, root, ipc.GroupRef{Name: "helpers"}); ipc.KindOf(err) != ipc.NotFound {
		t.Errorf("removed twice: %v", err)
	}
	if _, err := b.AddGroup(ctx, root, ipc.NewGroup{Name: "owners", Roles: []ipc.Role{ipc.RoleHelpdesk}}); ipc.KindOf(err) != ipc.AlreadyExists {
		t.Errorf("added twice: %v", err)
	}
	for _, bad := range []ipc.NewGroup{{}, {Name: "x"}, {Name: "x", Roles: []ipc.Role{ipc.RoleUser}}, {Name: "x", Roles: []ipc.Role{"king"}}, {Name: "a\nb", Roles: []ipc.Role{ipc.RoleHelpdesk}}, {Roles: []ipc.Role{ipc.RoleHelpdesk}}} {
		if _, err := b.AddGroup(ctx, root, bad); ipc.KindOf(err) != ipc.InvalidArgument {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if g, err := b.AddGroup(ctx, root, ipc.NewGroup{Name: "typo", Roles: []ipc.Role{ipc.RoleHelpdesk}}); err != nil || g.Known {
		t.Errorf("%+v, %v", g, err)
	}
	if n := len(b.entries(t, "group-add")); n < 4 {
		t.Errorf("%d entries", n)
	}
}

// TestNobodyRisesByGroups: what ranks and the policy forbid, they forbid as well
// where the role comes by a group; each attempt is in the audit.
func TestNobodyRisesByGroups(t *testing.T) {
	b, h := grouped(t)
	ctx := t.Context()
	h.set("os-admin2", "admins", "owners") // an admin of his own, an owner by a group
	h.set("os-user", "admins")
	h.set("os-boss", "owners")
	h.set("os-chief", "admins")
	logins := func(l ...string) ipc.EditUserRequest { return ipc.EditUserRequest{Logins: &l} }
	one := func(_ any, err error) error { return err }
	for what, c := range map[string]struct {
		err          error
		by, action   string
		policyDenied bool
	}{
		"admin makes a group owners":       {one(b.AddGroup(ctx, as("admin"), ipc.NewGroup{Name: "users", Roles: []ipc.Role{ipc.RoleOwner}})), "admin", "group-add", false},
		"admin makes a group admins":       {one(b.AddGroup(ctx, as("admin"), ipc.NewGroup{Name: "users", Roles: []ipc.Role{ipc.RoleHelpdesk, ipc.RoleAdmin}})), "admin", "group-add", false},
		"admin takes admins their role":    {one(b.RemoveGroup(ctx, as("admin"), ipc.GroupRef{Name: "admins"})), "admin", "group-remove", false},
		"helpdesk makes a group":           {one(b.AddGroup(ctx, as("helpdesk"), ipc.NewGroup{Name: "users", Roles: []ipc.Role{ipc.RoleHelpdesk}})), "helpdesk", "group-add", false},
		"admin gives bob an owner's login": {one(b.EditUser(ctx, as("admin"), "bob", logins("os-bob", "os-boss"))), "admin", "user-edit", false},
		"admin gives bob an admin's login": {one(b.EditUser(ctx, as("admin"), "bob", logins("os-chief"))), "admin", "user-edit", false},
		"admin adds one with that login":   {one(b.AddUser(ctx, as("admin"), ipc.NewUser{Name: "new", Logins: []string{"os-boss"}})), "admin", "user-add", false},
		"admin edits an owner by a group":  {one(b.EditUser(ctx, as("admin"), "admin2", ipc.EditUserRequest{Disabled: new(bool)})), "admin", "user-edit", false},
		"admin edits an admin by a group":  {one(b.EditUser(ctx, as("admin"), "user", ipc.EditUserRequest{Disabled: new(bool)})), "admin", "user-edit", false},
		"helpdesk helps an admin by one":   {one(b.CreateActivation(ctx, as("helpdesk"), ipc.NewActivation{User: "user", Account: "vpn"})), "helpdesk", "activation-create", false},
		"helpdesk and his fob":             {one(b.DisableFob(ctx, as("helpdesk"), "user-fob")), "helpdesk", "fob-disable", false},
		"admin helps an admin by a group":  {one(b.CreateBypassCode(ctx, as("admin"), ipc.NewBypassCode{User: "user"})), "admin", "bypass-create", false},
		"who is one by a group, himself":   {one(b.CreateActivation(ctx, as("admin2"), ipc.NewActivation{User: "admin2", Account: "vpn"})), "admin2", "activation-create", true},
	} {
		want, detail := ipc.NotAuthorized, "not-authorized"
		if c.policyDenied {
			want, detail = ipc.PolicyDenied, "policy-denied"
		}
		if ipc.KindOf(c.err) != want {
			t.Errorf("%s: %v", what, c.err)
		}
		if !slices.ContainsFunc(b.entries(t, c.action), func(e ipc.AuditEntry) bool { return !e.OK && e.By == b.ids[c.by] && e.Detail == detail }) {
			t.Errorf("%s: it is not in the audit", what)
		}
	}
	// An owner by a group does what owners do, but is none whom the authority counts on.
	if _, err := b.CreateActivation(ctx, as("admin2"), ipc.NewActivation{User: "admin", Account: "vpn"}); err != nil {
		t.Errorf("an owner by a group: %v", err)
	}
	if _, err := b.EditUser(ctx, root, "owner", ipc.EditUserRequest{Roles: &[]ipc.Role{ipc.RoleUser}}); ipc.KindOf(err) != ipc.Conflict {
		t.Errorf("the last owner of his own: %v", err)
	}
}

// TestUnknownGroups: where the host cannot tell somebody's groups, he may be an
// administrator by one, so nothing is done with him; nobody else is concerned.
func TestUnknownGroups(t *testing.T) {
	b, h := grouped(t)
	h.broken = "os-user"
	ctx := t.Context()
	if _, err := b.CreateActivation(ctx, as("helpdesk"), ipc.NewActivation{User: "user", Account: "vpn"}); err == nil {
		t.Error("somebody of an unknown rank is helped")
	}
	if _, err := b.DisableFob(ctx, as("helpdesk"), "user-fob"); err == nil {
		t.Error("and his fob disabled")
	}
	if _, err := b.EditUser(ctx, as("admin"), "bob", ipc.EditUserRequest{Logins: &[]string{"os-user"}}); err == nil {
		t.Error("and his login given away")
	}
	if _, err := b.CreateActivation(ctx, as("helpdesk"), ipc.NewActivation{User: "bob", Account: "vpn"}); err != nil {
		t.Errorf("bob is not helped: %v", err)
	}
}

// TestPolicyByGroups: a rule's groups are the host's, as they are now.
func TestPolicyByGroups(t *testing.T) {
	b, h := grouped(t)
	ctx := t.Context()
	const text = `version = 1
[reactivation]
allow = ["fob"]
after_restore = "allowed"
old_device = "revoke"
[help]
for_user = ["helpdesk", "admin", "owner"]
for_owner = ["owner"]
for_admin = ["owner"]
[[rule]]
name = "contractors"
groups = ["contractors"]
deny = ["fob"]
`
	if _, err := b.SetPolicy(ctx, root, ipc.SetPolicyRequest{Text: text}); err != nil {
		t.Fatal(err)
	}
	outcome := func() string {
		e, err := b.ExplainPolicy(ctx, root, ipc.ExplainPolicyRequest{User: "bob"})
		if err != nil {
			t.Fatal(err)
		}
		return e.Outcome
	}
	if o := outcome(); o != "offered" {
		t.Errorf("before: %s", o)
	}
	h.set("os-bob", "Contractors")
	if o := outcome(); o != "nothing-left" {
		t.Errorf("in the group: %s", o)
	}
}

// TestUnknownLogins: who gives a user logins is told which of them the host does not
// have, and nobody else is.
func TestUnknownLogins(t *testing.T) {
	b, _ := grouped(t)
	ctx := t.Context()
	if u, err := b.AddUser(ctx, root, ipc.NewUser{Name: "zoe", Logins: []string{"os-zoe", "typo"}}); err != nil || !slices.Equal(u.UnknownLogins, []string{"typo"}) || len(u.Logins) != 2 {
		t.Errorf("%+v, %v", u, err)
	}
	if u, err := b.User(ctx, root, "zoe"); err != nil || u.UnknownLogins != nil {
		t.Errorf("%+v, %v", u, err)
	}
	for login, want := range map[string]int{"typo": 1, "os-zoe": 0} {
		if u, err := b.EditUser(ctx, root, "zoe", ipc.EditUserRequest{Logins: &[]string{login}}); err != nil || len(u.UnknownLogins) != want {
			t.Errorf("%+v, %v", u, err)
		}
	}
}

// TestEmailAddresses: what no link can be sent to is no address, and changes nothing.
func TestEmailAddresses(t *testing.T) {
	b, _ := grouped(t)
	ctx := t.Context()
	for address, good := range map[string]bool{"": true, "alice@example.org": true, "notanaddress": false, "a@b, c@d": false, "alice@": false, "Alice <alice@example.org>": false} {
		name := "user-" + strconv.Itoa(len(address))
		_, err := b.AddUser(ctx, root, ipc.NewUser{Name: name, Email: address})
		if good != (err == nil) || !good && ipc.KindOf(err) != ipc.InvalidArgument {
			t.Errorf("added with %q: %v", address, err)
		}
		if _, err := b.User(ctx, root, name); good != (err == nil) {
			t.Errorf("after %q was given: %v", address, err)
		}
		_, err = b.EditUser(ctx, root, "bob", ipc.EditUserRequest{Email: &address})
		if good != (err == nil) || !good && ipc.KindOf(err) != ipc.InvalidArgument {
			t.Errorf("edited to %q: %v", address, err)
		}
	}
}
