package issue

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// conversation is what is remembered of one.
type conversation struct {
	Order     message.Order `cbor:"1,keyasint"`
	Answer    []byte        `cbor:"2,keyasint"`
	No        bool          `cbor:"3,keyasint,omitempty"` // the answer is a refusal
	Kind      message.Kind  `cbor:"4,keyasint"`           // of the first request
	Stage     stage         `cbor:"5,keyasint"`
	User      string        `cbor:"6,keyasint"`
	Account   message.ID    `cbor:"7,keyasint,omitzero"`
	Device    string        `cbor:"8,keyasint,omitempty"` // its name
	Restored  bool          `cbor:"9,keyasint,omitempty"`
	Until     time.Time     `cbor:"10,keyasint"`
	Keep      time.Time     `cbor:"11,keyasint"`
	Proved    []string      `cbor:"12,keyasint,omitempty"`
	Reference string        `cbor:"13,keyasint,omitempty"`
	Challenge []byte        `cbor:"14,keyasint,omitempty"`
	Question  *question     `cbor:"15,keyasint,omitempty"`
	Asked     int           `cbor:"16,keyasint,omitempty"`
	Key       [32]byte      `cbor:"17,keyasint,omitzero"`  // the reactivation key that signed begin
	Done      bool          `cbor:"18,keyasint,omitempty"` // the new secret was proved
}

// stage is how far a conversation got.
type stage string

const (
	choosing stage = "choosing" // factors are asked for
	proving  stage = "proving"  // a secret was sent
	asking   stage = "asking"   // a device looks for what others ask, or for notices
	over     stage = "over"
)

// conversationLife is how long a conversation may take; files need longer.
const conversationLife = message.MaxInteractive

// errVerify asks for the request to be served together with the verification of
// its passcode.
var errVerify = errors.New("a passcode is to be verified")

// errServed says that another copy of the request was served in between.
var errServed = errors.New("served already")

// step is a request that is served. All but the first fields begin anew each time
// a transaction does.
type step struct {
	o       *message.Opened
	key     [32]byte // the reactivation key that signed; zero if none had to
	now     time.Time
	verdict *authority.Verdict // of the passcode, once it was verified

	tx      *store.Tx
	talk    conversation
	mine    portfolio
	user    authority.User
	account accountRecord
	entries []authority.Entry
	passing bool // nothing of it is remembered
	answer  []byte
	no      bool
}

