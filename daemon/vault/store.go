// Package vault is the live vault of one user: keyslots, classes, accounts,
// generations and the counter journal, in one folder. The format is
// daemon/archive's; this package decides what is written when, and which file
// is believed.
package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/secret"
	"github.com/tokenbridge/tokend/tokens"
)

// The names in a vault's folder.
const (
	vaultName       = "vault.tokend"
	journalName     = "counters.journal"
	lockName        = "lock"
	generationsName = "generations"
	keyFilesName    = "soft"
)

const (
	defaultKeep  = 8
	keyFileLimit = 64 << 10
)

// Store is the folder of one vault, held exclusively by this process. Its
// methods may be called from several goroutines.
type Store struct {
	fs      FS
	dir     string
	pinFile string
	now     func() time.Time
	rand    io.Reader
	keep    int
	logN    int
	onWrite func(Write)

	mu   sync.RWMutex // held for writing while the vault's file is being replaced
	lock io.Closer
	// revision counts what was written to the vault or its journal, under mu. A
	// Vault knows the one that it stands on, and writes nothing over another's.
	revision uint64
}

// OpenStore takes the folder; it fails with ErrBusy when another process has
// it. A vault need not exist. Files left by an interrupted write are removed.
func OpenStore(o Options) (*Store, error) {
	s := &Store{fs: o.FS, dir: o.Dir, pinFile: o.PinFile, now: o.Now, rand: o.Rand, keep: o.KeepGenerations, logN: o.ScryptLogN, onWrite: o.OnWrite}
	if s.dir == "" || s.pinFile == "" {
		return nil, fmt.Errorf("%w: a store needs a folder and a pin file", ErrInvalid)
	}
	if s.fs == nil {
		s.fs = OS{}
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.rand == nil {
		s.rand = rand.Reader
	}
	if s.onWrite == nil {
		s.onWrite = func(Write) {}
	}
	if s.keep == 0 {
		s.keep = defaultKeep
	}
	if s.logN == 0 {
		s.logN = archive.DefaultScryptLogN
	}
	for _, d := range []string{s.dir, s.generations(), s.undos(), filepath.Join(s.dir, keyFilesName), filepath.Dir(s.pinFile)} {
		if err := s.fs.MkdirAll(d, 0o700); err != nil {
			return nil, diskError("make the vault's folder", err)
		}
	}
	lock, err := s.fs.Lock(filepath.Join(s.dir, lockName))
	if err != nil {
		return nil, diskError("take the vault's folder", err)
	}
	s.lock = lock
	// The pin's folder can be shared with other vaults, whose writes are not
	// ours to clear away: its temporary file is simply written over.
	for _, d := range []string{s.dir, s.generations(), s.undos(), filepath.Join(s.dir, keyFilesName)} {
		if err := removeTemps(s.fs, d); err != nil {
			return nil, errors.Join(diskError("clear the vault's folder", err), lock.Close())
		}
	}
	return s, nil
}

// Close lets go of the folder. A Vault that is open must be locked before; one
// that is not, and whoever still has the Store, reads and writes nothing there any
// more.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return nil
	}
	err := s.lock.Close()
	s.lock = nil
	s.revision++
	return diskError("let go of the vault's folder", err)
}

// held says that the folder is this Store's still; it needs s.mu.
func (s *Store) held() error {
	if s.lock == nil {
		return fmt.Errorf("%w: its folder was let go", ErrConflict)
	}
	return nil
}

func (s *Store) vaultFile() string   { return filepath.Join(s.dir, vaultName) }
func (s *Store) generations() string { return filepath.Join(s.dir, generationsName) }
func (s *Store) keyFile(id string) string {
	return filepath.Join(s.dir, keyFilesName, id+".key")
}

// Exists says whether there is a vault, damaged or not.
func (s *Store) Exists() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, err := readFile(s.fs, s.vaultFile(), 1)
	return !errors.Is(err, fs.ErrNotExist) || len(s.earlier()) > 0
}

// lookOnly is a revision that no store has: a Vault that stands on it writes
// nothing.
const lookOnly = math.MaxUint64

// standing is the revision as it is now.
func (s *Store) standing() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.revision
}

// loaded is a container that passed the pin, and how it came to be chosen.
type loaded struct {
	archive *archive.Archive
	// problem is why the newest one was not taken; nil when this is it.
	problem  error
	pin      *pin
	revision uint64 // the store's when it was read
}

// load finds the container to open: the newest, or when that is damaged the
// newest intact one of the same epoch. A container that is intact but not the
// pinned vault is refused: falling back would hide what happened.
func (s *Store) load() (*loaded, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.loadLocked(false)
}

