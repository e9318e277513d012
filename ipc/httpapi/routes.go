package httpapi

import (
	"context"
	"net/http"
	"reflect"
	"slices"

	"github.com/tokenbridge/tokend/ipc"
)

// Access says what a route does to the caller's things, so that a policy can
// be written without a list of paths.
type Access string

// The levels of access. All but AccessPublic, AccessRole and AccessAdmin are about
// the caller's own vault. AccessRole is about an authority's users and fobs: which
// role may do it the authority decides, and messages to it may everybody send. AccessAdmin is about others' vaults and
// needs an Admin.
const (
	AccessPublic Access = "public" // tells nothing of anybody
	AccessRead   Access = "read"   // shows the caller's own things, no secret
	AccessUse    Access = "use"    // makes a code, opens or locks the vault
	AccessChange Access = "change" // changes accounts, tokens, recovery
	AccessReveal Access = "reveal" // hands out a secret or a backup
	AccessRole   Access = "role"
	AccessAdmin  Access = "admin"
	// AccessMachine is about the daemon as a whole and nobody's things: who it is for
	// Config.Metrics says.
	AccessMachine Access = "machine"
)

// Health is the answer of GET /v1/health: the daemon answers.
type Health struct {
	Version int    `json:"version"`
	Status  string `json:"status"` // "ok"
}

// Done is the answer of a call that has nothing to tell but that it succeeded.
type Done struct {
	Version int `json:"version"`
}

// Route is one row of the table of routes.
type Route struct {
	Method string
	// Path is the pattern; {id} stands for one escaped path segment.
	Path   string
	Access Access
	// Polkit is the action that a system daemon asks polkit about.
	Polkit string
	// Summary is for the OpenAPI document.
	Summary string
	// Query is the name of the one query parameter, which then is required.
	Query string
	// MaxBody is the largest request body in bytes; 0 where there is none.
	MaxBody int64
	// Stream marks the routes that answer with JSON lines.
	Stream bool
	// Text marks the routes that answer with plain text.
	Text bool
	// Request and Response are the wire types; Request is nil without a body.
	Request, Response reflect.Type

	call    call
	desk    deskCall // in place of call, of the authority's routes
	stream  streamer
	shape   *shape
	secrets [][]byte // the fields of Request that are secrets, in quotes
	reveals bool     // the answer holds secrets
}

// call runs a backend's method. id is the path's or the query's parameter, read
// reads the body.
type call func(ctx context.Context, b ipc.Backend, p ipc.Principal, id string, read reader) (any, error)

// streamer reports events to send until ctx ends; id is the query's parameter.
type streamer func(ctx context.Context, b ipc.Backend, p ipc.Principal, id string, send func(ipc.Event) error) error

// reader reads a request's body, which has been checked against the route's
// shape, into the value that in points to.
type reader func(in any) error

// Limits of request bodies in bytes.
const (
	maxBody     = 1 << 20
	maxAccounts = 8 << 20 // some 10,000 accounts in one step
	maxReport   = 8 << 20
	maxImport   = 48 << 20 // 20,000 accounts, each with a note of 2 KiB
	maxBackup   = 64 << 20 // base64 included: a backup of 48 MiB
)

const actions = "io.github.tokenbridge.tokend."

// Routes returns the table of all routes, in the order of the documentation.
func Routes() []Route {
	return slices.Concat(vaultRoutes(), backupRoutes(), grantRoutes(), managedRoutes(), authorityRoutes())
}

