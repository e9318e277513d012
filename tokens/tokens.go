// Package tokens says what any token can do: be found, be given a key pair per
// class, and do one Diffie-Hellman with it. Drivers live in the packages below
// it and run inside the tokend-helper program; tokens/helper makes that program
// look like a driver again.
//
// A token never sees a vault key. It does one ECDH for one operation, and the
// caller derives from the shared secret what it needs (HPKE, RFC 9180).
package tokens

import (
	"context"
	"crypto/ecdh"
	"encoding/json"
)

// Kind names a family of tokens.
type Kind string

// The kinds of token.
const (
	KindPIV   Kind = "piv"   // a PIV card (NIST SP 800-73) with Yubico's extensions
	KindFIDO2 Kind = "fido2" // a CTAP2 authenticator with hmac-secret
	KindSoft  Kind = "soft"  // a key file sealed by a passphrase; not hardware
)

// Class says how well a key is guarded.
type Class string

// The classes of key.
const (
	ClassSession Class = "session" // opened once (PIN where the token has one), used until lock
	ClassTouch   Class = "touch"   // every single use needs the token and a touch
)

// Algorithm names the group of a key pair. Public keys are in the encoding of
// crypto/ecdh: uncompressed points for the NIST curves, 32 bytes for X25519.
type Algorithm string

// The algorithms a token's key pair can have.
const (
	P256   Algorithm = "P-256"
	P384   Algorithm = "P-384"
	X25519 Algorithm = "X25519"
)

// Curve returns the group of an algorithm, nil when the algorithm is not known.
func (a Algorithm) Curve() ecdh.Curve {
	switch a {
	case P256:
		return ecdh.P256()
	case P384:
		return ecdh.P384()
	case X25519:
		return ecdh.X25519()
	}
	return nil
}

// Policy says when a token asks for a PIN or a touch. PolicyUnknown is what a
// key made elsewhere has when the token cannot attest to it.
type Policy string

// The policies of a key.
const (
	PolicyUnknown Policy = "unknown"
	PolicyNever   Policy = "never"
	PolicyOnce    Policy = "once"   // once per power cycle or session
	PolicyAlways  Policy = "always" // each operation
	PolicyCached  Policy = "cached" // touch only: valid for 15 s
)

// Token describes one token that is present now. It holds no secret and is read
// without PIN or touch.
type Token struct {
	// ID names the token while it is plugged in and, where it has a serial
	// number, beyond ("piv-12345678"). It serves people; a card is recognised
	// by Keys alone, because serial numbers can be 0, missing or shared.
	ID string `json:"id"`
	// Kind is the family; it selects the driver.
	Kind Kind `json:"kind"`
	// Locator is what the driver opens: a PC/SC reader name, a device path.
	Locator string `json:"locator"`
	// Model is a name for people, "YubiKey 5" or what the reader is called.
	Model string `json:"model"`
	// Serial is decimal, or empty where the token tells none.
	Serial string `json:"serial,omitempty"`
	// Firmware is "5.4.3", or empty.
	Firmware string `json:"firmware,omitempty"`
	// Touch says that the token can guard a key by touch.
	Touch bool `json:"touch"`
	// NoPIN says that no PIN is set on the token: who holds it needs nothing else.
	NoPIN bool `json:"no_pin,omitempty"`
	// Unlisted says that the token does not list its keys; a Prober can ask it
	// whether it holds this one or that.
	Unlisted bool `json:"unlisted,omitempty"`
	// Keys are the public keys seen on it without a PIN.
	Keys []SlotKey `json:"keys,omitempty"`
	// Problem says why the token cannot be used, nil when it can.
	Problem *Error `json:"problem,omitempty"`
}