// loadLocked is load; with search even a replaced or rolled back newest is
// passed over, which only Recover wants.
func (s *Store) loadLocked(search bool) (*loaded, error) {
	if err := s.held(); err != nil {
		return nil, err
	}
	l, err := s.choose(search)
	if err == nil {
		l.revision = s.revision
	}
	return l, err
}

func (s *Store) choose(search bool) (*loaded, error) {
	a, problem := s.newest()
	if errors.Is(problem, fs.ErrNotExist) {
		if len(s.earlier()) == 0 {
			return nil, ErrNoVault
		}
		problem = fmt.Errorf("%w: the vault's file is missing", ErrDamaged)
	}
	if errors.Is(problem, ErrNewer) {
		return nil, problem
	}
	p, err := s.readPin()
	if err != nil {
		if search && errors.Is(err, ErrNoPin) && a != nil {
			return &loaded{archive: a, problem: err}, nil
		}
		return nil, err
	}
	if a != nil {
		problem = p.admit(a.Manifest, false)
		if problem == nil {
			return &loaded{archive: a, pin: p}, nil
		}
		if !search {
			return nil, problem
		}
		if p.admit(a.Manifest, true) != nil {
			a = nil
		}
	}
	if best := s.bestEarlier(p); best != nil && (a == nil || best.Manifest.Generation > a.Manifest.Generation) {
		a = best
	}
	if a == nil {
		return nil, problem
	}
	return &loaded{archive: a, problem: problem, pin: p}, nil
}

// bestEarlier is the newest intact generation of the pinned epoch among those
// that were kept, nil when there is none. A name counts only as far as what is
// signed says the same: an old vault put in place of the newest was kept under
// the newest's name.
func (s *Store) bestEarlier(p *pin) *archive.Archive {
	var best *archive.Archive
	for _, g := range s.earlier() {
		if best != nil && best.Manifest.Generation >= g.number {
			break
		}
		a, err := s.parseFile(filepath.Join(s.generations(), g.name))
		if err == nil && p.admit(a.Manifest, true) == nil && (best == nil || a.Manifest.Generation > best.Manifest.Generation) {
			best = a
		}
	}
	return best
}

func (s *Store) newest() (*archive.Archive, error) { return s.parseFile(s.vaultFile()) }

// parseFile reads one container. A file that cannot be read at all is as good
// as damaged; one that is missing is fs.ErrNotExist.
func (s *Store) parseFile(path string) (*archive.Archive, error) {
	data, err := readFile(s.fs, path, archive.MaxSize+1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: cannot read it: %w", ErrDamaged, err)
	}
	a, err := archive.Parse(data)
	if errors.Is(err, ErrNotArchive) {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return a, err
}

// Head reads what can be read without any key; ErrNoVault when there is none.
func (s *Store) Head() (Head, error) {
	l, err := s.load()
	if err != nil {
		return Head{}, err
	}
	h := headOf(l.archive)
	h.Problem = l.problem
	s.fillKeyFiles(h.Slots)
	return h, nil
}

// RecoverHead is Head for what Recover would open: also where Head fails because
// the pin is lost, or the newest is another vault or an old one; Problem says so.
func (s *Store) RecoverHead() (Head, error) {
	s.mu.RLock()
	l, err := s.loadLocked(true)
	s.mu.RUnlock()
	if err != nil {
		return Head{}, err
	}
	h := headOf(l.archive)
	h.Problem = l.problem
	s.fillKeyFiles(h.Slots)
	return h, nil
}

// HeadOf is Head for the bytes of a backup.
func HeadOf(data []byte) (Head, error) {
	a, err := archive.Parse(data)
	if err != nil {
		return Head{}, fmt.Errorf("cannot read the backup: %w", err)
	}
	return headOf(a), nil
}

func headOf(a *archive.Archive) Head {
	var signed []string
	for _, s := range a.Header.Succession {
		signed = append(signed, s.From)
	}
	return Head{VaultID: a.Header.VaultID, Epoch: a.Header.Epoch, Generation: a.Manifest.Generation,
		Written: a.Manifest.Time, Signer: a.Manifest.Signer, Slots: slotsOf(a.Header.Keyslots),
		Signed: signed, RecoverySet: a.Header.RecoverySet}
}

func slotsOf(list []archive.Keyslot) []Slot {
	out := make([]Slot, 0, len(list))
	for _, k := range list {
		s := Slot{ID: k.ID, Kind: tokens.Kind(k.Kind), Label: k.Label, Description: k.Label,
			Model: k.Model, Serial: k.Serial, Added: k.Added}
		for _, key := range k.Keys {
			s.Keys = append(s.Keys, tokenKey(key))
		}
		out = append(out, s)
	}
	return out
}

func tokenKey(k archive.Key) tokens.Key {
	return tokens.Key{Kind: tokens.Kind(k.Kind), Class: tokens.Class(k.Class),
		Algorithm: tokens.Algorithm(k.Algorithm), Public: k.Public, Params: k.Params}
}

// FillKeyFiles gives the keyslots of a backup the key files that are here. They
// are in no backup, and stay where the vault is damaged or lost.
func (s *Store) FillKeyFiles(slots []Slot) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.fillKeyFiles(slots)
}

