package issue

import (
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/otp"
)

// Account is a managed account, without secrets.
type Account struct {
	ID, User, Issuer, Label string
	Algorithm               otp.Algorithm
	Digits, Period          int
	State                   State
	Created                 time.Time
	Devices                 []AccountDevice
	// Activated says that a device has it or had it, by whose backup it can be brought
	// back.
	Activated bool
}

// AccountDevice is an account on a device.
type AccountDevice struct {
	Device, Name string
	State        State
	Since        time.Time
	// Until is by when a pending secret must be proved.
	Until time.Time
	// By is who or what took the account away; the device was not told yet.
	By string
}

// Device is a device, as the authority knows it.
type Device struct {
	ID, User, Name string
	State          State
	First, Last    time.Time
	Accounts       []string // ids of those it has
}

func (r *accountRecord) shown(id message.ID) Account {
	a := Account{ID: id.String(), User: r.User, Issuer: r.Issuer, Label: r.Label, Algorithm: r.Algorithm, Digits: r.Digits, Period: r.Period,
		State: r.State, Created: r.Created.UTC(), Activated: len(r.Keys) > 0}
	for _, h := range r.Holders {
		d := AccountDevice{Device: h.Device.String(), Name: h.Name, State: h.State, Since: h.Since.UTC(), By: h.By}
		if h.State == Pending {
			d.Until = h.Until.UTC()
		}
		a.Devices = append(a.Devices, d)
	}
	return a
}

// accountFor is the account that an activation is for. It makes a new one.
func (i *Issuer) accountFor(tx *store.Tx, u authority.User, p *portfolio, n NewActivation) (message.ID, accountRecord, error) {
	id, r, err := findAccount(tx, *p, n.Account)
	var missing *authority.Error
	switch {
	case err == nil && r.State == Active:
		return id, r, nil
	case err == nil && id.String() == n.Account:
		return id, r, fail(authority.Conflict, "account", "the account is revoked")
	case err != nil && !errors.As(err, &missing):
		return id, r, err
	}
	if err := roomForAccount(tx, p); err != nil {
		return id, r, err
	}
	profile, err := i.reg.Profile()
	if err != nil {
		return id, r, err
	}
	if n.Issuer == "" {
		n.Issuer = shown(profile.Name, 64)
	}
	settings := otp.Params{Type: otp.TypeTOTP, Algorithm: n.Algorithm, Digits: n.Digits, Period: n.Period}.WithDefaults()
	if err := checkAccount(n, settings); err != nil {
		return id, r, err
	}
	r = accountRecord{User: u.ID, Issuer: n.Issuer, Label: n.Account, Algorithm: settings.Algorithm, Digits: settings.Digits, Period: settings.Period,
		State: Active, Created: i.now()}
	if id, err = message.NewID(i.random); err != nil {
		return id, r, err
	}
	p.Accounts = append(p.Accounts, id)
	return id, r, put(tx, accountsBucket, id, r)
}

// roomForAccount forgets the oldest accounts that are revoked.
func roomForAccount(tx *store.Tx, p *portfolio) error {
	for n := 0; n < len(p.Accounts) && len(p.Accounts) >= MaxAccounts; {
		r, found, err := get[accountRecord](tx, accountsBucket, p.Accounts[n])
		r.wipe()
		if err != nil {
			return err
		}
		if found && r.State != Revoked {
			n++
			continue
		}
		if err := tx.Delete(accountsBucket, p.Accounts[n][:]); err != nil {
			return err
		}
		p.Accounts = slices.Delete(p.Accounts, n, n+1)
	}
	if len(p.Accounts) >= MaxAccounts {
		return fail(authority.TooMany, "account", "the user has %d managed accounts", MaxAccounts)
	}
	return nil
}

func checkAccount(n NewActivation, s otp.Params) error {
	if _, isID := parseID(n.Account); isID {
		return fail(authority.Invalid, "account", "cannot use account: it looks like an id")
	}
	if n.Account == "" || len(n.Account) > 128 || n.Account != shown(n.Account, 128) || strings.TrimSpace(n.Account) != n.Account {
		return fail(authority.Invalid, "account", "cannot use account: it is not 1 to 128 bytes that can be shown")
	}
	if len(n.Issuer) > 64 || n.Issuer != shown(n.Issuer, 64) {
		return fail(authority.Invalid, "issuer", "cannot use issuer: it is not up to 64 bytes that can be shown")
	}
	var e *otp.Error
	if err := s.Validate(); errors.As(err, &e) {
		return fail(authority.Invalid, e.Field, "cannot use %s: %s", e.Field, e.Problem)
	}
	if s.Period > fob.MaxPeriod {
		return fail(authority.Invalid, "period", "cannot use period: it must be 1 to %d seconds", fob.MaxPeriod)
	}
	if s.Digits > 8 {
		return fail(authority.Invalid, "digits", "cannot use digits: there must be 6 to 8")
	}
	return nil
}

// fold makes equal what people take for the same label.
func fold(s string) string { return strings.ToLower(norm.NFC.String(s)) }