func vaultRoutes() []Route {
	type b = ipc.Backend
	return []Route{
		public("health", "Says that the daemon answers", Health{}, health),
		public("openapi.json", "This document", struct{}{}, nil),
		{Method: http.MethodGet, Path: prefix + "metrics", Access: AccessMachine, Summary: "Figures for monitoring, in Prometheus's text format", Text: true, Response: reflect.TypeFor[string]()},
		read("status", "How the daemon, the caller's vault and tokens are", b.Status),
		stream("GET", "events", AccessRead, "read", "What happens, as JSON lines, the present state first", unnamed(b.Events)),
		read("doctor", "What is wrong, and the commands that mend it", b.Doctor),
		read("audit", "The caller's audit chain, oldest first", b.Audit),
		with("POST", "audit/list", AccessRead, "read", "A page of those entries of the caller's audit chain that are asked for", b.AuditEntries),
		with("POST", "audit/verify", AccessRead, "read", "Check the caller's audit chain, and how it stands to checkpoints", b.VerifyAudit),
		{Method: "POST", Path: "/v1/audit/checkpoint", Access: AccessUse, Polkit: actions + "read",
			Summary: "Sign that the caller's audit chain has the entry that is its last", Response: reflect.TypeFor[ipc.AuditCheckpoint](), call: checkpointAudit},

		with("POST", "vault", AccessChange, "init", "Make the caller's vault", b.Init),
		with("POST", "vault/unlock", AccessUse, "unlock", "Open the session class", b.Unlock),
		{Method: "POST", Path: "/v1/vault/lock", Access: AccessUse, Polkit: actions + "lock",
			Summary: "Drop the session key", Response: reflect.TypeFor[Done](), call: lock},
		with("POST", "vault/recover", AccessChange, "recover-vault", "Compare a damaged vault with its last good generation, or make that the newest", b.RecoverVault),

		read("vault/purge", "What purging the caller's vault would lose, and what would remain", b.Leaving),
		with("POST", "vault/purge", AccessChange, "purge", "Remove the caller's vault from this machine for good", b.Purge),

		read("accounts", "The caller's accounts in his order", b.Accounts),
		large(maxAccounts, with("POST", "accounts", AccessChange, "add-account", "Add accounts, all or none", b.AddAccounts)),
		with("POST", "accounts/remove", AccessChange, "remove-account", "Remove accounts for good, all or none, or say what that would do", b.RemoveAccounts),
		with("POST", "accounts/export", AccessReveal, "export-accounts", "Hand out the secrets of several accounts", b.ExportAccounts),
		large(maxImport, with("POST", "accounts/import", AccessChange, "add-account", "Say what bringing in accounts would do, or do it", b.ImportAccounts)),
		item("accounts/{id}", AccessRead, "read", "One account", b.Account),
		itemWith("PUT", "accounts/{id}", AccessChange, "edit-account", "Change an account's settings", b.EditAccount),
		itemWith("DELETE", "accounts/{id}", AccessChange, "remove-account", "Remove an account for good", b.RemoveAccount),
		itemWith("POST", "accounts/{id}/move", AccessChange, "edit-account", "Put an account at another place in the order", b.MoveAccount),
		itemWith("POST", "accounts/{id}/reveal", AccessReveal, "reveal-account", "Hand out an account's secret", b.RevealAccount),
		itemWith("POST", "accounts/{id}/code", AccessUse, "code", "Make a code", b.Code),
		query("account", itemWith("POST", "codes", AccessUse, "code", "Make a code for an account named by id, name, issuer or issuer:name", b.Code)),

		read("tokens", "Keyslots, and the tokens present", b.Tokens),
		with("POST", "tokens", AccessChange, "enroll-token", "Make a keyslot", b.EnrollToken),
		item("tokens/{id}", AccessRead, "read", "What a token tells now", b.TokenInfo),
		itemWith("PUT", "tokens/{id}", AccessChange, "rename-token", "Give a keyslot a new label", b.RenameToken),
		itemWith("POST", "tokens/{id}/revoke", AccessChange, "revoke-token", "Remove a keyslot and rotate the keys", b.RevokeToken),
		itemWith("POST", "tokens/{id}/test", AccessUse, "test-token", "Open a keyslot once for each of its classes", b.TestToken),
		pinRoute(),
		with("POST", "tokens/security-key", AccessUse, "make-security-key", "Have a FIDO2 key make a credential for an authority", b.MakeSecurityKey),
		itemWith("POST", "tokens/{id}/wipe", AccessChange, "wipe-token", "Remove from a token what a revoked keyslot left there", b.WipeToken),

		with("POST", "recovery", AccessChange, "set-recovery", "Set the recovery password", b.SetRecoveryPassword),
		{Method: "POST", Path: "/v1/recovery/decline", Access: AccessChange, Polkit: actions + "set-recovery",
			Summary: "Note that the owner was asked for a recovery password and wants none", Response: reflect.TypeFor[Done](), call: decline},
		with("POST", "recovery/check", AccessUse, "check-recovery", "Try the recovery password or key; nothing is opened", b.CheckRecovery),
		with("POST", "recovery/key", AccessReveal, "show-recovery-key", "Hand out the recovery key", b.ShowRecoveryKey),
		with("POST", "recovery/rotate", AccessChange, "rotate-recovery", "Make a new recovery key", b.RotateRecovery),
	}
}