// Serve answers a sealed request. It fails with the errors of daemon/authority/message
// for what is not to be answered, and with those of daemon/authority/store, in
// which case nothing was done and the same request may be sent again. Failures
// and refusals come at the authority's deadline.
func (i *Issuer) Serve(ctx context.Context, sealed []byte) ([]byte, error) {
	begun := i.now()
	answer, no, err := i.serveNow(sealed, begun)
	if err != nil || no {
		if late := i.reg.HoldBack(ctx, begun); err == nil {
			err = late
		}
	}
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func (i *Issuer) serveNow(sealed []byte, now time.Time) (answer []byte, no bool, err error) {
	s := &step{now: now}
	if s.o, s.key, err = i.open(sealed, now); err != nil {
		return nil, true, err
	}
	defer wipeBody(s.o.Body)
	err = i.store.Update(func(tx *store.Tx) error { return i.transact(tx, s) })
	if errors.Is(err, errVerify) {
		err = i.verifyAndServe(s)
	}
	s.account.wipe()
	if err != nil {
		return nil, true, err
	}
	for _, e := range s.entries {
		i.audit.Audit(e)
	}
	return s.answer, s.no, nil
}

// verifyAndServe burns the passcode in the step that stores what it was good for.
func (i *Issuer) verifyAndServe(s *step) error {
	b, ok := s.o.Body.(*message.Factor)
	if !ok {
		return notNext()
	}
	at := authority.Attempt{Service: serviceFob, User: s.talk.User, Passcode: b.Passcode}
	_, err := i.reg.VerifyIn(at, func(tx *store.Tx, v authority.Verdict) error {
		s.verdict = &v
		return i.transact(tx, s)
	})
	if errors.Is(err, errServed) {
		s.verdict = nil
		err = i.store.Update(func(tx *store.Tx) error { return i.transact(tx, s) })
	}
	return err
}

func wipeBody(b message.RequestBody) {
	switch b := b.(type) {
	case *message.Activate:
		b.Secret.Wipe()
	case *message.Factor:
		b.Passcode.Wipe()
	case *message.Proof:
		b.Code.Wipe()
	}
}

// open opens a request. An account may have several reactivation keys: those of
// the devices that have it, and of who is about to.
func (i *Issuer) open(sealed []byte, now time.Time) (o *message.Opened, by [32]byte, err error) {
	var keys [][32]byte
	at := 0
	find := func(id string) (ed25519.PublicKey, error) {
		if keys == nil {
			if keys, err = i.candidates(id, now); err != nil {
				return nil, err
			}
		}
		by = keys[at]
		return by[:], nil
	}
	err = i.keys.use(func(k message.Keys) error {
		for ; ; at++ {
			var err error
			if o, err = message.OpenRequest(sealed, k, &i.keys.self, now, find); !errors.Is(err, message.ErrForged) || at+1 >= len(keys) {
				return err
			}
		}
	})
	return o, by, err
}

func (i *Issuer) candidates(ref string, now time.Time) ([][32]byte, error) {
	keys := [][32]byte{[32]byte(i.nobody)}
	id, ok := parseID(ref)
	if !ok {
		return keys, nil
	}
	err := i.store.View(func(tx *store.Tx) error {
		r, found, err := get[accountRecord](tx, accountsBucket, id)
		defer r.wipe()
		if err != nil || !found || len(r.Keys)+len(r.Holders) == 0 {
			return err
		}
		keys = slices.Clone(r.Keys)
		for _, h := range r.Holders {
			if h.State == Pending && now.Before(h.Until) && !slices.Contains(keys, h.Reactivation) {
				keys = append(keys, h.Reactivation)
			}
		}
		if len(keys) == 0 {
			keys = [][32]byte{[32]byte(i.nobody)}
		}
		return nil
	})
	return keys, err
}

// transact serves a request within a transaction, which may begin anew.
func (i *Issuer) transact(tx *store.Tx, s *step) error {
	s.account.wipe()
	*s = step{o: s.o, key: s.key, now: s.now, verdict: s.verdict, tx: tx}
	known, err := tx.Get(conversationsBucket, s.o.Conversation[:], &s.talk)
	if err != nil {
		return err
	}
	var order *message.Order
	if known {
		order = &s.talk.Order
	}
	again, err := order.Check(s.o)
	switch {
	case err != nil:
		return err
	case again && s.verdict != nil:
		return errServed
	case again:
		s.answer, s.no = s.talk.Answer, s.talk.No
		return nil
	}
	result, err := i.serve(s, known)
	if err != nil {
		return err
	}
	return i.conclude(s, known, result)
}

// serve does what the request asks for.
func (i *Issuer) serve(s *step, known bool) (message.Result, error) {
	if !known {
		switch b := s.o.Body.(type) {
		case *message.Activate:
			return i.activate(s, b)
		case *message.Begin:
			return i.begin(s, b)
		case *message.Poll:
			return i.questions(s)
		case *message.Notice:
			return i.notices(s, b)
		case *message.Devices:
			return i.devices(s)
		}
		return nil, notNext()
	}
	if !s.now.Before(s.talk.Until) || s.talk.Stage == over {
		return s.end(codeOver, "the conversation is over"), nil
	}
	if ok, err := i.loadKnown(s); err != nil || !ok {
		return i.unknown(s), err
	}
	return i.next(s)
}

// next does what a later request of a conversation asks for.
func (i *Issuer) next(s *step) (message.Result, error) {
	switch b := s.o.Body.(type) {
	case *message.Factor:
		if s.talk.Stage == choosing {
			return i.factor(s, b)
		}
	case *message.Poll:
		if s.talk.Stage == choosing {
			return i.poll(s)
		}
		if s.talk.Kind == message.KindPoll {
			return i.questions(s)
		}
	case *message.Proof:
		if s.talk.Stage == proving {
			return i.proof(s, b)
		}
	case *message.Approve:
		if s.talk.Kind == message.KindPoll {
			return i.approve(s, b)
		}
	case *message.Notice:
		if s.talk.Kind == message.KindNotice {
			return i.notices(s, b)
		}
	case *message.Devices:
		if s.talk.Kind == message.KindDevices {
			return i.devices(s)
		}
	case *message.RevokeDevice:
		if s.talk.Kind == message.KindDevices {
			return i.revokeOwn(s, b)
		}
	}
	return nil, notNext()
}

func notNext() error { return fmt.Errorf("cannot serve the request: %w", message.ErrReordered) }

// loadKnown loads whom a known conversation is about, and says whether he still
// may.
func (i *Issuer) loadKnown(s *step) (bool, error) {
	if ok, err := i.loadUser(s, s.talk.User); err != nil || !ok {
		return false, err
	}
	if s.talk.Account == (message.ID{}) {
		return true, nil
	}
	if ok, err := i.loadAccount(s, s.talk.Account); err != nil || !ok {
		return false, err
	}
	return i.ownDevice(s)
}

// loadUser says whether there is such a user who may do anything.
func (i *Issuer) loadUser(s *step, id string) (ok bool, err error) {
	s.user, err = i.reg.UserIn(s.tx, id)
	var missing *authority.Error
	if errors.As(err, &missing) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s.mine, err = portfolioOf(s.tx, s.user.ID)
	return !s.user.Disabled, err
}

// loadAccount says whether the user has such an account.
func (i *Issuer) loadAccount(s *step, id message.ID) (bool, error) {
	var found bool
	var err error
	if s.account, found, err = get[accountRecord](s.tx, accountsBucket, id); err != nil || !found {
		return false, err
	}
	s.account.tidy(s.now)
	return s.account.State == Active && s.account.User == s.user.ID, nil
}

// ownDevice says whether the device is not somebody else's.
func (i *Issuer) ownDevice(s *step) (bool, error) {
	d, found, err := get[deviceRecord](s.tx, devicesBucket, s.device())
	return !found || d.User == s.user.ID, err
}

// device is the id of who asks.
func (s *step) device() message.ID { return s.o.Device.DeviceID() }

// tell adds an entry for the audit.
func (s *step) tell(kind string, ok bool, detail string) {
	e := authority.Entry{Kind: kind, User: s.user.ID, Device: s.device().String(), Reference: s.talk.Reference, OK: ok, Detail: detail}
	if s.talk.Account != (message.ID{}) {
		e.Account = s.talk.Account.String()
	}
	s.entries = append(s.entries, e)
}

// conclude makes the answer, and stores it with the place of the conversation.
func (i *Issuer) conclude(s *step, known bool, r message.Result) error {
	err := i.keys.use(func(k message.Keys) (err error) {
		s.answer, err = s.o.Answer(k, &i.keys.self, r, s.now)
		return err
	})
	if secret, ok := r.(*message.NewSecret); ok {
		secret.Secret.Wipe()
	}
	if err != nil {
		return err
	}
	_, s.no = r.(*message.Refused)
	if s.passing {
		return nil
	}
	t := &s.talk
	if known {
		t.Order = *t.Order.Advance(s.o, s.answer)
	} else {
		t.Order = *message.NewOrder(s.o, s.answer)
	}
	t.Answer, t.No = s.answer, s.no
	for _, until := range []time.Time{t.Until, s.o.Expires} {
		if until = until.Add(message.Skew); until.After(t.Keep) {
			t.Keep = until
		}
	}
	if err := i.remember(s); err != nil {
		return err
	}
	return put(s.tx, conversationsBucket, s.o.Conversation, t)
}

// remember enters the conversation at its user, and forgets what is over. Where
// there are too many, those go first that a device can simply begin again.
func (i *Issuer) remember(s *step) error {
	p, err := portfolioOf(s.tx, s.talk.User)
	if err != nil {
		return err
	}
	now := talk{ID: s.o.Conversation, Keep: s.talk.Keep, Rank: s.talk.rank()}
	list := slices.DeleteFunc(p.Talks, func(t talk) bool { return t.ID == now.ID })
	slices.SortStableFunc(list, func(a, b talk) int {
		if a.Rank != b.Rank {
			return a.Rank - b.Rank
		}
		return a.Keep.Compare(b.Keep)
	})
	keep := []talk{}
	for n, t := range list {
		if s.now.Before(t.Keep) && len(list)-n < maxTalks {
			keep = append(keep, t)
			continue
		}
		if err := s.tx.Delete(conversationsBucket, t.ID[:]); err != nil {
			return err
		}
	}
	p.Talks = append(keep, now)
	return p.put(s.tx, s.talk.User)
}

// rank is how much would be lost with the conversation. Who gave a factor is not
// pushed out by who has none; and least of all an answer to a proof may go, for the
// old devices are revoked then, and the new one does not know it yet.
func (c *conversation) rank() int {
	switch {
	case c.Stage == asking:
		return 0
	case c.Stage == over && !c.Done:
		return 1
	case c.Stage == choosing && len(c.Proved) == 0:
		return 2
	case c.Stage == choosing:
		return 3
	}
	return 4
}
