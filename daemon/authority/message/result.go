package message

import (
	"slices"
	"time"
)

// ResultKind is what an answer is.
type ResultKind string

// The kinds of answers.
const (
	ResultRefused   ResultKind = "refused"
	ResultOffer     ResultKind = "offer"
	ResultWaiting   ResultKind = "waiting"
	ResultSecret    ResultKind = "secret"
	ResultDone      ResultKind = "done"
	ResultQuestions ResultKind = "questions"
	ResultNotices   ResultKind = "notices"
	ResultDevices   ResultKind = "devices"
	// ResultChallenge came later than the others: a device that does not know it is
	// told that a newer version made the answer.
	ResultChallenge ResultKind = "challenge"
)

// fits says whether a request of a kind can have an answer of this one.
func (k ResultKind) fits(to Kind) bool {
	if k == ResultRefused {
		return true
	}
	switch to {
	case KindActivate:
		return k == ResultSecret
	case KindBegin:
		return k == ResultOffer
	case KindFactor:
		return slices.Contains([]ResultKind{ResultSecret, ResultOffer, ResultWaiting, ResultChallenge}, k)
	case KindPoll:
		return slices.Contains([]ResultKind{ResultSecret, ResultOffer, ResultWaiting, ResultQuestions, ResultChallenge}, k)
	case KindProof, KindApprove, KindRevoke:
		return k == ResultDone
	case KindNotice:
		return k == ResultNotices
	case KindDevices:
		return k == ResultDevices
	}
	return false
}

// Result is what an answer carries.
type Result interface {
	result() ResultKind
	check() error
}

// Refused is no, and what is left.
type Refused struct {
	// Code is for programs: a short word, such as "policy-denied" or "throttled".
	Code string `cbor:"1,keyasint"`
	// Message is for people.
	Message      string        `cbor:"2,keyasint,omitempty"`
	Denials      []Denial      `cbor:"3,keyasint,omitempty"`
	Alternatives []Alternative `cbor:"4,keyasint,omitempty"`
	Contact      string        `cbor:"5,keyasint,omitempty"`
	Reference    string        `cbor:"6,keyasint,omitempty"` // under which the audit has it
	RetryAfter   int           `cbor:"7,keyasint,omitempty"` // seconds; 0: does not help
	// Final says that the conversation is over.
	Final bool `cbor:"8,keyasint,omitempty"`
}

// Denial is a factor that is not offered, and why.
type Denial struct {
	Factor  string `cbor:"1,keyasint"`
	Reason  string `cbor:"2,keyasint"`
	Because string `cbor:"3,keyasint,omitempty"`
}

// Alternative is a way that is left.
type Alternative struct {
	Kind  string `cbor:"1,keyasint"`
	Value string `cbor:"2,keyasint"`
}

// Offer is the factors to choose from.
type Offer struct {
	Factors  []string `cbor:"1,keyasint"` // in the order in which they are proposed
	Required int      `cbor:"2,keyasint"` // how many different ones in all
	Proved   []string `cbor:"3,keyasint,omitempty"`
	Denials  []Denial `cbor:"4,keyasint,omitempty"`
	// OldDevice is what becomes of the old device after the proof: revoke or keep.
	OldDevice string `cbor:"5,keyasint"`
	// Challenge is for a security key, with the credentials that it may answer by.
	Challenge   []byte   `cbor:"6,keyasint,omitempty"`
	RelyingTo   string   `cbor:"7,keyasint,omitempty"` // the relying party's id
	Credentials [][]byte `cbor:"8,keyasint,omitempty"`
	Until       int64    `cbor:"9,keyasint"` // seconds since 1970: the conversation's end
	// By are who verifies each of Factors, in that order: "local", or whose word it
	// is. It is absent where all are verified by the authority itself.
	By []string `cbor:"10,keyasint,omitempty"`
}