// SlotKey is a key pair seen on a token.
type SlotKey struct {
	Slot        string    `json:"slot"` // PIV: "82" and so on, hexadecimal
	Algorithm   Algorithm `json:"algorithm"`
	Public      []byte    `json:"public"`
	PINPolicy   Policy    `json:"pin_policy"`
	TouchPolicy Policy    `json:"touch_policy"`
	// Attested says that the token vouched for origin and policies.
	Attested bool `json:"attested,omitempty"`
	// Made says that what lies beside the key tells that an enrolment made it, for
	// whatever vault. Only an inspection looks.
	Made bool `json:"made,omitempty"`
}

// Details is what an inspection adds to a Token. Numbers below zero mean that
// the token does not tell.
type Details struct {
	Token       Token        `json:"token"`
	PINTries    int          `json:"pin_tries"`
	PUKTries    int          `json:"puk_tries"`
	FactoryPIN  bool         `json:"factory_pin"`
	FactoryPUK  bool         `json:"factory_puk"`
	FactoryKey  bool         `json:"factory_management_key"`
	Attestation *Attestation `json:"attestation,omitempty"`
	// Facts are what else is worth knowing, in the order of showing.
	Facts []Fact `json:"facts,omitempty"`
}

// Fact is something that a token tells of itself, for people: "CTAP versions",
// "FIDO_2_0, FIDO_2_1".
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Attestation is what a token's maker vouches for; Verified is whether the
// chain ends at a maker's root that this program knows or was given.
type Attestation struct {
	Serial   string `json:"serial,omitempty"`
	Firmware string `json:"firmware,omitempty"`
	// Model is the maker's name for the model: the AAGUID of a FIDO2 key
	// (CTAP 2.1, section 6.4), as "2fc0579f-8113-47ea-b116-bb5a8db9202a".
	Model string `json:"model,omitempty"`
	// Maker is who signed, as the certificate names it; empty for a token that
	// signed for itself.
	Maker    string `json:"maker,omitempty"`
	Verified bool   `json:"verified"`
}

// Key is the public half of one class key of a keyslot and what a driver needs
// to find the private half again. It is stored in a vault's header.
type Key struct {
	Kind      Kind      `json:"kind"`
	Class     Class     `json:"class"`
	Algorithm Algorithm `json:"algorithm"`
	Public    []byte    `json:"public"`
	// Params is the driver's own, opaque to everybody else: a PIV slot and its
	// policies, a FIDO2 credential id and salt. At most 4096 bytes.
	Params json.RawMessage `json:"params,omitempty"`
}

// EnrollRequest asks a token for a key pair per class.
type EnrollRequest struct {
	Locator string  `json:"locator"`
	Classes []Class `json:"classes"`
	// PIN is the token's PIN, or the passphrase of a software token; nil when
	// the caller has not been asked for one yet.
	PIN []byte `json:"pin,omitempty"`
	// SpendLastTry allows a PIN to be tried when only one try is left.
	SpendLastTry bool `json:"spend_last_try,omitempty"`
	// Slots chooses where the keys go (PIV: "82", "9d"); absent means default.
	Slots map[Class]string `json:"slots,omitempty"`
	// Algorithm is the driver's choice when empty: P256 where the token has the
	// private key, X25519 where the token seals it.
	Algorithm Algorithm `json:"algorithm,omitempty"`
	// UseExisting takes the key that is in the slot rather than making one.
	UseExisting bool `json:"use_existing,omitempty"`
	// Overwrite names slots whose present key may be destroyed.
	Overwrite []string `json:"overwrite,omitempty"`
	// ManagementKey is the PIV management key; nil means: the PIN-protected one
	// where the card has it, else the factory default.
	ManagementKey []byte `json:"management_key,omitempty"`
	// Exclude are the keys of the vault's keyslots: a token that does not list
	// its keys and holds one of them fails with CodeEnrolled.
	Exclude []Key `json:"exclude,omitempty"`
	// Roots are certificates, DER, whose word counts in an attestation beside
	// that of the makers the driver knows.
	Roots [][]byte `json:"roots,omitempty"`
	// OnTouch, when set, is called right before the token waits for a touch, or as
	// soon as it can be told that it does.
	OnTouch func() `json:"-"`
	// OnBusy, when set, is called once if the token is held by somebody else, be
	// it another program or a cancelled operation whose touch it still waits for.
	OnBusy func() `json:"-"`
}

