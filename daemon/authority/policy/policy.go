// Package policy reads an authority's policy, which is TOML that an
// administrator can read aloud, and decides by it: which factors bring a managed
// account back on a new device, in which order and how many of them; whether
// that may follow a restore; what becomes of the old device; how long things
// live; and who may help whom.
//
// What is not named is denied. A factor is offered where [reactivation] or a
// rule that matches allows it and no rule that matches denies it: the order of
// the rules does not matter for that, and no rule can take a denial back. Of
// settings with one value the strictest of the matching rules' counts, else that
// of [reactivation]. Of ladders that of the first matching rule in the file
// counts, since two of them have no common meaning.
//
// The package is pure: text in, decisions and findings out; no clock, no files.
// Who the user is, and which factors of his work, the caller knows. A decision
// says what may be asked for, and never that anything was proved.
package policy

import (
	"slices"
	"time"
)

// Factor is a way to prove who one is.
type Factor string

// The factors.
const (
	Fob         Factor = "fob"          // a passcode of a hardware OTP token
	SecurityKey Factor = "security_key" // an assertion of a FIDO2 key
	OtherDevice Factor = "other_device" // approval on another active device of the user's
	BypassCode  Factor = "bypass_code"  // a code that a helper has issued
	Push        Factor = "push"         // a remote verifier asks the user's phone
	SMS         Factor = "sms"          // a remote verifier sends a text message
	PhoneCall   Factor = "phone_call"   // a remote verifier calls
)

// Factors are all factors, in the order in which they are listed.
func Factors() []Factor {
	return []Factor{Fob, SecurityKey, OtherDevice, BypassCode, Push, SMS, PhoneCall}
}

// Role is what a person may do at an authority.
type Role string

// The roles, from the lowest to the highest. Everybody is a user.
const (
	RoleUser     Role = "user"
	RoleVerifier Role = "verifier"
	RoleHelpdesk Role = "helpdesk"
	RoleAdmin    Role = "admin"
	RoleOwner    Role = "owner"
)

// Roles are all roles, from the lowest to the highest.
func Roles() []Role { return []Role{RoleUser, RoleVerifier, RoleHelpdesk, RoleAdmin, RoleOwner} }

// Verifier is who verifies a factor.
type Verifier string

// The verifiers.
const (
	Local  Verifier = "local"  // the authority itself
	Radius Verifier = "radius" // a RADIUS server: says accept, and not by which factor
	Duo    Verifier = "duo"    // Duo: names a factor, and the authority has only its word
)

// OldDevice is what becomes of the device that had the account before, once the
// new one has proved itself.
type OldDevice string

// What can become of an old device.
const (
	Revoke OldDevice = "revoke"
	Keep   OldDevice = "keep"
)

// Base is the name that stands for [reactivation] where a rule is named.
const Base = "reactivation"

// Bounds of a policy's text.
const (
	MaxSize    = 1 << 20 // bytes
	MaxRules   = 500
	MaxEntries = 20_000 // names and patterns in all rules together
	maxGlobs   = 500    // patterns with a * in all rules together, each of which is tried on each name
	maxName    = 64     // characters of a rule's name
	maxText    = 400    // characters of any other text
	maxFactors = 3      // factors that can be required together
)

// Policy is a policy that was read without an error. Its zero value denies
// everything. It is not changed after Parse, so any number of goroutines may use
// it.
type Policy struct {
	contact      Contact
	reactivation settings
	lifetimes    Lifetimes
	verifiers    map[Factor][]Verifier
	verifierLine map[Factor]int
	help         help
	rules        []rule
}

// Contact is whom a user can turn to. All of it may be empty.
type Contact struct {
	Name   string `json:"name,omitempty"`
	Phone  string `json:"phone,omitempty"`
	Email  string `json:"email,omitempty"`
	Portal string `json:"portal,omitempty"` // an https address
}

// Lifetimes are how long things that an authority issues are good for.
type Lifetimes struct {
	Activation     time.Duration // an activation that nobody has used
	PendingSecret  time.Duration // a new secret before it was proved
	DeviceApproval time.Duration // a request to approve on another device
	BypassCode     time.Duration // a bypass code that nobody has used
}

// DefaultLifetimes are what holds where a policy does not say.
func DefaultLifetimes() Lifetimes {
	return Lifetimes{Activation: 24 * time.Hour, PendingSecret: 15 * time.Minute,
		DeviceApproval: 5 * time.Minute, BypassCode: 24 * time.Hour}
}

// settings are what [reactivation] and each rule can say.
type settings struct {
	name      string // of the rule, or Base
	line      int
	allow     []Factor
	deny      []Factor
	ladder    [][]Factor // rungs, the first is offered first
	factors   int        // 0: does not say
	restore   string     // "", restoreAllowed, restoreForbidden
	forbidden string     // who forbade it
	oldDevice OldDevice  // "": does not say
	because   string
}

const (
	restoreAllowed   = "allowed"
	restoreForbidden = "forbidden"
)

// rule is settings and whom they are for.
type rule struct {
	settings
	match match
}

// help is who may help whom.
type help struct {
	line   int
	lines  map[Role]int
	by     map[Role][]Role // beneficiary's highest role: who may help
	second []Role          // beneficiaries whose help needs a second approver
}

// Contact is whom the policy names for users who get no further.
func (p *Policy) Contact() Contact { return p.contact }

// Lifetimes are how long things live under the policy.
func (p *Policy) Lifetimes() Lifetimes {
	if p.lifetimes == (Lifetimes{}) {
		return DefaultLifetimes()
	}
	return p.lifetimes
}

// Verifiers are who verifies a factor; none means that it cannot be used.
func (p *Policy) Verifiers(f Factor) []Verifier { return slices.Clone(p.verifiers[f]) }

// known says whether a name is a factor's.
func known(f Factor) bool { return slices.Contains(Factors(), f) }
