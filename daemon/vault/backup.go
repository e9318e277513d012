package vault

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/secret"
)

// Write is a generation that was written. It can be told of while the vault is
// held: who is told must not call back.
type Write struct {
	VaultID    string
	Epoch      uint64
	Generation uint64
	Accounts   int
}

// Backup returns the newest generation without what must not leave the device.
// It needs no key. A damaged vault is not backed up: the backup there is, is
// better.
func (s *Store) Backup() ([]byte, BackupInfo, error) {
	a, err := s.newestForBackup()
	if err != nil {
		return nil, BackupInfo{}, fmt.Errorf("cannot make a backup: %w", err)
	}
	data := a.Backup()
	return data, backupInfo(a, data), nil
}

// newestForBackup reads the newest generation and holds it against the pin. Only
// the reading holds up writers: taking a large container apart takes longer than a
// code may wait.
func (s *Store) newestForBackup() (*archive.Archive, error) {
	s.mu.RLock()
	data, err := readFile(s.fs, s.vaultFile(), archive.MaxSize+1)
	p, pinErr := s.readPin()
	s.mu.RUnlock()
	if err == nil && pinErr == nil {
		if a, err := archive.Parse(data); err == nil && p.admit(a.Manifest, false) == nil {
			return a, nil
		}
	}
	// Something is wrong, or was while a write was between two steps: what it is,
	// the opening says.
	l, err := s.load()
	if err != nil {
		return nil, err
	}
	return l.archive, l.problem
}

func backupInfo(a *archive.Archive, data []byte) BackupInfo {
	return BackupInfo{VaultID: a.Header.VaultID, Epoch: a.Header.Epoch, Generation: a.Manifest.Generation,
		Written: a.Manifest.Time, Signer: a.Manifest.Signer, SHA256: archive.Sum(data),
		Slots: slotsOf(a.Header.Keyslots), RecoverySet: a.Header.RecoverySet}
}

// HeadOfBackup checks a backup's structure and signature, and says what it is
// without opening it: ErrDamaged, ErrNewer.
func HeadOfBackup(data []byte) (BackupInfo, error) {
	a, err := archive.Parse(data)
	if err != nil {
		return BackupInfo{}, fmt.Errorf("cannot read the backup: %w", err)
	}
	return backupInfo(a, data), nil
}

// OpenedBackup is what opening a backup with the keys of an open vault told.
type OpenedBackup struct {
	BackupInfo
	Accounts int
	// Compared says that it is of the generation that is open, and that every
	// account in it is as in the vault. One of an earlier generation opens, and
	// there is nothing left to compare it with.
	Compared bool
}

// CompareBackup decrypts a backup of this vault with the session key and compares
// it with what is open: ErrOtherKeys where it is of another vault, or of an epoch
// whose keys are gone, ErrDamaged where it does not open or is not what the vault
// has. The work is done outside of what a code waits for.
func (v *Vault) CompareBackup(data []byte) (OpenedBackup, error) {
	a, err := archive.Parse(data)
	if err != nil {
		return OpenedBackup{}, fmt.Errorf("cannot read the backup: %w", err)
	}
	out := OpenedBackup{BackupInfo: backupInfo(a, data)}
	var key []byte
	defer func() { clear(key) }()
	err = ErrLocked
	v.view(func(st *state) {
		err = nil
		if h := st.parts.Header; h.VaultID != a.Header.VaultID || h.Epoch != a.Header.Epoch {
			err = fmt.Errorf("%w: it is of epoch %d", ErrOtherKeys, a.Header.Epoch)
			return
		}
		key = bytes.Clone(st.keys.SessionKey)
	})
	if err != nil {
		return out, err
	}
	secret.Do(func() {
		var c *archive.Contents
		if c, err = a.OpenSession(key); err != nil {
			return
		}
		defer c.Wipe()
		out.Accounts = len(c.Accounts)
		out.Compared, err = v.compare(a, c)
	})
	if err != nil {
		return out, fmt.Errorf("cannot open the backup: %w", err)
	}
	return out, nil
}

// compare holds an opened backup against the vault, where that is still of the
// same generation.
func (v *Vault) compare(a *archive.Archive, c *archive.Contents) (same bool, err error) {
	err = ErrLocked
	v.view(func(st *state) {
		err = nil
		if st.manifest.Signer == a.Manifest.Signer && st.parts.Generation != a.Manifest.Generation {
			return
		}
		same = st.manifest.Signer == a.Manifest.Signer && sameRecords(st.records, c.Session().Records)
		if !same {
			err = fmt.Errorf("%w: it is not what the vault has", ErrDamaged)
		}
	})
	return same, err
}

func sameRecords(have, got []archive.Record) bool {
	if len(have) != len(got) {
		return false
	}
	for i := range have {
		if !sameRecord(&have[i], &got[i]) {
			return false
		}
	}
	return true
}

// sameRecord compares a record with one of a backup, which has no secret of a
// managed account.
func sameRecord(have, got *archive.Record) bool {
	a, b := have.Account, got.Account
	if !a.Created.Equal(b.Created) {
		return false
	}
	a.Created, b.Created = time.Time{}, time.Time{}
	if a.Kind == archive.Managed {
		a.Inactive, b.Inactive = false, false
		return a == b && got.Secret == nil && got.Touch == nil && sameIssued(have.Issued, got.Issued)
	}
	return a == b && bytes.Equal(have.Secret, got.Secret) && bytes.Equal(have.Touch, got.Touch)
}

func sameIssued(a, b *archive.Issued) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Account == b.Account && bytes.Equal(a.Authority, b.Authority) && subtle.ConstantTimeCompare(a.Key, b.Key) == 1
}

// CountersAhead is how far the counter of any HOTP account is ahead of what the
// newest generation, and so a backup, has.
func (v *Vault) CountersAhead() (n uint64) {
	v.view(func(st *state) {
		for i := range st.records {
			if r := &st.records[i]; r.Type == "hotp" {
				n = max(n, st.counters[r.ID]-r.Counter)
			}
		}
	})
	return n
}

// FoldCounters writes the HOTP counters into the vault where one is ahead of it.
func (v *Vault) FoldCounters(ctx context.Context) error {
	if v.CountersAhead() == 0 {
		return nil
	}
	if err := v.change(ctx, v.foldAll); err != nil && !errors.Is(err, ErrUncertain) {
		return fmt.Errorf("cannot fold the counters in: %w", err)
	}
	return nil
}
