package store

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/tokenbridge/tokend/daemon/secret"
)

// recordVersion begins every sealed record, so that records can change their form
// one by one.
const recordVersion = 1

// format names the version of the file in everything that is derived and sealed.
const format = "tokend registry 1"

// Key is where a record lies in its bucket.
type Key [16]byte

// keys are what the authority key is used for: never itself.
type keys struct {
	record *secret.Buffer // seals records
	index  *secret.Buffer // makes Keys of names
}

func deriveKeys(authority *secret.Buffer) (*keys, error) {
	derive := func(purpose string) (*secret.Buffer, error) {
		var b []byte
		err := authority.Use(func(k []byte) (err error) {
			b, err = hkdf.Key(sha256.New, k, nil, format+": "+purpose, chacha20poly1305.KeySize)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("cannot derive the keys of the registry: %w", err)
		}
		return secret.From(b), nil
	}
	record, err := derive("records")
	if err != nil {
		return nil, err
	}
	index, err := derive("index")
	if err != nil {
		record.Wipe()
		return nil, err
	}
	return &keys{record: record, index: index}, nil
}

func (k *keys) wipe() {
	k.record.Wipe()
	k.index.Wipe()
}

// key is the place of the record with a name, so that the file shows none: 128
// bits of an HMAC over bucket and name.
func (k *keys) key(bucket, name string) (Key, error) {
	var out Key
	err := k.index.Use(func(secret []byte) error {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(bucket))
		mac.Write([]byte{0}) // no bucket's name has one
		mac.Write([]byte(name))
		copy(out[:], mac.Sum(nil))
		return nil
	})
	return out, err
}

// seal encrypts a record for its place: version, nonce and ciphertext. It opens
// there and nowhere else.
func (k *keys) seal(bucket string, key, record []byte) ([]byte, error) {
	const head = 1 + chacha20poly1305.NonceSizeX
	out := make([]byte, head, head+len(record)+chacha20poly1305.Overhead)
	out[0] = recordVersion
	if _, err := rand.Read(out[1:]); err != nil {
		return nil, fmt.Errorf("cannot seal a record: %w", err)
	}
	err := k.record.Use(func(secret []byte) error {
		aead, err := chacha20poly1305.NewX(secret)
		if err != nil {
			return err
		}
		out = aead.Seal(out, out[1:], record, place(bucket, key))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot seal a record: %w", err)
	}
	return out, nil
}

// open decrypts; the result is the caller's to wipe. It fails with ErrDamaged, or
// with ErrNewer for a form of record that is not known here.
func (k *keys) open(bucket string, key, sealed []byte) ([]byte, error) {
	const head = 1 + chacha20poly1305.NonceSizeX
	if len(sealed) < head+chacha20poly1305.Overhead {
		return nil, ErrDamaged
	}
	if sealed[0] > recordVersion {
		return nil, ErrNewer
	}
	var record []byte
	err := k.record.Use(func(secret []byte) error {
		aead, err := chacha20poly1305.NewX(secret)
		if err != nil {
			return err
		}
		if record, err = aead.Open(nil, sealed[1:head], sealed[head:], place(bucket, key)); err != nil {
			return ErrDamaged
		}
		return nil
	})
	return record, err
}

func place(bucket string, key []byte) []byte {
	ad := make([]byte, 0, len(format)+len(bucket)+len(key)+3)
	ad = append(ad, recordVersion)
	ad = append(ad, format...)
	ad = append(ad, 0)
	ad = append(ad, bucket...)
	ad = append(ad, 0)
	return append(ad, key...)
}