// Waiting is for a factor that is proved elsewhere.
type Waiting struct {
	Factor string `cbor:"1,keyasint"`
	// Number is what to type on the other device; 0 where there is none to.
	Number     int   `cbor:"2,keyasint,omitempty"`
	RetryAfter int   `cbor:"3,keyasint"` // seconds
	Until      int64 `cbor:"4,keyasint"`
}

// Challenge is for a factor that goes on with something more that the user types,
// which Factor sends with the same factor. Another factor gives it up.
type Challenge struct {
	Factor string `cbor:"1,keyasint"`
	// Prompt is what the verifier asks, in its own words; it may be empty.
	Prompt string `cbor:"2,keyasint,omitempty"`
	Until  int64  `cbor:"3,keyasint"`
}

// NewSecret is the new secret of an account, which is good for nothing but its
// proof until it was proved.
type NewSecret struct {
	Account   string `cbor:"1,keyasint"`
	Issuer    string `cbor:"2,keyasint"`
	Name      string `cbor:"3,keyasint"`
	Secret    Secret `cbor:"4,keyasint"` // 16 to 64 bytes
	Algorithm string `cbor:"5,keyasint"` // SHA1, SHA256, SHA512
	Digits    int    `cbor:"6,keyasint"`
	Period    int    `cbor:"7,keyasint"` // seconds
	Until     int64  `cbor:"8,keyasint"` // by when it must be proved, seconds since 1970
	// OldDevice is what becomes of the old device after the proof: revoke or keep.
	OldDevice string `cbor:"9,keyasint"`
}

// Done is that something was done.
type Done struct {
	// Revoked and Kept are the names of the devices that had the account before;
	// Revoked is of the device that was named, where that was to be revoked.
	Revoked []string `cbor:"1,keyasint,omitempty"`
	Kept    []string `cbor:"2,keyasint,omitempty"`
}

// Questions are what other devices of the user's ask this one. The number to
// type is not among it: it stands on the other device.
type Questions struct {
	List []Question `cbor:"1,keyasint,omitempty"`
}

// Question is one device that asks to be approved.
type Question struct {
	ID      ID     `cbor:"1,keyasint"`
	Account string `cbor:"2,keyasint"`
	Device  string `cbor:"3,keyasint"` // the new device's name
	Asked   int64  `cbor:"4,keyasint"`
	Until   int64  `cbor:"5,keyasint"`
}

// Notices are the accounts of this device that were revoked.
type Notices struct {
	Revoked []Notification `cbor:"1,keyasint,omitempty"`
}

// Notification is one revoked account.
type Notification struct {
	Account string `cbor:"1,keyasint"`
	At      int64  `cbor:"2,keyasint"`
	By      string `cbor:"3,keyasint"` // in words: the new device's name, an administrator
}

func (*Refused) result() ResultKind    { return ResultRefused }
func (*Offer) result() ResultKind      { return ResultOffer }
func (*Waiting) result() ResultKind    { return ResultWaiting }
func (*NewSecret) result() ResultKind  { return ResultSecret }
func (*Done) result() ResultKind       { return ResultDone }
func (*Questions) result() ResultKind  { return ResultQuestions }
func (*Notices) result() ResultKind    { return ResultNotices }
func (*DeviceList) result() ResultKind { return ResultDevices }
func (*Challenge) result() ResultKind  { return ResultChallenge }

func newResult(k ResultKind) Result {
	for _, r := range []Result{&Refused{}, &Offer{}, &Waiting{}, &NewSecret{}, &Done{}, &Questions{}, &Notices{}, &DeviceList{}, &Challenge{}} {
		if r.result() == k {
			return r
		}
	}
	return nil
}

// when makes a time of seconds since 1970.
func when(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }

// Deadline is Until as a time.
func (s *NewSecret) Deadline() time.Time { return when(s.Until) }

// Deadline is Until as a time.
func (w *Waiting) Deadline() time.Time { return when(w.Until) }

// Deadline is Until as a time.
func (c *Challenge) Deadline() time.Time { return when(c.Until) }

// Deadline is Until as a time.
func (o *Offer) Deadline() time.Time { return when(o.Until) }
