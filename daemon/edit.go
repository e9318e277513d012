package daemon

import (
	"context"

	"golang.org/x/text/unicode/norm"

	"github.com/tokenbridge/tokend/daemon/otp"
	"github.com/tokenbridge/tokend/daemon/secret"
	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// EditAccount implements [ipc.Accounts].
func (d *Daemon) EditAccount(ctx context.Context, p ipc.Principal, id string, r ipc.EditAccountRequest) (ipc.Account, error) {
	defer wipeAuth(&r.Auth)
	u, s, a, err := d.account(&p, id, true)
	if err != nil {
		return ipc.Account{}, err
	}
	leave, err := u.alone(ctx)
	if err != nil {
		return ipc.Account{}, err
	}
	defer leave()
	if a, err = s.vault.Account(a.ID); err != nil { // with the counter as it is now
		return ipc.Account{}, mapError(err)
	}
	changed, err := edited(a, r)
	if err != nil {
		return ipc.Account{}, err
	}
	if err := s.checkRename(a, changed); err != nil {
		return ipc.Account{}, err
	}
	if a.NoExport && !changed.NoExport {
		// An unlocked vault is not enough to let a secret out.
		if err := u.agreed(ctx, p, s, r.Auth); err != nil {
			u.auditResult(p, "account-edit", a.ID, err)
			return ipc.Account{}, mapError(err)
		}
	}
	if changed.Class != a.Class {
		err = u.setClass(ctx, p, s, changed, r.Auth)
	}
	if err == nil && fieldsChanged(a, changed) {
		_, err = s.vault.Edit(ctx, a.ID, func(v *vault.Account) error {
			v.Issuer, v.Name, v.Note = changed.Issuer, changed.Name, changed.Note
			v.Digits, v.Period, v.NoExport = changed.Digits, changed.Period, changed.NoExport
			if r.Counter != nil {
				v.Counter = *r.Counter
			}
			return nil
		})
	}
	s.reindex()
	u.auditResult(p, "account-edit", a.ID, err)
	if err != nil {
		return ipc.Account{}, mapError(err)
	}
	now, err := s.vault.Account(a.ID)
	if err != nil {
		return ipc.Account{}, mapError(err)
	}
	u.tellAccount(ipc.EventAccountChanged, now)
	return wireAccount(now), nil
}

// edited is account a as it is to be.
func edited(a vault.Account, r ipc.EditAccountRequest) (vault.Account, error) {
	n := a
	set := func(to *string, from *string) {
		if from != nil {
			*to = norm.NFC.String(*from)
		}
	}
	set(&n.Issuer, r.Issuer)
	set(&n.Name, r.Name)
	if r.Note != nil {
		n.Note = *r.Note
	}
	if r.NoExport != nil {
		n.NoExport = *r.NoExport
	}
	if r.Class != nil {
		n.Class = tokens.Class(*r.Class)
	}
	if r.Digits != nil {
		n.Digits = *r.Digits
	}
	if r.Period != nil {
		if a.Type == typeHOTP {
			return n, ipc.Errorf(ipc.InvalidArgument, "an account of type hotp has no period")
		}
		n.Period = *r.Period
	}
	if r.Counter != nil {
		if a.Type != typeHOTP {
			return n, ipc.Errorf(ipc.InvalidArgument, "an account of type %s has no counter", a.Type)
		}
		n.Counter = *r.Counter
	}
	if err := checkAccount(&n); err != nil {
		return n, err
	}
	if err := params(n).Validate(); err != nil {
		return n, fault(ipc.InvalidArgument, err, "%s", err)
	}
	return n, nil
}

func fieldsChanged(a, b vault.Account) bool {
	return a.Issuer != b.Issuer || a.Name != b.Name || a.Note != b.Note ||
		a.Digits != b.Digits || a.Period != b.Period || a.Counter != b.Counter || a.NoExport != b.NoExport
}

// checkRename refuses the name of another account.
func (s *session) checkRename(from, to vault.Account) error {
	if from.Issuer == to.Issuer && from.Name == to.Name {
		return nil
	}
	for _, other := range s.index.Load().list {
		if other.ID != to.ID && other.Issuer == to.Issuer && other.Name == to.Name {
			e := ipc.Errorf(ipc.AlreadyExists, "there is an account of that name already; nothing was changed")
			e.Items = []ipc.Item{{ID: other.ID, Name: display(other)}}
			return e
		}
	}
	return nil
}

// setClass moves an account to another class; out of touch it takes a touch.
func (u *user) setClass(ctx context.Context, p ipc.Principal, s *session, a vault.Account, auth ipc.Auth) error {
	if a.Class == tokens.ClassTouch {
		if !s.vault.HasTouch() {
			return ipc.Errorf(ipc.NoKeyslot, "no enrolled token can guard an account by touch")
		}
		_, err := s.vault.SetClass(ctx, a.ID, a.Class, vault.Way{})
		return err
	}
	o, ctx, done, err := u.touchWay(ctx, p, s, auth, a, false)
	if err != nil {
		return err
	}
	defer done()
	return u.opened(ctx, o, true, func(ctx context.Context) error {
		_, err := s.vault.SetClass(ctx, a.ID, a.Class, o.way)
		return err
	})
}

// slots are the vault's keyslots. It fails with VaultLocked where the vault was
// locked in between: that no token opens it would be wrong.
func (s *session) slots() ([]vault.Slot, error) {
	list := s.vault.Slots()
	if list == nil {
		return nil, errLocked()
	}
	return list, nil
}

// keyslot is that of an ID or label.
func (s *session) keyslot(name string) (vault.Slot, error) {
	list, err := s.slots()
	if err != nil {
		return vault.Slot{}, err
	}
	return namedSlot(list, name)
}

// touchWay is the way to open the touch class for account a, under a context
// that ends with the session.
func (u *user) touchWay(ctx context.Context, p ipc.Principal, s *session, auth ipc.Auth, a vault.Account, noTouch bool) (opening, context.Context, func(), error) {
	c := cause{who: p, noTouch: noTouch}
	if a.ID != "" {
		c.account = new(accountRef(a))
	}
	slots, err := s.slots()
	if err != nil {
		return opening{}, nil, nil, err
	}
	o, err := u.way(ctx, auth, tokens.ClassTouch, slots, c)
	if err != nil {
		return opening{}, nil, nil, err
	}
	ctx, done := s.bind(ctx)
	return o, ctx, done, nil
}

// use hands f the secret of account a for the time of the call, inside
// secret.Do. A touch account asks its token each time.
func (u *user) use(ctx context.Context, p ipc.Principal, s *session, a vault.Account, auth ipc.Auth, noTouch bool, f func([]byte) error) error {
	handle := func(key []byte) (err error) {
		secret.Do(func() { err = f(key) })
		return err
	}
	if a.Class != tokens.ClassTouch || a.Inactive { // what is not there takes no touch
		return s.vault.Use(ctx, a.ID, vault.Way{}, handle)
	}
	o, ctx, done, err := u.touchWay(ctx, p, s, auth, a, noTouch)
	if err != nil {
		return err
	}
	defer done()
	defer u.d.collectSoon()
	err = u.opened(ctx, o, false, func(ctx context.Context) error {
		return s.vault.Use(ctx, a.ID, o.way, handle)
	})
	if err == nil {
		u.noteUse(o.slot)
	}
	return err
}

// RevealAccount implements [ipc.Accounts].
func (d *Daemon) RevealAccount(ctx context.Context, p ipc.Principal, id string, r ipc.RevealRequest) (ipc.Reveal, error) {
	defer wipeAuth(&r.Auth)
	w := wish{action: ipc.GrantReveal}
	var err error
	if w.agent, err = withAgent(r.Interaction); err != nil {
		return ipc.Reveal{}, err
	}
	u, s, a, err := d.granted(ctx, &p, id, w)
	if err != nil {
		return ipc.Reveal{}, err
	}
	var uri []byte
	err = u.asked(ctx, p, a, r.Auth, w, func(auth ipc.Auth) error {
		return u.use(ctx, p, s, a, auth, false, func(key []byte) (err error) {
			if a, err = s.vault.Account(a.ID); err != nil { // with the counter as it is now
				return err
			}
			uri = []byte(otp.Key{Issuer: a.Issuer, Name: a.Name, Params: params(a), Secret: key}.URI())
			return nil
		})
	})
	u.auditResult(p, "account-reveal", a.ID, err)
	if err != nil {
		return ipc.Reveal{}, mapError(err)
	}
	return ipc.Reveal{Version: ipc.Version, Account: wireAccount(a), URI: uri}, nil
}
