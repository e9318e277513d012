// Package wire is what tokens/helper and the tokend-helper program say to each
// other: one request on the program's standard input, JSON lines on its
// standard output.
//
// A request is two lines. The first is a Request with every secret taken out;
// the second is a Secrets document. They are apart because encoding/json keeps
// the buffers it encodes into, and a PIN must not stay in one of them for the
// life of the daemon. Standard input stays open until the answer has come: its
// end tells the program that nobody waits any more.
//
// The answer is any number of lines {"event":"touch"}, then one line with
// "result" or "error". A watch answers with "watch" lines until it is killed.
//
// Where the service manager starts the program, both are one socket, and hanging up
// is the end of standard input.
package wire

import (
	"encoding/json"
	"unicode"
	"unicode/utf8"

	"github.com/tokenbridge/tokend/tokens"
)

// Version is the version of this protocol. Both programs are built from one
// tree, so there is no negotiation: another version is refused.
const Version = 1

// The bounds of what either side reads, in bytes where nothing else is said.
const (
	MaxRequest = 256 << 10 // one line of a request
	MaxLine    = 256 << 10 // one line of an answer
	MaxAnswer  = 1 << 20   // all lines of the answer to one operation
	MaxKeyFile = 16 << 10  // a software token's key file
	MaxParams  = 4096      // tokens.Key.Params
	MaxText    = 512       // any name or detail
	MaxSecret  = 1024      // a PIN, passphrase or management key
	MaxTokens  = 64        // tokens in a list
	MaxKeys    = 64        // keys on a token
	MaxDevices = 32        // device paths in a request
	MaxFacts   = 32        // facts in an inspection, findings of a diagnosis
)

// Op names an operation.
type Op string

// The operations.
const (
	OpList    Op = "list"
	OpEnroll  Op = "enroll"
	OpAgree   Op = "agree"
	OpInspect Op = "inspect"
	OpPIN     Op = "pin"
	OpWipe    Op = "wipe"
	OpWatch   Op = "watch"
	OpProbe   Op = "probe"
	OpDoctor  Op = "doctor"
	OpMake    Op = "make" // a credential for an authority
	OpAssert  Op = "assert"
	OpHello   Op = "hello" // what the program says of itself
)

// The events of an operation.
const (
	EventTouch = "touch" // the token waits for a touch now
	EventBusy  = "busy"  // somebody else holds the token; it is waited for
)

// Request is one operation. Exactly the member that Op names is present.
type Request struct {
	Version int         `json:"version"`
	Kind    tokens.Kind `json:"kind"`
	Op      Op          `json:"op"`
	// PatienceMS is how long, in milliseconds, the driver waits for a token
	// that another program holds; 0 is the driver's own choice.
	PatienceMS int `json:"patience_ms,omitempty"`
	// Locator is for OpInspect.
	Locator string `json:"locator,omitempty"`
	// Devices are paths of FIDO2 keys beside those that the system lists.
	Devices []string              `json:"devices,omitempty"`
	Enroll  *tokens.EnrollRequest `json:"enroll,omitempty"`
	Agree   *tokens.AgreeRequest  `json:"agree,omitempty"`
	PIN     *tokens.PINRequest    `json:"pin,omitempty"`
	Wipe    *tokens.WipeRequest   `json:"wipe,omitempty"`
	Probe   *tokens.ProbeRequest  `json:"probe,omitempty"`

	Make   *tokens.CredentialRequest `json:"make,omitempty"`
	Assert *tokens.AssertRequest     `json:"assert,omitempty"`
}

// Secrets are the secret members of a request's operation.
type Secrets struct {
	PIN           []byte `json:"pin,omitempty"`
	Old           []byte `json:"old,omitempty"`
	New           []byte `json:"new,omitempty"`
	ManagementKey []byte `json:"management_key,omitempty"`
}