func backupRoutes() []Route {
	type b = ipc.Backend
	return []Route{
		createBackup(),
		with("POST", "backups/confirm", AccessChange, "create-backup", "Say that a backup was written and read back: from then on it counts", b.ConfirmBackup),
		large(maxBackup, with("POST", "backups/inspect", AccessRead, "inspect-backup", "Say what a restore of a backup would bring", b.InspectBackup)),
		large(maxBackup, with("POST", "backups/drill", AccessUse, "drill-backup", "Restore a backup into memory, use every account in it, and remember it as proved", b.DrillBackup)),
		large(maxBackup, with("POST", "backups/restore", AccessChange, "restore-backup", "Make the caller's vault from a backup", b.RestoreBackup)),
		large(maxBackup, with("POST", "backups/merge", AccessChange, "restore-backup", "Say what bringing in a backup's accounts would do, or do it", b.MergeBackup)),

		read("undo", "Imports and merges that can be taken back, the newest first", b.Undos),
		with("POST", "undo", AccessChange, "restore-backup", "Say what taking one back would do, or do it", b.Undo),

		read("backups", "The backups that are known, the newest first", b.BackupList),
		read("backups/status", "Whether the backups are as they should be", b.BackupStatus),
		read("destinations", "The folders that backups are copied to", b.Destinations),
		with("POST", "destinations", AccessChange, "change-backups", "Add a folder that backups are copied to", b.AddDestination),
		itemWith("DELETE", "destinations/{id}", AccessChange, "change-backups", "Forget such a folder; its files stay", b.RemoveDestination),
		with("POST", "backups/run", AccessUse, "run-backups", "Bring the spool up to date and say what is to be copied", b.PlanBackupRun),
		with("POST", "backups/fetch", AccessReveal, "create-backup", "Hand out a backup from the spool, by its checksum", b.SpooledBackup),
		large(maxReport, with("POST", "backups/report", AccessUse, "run-backups", "Say what became of the copies to one folder", b.ReportBackupRun)),
		with("POST", "backups/agree", AccessChange, "change-backups", "Agree to a sharp drop in accounts", b.AgreeToDrop),
	}
}

func grantRoutes() []Route {
	type b = ipc.Backend
	return []Route{
		read("grants", "What programs need to be handed codes, and which have been granted any", b.Grants),
		with("POST", "grants", AccessUse, "grant", "Grant the caller himself codes or secrets of accounts", b.AllowGrant),
		with("PUT", "grants/mode", AccessChange, "grant", "Say what programs need to be handed codes", b.SetGrantMode),
		with("POST", "grants/revoke", AccessChange, "grant", "Take grants back", b.RevokeGrants),
		query("can", stream("POST", "agent", AccessUse, "agent", "Be the agent of the caller's session: events, and what the user is to be asked", b.Agent)),
		answerRoute(),
	}
}

func health(context.Context, ipc.Backend, ipc.Principal, string, reader) (any, error) {
	return &Health{Version: ipc.Version, Status: "ok"}, nil
}

func lock(ctx context.Context, b ipc.Backend, p ipc.Principal, _ string, _ reader) (any, error) {
	return &Done{Version: ipc.Version}, b.Lock(ctx, p)
}

func checkpointAudit(ctx context.Context, b ipc.Backend, p ipc.Principal, _ string, _ reader) (any, error) {
	out, err := b.CheckpointAudit(ctx, p)
	return &out, err
}

func decline(ctx context.Context, b ipc.Backend, p ipc.Principal, _ string, _ reader) (any, error) {
	return &Done{Version: ipc.Version}, b.DeclineRecovery(ctx, p)
}

func public(path, summary string, out any, c call) Route {
	return Route{Method: http.MethodGet, Path: prefix + path, Access: AccessPublic, Summary: summary, Response: reflect.TypeOf(out), call: c}
}

func stream(method, path string, a Access, action, summary string,
	f func(ipc.Backend, context.Context, ipc.Principal, string, func(ipc.Event) error) error,
) Route {
	return Route{Method: method, Path: prefix + path, Access: a, Polkit: actions + action, Summary: summary,
		Response: reflect.TypeFor[ipc.Event](), Stream: true,
		stream: func(ctx context.Context, b ipc.Backend, p ipc.Principal, id string, send func(ipc.Event) error) error {
			return f(b, ctx, p, id, send)
		}}
}

