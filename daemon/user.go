package daemon

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/tokenbridge/tokend/daemon/audit"
	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// user is what the daemon has of one user: his folder, his vault, his session.
// A folder is made when he makes a vault, not when he asks.
type user struct {
	d   *Daemon
	uid string
	dir string

	change gate // one change of keyslots or of the whole vault at a time
	sess   atomic.Pointer[session]
	locks  atomic.Uint64 // how often he asked for a lock, or the machine did
	steps  steps
	guess  guesses
	waits  waits
	keeper keeper
	grants grants
	asking asking
	agents agents
	// problem is why the vault cannot be used, found at the last unlock.
	problem atomic.Pointer[ipc.Error]

	// pointing is held while checkpointNew works.
	pointing sync.Mutex

	mu     sync.Mutex // guards what follows
	gone   bool
	store  *vault.Store
	folder fs.FileInfo // of dir, as it was when the store was opened
	log    *audit.Log
	logErr error
	told   lastPoint
	notes  *notes
	modes  *modes
	labels map[string]string // of keyslots, as they were when the vault was last open
	handed []backupNote      // backups that were not confirmed yet
}

// The names in a user's folder that are not the vault's.
const (
	auditName = "audit.log"
	notesName = "daemon.json"
)

func newUser(d *Daemon, uid string) *user {
	return &user{
		d: d, uid: uid, dir: filepath.Join(d.cfg.StateDir, "users", uid),
		change: make(gate, 1), guess: guesses{one: make(gate, 1)},
		labels: make(map[string]string),
	}
}

// leaveRemoved lets go of a folder that somebody removed or put another in the
// place of, so that a vault can be made or restored there. While the vault is
// unlocked it stays: what is open may be all that is left of it.
func (u *user) leaveRemoved() {
	if u.sess.Load() != nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.store == nil || u.folder == nil {
		return
	}
	if now, err := os.Lstat(u.dir); err == nil && os.SameFile(now, u.folder) || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return
	}
	u.d.log.Error("the folder of a user's vault was removed or replaced while the daemon ran", "uid", u.uid, "folder", u.dir)
	if err := u.store.Close(); err != nil {
		u.d.log.Warn("cannot let go of a removed folder", "uid", u.uid, "err", err)
	}
	if u.log != nil {
		if err := u.log.Close(); err != nil {
			u.d.log.Warn("cannot close the audit log of a removed folder", "uid", u.uid, "err", err)
		}
	}
	u.store, u.log, u.logErr, u.notes, u.modes, u.folder, u.handed, u.told = nil, nil, nil, nil, nil, nil, nil, lastPoint{}
	clear(u.labels)
	u.problem.Store(nil)
}

// storeIfAny is the user's vault folder, nil where he has none.
func (u *user) storeIfAny() (*vault.Store, error) {
	u.leaveRemoved()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.store == nil && !u.gone {
		if _, err := os.Lstat(u.dir); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
	}
	return u.openStore()
}

// storeOrNew is the user's vault folder, made when missing.
func (u *user) storeOrNew() (*vault.Store, error) {
	u.leaveRemoved()
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.openStore()
}

// openStore needs u.mu.
func (u *user) openStore() (*vault.Store, error) {
	if u.gone {
		return nil, errClosing()
	}
	if u.store != nil {
		return u.store, nil
	}
	store, err := vault.OpenStore(vault.Options{
		Dir:        u.dir,
		PinFile:    filepath.Join(u.d.cfg.StateDir, "pins", u.uid+".json"),
		Now:        u.d.clock.Now,
		Rand:       u.d.cfg.Rand,
		ScryptLogN: u.d.cfg.ScryptLogN,
		OnWrite:    u.wroteVault,
	})
	if err != nil {
		return nil, err
	}
	u.store = store
	if u.folder, err = os.Lstat(u.dir); err != nil {
		u.d.log.Warn("cannot look at the folder of a user's vault", "uid", u.uid, "err", err)
	}
	u.log, u.logErr = audit.Open(filepath.Join(u.dir, auditName), u.d.clock.Now)
	if u.logErr != nil {
		u.d.log.Error("cannot open the audit log", "uid", u.uid, "err", u.logErr)
	}
	u.notes = readNotes(filepath.Join(u.dir, notesName), u.d.log)
	u.modes = readModes(filepath.Join(u.dir, modesName), u.d.log)
	u.settleOpened()
	return store, nil
}

