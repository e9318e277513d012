package daemon

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/tokenbridge/tokend/daemon/otp"
	"github.com/tokenbridge/tokend/daemon/secret"
	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// The lengths, in bytes, of what people write about an account.
const (
	longestName = 256
	longestNote = 2048
)

// account is the account that ref means in the caller's open vault.
func (d *Daemon) account(p *ipc.Principal, ref string, extend bool) (*user, *session, vault.Account, error) {
	u, err := d.user(p)
	if err != nil {
		return nil, nil, vault.Account{}, err
	}
	s, err := u.open(extend)
	if err != nil {
		return nil, nil, vault.Account{}, err
	}
	a, err := s.index.Load().find(ref)
	if err != nil {
		return nil, nil, vault.Account{}, err
	}
	return u, s, a, nil
}

// Accounts implements [ipc.Accounts]. It does not extend the idle limit.
func (d *Daemon) Accounts(_ context.Context, p ipc.Principal) (ipc.AccountList, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.AccountList{}, err
	}
	s, err := u.open(false)
	if err != nil {
		return ipc.AccountList{}, err
	}
	return ipc.AccountList{Version: ipc.Version, Accounts: wireAccounts(s.vault.Accounts())}, nil
}

// Account implements [ipc.Accounts]. It does not extend the idle limit.
func (d *Daemon) Account(_ context.Context, p ipc.Principal, id string) (ipc.Account, error) {
	_, s, a, err := d.account(&p, id, false)
	if err != nil {
		return ipc.Account{}, err
	}
	if a, err = s.vault.Account(a.ID); err != nil { // with the counter as it is now
		return ipc.Account{}, mapError(err)
	}
	return wireAccount(a), nil
}

// AddAccounts implements [ipc.Accounts].
func (d *Daemon) AddAccounts(ctx context.Context, p ipc.Principal, r ipc.AddAccountsRequest) (ipc.AccountList, error) {
	defer func() {
		for i := range r.Accounts {
			r.Accounts[i].URI.Wipe()
			r.Accounts[i].Secret.Wipe()
		}
	}()
	u, err := d.user(&p)
	if err != nil {
		return ipc.AccountList{}, err
	}
	leave, err := u.alone(ctx)
	if err != nil {
		return ipc.AccountList{}, err
	}
	defer leave()
	s, err := u.open(true)
	if err != nil {
		return ipc.AccountList{}, err
	}
	list, err := newAccounts(s.vault, r)
	defer func() {
		for i := range list {
			clear(list[i].Secret)
		}
	}()
	if err != nil {
		return ipc.AccountList{}, err
	}
	if !r.AllowDuplicate {
		if err := duplicates(s.vault.Accounts(), list); err != nil {
			return ipc.AccountList{}, err
		}
	}
	added, err := s.vault.Add(ctx, list)
	s.reindex() // after a failure too: a change may be there all the same
	if err != nil {
		u.auditResult(p, "account-add", "", err)
		return ipc.AccountList{}, mapError(err)
	}
	for _, a := range added {
		u.audit(entry{action: "account-add", object: a.ID, by: p, ok: true})
		u.tellAccount(ipc.EventAccountAdded, a)
	}
	return ipc.AccountList{Version: ipc.Version, Accounts: wireAccounts(added)}, nil
}

func newAccounts(v *vault.Vault, r ipc.AddAccountsRequest) ([]vault.NewAccount, error) {
	if len(r.Accounts) == 0 {
		return nil, ipc.Errorf(ipc.InvalidArgument, "no account was given")
	}
	class := tokens.ClassSession
	if v.HasTouch() {
		class = tokens.ClassTouch
	}
	list := make([]vault.NewAccount, 0, len(r.Accounts))
	for i, n := range r.Accounts {
		a, err := newAccount(n, class)
		if err != nil {
			if e := mapError(err); len(r.Accounts) > 1 {
				e.Items = append(e.Items, ipc.Item{Name: n.Name, Reason: fmt.Sprintf("account %d: %s", i+1, e.Message)})
				err = e
			}
			return list, err
		}
		if a.Class == tokens.ClassTouch && !v.HasTouch() {
			clear(a.Secret)
			return list, ipc.Errorf(ipc.NoKeyslot, "no enrolled token can guard an account by touch")
		}
		list = append(list, a)
	}
	return list, nil
}

// newAccount reads one account to be added.
func newAccount(n ipc.NewAccount, class tokens.Class) (vault.NewAccount, error) {
	var key otp.Key
	var err error
	secret.Do(func() { key, err = readKey(n) }) // a URI is taken apart as strings
	if err != nil {
		return vault.NewAccount{}, err
	}
	a := vault.NewAccount{Secret: key.Secret, Account: vault.Account{
		Issuer: norm.NFC.String(key.Issuer), Name: norm.NFC.String(key.Name), Note: n.Note,
		Kind: vault.ThirdParty, Class: class, Type: string(key.Type), Algorithm: string(key.Algorithm),
		Digits: key.Digits, Period: key.Period, Counter: key.Counter, NoExport: n.NoExport,
	}}
	if n.Class != "" {
		a.Class = tokens.Class(n.Class)
	}
	if err := checkAccount(&a.Account); err != nil {
		clear(a.Secret)
		return vault.NewAccount{}, err
	}
	return a, nil
}

