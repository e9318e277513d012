package desk_test

import (
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/ipc"
)

// uses tries a link as a thief does, who checks nothing beforehand: he is given a
// secret, or refused.
func (l *laptop) uses(uri ipc.Secret) (given bool) {
	l.Helper()
	link, err := message.ParseLink(string(uri))
	if err != nil {
		l.Fatal(err)
	}
	l.before, l.after = nil, [32]byte{} // a conversation of its own
	switch res := l.say(&message.Activate{Activation: link.Activation, Secret: slices.Clone(link.Secret), DeviceName: "laptop",
		Reactivation: [32]byte(l.back.Public().(ed25519.PublicKey))}, "").(type) {
	case *message.NewSecret:
		return true
	case *message.Refused:
		return false
	default:
		l.Fatalf("%T", res)
		return false
	}
}

// TestLinksAreGoodOnce: used twice, from another device, by another user, after its
// end, revoked, waiting for a second person, or forwarded, a link does nothing, and
// the audit has each attempt.
func TestLinksAreGoodOnce(t *testing.T) {
	b := furnished(t)
	link := func(user string, seconds int) ipc.MadeActivation {
		t.Helper()
		made, err := b.CreateActivation(t.Context(), as("owner"), ipc.NewActivation{User: user, Account: "vpn", ValidSeconds: seconds})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	refused := func(what, user, reason string, l *laptop, uri ipc.Secret) {
		t.Helper()
		if l.uses(uri) {
			t.Errorf("%s: it is given a secret", what)
		}
		if !slices.ContainsFunc(b.entries(t, "activate"), func(e ipc.AuditEntry) bool {
			return !e.OK && strings.Contains(e.Object+" "+e.Detail, b.ids[user]) && strings.HasSuffix(e.Detail, reason)
		}) {
			t.Errorf("%s: not in the audit: %+v", what, b.entries(t, "activate"))
		}
		b.pass(20 * time.Second)
	}
	first, thief := newLaptop(t, b, as("bob")), newLaptop(t, b, as("stranger"))
	made := link("bob", 0)
	first.activate(made.Link)
	refused("used twice", "bob", "used", first, made.Link)
	refused("used twice, elsewhere", "bob", "used", thief, made.Link)

	// Forwarded: the thief is first, and begins. The user cannot use it, and says so;
	// whoever helps sees which device, and ends it before a code counts.
	other := link("user", 0)
	if !thief.uses(other.Link) {
		t.Fatal("a link is no good")
	}
	refused("from another device", "user", "other-device", newLaptop(t, b, as("user")), other.Link)
	if _, err := b.RevokeActivation(t.Context(), as("helpdesk"), other.Activation.ID); err != nil {
		t.Fatal(err)
	}
	refused("the thief goes on", "user", "revoked", thief, other.Link)

	// By a device of another user's.
	refused("by another user", "user", "other-user", first, link("user", 0).Link)

	late := link("user", 60)
	b.pass(61 * time.Second)
	refused("after its end", "user", "expired", newLaptop(t, b, as("user")), late.Link)
	off := link("user", 0)
	if _, err := b.RevokeActivation(t.Context(), as("helpdesk"), off.Activation.ID); err != nil {
		t.Fatal(err)
	}
	refused("revoked", "user", "revoked", newLaptop(t, b, as("user")), off.Link)
}

// TestRefusedHelpIsAudited: each attempt to help whom one must not, and to be the
// second approver who one must not be, is in the audit by the ids of both.
func TestRefusedHelpIsAudited(t *testing.T) {
	b := furnished(t)
	ctx := t.Context()
	b.asksForSecond(t)
	made, err := b.CreateActivation(ctx, as("helpdesk"), ipc.NewActivation{User: "bob", Account: "vpn"})
	if err != nil {
		t.Fatal(err)
	}
	// The beneficiary is made a helper: he is one, but not his own.
	if _, err := b.EditUser(ctx, root, "bob", ipc.EditUserRequest{Roles: &[]ipc.Role{ipc.RoleAdmin}}); err != nil {
		t.Fatal(err)
	}
	one := func(_ any, err error) error { return err }
	eve := "eve@example.org"
	for what, c := range map[string]struct {
		err        error
		by, action string
	}{
		"the first approves":             {one(b.ApproveActivation(ctx, as("helpdesk"), made.Activation.ID)), "helpdesk", "activation-approve"},
		"the beneficiary approves":       {one(b.ApproveActivation(ctx, as("bob"), made.Activation.ID)), "bob", "activation-approve"},
		"helpdesk makes itself an admin": {one(b.EditUser(ctx, as("helpdesk"), "helpdesk", ipc.EditUserRequest{Roles: &[]ipc.Role{ipc.RoleAdmin}})), "helpdesk", "user-edit"},
		"helpdesk adds an admin":         {one(b.AddUser(ctx, as("helpdesk"), ipc.NewUser{Name: "eve", Roles: []ipc.Role{ipc.RoleAdmin}})), "helpdesk", "user-add"},
		"helpdesk takes his login":       {one(b.EditUser(ctx, as("helpdesk"), "helpdesk", ipc.EditUserRequest{Logins: &[]string{"os-helpdesk", "os-admin"}})), "helpdesk", "user-edit"},
		"admin helps himself":            {one(b.CreateActivation(ctx, as("admin"), ipc.NewActivation{User: "admin", Account: "vpn"})), "admin", "activation-create"},
		"admin helps an admin":           {one(b.CreateActivation(ctx, as("admin"), ipc.NewActivation{User: "admin2", Account: "vpn"})), "admin", "activation-create"},
		"admin, a code for an owner":     {one(b.CreateBypassCode(ctx, as("admin"), ipc.NewBypassCode{User: "owner"})), "admin", "bypass-create"},
		"owner helps himself":            {one(b.CreateActivation(ctx, as("owner"), ipc.NewActivation{User: "owner", Account: "vpn"})), "owner", "activation-create"},
		"helpdesk helps an admin":        {one(b.CreateActivation(ctx, as("helpdesk"), ipc.NewActivation{User: "admin", Account: "vpn"})), "helpdesk", "activation-create"},
		"helpdesk, a code for itself":    {one(b.CreateBypassCode(ctx, as("helpdesk"), ipc.NewBypassCode{User: "helpdesk"})), "helpdesk", "bypass-create"},
		"helpdesk, a key for an admin":   {one(b.AddSecurityKey(ctx, as("helpdesk"), ipc.NewSecurityKey{User: "admin", Name: "one"})), "helpdesk", "security-key-add"},
		"helpdesk, roles by a group":     {one(b.AddGroup(ctx, as("helpdesk"), ipc.NewGroup{Name: "g", Roles: []ipc.Role{ipc.RoleAdmin}})), "helpdesk", "group-add"},
		"admin, roles by a group":        {one(b.AddGroup(ctx, as("admin"), ipc.NewGroup{Name: "g", Roles: []ipc.Role{ipc.RoleOwner}})), "admin", "group-add"},
		"admin, a login of an owner's":   {one(b.EditUser(ctx, as("admin"), "owner", ipc.EditUserRequest{Logins: &[]string{"os-x"}})), "admin", "user-edit"},
		"admin, where a letter goes":     {one(b.EditUser(ctx, as("admin"), "owner", ipc.EditUserRequest{Email: &eve})), "admin", "user-edit"},
	} {
		if k := ipc.KindOf(c.err); c.err == nil || k != ipc.NotAuthorized && k != ipc.PolicyDenied {
			t.Errorf("%s: %v", what, c.err)
		}
		if !slices.ContainsFunc(b.entries(t, c.action), func(e ipc.AuditEntry) bool { return !e.OK && e.By == b.ids[c.by] }) {
			t.Errorf("%s: not in the audit", what)
		}
	}
	if list, err := b.Activations(ctx, root, ipc.UserRef{User: "bob"}); err != nil || list.Activations[0].State != ipc.CodeWaiting {
		t.Errorf("%+v, %v", list, err)
	}
}

// withCode tries a bypass code on a device that was restored: it is given a secret, or
// refused.
func (l *laptop) withCode(code ipc.Secret, account string) (given bool) {
	l.Helper()
	l.before, l.after = nil, [32]byte{}
	offer, ok := l.say(&message.Begin{DeviceName: "laptop"}, account).(*message.Offer)
	if !ok || !slices.Contains(offer.Factors, "bypass_code") {
		l.Fatalf("%+v", offer)
	}
	_, given = l.say(&message.Factor{Factor: "bypass_code", Passcode: message.Secret(slices.Clone(code))}, account).(*message.NewSecret)
	return given
}

// TestBypassCodesAreGoodOnce: used twice, of another user, after its end and revoked, a
// code does nothing, while another one would; and the audit has each attempt.
func TestBypassCodesAreGoodOnce(t *testing.T) {
	b := furnished(t)
	ctx := t.Context()
	text := "version = 1\n[reactivation]\nallow = [\"bypass_code\"]\nafter_restore = \"allowed\"\nold_device = \"keep\"\n[contact]\nname = \"IT\"\n[help]\nfor_user = [\"owner\"]\n"
	if _, err := b.SetPolicy(ctx, root, ipc.SetPolicyRequest{Text: text}); err != nil {
		t.Fatal(err)
	}
	made, err := b.CreateActivation(ctx, as("owner"), ipc.NewActivation{User: "bob", Account: "vpn"})
	if err != nil {
		t.Fatal(err)
	}
	l := newLaptop(t, b, as("bob"))
	account := l.activate(made.Link).Account
	code := func(user string, seconds int) ipc.MadeBypassCode {
		t.Helper()
		m, err := b.CreateBypassCode(ctx, as("owner"), ipc.NewBypassCode{User: user, ValidSeconds: seconds})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	code("bob", 0) // so that one is always asked for
	refused := func(what string, c ipc.Secret) {
		t.Helper()
		b.pass(20 * time.Minute)
		before := b.last(t)
		if l.withCode(c, account) {
			t.Errorf("%s: it is given a secret", what)
		}
		if !slices.ContainsFunc(b.since(t, before), func(e ipc.AuditEntry) bool {
			return !e.OK && e.Action == "reactivate-factor" && e.Object == b.ids["bob"] && strings.Contains(e.Detail, "account="+account)
		}) {
			t.Errorf("%s left %+v", what, b.since(t, before))
		}
	}
	once := code("bob", 0)
	if !l.withCode(once.Code, account) {
		t.Fatal("a code is no good")
	}
	refused("used twice", once.Code)
	refused("of another user", code("user", 0).Code)
	late := code("bob", 60)
	refused("after its end", late.Code)
	off := code("bob", 0)
	if _, err := b.RevokeBypassCode(ctx, as("owner"), off.Bypass.ID); err != nil {
		t.Fatal(err)
	}
	refused("revoked", off.Code)
}
