package managed

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/vault"
)

const (
	seedSize     = 64
	stateVersion = 1
	// maxTalks is how many conversations are remembered, those that ended too.
	maxTalks = 32
	// keepEnded is how long a conversation that ended is remembered, so that an
	// answer that comes again is known.
	keepEnded = 24 * time.Hour
	// maxForgotten is how many accounts one notice can say to be forgotten.
	maxForgotten = 32
)

// state is what device.age has of this package: CBOR, see docs/vault-format.md.
type state struct {
	Version int     `cbor:"1,keyasint"`
	Seed    []byte  `cbor:"2,keyasint"` // of the device's keys
	Talks   []*talk `cbor:"3,keyasint"`
	// Forgotten are the accounts whose secrets were erased on notice and whose
	// authority may not know that yet.
	Forgotten []forgotten `cbor:"4,keyasint,omitempty"`
	// Name is what the device called itself last.
	Name string `cbor:"5,keyasint,omitempty"`
}

type forgotten struct {
	Authority message.Hash `cbor:"1,keyasint"`
	Account   string       `cbor:"2,keyasint"`
}

// talk is a conversation.
type talk struct {
	ID         message.ID   `cbor:"1,keyasint"`
	Kind       message.Kind `cbor:"2,keyasint"` // of its first request
	Phase      Phase        `cbor:"3,keyasint"`
	Account    string       `cbor:"4,keyasint,omitempty"` // the authority's id
	Local      string       `cbor:"5,keyasint,omitempty"` // the vault's
	Authority  []byte       `cbor:"6,keyasint"`           // the descriptor
	Key        []byte       `cbor:"7,keyasint,omitempty"` // seed of the reactivation key
	Name       string       `cbor:"8,keyasint,omitempty"` // what the device is called
	Activation message.ID   `cbor:"9,keyasint,omitzero"`
	Class      string       `cbor:"10,keyasint,omitempty"` // of a new account
	Files      bool         `cbor:"11,keyasint,omitempty"`
	// Sealed is the request that has no answer yet; Pending is of the last request,
	// After of the last answer.
	Sealed  []byte          `cbor:"12,keyasint,omitempty"`
	Pending message.Pending `cbor:"13,keyasint"`
	After   message.Hash    `cbor:"14,keyasint,omitzero"`
	Ended   time.Time       `cbor:"15,keyasint,omitzero"`
	// What the answers said.
	Secret    *message.NewSecret     `cbor:"16,keyasint,omitempty"`
	Offer     *message.Offer         `cbor:"17,keyasint,omitempty"`
	Waiting   *message.Waiting       `cbor:"18,keyasint,omitempty"`
	Refused   *message.Refused       `cbor:"19,keyasint,omitempty"`
	Done      *message.Done          `cbor:"20,keyasint,omitempty"`
	Questions []message.Question     `cbor:"21,keyasint,omitempty"`
	Notices   []message.Notification `cbor:"22,keyasint,omitempty"`
	Devices   *message.DeviceList    `cbor:"23,keyasint,omitempty"`
	Challenge *message.Challenge     `cbor:"24,keyasint,omitempty"`
}

func codec() (cbor.EncMode, cbor.DecMode, error) {
	e, err := cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.EncMode()
	if err != nil {
		return nil, nil, err
	}
	d, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: 16, IndefLength: cbor.IndefLengthForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField}.DecMode()
	return e, d, err
}

// decodeState reads what encode wrote; nil is a device that has nothing yet.
func decodeState(raw []byte) (*state, error) {
	if len(raw) == 0 {
		return &state{Version: stateVersion}, nil
	}
	_, dec, err := codec()
	if err != nil {
		return nil, err
	}
	var v struct {
		Version int `cbor:"1,keyasint"`
	}
	if err := cbor.Unmarshal(raw, &v); err != nil {
		return nil, fmt.Errorf("%w: what is under way with authorities", vault.ErrDamaged)
	}
	if v.Version != stateVersion {
		return nil, fmt.Errorf("what is under way with authorities: %w", message.ErrNewer)
	}
	st := &state{}
	if err := dec.Unmarshal(raw, st); err != nil || len(st.Seed) != seedSize || slices.Contains(st.Talks, nil) {
		st.wipe()
		return nil, fmt.Errorf("%w: what is under way with authorities", vault.ErrDamaged)
	}
	return st, nil
}