// Enrollment is what enrolling made. Nothing in it is secret but to guessing:
// KeyFile is sealed by the passphrase.
type Enrollment struct {
	Token Token `json:"token"`
	Keys  []Key `json:"keys"`
	// KeyFile is the sealed key file of a software token; the caller keeps it
	// and hands it back in AgreeRequest. Nil for hardware.
	KeyFile []byte `json:"key_file,omitempty"`
	// Warnings says what is weak about the token.
	Warnings []Warning `json:"warnings,omitempty"`
	// Attestation is the maker's word on the keys, nil where there is none.
	Attestation *Attestation `json:"attestation,omitempty"`
}

// Warning names something weak about a token that does not stop its use.
type Warning string

// The warnings.
const (
	WarnFactoryPIN    Warning = "factory-pin"
	WarnFactoryPUK    Warning = "factory-puk"
	WarnFactoryKey    Warning = "factory-management-key"
	WarnUnknownPolicy Warning = "unknown-policy"
	WarnNoTouch       Warning = "no-touch"
	WarnNotHardware   Warning = "not-hardware"
	WarnNoPIN         Warning = "no-pin" // whoever holds the token opens the session class
	// WarnPINBypass: the token has a PIN, but gives the session class's secret
	// without it too, to a program that does not ask for it.
	WarnPINBypass Warning = "pin-bypass"
)

// AgreeRequest asks for one ECDH between the token's private key and Peer.
type AgreeRequest struct {
	Locator string `json:"locator"`
	// Key names the private key by its public half. The driver makes sure that
	// this token holds it before it shows the PIN to the token: otherwise it
	// fails with CodeWrongToken.
	Key Key `json:"key"`
	// Peer is the other side's public key, in the encoding of Key.Algorithm.
	Peer []byte `json:"peer"`
	// PIN as in EnrollRequest. A driver that needs one and has none fails with
	// CodePINRequired before anything waits for a touch.
	PIN []byte `json:"pin,omitempty"`
	// SpendLastTry as in EnrollRequest.
	SpendLastTry bool `json:"spend_last_try,omitempty"`
	// KeyFile as in Enrollment.
	KeyFile []byte `json:"key_file,omitempty"`
	// OnTouch, when set, is called right before the token waits for a touch, or as
	// soon as it can be told that it does.
	OnTouch func() `json:"-"`
	// OnBusy as in EnrollRequest.
	OnBusy func() `json:"-"`
}

// PINRequest asks a token to change a PIN.
type PINRequest struct {
	Locator string `json:"locator"`
	// Which is the secret to change: "pin", "puk", or "unblock", which sets a
	// new PIN with the PUK as Old.
	Which string `json:"which"`
	// Old is nil where no PIN is set yet; a token that has one then fails with
	// CodePINRequired.
	Old          []byte `json:"old,omitempty"`
	New          []byte `json:"new"`
	SpendLastTry bool   `json:"spend_last_try,omitempty"`
	// Keys, where there are any, are those of the keyslot whose token is meant: a
	// token that holds none of them sees no PIN, and fails with CodeWrongToken.
	Keys []Key `json:"keys,omitempty"`
	// KeyFile is a software token's; the answer is the new one.
	KeyFile []byte `json:"key_file,omitempty"`
}

// WipeRequest asks a token to remove what an enrolment left on it.
type WipeRequest struct {
	Locator string `json:"locator"`
	// Keys are the keys to remove. A driver removes a key only if the token
	// holds that very key in that very place.
	Keys []Key `json:"keys"`
	// Places are places to clear as well (PIV: slots) whose keys nobody remembers.
	// A driver does so only where the token itself shows that an enrolment made
	// the key that is there, and fails with CodeOccupied elsewhere.
	Places        []string `json:"places,omitempty"`
	PIN           []byte   `json:"pin,omitempty"`
	SpendLastTry  bool     `json:"spend_last_try,omitempty"`
	ManagementKey []byte   `json:"management_key,omitempty"`
}