// findAccount finds one of a user's accounts by label or id, or fails with
// NotFound. Of a label a revoked one is found only where no other has it.
func findAccount(tx *store.Tx, p portfolio, ref string) (message.ID, accountRecord, error) {
	asked, isID := parseID(ref)
	var revoked message.ID
	var record accountRecord
	for _, id := range p.Accounts {
		if isID && id != asked {
			continue
		}
		r, found, err := get[accountRecord](tx, accountsBucket, id)
		if err != nil {
			return id, r, err
		}
		switch {
		case found && (isID || fold(r.Label) == fold(ref) && r.State == Active):
			return id, r, nil
		case found && fold(r.Label) == fold(ref):
			revoked, record = id, r // it has no secrets
		default:
			r.wipe()
		}
	}
	if record.User != "" {
		return revoked, record, nil
	}
	return message.ID{}, accountRecord{}, fail(authority.NotFound, "account", "the user has no such account")
}

// Accounts lists a user's managed accounts.
func (i *Issuer) Accounts(user string) ([]Account, error) {
	ids := func(p portfolio) []message.ID { return p.Accounts }
	return ofUser(i, user, accountsBucket, ids, func(_ *store.Tx, id message.ID, r accountRecord) (Account, error) {
		defer r.wipe()
		r.tidy(i.now())
		return r.shown(id), nil
	})
}

// Devices lists a user's devices, revoked ones too.
func (i *Issuer) Devices(user string) ([]Device, error) {
	accounts, err := i.Accounts(user)
	if err != nil {
		return nil, err
	}
	has := map[string][]string{}
	for _, a := range accounts {
		for _, d := range a.Devices {
			if d.State == Active {
				has[d.Device] = append(has[d.Device], a.ID)
			}
		}
	}
	ids := func(p portfolio) []message.ID { return p.Devices }
	return ofUser(i, user, devicesBucket, ids, func(_ *store.Tx, id message.ID, d deviceRecord) (Device, error) {
		return Device{ID: id.String(), User: d.User, Name: d.Name, State: d.State, First: d.First.UTC(), Last: d.Last.UTC(), Accounts: has[id.String()]}, nil
	})
}

// RevokeDevice takes all accounts from a device, and what it has pending. What it
// has in words is told to the device when it asks: who did it. It fails with
// NotFound.
func (i *Issuer) RevokeDevice(by, words, ref string) error {
	e := authority.Entry{}
	err := i.store.Update(func(tx *store.Tx) error {
		id, ok := parseID(ref)
		d, found, err := get[deviceRecord](tx, devicesBucket, id)
		if err != nil {
			return err
		}
		if !ok || !found {
			return fail(authority.NotFound, "device", "there is no such device")
		}
		e = authority.Entry{User: d.User, Device: ref}
		p, err := portfolioOf(tx, d.User)
		if err != nil {
			return err
		}
		return i.revokeDevice(tx, p, id, d, words)
	})
	i.admin("device-revoke", by, e, err)
	return err
}

func (i *Issuer) revokeDevice(tx *store.Tx, p portfolio, id message.ID, d deviceRecord, words string) error {
	for _, a := range p.Accounts {
		if err := i.takeAway(tx, a, &id, words); err != nil {
			return err
		}
	}
	d.State = Revoked
	return put(tx, devicesBucket, id, d)
}

// takeAway revokes an account on one device, or on all.
func (i *Issuer) takeAway(tx *store.Tx, account message.ID, device *message.ID, words string) error {
	r, found, err := get[accountRecord](tx, accountsBucket, account)
	defer r.wipe()
	if err != nil || !found {
		return err
	}
	r.tidy(i.now())
	changed := false
	r.Holders = slices.DeleteFunc(r.Holders, func(h holder) bool {
		gone := h.State == Pending && (device == nil || h.Device == *device)
		changed = changed || gone
		return gone
	})
	for n := range r.Holders {
		if h := &r.Holders[n]; h.State == Active && (device == nil || h.Device == *device) {
			h.revoke(words, i.now())
			changed = true
		}
	}
	if device == nil {
		r.State, r.Keys, changed = Revoked, nil, true
	}
	if !changed {
		return nil
	}
	return put(tx, accountsBucket, account, r)
}

// RevokeAccount takes an account from all devices, for good. It fails with
// NotFound.
func (i *Issuer) RevokeAccount(by, words, user, ref string) error {
	e := authority.Entry{}
	err := i.store.Update(func(tx *store.Tx) error {
		u, err := i.reg.UserIn(tx, user)
		if err != nil {
			return err
		}
		p, err := portfolioOf(tx, u.ID)
		if err != nil {
			return err
		}
		id, r, err := findAccount(tx, p, ref)
		if err != nil {
			return err
		}
		defer r.wipe()
		e = authority.Entry{User: u.ID, Account: id.String()}
		if err := i.takeAway(tx, id, nil, words); err != nil {
			return err
		}
		for _, h := range r.Holders {
			if err := retire(tx, p, h.Device); err != nil {
				return err
			}
		}
		return nil
	})
	i.admin("account-revoke", by, e, err)
	return err
}