func (st *state) encode() ([]byte, error) {
	enc, _, err := codec()
	if err != nil {
		return nil, err
	}
	raw, err := enc.Marshal(st)
	if err != nil {
		return nil, fmt.Errorf("cannot keep what is under way: %w", err)
	}
	return raw, nil
}

func (st *state) wipe() {
	clear(st.Seed)
	for _, t := range st.Talks {
		if t != nil {
			t.wipe()
		}
	}
}

func (t *talk) wipe() {
	clear(t.Key)
	if t.Secret != nil {
		t.Secret.Secret.Wipe()
	}
}

// open says that something can still come of it.
func (t *talk) open() bool { return t.Ended.IsZero() }

// end ends a conversation. A secret goes, but for one that may count.
func (t *talk) end(p Phase, now time.Time) {
	t.Phase, t.Ended = p, now
	if p != Unsure { // whose answer may come all the same
		t.wipe()
		t.Sealed, t.Key, t.Secret = nil, nil, nil
	}
}

// until is when the phase ends.
func (t *talk) until() time.Time {
	switch {
	case !t.open():
		return time.Time{}
	case t.Sealed != nil:
		return t.Pending.Expires
	case t.Phase == Choose && t.Offer != nil:
		return t.Offer.Deadline()
	case t.Phase == Waiting && t.Waiting != nil:
		return t.Waiting.Deadline()
	case t.Phase == Challenged && t.Challenge != nil:
		return t.Challenge.Deadline()
	case t.Phase == Proving && t.Secret != nil:
		return t.Secret.Deadline()
	}
	return t.Pending.Expires
}

// sweep ends what is too old and forgets what ended long ago. What may count is
// kept.
func (st *state) sweep(now time.Time) {
	for _, t := range st.Talks {
		if !t.open() || now.Before(t.until()) {
			continue
		}
		switch {
		case t.Phase == Proving && t.Sealed != nil:
			t.end(Unsure, now)
		default:
			t.end(Expired, now)
		}
	}
	st.Talks = slices.DeleteFunc(st.Talks, func(t *talk) bool {
		return !t.open() && t.Phase != Unsure && !now.Before(t.Ended.Add(keepEnded))
	})
}

// add makes room for one more conversation.
func (st *state) add(t *talk) error {
	for len(st.Talks) >= maxTalks {
		at := slices.IndexFunc(st.Talks, func(t *talk) bool { return !t.open() && t.Phase != Unsure })
		if at < 0 {
			return ErrTooMany
		}
		st.Talks = slices.Delete(st.Talks, at, at+1)
	}
	st.Talks = append(st.Talks, t)
	return nil
}

func (st *state) find(id string) (*talk, error) {
	for _, t := range st.Talks {
		if t.ID.String() == id {
			return t, nil
		}
	}
	return nil, fmt.Errorf("%w: %q", ErrNoConversation, id)
}

// step tells where the conversation is. It shares nothing with it.
func (t *talk) step(now time.Time) (Step, error) {
	d, err := message.ParseDescriptor(t.Authority)
	if err != nil {
		return Step{}, errors.Join(vault.ErrDamaged, err)
	}
	s := Step{Conversation: t.ID.String(), Kind: t.Kind, Account: t.Local, Phase: t.Phase, Request: bytes.Clone(t.Sealed), Authority: d,
		Descriptor: bytes.Clone(t.Authority), Until: t.until(), Refused: t.Refused}
	switch t.Phase {
	case Choose:
		s.Offer = t.Offer
	case Waiting:
		s.Waiting = t.Waiting
	case Challenged:
		s.Offer, s.Challenge = t.Offer, t.Challenge
	case Questions:
		s.Questions = slices.Clone(t.Questions)
	case Listed:
		s.Devices = t.Devices
	case Proving:
		s.Late = t.Secret != nil && !now.Before(t.Secret.Deadline())
	case Done:
		s.Done, s.Notices = t.Done, slices.Clone(t.Notices)
	}
	return s, nil
}
