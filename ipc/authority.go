package ipc

import "context"

// Authority is what the daemon offers in which an authority lives: users, fobs,
// policy, and verification. Every method takes the caller, whose role at the
// authority decides; to a caller who is no user of it the authority does not
// exist: he gets NotFound, as where there is none. Every error is an *Error.
//
// Root, and the owner of a user's own daemon, may do everything.
type Authority interface {
	AuthorityOffice
	Users
	Groups
	ChildAuthorities
	Fobs
	Policies
	Verifications
	AuthorityMessages
	Activations
	BypassCodes
	UserDevices
	SecurityKeys
	Verifiers
	AuthorityKeys
}

// ErrNoAuthority is the answer where no authority lives, and to whoever is no user
// of the one that does.
func ErrNoAuthority() *Error { return Errorf(NotFound, "no authority lives in this daemon") }

// AuthorityOffice makes the authority and keeps what it says of itself.
type AuthorityOffice interface {
	Authority(ctx context.Context, p Principal) (AuthorityInfo, error)
	// CreateAuthority fails with AlreadyExists where there is one.
	CreateAuthority(ctx context.Context, p Principal, r CreateAuthorityRequest) (AuthorityInfo, error)
	EditAuthority(ctx context.Context, p Principal, r EditAuthorityRequest) (AuthorityInfo, error)
	// AuthorityAudit reads a page of the authority's own audit chain.
	AuthorityAudit(ctx context.Context, p Principal, r AuditQuery) (AuditPage, error)
	// CheckpointAuthorityAudit signs that the chain has the entry that is its last,
	// and puts that into the daemon's log.
	CheckpointAuthorityAudit(ctx context.Context, p Principal) (AuditCheckpoint, error)
	// VerifyAuthorityAudit checks the chain, and how it stands to checkpoints.
	VerifyAuthorityAudit(ctx context.Context, p Principal, r VerifyAuditRequest) (AuditVerdict, error)
}

// Users are the authority's people. id is an id or a name.
type Users interface {
	Users(ctx context.Context, p Principal, q UserQuery) (UserPage, error)
	User(ctx context.Context, p Principal, id string) (User, error)
	// UserReport is all there is of a user, for who helps him.
	UserReport(ctx context.Context, p Principal, id string) (UserReport, error)
	AddUser(ctx context.Context, p Principal, r NewUser) (User, error)
	EditUser(ctx context.Context, p Principal, id string, r EditUserRequest) (User, error)
	RemoveUser(ctx context.Context, p Principal, id string, r RemoveUserRequest) (RemoveUserResult, error)
}

// Groups of the authority's own host can give their members roles.
type Groups interface {
	Groups(ctx context.Context, p Principal) (GroupList, error)
	// AddGroup fails with AlreadyExists for a group that has roles.
	AddGroup(ctx context.Context, p Principal, r NewGroup) (Group, error)
	RemoveGroup(ctx context.Context, p Principal, r GroupRef) (Group, error)
}

// ChildAuthorities are parts of the users whose roles end there. They lie beneath
// the authority, or one beneath the other.
type ChildAuthorities interface {
	// ChildAuthorities lists those that the caller's roles reach.
	ChildAuthorities(ctx context.Context, p Principal) (ChildAuthorityList, error)
	// AddChildAuthority fails with AlreadyExists where another has the name, and with
	// Conflict where there are too many, or too many one beneath the other.
	AddChildAuthority(ctx context.Context, p Principal, r NewChildAuthority) (ChildAuthority, error)
	// RemoveChildAuthority fails with Conflict where it has users, or others beneath it.
	RemoveChildAuthority(ctx context.Context, p Principal, r ChildAuthorityRef) (ChildAuthority, error)
}