func read[Out any](path, summary string, f func(ipc.Backend, context.Context, ipc.Principal) (Out, error)) Route {
	return Route{Method: http.MethodGet, Path: prefix + path, Access: AccessRead, Polkit: actions + "read", Summary: summary,
		Response: reflect.TypeFor[Out](), call: plain(f)}
}

func plain[Out any](f func(ipc.Backend, context.Context, ipc.Principal) (Out, error)) call {
	return func(ctx context.Context, b ipc.Backend, p ipc.Principal, _ string, _ reader) (any, error) {
		out, err := f(b, ctx, p)
		return &out, err
	}
}

func createBackup() Route {
	return Route{Method: http.MethodPost, Path: prefix + "backups", Access: AccessReveal, Polkit: actions + "create-backup",
		Summary: "Make a backup; works while locked", Response: reflect.TypeFor[ipc.Backup](), call: plain(ipc.Backend.CreateBackup)}
}

func item[Out any](path string, a Access, action, summary string,
	f func(ipc.Backend, context.Context, ipc.Principal, string) (Out, error),
) Route {
	return itemBy(http.MethodGet, path, a, action, summary, f)
}

// itemBy is of a method of its own, without a body.
func itemBy[Out any](method, path string, a Access, action, summary string,
	f func(ipc.Backend, context.Context, ipc.Principal, string) (Out, error),
) Route {
	return Route{Method: method, Path: prefix + path, Access: a, Polkit: actions + action, Summary: summary,
		Response: reflect.TypeFor[Out](),
		call: func(ctx context.Context, b ipc.Backend, p ipc.Principal, id string, _ reader) (any, error) {
			out, err := f(b, ctx, p, id)
			return &out, err
		}}
}

func with[In, Out any](method, path string, a Access, action, summary string,
	f func(ipc.Backend, context.Context, ipc.Principal, In) (Out, error),
) Route {
	return itemWith(method, path, a, action, summary,
		func(b ipc.Backend, ctx context.Context, p ipc.Principal, _ string, in In) (Out, error) {
			return f(b, ctx, p, in)
		})
}

func itemWith[In, Out any](method, path string, a Access, action, summary string,
	f func(ipc.Backend, context.Context, ipc.Principal, string, In) (Out, error),
) Route {
	return Route{Method: method, Path: prefix + path, Access: a, Polkit: actions + action, Summary: summary, MaxBody: maxBody,
		Request: reflect.TypeFor[In](), Response: reflect.TypeFor[Out](),
		call: func(ctx context.Context, b ipc.Backend, p ipc.Principal, id string, read reader) (any, error) {
			var in In
			defer wipe(reflect.ValueOf(&in))
			if err := read(&in); err != nil {
				return nil, err
			}
			out, err := f(b, ctx, p, id, in)
			return &out, err
		}}
}

func pinRoute() Route {
	return itemWith("POST", "tokens/{id}/pin", AccessChange, "change-pin", "Change a token's PIN or PUK",
		func(b ipc.Backend, ctx context.Context, p ipc.Principal, id string, in ipc.ChangePINRequest) (Done, error) {
			return Done{Version: ipc.Version}, b.ChangePIN(ctx, p, id, in)
		})
}

// unnamed is a stream without a parameter.
func unnamed(f func(ipc.Backend, context.Context, ipc.Principal, func(ipc.Event) error) error) func(ipc.Backend, context.Context, ipc.Principal, string, func(ipc.Event) error) error {
	return func(b ipc.Backend, ctx context.Context, p ipc.Principal, _ string, send func(ipc.Event) error) error {
		return f(b, ctx, p, send)
	}
}

func answerRoute() Route {
	return with("POST", "agent/answer", AccessUse, "agent", "Say what the user answered to an agent",
		func(b ipc.Backend, ctx context.Context, p ipc.Principal, in ipc.AgentAnswer) (Done, error) {
			return Done{Version: ipc.Version}, b.AnswerAgent(ctx, p, in)
		})
}

func large(limit int64, r Route) Route {
	r.MaxBody = limit
	return r
}

func query(name string, r Route) Route {
	r.Query = name
	return r
}
