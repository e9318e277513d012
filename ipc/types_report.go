package ipc

// UserReport is all there is of a user at the authority, for who helps him. Of
// accounts it has the managed ones, which the authority makes; of others no
// authority knows.
type UserReport struct {
	Version int  `json:"version"`
	User    User `json:"user"`
	// MayHelp says whether the caller may make him activations and bypass codes.
	MayHelp ReportedHelp `json:"may_help"`
	// Accounts are the managed ones, each with what the policy would allow now.
	Accounts []ReportedAccount `json:"accounts"`
	// Has is what he has of each factor.
	Has          []FactorHolding `json:"has"`
	Fobs         []Fob           `json:"fobs"`
	SecurityKeys []SecurityKey   `json:"security_keys"`
	Devices      []UserDevice    `json:"devices"`      // revoked ones too
	Activations  []Activation    `json:"activations"`  // open ones, and those that wait
	BypassCodes  []BypassCode    `json:"bypass_codes"` // open ones
	// Throttled are the services at which single passcodes of his are not looked at
	// now, of those in Failures; for fobs, see there.
	Throttled []ThrottledService `json:"throttled"`
	// Failures are his last ones, the newest first: up to 10.
	Failures []UserFailure `json:"failures"`
}

// ReportedHelp says whether somebody may be helped.
type ReportedHelp struct {
	Allowed bool `json:"allowed"`
	// SecondApprover says that another person must approve.
	SecondApprover bool   `json:"second_approver"`
	Reason         string `json:"reason,omitempty"` // why not
}

// ReportedAccount is a managed account of a user's.
type ReportedAccount struct {
	ID    string      `json:"id"`
	Name  string      `json:"name"`
	State DeviceState `json:"state"`
	// Devices are how many have it.
	Devices int `json:"devices"`
	// Activated says that a device has it or had it, in whose backups it is: where not
	// so, only a link brings it to a device.
	Activated bool `json:"activated"`
	// Policy is what it leaves the user who restored a backup and wants it back. Its
	// outcome is "no-policy" where the authority has none that can be used.
	Policy PolicyExplanation `json:"policy"`
}

// ThrottledService is a service at which too much went wrong.
type ThrottledService struct {
	Service string `json:"service"`
	Until   Time   `json:"until"`
}

// UserFailure is something of a user's that was refused.
type UserFailure struct {
	Time   Time   `json:"time"`
	Action string `json:"action"` // as in the audit: "verify", "activate", …
	// Reason is a word, or several: "wrong", "throttled", "other-device".
	Reason  string `json:"reason"`
	Service string `json:"service,omitempty"`
	FobID   string `json:"fob_id,omitempty"`
	// AccountID and DeviceID are of a managed account.
	AccountID string `json:"account_id,omitempty"`
	DeviceID  string `json:"device_id,omitempty"`
	// Times is how often: failures that are like an earlier one are counted for a
	// while, and told of together.
	Times int `json:"times"`
}