// Fobs are the authority's hardware OTP tokens. id is a serial number or an id.
type Fobs interface {
	Fobs(ctx context.Context, p Principal, q FobQuery) (FobPage, error)
	Fob(ctx context.Context, p Principal, id string) (Fob, error)
	// ImportFobs says what adding a page of fobs would do and, with Apply, does it.
	ImportFobs(ctx context.Context, p Principal, r ImportFobsRequest) (ImportFobsResult, error)
	AssignFob(ctx context.Context, p Principal, id string, r AssignFobRequest) (Fob, error)
	UnassignFob(ctx context.Context, p Principal, id string, r UnassignFobRequest) (Fob, error)
	EnableFob(ctx context.Context, p Principal, id string) (Fob, error)
	DisableFob(ctx context.Context, p Principal, id string) (Fob, error)
	LoseFob(ctx context.Context, p Principal, id string) (Fob, error)
	// ReplaceFob gives the users of one fob another in its place, and returns that.
	ReplaceFob(ctx context.Context, p Principal, id string, r ReplaceFobRequest) (Fob, error)
	// ResyncFob finds a fob by two passcodes in a row, of a person whom the caller
	// answers for. It fails with PasscodeInvalid, and with Throttled where it was
	// tried too often within a day.
	ResyncFob(ctx context.Context, p Principal, id string, r ResyncFobRequest) (Fob, error)
	// ResyncOwnFob is for the caller's own fob, and takes three passcodes.
	ResyncOwnFob(ctx context.Context, p Principal, id string, r ResyncFobRequest) (Fob, error)
	BurnFobs(ctx context.Context, p Principal, r BurnFobsRequest) (BurnFobsResult, error)
}

// Policies keep and explain the authority's policy.
type Policies interface {
	Policy(ctx context.Context, p Principal) (PolicyText, error)
	// SetPolicy fails with InvalidArgument where the text has errors; Items has
	// them, by line.
	SetPolicy(ctx context.Context, p Principal, r SetPolicyRequest) (PolicyFindings, error)
	// CheckPolicy says what is wrong with a text, errors included, and whom it would
	// leave without a way back. It changes nothing.
	CheckPolicy(ctx context.Context, p Principal, r CheckPolicyRequest) (PolicyFindings, error)
	ExplainPolicy(ctx context.Context, p Principal, r ExplainPolicyRequest) (PolicyExplanation, error)
}

// Verifications say whether passcodes are right.
type Verifications interface {
	// Verify is for services. It fails with PasscodeInvalid, and the same words,
	// whatever was wrong: the passcode, the user, the fob, the number of tries. Where
	// the user's fob is verified elsewhere it fails with VerifierDown if no answer
	// counts, with Busy if too much is asked, and with Conflict where the verifier asks
	// for something more: Items then has the id by which it is answered, with the reason
	// "challenged", and as its name what the user is to be asked.
	Verify(ctx context.Context, p Principal, r VerifyRequest) (Verified, error)
	// VerifyAttended is for a helper who has the person before him: it also says
	// which fob it was, and why not. It fails with PasscodeInvalid, PasscodeReused
	// or Throttled; Items has the reason. Else it fails as Verify does.
	VerifyAttended(ctx context.Context, p Principal, r VerifyRequest) (AttendedVerdict, error)
}

// AuthorityMessages carry what devices and the authority say to each other. They
// are for every local user: who may do what follows from what is in the message,
// which nobody reads on its way.
type AuthorityMessages interface {
	// AuthorityMessage answers a sealed request. It fails with InvalidArgument for
	// what is no request to this authority, with Conflict for one whose time is over
	// or whose turn it is not, with NotAuthorized for one that is signed by nobody
	// whom the authority knows, with Throttled for too many, and with VerifierDown
	// where the authority cannot be used.
	AuthorityMessage(ctx context.Context, p Principal, r AuthorityMessage) (AuthorityAnswer, error)
	AuthorityDescriptor(ctx context.Context, p Principal) (AuthorityDescriptor, error)
}

// Activations let devices have managed accounts. The policy says who may help
// whom, and nobody helps himself: they fail with PolicyDenied. id is an
// activation's.
type Activations interface {
	// CreateActivation sends the link by e-mail where that is asked for; it then
	// fails with Unsupported where no mail server is set up, and with MailFailed where
	// it was not sent, and the activation is revoked.
	CreateActivation(ctx context.Context, p Principal, r NewActivation) (MadeActivation, error)
	Activations(ctx context.Context, p Principal, r UserRef) (ActivationList, error)
	// ApproveActivation is for the second person, where the policy asks for one.
	ApproveActivation(ctx context.Context, p Principal, id string) (Activation, error)
	RevokeActivation(ctx context.Context, p Principal, id string) (Activation, error)
}

