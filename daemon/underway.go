package daemon

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/audit"
	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// underway is a change of who opens the vault, noted before the vault is
// written. The vault itself is always as before or as after; what lies beside it
// (a key on a card, a key file, the audit log, these notes) follows one write
// later, and a daemon that is killed in between finds here what is left to do.
type underway struct {
	Action string `json:"action"`
	// Slot is the keyslot that comes or goes; Keys are its keys.
	Slot string       `json:"slot,omitempty"`
	Keys []tokens.Key `json:"keys,omitempty"`
	// What the vault was like before.
	Epoch       uint64    `json:"epoch,omitempty"`
	RecoverySet time.Time `json:"recovery_set,omitzero"`
	// Audited is the last entry of the audit log before, By whose call it is.
	Audited uint64 `json:"audited"`
	By      string `json:"by"`
}

// actions of an underway, as in the audit log.
const (
	actInit           = "init"
	actEnroll         = "token-enroll"
	actRevoke         = "token-revoke"
	actRecoverySet    = "recovery-set"
	actRecoveryRotate = "recovery-rotate"
)

// interrupted is the audit log's word on a change whose call was never answered.
const interrupted = "interrupted"

// keptUnfinished bounds the keys that interrupted enrolments left on tokens.
const keptUnfinished = 64

// beginChange notes a change before the vault is written. A change that cannot be
// noted goes on: what an interruption of it would leave is untidy, not unsafe.
func (u *user) beginChange(p ipc.Principal, c underway) {
	u.settleChange() // of an earlier one, where that was not possible before
	c.By = p.UID
	u.mu.Lock()
	log := u.log
	u.mu.Unlock()
	if log != nil {
		c.Audited, _ = log.Head()
	}
	u.note(func(n *notesData) { n.Underway = &c })
}

// endChange notes that nothing of the change is left to do; and what else there
// is to note.
func (u *user) endChange(and func(*notesData)) {
	u.note(func(n *notesData) {
		n.Underway = nil
		if and != nil {
			and(n)
		}
	})
}

// note changes the notes; that this failed is for the log alone.
func (u *user) note(change func(*notesData)) {
	if err := u.notesOf().update(change); err != nil {
		u.d.log.Warn("cannot write the daemon's notes on a user", "uid", u.uid, "err", err)
	}
}

// settleChange is [user.settleOpened] once more, for a vault that was mended
// since its folder was opened.
func (u *user) settleChange() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.store != nil {
		u.settleOpened()
	}
}

// settleOpened finishes a change that the end of an earlier daemon interrupted.
// It needs u.mu.
func (u *user) settleOpened() {
	store, log := u.store, u.log
	c := u.notes.get().Underway
	if c == nil {
		return
	}
	head, err := store.Head()
	if err != nil && !errors.Is(err, vault.ErrNoVault) || err == nil && head.Problem != nil {
		return // not to be told now, perhaps after the vault was recovered
	}
	done := c.done(head)
	gone := c.Action == actRevoke && done
	came := (c.Action == actEnroll || c.Action == actInit) && !done
	if gone || came {
		if err := store.DropKeyFile(c.Slot); err != nil {
			u.d.log.Warn("cannot remove what an interrupted change left", "uid", u.uid, "err", err)
			return
		}
	}
	if err := c.tell(log, done); err != nil {
		u.d.log.Error("cannot write the audit log", "uid", u.uid, "err", err)
	}
	err = u.notes.update(func(n *notesData) {
		n.Underway = nil
		switch {
		case gone:
			n.revoked(c.Slot, c.Keys)
		case came:
			n.unfinished(c.Keys)
		}
	})
	if err != nil {
		u.d.log.Warn("cannot write the daemon's notes on a user", "uid", u.uid, "err", err)
	}
}

// tell puts into the audit log how the change came out, unless it is there.
func (c *underway) tell(log *audit.Log, done bool) error {
	if log == nil {
		return nil
	}
	entries, err := log.Read()
	if err != nil && !errors.Is(err, audit.ErrBroken) {
		return err
	}
	for _, e := range entries {
		if e.Seq > c.Audited && e.Action == c.Action {
			return nil
		}
	}
	return log.Append(audit.Entry{Action: c.Action, Object: c.Slot, By: c.By, OK: done, Detail: interrupted, Sync: true})
}

// done says whether the vault is as after the change. Without a vault the head
// is empty, which is as before any.
func (c *underway) done(head vault.Head) bool {
	switch c.Action {
	case actInit, actEnroll:
		return slices.ContainsFunc(head.Slots, func(s vault.Slot) bool { return s.ID == c.Slot })
	case actRevoke:
		return head.VaultID != "" && !slices.ContainsFunc(head.Slots, func(s vault.Slot) bool { return s.ID == c.Slot })
	case actRecoverySet:
		return !head.RecoverySet.Equal(c.RecoverySet)
	}
	return head.Epoch > c.Epoch
}

// revoked notes that a keyslot is gone: its keys may be wiped from their token.
func (n *notesData) revoked(slot string, keys []tokens.Key) {
	delete(n.Slots, slot)
	for _, k := range keys {
		if !hasKey(n.Revoked, k) {
			n.Revoked = append(n.Revoked, k)
		}
	}
	n.Revoked = n.Revoked[max(0, len(n.Revoked)-keptRevoked):]
}

// unfinished notes keys that are on a token and in no keyslot, because they were
// made for one that never came to be.
func (n *notesData) unfinished(keys []tokens.Key) {
	n.Unfinished = appendKeys(n.Unfinished, keys, keptUnfinished)
}

// forget takes keys out of those that may be wiped.
func (n *notesData) forget(keys []tokens.Key) {
	n.Unfinished = slices.DeleteFunc(n.Unfinished, func(k tokens.Key) bool { return hasKey(keys, k) })
	n.Purged = slices.DeleteFunc(n.Purged, func(k tokens.Key) bool { return hasKey(keys, k) })
}

func appendKeys(list, more []tokens.Key, most int) []tokens.Key {
	for _, k := range more {
		if k.Kind != tokens.KindSoft && !hasKey(list, k) {
			list = append(list, k)
		}
	}
	return list[max(0, len(list)-most):]
}

func hasKey(list []tokens.Key, k tokens.Key) bool {
	return slices.ContainsFunc(list, func(o tokens.Key) bool {
		return o.Kind == k.Kind && o.Algorithm == k.Algorithm && bytes.Equal(o.Public, k.Public)
	})
}
