package ipc

// What a request's interaction can be: who is asked where a PIN or the user's
// consent is wanting.
const (
	// InteractionNone asks nobody: the call fails with its kind.
	InteractionNone = "none"
	// InteractionAgent has the call wait while the user's agent asks him.
	InteractionAgent = "agent"
)

// GrantMode says what programs need before they are handed the codes or the
// secret of an account.
type GrantMode string

// The modes. They protect from accidents, not from a program of the user's own
// that means harm: it could answer in his place.
const (
	GrantOff  GrantMode = "off"  // nothing: whoever is the user has his codes
	GrantAsk  GrantMode = "ask"  // a grant, for which the user is asked
	GrantDeny GrantMode = "deny" // nothing is handed out
)

// Valid says whether m is one of the modes.
func (m GrantMode) Valid() bool { return m == GrantOff || m == GrantAsk || m == GrantDeny }

// GrantAction is what a grant is for: one for codes opens no secret.
type GrantAction string

// The actions that need a grant.
const (
	GrantCode   GrantAction = "code"
	GrantReveal GrantAction = "reveal" // of the account's secret: show and export
)

// GrantScope is how long a grant holds. None outlives a lock of the vault.
type GrantScope string

// The scopes.
const (
	GrantOnce   GrantScope = "once"  // one code
	Grant10Min  GrantScope = "10min" // ten minutes
	GrantToLock GrantScope = "lock"  // until the vault is locked
)

// Valid says whether s is one of the scopes.
func (s GrantScope) Valid() bool { return s == GrantOnce || s == Grant10Min || s == GrantToLock }

// Requester is the program that asks, as far as the kernel names it.
type Requester struct {
	Program string `json:"program,omitempty"` // short name
	PID     int    `json:"pid,omitempty"`
	Exe     string `json:"exe,omitempty"`     // path of its file, where it can be read
	Unit    string `json:"unit,omitempty"`    // its unit or scope of systemd
	Session string `json:"session,omitempty"` // its login session
	// Where there is no unit: its controlling terminal ("pts/3"), and the process
	// that leads its process session (setsid).
	Terminal string `json:"terminal,omitempty"`
	Leader   int    `json:"leader,omitempty"`
}

// Requester is what is told of p to the owner of the vault.
func (p Principal) Requester() Requester {
	return Requester{
		Program: p.Program, PID: p.PID, Exe: p.Exe, Unit: p.Unit, Session: p.Session, Terminal: p.Terminal, Leader: p.Leader,
	}
}

// Grant lets one program have codes, or the secret, of one account. It is kept
// in memory alone, and holds for every process that has the same user, login
// session, unit (where there is none: terminal and process session) and executable
// (the short name, where that cannot be read).
type Grant struct {
	ID     string      `json:"id"`
	Action GrantAction `json:"action"`
	// Account has no name while the vault is locked; then there is no grant.
	Account AccountRef `json:"account"`
	// Requester is the process that was asked about; others like it share the
	// grant.
	Requester Requester  `json:"requester"`
	For       GrantScope `json:"for"`
	Made      Time       `json:"made"`
	Until     Time       `json:"until,omitzero"` // of "10min"
	Uses      int        `json:"uses"`
}

// AccountMode is the mode of an account that has one of its own.
type AccountMode struct {
	// Account has no name while the vault is locked.
	Account AccountRef `json:"account"`
	Mode    GrantMode  `json:"mode"`
}

// GrantList is the modes and the grants of the caller.
type GrantList struct {
	Version int `json:"version"`
	// Mode is for accounts that have none of their own.
	Mode     GrantMode     `json:"mode"`
	Accounts []AccountMode `json:"accounts"`
	Grants   []Grant       `json:"grants"`
	Agents   []Agent       `json:"agents"`
}

// GrantState is what Status tells of grants.
type GrantState struct {
	Mode     GrantMode `json:"mode"`
	Accounts int       `json:"accounts,omitempty"` // with a mode of their own
	Grants   int       `json:"grants,omitempty"`
	Agents   int       `json:"agents,omitempty"` // that can ask the user now
}

// SetGrantModeRequest sets a mode, which is kept over restarts.
type SetGrantModeRequest struct {
	Mode GrantMode `json:"mode,omitempty"`
	// Account is an account's id, or its name while the vault is unlocked; empty
	// for all that have no mode of their own.
	Account string `json:"account,omitempty"`
	// Inherit takes from Account the mode of its own; Mode is then empty.
	Inherit bool `json:"inherit,omitempty"`
}

// AllowRequest makes a grant for the caller himself: his user said yes where he
// was asked, at a terminal.
type AllowRequest struct {
	Action   GrantAction `json:"action"`
	Accounts []string    `json:"accounts"` // ids, or names that are unique
	For      GrantScope  `json:"for"`
}

// RevokeGrantsRequest takes grants back.
type RevokeGrantsRequest struct {
	IDs []string `json:"ids,omitempty"`
	All bool     `json:"all,omitempty"`
}

// Agent is a program in a session of the user's that asks him in the daemon's
// place.
type Agent struct {
	Session string   `json:"session,omitempty"`
	PID     int      `json:"pid,omitempty"`
	Can     []string `json:"can"` // see AgentCanTouch and its like
}

// What an agent can do.
const (
	AgentCanTouch   = "touch"   // tell the user that a touch is wanted
	AgentCanPIN     = "pin"     // ask for a PIN
	AgentCanConsent = "consent" // ask for consent
	AgentCanNothing = "nothing" // alone: it locks at its end, and asks nothing
)

// AgentAnswer is what the user said to an agent.
type AgentAnswer struct {
	// Operation is that of the event.
	Operation string `json:"operation"`
	// Allow is false where the user refused: the call fails, and he is not asked
	// about that program again for a while.
	Allow bool `json:"allow"`
	// Unable says that he could not be asked; the call fails, and nothing is held
	// against the program.
	Unable bool `json:"unable,omitempty"`
	// For is how long consent holds, "once" when empty.
	For GrantScope `json:"for,omitempty"`
	// PIN is the token's PIN, or a software token's passphrase. It goes to the
	// token that the event named and to no other.
	PIN Secret `json:"pin,omitempty"`
	// SpendLastTry is the user's word that the last try may be spent.
	SpendLastTry bool `json:"spend_last_try,omitempty"`
}
