// Package store keeps an authority's registry: sealed records in one bbolt file.
//
// Every record is sealed (XChaCha20-Poly1305) for the bucket and the key it lies
// under, so that none opens in another's place; keys are HMACs, so that the file
// shows neither names nor serial numbers. Both keys are derived (HKDF-SHA256)
// from the authority's, which comes from a KeySource. What the file does show is
// how many records there are of each kind, how long they are and which ones
// change together. Somebody who can write to it can remove records, or put back
// an older copy of all of it: neither can be told.
//
// Changes that arrive while others are being written go to disk together, in one
// transaction and with the two fsyncs of one. A change is on disk when Update
// returns.
package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fxamacker/cbor/v2"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/tokenbridge/tokend/daemon/secret"
)

// FileName is the registry's file in its folder.
const FileName = "registry.db"

// Store is an open registry. Its methods are safe for concurrent use.
type Store struct {
	db     *bolt.DB
	keys   *keys
	encode cbor.EncMode
	decode cbor.DecMode

	calls   chan *call
	closing chan struct{}
	once    sync.Once     // closes closing
	done    chan struct{} // closed when the writer has ended
	// committed is told how long a commit took; nil for nobody.
	committed atomic.Pointer[func(time.Duration)]
	// stuck: bbolt failed so that its locks are held for good. The writer's until
	// done is closed.
	stuck bool
}

// Create makes a registry with these buckets in dir, which is made with mode
// 0700. The key is not kept. It fails with ErrExists where there is one, even if
// it is damaged.
func Create(dir string, key *secret.Buffer, buckets ...string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the registry's folder: %w", err)
	}
	path := filepath.Join(dir, FileName)
	known, err := looksWhole(path)
	switch {
	case errors.Is(err, ErrDamaged):
		return nil, fmt.Errorf("cannot create %s: %w", path, ErrExists)
	case err != nil && !errors.Is(err, ErrNone):
		return nil, fmt.Errorf("cannot create %s: %w", path, err)
	}
	s, err := open(path, key, func(s *Store) error { return s.begin(buckets) })
	if known && errors.Is(err, ErrInUse) {
		err = fmt.Errorf("cannot create %s: %w", path, ErrExists)
	}
	return s, err
}

// Open opens the registry in dir. It fails with ErrNone, ErrInUse, ErrWrongKey,
// ErrDamaged or ErrNewer. The key is not kept.
func Open(dir string, key *secret.Buffer) (*Store, error) {
	path := filepath.Join(dir, FileName)
	if _, err := looksWhole(path); err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", path, err)
	}
	return open(path, key, (*Store).check)
}

// OnCommit has f told of each commit from now on: how long it took to be written and
// synced. It must not block.
func (s *Store) OnCommit(f func(time.Duration)) { s.committed.Store(&f) }

// Ensure makes those of the buckets that are missing, for who keeps records of a
// kind that the registry was made without.
func (s *Store) Ensure(buckets ...string) error {
	return s.Update(func(t *Tx) error {
		for _, name := range buckets {
			if t.tx.Bucket([]byte(name)) != nil {
				continue
			}
			if _, err := t.tx.CreateBucket([]byte(name)); err != nil {
				return fmt.Errorf("cannot make a bucket of the registry: %w", err)
			}
			t.changed = true
		}
		return nil
	})
}

func open(path string, key *secret.Buffer, ready func(*Store) error) (_ *Store, err error) {
	k, err := deriveKeys(key)
	if err != nil {
		return nil, err
	}
	s := &Store{keys: k, calls: make(chan *call), closing: make(chan struct{}), done: make(chan struct{})}
	if s.encode, s.decode, err = coding(); err != nil {
		k.wipe()
		return nil, err
	}
	if s.db, err = openFile(path); err != nil {
		k.wipe()
		return nil, fmt.Errorf("cannot open %s: %w", path, err)
	}
	go s.write()
	if err := ready(s); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("cannot open %s: %w", path, err)
	}
	return s, nil
}

// openFile: bbolt panics, or reads beyond the end of its mapping, where the file
// is not what it wrote.
func openFile(path string) (db *bolt.DB, err error) {
	var file *os.File
	defer func() {
		if err != nil && file != nil {
			_ = file.Close() // with it goes the lock
		}
	}()
	defer recoverDamage(&err)()
	o := *bolt.DefaultOptions
	o.Timeout = time.Nanosecond // try once
	o.PageSize = pageSize       // the same everywhere, so that a copy can be moved
	o.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		if err != nil {
			return nil, err
		}
		file = f
		return f, tighten(f)
	}
	db, err = bolt.Open(path, 0o600, &o)
	return db, translate(err)
}

// recoverDamage turns a panic of bbolt, or a fault on its mapping, into
// ErrDamaged. It is to be deferred as recoverDamage(&err)().
func recoverDamage(err *error) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		if p := recover(); p != nil {
			*err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}
}

// tighten takes rights from others that a copy may have given them.
func tighten(f *os.File) error {
	info, err := f.Stat()
	if err != nil || info.Mode().Perm()&0o077 == 0 || !modes {
		return err
	}
	return f.Chmod(0o600)
}

// translate says bbolt's and the system's errors in this package's words.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return ErrInUse
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrInvalidMapping):
		return ErrDamaged
	case errors.Is(err, bolterrors.ErrVersionMismatch):
		return ErrNewer
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return ErrClosed
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, errQuota), errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

func coding() (cbor.EncMode, cbor.DecMode, error) {
	eo := cbor.CoreDetEncOptions()
	eo.Time = cbor.TimeUnix
	enc, err := eo.EncMode()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot set up the coding of records: %w", err)
	}
	dec, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden}.DecMode()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot set up the coding of records: %w", err)
	}
	return enc, dec, nil
}

// Close waits for what is being written and closes the file. It may be called
// again.
func (s *Store) Close() error {
	var err error
	s.once.Do(func() {
		close(s.closing)
		<-s.done
		if !s.stuck {
			err = s.db.Close()
		}
		s.keys.wipe()
	})
	return err
}

// Key is the place of the record with a name in a bucket.
func (s *Store) Key(bucket, name string) (Key, error) {
	k, err := s.keys.key(bucket, name)
	if errors.Is(err, secret.ErrWiped) {
		err = ErrClosed
	}
	return k, err
}

// Size is how large the file is, in bytes.
func (s *Store) Size() (int64, error) {
	info, err := os.Stat(s.db.Path())
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
