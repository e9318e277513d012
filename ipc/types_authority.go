package ipc

// Role is what a user may do at an authority.
type Role string

// The roles. Everybody is a user.
const (
	RoleUser Role = "user"
	// RoleVerifier asks whether passcodes are right, and nothing else.
	RoleVerifier Role = "verifier"
	// RoleHelpdesk sees users and fobs, and enables, disables and resyncs fobs.
	RoleHelpdesk Role = "helpdesk"
	// RoleAdmin does everything but change administrators and owners, and their fobs.
	RoleAdmin Role = "admin"
	RoleOwner Role = "owner"
)

// AuthorityInfo is what an authority says of itself.
type AuthorityInfo struct {
	Version int    `json:"version"`
	ID      string `json:"id"`
	Name    string `json:"name"`
	Contact string `json:"contact,omitempty"` // whom people turn to
	Portal  string `json:"portal,omitempty"`  // the address of a page for them
	Created Time   `json:"created"`
	// KeySource is where the key of the registry came from: "key-file",
	// "credential", or "keyslot" where a token holds it.
	KeySource string `json:"key_source"`
	// Endpoints are where devices are told that it answers: a host and its port, or
	// the path of a socket.
	Endpoints []string `json:"endpoints"`
	Size      int      `json:"size"`          // of the registry, in bytes
	Policy    string   `json:"policy_sha256"` // of the policy's text, hexadecimal
	// Roles are the caller's, and Child is the child authority where they end; empty
	// where they are good for all.
	Roles []Role `json:"roles"`
	Child string `json:"child,omitempty"`
	// Warnings say what is not as it should be.
	Warnings []Warning `json:"warnings"`
}

// AuthorityState is what Status tells a caller of the authority that lives in the
// daemon.
type AuthorityState struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
	// User is what the authority calls the caller; empty for root and the daemon's
	// owner, who need not be among its users.
	User  string `json:"user,omitempty"`
	Roles []Role `json:"roles"`
	// Child is the child authority where they end; empty where they are good for all.
	Child string `json:"child,omitempty"`
	// Local says that the authority lives on this very machine: whoever
	// administers that can get round the policy, which so is advisory.
	Local bool `json:"local"`
	// Locked says that a token has to open it, for who may do so: root, and who added
	// one of its keyslots. Name and roles are not known then.
	Locked bool `json:"locked,omitempty"`
	// Problem is why the authority cannot be used.
	Problem *Error `json:"problem,omitempty"`
	// Warnings are about a registry or an audit log that was put back to an older copy,
	// for administrators. The status has them among its own.
	Warnings []Warning `json:"-"`
}

// CreateAuthorityRequest makes an authority.
type CreateAuthorityRequest struct {
	Name    string `json:"name"`
	Contact string `json:"contact,omitempty"`
	Portal  string `json:"portal,omitempty"` // an https address
	// Preset is the policy to begin with: "no-sms-no-calls" (when empty),
	// "fob-only" or "open".
	Preset string `json:"preset,omitempty"`
	// Key is "token" where a token of the caller's vault is to hold the key, which
	// Auth names, whose PIN it has; empty where it is as the daemon is configured.
	Key  string `json:"key,omitempty"`
	Auth Auth   `json:"auth,omitzero"`
	// Interaction is as in UnlockRequest.
	Interaction string `json:"interaction,omitempty"`
}

// AuthorityKeyToken is CreateAuthorityRequest.Key where a token holds the key.
const AuthorityKeyToken = "token"

// UnlockAuthorityRequest opens an authority that is locked. No recovery password
// does.
type UnlockAuthorityRequest struct {
	Auth Auth `json:"auth,omitzero"`
	// Interaction is as in UnlockRequest.
	Interaction string `json:"interaction,omitempty"`
}

// AuthorityLock says that the authority is locked.
type AuthorityLock struct {
	Version int  `json:"version"`
	Locked  bool `json:"locked"`
}

// AddAuthorityKeyRequest lets one more token open the authority: one that has a
// keyslot in the caller's vault, open or not.
type AddAuthorityKeyRequest struct {
	Auth Auth `json:"auth,omitzero"`
	// Interaction is as in UnlockRequest.
	Interaction string `json:"interaction,omitempty"`
}

// KeyFileID is the id of a key file among what holds the authority's key.
const KeyFileID = "file"

// AuthorityKeyHolder is something that holds the authority's key: a keyslot, or what
// the daemon reads by itself.
type AuthorityKeyHolder struct {
	// ID is the keyslot's, the same as in the vault that it came from; "file" and
	// "credential" for what is none.
	ID string `json:"id"`
	// Kind is "piv", "fido2", "soft", "key-file" or "credential".
	Kind  string `json:"kind"`
	Label string `json:"label,omitempty"` // model and serial number
	// Hardware is false for a software token, and for a file.
	Hardware bool `json:"hardware"`
	// By is the uid, or SID, of who added it: he may unlock the authority.
	By    string `json:"by,omitempty"`
	Added Time   `json:"added,omitzero"`
}

// AuthorityKeyList is all that holds the authority's key.
type AuthorityKeyList struct {
	Version int                  `json:"version"`
	Keys    []AuthorityKeyHolder `json:"keys"`
}

// EditAuthorityRequest changes what is not nil. The policy's own contact is in its
// text.
type EditAuthorityRequest struct {
	Name    *string `json:"name,omitempty"`
	Contact *string `json:"contact,omitempty"`
	Portal  *string `json:"portal,omitempty"`
	// AcceptCopy ends the warnings that the registry or the audit log is an older copy.
	// Only an owner can say so.
	AcceptCopy bool `json:"accept_copy,omitempty"`
}