func (s *Store) fillKeyFiles(slots []Slot) {
	for i := range slots {
		if slots[i].Kind != tokens.KindSoft {
			continue
		}
		// A missing file leaves the slot without: it cannot be used here, which
		// is what a vault restored from a backup is like.
		data, err := readFile(s.fs, s.keyFile(slots[i].ID), keyFileLimit)
		if err == nil {
			slots[i].KeyFile = data
		}
	}
}

// SetKeyFile replaces the sealed key file of a software token's keyslot, after
// its passphrase was changed.
func (s *Store) SetKeyFile(slotID string, data []byte) error {
	h, err := s.Head()
	if err != nil {
		return err
	}
	for _, slot := range h.Slots {
		if slot.ID == slotID && slot.Kind == tokens.KindSoft {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.writeKeyFile(slotID, data)
		}
	}
	return fmt.Errorf("%w: %s is no software token", ErrNoKeyslot, slotID)
}

// DropKeyFile removes the key file of a software token whose keyslot never came
// to be, or is gone. ErrConflict where the vault has the keyslot.
func (s *Store) DropKeyFile(slotID string) error {
	if !archive.ValidSlotID(slotID) {
		return fmt.Errorf("%w: no keyslot's id", ErrInvalid)
	}
	h, err := s.Head()
	if err != nil && !errors.Is(err, ErrNoVault) {
		return err
	}
	for _, slot := range h.Slots {
		if slot.ID == slotID {
			return fmt.Errorf("%w: keyslot %s is in use", ErrConflict, slotID)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return diskError("remove the software token's key file", remove(s.fs, s.keyFile(slotID)))
}

func (s *Store) writeKeyFile(slotID string, data []byte) error {
	if err := s.held(); err != nil {
		return err
	}
	if len(data) == 0 || len(data) > keyFileLimit {
		return fmt.Errorf("%w: a key file of %d bytes", ErrInvalid, len(data))
	}
	_, err := replaceFile(s.fs, s.keyFile(slotID), data)
	return diskError("write the software token's key file", err)
}

// Unlock opens the session class. When the newest generation is damaged the one
// before is opened, and the Vault is read-only. What another Vault of this store
// wrote while the token was waited for is taken in; ErrConflict where its keys
// were rotated.
func (s *Store) Unlock(ctx context.Context, w Way) (*Vault, error) {
	l, err := s.load()
	if err != nil {
		return nil, fmt.Errorf("cannot open the vault: %w", err)
	}
	c, err := open(ctx, l.archive, w)
	if err != nil {
		return nil, err
	}
	if l, c, err = s.catchUp(l, c); err != nil {
		return nil, fmt.Errorf("cannot open the vault: %w", err)
	}
	v, err := s.newVault(l, c)
	if err != nil {
		return nil, err
	}
	if l.problem == nil {
		v.pin = s.settle(l)
		v.replayJournal()
	} else {
		v.replayReadOnly()
	}
	return v, nil
}

// catchUp replaces what was opened by what is there now, where another Vault of
// this store wrote in between. c is wiped when another is returned.
func (s *Store) catchUp(l *loaded, c *archive.Contents) (*loaded, *archive.Contents, error) {
	if s.standing() == l.revision {
		return l, c, nil
	}
	defer c.Wipe()
	now, err := s.load()
	if err != nil {
		return nil, nil, err
	}
	if now.archive.Header.VaultID != l.archive.Header.VaultID || now.archive.Header.Epoch != l.archive.Header.Epoch {
		return nil, nil, fmt.Errorf("%w: its keys were rotated", ErrConflict)
	}
	var fresh *archive.Contents
	secret.Do(func() { fresh, err = now.archive.OpenSession(c.Keys().SessionKey) })
	if err != nil {
		return nil, nil, err
	}
	return now, fresh, nil
}

// settle finishes what a crash after the last write left: the pin, and the
// generations of earlier epochs. Where it fails it is done again at the next
// opening. It returns the pin that goes with the vault.
func (s *Store) settle(l *loaded) *pin {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := l.archive.Manifest
	now := l.pin.follow(m)
	if l.revision != s.revision {
		return &now // no longer the newest: it has nothing to finish
	}
	if l.pin.Next != nil || l.pin.Generation != m.Generation {
		if err := s.writePin(now); err != nil {
			return &now
		}
	}
	_ = s.prune(m.Epoch, m.Generation)
	_ = s.pruneUndos(m.Epoch, m.Generation)
	return &now
}
