package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// The bucket that is not sealed: what must be known before the key is.
const (
	metaBucket = "meta"
	// formatKey holds the version.
	formatKey = "format"
	// checkKey holds a sum over a sealed record, and that record. A record that
	// is whole by its sum and does not open was sealed by another key.
	checkKey = "check"

	version = "1"
)

// begin makes the buckets and the check record of a new registry.
func (s *Store) begin(buckets []string) error {
	sealed, err := s.keys.seal(metaBucket, []byte(checkKey), []byte(format))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(sealed)
	err = s.Update(func(t *Tx) error {
		if first, _ := t.tx.Cursor().First(); first != nil {
			return ErrExists
		}
		meta, err := t.tx.CreateBucket([]byte(metaBucket))
		if err != nil {
			return err
		}
		for _, name := range buckets {
			if _, err := t.tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		t.changed = true
		return errors.Join(meta.Put([]byte(formatKey), []byte(version)), meta.Put([]byte(checkKey), append(sum[:], sealed...)))
	})
	if err != nil {
		return err
	}
	return syncFolderOf(s.db.Path())
}

// check says whether this is a registry of ours, and sealed by this key.
func (s *Store) check() error {
	return s.View(func(t *Tx) error {
		meta := t.tx.Bucket([]byte(metaBucket))
		if meta == nil {
			return ErrNone // the program ended before the first change was stored
		}
		if v := meta.Get([]byte(formatKey)); !bytes.Equal(v, []byte(version)) {
			if len(v) == 0 {
				return ErrDamaged
			}
			return fmt.Errorf("%w: it has format %.8q", ErrNewer, v)
		}
		record := meta.Get([]byte(checkKey))
		if len(record) < sha256.Size {
			return ErrDamaged
		}
		sealed := record[sha256.Size:]
		if sum := sha256.Sum256(sealed); !bytes.Equal(sum[:], record[:sha256.Size]) {
			return ErrDamaged
		}
		said, err := s.keys.open(metaBucket, []byte(checkKey), sealed)
		if errors.Is(err, ErrDamaged) {
			return ErrWrongKey
		}
		if err == nil && !bytes.Equal(said, []byte(format)) {
			err = ErrDamaged
		}
		return err
	})
}

// What is known of bbolt's file: two meta pages of which the newer whole one
// counts (bbolt, internal/common/meta.go). Of a file that was cut off, bbolt would
// read beyond the end.
const (
	pageSize   = 4096
	metaOffset = 16 // of the meta in its page
	metaSize   = 64
	boltMagic  = 0xED0CDAED
)

// looksWhole says whether the file at path has a registry's beginning and is as
// long as that says. It is false without an error for an empty file. It fails
// with ErrNone where there is no file, and with ErrDamaged.
func looksWhole(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, ErrNone
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, fmt.Errorf("%w: it is no file", ErrDamaged)
	}
	if info.Size() == 0 {
		return false, nil
	}
	var newest, pages uint64
	for page := range 2 {
		txid, high, ok := readMeta(io.NewSectionReader(f, int64(page)*pageSize+metaOffset, metaSize))
		if ok && (pages == 0 || txid > newest) {
			newest, pages = txid, high
		}
	}
	if pages == 0 {
		return false, fmt.Errorf("%w: its beginning is not a registry's", ErrDamaged)
	}
	if uint64(info.Size())/pageSize < pages {
		return false, fmt.Errorf("%w: it is cut off, %d bytes of %d are there", ErrDamaged, info.Size(), pages*pageSize)
	}
	return true, nil
}

// readMeta returns a meta page's transaction, and the number of pages in use.
func readMeta(r io.Reader) (txid, pages uint64, ok bool) {
	var b [metaSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, 0, false
	}
	order := binary.NativeEndian // bbolt writes what it has in memory
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	if order.Uint32(b[0:]) != boltMagic || order.Uint32(b[8:]) != pageSize || order.Uint64(b[56:]) != sum.Sum64() {
		return 0, 0, false
	}
	return order.Uint64(b[48:]), order.Uint64(b[40:]), true
}