// User is a person, as an authority knows him.
type User struct {
	ID      string `json:"id"`
	Name    string `json:"name"` // found in capitals and small letters alike
	Display string `json:"display,omitempty"`
	Email   string `json:"email,omitempty"`
	// AuthorityID and Authority are the one he belongs to: the root one, or a child.
	AuthorityID string `json:"authority_id"`
	Authority   string `json:"authority"`
	// Logins are his names on the authority's own host: by them he is known there.
	Logins []string `json:"logins"`
	Roles  []Role   `json:"roles"`
	// UnknownLogins are those of Logins that the host does not have now. Who adds or
	// edits a user is told, and nobody else.
	UnknownLogins []string `json:"unknown_logins,omitempty"`
	// GroupRoles are those of Roles that he has by a group of the host alone.
	GroupRoles []Role    `json:"group_roles,omitempty"`
	Disabled   bool      `json:"disabled,omitempty"`
	Fobs       []UserFob `json:"fobs"`
	Created    Time      `json:"created"`
}

// UserFob is a fob of a user's.
type UserFob struct {
	ID     string   `json:"id"`
	Serial string   `json:"serial"`
	Type   FobType  `json:"type"`
	State  FobState `json:"state"`
}

// UserQuery says which users to list, in the order of their names.
type UserQuery struct {
	Prefix string `json:"prefix,omitempty"` // of the name
	Role   Role   `json:"role,omitempty"`
	// Authority, by name or id, leaves out users who are neither in it nor beneath it.
	Authority string `json:"authority,omitempty"`
	After     string `json:"after,omitempty"` // Next of the page before
	Limit     int    `json:"limit,omitempty"` // 1 to 1,000; 1,000 when 0
}

// UserPage is a page of users.
type UserPage struct {
	Version int    `json:"version"`
	Users   []User `json:"users"`
	// Next is where the next page begins; empty on the last.
	Next string `json:"next,omitempty"`
}

// NewUser is a user to be added.
type NewUser struct {
	Name    string `json:"name"`
	Display string `json:"display,omitempty"`
	Email   string `json:"email,omitempty"`
	// Logins are his names on the authority's own host, at most 16.
	Logins []string `json:"logins,omitempty"`
	// Authority is a name or an id; the caller's own authority when empty.
	Authority string `json:"authority,omitempty"`
	// Roles are the user role alone when empty.
	Roles []Role `json:"roles,omitempty"`
}

// EditUserRequest changes what is not nil.
type EditUserRequest struct {
	Name    *string   `json:"name,omitempty"`
	Display *string   `json:"display,omitempty"`
	Email   *string   `json:"email,omitempty"`
	Logins  *[]string `json:"logins,omitempty"`
	// Authority is the one to move him to, by name or id; the caller's own when empty.
	Authority *string `json:"authority,omitempty"`
	Roles     *[]Role `json:"roles,omitempty"`
	Disabled  *bool   `json:"disabled,omitempty"`
}

// RemoveUserRequest confirms that the user's name is meant.
type RemoveUserRequest struct {
	// Confirm must be the user's id.
	Confirm string `json:"confirm"`
}

// RemoveUserResult says who is gone. His fobs are nobody's unless they have other
// users.
type RemoveUserResult struct {
	Version int  `json:"version"`
	Removed User `json:"removed"`
}

// VerifyRequest is somebody's passcode.
type VerifyRequest struct {
	// User is a name or an id. He need not exist.
	User string `json:"user"`
	// Service is what asks: 1 to 64 letters, digits and - . _ Failures are counted
	// by service and user.
	Service string `json:"service"`
	// Passcode is as it was typed, line end and blanks included; two in a row, where
	// one is not looked at because of too many failures.
	Passcode Secret `json:"passcode"`
	// Managed says that it is a code of a managed account, and not of a fob. Account
	// is which one, by name or id; any of the user's if empty.
	Managed bool   `json:"managed,omitempty"`
	Account string `json:"account,omitempty"`
	// Challenge is the id of what a verifier elsewhere asked for in addition to the
	// passcode before, which Passcode then answers; for the same user and service.
	Challenge string `json:"challenge,omitempty"`
}

// Verified says that a passcode was accepted; whatever was not is an error.
type Verified struct {
	Version  int  `json:"version"`
	Accepted bool `json:"accepted"`
}

// AttendedVerdict says that a passcode was accepted, and of which fob; or a code of
// a managed account, and of which device.
type AttendedVerdict struct {
	Version  int    `json:"version"`
	Accepted bool   `json:"accepted"`
	UserID   string `json:"user_id"`
	FobID    string `json:"fob_id"`
	Serial   string `json:"serial"`
	// AccountID and DeviceID are of a managed account's code.
	AccountID string `json:"account_id,omitempty"`
	DeviceID  string `json:"device_id,omitempty"`
	// Verifier is whose word it is, where the authority has not verified it itself.
	Verifier VerifierName `json:"verifier,omitempty"`
	// Lifted says that passcodes in a row have proved the fob, and that failures before
	// count no more, of the fob and of the user at every service.
	Lifted bool `json:"lifted,omitempty"`
	// Throttled are the services at which single passcodes of the user are refused all
	// the same, of those where his last 10 failures were, and ThrottledFobs his fobs of
	// which they are at all services.
	Throttled     []ThrottledService `json:"throttled,omitempty"`
	ThrottledFobs []ThrottledFob     `json:"throttled_fobs,omitempty"`
}

// ThrottledFob is a fob with which too much went wrong.
type ThrottledFob struct {
	Serial string `json:"serial"`
	Until  Time   `json:"until"`
}