// ProbeRequest asks a token which of Keys it holds.
type ProbeRequest struct {
	Locator string `json:"locator"`
	Keys    []Key  `json:"keys"`
}

// Driver is what every kind of token can do. Implementations honour ctx, are
// safe for use by one goroutine at a time per token, leave no token
// authenticated when a method returns, and fail with *Error.
type Driver interface {
	// List names the tokens present now, without PIN or touch.
	List(ctx context.Context) ([]Token, error)
	// Enroll makes or takes a key pair per class.
	Enroll(ctx context.Context, r EnrollRequest) (Enrollment, error)
	// Agree does one ECDH and returns the shared secret: the x-coordinate for
	// the NIST curves, 32 bytes for X25519, as crypto/ecdh has it.
	Agree(ctx context.Context, r AgreeRequest) ([]byte, error)
}

// Inspector is a Driver that can tell more about a token than List does.
type Inspector interface {
	Inspect(ctx context.Context, locator string) (Details, error)
}

// PINChanger is a Driver whose tokens' PINs can be changed. For a software
// token it returns the new key file, else nil.
type PINChanger interface {
	ChangePIN(ctx context.Context, r PINRequest) (keyFile []byte, err error)
}

// Wiper is a Driver that can remove what an enrolment left on a token. It
// returns the names of the places cleared.
type Wiper interface {
	Wipe(ctx context.Context, r WipeRequest) ([]string, error)
}

// Prober is a Driver whose tokens do not list their keys but say, for each key
// asked for, whether they hold it, without PIN or touch. The answers are in the
// order of Keys. An answer is proved: a token that claims a key it does not hold
// is told apart, so that no PIN is shown to it.
type Prober interface {
	Probe(ctx context.Context, r ProbeRequest) ([]bool, error)
}

// Diagnoser is a Driver that can say why tokens that are plugged in cannot be
// used or are not seen at all. It waits for no PIN and no touch.
type Diagnoser interface {
	Diagnose(ctx context.Context) ([]Finding, error)
}

// Finding is one obstacle that a Diagnoser found.
type Finding struct {
	// Code is CodeNoAccess, CodeNoService, CodeUnsupported and so on.
	Code Code `json:"code"`
	// Device is what it is about, as people know it: a product's name, a reader.
	Device string `json:"device,omitempty"`
	// Locator is the device path or reader name, where there is one.
	Locator string `json:"locator,omitempty"`
	// Detail is a sentence for people: lower case, no full stop.
	Detail string `json:"detail"`
	// Fix is the command that mends it, empty where no command does.
	Fix string `json:"fix,omitempty"`
}

// EventType says what happened to the set of tokens present.
type EventType string

// The events of a Watcher.
const (
	// EventReady: the tokens that were there at the start have been reported.
	EventReady EventType = "ready"
	// EventInserted: Token is there now and has been identified.
	EventInserted EventType = "inserted"
	// EventRemoved: the token at Token.Locator is gone.
	EventRemoved EventType = "removed"
	// EventServiceLost: the service that knows (pcscd) went away. Nothing is
	// known of its tokens until EventReady comes again.
	EventServiceLost EventType = "service-lost"
)

// Event is a change in the set of tokens present.
type Event struct {
	Type  EventType `json:"type"`
	Kind  Kind      `json:"kind"`
	Token Token     `json:"token,omitzero"`
	// Detail says why a service was lost.
	Detail string `json:"detail,omitempty"`
}

// Watcher reports tokens as they come and go, those present at the start
// first. Watch returns when ctx ends, with its error; a lost service is an
// event, not an error.
type Watcher interface {
	Watch(ctx context.Context, report func(Event)) error
}