// Answer is one line of an answer; exactly one member is present.
type Answer struct {
	Event  string          `json:"event,omitempty"`
	Watch  *tokens.Event   `json:"watch,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  *tokens.Error   `json:"error,omitempty"`
}

// AgreeResult is the result of OpAgree.
type AgreeResult struct {
	Shared []byte `json:"shared"`
}

// PINResult is the result of OpPIN.
type PINResult struct {
	KeyFile []byte `json:"key_file,omitempty"`
}

// ProbeResult is the result of OpProbe.
type ProbeResult struct {
	Held []bool `json:"held"`
}

// Hello is what `tokend-helper hello` prints.
type Hello struct {
	Version int `json:"version"`
	// Kinds are the kinds of token that this build can work with.
	Kinds []tokens.Kind `json:"kinds"`
	// Missing says, for each other kind, why not.
	Missing map[tokens.Kind]string `json:"missing,omitempty"`
	// Confined says what the kernel keeps the program from, a word each:
	// "no-new-privs", "no-core", "landlock-N" with the version of it, "seccomp",
	// and "pcscd-only" where it can connect to the PC/SC service alone.
	Confined []string `json:"confined,omitempty"`
}

// split takes the secrets out of a request. The request returned shares
// nothing secret with r; the secrets share their memory with r.
func split(r Request) (Request, Secrets) {
	var s Secrets
	switch {
	case r.Enroll != nil:
		e := *r.Enroll
		s.PIN, s.ManagementKey = e.PIN, e.ManagementKey
		e.PIN, e.ManagementKey = nil, nil
		r.Enroll = &e
	case r.Agree != nil:
		a := *r.Agree
		s.PIN, a.PIN = a.PIN, nil
		r.Agree = &a
	case r.PIN != nil:
		p := *r.PIN
		s.Old, s.New = p.Old, p.New
		p.Old, p.New = nil, nil
		r.PIN = &p
	case r.Wipe != nil:
		w := *r.Wipe
		s.PIN, s.ManagementKey = w.PIN, w.ManagementKey
		w.PIN, w.ManagementKey = nil, nil
		r.Wipe = &w
	case r.Make != nil:
		m := *r.Make
		s.PIN, m.PIN = m.PIN, nil
		r.Make = &m
	case r.Assert != nil:
		a := *r.Assert
		s.PIN, a.PIN = a.PIN, nil
		r.Assert = &a
	}
	return r, s
}

// join puts the secrets back.
func join(r *Request, s Secrets) {
	switch {
	case r.Enroll != nil:
		r.Enroll.PIN, r.Enroll.ManagementKey = s.PIN, s.ManagementKey
	case r.Agree != nil:
		r.Agree.PIN = s.PIN
	case r.PIN != nil:
		r.PIN.Old, r.PIN.New = s.Old, s.New
	case r.Wipe != nil:
		r.Wipe.PIN, r.Wipe.ManagementKey = s.PIN, s.ManagementKey
	case r.Make != nil:
		r.Make.PIN = s.PIN
	case r.Assert != nil:
		r.Assert.PIN = s.PIN
	}
}

// Locators are where the tokens are, or will be, that the request names.
func (r *Request) Locators() []string {
	list := append([]string{r.Locator}, r.Devices...)
	switch {
	case r.Enroll != nil:
		list = append(list, r.Enroll.Locator)
	case r.Agree != nil:
		list = append(list, r.Agree.Locator)
	case r.PIN != nil:
		list = append(list, r.PIN.Locator)
	case r.Wipe != nil:
		list = append(list, r.Wipe.Locator)
	case r.Probe != nil:
		list = append(list, r.Probe.Locator)
	case r.Make != nil:
		list = append(list, r.Make.Locator)
	case r.Assert != nil:
		list = append(list, r.Assert.Locator)
	}
	return list
}

// Forget overwrites the secrets in a request.
func (r *Request) Forget() {
	_, s := split(*r)
	s.wipe()
}

func (s *Secrets) wipe() {
	clear(s.PIN)
	clear(s.Old)
	clear(s.New)
	clear(s.ManagementKey)
}

// complete says whether the request has exactly the member its Op needs.
func (r *Request) complete() bool {
	has := map[Op]bool{OpEnroll: r.Enroll != nil, OpAgree: r.Agree != nil, OpPIN: r.PIN != nil, OpWipe: r.Wipe != nil, OpProbe: r.Probe != nil,
		OpMake: r.Make != nil, OpAssert: r.Assert != nil}
	for op, present := range has {
		if present != (op == r.Op) {
			return false
		}
	}
	switch r.Op {
	case OpList, OpEnroll, OpAgree, OpInspect, OpPIN, OpWipe, OpWatch, OpProbe, OpDoctor, OpMake, OpAssert, OpHello:
		return true
	}
	return false
}

// Text makes foreign text fit to be shown and logged: valid, printable, and no
// longer than MaxText bytes.
func Text(s string) string {
	out := make([]byte, 0, min(len(s), MaxText))
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			r = '?'
		}
		if len(out)+utf8.RuneLen(r) > MaxText {
			break
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}
