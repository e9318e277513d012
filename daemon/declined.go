package daemon

import (
	"context"
	"time"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
)

// declined notes that the owner was asked for a recovery password and wants none.
type declined struct {
	At time.Time `json:"at"`
	// Many says that the vault had more than a few accounts then.
	Many bool `json:"many,omitempty"`
}

// When an owner who wants no recovery password is asked again: after some time, or
// once there is more to lose than a few accounts.
const (
	declineRests = 30 * 24 * time.Hour
	fewAccounts  = 5
)

// asksRecovery says whether it is time to ask the owner of an open vault for a
// recovery password.
func (u *user) asksRecovery(list []vault.Account, set time.Time) bool {
	own := thirdParty(list)
	if !set.IsZero() || own == 0 {
		return false
	}
	d := u.notesOf().get().Declined
	now := u.d.now()
	// A time that is still to come was noted by a clock that was wrong.
	return d == nil || now.Sub(d.At) >= declineRests || d.At.After(now) || own > fewAccounts && !d.Many
}

// thirdParty is how many accounts nobody but their service can issue again.
func thirdParty(list []vault.Account) (n int) {
	for _, a := range list {
		if a.Kind == vault.ThirdParty {
			n++
		}
	}
	return n
}

// DeclineRecovery implements [ipc.Recovery].
func (d *Daemon) DeclineRecovery(_ context.Context, p ipc.Principal) error {
	u, err := d.user(&p)
	if err != nil {
		return err
	}
	s, err := u.open(false)
	if err != nil {
		return err
	}
	many := thirdParty(s.index.Load().list) > fewAccounts
	err = u.notesOf().update(func(n *notesData) {
		n.Declined = &declined{At: d.now().UTC().Truncate(time.Second), Many: many}
	})
	u.auditResult(p, "recovery-decline", "", err)
	if err != nil {
		return mapError(err)
	}
	return nil
}
