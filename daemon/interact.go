package daemon

import (
	"cmp"
	"context"
	"errors"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
)

// withAgent says whether a request may wait for the user's agent.
func withAgent(interaction string) (bool, error) {
	switch interaction {
	case "", ipc.InteractionNone:
		return false, nil
	case ipc.InteractionAgent:
		return true, nil
	}
	return false, ipc.Errorf(ipc.InvalidArgument, "there is no interaction %q", interaction)
}

// granted is the account that ref means, once the caller may have of it what he
// wishes: the vault is unlocked by his agent if need be, and the user is asked
// for his consent.
func (d *Daemon) granted(ctx context.Context, p *ipc.Principal, ref string, w wish) (*user, *session, vault.Account, error) {
	w.ref = ref
	u, s, err := d.openedFor(ctx, p, w)
	if err != nil {
		return nil, nil, vault.Account{}, err
	}
	a, err := s.index.Load().find(ref)
	if err != nil {
		return nil, nil, vault.Account{}, err
	}
	if w.action == ipc.GrantReveal { // nobody is asked about what is not handed out
		if err := mayReveal(a); err != nil {
			return nil, nil, vault.Account{}, err
		}
	}
	w.who = *p
	return u, s, a, u.allow(ctx, s, a, w)
}

// openedFor is the caller's open vault, unlocked by his agent if need be.
func (d *Daemon) openedFor(ctx context.Context, p *ipc.Principal, w wish) (*user, *session, error) {
	u, err := d.user(p)
	if err != nil {
		return nil, nil, err
	}
	s, err := u.open(!w.passive)
	var e *ipc.Error
	if w.agent && !w.passive && errors.As(err, &e) && e.Kind == ipc.VaultLocked && !e.Meanwhile {
		if _, err := u.unlockByAgent(ctx, *p, wanted{ref: w.ref}, ipc.Auth{}, e); err != nil {
			return nil, nil, err
		}
		s, err = u.open(!w.passive)
	}
	return u, s, err
}

// mayReveal fails for an account whose secret is not handed out.
func mayReveal(a vault.Account) error {
	switch {
	case a.Kind == vault.Managed:
		return ipc.Errorf(ipc.Unsupported, "the secret of a managed account is not handed out")
	case a.NoExport:
		return ipc.Errorf(ipc.PolicyDenied, "the secret of this account is not to be exported")
	}
	return nil
}

// asked runs call, with the PIN from the agent where a token wants one and the
// caller gave none. a can be none, where it is for several.
func (u *user) asked(ctx context.Context, p ipc.Principal, a vault.Account, auth ipc.Auth, w wish, call func(ipc.Auth) error) error {
	if !w.agent || !noSecret(auth) {
		return call(auth)
	}
	var what wanted
	if a.ID != "" {
		what.account = new(accountRef(a))
	}
	return u.untilPIN(ctx, p, what, auth, call, nil)
}

// wanted is what a PIN is asked for.
type wanted struct {
	account *ipc.AccountRef
	ref     string // what the caller called it, while the vault is locked
}

// maxWanted is the longest name, in bytes, that a question repeats: no account
// has one that is longer.
const maxWanted = 1024

// maxPINs is how often the agent is asked for a PIN by one call.
const maxPINs = 5

// unlockByAgent is Unlock with the PIN that the user's agent asks for, of the token
// that auth names, if any. Where no agent can ask, it fails with what the token wants;
// with locked, where that is not nil: a caller who named no token knows of none.
func (u *user) unlockByAgent(ctx context.Context, p ipc.Principal, what wanted, auth ipc.Auth, locked *ipc.Error) (out ipc.UnlockResult, err error) {
	// One at a time, whoever asks: the PIN that one is asked for opens it for all.
	leave, err := u.asking.turn(ctx, grantKey{action: unlocking}, u.d.askLimit())
	if err != nil {
		return out, unasked(ctx, cmp.Or(locked, errLocked()))
	}
	defer leave()
	err = u.untilPIN(ctx, p, what, auth, func(a ipc.Auth) (err error) {
		if u.sess.Load() != nil && len(a.PIN) == 0 {
			a = ipc.Auth{} // opened meanwhile
		}
		out, err = u.d.Unlock(ctx, p, ipc.UnlockRequest{Auth: a})
		return err
	}, locked)
	return out, err
}

// untilPIN runs call until it succeeds, fails for another reason than a PIN, or
// the agent has no PIN for it. otherwise, where not nil, is what the call fails
// with then.
func (u *user) untilPIN(ctx context.Context, p ipc.Principal, what wanted, auth ipc.Auth, call func(ipc.Auth) error, otherwise *ipc.Error) error {
	for asked := 0; ; asked++ {
		err := call(auth)
		wipeAuth(&auth)
		need := pinWanted(err)
		if need == nil || asked == maxPINs {
			return err
		}
		pin, spend, askErr := u.askPIN(ctx, p, what, need)
		if askErr != nil {
			var told *ipc.Error
			switch {
			case errors.As(askErr, &told):
				return told
			case ctx.Err() != nil:
				return mapError(context.Cause(ctx))
			case otherwise != nil && need.Kind == ipc.PINRequired:
				need = otherwise
			}
			e := *need
			e.Message += "; " + askErr.Error()
			return &e
		}
		auth = ipc.Auth{Token: need.Token.ID, PIN: pin, SpendLastTry: spend}
	}
}

// pinWanted is err if the PIN of a token, which it names, could mend it.
func pinWanted(err error) *ipc.Error {
	var e *ipc.Error
	if !errors.As(err, &e) || e.Token == nil || e.TriesLeft != nil && *e.TriesLeft == 0 {
		return nil
	}
	switch e.Kind {
	case ipc.PINRequired, ipc.PINInvalid, ipc.PINLastTry:
		return e
	}
	return nil
}

// askPIN has the agent ask for the PIN that need wants. It fails with *ipc.Error
// where the user refused, now or before.
func (u *user) askPIN(ctx context.Context, p ipc.Principal, what wanted, need *ipc.Error) (ipc.Secret, bool, error) {
	key := grantKey{asker: askerOf(p), action: unlocking}
	if left := u.grants.refusedFor(key, u.d.clock.Elapsed()); left > 0 {
		return nil, false, errPINRefused(need, seconds(left))
	}
	e := u.question(ctx, ipc.EventPINWanted, p)
	e.Token, e.TriesLeft, e.Account = need.Token, need.TriesLeft, what.account
	if len(what.ref) <= maxWanted {
		e.Wanted = what.ref
	}
	if need.Kind != ipc.PINRequired {
		e.Detail = need.Message
	}
	answer, err := u.put(ctx, e)
	if err != nil {
		return nil, false, err
	}
	if !answer.Allow {
		left := u.grants.refuse(key, u.d.clock.Elapsed())
		u.audit(entry{action: "unlock", object: need.Token.ID, by: p, detail: "refused"})
		return nil, false, errPINRefused(need, seconds(left))
	}
	return answer.PIN, answer.SpendLastTry, nil
}

func errPINRefused(need *ipc.Error, retry int) *ipc.Error {
	return &ipc.Error{
		Kind: ipc.Cancelled, Message: "the user refused the PIN to this program",
		Token: need.Token, RetryAfter: retry,
	}
}
