package issue

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// Login is somebody's code of a managed account.
type Login struct {
	By string // who asks, for the audit
	// Service is who asks: 1 to 64 letters, digits and the characters - . _
	Service string
	User    string // a name or an id; it need not exist
	// Account is a label or an id; any of the user's if empty.
	Account string
	Code    []byte // as typed; the caller's to wipe
	// Within is as in authority.Attempt.
	Within func(authority string) bool
}

// ManagedVerdict is what became of a Login.
type ManagedVerdict struct {
	Accepted bool
	// UserID, Account and Device are ids; empty where not known.
	UserID, Account, Device string
	// Reason is why not. It is for the audit, and for an administrator who has the
	// person before him.
	Reason     authority.Reason
	RetryAfter time.Duration
}

// ReasonPending says that the code is of a secret that was not proved, and so is good for
// its proof alone.
const ReasonPending authority.Reason = "pending"

// VerifyManaged says whether a code is one of a device that has the account. Every
// device has a secret of its own, and no code is accepted twice: what is accepted
// is on disk before it is answered. Codes of secrets that were not proved are
// accepted by nothing but their proof. Failures are answered at the authority's
// deadline, and throttled as passcodes are.
func (i *Issuer) VerifyManaged(ctx context.Context, l Login) (ManagedVerdict, error) {
	begun := i.now()
	var v ManagedVerdict
	err := checkService(l.Service)
	if err == nil {
		err = i.store.Update(func(tx *store.Tx) (err error) {
			v, err = i.verifyManaged(tx, l, begun)
			return err
		})
	}
	if err == nil && v.Reason != authority.ReasonThrottled {
		i.audit.Audit(authority.Entry{Kind: "managed-verify", By: l.By, User: v.UserID, Account: v.Account, Device: v.Device, Service: l.Service, OK: v.Accepted, Detail: string(v.Reason)})
	}
	if v.Accepted = v.Accepted && err == nil; v.Accepted {
		return v, nil
	}
	if late := i.reg.HoldBack(ctx, begun); err == nil {
		err = late
	}
	return v, err
}

func checkService(s string) error {
	ok := s != "" && len(s) <= 64
	for _, c := range []byte(s) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_')
	}
	if !ok {
		return fail(authority.Invalid, "service", "cannot use service: it is not 1 to 64 letters, digits and - . _")
	}
	return nil
}

func (i *Issuer) verifyManaged(tx *store.Tx, l Login, now time.Time) (ManagedVerdict, error) {
	u, err := i.reg.UserIn(tx, l.User)
	who := u.ID
	var missing *authority.Error
	if errors.As(err, &missing) {
		who, err = i.reg.Stranger(l.User)
	}
	if err != nil {
		return ManagedVerdict{}, err
	}
	v := ManagedVerdict{UserID: u.ID, Reason: authority.ReasonUnknownUser}
	if u.ID != "" && l.Within != nil && !l.Within(u.Authority) {
		v.Reason = authority.ReasonOutOfReach
		return v, nil
	}
	// Apart from passcodes: who guesses one does not hold up the other.
	service := "managed " + l.Service
	if v.RetryAfter, err = i.reg.Waits(tx, service, who, now); err != nil {
		return v, err
	}
	if v.RetryAfter > 0 {
		v.Reason = authority.ReasonThrottled
		return v, nil
	}
	if u.ID != "" {
		if err := i.tryAccounts(tx, u, l, now, &v); err != nil {
			return v, err
		}
	}
	guess := []authority.Reason{authority.ReasonUnknownUser, authority.ReasonWrong, ReasonNoAccount, authority.ReasonDisabledUser}
	if !v.Accepted && slices.Contains(guess, v.Reason) {
		return v, i.reg.Failed(tx, service, who, now)
	}
	return v, nil
}

// ReasonNoAccount says that the user has no such account that works.
const ReasonNoAccount authority.Reason = "no-account"

func (i *Issuer) tryAccounts(tx *store.Tx, u authority.User, l Login, now time.Time, v *ManagedVerdict) error {
	p, err := portfolioOf(tx, u.ID)
	if err != nil {
		return err
	}
	ids := p.Accounts
	if l.Account != "" {
		ids = nil
		id, r, err := findAccount(tx, p, l.Account)
		r.wipe()
		var missing *authority.Error
		switch {
		case err == nil:
			ids = []message.ID{id}
		case !errors.As(err, &missing):
			return err
		}
	}
	v.Reason = ReasonNoAccount
	for _, id := range ids {
		r, found, err := get[accountRecord](tx, accountsBucket, id)
		if err == nil && found && r.State == Active {
			err = r.try(id, l.Code, now, v)
		}
		if err == nil && v.Accepted && u.Disabled {
			v.Accepted, v.Reason = false, authority.ReasonDisabledUser
			r.wipe()
			return nil
		}
		if err == nil && v.Accepted {
			err = put(tx, accountsBucket, id, r)
		}
		r.wipe()
		if err != nil || v.Accepted {
			return err
		}
	}
	return nil
}

// try looks for the device that made the code.
func (r *accountRecord) try(id message.ID, code []byte, now time.Time, v *ManagedVerdict) error {
	for n := range r.Holders {
		h := &r.Holders[n]
		if h.State == Revoked {
			continue
		}
		result, moving, err := r.code(h, code, now)
		if err != nil {
			return err
		}
		if v.Reason == ReasonNoAccount {
			v.Reason = authority.ReasonWrong
		}
		switch {
		case result == fob.Accepted && h.State == Active:
			h.Counter, h.Drift = moving.Counter, moving.Drift
			v.Accepted, v.Reason, v.Account, v.Device = true, "", id.String(), h.Device.String()
			return nil
		case result == fob.Accepted && now.Before(h.Until):
			v.Reason, v.Account, v.Device = ReasonPending, id.String(), h.Device.String()
		case result == fob.Reused && h.State == Active:
			v.Reason, v.Account, v.Device = authority.ReasonReused, id.String(), h.Device.String()
		case result == fob.Unfit && v.Reason == authority.ReasonWrong:
			v.Reason = authority.ReasonUnfit
		}
	}
	return nil
}
