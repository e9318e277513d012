package ipc

// ActivateRequest uses an activation link.
type ActivateRequest struct {
	Link Secret `json:"link"`
	// Descriptor is what the link's endpoint says of the authority.
	Descriptor []byte `json:"descriptor"`
	// DeviceName is what the authority is to call this device, 1 to 64 bytes. With
	// KeepName the device keeps the name that it had last, if it had one.
	DeviceName string `json:"device_name"`
	KeepName   bool   `json:"keep_name,omitempty"`
	// Class is of the new account, "session" when empty.
	Class string `json:"class,omitempty"`
	// ByHand says that messages are carried as files, and so may take a day.
	ByHand bool `json:"by_hand,omitempty"`
}

// ReactivateRequest begins a reactivation.
type ReactivateRequest struct {
	DeviceName string `json:"device_name"` // 1 to 64 bytes
	// KeepName keeps the name that the device had last, if it had one.
	KeepName bool `json:"keep_name,omitempty"`
	ByHand   bool `json:"by_hand,omitempty"`
	// Anew gives up what is under way for the account.
	Anew bool `json:"anew,omitempty"`
}

// GiveFactorRequest tries a factor.
type GiveFactorRequest struct {
	Factor string `json:"factor"`
	// Passcode is of a fob, or a bypass code, or what a challenge asks for, as it was
	// typed.
	Passcode Secret `json:"passcode,omitempty"`
	// Locator and PIN are for a security key: which of those plugged in (empty: the
	// one there is), and its PIN where it has one.
	Locator string `json:"locator,omitempty"`
	PIN     Secret `json:"pin,omitempty"`
}

// TakeAnswerRequest is a sealed answer that was carried back.
type TakeAnswerRequest struct {
	Message []byte `json:"message"`
}

// AnswerQuestionRequest answers another device's question.
type AnswerQuestionRequest struct {
	Question string `json:"question"` // its id
	Yes      bool   `json:"yes"`
	// Number is what stands on the other device; 0 with a no.
	Number int `json:"number,omitempty"`
}

// RevokeDeviceRequest names one of the devices that a conversation has listed.
type RevokeDeviceRequest struct {
	Device string `json:"device"` // its id
	// This says that the user means the very device that asks; without it that is
	// refused with the code "this-device", as any other is with it.
	This bool `json:"this,omitempty"`
	// Last says that he knows that some account is left on no device; without it
	// that is refused with the code "last-device", and with their names.
	Last bool `json:"last,omitempty"`
}

// ManagedPhase is how far a conversation got.
type ManagedPhase string

// The phases of conversations.
const (
	PhaseAsked   ManagedPhase = "asked"   // the first request waits for its answer
	PhaseChoose  ManagedPhase = "choose"  // a factor is to be given
	PhaseWaiting ManagedPhase = "waiting" // for somebody to approve elsewhere
	// PhaseChallenged: who verifies the factor asks for something more; the same
	// factor gives it, as its passcode, and another gives it up.
	PhaseChallenged ManagedPhase = "challenged"
	PhaseProving    ManagedPhase = "proving"   // the new secret's proof waits for its answer
	PhaseQuestions  ManagedPhase = "questions" // other devices ask this one
	PhaseDevices    ManagedPhase = "devices"   // the user's devices are listed
	PhaseDone       ManagedPhase = "done"
	PhaseRefused    ManagedPhase = "refused" // the authority has ended it
	PhaseExpired    ManagedPhase = "expired" // nothing came in time
	// PhaseUnsure: a proof was sent and no answer came in time. Which secret counts
	// only another reactivation tells.
	PhaseUnsure ManagedPhase = "unsure"
)

// ManagedStep is where a conversation is, and what to carry.
type ManagedStep struct {
	Version      int    `json:"version"`
	Conversation string `json:"conversation"`
	// Kind is activate, reactivate, questions, notices or devices.
	Kind string `json:"kind"`
	// Account is the vault's; nil while the account is not there.
	Account *AccountRef  `json:"account,omitempty"`
	Phase   ManagedPhase `json:"phase"`
	// Request is the sealed request that waits to be carried, up to 20 KiB; empty
	// where something is to be done first.
	Request   []byte           `json:"request,omitempty"`
	Authority ManagedAuthority `json:"authority"`
	Until     *Time            `json:"until,omitempty"` // when the phase ends
	// Late says that the new secret was to be proved by now: the answer will say
	// whether it was.
	Late bool `json:"late,omitempty"`
	// What the last answer said; each nil or empty where it said something else.
	Offer     *ManagedOffer     `json:"offer,omitempty"`
	Waiting   *ManagedWaiting   `json:"waiting,omitempty"`
	Challenge *ManagedChallenge `json:"challenge,omitempty"`
	Refused   *ManagedRefusal   `json:"refused,omitempty"`
	Done      *ManagedDone      `json:"done,omitempty"`
	Questions []Question        `json:"questions,omitempty"`
	Revoked   []Revocation      `json:"revoked,omitempty"`
	Devices   []OwnDevice       `json:"devices,omitempty"`
	// Changed are the accounts that this step gave a secret, or took it from.
	Changed []AccountRef `json:"changed,omitempty"`
}

