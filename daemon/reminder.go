package daemon

import (
	"context"
	"time"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
)

// A recovery password that nobody can recall is none. It is asked for early, for
// what was chosen a fortnight ago is either known by then or lost, and then now
// and then.
const (
	// DefaultRecoveryReminder is the time after which it is asked whether the
	// recovery password is still known.
	DefaultRecoveryReminder = 90 * 24 * time.Hour
	// firstReminder is the same after a new one was set; less where the
	// configured time is less.
	firstReminder = 14 * 24 * time.Hour
)

// passwordKnown remembers that the recovery password that was set at set was
// given right just now.
func (u *user) passwordKnown(set time.Time) {
	at := wireTime(u.d.now())
	u.note(func(n *notesData) { n.RecoveryChecked, n.RecoveryCheckedSet = at, wireTime(set) })
}

// passwordGiven is passwordKnown for the vault that is here, where what opened
// it was the password.
func (u *user) passwordGiven(a ipc.Auth) {
	if len(a.RecoveryPassword) == 0 {
		return
	}
	if store, err := u.storeIfAny(); err == nil && store != nil {
		if head, err := store.Head(); err == nil {
			u.passwordKnown(head.RecoverySet)
		}
	}
}

// recoveryChecked is when the present recovery password was last given right,
// zero if never since it was set.
func (u *user) recoveryChecked(set time.Time) time.Time {
	n := u.notesOf().get()
	if set.IsZero() || !n.RecoveryCheckedSet.Equal(wireTime(set)) {
		return time.Time{}
	}
	return n.RecoveryChecked
}

// recoveryReminder is the warning that the recovery password was not asked for
// in a long time, if that is so.
func (u *user) recoveryReminder(head vault.Head) (ipc.Warning, bool) {
	every := u.d.limits.Load().RecoveryReminder
	if every < 0 || head.RecoverySet.IsZero() {
		return ipc.Warning{}, false
	}
	if every == 0 {
		every = DefaultRecoveryReminder
	}
	checked := u.recoveryChecked(head.RecoverySet)
	since, wait, what := checked, every, "was last typed on "
	if checked.IsZero() {
		since, wait, what = head.RecoverySet, min(every, firstReminder), "was set on "
	}
	if u.d.now().Before(since.Add(wait)) {
		return ipc.Warning{}, false
	}
	return ipc.Warning{
		Code:    "recovery-unchecked",
		Message: "the recovery password " + what + since.UTC().Format(time.DateOnly) + ": do you still know it?",
		Fix:     "tokenctl recovery check",
	}, true
}

// checkRecovery tries the recovery password or key, and remembers a password that
// is right.
func (u *user) checkRecovery(ctx context.Context, r ipc.CheckRecoveryRequest) error {
	store, err := u.existing()
	if err != nil {
		return err
	}
	key, err := typedKey(r.Key)
	if err != nil {
		return err
	}
	defer clear(key)
	err = u.derive(ctx, true, func(ctx context.Context) error {
		return store.CheckRecovery(ctx, vault.Way{Password: r.Password, RecoveryKey: key})
	})
	if err == nil {
		u.passwordGiven(ipc.Auth{RecoveryPassword: r.Password})
	}
	return err
}
