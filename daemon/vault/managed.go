package vault

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/tokens"
)

// Issued is what a managed account's backups have instead of its secret: by it the
// account is brought back to life on another device.
type Issued struct {
	// Authority is the descriptor of who issued the account, Account that
	// authority's id of it.
	Authority []byte
	Account   string
	// Key is the seed of the account's reactivation key, 32 bytes.
	Key []byte
}

// DeviceChange is one write of what this device has under way with authorities and
// of the managed accounts that come of it: all of it, or nothing.
type DeviceChange struct {
	// State is bytes to the vault, sealed to the session key alone and in no backup.
	// It may be replaced. What it holds is wiped when the write is done.
	State []byte

	v    *Vault
	d    *draft
	list []archive.Record
}

// ChangeDevice lets f look at the device's state and the managed accounts and change
// them, and writes what f has left. Where f fails nothing is written. f must not call v.
func (v *Vault) ChangeDevice(ctx context.Context, f func(c *DeviceChange) error) error {
	return v.change(ctx, func(d *draft) error {
		c := &DeviceChange{State: bytes.Clone(d.device), v: v, d: d, list: slices.Clone(d.records)}
		defer func() { clear(c.State) }()
		if err := f(c); err != nil {
			return err
		}
		if len(c.State) > archive.MaxDeviceState {
			return fmt.Errorf("%w: what is under way with authorities takes more than %d bytes", ErrInvalid, archive.MaxDeviceState)
		}
		d.device = c.State
		if len(d.device) == 0 {
			d.device = nil
		}
		return d.setRecords(c.list)
	})
}

// ViewDevice lends f the device's state, nil where there is none. f must not keep
// it, and must not call v.
func (v *Vault) ViewDevice(f func(state []byte) error) error {
	err := ErrLocked
	v.view(func(st *state) { err = f(st.device) })
	return err
}

// Issued says who issued an account: ErrNotIssued where nobody is known to have.
// The caller wipes the key.
func (v *Vault) Issued(id string) (out Issued, err error) {
	err = ErrLocked
	v.view(func(st *state) {
		var r *archive.Record
		if r, err = st.record(id); err == nil {
			out, err = issuedOf(r)
		}
	})
	return out, err
}

func issuedOf(r *archive.Record) (Issued, error) {
	if r.Issued == nil {
		return Issued{}, fmt.Errorf("%w: %s", ErrNotIssued, r.ID)
	}
	return Issued{bytes.Clone(r.Issued.Authority), r.Issued.Account, bytes.Clone(r.Issued.Key)}, nil
}

func (c *DeviceChange) find(id string) (int, error) {
	at := slices.IndexFunc(c.list, func(r archive.Record) bool { return r.ID == id })
	if at < 0 {
		return 0, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	return at, nil
}

// Account returns an account as it is in this change.
func (c *DeviceChange) Account(id string) (Account, error) {
	at, err := c.find(id)
	if err != nil {
		return Account{}, err
	}
	return accountOf(c.list[at].Account), nil
}

// Issued is [Vault.Issued].
func (c *DeviceChange) Issued(id string) (Issued, error) {
	at, err := c.find(id)
	if err != nil {
		return Issued{}, err
	}
	return issuedOf(&c.list[at])
}

// Holding are the ids of the accounts, active or not, that authorities have issued
// under an id of theirs.
func (c *DeviceChange) Holding(account string) (ids []string) {
	for i := range c.list {
		if r := &c.list[i]; r.Issued != nil && r.Issued.Account == account {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// Put adds a managed account at the end, where id is empty; or gives the account of
// that id another secret and way of making codes, and leaves its names, its note and
// its class as they are. Where no keyslot guards by touch the class is session. The
// secret and the key are read until the change is done.
func (c *DeviceChange) Put(id string, n NewAccount, by Issued) (Account, error) {
	n.Kind, n.NoExport = Managed, true
	at := len(c.list)
	if id == "" {
		if len(c.list) >= archive.MaxAccounts {
			return Account{}, fmt.Errorf("%w: a vault has at most %d accounts", ErrInvalid, archive.MaxAccounts)
		}
		fresh, err := randomHex(c.v.store.rand, 8)
		if err != nil {
			return Account{}, err
		}
		if _, err := c.find(fresh); err == nil {
			return Account{}, fmt.Errorf("%w: an account id was drawn twice", ErrConflict)
		}
		r := archive.Record{Account: archiveAccount(n.Account)}
		r.ID, r.Created = fresh, c.v.store.now().UTC().Truncate(time.Second)
		c.list = append(c.list, r)
	} else {
		var err error
		if at, err = c.find(id); err != nil {
			return Account{}, err
		}
	}
	r := c.list[at]
	if r.Kind != Managed {
		return Account{}, fmt.Errorf("%w: %s is no managed account", ErrInvalid, r.ID)
	}
	r.Type, r.Algorithm, r.Digits, r.Period, r.Counter = n.Type, n.Algorithm, n.Digits, n.Period, n.Counter
	if !hasTouchSlot(c.d.parts.Header.Keyslots) {
		r.Class = string(tokens.ClassSession)
	}
	r.Inactive, r.Issued = false, &archive.Issued{Authority: bytes.Clone(by.Authority), Account: by.Account, Key: by.Key}
	tidy(&r.Account)
	if err := r.Account.Check(); err != nil {
		return Account{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := r.Issued.Check(); err != nil {
		return Account{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(n.Secret) < 1 || len(n.Secret) > archive.MaxSecret {
		return Account{}, fmt.Errorf("%w: a secret has 1 to %d bytes", ErrInvalid, archive.MaxSecret)
	}
	if err := sealSecret(c.d, &r, n.Secret); err != nil {
		return Account{}, err
	}
	c.list[at] = r
	return accountOf(r.Account), nil
}

// Forget takes a managed account's secret away. The account stays, inactive.
// Earlier generations have the secret until they are too old.
func (c *DeviceChange) Forget(id string) (Account, error) {
	at, err := c.find(id)
	if err != nil {
		return Account{}, err
	}
	r := &c.list[at]
	if r.Kind != Managed {
		return Account{}, fmt.Errorf("%w: %s is no managed account", ErrInvalid, id)
	}
	r.Secret, r.Touch, r.Inactive = nil, nil, true
	return accountOf(r.Account), nil
}