// ManagedStepList is what is under way.
type ManagedStepList struct {
	Version int           `json:"version"`
	Steps   []ManagedStep `json:"steps"`
}

// ManagedAuthority is whom a conversation is with.
type ManagedAuthority struct {
	Name        string `json:"name"`
	ID          string `json:"id"`
	Fingerprint string `json:"fingerprint"`
	Contact     string `json:"contact,omitempty"`
	Portal      string `json:"portal,omitempty"`
	// Descriptor is what it said of itself, signed, with where it answers.
	Descriptor []byte `json:"descriptor"`
}

// ManagedOffer is the factors to choose from.
type ManagedOffer struct {
	Factors []string `json:"factors"` // in the order in which they are proposed
	// Asserted are those of Factors that the authority has others verify, whose word
	// is all there is.
	Asserted []ManagedAssertion `json:"asserted,omitempty"`
	Required int                `json:"required"`         // how many different ones in all
	Proved   []string           `json:"proved,omitempty"` // those that were right
	Denials  []ManagedDenial    `json:"denials,omitempty"`
	// OldDevice is what becomes of the device that has the account after the proof:
	// revoke or keep.
	OldDevice string `json:"old_device"`
	Until     Time   `json:"until"`
}

// ManagedWaiting is for a factor that is proved elsewhere.
type ManagedWaiting struct {
	Factor string `json:"factor"`
	// Number is what to type on the other device; 0 where there is none to.
	Number       int  `json:"number,omitempty"`
	RetrySeconds int  `json:"retry_seconds"`
	Until        Time `json:"until"`
}

// ManagedAssertion is a factor and by whose word it is one.
type ManagedAssertion struct {
	Factor string `json:"factor"`
	By     string `json:"by"` // radius, duo
}

// ManagedChallenge is what more is asked for a factor.
type ManagedChallenge struct {
	Factor string `json:"factor"`
	Prompt string `json:"prompt,omitempty"` // the verifier's own words
	Until  Time   `json:"until"`
}

// ManagedDenial is a factor that is not offered, and why.
type ManagedDenial struct {
	Factor  string `json:"factor"`
	Reason  string `json:"reason"`
	Because string `json:"because,omitempty"` // in words
}

// ManagedRefusal is an authority's no, and what is left.
type ManagedRefusal struct {
	// Code is a short word, such as "policy-denied" or "throttled".
	Code         string              `json:"code"`
	Message      string              `json:"message,omitempty"`
	Denials      []ManagedDenial     `json:"denials,omitempty"`
	Alternatives []PolicyAlternative `json:"alternatives,omitempty"`
	Contact      string              `json:"contact,omitempty"`
	Reference    string              `json:"reference,omitempty"` // under which the authority's audit has it
	RetrySeconds int                 `json:"retry_seconds,omitempty"`
	Final        bool                `json:"final,omitempty"` // the conversation is over
}

// ManagedDone says what became of the devices that had the account before, by name.
type ManagedDone struct {
	Revoked []string `json:"revoked,omitempty"`
	Kept    []string `json:"kept,omitempty"`
}

// Question is another device that asks to be approved.
type Question struct {
	ID      string `json:"id"`
	Account string `json:"account"` // its name
	Device  string `json:"device"`  // the asking device's own word
	Asked   Time   `json:"asked"`
	Until   Time   `json:"until"`
}

// Revocation is an account of this device that was revoked.
type Revocation struct {
	// Account is the vault's; nil where it is not there any more.
	Account *AccountRef `json:"account,omitempty"`
	At      Time        `json:"at"`
	By      string      `json:"by"` // in words
}

// OwnDevice is one of the user's devices, as the authority knows it.
type OwnDevice struct {
	ID    string      `json:"id"`
	Name  string      `json:"name"` // its own word
	State DeviceState `json:"state"`
	// This is set of the device that asked.
	This     bool     `json:"this,omitempty"`
	First    Time     `json:"first"`
	Last     Time     `json:"last"`
	Accounts []string `json:"accounts"` // names
}
