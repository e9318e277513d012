package store

import (
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/tokenbridge/tokend/daemon/secret"
)

// Tx is a transaction; it is only good within the function it is lent to.
type Tx struct {
	tx      *bolt.Tx
	store   *Store
	changed bool
}

func (t *Tx) bucket(name string) (*bolt.Bucket, error) {
	if b := t.tx.Bucket([]byte(name)); b != nil {
		return b, nil
	}
	return nil, fmt.Errorf("%w: there is no bucket %q", ErrDamaged, name)
}

// Get decodes the record under key into v, a pointer, and says whether there is
// one. It fails with ErrDamaged where a record does not open. Secrets in v are
// the caller's to wipe.
func (t *Tx) Get(bucket string, key []byte, v any) (bool, error) {
	b, err := t.bucket(bucket)
	if err != nil {
		return false, err
	}
	sealed := b.Get(key)
	if sealed == nil {
		return false, nil
	}
	return true, t.decode(bucket, key, sealed, v)
}

func (t *Tx) decode(bucket string, key, sealed []byte, v any) (err error) {
	secret.Do(func() {
		var record []byte
		if record, err = t.store.keys.open(bucket, key, sealed); err != nil {
			return
		}
		defer clear(record)
		if t.store.decode.Unmarshal(record, v) != nil {
			err = ErrDamaged // the decoder's error could repeat what it read
		}
	})
	if errors.Is(err, ErrDamaged) {
		return fmt.Errorf("%w: a record in %q does not open", ErrDamaged, bucket)
	}
	return err
}

// Put stores v under key.
func (t *Tx) Put(bucket string, key []byte, v any) error {
	b, err := t.bucket(bucket)
	if err != nil {
		return err
	}
	var sealed []byte
	secret.Do(func() {
		var record []byte
		if record, err = t.store.encode.Marshal(v); err != nil {
			return
		}
		defer clear(record)
		sealed, err = t.store.keys.seal(bucket, key, record)
	})
	if err != nil {
		return fmt.Errorf("cannot store a record: %w", err)
	}
	t.changed = true
	return b.Put(key, sealed)
}

// Delete removes the record under key, if there is one.
func (t *Tx) Delete(bucket string, key []byte) error {
	b, err := t.bucket(bucket)
	if err != nil {
		return err
	}
	t.changed = true
	return b.Delete(key)
}

// Each calls f for the records of a bucket in the order of their keys, from the
// first one at or after from on, until f returns false or fails. decode is Get
// for the record at hand. The key must not be kept, nor the bucket changed.
func (t *Tx) Each(bucket string, from []byte, f func(key []byte, decode func(v any) error) (more bool, err error)) error {
	b, err := t.bucket(bucket)
	if err != nil {
		return err
	}
	c := b.Cursor()
	for k, sealed := c.Seek(from); k != nil; k, sealed = c.Next() {
		more, err := f(k, func(v any) error { return t.decode(bucket, k, sealed, v) })
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// First is the lowest key of a bucket, a copy; nil if there is none.
func (t *Tx) First(bucket string) ([]byte, error) {
	b, err := t.bucket(bucket)
	if err != nil {
		return nil, err
	}
	k, _ := b.Cursor().First()
	return append([]byte(nil), k...), nil
}
