package desk_test

import (
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// table says for each method who may call it, beside owners and root, who may
// everything. What they ask for is somebody else's or none's, and can be asked for
// again: only the role decides.
func table() map[string]struct {
	roles []string
	args  []any
} {
	type row = struct {
		roles []string
		args  []any
	}
	helpers, admins := []string{"helpdesk", "admin"}, []string{"admin"}
	everybody := []string{"user", "verifier", "helpdesk", "admin"}
	const nothing = "00000000000000000000000000000000" // nobody's id
	return map[string]row{
		"Authority":       {helpers, nil},
		"CreateAuthority": {nil, []any{ipc.CreateAuthorityRequest{Name: "Another"}}},
		"EditAuthority":   {admins, []any{ipc.EditAuthorityRequest{}}},
		"UnlockAuthority": {nil, []any{ipc.UnlockAuthorityRequest{}}},
		"LockAuthority":   {nil, nil},
		"AuthorityKeys":   {nil, nil},
		"AddAuthorityKey": {nil, []any{ipc.AddAuthorityKeyRequest{}}},
		"AuthorityAudit":  {admins, []any{ipc.AuditQuery{}}},

		"CheckpointAuthorityAudit": {admins, nil},
		"VerifyAuthorityAudit":     {admins, []any{ipc.VerifyAuditRequest{Checkpoints: []string{"nonsense"}}}},

		"RemoveAuthorityKey": {nil, []any{"file"}},
		"Users":              {helpers, []any{ipc.UserQuery{}}},
		"User":               {helpers, []any{"bob"}},
		"AddUser":            {admins, []any{ipc.NewUser{Name: "bob"}}},
		"EditUser":           {admins, []any{"bob", ipc.EditUserRequest{}}},
		"RemoveUser":         {admins, []any{"bob", ipc.RemoveUserRequest{Confirm: "no"}}},
		"Fobs":               {helpers, []any{ipc.FobQuery{}}},
		"Fob":                {helpers, []any{"bob-fob"}},
		"ImportFobs":         {admins, []any{ipc.ImportFobsRequest{}}},
		"AssignFob":          {admins, []any{"bob-fob", ipc.AssignFobRequest{User: "bob"}}},
		"UnassignFob":        {admins, []any{"bob-fob", ipc.UnassignFobRequest{User: "user"}}},
		"EnableFob":          {helpers, []any{"bob-fob"}},
		"DisableFob":         {helpers, []any{"bob-fob"}},
		"LoseFob":            {helpers, []any{"bob-fob"}},
		"ReplaceFob":         {admins, []any{"bob-fob", ipc.ReplaceFobRequest{With: "bob-fob"}}},
		"ResyncFob":          {helpers, []any{"bob-fob", ipc.ResyncFobRequest{Passcodes: ipc.Secret("nonsense")}}},
		"ResyncOwnFob":       {[]string{"user", "verifier", "helpdesk", "admin"}, []any{"bob-fob", ipc.ResyncFobRequest{Passcodes: ipc.Secret("123456 123456 123456")}}},
		"BurnFobs":           {admins, []any{ipc.BurnFobsRequest{Serial: "bob-fob"}}},
		"Policy":             {helpers, nil},
		"SetPolicy":          {admins, []any{ipc.SetPolicyRequest{Text: "nonsense"}}},
		"CheckPolicy":        {admins, []any{ipc.CheckPolicyRequest{}}},
		"ExplainPolicy":      {helpers, []any{ipc.ExplainPolicyRequest{User: "bob"}}},
		"Verify":             {[]string{"verifier", "admin"}, []any{ipc.VerifyRequest{User: "bob", Service: "pam", Passcode: ipc.Secret("x")}}},
		"VerifyAttended":     {helpers, []any{ipc.VerifyRequest{User: "bob", Passcode: ipc.Secret("x")}}},
		"UserReport":         {helpers, []any{"bob"}},
		"Groups":             {helpers, nil},
		"AddGroup":           {admins, []any{ipc.NewGroup{}}},
		"RemoveGroup":        {admins, []any{ipc.GroupRef{Name: "none"}}},

		"ChildAuthorities":     {helpers, nil},
		"AddChildAuthority":    {admins, []any{ipc.NewChildAuthority{}}},
		"RemoveChildAuthority": {admins, []any{ipc.ChildAuthorityRef{Authority: "none"}}},

		"AuthorityMessage":    {everybody, []any{ipc.AuthorityMessage{Message: []byte("nonsense")}}},
		"AuthorityDescriptor": {everybody, nil},
		"CreateActivation":    {helpers, []any{ipc.NewActivation{User: "bob", Account: "vpn"}}},
		"Activations":         {helpers, []any{ipc.UserRef{User: "bob"}}},
		"ApproveActivation":   {helpers, []any{nothing}},
		"RevokeActivation":    {helpers, []any{nothing}},
		"CreateBypassCode":    {helpers, []any{ipc.NewBypassCode{User: "nobody"}}},
		"BypassCodes":         {helpers, []any{ipc.UserRef{User: "bob"}}},
		"RevokeBypassCode":    {helpers, []any{nothing}},
		"UserDevices":         {helpers, []any{ipc.UserRef{User: "bob"}}},
		"UserDevice":          {helpers, []any{nothing}},
		"RevokeUserDevice":    {helpers, []any{nothing}},
		"AddSecurityKey":      {helpers, []any{ipc.NewSecurityKey{User: "bob"}}},
		"SecurityKeys":        {helpers, []any{ipc.UserRef{User: "bob"}}},
		"Verifiers":           {helpers, nil},
		"SetVerifier":         {nil, []any{"radius", ipc.SetVerifierRequest{}}},
		"CheckVerifier":       {admins, []any{"radius"}},
		"RemoveVerifier":      {nil, []any{"radius"}},
		"EnrollUser":          {helpers, []any{"duo", ipc.UserRef{User: "bob"}}},
		"RemoveSecurityKey":   {helpers, []any{ipc.SecurityKeyRef{User: "bob", Key: nothing}}},
	}
}

// ask calls a method.
func ask(t *testing.T, b *bench, method string, who ipc.Principal, args []any) error {
	t.Helper()
	in := []reflect.Value{reflect.ValueOf(t.Context()), reflect.ValueOf(who)}
	for _, a := range args {
		in = append(in, reflect.ValueOf(a))
	}
	out := reflect.ValueOf(b.Desk).MethodByName(method).Call(in)
	err, _ := out[1].Interface().(error)
	return err
}

// TestRoles asks everything as everybody.
func TestRoles(t *testing.T) {
	b := furnished(t)
	rows := table()
	all := reflect.TypeFor[ipc.Authority]()
	if all.NumMethod() != len(rows) {
		t.Errorf("%d methods, %d rows", all.NumMethod(), len(rows))
	}
	for i := range all.NumMethod() {
		name := all.Method(i).Name
		row, ok := rows[name]
		if !ok {
			t.Errorf("who may %s?", name)
			continue
		}
		for _, who := range []string{"user", "verifier", "helpdesk", "admin", "owner", "root"} {
			err := ask(t, b, name, as(who), row.args)
			may := who == "owner" || who == "root" || slices.Contains(row.roles, who)
			if refused := ipc.KindOf(err) == ipc.NotAuthorized && err != nil; refused == may {
				t.Errorf("%s as %s: %v", name, who, err)
			}
			var e *ipc.Error
			if err != nil && (!errors.As(err, &e) || e.Kind == ipc.Internal) {
				t.Errorf("%s as %s fails with %v", name, who, err)
			}
			if reflect.DeepEqual(err, error(ipc.ErrNoAuthority())) {
				t.Errorf("%s as %s: there is no authority", name, who)
			}
		}
	}
}

// TestStrangersSeeNothing: who is no user, or is disabled, or has no login, is
// answered as where there is no authority, and is kept waiting as long.
func TestStrangersSeeNothing(t *testing.T) {
	full, none := furnished(t), empty(t, filepath.Join(t.TempDir(), "authority"))
	for name, row := range table() {
		if name == "AuthorityMessage" || name == "AuthorityDescriptor" {
			continue // these are for everybody
		}
		for _, who := range []ipc.Principal{as("stranger"), as("ghost"), {UID: "4711"}} {
			a, b := ask(t, full, name, who, row.args), ask(t, none, name, who, row.args)
			if a == nil || !reflect.DeepEqual(a, b) || !reflect.DeepEqual(a, error(ipc.ErrNoAuthority())) {
				t.Errorf("%s as %s: %v, and without an authority %v", name, who.UID, a, b)
			}
			if x, y := full.took(), none.took(); !reflect.DeepEqual(x, y) || len(x) != 1 || x[0] != 20*time.Millisecond {
				t.Errorf("%s as %s waits %v, and without an authority %v", name, who.UID, x, y)
			}
			if s, f := full.State(who), full.Findings(who); s != nil || f != nil {
				t.Errorf("%s is told of %+v, %+v", who.UID, s, f)
			}
		}
	}
	if _, err := none.Authority(t.Context(), root); !reflect.DeepEqual(err, error(ipc.ErrNoAuthority())) {
		t.Errorf("root: %v", err)
	}
	page, err := full.AuthorityAudit(t.Context(), root, ipc.AuditQuery{})
	if err != nil || !page.Intact {
		t.Fatalf("%+v, %v", page, err)
	}
	for _, e := range page.Entries {
		if e.By == full.ids["ghost"] || e.By == "uid "+as("stranger").UID {
			t.Errorf("the audit has %+v", e)
		}
	}
}

// TestNobodyRises: no role makes more of itself, by way of roles, logins or fobs,
// and none touches those above it or beside it.
func TestNobodyRises(t *testing.T) {
	b := furnished(t)
	b.issue(t, "spare", "")
	ctx := t.Context()
	logins, roles, name := []string{"os-admin", "x"}, []ipc.Role{ipc.RoleOwner}, "renamed"
	lower := []ipc.Role{ipc.RoleUser}
	one := func(_ any, err error) error { return err }
	for what, err := range map[string]error{
		"admin makes himself an owner": one(b.EditUser(ctx, as("admin"), "admin", ipc.EditUserRequest{Roles: &roles})),
		"admin makes bob an owner":     one(b.EditUser(ctx, as("admin"), "bob", ipc.EditUserRequest{Roles: &roles})),
		"admin adds an admin":          one(b.AddUser(ctx, as("admin"), ipc.NewUser{Name: "new", Roles: []ipc.Role{ipc.RoleAdmin}})),
		"admin takes an owner's login": one(b.EditUser(ctx, as("admin"), "owner", ipc.EditUserRequest{Logins: &logins})),
		"admin demotes an owner":       one(b.EditUser(ctx, as("admin"), "owner", ipc.EditUserRequest{Roles: &lower})),
		"admin renames an admin":       one(b.EditUser(ctx, as("admin"), "admin2", ipc.EditUserRequest{Name: &name})),
		"admin removes an owner":       one(b.RemoveUser(ctx, as("admin"), "owner", ipc.RemoveUserRequest{Confirm: b.ids["owner"]})),
		"admin gives an owner a fob":   one(b.AssignFob(ctx, as("admin"), "spare", ipc.AssignFobRequest{User: "owner"})),
		"admin gives himself a fob":    one(b.AssignFob(ctx, as("admin"), "spare", ipc.AssignFobRequest{User: "admin"})),
		"admin shares an owner's fob":  one(b.AssignFob(ctx, as("admin"), "owner-fob", ipc.AssignFobRequest{User: "bob"})),
		"admin takes an owner's fob":   one(b.UnassignFob(ctx, as("admin"), "owner-fob", ipc.UnassignFobRequest{})),
		"admin replaces an admin's":    one(b.ReplaceFob(ctx, as("admin"), "admin2-fob", ipc.ReplaceFobRequest{With: "spare"})),
		"admin burns an owner's fob":   one(b.BurnFobs(ctx, as("admin"), ipc.BurnFobsRequest{Serial: "owner-fob", Margin: 1000})),
		"admin disables an owner's":    one(b.DisableFob(ctx, as("admin"), "owner-fob")),
		"helpdesk enables an admin's":  one(b.EnableFob(ctx, as("helpdesk"), "admin-fob")),
		"helpdesk loses its own":       one(b.LoseFob(ctx, as("helpdesk"), "helpdesk-fob")),
		"helpdesk on its like":         one(b.DisableFob(ctx, as("helpdesk"), "helpdesk2-fob")),
		"helpdesk resyncs an owner's":  one(b.ResyncFob(ctx, as("helpdesk"), "owner-fob", ipc.ResyncFobRequest{Passcodes: ipc.Secret("123456 123456")})),
	} {
		if ipc.KindOf(err) != ipc.NotAuthorized || err == nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, err := range map[string]error{
		"admin makes bob a helper":      one(b.EditUser(ctx, as("admin"), "bob", ipc.EditUserRequest{Roles: &[]ipc.Role{ipc.RoleHelpdesk}})),
		"admin gives bob a fob":         one(b.AssignFob(ctx, as("admin"), "spare", ipc.AssignFobRequest{User: "bob"})),
		"admin on helpdesk's fob":       one(b.DisableFob(ctx, as("admin"), "helpdesk-fob")),
		"helpdesk disables a user's":    one(b.DisableFob(ctx, as("helpdesk"), "user-fob")),
		"helpdesk on a verifier's":      one(b.LoseFob(ctx, as("helpdesk"), "verifier-fob")),
		"owner makes an admin an owner": one(b.EditUser(ctx, as("owner"), "admin", ipc.EditUserRequest{Roles: &roles})),
		"owner gives himself a fob":     one(b.AssignFob(ctx, as("owner"), "admin-fob", ipc.AssignFobRequest{User: "owner"})),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	// What was refused is in the audit, by the id of who wanted it.
	page, err := b.AuthorityAudit(ctx, root, ipc.AuditQuery{})
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, e := range page.Entries {
		if !e.OK && e.By == b.ids["admin"] && e.Detail == string(ipc.NotAuthorized) {
			refused++
		}
	}
	if refused == 0 {
		t.Error("the audit does not tell what the admin wanted")
	}
}
