package vault

import (
	"context"

	"github.com/tokenbridge/tokend/tokens"
)

// Vault is an open vault: the session class, until Lock. Its methods may be
// called from several goroutines; none holds a lock while a token is waited
// for. After Lock they fail with ErrLocked.
type Vault struct{}

// ID is the vault's id.
func (v *Vault) ID() string { return "" }

// Epoch counts the rotations of the vault's keys, from 1.
func (v *Vault) Epoch() uint64 { return 0 }

// Generation counts the vault's writes, from 1.
func (v *Vault) Generation() uint64 { return 0 }

// Signer is the public key that signs the vault, hexadecimal.
func (v *Vault) Signer() string { return "" }

// ReadOnly says that an earlier generation is open because the newest is
// damaged; Problem says why.
func (v *Vault) ReadOnly() bool { return false }

// Problem is what is wrong with the newest generation, nil when nothing is.
func (v *Vault) Problem() error { return nil }

// Notices are sentences for the user on what happened at opening or since
// (counters skipped, …), oldest first.
func (v *Vault) Notices() []string { return nil }

// Lock wipes the vault's keys and secrets. It may be called again.
func (v *Vault) Lock() {}

// Accounts returns the accounts in the user's order.
func (v *Vault) Accounts() []Account { return nil }

// Account returns one account.
func (v *Vault) Account(id string) (Account, error) { return Account{}, errUnbuilt }

// Add adds all accounts at the end, or none.
func (v *Vault) Add(ctx context.Context, list []NewAccount) ([]Account, error) {
	return nil, errUnbuilt
}

// Edit changes an account's Issuer, Name, Note, Type, Algorithm, Digits, Period
// or Counter; ErrInvalid when change touched anything else.
func (v *Vault) Edit(ctx context.Context, id string, change func(*Account) error) (Account, error) {
	return Account{}, errUnbuilt
}

// SetClass moves an account's secret to another class; from touch it needs w.
func (v *Vault) SetClass(ctx context.Context, id string, c tokens.Class, w Way) (Account, error) {
	return Account{}, errUnbuilt
}

// Move puts an account at position, 0 being first.
func (v *Vault) Move(ctx context.Context, id string, position int) error { return errUnbuilt }

// Remove removes an account for good.
func (v *Vault) Remove(ctx context.Context, id string) (Account, error) {
	return Account{}, errUnbuilt
}

// Use gives f the account's secret for the time of the call. For a touch
// account w opens the touch key for this one call; for others w is ignored.
func (v *Vault) Use(ctx context.Context, id string, w Way, f func(secret []byte) error) error {
	return errUnbuilt
}

// NextCounter returns the account's HOTP counter and moves on; when it returns,
// the next one is on disk.
func (v *Vault) NextCounter(id string) (uint64, error) { return 0, errUnbuilt }

// Slots returns the keyslots with the user's labels.
func (v *Vault) Slots() []Slot { return nil }

// HasTouch says that a keyslot can guard accounts by touch.
func (v *Vault) HasTouch() bool { return false }

// AddSlot makes a keyslot. touch opens the touch class if the slot is to have
// it and there are touch accounts.
func (v *Vault) AddSlot(ctx context.Context, n NewSlot, touch Way) (Slot, error) {
	return Slot{}, errUnbuilt
}

// CheckSlot opens a keyslot's class once, to see that it works.
func (v *Vault) CheckSlot(ctx context.Context, id string, c tokens.Class, x Exchange) error {
	return errUnbuilt
}

// RenameSlot changes the label of a keyslot.
func (v *Vault) RenameSlot(ctx context.Context, id, label string) error { return errUnbuilt }

// RevokeSlot removes a keyslot, makes new keys, encrypts everything anew and
// removes all earlier generations. touch opens the touch class where there are
// touch accounts.
func (v *Vault) RevokeSlot(ctx context.Context, id string, touch Way) (RevokeInfo, error) {
	return RevokeInfo{}, errUnbuilt
}

// SetRecovery makes a recovery key under a new password; the old password opens
// only what was written before. touch as in RevokeSlot.
func (v *Vault) SetRecovery(ctx context.Context, password []byte, touch Way) error {
	return errUnbuilt
}

// RotateRecovery is SetRecovery and a new epoch: new keys throughout, and all
// earlier generations removed.
func (v *Vault) RotateRecovery(ctx context.Context, password []byte, touch Way) error {
	return errUnbuilt
}