// existing is the user's vault folder with a vault in it.
func (u *user) existing() (*vault.Store, error) {
	store, err := u.storeIfAny()
	if err != nil {
		return nil, mapError(err)
	}
	if store == nil || !store.Exists() {
		return nil, errNoVault()
	}
	return store, nil
}

// close locks the vault and lets go of the folder.
func (u *user) close() error {
	u.lock("the daemon is stopping")
	u.mu.Lock()
	defer u.mu.Unlock()
	u.gone = true
	var err error
	if u.log != nil {
		err = u.log.Close()
	}
	if u.store != nil {
		err = errors.Join(err, u.store.Close())
	}
	u.log, u.store = nil, nil
	return err
}

// alone waits for the user's other changes to end.
func (u *user) alone(ctx context.Context) (leave func(), err error) {
	leave, err = u.change.enter(ctx)
	if err != nil {
		return nil, mapError(err)
	}
	return leave, nil
}

// entry is what the daemon puts into the audit log: ids, never names.
type entry struct {
	action string
	object string
	by     ipc.Principal
	ok     bool
	detail string
	sync   bool // on disk before the call is answered
}

// audit writes an entry. A log that cannot be written stops no work; it is
// reported by the doctor and in the daemon's own log.
func (u *user) audit(e entry) {
	outcome := "ok"
	if !e.ok {
		outcome = "failed"
	}
	u.d.cfg.Metrics.Actions.Inc(e.action, outcome)
	u.mu.Lock()
	log := u.log
	u.mu.Unlock()
	if log == nil {
		return
	}
	by, from := e.by.UID, ""
	if by == "" {
		by = "tokend"
	} else {
		from = e.by.From()
	}
	err := log.Append(audit.Entry{
		Action: e.action, Object: e.object, By: by, From: from, OK: e.ok, Detail: e.detail, Sync: e.sync,
	})
	u.mu.Lock()
	was := u.logErr
	u.logErr = err
	u.mu.Unlock()
	if err != nil && was == nil { // once, not for every code
		u.d.log.Error("cannot write the audit log", "uid", u.uid, "err", err)
	}
}

// auditResult writes how a call ended; of a failure it keeps the kind alone.
func (u *user) auditResult(p ipc.Principal, action, object string, err error) {
	e := entry{action: action, object: object, by: p, ok: err == nil, sync: true}
	if err != nil {
		e.detail = string(mapError(err).Kind)
	}
	u.audit(e)
}

// slots is the user's keyslots: with their labels while the vault is open, or
// with those remembered from when it was.
func (u *user) slots() []vault.Slot {
	if s := u.sess.Load(); s != nil {
		if list := s.vault.Slots(); len(list) > 0 { // none, where it was locked meanwhile
			u.mu.Lock()
			defer u.mu.Unlock()
			clear(u.labels)
			for _, slot := range list {
				u.labels[slot.ID] = slot.Label
			}
			return list
		}
	}
	store, err := u.storeIfAny()
	if err != nil || store == nil || !store.Exists() {
		return nil
	}
	head, err := store.Head()
	if err != nil {
		return nil
	}
	return u.labelled(head.Slots)
}

// labelled gives keyslots of a vault that is not open the labels remembered.
func (u *user) labelled(slots []vault.Slot) []vault.Slot {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, slot := range slots {
		if label := u.labels[slot.ID]; label != "" {
			slots[i].Label = label
		}
	}
	return slots
}

// isSlot says whether t holds a key of the keyslot id.
func (u *user) isSlot(id string, t tokens.Token) bool {
	for _, slot := range u.slots() {
		if slot.ID == id {
			return holds(t, slot.Keys...)
		}
	}
	return false
}

// tokenRef names a token that is present in the terms of the user's vault.
func (u *user) tokenRef(t tokens.Token) *ipc.TokenRef {
	for _, slot := range u.slots() {
		if holds(t, slot.Keys...) {
			return new(slotRef(slot))
		}
	}
	return &ipc.TokenRef{ID: t.ID, Label: t.Model, Kind: string(t.Kind)}
}

func slotRef(slot vault.Slot) ipc.TokenRef {
	label := slot.Label
	if label == "" {
		label = slot.Description
	}
	return ipc.TokenRef{ID: slot.ID, Label: label, Kind: string(slot.Kind)}
}
