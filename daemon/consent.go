package daemon

import (
	"context"
	"fmt"
	"time"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
)

// wish is what a caller asks of an account.
type wish struct {
	who     ipc.Principal
	action  ipc.GrantAction
	ref     string // the account, as the caller called it
	agent   bool   // the call may wait for the user's agent
	passive bool   // nobody asked for this very code
}

// errDenied is for an account that no program is handed anything of.
func errDenied() *ipc.Error {
	return ipc.Errorf(ipc.NotAuthorized, "the grant mode of the account is deny")
}

// errConsent says that a grant is wanting, and why there will be none.
func errConsent(why string) *ipc.Error {
	message := "the grant mode of the account is ask and this program has no grant"
	if why != "" {
		message += ": " + why
	}
	return ipc.Errorf(ipc.ConsentRequired, "%s", message)
}

// errRefused says that the user said no, and for how long he is not asked again.
func errRefused(left time.Duration) *ipc.Error {
	e := errConsent("the user refused")
	e.RetryAfter = seconds(left)
	return e
}

// seconds is d as a caller is told it, rounded up.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// allow makes sure that w may be granted for account a: it is free to all, has
// been granted, or the user's agent is told so now. A lock ends the wait.
func (u *user) allow(ctx context.Context, s *session, a vault.Account, w wish) error {
	key := grantKey{asker: askerOf(w.who), action: w.action, account: a.ID}
	if done, err := u.consented(key, w); done {
		return err
	}
	if !w.agent || w.passive {
		if left := u.grants.refusedFor(key, u.d.clock.Elapsed()); left > 0 {
			return errRefused(left)
		}
		return errConsent("")
	}
	ctx, unbind := s.bind(ctx)
	defer unbind()
	// Equal requests wait for the first one's answer, which may be theirs too.
	leave, err := u.asking.turn(ctx, key, u.d.askLimit())
	if err != nil {
		return unasked(ctx, errConsent("another request of it is being asked about"))
	}
	defer leave()
	if done, err := u.consented(key, w); done {
		return err
	}
	if left := u.grants.refusedFor(key, u.d.clock.Elapsed()); left > 0 {
		return errRefused(left)
	}
	return u.askConsent(ctx, s, a, key, w)
}

// allowAll is allow for several accounts. Without an agent to ask it spends no
// grant unless all are there, and names the accounts that have none.
func (u *user) allowAll(ctx context.Context, s *session, accounts []vault.Account, w wish) error {
	if !w.agent {
		modes := u.modesOf()
		var without []ipc.Item
		for _, a := range accounts {
			key := grantKey{asker: askerOf(w.who), action: w.action, account: a.ID}
			if modes.of(a.ID) == ipc.GrantAsk && !u.grants.covers(key, u.d.clock.Elapsed()) {
				without = append(without, ipc.Item{ID: a.ID, Name: display(a)})
			}
		}
		if len(without) > 0 {
			e := errConsent("")
			e.Items = without
			return e
		}
	}
	for _, a := range accounts {
		if err := u.allow(ctx, s, a, w); err != nil {
			return err
		}
	}
	return nil
}

// consented says whether no question is left, and then how it comes out.
func (u *user) consented(key grantKey, w wish) (done bool, err error) {
	switch u.modesOf().of(key.account) {
	case ipc.GrantOff:
		return true, nil
	case ipc.GrantDeny:
		return true, errDenied()
	}
	return u.grants.use(key, u.d.clock.Elapsed(), w.passive), nil
}

func (u *user) askConsent(ctx context.Context, s *session, a vault.Account, key grantKey, w wish) error {
	e := u.question(ctx, ipc.EventConsentWanted, w.who)
	e.Account, e.Action = new(accountRef(a)), w.action
	answer, err := u.put(ctx, e)
	if err != nil {
		return unasked(ctx, errConsent(err.Error()))
	}
	if !answer.Allow {
		left := u.grants.refuse(key, u.d.clock.Elapsed())
		u.audit(entry{action: "grant", object: a.ID, by: w.who, detail: fmt.Sprintf("%s refused", w.action)})
		return errRefused(left)
	}
	if u.modesOf().of(a.ID) == ipc.GrantDeny { // set while the question was open
		return errDenied()
	}
	if answer.For = key.atMost(answer.For); answer.For == ipc.GrantOnce { // for this call, and no other's
		u.grants.forgive(func(k grantKey) bool { return k == key.anywhere() })
		u.auditGrant(w.who, a.ID, w.action, answer.For)
		return nil
	}
	return u.grant(w.who, s, accountRef(a), w.action, answer.For)
}

// unasked is why a question came to nothing: because the caller left, or the
// vault was locked, else as otherwise says.
func unasked(ctx context.Context, otherwise *ipc.Error) error {
	if ctx.Err() != nil {
		return mapError(context.Cause(ctx))
	}
	return otherwise
}
