// Package vault is the live vault of one user: keyslots, classes, accounts,
// generations and the counter journal, on one folder. The format is
// daemon/archive's; this package decides what is written when, and which file
// is believed.
package vault

import (
	"context"
	"errors"
)

var errUnbuilt = errors.New("not built yet")

// Store is the folder of one vault, held exclusively by this process. Its
// methods may be called from several goroutines.
type Store struct{}

// OpenStore takes the folder; it fails with ErrBusy when another process has
// it. A vault need not exist. Files left by an interrupted write are removed.
func OpenStore(o Options) (*Store, error) { return nil, errUnbuilt }

// Close lets go of the folder. A Vault that is open must be locked before.
func (s *Store) Close() error { return errUnbuilt }

// Exists says whether there is a vault, damaged or not.
func (s *Store) Exists() bool { return false }

// Head reads what can be read without any key; ErrNoVault when there is none.
func (s *Store) Head() (Head, error) { return Head{}, errUnbuilt }

// HeadOf is Head for the bytes of a backup.
func HeadOf(data []byte) (Head, error) { return Head{}, errUnbuilt }

// Create makes a vault with one keyslot, a recovery password, or both, and
// returns it open.
func (s *Store) Create(ctx context.Context, first *NewSlot, recoveryPassword []byte) (*Vault, error) {
	return nil, errUnbuilt
}

// Unlock opens the session class.
func (s *Store) Unlock(ctx context.Context, w Way) (*Vault, error) { return nil, errUnbuilt }

// Recover tells what is wrong with the vault and opens the last good
// generation, read-only; with apply it makes that the newest and returns it
// writable. It also accepts, with apply, a vault whose pin is lost, or one that
// was put back to an earlier generation of the same epoch.
func (s *Store) Recover(ctx context.Context, w Way, apply bool) (*Recovery, *Vault, error) {
	return nil, nil, errUnbuilt
}

// Restore makes a vault from a backup and returns it open; ErrExists when there
// is one. signer, when not empty, is the only signer accepted.
func (s *Store) Restore(ctx context.Context, data []byte, w Way, signer string) (*Vault, error) {
	return nil, errUnbuilt
}

// Backup returns the newest generation without what must not leave the device.
// It needs no key.
func (s *Store) Backup() ([]byte, BackupInfo, error) { return nil, BackupInfo{}, errUnbuilt }

// Inspect opens a backup, this vault's or another's, and changes nothing.
func (s *Store) Inspect(ctx context.Context, data []byte, w Way) (Contents, error) {
	return Contents{}, errUnbuilt
}

// CheckRecovery tries a Way with a Password or RecoveryKey against the vault and
// opens nothing; ErrWrongPassword, ErrNoRecovery.
func (s *Store) CheckRecovery(ctx context.Context, w Way) error { return errUnbuilt }

// ShowRecoveryKey returns the recovery key, AGE-SECRET-KEY-1…, which the caller
// wipes.
func (s *Store) ShowRecoveryKey(ctx context.Context, password []byte) ([]byte, error) {
	return nil, errUnbuilt
}

// SetKeyFile replaces the sealed key file of a software token's keyslot, after
// its passphrase was changed.
func (s *Store) SetKeyFile(slotID string, data []byte) error { return errUnbuilt }
