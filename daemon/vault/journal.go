package vault

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// The counter journal: fixed records of 40 bytes. The first names the journal,
// each other one says what an account's next HOTP counter is:
//
//	0  8  "TKDJRNL1"     account id
//	8  8  journal id     next counter, big endian
//	16 8  zero           number of the record, from 1, big endian
//	24 16 HMAC-SHA-256, cut to 16 bytes
//
// Counters are absolute, so applying a record twice, or one that is folded in
// already, changes nothing.
const (
	journalMagic  = "TKDJRNL1"
	journalRecord = 40
	journalBody   = 24
	journalLimit  = 16 << 20
	// journalFold is after how many records the counters are folded into the
	// vault although nothing else changed.
	journalFold = 10_000
	// CounterMargin is how far HOTP counters skip when some may have been handed
	// out that nothing here knows of. It is below the look-ahead of 10 that
	// verifiers commonly have: if none was, the next code is still accepted.
	CounterMargin = 8
)

// journal is the open vault's counter journal. Its file is opened for each
// record: that costs little beside the fsync, and lets the file be replaced on
// systems that do not replace open ones.
type journal struct {
	fs      FS
	path    string
	key     []byte // of the vault's keyring; its own copy is not needed
	vaultID string
	id      string // the journal that goes with the accounts
	disk    string // the one that the file holds; empty if none that is ours
	records int64
	dirty   bool // bytes after the last record have to be cut off first
}

// replayed is what a journal's bytes say.
type replayed struct {
	id       string // empty when the file is no journal under this key
	claimed  string // the id that it names, whatever its MAC
	counters map[string]uint64
	records  int64 // whole records after the first, good or bad
	broken   int   // records in the middle that are not what was written
	tail     bool  // bytes after the last record that a crash left
}

func journalMAC(key []byte, vaultID, id string, body []byte) []byte {
	m := hmac.New(sha256.New, key)
	fmt.Fprintf(m, "tokend vault v1 journal\n%s\n%s\n", vaultID, id)
	m.Write(body)
	return m.Sum(nil)[:journalRecord-journalBody]
}

func journalStart(key []byte, vaultID, id string) ([]byte, error) {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != 8 {
		return nil, fmt.Errorf("%w: no id", ErrJournal)
	}
	rec := make([]byte, 0, journalRecord)
	rec = append(append(append(rec, journalMagic...), raw...), make([]byte, 8)...)
	return append(rec, journalMAC(key, vaultID, id, rec)...), nil
}

func journalEntry(key []byte, vaultID, id, account string, counter uint64, number int64) ([]byte, error) {
	raw, err := hex.DecodeString(account)
	if err != nil || len(raw) != 8 {
		return nil, fmt.Errorf("%w: no account id", ErrJournal)
	}
	rec := append(make([]byte, 0, journalRecord), raw...)
	rec = binary.BigEndian.AppendUint64(rec, counter)
	rec = binary.BigEndian.AppendUint64(rec, uint64(number))
	return append(rec, journalMAC(key, vaultID, id, rec)...), nil
}

// replay reads a journal's bytes. It never fails: what cannot be believed is
// counted.
func replay(data, key []byte, vaultID string) replayed {
	r := replayed{counters: map[string]uint64{}}
	if len(data) < journalRecord || string(data[:8]) != journalMagic {
		return r
	}
	id := hex.EncodeToString(data[8:16])
	r.claimed = id
	if !hmac.Equal(journalMAC(key, vaultID, id, data[:journalBody]), data[journalBody:journalRecord]) {
		return r
	}
	r.id = id
	rest := data[journalRecord:]
	// A write that a crash cut short leaves part of a record, or zeros where
	// the size was on disk before the data.
	for len(rest) >= journalRecord && allZero(rest[len(rest)/journalRecord*journalRecord-journalRecord:]) {
		rest = rest[:len(rest)/journalRecord*journalRecord-journalRecord]
		r.tail = true
	}
	if len(rest)%journalRecord != 0 {
		r.tail = true
	}
	for len(rest) >= journalRecord {
		rec := rest[:journalRecord]
		rest = rest[journalRecord:]
		r.records++
		good := hmac.Equal(journalMAC(key, vaultID, id, rec[:journalBody]), rec[journalBody:]) &&
			binary.BigEndian.Uint64(rec[16:]) == uint64(r.records)
		if !good {
			r.broken++
			continue
		}
		account := hex.EncodeToString(rec[:8])
		r.counters[account] = max(r.counters[account], binary.BigEndian.Uint64(rec[8:]))
	}
	return r
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// load reads the file and remembers what it is.
func (j *journal) load() (replayed, error) {
	data, err := readFile(j.fs, j.path, journalLimit)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return replayed{}, diskError("read the counter journal", err)
	}
	r := replay(data, j.key, j.vaultID)
	j.disk, j.records, j.dirty = r.id, r.records, r.tail
	return r, nil
}

// reset starts the journal that goes with the accounts, empty.
func (j *journal) reset() error {
	start, err := journalStart(j.key, j.vaultID, j.id)
	if err != nil {
		return err
	}
	done, err := replaceFile(j.fs, j.path, start)
	if done {
		j.disk, j.records, j.dirty = j.id, 0, false
	}
	return diskError("start the counter journal", err)
}

// append writes and syncs one record. When it fails the record is not counted;
// the next one is written over what may be left of it.
func (j *journal) append(account string, counter uint64) (err error) {
	if j.disk != j.id {
		if err := j.reset(); err != nil {
			return err
		}
	}
	rec, err := journalEntry(j.key, j.vaultID, j.id, account, counter, j.records+1)
	if err != nil {
		return err
	}
	f, err := j.fs.OpenFile(j.path, os.O_RDWR, 0o600)
	if err != nil {
		return diskError("write the counter journal", err)
	}
	end := (j.records + 1) * journalRecord
	if end+journalRecord > journalLimit {
		return errors.Join(fmt.Errorf("%w: it is full and could not be folded in", ErrJournal), f.Close())
	}
	defer func() {
		if err != nil {
			// Best effort: the record was not answered for, so it need not stay.
			_ = f.Truncate(end)
		}
		if cerr := f.Close(); err == nil {
			err = diskError("write the counter journal", cerr)
		}
		j.dirty = err != nil
		if err == nil {
			j.records++
		}
	}()
	if j.dirty {
		if err := f.Truncate(end); err != nil {
			return diskError("mend the counter journal", err)
		}
	}
	if n, err := f.WriteAt(rec, end); err != nil || n != len(rec) {
		return diskError("write the counter journal", errors.Join(err, short(n, len(rec))))
	}
	return diskError("write the counter journal", f.Sync())
}

func short(n, want int) error {
	if n < want {
		return fmt.Errorf("%d of %d bytes written", n, want)
	}
	return nil
}
