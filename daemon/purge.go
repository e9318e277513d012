package daemon

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/audit"
	"github.com/tokenbridge/tokend/daemon/backup"
	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// actPurge is a purge in the audit log.
const actPurge = "purge"

// reasonPurged is why a session ends when the vault is removed for good.
const reasonPurged = "it is being removed from this machine for good"

// Purge implements [ipc.Vaults].
func (d *Daemon) Purge(ctx context.Context, p ipc.Principal, r ipc.PurgeRequest) (ipc.PurgeResult, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.PurgeResult{}, err
	}
	if _, err := u.mayPurge(p, r); err != nil {
		return ipc.PurgeResult{}, err
	}
	// What waits for a token or a touch in this vault ends now, and leaves the way
	// free.
	u.lock(reasonPurged)
	leave, err := u.alone(ctx)
	if err != nil {
		return ipc.PurgeResult{}, err
	}
	defer leave()
	left, err := u.mayPurge(p, r)
	if err != nil {
		return ipc.PurgeResult{}, err
	}
	warnings, err := u.purge(p, left.Vault.ID)
	if err != nil {
		u.auditResult(p, actPurge, left.Vault.ID, err)
		return ipc.PurgeResult{}, mapError(err)
	}
	d.log.Warn("a user's vault was removed for good, on his request", "uid", u.uid, "vault", left.Vault.ID)
	e := d.event(ipc.EventPurged)
	e.Vault = new(u.vaultInfo())
	d.hub.publish(u.uid, e)
	left.Tokens = u.leftAfter(p, left.Tokens)
	return ipc.PurgeResult{Version: ipc.Version, VaultID: left.Vault.ID, Left: left, Warnings: warnings}, nil
}

// leftAfter are the tokens on which keys remain, now that the vault is gone: those
// that are present by what they are called now, the others by what they were.
func (u *user) leftAfter(p ipc.Principal, before []ipc.LeftToken) []ipc.LeftToken {
	list := slices.DeleteFunc(u.leftTokens(p, nil), func(t ipc.LeftToken) bool { return !t.Present })
	for _, t := range before {
		if !t.Present && len(t.Slots) > 0 {
			list = append(list, t)
		}
	}
	return list
}

// mayPurge says what goes, or why it must not.
func (u *user) mayPurge(p ipc.Principal, r ipc.PurgeRequest) (ipc.Leaving, error) {
	left, err := u.leaving(p)
	if err != nil {
		return left, err
	}
	if left.Vault.State == ipc.VaultNone {
		return left, errNoVault()
	}
	id := left.Vault.ID
	if id == "" {
		id = ipc.UnreadableVault
	}
	switch {
	case r.Confirm == "":
		return left, ipc.Errorf(ipc.InvalidArgument, "the removal was not confirmed by the vault's id")
	case r.Confirm != id:
		return left, ipc.Errorf(ipc.Conflict, "the confirmation is not the vault's id; nothing was removed")
	case !left.Backed && !r.WithoutBackup:
		return left, ipc.Errorf(ipc.Conflict, "no backup is known that was opened or proved and that something opens once the vault is gone; nothing was removed")
	}
	return left, nil
}

// purge removes the vault and all that lies beside it. An error says that
// everything is as it was; a warning, that something is left to do.
func (u *user) purge(p ipc.Principal, vaultID string) ([]ipc.Warning, error) {
	former := u.formerAfter()
	u.lock(reasonPurged) // once more: an unlock may have come between
	u.keeper.one.Lock()  // no backup is put into the spool meanwhile
	defer u.keeper.one.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.gone || u.store == nil {
		return nil, errClosing()
	}
	g := u.d.purgeOf(u.uid)
	last := audit.Entry{Action: actPurge, Object: vaultID, By: p.UID, From: p.From(), OK: true, Sync: true}
	if u.log != nil {
		seq, hash := u.log.Head()
		last.Detail = fmt.Sprintf("follows entry %d of the log that was removed, %s", seq, hash)
	}
	err := g.begin(func(dir string) error { return u.fillRemains(dir, last, former) })
	if err != nil {
		return nil, err
	}
	u.letGo()
	if err := g.commit(); err != nil {
		return nil, errors.Join(err, u.reopen())
	}
	warnings := []ipc.Warning{}
	if err := g.finish(); err != nil {
		u.d.log.Error("cannot finish the purge of a vault", "uid", u.uid, "err", err)
		warnings = append(warnings, ipc.Warning{
			Code: "purge-unfinished", Message: "the vault is gone from its place, but not all of it could be removed: it lies in " + g.parent + ", sealed as it was, until the daemon starts anew",
		})
	}
	u.keeper.forget()
	clear(u.labels)
	u.handed = nil
	u.grants.forgive(func(grantKey) bool { return true })
	u.problem.Store(nil)
	if err := u.reopen(); err != nil { // the next call tries again
		u.d.log.Warn("cannot open the folder of a user whose vault was purged", "uid", u.uid, "err", err)
	}
	return warnings, nil
}

// forget drops what was kept in mind of a vault that is gone; it needs one.
func (k *keeper) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.spool, k.with, k.due, k.looked, k.wrote = nil, nil, backup.Due{}, false, vault.Write{}
	k.problem, k.since, k.unopened = "", time.Time{}, nil
}

// letGo closes what is open in the user's folder. Whoever still has it reads and
// writes nothing there any more. It needs u.mu.
func (u *user) letGo() {
	u.notes.close()
	u.modes.close()
	if u.log != nil {
		if err := u.log.Close(); err != nil {
			u.d.log.Warn("cannot close the audit log", "uid", u.uid, "err", err)
		}
	}
	if err := u.store.Close(); err != nil {
		u.d.log.Warn("cannot let go of a vault's folder", "uid", u.uid, "err", err)
	}
	u.store, u.log, u.logErr, u.notes, u.modes, u.folder, u.told = nil, nil, nil, nil, nil, nil, lastPoint{}
}

// reopen opens what is in the user's folder now. It needs u.mu.
func (u *user) reopen() error {
	_, err := u.openStore()
	return err
}

// formerAfter are the keys that are on tokens once the vault is gone.
func (u *user) formerAfter() []tokens.Key {
	n := u.notesOf().get()
	list := n.former(nil)
	if n.Underway != nil {
		list = append(list, n.Underway.Keys...)
	}
	for _, slot := range u.slotsAnyhow() {
		list = append(list, slot.Keys...)
	}
	var kept []tokens.Key
	for _, k := range list {
		if leaves(k) && !hasKey(kept, k) && !hasKey(n.Wiped, k) {
			kept = append(kept, k)
		}
	}
	return kept
}

// slotsAnyhow is the user's keyslots, those of a vault too that cannot be used.
func (u *user) slotsAnyhow() []vault.Slot {
	if slots := u.slots(); len(slots) > 0 {
		return slots
	}
	store, err := u.storeIfAny()
	if err != nil || store == nil {
		return nil
	}
	head, err := store.RecoverHead()
	if err != nil {
		return nil
	}
	return u.labelled(head.Slots)
}

// fillRemains writes what remains of a vault: one entry of the audit log, which
// says that it was purged and which entry was the last before, and the public keys
// that are left on tokens, so that they can be told and wiped.
func (u *user) fillRemains(dir string, last audit.Entry, former []tokens.Key) error {
	log, err := audit.Open(filepath.Join(dir, auditName), u.d.clock.Now)
	if err != nil {
		return err
	}
	if err := errors.Join(log.Append(last), log.Close()); err != nil {
		return err
	}
	n := &notes{path: filepath.Join(dir, notesName)}
	return n.update(func(d *notesData) { d.Purged = former })
}