// readKey takes the key from the URI or from the fields.
func readKey(n ipc.NewAccount) (otp.Key, error) {
	if len(n.URI) > 0 {
		if len(n.Secret) > 0 || n.Type != "" || n.Algorithm != "" || n.Digits != 0 || n.Period != 0 || n.Counter != nil {
			return otp.Key{}, ipc.Errorf(ipc.InvalidArgument, "with a URI only issuer, name, class and note can be given")
		}
		key, err := otp.ParseURI(string(n.URI))
		if err != nil {
			return otp.Key{}, fault(ipc.InvalidArgument, err, "%s", err)
		}
		if n.Issuer != "" {
			key.Issuer = n.Issuer
		}
		if n.Name != "" {
			key.Name = n.Name
		}
		return key, nil
	}
	key := otp.Key{Issuer: n.Issuer, Name: n.Name, Params: otp.Params{
		Type: otp.Type(n.Type), Algorithm: otp.Algorithm(strings.ToUpper(n.Algorithm)), Digits: n.Digits, Period: n.Period,
	}}
	defaults(&key.Params)
	if n.Counter != nil {
		key.Counter = *n.Counter
	}
	if err := key.Params.Validate(); err != nil {
		return otp.Key{}, fault(ipc.InvalidArgument, err, "%s", err)
	}
	var err error
	if key.Secret, err = otp.ParseSecret(string(n.Secret)); err != nil {
		return otp.Key{}, fault(ipc.InvalidArgument, err, "%s", err)
	}
	return key, nil
}

// defaults fills in what most services use.
func defaults(p *otp.Params) {
	if p.Type == "" {
		p.Type = otp.TypeTOTP
	}
	if p.Algorithm == "" {
		p.Algorithm = otp.SHA1
	}
	if p.Digits == 0 {
		p.Digits = 6
		if p.Type == otp.TypeSteam {
			p.Digits = 5
		}
	}
	if p.Period == 0 && p.Type != otp.TypeHOTP {
		p.Period = 30
	}
}

func checkAccount(a *vault.Account) error {
	if a.Name == "" {
		if a.Issuer == "" {
			return ipc.Errorf(ipc.InvalidArgument, "an account needs a name")
		}
		a.Name = a.Issuer
	}
	if a.Class != tokens.ClassSession && a.Class != tokens.ClassTouch {
		return ipc.Errorf(ipc.InvalidArgument, "there is no class %q", a.Class)
	}
	if err := checkText("issuer", a.Issuer, longestName); err != nil {
		return err
	}
	if err := checkText("name", a.Name, longestName); err != nil {
		return err
	}
	return checkText("note", a.Note, longestNote)
}

// duplicates refuses accounts that are called like one that is there, or like
// each other.
func duplicates(have []vault.Account, list []vault.NewAccount) error {
	type called struct{ issuer, name string }
	seen := make(map[called]string, len(have))
	for _, a := range have {
		seen[called{a.Issuer, a.Name}] = a.ID
	}
	var items []ipc.Item
	for _, a := range list {
		c := called{a.Issuer, a.Name}
		if id, ok := seen[c]; ok {
			items = append(items, ipc.Item{ID: id, Name: display(a.Account), Reason: "there is an account of that name"})
		}
		seen[c] = ""
	}
	if len(items) == 0 {
		return nil
	}
	e := ipc.Errorf(ipc.AlreadyExists, "there is an account of that name already; nothing was added")
	e.Items = items
	return e
}

// tellAccount publishes what happened to an account, to its owner.
func (u *user) tellAccount(kind string, a vault.Account) {
	e := u.d.event(kind)
	ref := accountRef(a)
	e.Account = &ref
	u.d.hub.publish(u.uid, e)
}

// MoveAccount implements [ipc.Accounts].
func (d *Daemon) MoveAccount(ctx context.Context, p ipc.Principal, id string, r ipc.MoveAccountRequest) (ipc.AccountList, error) {
	u, s, a, err := d.account(&p, id, true)
	if err != nil {
		return ipc.AccountList{}, err
	}
	leave, err := u.alone(ctx)
	if err != nil {
		return ipc.AccountList{}, err
	}
	defer leave()
	if n := len(s.index.Load().list); r.Position < 0 || r.Position >= n {
		return ipc.AccountList{}, ipc.Errorf(ipc.InvalidArgument, "there is no position %d among %d accounts", r.Position, n)
	}
	err = s.vault.Move(ctx, a.ID, r.Position)
	s.reindex()
	if err != nil {
		return ipc.AccountList{}, mapError(err)
	}
	u.audit(entry{action: "account-move", object: a.ID, by: p, ok: true})
	u.tellAccount(ipc.EventAccountChanged, a)
	return d.Accounts(ctx, p)
}
