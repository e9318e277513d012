package message

import "github.com/fxamacker/cbor/v2"

// Kind is what a request asks for.
type Kind string

// The kinds of requests; the package's comment says when each is sent.
const (
	KindActivate Kind = "activate"
	KindBegin    Kind = "begin"
	KindFactor   Kind = "factor"
	KindProof    Kind = "proof"
	KindPoll     Kind = "poll"
	KindApprove  Kind = "approve"
	KindNotice   Kind = "revoke-notice"
	KindDevices  Kind = "devices"
	KindRevoke   Kind = "revoke-device"
)

// byAccount says whether the account's reactivation key signs, too.
func (k Kind) byAccount() bool { return k == KindBegin || k == KindFactor || k == KindProof }

// RequestBody is what a request of one kind carries.
type RequestBody interface {
	kind() Kind
	check() error
}

// Activate uses an activation.
type Activate struct {
	Activation ID     `cbor:"1,keyasint"`
	Secret     Secret `cbor:"2,keyasint"` // the link's, 16 bytes
	DeviceName string `cbor:"3,keyasint"`
	// Reactivation is the public half of the account's reactivation key.
	Reactivation [32]byte `cbor:"4,keyasint"`
}

// Begin asks which factors there are for an account.
type Begin struct {
	DeviceName string `cbor:"1,keyasint"`
	// Restored says that the account came from a backup; else it is active here
	// and does not work any more.
	Restored bool `cbor:"2,keyasint"`
}

// Factor tries a factor. A passcode or code is as typed; other_device, push, sms
// and phone_call begin with neither. After Challenge, Passcode is what was asked for.
type Factor struct {
	Factor    string `cbor:"1,keyasint"`
	Passcode  Secret `cbor:"2,keyasint,omitempty"` // up to 128 bytes
	Assertion []byte `cbor:"3,keyasint,omitempty"` // of a security key, up to 4 KiB
}

// Proof is a code made with the new secret.
type Proof struct {
	Code Secret `cbor:"1,keyasint"` // up to 16 bytes
}

// Poll asks whether there is anything new.
type Poll struct{}

// Approve answers a question about another device.
type Approve struct {
	Question ID   `cbor:"1,keyasint"`
	Yes      bool `cbor:"2,keyasint"`
	// Number is what the user read on the other device; 0 with a no.
	Number int `cbor:"3,keyasint"`
}

// Notice asks which accounts of this device were revoked.
type Notice struct {
	// Forgotten are those whose secrets the device has erased since it was told.
	Forgotten []string `cbor:"1,keyasint,omitempty"`
}

// Devices asks for the user's devices.
type Devices struct{}

// RevokeDevice takes all accounts from one of the user's devices.
type RevokeDevice struct {
	Device ID `cbor:"1,keyasint"`
	// This says that the user means the very device that asks.
	This bool `cbor:"2,keyasint,omitempty"`
	// Last says that he knows that no device is left with some account.
	Last bool `cbor:"3,keyasint,omitempty"`
}

func (*Activate) kind() Kind     { return KindActivate }
func (*Begin) kind() Kind        { return KindBegin }
func (*Factor) kind() Kind       { return KindFactor }
func (*Proof) kind() Kind        { return KindProof }
func (*Poll) kind() Kind         { return KindPoll }
func (*Approve) kind() Kind      { return KindApprove }
func (*Notice) kind() Kind       { return KindNotice }
func (*Devices) kind() Kind      { return KindDevices }
func (*RevokeDevice) kind() Kind { return KindRevoke }

// The bounds of what bodies carry, in bytes.
const (
	maxPasscode  = 128
	maxAssertion = 4096
	maxCode      = 16
	maxList      = 32
)

func (b *Activate) check() error {
	if len(b.Secret) != 16 || b.Reactivation == [32]byte{} {
		return because(ErrMalformed, "activation")
	}
	return text("device name", b.DeviceName, 1, maxName)
}

func (b *Begin) check() error { return text("device name", b.DeviceName, 1, maxName) }

func (b *Factor) check() error {
	if len(b.Passcode) > maxPasscode || len(b.Assertion) > maxAssertion {
		return because(ErrTooLarge, "factor")
	}
	return word("factor", b.Factor)
}

func (b *Proof) check() error {
	if len(b.Code) == 0 || len(b.Code) > maxCode {
		return because(ErrMalformed, "code")
	}
	return nil
}

func (*Poll) check() error { return nil }

func (b *Approve) check() error {
	if b.Yes && (b.Number < leastNumber || b.Number > mostNumber) || !b.Yes && b.Number != 0 {
		return because(ErrMalformed, "number")
	}
	return nil
}

func (*Devices) check() error { return nil }

func (b *RevokeDevice) check() error {
	if b.Device == (ID{}) {
		return because(ErrMalformed, "device")
	}
	return nil
}

func (b *Notice) check() error {
	if len(b.Forgotten) > maxList {
		return because(ErrTooLarge, "%d accounts", len(b.Forgotten))
	}
	for _, a := range b.Forgotten {
		if err := accountID(a, false); err != nil {
			return err
		}
	}
	return nil
}

// newRequestBody is an empty body of a kind; nil for a kind that there is not.
func newRequestBody(k Kind) RequestBody {
	for _, b := range []RequestBody{&Activate{}, &Begin{}, &Factor{}, &Proof{}, &Poll{}, &Approve{}, &Notice{}, &Devices{}, &RevokeDevice{}} {
		if b.kind() == k {
			return b
		}
	}
	return nil
}

// unknownKind is the error for a kind that there is not. Whoever signs one that is
// a word at all knows more than this package.
func unknownKind(kind string) error {
	if word("kind", kind) != nil {
		return because(ErrMalformed, "kind")
	}
	return because(ErrNewer, "it is of a kind that is not known")
}

// accountID checks the id of an account.
func accountID(s string, empty bool) error {
	if s == "" && empty {
		return nil
	}
	return word("account", s)
}

// word checks a name that programs use: up to 64 letters, digits, - and _.
func word(what, s string) error {
	if len(s) == 0 || len(s) > 64 {
		return because(ErrMalformed, "%s", what)
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return because(ErrMalformed, "%s", what)
		}
	}
	return nil
}

// body decodes a body and checks it.
func body[T interface{ check() error }](raw cbor.RawMessage, into T) error {
	if err := decode(raw, into); err != nil {
		return err
	}
	return into.check()
}