// BypassCodes take the place of a factor once. Who may make them is as with
// Activations. id is a code's.
type BypassCodes interface {
	CreateBypassCode(ctx context.Context, p Principal, r NewBypassCode) (MadeBypassCode, error)
	BypassCodes(ctx context.Context, p Principal, r UserRef) (BypassCodeList, error)
	RevokeBypassCode(ctx context.Context, p Principal, id string) (BypassCode, error)
}

// UserDevices are the devices that have users' managed accounts. id is a device's.
type UserDevices interface {
	UserDevices(ctx context.Context, p Principal, r UserRef) (UserDeviceList, error)
	// UserDevice is one of them, with its user's name.
	UserDevice(ctx context.Context, p Principal, id string) (UserDevice, error)
	// RevokeUserDevice takes all managed accounts from a device, which is told when
	// it asks.
	RevokeUserDevice(ctx context.Context, p Principal, id string) (UserDevice, error)
}

// SecurityKeys are users' FIDO2 keys, which are a factor. Administrators register
// them, and those whom the policy lets help the user.
type SecurityKeys interface {
	// AddSecurityKey fails with InvalidArgument for what is not a new key's statement
	// for this user, and with AlreadyExists for a key that is registered.
	AddSecurityKey(ctx context.Context, p Principal, r NewSecurityKey) (SecurityKey, error)
	SecurityKeys(ctx context.Context, p Principal, r UserRef) (SecurityKeyList, error)
	RemoveSecurityKey(ctx context.Context, p Principal, r SecurityKeyRef) (SecurityKey, error)
}

// Verifiers are who verifies factors elsewhere: RADIUS servers, Duo. name is a
// VerifierName. Who sets one up can have himself accepted, and so owners alone do.
type Verifiers interface {
	Verifiers(ctx context.Context, p Principal) (VerifierList, error)
	// SetVerifier fails with InvalidArgument where the settings cannot be used. It asks
	// nobody: CheckVerifier does.
	SetVerifier(ctx context.Context, p Principal, name string, r SetVerifierRequest) (SetUpVerifier, error)
	// CheckVerifier asks each of its servers whether it answers.
	CheckVerifier(ctx context.Context, p Principal, name string) (VerifierCheck, error)
	RemoveVerifier(ctx context.Context, p Principal, name string) (SetUpVerifier, error)
	// EnrollUser makes an account at a verifier for a user whom that does not know. Who
	// may is as with SecurityKeys. It fails with AlreadyExists where the verifier knows
	// him, with Unsupported where it makes no accounts, and with VerifierDown.
	EnrollUser(ctx context.Context, p Principal, name string, r UserRef) (MadeEnrolment, error)
}

// AuthorityKeys are what opens the authority's registry. id is a keyslot's, or
// "file". Where tokens alone hold the key, the authority is locked when the daemon
// starts, and all that takes an open one fails with AuthorityKey.
type AuthorityKeys interface {
	// UnlockAuthority is for root, and for who added one of the keyslots; it fails as
	// Unlock does where a token wants something.
	UnlockAuthority(ctx context.Context, p Principal, r UnlockAuthorityRequest) (AuthorityInfo, error)
	// LockAuthority fails with Conflict where the authority would open by itself.
	LockAuthority(ctx context.Context, p Principal) (AuthorityLock, error)
	AuthorityKeys(ctx context.Context, p Principal) (AuthorityKeyList, error)
	AddAuthorityKey(ctx context.Context, p Principal, r AddAuthorityKeyRequest) (AuthorityKeyHolder, error)
	// RemoveAuthorityKey fails with LastKeyslot for the last one.
	RemoveAuthorityKey(ctx context.Context, p Principal, id string) (AuthorityKeyHolder, error)
}
