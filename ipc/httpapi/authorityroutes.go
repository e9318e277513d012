package httpapi

import (
	"context"
	"reflect"
	"slices"

	"github.com/tokenbridge/tokend/ipc"
)

// maxFobs is the largest page of an import, and maxPolicy the largest policy, in
// bytes.
const (
	maxFobs   = 4 << 20
	maxPolicy = 4 << 20
)

// deskCall runs a method of the authority's.
type deskCall func(ctx context.Context, a ipc.Authority, p ipc.Principal, id string, read reader) (any, error)

// at gives the call the server's authority.
func (c deskCall) at(a ipc.Authority) call {
	return func(ctx context.Context, _ ipc.Backend, p ipc.Principal, id string, read reader) (any, error) {
		if a == nil {
			return nil, ipc.ErrNoAuthority()
		}
		return c(ctx, a, p, id, read)
	}
}

// What polkit calls what is done of an authority.
const (
	look, change, verify = "authority-read", "authority-change", "authority-verify"
	help, carry          = "authority-help", "authority-message"
)

func authorityRoutes() []Route {
	return slices.Concat(officeRoutes(), peopleRoutes(), helpRoutes())
}

// officeRoutes are of the authority itself.
func officeRoutes() []Route {
	type a = ipc.Authority
	return []Route{
		desk("GET", "admin/authority", look, "What the authority in this daemon says of itself", a.Authority),
		deskWith("POST", "admin/authority", change, "Make an authority in this daemon", a.CreateAuthority),
		deskWith("PUT", "admin/authority", change, "Change what the authority says of itself", a.EditAuthority),
		deskWith("POST", "admin/authority/unlock", change, "Open an authority that is locked, with a token", a.UnlockAuthority),
		desk("POST", "admin/authority/lock", change, "Lock an authority that tokens open", a.LockAuthority),
		desk("GET", "admin/authority/keys", look, "What holds the authority's key", a.AuthorityKeys),
		deskWith("POST", "admin/authority/keys", change, "Let one more token of the caller's vault open the authority", a.AddAuthorityKey),
		deskItem("DELETE", "admin/authority/keys/{id}", change, "Let a token, or the key file, open the authority no more", a.RemoveAuthorityKey),
		deskWith("POST", "admin/audit", look, "A page of those entries of the authority's audit chain that are asked for, oldest first", a.AuthorityAudit),
		deskWith("POST", "admin/audit/verify", look, "Check the authority's audit chain, and how it stands to checkpoints", a.VerifyAuthorityAudit),
		desk("POST", "admin/audit/checkpoint", look, "Sign that the authority's audit chain has the entry that is its last", a.CheckpointAuthorityAudit),
	}
}

// peopleRoutes are of its users, and of what gives them roles.
func peopleRoutes() []Route {
	type a = ipc.Authority
	return []Route{
		deskWith("POST", "admin/users/list", look, "A page of the authority's users", a.Users),
		deskWith("POST", "admin/users", change, "Add a user", a.AddUser),
		deskItem("GET", "admin/users/{id}", look, "One user", a.User),
		deskItem("GET", "admin/users/{id}/report", look, "All there is of a user: factors, devices, accounts and what the policy allows for each, failures", a.UserReport),
		deskItemWith("PUT", "admin/users/{id}", change, "Change a user", a.EditUser),
		deskItemWith("DELETE", "admin/users/{id}", change, "Remove a user", a.RemoveUser),

		desk("GET", "admin/groups", look, "The groups of this machine whose members have roles", a.Groups),
		deskWith("POST", "admin/groups", change, "Give the members of a group roles", a.AddGroup),
		deskWith("POST", "admin/groups/remove", change, "Take the roles from the members of a group", a.RemoveGroup),

		desk("GET", "admin/authorities", look, "The child authorities that the caller's roles reach", a.ChildAuthorities),
		deskWith("POST", "admin/authorities", change, "Make a child authority", a.AddChildAuthority),
		deskWith("POST", "admin/authorities/remove", change, "Remove a child authority that is empty", a.RemoveChildAuthority),
	}
}

