package daemon

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// purging is the folder, in the state folder, through which a vault goes that is
// removed for good. What remains of it is made there first, as UID.new; then the
// user's folder is renamed to UID.old, in one step that either happened or did
// not; and whatever is left to do is done then, or when the daemon starts next.
const purging = "purging"

// purge is the removal of one user's vault from the state folder.
type purge struct {
	from, pin string // the user's folder and pin
	old, next string // where it goes, and what comes in its place
	parent    string // the folder of those two
}

func (d *Daemon) purgeOf(uid string) purge {
	in := filepath.Join(d.cfg.StateDir, purging)
	return purge{
		from: filepath.Join(d.cfg.StateDir, "users", uid), pin: filepath.Join(d.cfg.StateDir, "pins", uid+".json"),
		old: filepath.Join(in, uid+".old"), next: filepath.Join(in, uid+".new"), parent: in,
	}
}

// begin makes the folder for what remains; fill puts it in.
func (g purge) begin(fill func(dir string) error) error {
	if err := os.MkdirAll(g.parent, 0o700); err != nil {
		return err
	}
	for _, path := range []string{g.next, g.old} { // of an earlier one
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	if err := os.Mkdir(g.next, 0o700); err != nil {
		return err
	}
	return errors.Join(fill(g.next), syncDir(g.next), syncDir(g.parent))
}

// commit is the step after which the vault is gone, whatever happens.
func (g purge) commit() error { return os.Rename(g.from, g.old) }

// finish does what is left to do after commit. It can be called again.
func (g purge) finish() error {
	if err := errors.Join(syncDir(filepath.Dir(g.from)), syncDir(g.parent)); err != nil {
		return err
	}
	if _, err := os.Lstat(g.next); err == nil {
		if err := g.replace(); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(g.old); err != nil {
		return err
	}
	return syncDir(g.parent)
}

// replace removes the pin and puts what remains in the place of the vault. In
// this order: once something is in the place, a pin can be that of a new vault.
func (g purge) replace() error {
	if _, err := os.Lstat(g.from); err == nil {
		return os.RemoveAll(g.next)
	}
	for _, path := range []string{g.pin, g.pin + ".tmp"} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := syncDir(filepath.Dir(g.pin)); err != nil {
		return err
	}
	if err := os.Rename(g.next, g.from); err != nil {
		return err
	}
	return syncDir(filepath.Dir(g.from))
}

// finishPurges ends what an earlier daemon began: a vault that had left its place
// is removed, one that had not is as it was. What cannot be done now is tried
// again at the next start; no other user has to wait for it.
func (d *Daemon) finishPurges() {
	entries, err := os.ReadDir(filepath.Join(d.cfg.StateDir, purging))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.log.Error("cannot look for a purge that was interrupted", "err", err)
	}
	begun := make(map[string]bool)
	for _, e := range entries {
		if uid, ok := strings.CutSuffix(e.Name(), ".old"); ok && validUID(uid) {
			begun[uid] = true
		}
	}
	for uid := range begun {
		if err := d.purgeOf(uid).finish(); err != nil {
			d.log.Error("cannot finish the purge of a vault", "uid", uid, "err", err)
			continue
		}
		d.log.Warn("the purge of a vault was interrupted, and is finished now", "uid", uid)
	}
	for _, e := range entries {
		uid, ok := strings.CutSuffix(e.Name(), ".new")
		if !ok || !validUID(uid) || begun[uid] {
			continue
		}
		if err := os.RemoveAll(d.purgeOf(uid).next); err != nil {
			d.log.Error("cannot clear away a purge that was not begun", "uid", uid, "err", err)
		}
	}
}
