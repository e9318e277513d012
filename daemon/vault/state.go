package vault

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/secret"
)

// keyring is the vault's keys in locked memory.
type keyring struct {
	*archive.Keys
	buf *secret.Buffer
}

// newKeyring moves the secrets of k into locked memory; k is used on.
func newKeyring(k *archive.Keys) (*keyring, error) {
	n1, n2, n3 := len(k.SessionKey), len(k.SigningKey), len(k.JournalKey)
	buf, err := secret.NewBuffer(n1 + n2 + n3)
	if err != nil {
		return nil, fmt.Errorf("cannot keep the keys: %w", err)
	}
	b := buf.Bytes()
	copy(b, k.SessionKey)
	copy(b[n1:], k.SigningKey)
	copy(b[n1+n2:], k.JournalKey)
	out := *k
	k.Wipe()
	out.SessionKey = b[:n1:n1]
	out.SigningKey = ed25519.PrivateKey(b[n1 : n1+n2 : n1+n2])
	out.JournalKey = b[n1+n2:]
	return &keyring{&out, buf}, nil
}

// with returns the same keys with other public parts.
func (k *keyring) with(change func(*archive.Keys)) *keyring {
	out := *k.Keys
	out.Slots = slices.Clone(k.Slots)
	change(&out)
	return &keyring{&out, k.buf}
}

// state is an open vault between two writes. A write makes a new one and puts
// it in place of the old; only HOTP counters change in between.
type state struct {
	parts    archive.Parts // the encoded members as they are on disk
	manifest archive.Manifest
	keys     *keyring
	records  []archive.Record
	device   []byte         // of device.age: see Vault.ChangeDevice
	arena    *secret.Buffer // holds what the records' secrets and device point at
	index    map[string]int
	// counters are the next HOTP counters by account id. They alone change
	// between two writes, under the Vault's mu; the records' own lag behind.
	counters map[string]uint64
	// older says that the members on disk are of an older format version: the
	// next write has to make all of them anew.
	older bool
	// journal goes with the accounts as they were written, before is folded in.
	journal, before string
}

func newState(a *archive.Archive, c *archive.Contents) (*state, error) {
	keys, err := newKeyring(c.Keys())
	if err != nil {
		return nil, err
	}
	st := &state{parts: a.Parts(), manifest: a.Manifest, keys: keys, older: a.Version != archive.Version,
		journal: c.Session().Journal, before: c.Session().JournalBefore, counters: map[string]uint64{}}
	for i := range c.Session().Records {
		if r := &c.Session().Records[i]; r.Type == "hotp" {
			st.counters[r.ID] = r.Counter
		}
	}
	st.device = c.Session().Device
	if err := st.setRecords(c.Session().Records); err != nil {
		keys.buf.Wipe()
		return nil, err
	}
	return st, nil
}

// setRecords takes over the records with their secrets, and the device's state,
// copied to locked memory of their own.
func (st *state) setRecords(list []archive.Record) error {
	n := len(st.device)
	for i := range list {
		n += secretSize(&list[i])
	}
	arena, err := secret.NewBuffer(n)
	if err != nil {
		return fmt.Errorf("cannot keep the secrets: %w", err)
	}
	st.records = slices.Clone(list)
	st.index = make(map[string]int, len(list))
	rest := arena.Bytes()
	for i := range st.records {
		r := &st.records[i]
		st.index[r.ID] = i
		rest = moveSecrets(r, rest)
	}
	if st.device != nil {
		k := copy(rest, st.device)
		st.device = rest[:k:k]
	}
	st.arena = arena
	return nil
}

// secretSize is how much room a record's secrets take.
func secretSize(r *archive.Record) int {
	n := len(r.Secret)
	if r.Issued != nil {
		n += len(r.Issued.Key)
	}
	return n
}

// moveSecrets copies a record's secrets to the beginning of room, lets the record
// point there, and returns what is left of room.
func moveSecrets(r *archive.Record, room []byte) []byte {
	if r.Secret != nil {
		k := copy(room, r.Secret)
		r.Secret, room = room[:k:k], room[k:]
	}
	if r.Issued != nil {
		own := *r.Issued
		k := copy(room, own.Key)
		own.Key, room = room[:k:k], room[k:]
		r.Issued = &own
	}
	return room
}

func (st *state) record(id string) (*archive.Record, error) {
	i, ok := st.index[id]
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	return &st.records[i], nil
}