// helpRoutes are of what users have, and of what they are helped with.
func helpRoutes() []Route {
	type a = ipc.Authority
	return []Route{
		deskWith("POST", "admin/fobs/list", look, "A page of the authority's fobs, without their seeds", a.Fobs),
		large(maxFobs, deskWith("POST", "admin/fobs/import", change, "Say what adding a page of fobs would do, or do it", a.ImportFobs)),
		deskWith("POST", "admin/fobs/burn", change, "Use up passcodes that may have been accepted before the registry was set back", a.BurnFobs),
		deskItem("GET", "admin/fobs/{id}", look, "One fob", a.Fob),
		deskItemWith("POST", "admin/fobs/{id}/assign", change, "Give a fob to a user", a.AssignFob),
		deskItemWith("POST", "admin/fobs/{id}/unassign", change, "Take a fob from a user, or from all its users", a.UnassignFob),
		deskItem("POST", "admin/fobs/{id}/enable", change, "Make a fob active again", a.EnableFob),
		deskItem("POST", "admin/fobs/{id}/disable", change, "Make a fob's passcodes good for nothing for a while", a.DisableFob),
		deskItem("POST", "admin/fobs/{id}/lost", change, "Note that a fob is lost", a.LoseFob),
		deskItemWith("POST", "admin/fobs/{id}/replace", change, "Give a fob's users another in its place", a.ReplaceFob),
		deskItemWith("POST", "admin/fobs/{id}/resync", change, "Find a fob by two passcodes of a person who is attended to", a.ResyncFob),
		deskItemWith("POST", "fobs/{id}/resync", verify, "Find one's own fob by three passcodes", a.ResyncOwnFob),

		desk("GET", "admin/policy", look, "The authority's policy", a.Policy),
		large(maxPolicy, deskWith("PUT", "admin/policy", change, "Replace the policy", a.SetPolicy)),
		large(maxPolicy, deskWith("POST", "admin/policy/check", look, "Say what is wrong with a policy, and whom it would leave without a way back", a.CheckPolicy)),
		deskWith("POST", "admin/policy/explain", look, "Say what the policy leaves a user, and by which rule", a.ExplainPolicy),

		deskWith("POST", "verify", verify, "Verify a passcode; whatever is wrong, the answer is one", a.Verify),
		deskWith("POST", "admin/verify", verify, "Verify a passcode of a person who is attended to, and say why not", a.VerifyAttended),

		deskWith("POST", "authority/message", carry, "Carry a sealed message of a device to the authority, and its answer back", a.AuthorityMessage),
		desk("GET", "authority/descriptor", carry, "What devices are told of the authority, signed by it", a.AuthorityDescriptor),

		deskWith("POST", "admin/activations", help, "Let one device of a user's have a managed account", a.CreateActivation),
		deskWith("POST", "admin/activations/list", look, "A user's activations", a.Activations),
		deskItem("POST", "admin/activations/{id}/approve", help, "Be the second who agrees to an activation", a.ApproveActivation),
		deskItem("POST", "admin/activations/{id}/revoke", help, "Make an activation useless", a.RevokeActivation),
		deskWith("POST", "admin/bypass-codes", help, "Make a code that takes the place of a user's factor once", a.CreateBypassCode),
		deskWith("POST", "admin/bypass-codes/list", look, "A user's bypass codes", a.BypassCodes),
		deskItem("POST", "admin/bypass-codes/{id}/revoke", help, "Make a bypass code useless", a.RevokeBypassCode),
		deskWith("POST", "admin/devices/list", look, "The devices that have a user's managed accounts", a.UserDevices),
		deskItem("GET", "admin/devices/{id}", look, "One device that has managed accounts", a.UserDevice),
		deskItem("POST", "admin/devices/{id}/revoke", help, "Take all managed accounts from a device", a.RevokeUserDevice),

		deskWith("POST", "admin/security-keys", help, "Register a user's security key", a.AddSecurityKey),
		deskWith("POST", "admin/security-keys/list", look, "A user's security keys", a.SecurityKeys),
		deskWith("POST", "admin/security-keys/remove", help, "Forget a user's security key", a.RemoveSecurityKey),

		desk("GET", "admin/verifiers", look, "Who verifies factors elsewhere, without their secrets", a.Verifiers),
		deskItemWith("PUT", "admin/verifiers/{id}", change, "Set up who verifies factors elsewhere", a.SetVerifier),
		deskItem("POST", "admin/verifiers/{id}/check", look, "Ask a verifier's servers whether they answer", a.CheckVerifier),
		deskItem("DELETE", "admin/verifiers/{id}", change, "Forget a verifier and its secrets", a.RemoveVerifier),
		deskItemWith("POST", "admin/verifiers/{id}/enroll", help, "Make an account at a verifier for a user whom that does not know", a.EnrollUser),
	}
}

func deskRoute[Out any](method, path, action, summary string, c deskCall) Route {
	return Route{Method: method, Path: prefix + path, Access: AccessRole, Polkit: actions + action, Summary: summary,
		Response: reflect.TypeFor[Out](), desk: c}
}

func desk[Out any](method, path, action, summary string, f func(ipc.Authority, context.Context, ipc.Principal) (Out, error)) Route {
	return deskItem(method, path, action, summary, func(a ipc.Authority, ctx context.Context, p ipc.Principal, _ string) (Out, error) {
		return f(a, ctx, p)
	})
}

func deskItem[Out any](method, path, action, summary string, f func(ipc.Authority, context.Context, ipc.Principal, string) (Out, error)) Route {
	return deskRoute[Out](method, path, action, summary,
		func(ctx context.Context, a ipc.Authority, p ipc.Principal, id string, _ reader) (any, error) {
			out, err := f(a, ctx, p, id)
			return &out, err
		})
}

func deskWith[In, Out any](method, path, action, summary string, f func(ipc.Authority, context.Context, ipc.Principal, In) (Out, error)) Route {
	return deskItemWith(method, path, action, summary,
		func(a ipc.Authority, ctx context.Context, p ipc.Principal, _ string, in In) (Out, error) {
			return f(a, ctx, p, in)
		})
}

func deskItemWith[In, Out any](method, path, action, summary string, f func(ipc.Authority, context.Context, ipc.Principal, string, In) (Out, error)) Route {
	r := deskRoute[Out](method, path, action, summary,
		func(ctx context.Context, a ipc.Authority, p ipc.Principal, id string, read reader) (any, error) {
			var in In
			defer wipe(reflect.ValueOf(&in))
			if err := read(&in); err != nil {
				return nil, err
			}
			out, err := f(a, ctx, p, id, in)
			return &out, err
		})
	r.MaxBody, r.Request = maxBody, reflect.TypeFor[In]()
	return r
}
