package ipc

// Factor is a way to prove who one is.
type Factor string

// The factors.
const (
	FactorFob         Factor = "fob"          // a passcode of a hardware OTP token
	FactorSecurityKey Factor = "security_key" // an assertion of a FIDO2 key
	FactorOtherDevice Factor = "other_device" // approval on another active device of the user's
	FactorBypassCode  Factor = "bypass_code"  // a code that a helper has issued
	FactorPush        Factor = "push"         // a remote verifier asks the user's phone
	FactorSMS         Factor = "sms"          // a remote verifier sends a text message
	FactorPhoneCall   Factor = "phone_call"   // a remote verifier calls
)

// PolicyText is an authority's policy.
type PolicyText struct {
	Version int    `json:"version"`
	Text    string `json:"text"` // TOML
	SHA256  string `json:"sha256"`
}

// SetPolicyRequest replaces the policy.
type SetPolicyRequest struct {
	Text string `json:"text"`
	// Was is the SHA-256 of the text that this one was made from; where the policy is
	// another by now, nothing is changed (Conflict). Empty is any.
	Was string `json:"was,omitempty"`
}

// CheckPolicyRequest asks what is to be said of a text.
type CheckPolicyRequest struct {
	Text string `json:"text,omitempty"` // the policy in force when empty
}

// Severity is how bad a PolicyFinding is.
type Severity string

// The severities. A text with an error is no policy.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
	SeverityNote    Severity = "note"
)

// PolicyFinding is one thing to be said of a policy.
type PolicyFinding struct {
	Line     int      `json:"line,omitempty"`  // from 1; absent where it stands nowhere
	Rule     string   `json:"rule,omitempty"`  // the rule's or table's name
	Field    string   `json:"field,omitempty"` // the key within it
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	Remedy   string   `json:"remedy,omitempty"` // what mends it
}

// PolicyFindings is all that is to be said of a policy, by line.
type PolicyFindings struct {
	Version  int             `json:"version"`
	SHA256   string          `json:"sha256"` // of the text that was looked at
	Findings []PolicyFinding `json:"findings"`
	// Failed says that an error is among them: the text is no policy.
	Failed bool `json:"failed"`
}

// ExplainPolicyRequest asks what the policy says of a user who wants an account
// back.
type ExplainPolicyRequest struct {
	User    string `json:"user"`              // name or id
	Account string `json:"account,omitempty"` // as rules match it
	Device  string `json:"device,omitempty"`  // the device that asks, as it names itself
	// Activation is the case that the account came by an activation, and not from a
	// backup.
	Activation bool `json:"activation,omitempty"`
}

// PolicyExplanation is what a policy says of a user, and by what.
type PolicyExplanation struct {
	Version  int    `json:"version"`
	User     string `json:"user"`
	Account  string `json:"account,omitempty"`
	Device   string `json:"device,omitempty"`
	Restored bool   `json:"restored"` // the case explained: the account came from a backup
	// Outcome is "offered" (the factors in Offers may be tried), "nothing-left" or
	// "restore-forbidden".
	Outcome string `json:"outcome"`
	// Required is how many different factors of Offers must be proved.
	Required     int        `json:"required"`
	RequiredFrom PolicyRule `json:"required_from"`
	// Offers are in the order in which they are proposed.
	Offers  []FactorOffer  `json:"offers"`
	Denials []FactorDenial `json:"denials"`
	// Alternatives are the ways that are left where no factor is.
	Alternatives []PolicyAlternative `json:"alternatives"`
	// Forbidden is who forbade that a restored account is reactivated.
	Forbidden *PolicyForbidden `json:"forbidden,omitempty"`
	// OldDevice is what becomes of the old device after the proof: "revoke" or
	// "keep".
	OldDevice     string     `json:"old_device"`
	OldDeviceFrom PolicyRule `json:"old_device_from"`
	// Matching are the rules that match, in the order of the text.
	Matching []MatchingRule `json:"matching_rules"`
	// Ladder is the ladder that counts, rung by rung.
	Ladder     [][]Factor  `json:"ladder"`
	LadderFrom *PolicyRule `json:"ladder_from,omitempty"`
	// RestoreAllowed says whether a restored account may be reactivated.
	RestoreAllowed bool            `json:"restore_allowed"`
	Lifetimes      PolicyLifetimes `json:"lifetimes"`
	Help           PolicyHelp      `json:"help"`
	// Has is what the user has of each factor.
	Has []FactorHolding `json:"has"`
}

// PolicyRule names a rule of a policy.
type PolicyRule struct {
	Rule string `json:"rule"` // its name, or "reactivation"
	Line int    `json:"line"` // 0 where no rule has a part in it
}

// FactorOffer is a factor that may be asked for.
type FactorOffer struct {
	Factor    Factor   `json:"factor"`
	Verifiers []string `json:"verifiers"` // "local", "radius", "duo"
	// Asserted says that a verifier's word is all that there is for which factor it
	// was.
	Asserted bool       `json:"asserted"`
	Allowed  PolicyRule `json:"allowed_by"`
}

// FactorDenial is a factor that is not offered, and why.
type FactorDenial struct {
	Factor Factor     `json:"factor"`
	Cause  string     `json:"cause"` // a word: "denied-by-rule", "none-assigned", …
	By     PolicyRule `json:"by"`
	Reason string     `json:"reason"` // for people
	// Because is what the rule's author says of it.
	Because string `json:"because,omitempty"`
}

// PolicyAlternative is a way that is left where no factor is.
type PolicyAlternative struct {
	Kind string `json:"kind"` // "portal", "administrator", "contact" or "enrolment"
	// Value is the portal's address, the roles that may help, the contact, or where
	// the user enrols at who verifies.
	Value string `json:"value"`
}

// PolicyForbidden is who forbade something.
type PolicyForbidden struct {
	By      string     `json:"by"`
	Source  PolicyRule `json:"source"`
	Because string     `json:"because,omitempty"`
}

// MatchingRule is a rule that matches, and what it says.
type MatchingRule struct {
	Rule         string   `json:"rule"`
	Line         int      `json:"line"`
	Allow        []Factor `json:"allow,omitempty"`
	Deny         []Factor `json:"deny,omitempty"`
	Factors      int      `json:"factors,omitempty"`
	AfterRestore string   `json:"after_restore,omitempty"`
	ForbiddenBy  string   `json:"forbidden_by,omitempty"`
	OldDevice    string   `json:"old_device,omitempty"`
	Because      string   `json:"because,omitempty"`
}

// PolicyLifetimes are how long what an authority issues is good for: "15m", "24h".
type PolicyLifetimes struct {
	Activation     string `json:"activation"`
	PendingSecret  string `json:"pending_secret"`
	DeviceApproval string `json:"device_approval"`
	BypassCode     string `json:"bypass_code"`
}

// PolicyHelp is who may help a person.
type PolicyHelp struct {
	Roles          []Role     `json:"roles"`
	SecondApprover bool       `json:"second_approver"`
	From           PolicyRule `json:"from"`
}

// FactorHolding is how many a user has of a factor.
type FactorHolding struct {
	Factor  Factor `json:"factor"`
	Working int    `json:"working"` // that he could use now
	Broken  int    `json:"broken"`  // lost, disabled, revoked or expired
}
