package issue

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/otp"
)

// CodeState is the state of an activation or a bypass code.
type CodeState string

// The states.
const (
	Waiting CodeState = "waiting" // for a second approver
	Open    CodeState = "open"
	Used    CodeState = "used"
	Off     CodeState = "revoked"
	Expired CodeState = "expired"
)

// NewActivation is what an activation is for.
type NewActivation struct {
	User string // a name or id
	// Account is the label or id of one of the user's accounts, or the label of a
	// new one: 1 to 128 bytes, unique for the user.
	Account string
	// The rest is for a new account alone. Issuer is the authority's name if empty,
	// up to 64 bytes; Algorithm SHA1, Digits 6 and Period 30 are what is usual.
	Issuer         string
	Algorithm      otp.Algorithm
	Digits, Period int
	// Life is how long it can be used, at most and by default as the policy says.
	Life time.Duration
	// Second says that somebody else must approve it before it can be used.
	Second bool
	// Endpoint is where the authority answers.
	Endpoint message.Endpoint
}

// Activation is an activation, without its secret.
type Activation struct {
	ID, User, Account, Label string
	By                       string
	Created, Expires         time.Time
	// Device is the id of the device that has used it; empty until one has.
	Device string
	State  CodeState
}

func (a activationRecord) state(now time.Time) CodeState { return current(a.State, a.Expires, now) }

func current(s CodeState, expires, now time.Time) CodeState {
	if (s == Open || s == Waiting) && !now.Before(expires) {
		return Expired
	}
	return s
}

// CreateActivation makes an activation, and the account if there is none of that
// label. The secret in the link is not kept: it cannot be shown again. It fails
// with NotFound, Invalid, TooMany, and with Conflict for a user who is disabled,
// an account that is revoked, and where by is the user himself.
func (i *Issuer) CreateActivation(by string, n NewActivation) (Activation, message.Link, error) {
	link := message.Link{Endpoint: n.Endpoint, Authority: i.keys.self.KeysHash(), Secret: make(message.Secret, 16)}
	now := i.now()
	a := activationRecord{By: by, Created: now, State: Open, Expires: now.Add(life(n.Life, i.lifetimes().Activation))}
	if n.Second {
		a.State = Waiting
	}
	link.Expires = a.Expires.UTC().Truncate(time.Second)
	var out Activation
	err := i.make(&link.Activation, link.Secret)
	if err == nil {
		_, err = link.URI() // before there is anything that nobody could use
	}
	if err == nil {
		a.Sum, err = i.keys.sum(serviceActivation, link.Activation, link.Secret)
	}
	if err == nil {
		err = i.store.Update(func(tx *store.Tx) (err error) {
			out, err = i.addActivation(tx, link.Activation, a, n)
			return err
		})
	}
	i.admin("activation-create", by, authority.Entry{User: out.User, Account: out.Account, Detail: link.Activation.String()}, err)
	if err != nil {
		return Activation{}, message.Link{}, err
	}
	return out, link, nil
}

// make draws an id and a secret.
func (i *Issuer) make(id *message.ID, s []byte) (err error) {
	if *id, err = message.NewID(i.random); err != nil {
		return err
	}
	if _, err := io.ReadFull(i.random, s); err != nil {
		return fmt.Errorf("cannot make a secret: %w", err)
	}
	return nil
}

// life is what was asked for, within what is allowed.
func life(asked, most time.Duration) time.Duration {
	if asked <= 0 {
		return most
	}
	return min(asked, most)
}

// beneficiary is a user who may be helped by somebody.
func (i *Issuer) beneficiary(tx *store.Tx, by, ref string) (authority.User, portfolio, error) {
	u, err := i.reg.UserIn(tx, ref)
	if err != nil {
		return u, portfolio{}, err
	}
	switch {
	case u.ID == by:
		return u, portfolio{}, fail(authority.Conflict, "user", policy.HelpsHimself)
	case u.Disabled:
		return u, portfolio{}, fail(authority.Conflict, "user", "the user is disabled")
	}
	p, err := portfolioOf(tx, u.ID)
	return u, p, err
}

