package daemon

import (
	"context"

	"github.com/tokenbridge/tokend/ipc"
)

// unlockAsked is Unlock with the PIN that the user's agent asks for, of the token
// that auth names, if any. Who comes while another is being asked waits: the vault
// may be open then.
func (d *Daemon) unlockAsked(ctx context.Context, p ipc.Principal, auth ipc.Auth) (out ipc.UnlockResult, err error) {
	u, err := d.user(&p)
	if err != nil {
		return out, err
	}
	leave, err := u.asking.turn(ctx, grantKey{action: unlocking}, d.askLimit())
	if err != nil {
		return out, unasked(ctx, errLocked())
	}
	defer leave()
	err = u.untilPIN(ctx, p, wanted{}, auth, func(a ipc.Auth) (err error) {
		if u.sess.Load() != nil && len(a.PIN) == 0 {
			a = ipc.Auth{} // opened meanwhile
		}
		out, err = d.Unlock(ctx, p, ipc.UnlockRequest{Auth: a})
		return err
	}, nil)
	return out, err
}
