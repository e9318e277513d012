package ipc

// AuthorityMessage is a sealed message of a device to the authority.
type AuthorityMessage struct {
	// Message is up to 20 KiB.
	Message []byte `json:"message"`
}

// AuthorityAnswer is the sealed answer.
type AuthorityAnswer struct {
	Version int    `json:"version"`
	Message []byte `json:"message"`
}

// AuthorityDescriptor is what devices are told of an authority, signed by it.
type AuthorityDescriptor struct {
	Version int `json:"version"`
	// Descriptor is what devices read.
	Descriptor []byte `json:"descriptor"`
	Name       string `json:"name"`
	ID         string `json:"id"`
	// Fingerprint is of the authority's keys, for people to compare.
	Fingerprint string `json:"fingerprint"`
	// Endpoints are where the authority answers: host:port, or the path of a socket.
	Endpoints []string `json:"endpoints"`
}

// CodeState is the state of an activation or a bypass code.
type CodeState string

// The states of activations and bypass codes.
const (
	CodeWaiting CodeState = "waiting" // for a second approver
	CodeOpen    CodeState = "open"
	CodeUsed    CodeState = "used"
	CodeRevoked CodeState = "revoked"
	CodeExpired CodeState = "expired"
)

// NewActivation lets one device of a user's have a managed account.
type NewActivation struct {
	User string `json:"user"` // a name or an id
	// Account is the name or id of one of the user's accounts, or the name of a new
	// one.
	Account string `json:"account"`
	// Issuer, Algorithm, Digits and Period are for a new account; the authority's
	// name, SHA1, 6 and 30 when empty.
	Issuer    string `json:"issuer,omitempty"`
	Algorithm string `json:"algorithm,omitempty"`
	Digits    int    `json:"digits,omitempty"`
	Period    int    `json:"period,omitempty"` // seconds
	// ValidSeconds is how long it can be used, at most and when 0 as the policy says.
	ValidSeconds int `json:"valid_seconds,omitempty"`
	// Local makes the link lead to the socket of this machine, though the authority
	// can be reached from others.
	Local bool `json:"local,omitempty"`
	// Mail has the daemon send the link to the user's e-mail address, and not answer
	// with it.
	Mail bool `json:"mail,omitempty"`
}

// Activation is a permission to have a managed account on one device.
type Activation struct {
	ID        string `json:"id"`
	UserID    string `json:"user_id"`
	AccountID string `json:"account_id"`
	Account   string `json:"account"`
	By        string `json:"by"` // the id of who made it
	// ByName is his name, in lists: where he is a user still whom the caller reaches.
	ByName  string `json:"by_name,omitempty"`
	Created Time   `json:"created"`
	Expires Time   `json:"expires"`
	// DeviceID is the device that has used it.
	DeviceID string    `json:"device_id,omitempty"`
	State    CodeState `json:"state"`
}

// MadeActivation is a new activation, with the link that is shown this once.
type MadeActivation struct {
	Version    int        `json:"version"`
	Activation Activation `json:"activation"`
	// Link is empty where it was sent by e-mail.
	Link Secret `json:"link"`
	// MailedTo is the address that it was sent to.
	MailedTo string `json:"mailed_to,omitempty"`
	// Endpoint is where the link leads.
	Endpoint string `json:"endpoint"`
}

// UserRef names the user whose things are listed.
type UserRef struct {
	User string `json:"user"` // a name or an id
}

// ActivationList is a user's activations, old ones too.
type ActivationList struct {
	Version     int          `json:"version"`
	Activations []Activation `json:"activations"`
}

// NewBypassCode is a code to be made that takes the place of a factor once.
type NewBypassCode struct {
	User string `json:"user"` // a name or an id
	// ValidSeconds is how long it can be used, at most and when 0 as the policy says.
	ValidSeconds int `json:"valid_seconds,omitempty"`
}

// BypassCode is a bypass code, without what is typed.
type BypassCode struct {
	ID     string `json:"id"`
	UserID string `json:"user_id"`
	By     string `json:"by"` // the id of who made it
	// ByName is his name, in lists: where he is a user still whom the caller reaches.
	ByName  string    `json:"by_name,omitempty"`
	Created Time      `json:"created"`
	Expires Time      `json:"expires"`
	State   CodeState `json:"state"`
}

// MadeBypassCode is a new bypass code, with what is typed, which is shown this
// once.
type MadeBypassCode struct {
	Version int        `json:"version"`
	Bypass  BypassCode `json:"bypass"`
	Code    Secret     `json:"code"`
	// NotOffered is why the policy offers the user no bypass code as things are now;
	// empty where it does.
	NotOffered string `json:"not_offered,omitempty"`
}

// BypassCodeList is a user's bypass codes, old ones too.
type BypassCodeList struct {
	Version int          `json:"version"`
	Codes   []BypassCode `json:"codes"`
}

// DeviceState is the state of a device at the authority.
type DeviceState string

// The states of devices.
const (
	DeviceActive  DeviceState = "active"
	DeviceRevoked DeviceState = "revoked"
)

// UserDevice is a device of a user's, as the authority knows it.
type UserDevice struct {
	ID     string      `json:"id"`
	UserID string      `json:"user_id"`
	User   string      `json:"user"` // his name
	Name   string      `json:"name"` // its own word
	State  DeviceState `json:"state"`
	First  Time        `json:"first"` // when it was activated first
	Last   Time        `json:"last"`  // when it was heard of last
	// Accounts are those that it has.
	Accounts []DeviceAccount `json:"accounts"`
}

// DeviceAccount is a managed account on a device.
type DeviceAccount struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// UserDeviceList is a user's devices, revoked ones too.
type UserDeviceList struct {
	Version int          `json:"version"`
	Devices []UserDevice `json:"devices"`
}