// touchAccounts counts the accounts whose secret is sealed to the touch key.
func (st *state) touchAccounts() int {
	n := 0
	for i := range st.records {
		if st.records[i].Touch != nil {
			n++
		}
	}
	return n
}

// draft is the next state in the making.
type draft struct {
	state
	// records, keys and recipients say what has to be encrypted again.
	recordsChanged, keysChanged bool
	// setCounters are counters that the user set.
	setCounters map[string]uint64
	// raised are counters that are not to be below these.
	raised map[string]uint64
	// undo is what takes the change back, nil for most.
	undo *archive.Undo
	// ownArena and ownKeys say that these are the draft's own.
	ownArena, ownKeys bool
}

func (st *state) draft() *draft {
	d := &draft{state: *st, setCounters: map[string]uint64{}}
	d.recordsChanged, d.keysChanged, d.older = st.older, st.older, false
	return d
}

// setRecords replaces the accounts.
func (d *draft) setRecords(list []archive.Record) error {
	mine, own := d.arena, d.ownArena
	if err := d.state.setRecords(list); err != nil {
		return err
	}
	if own {
		mine.Wipe()
	}
	d.recordsChanged, d.ownArena = true, true
	return nil
}

// setKeys replaces the keys.
func (d *draft) setKeys(k *archive.Keys) error {
	ring, err := newKeyring(k)
	if err != nil {
		return err
	}
	d.keys, d.keysChanged, d.ownKeys = ring, true, true
	return nil
}

// drop wipes what only the draft has, when it comes to nothing.
func (d *draft) drop() {
	if d.ownArena {
		d.arena.Wipe()
	}
	if d.ownKeys {
		d.keys.buf.Wipe()
	}
}

// build encodes and encrypts what changed and builds the container. Call it
// inside secret.Do.
func (d *draft) build(rnd io.Reader, onDisk string) ([]byte, error) {
	p, k := &d.parts, d.keys
	known := map[string]archive.Member{}
	for _, m := range d.manifest.Members {
		if m.Name == archive.SessionMember && !d.recordsChanged {
			known[m.Name] = m // the large one, whose hash need not be made again
		}
	}
	if d.keysChanged {
		raw, err := archive.EncodeKeys(k.Keys)
		if err != nil {
			return nil, err
		}
		p.Keys, err = archive.Encrypt(raw, recipient(k.SessionKey), k.RecoveryRecipient)
		clear(raw)
		if err != nil {
			return nil, err
		}
	}
	if d.recordsChanged {
		if err := d.buildRecords(rnd, onDisk); err != nil {
			return nil, err
		}
	}
	p.Known, p.SigningKey = known, k.SigningKey
	data, m, err := archive.Build(*p)
	p.Known, p.SigningKey = nil, nil
	d.manifest = m
	return data, err
}

// buildRecords encrypts the accounts, with the counters as they are now, and
// names the journal that follows.
func (d *draft) buildRecords(rnd io.Reader, onDisk string) error {
	id, err := randomHex(rnd, 8)
	if err != nil {
		return err
	}
	if onDisk == "" {
		onDisk = d.journal
	}
	d.journal, d.before = id, onDisk
	raw, err := archive.EncodeSession(&archive.Session{VaultID: d.parts.Header.VaultID, Journal: id,
		JournalBefore: onDisk, Records: d.records})
	if err != nil {
		return err
	}
	to := recipient(d.keys.SessionKey)
	d.parts.Session, err = archive.Encrypt(raw, to, d.keys.RecoveryRecipient)
	clear(raw)
	if err != nil {
		return err
	}
	raw, err = archive.EncodeDevice(d.parts.Header.VaultID, d.records, d.device)
	if d.parts.Device = nil; err != nil || raw == nil {
		return err
	}
	d.parts.Device, err = archive.Encrypt(raw, to)
	clear(raw)
	return err
}

// recipient is for keys that were read or made by this program; one that does
// not parse gives an empty recipient, to which nothing can be encrypted.
func recipient(identity []byte) string {
	r, err := archive.Recipient(identity)
	if err != nil {
		return "invalid"
	}
	return r
}

func randomBytes(rnd io.Reader, n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(rnd, b); err != nil {
		return nil, fmt.Errorf("cannot draw random bytes: %w", err)
	}
	return b, nil
}

func randomHex(rnd io.Reader, n int) (string, error) {
	b, err := randomBytes(rnd, n)
	return hex.EncodeToString(b), err
}
