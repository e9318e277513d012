package daemon

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// byRecovery is what Vault.UnlockedBy says when no token did it, nor the recovery
// key.
const byRecovery = "recovery password"

// session is an unlocked vault. Its fields do not change but for the clock of
// the last use and the index; a vault that is unlocked again gets a new session
// around the same vault.
type session struct {
	vault *vault.Vault
	// ctx ends at lock; its cause says why.
	ctx    context.Context
	cancel context.CancelCauseFunc
	slot   string // the keyslot that unlocked it, empty for the recovery key
	by     string
	wall   time.Time     // when it was unlocked, by the wall clock
	start  time.Duration // the same by Clock.Elapsed
	used   *atomic.Int64 // Clock.Elapsed of the last use
	index  *atomic.Pointer[index]
	// indexing keeps an older index from replacing a newer.
	indexing *sync.Mutex
}

// begin makes v the user's session. When there is one already, its vault stays
// (calls may be using it) and only the limits begin anew.
func (u *user) begin(v *vault.Vault, slot, by string) *session {
	if v.Swappable() {
		u.d.swappable.Do(func() {
			u.d.log.Warn("keys may be swapped to disk: the system locks no more memory for this process (on Linux: RLIMIT_MEMLOCK)")
		})
	}
	now := u.d.clock.Elapsed()
	s := &session{slot: slot, by: by, wall: u.d.now().Round(0), start: now}
	for {
		old := u.sess.Load()
		if old != nil {
			s.vault, s.ctx, s.cancel, s.used = old.vault, old.ctx, old.cancel, old.used
			s.index, s.indexing = old.index, old.indexing
			s.used.Store(int64(now))
		} else {
			s.vault, s.used, s.index = v, new(atomic.Int64), new(atomic.Pointer[index])
			s.indexing = new(sync.Mutex)
			s.ctx, s.cancel = context.WithCancelCause(context.Background())
			s.used.Store(int64(now))
			s.reindex()
		}
		if u.sess.CompareAndSwap(old, s) {
			if old != nil && old.vault != v {
				v.Lock()
			}
			return s
		}
	}
}

// replace makes v the user's session instead of any other: its keys or its file
// are new.
func (u *user) replace(v *vault.Vault, slot, by string) *session {
	u.end(u.sess.Load(), "the vault was replaced", false)
	return u.begin(v, slot, by)
}

// reasonStale is why a session ends that would show, and write, what was: its
// vault was opened while another session of it was ending, and that one wrote
// last.
const reasonStale = "another session of the vault wrote to it meanwhile"

// open is the user's session, or the reason why there is none. extend says that
// this is a use.
func (u *user) open(extend bool) (*session, error) {
	s := u.sess.Load()
	if s == nil {
		return nil, u.whyClosed()
	}
	now := u.d.clock.Elapsed()
	if reason := u.d.overdue(s, now); reason != "" {
		u.end(s, reason, true)
		return nil, errLocked()
	}
	if s.vault.Stale() {
		u.end(s, reasonStale, true)
		return nil, errLocked()
	}
	if extend {
		s.used.Store(int64(now))
	}
	return s, nil
}

// whyClosed tells a locked vault from one that is not there or not usable.
func (u *user) whyClosed() error {
	store, err := u.storeIfAny()
	if err != nil {
		return mapError(err)
	}
	if store == nil || !store.Exists() {
		return errNoVault()
	}
	if _, err := store.Head(); err != nil {
		if problem := lastingProblem(err); problem != nil {
			return problem // unlocking it would not help
		}
	}
	return errLocked()
}

// overdue says why a session must end now, or nothing. The hard limit counts by
// the wall clock too: where the other clock stands still during suspend, the
// wall clock does not.
func (d *Daemon) overdue(s *session, now time.Duration) string {
	l := d.limits.Load()
	switch {
	case now-time.Duration(s.used.Load()) >= l.Idle:
		return "it was not used for the idle limit"
	case now-s.start >= l.Hard, d.now().Round(0).Sub(s.wall) >= l.Hard:
		return "it was open for the hard limit"
	}
	return ""
}

// expire ends the sessions that are over their limits.
func (d *Daemon) expire() {
	now := d.clock.Elapsed()
	for _, u := range d.everyUser() {
		if s := u.sess.Load(); s != nil {
			if reason := d.overdue(s, now); reason != "" {
				u.end(s, reason, true)
			}
		}
	}
}

// end locks the vault of session s, if it is still the user's. Operations that
// wait for a token end with the reason.
func (u *user) end(s *session, reason string, tell bool) bool {
	if s == nil || !u.sess.CompareAndSwap(s, nil) {
		return false
	}
	s.cancel(errLockedMeanwhile{reason, s.slot})
	u.grants.clear()
	s.vault.Lock()
	u.d.collectSoon()
	if err := u.notesOf().flush(); err != nil {
		u.d.log.Warn("cannot write the daemon's notes on a user", "uid", u.uid, "err", err)
	}
	if !tell {
		return true
	}
	u.audit(entry{action: "lock", ok: true, detail: reason})
	e := u.d.event(ipc.EventLocked)
	v := u.vaultInfo()
	e.Vault, e.Detail = &v, reason
	u.d.hub.publish(u.uid, e)
	return true
}

// lock locks the user's vault, if it is open. An unlock that is under way comes
// to nothing.
func (u *user) lock(reason string) bool {
	u.locks.Add(1)
	return u.end(u.sess.Load(), reason, true)
}

// bind is ctx that ends with the session too.
func (s *session) bind(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })
	return ctx, func() { stop(); cancel(nil) }
}

// Lock implements [ipc.Vaults].
func (d *Daemon) Lock(_ context.Context, p ipc.Principal) error {
	u, err := d.user(&p)
	if err != nil {
		return err
	}
	if !u.lock("on request") && u.sess.Load() == nil {
		if err := u.whyClosed(); ipc.KindOf(err) != ipc.VaultLocked {
			return err
		}
	}
	return nil
}

// tokenChanged is told of every token that came or went: it locks the vaults
// that the token unlocked, and tells each user in the terms of his own vault.
func (d *Daemon) tokenChanged(inserted bool, t tokens.Token) {
	if !inserted && !d.limits.Load().KeepOnRemoval {
		for _, u := range d.everyUser() {
			s := u.sess.Load()
			if s != nil && s.slot != "" && u.isSlot(s.slot, t) {
				u.end(s, pulledOut, true)
			}
		}
	}
	kind := ipc.EventTokenRemoved
	if inserted {
		kind = ipc.EventTokenInserted
	}
	d.tellToken(kind, t)
}

// tellToken tells everybody who may know of a token, in the terms of his own
// vault.
func (d *Daemon) tellToken(kind string, t tokens.Token) {
	d.tellTokenIf(kind, t, func(*user, tokens.Token) bool { return true })
}

// tellTokenIf tells those for whom is says so.
func (d *Daemon) tellTokenIf(kind string, t tokens.Token, is func(*user, tokens.Token) bool) {
	for _, r := range d.hub.receivers() {
		d.mu.Lock()
		u := d.users[r.who.UID]
		d.mu.Unlock()
		if u == nil || !d.mayUseTokens(r.who) || !is(u, t) {
			continue
		}
		e := d.event(kind)
		e.Token = u.tokenRef(t)
		r.offer(e)
	}
}

// sinceUse is how long s has not been used.
func (u *user) sinceUse(s *session, now time.Duration) time.Duration {
	return now - time.Duration(s.used.Load())
}