func (i *Issuer) addActivation(tx *store.Tx, id message.ID, a activationRecord, n NewActivation) (Activation, error) {
	u, p, err := i.beneficiary(tx, a.By, n.User)
	if err != nil {
		return Activation{}, err
	}
	a.User = u.ID
	account, r, err := i.accountFor(tx, u, &p, n)
	if err != nil {
		return Activation{}, err
	}
	r.wipe()
	a.Account = account
	if p.Activations, err = roomFor(tx, p.Activations, MaxActivations, a.Created); err != nil {
		return Activation{}, err
	}
	p.Activations = append(p.Activations, id)
	if err := put(tx, activationsBucket, id, a); err != nil {
		return Activation{}, err
	}
	return a.shown(id, r.Label, a.Created), p.put(tx, u.ID)
}

func (a activationRecord) shown(id message.ID, label string, now time.Time) Activation {
	out := Activation{ID: id.String(), User: a.User, Account: a.Account.String(), Label: label, By: a.By, Created: a.Created.UTC(), Expires: a.Expires.UTC(), State: a.state(now)}
	if a.Device != (message.ID{}) {
		out.Device = a.Device.String()
	}
	return out
}

// roomFor forgets the oldest activations that are good for nothing any more.
func roomFor(tx *store.Tx, list []message.ID, most int, now time.Time) ([]message.ID, error) {
	for n := 0; n < len(list) && len(list) >= most; {
		a, found, err := get[activationRecord](tx, activationsBucket, list[n])
		if err != nil {
			return nil, err
		}
		if s := a.state(now); found && (s == Open || s == Waiting) {
			n++
			continue
		}
		if err := tx.Delete(activationsBucket, list[n][:]); err != nil {
			return nil, err
		}
		list = slices.Delete(list, n, n+1)
	}
	if len(list) >= most {
		return nil, fail(authority.TooMany, "activation", "the user has %d activations that were not used", most)
	}
	return list, nil
}

// Activations lists a user's activations, old ones too, in the order in which
// they were made.
func (i *Issuer) Activations(user string) ([]Activation, error) {
	ids := func(p portfolio) []message.ID { return p.Activations }
	return ofUser(i, user, activationsBucket, ids, func(tx *store.Tx, id message.ID, a activationRecord) (Activation, error) {
		r, _, err := get[accountRecord](tx, accountsBucket, a.Account)
		defer r.wipe()
		return a.shown(id, r.Label, i.now()), err
	})
}

// RevokeActivation makes an activation useless. A secret that it has led to and
// that was not proved goes with it. It fails with NotFound, and with Conflict for
// one that is used.
func (i *Issuer) RevokeActivation(by, ref string) error {
	return i.changeActivation("activation-revoke", by, ref, func(tx *store.Tx, id message.ID, a *activationRecord) error {
		if a.State == Used {
			return fail(authority.Conflict, "activation", "the activation is used: its device can be revoked")
		}
		a.State = Off
		r, found, err := get[accountRecord](tx, accountsBucket, a.Account)
		defer r.wipe()
		if err != nil || !found {
			return err
		}
		r.Holders = slices.DeleteFunc(r.Holders, func(h holder) bool { return h.State == Pending && h.Activation == id })
		return put(tx, accountsBucket, a.Account, r)
	})
}

// ApproveActivation is for the second person, who is neither the first nor the
// beneficiary. It fails with NotFound, and with Conflict for these two and where
// nothing is to be approved.
func (i *Issuer) ApproveActivation(by, ref string) error {
	return i.changeActivation("activation-approve", by, ref, func(_ *store.Tx, _ message.ID, a *activationRecord) error {
		switch {
		case a.state(i.now()) != Waiting:
			return fail(authority.Conflict, "activation", "the activation waits for nobody's approval")
		case by == a.By || by == a.User:
			return fail(authority.Conflict, "activation", "the second approver must be another person")
		}
		a.State = Open
		return nil
	})
}

func (i *Issuer) changeActivation(kind, by, ref string, change func(*store.Tx, message.ID, *activationRecord) error) error {
	e := authority.Entry{}
	err := i.store.Update(func(tx *store.Tx) error {
		id, ok := parseID(ref)
		a, found, err := get[activationRecord](tx, activationsBucket, id)
		if err != nil {
			return err
		}
		if !ok || !found {
			return fail(authority.NotFound, "activation", "there is no such activation")
		}
		e = authority.Entry{User: a.User, Account: a.Account.String(), Detail: ref}
		if err := change(tx, id, &a); err != nil {
			return err
		}
		return put(tx, activationsBucket, id, a)
	})
	i.admin(kind, by, e, err)
	return err
}
