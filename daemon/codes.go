package daemon

import (
	"context"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/daemon/otp"
	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

const typeHOTP = string(otp.TypeHOTP)

// params is how an account's codes are made.
func params(a vault.Account) otp.Params {
	return otp.Params{
		Type: otp.Type(a.Type), Algorithm: otp.Algorithm(a.Algorithm),
		Digits: a.Digits, Period: a.Period, Counter: a.Counter,
	}
}

// Code implements [ipc.Accounts].
func (d *Daemon) Code(ctx context.Context, p ipc.Principal, ref string, r ipc.CodeRequest) (ipc.Code, error) {
	defer wipeAuth(&r.Auth)
	w := wish{action: ipc.GrantCode, passive: r.Passive}
	var err error
	if w.agent, err = withAgent(r.Interaction); err != nil {
		return ipc.Code{}, err
	}
	u, s, a, err := d.granted(ctx, &p, ref, w)
	if err != nil {
		return ipc.Code{}, err
	}
	var code ipc.Code
	err = u.asked(ctx, p, a, r.Auth, w, func(auth ipc.Auth) (err error) {
		r.Auth = auth
		code, err = u.code(ctx, p, s, a, r)
		return err
	})
	if a.Class == tokens.ClassTouch || err == nil {
		e := entry{action: "code", object: a.ID, by: p, ok: err == nil}
		if err != nil {
			e.detail = string(mapError(err).Kind)
		}
		u.audit(e)
	}
	if err != nil {
		e := *mapError(err)
		if e.Kind == ipc.TokenRemoved { // in the midst: neither a code nor a counter is lost
			e.Message += "; no code was made"
		}
		return ipc.Code{}, &e
	}
	code.Version, code.Account = ipc.Version, accountRef(a)
	return code, nil
}

// code makes a code of either kind.
func (u *user) code(ctx context.Context, p ipc.Principal, s *session, a vault.Account, r ipc.CodeRequest) (ipc.Code, error) {
	if a.Type == typeHOTP {
		return u.counted(ctx, p, s, a, r)
	}
	return u.timed(ctx, p, s, a, r)
}

// counted makes a HOTP code. The counter moves on only once the secret is open,
// and is on disk before the code leaves.
func (u *user) counted(ctx context.Context, p ipc.Principal, s *session, a vault.Account, r ipc.CodeRequest) (ipc.Code, error) {
	if r.Fresh || r.MinRemaining != 0 {
		return ipc.Code{}, ipc.Errorf(ipc.InvalidArgument, "a code of type hotp has no time")
	}
	if r.Passive {
		return ipc.Code{}, ipc.Errorf(ipc.InvalidArgument, "a code of type hotp is made only when it is asked for")
	}
	var value otp.Value
	var counter uint64
	err := u.use(ctx, p, s, a, r.Auth, r.NoTouchWait, func(key []byte) (err error) {
		if counter, err = s.vault.NextCounter(a.ID); err != nil {
			return err
		}
		value, err = otp.HOTP(key, params(a), counter)
		return err
	})
	if err != nil {
		return ipc.Code{}, err
	}
	u.countedHOTP(s.vault)
	return ipc.Code{Code: value.String(), Counter: &counter}, nil
}

// timed makes a TOTP or Steam code of the first step that will do, and hands
// it out when that step has begun. A touch is asked for first, while the user
// is there.
func (u *user) timed(ctx context.Context, p ipc.Principal, s *session, a vault.Account, r ipc.CodeRequest) (ipc.Code, error) {
	if r.MinRemaining < 0 || r.MinRemaining > a.Period {
		return ipc.Code{}, ipc.Errorf(ipc.InvalidArgument, "a code of this account has at most %d seconds", a.Period)
	}
	var code otp.Code
	waits := false
	err := u.use(ctx, p, s, a, r.Auth, r.NoTouchWait, func(key []byte) error {
		now := u.d.now()
		step, err := u.steps.claim(a.ID, stepRequest{
			now: now, started: u.d.started, period: a.Period, fresh: r.Fresh, remaining: r.MinRemaining,
		})
		if err != nil {
			return err
		}
		waits = step.After(now)
		code, err = otp.TOTP(key, params(a), step)
		return err
	})
	if err != nil {
		return ipc.Code{}, err
	}
	if waits {
		ctx, done := s.bind(ctx)
		defer done()
		if err := u.d.until(ctx, code.From); err != nil {
			return ipc.Code{}, err
		}
	}
	return ipc.Code{
		Code: code.Value.String(), ValidFrom: wireTime(code.From), ValidUntil: wireTime(code.Until), Period: a.Period,
	}, nil
}

// steps remembers the newest time step handed out for each account, for as long
// as the daemon runs, lock or no lock. Of what was handed out before it started
// it knows nothing, so the step in which it started is never fresh.
type steps struct {
	mu   sync.Mutex
	last map[string]int64 // when the newest step handed out ends, Unix seconds
}

// stepRequest says which step will do.
type stepRequest struct {
	now, started time.Time
	period       int // seconds
	fresh        bool
	remaining    int // seconds that the step must still have
}

// claim picks the step and remembers it as handed out; it returns a moment in
// it, now where the present step will do.
func (t *steps) claim(id string, r stepRequest) (time.Time, error) {
	period := int64(r.period)
	now := r.now.Unix()
	begin := now - mod(now, period)
	if begin+period-now < int64(r.remaining) {
		begin += period
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.fresh {
		if s := r.started.Unix(); begin <= s {
			begin = s - mod(s, period) + period
		}
		if last := t.last[id]; begin < last { // the period may have been edited
			begin = last + mod(-last, period)
		}
		// Two callers wait for a step each; more, or a clock that was set
		// back, would wait without end.
		if wait := begin - now; wait > maxFreshSteps*period {
			return time.Time{}, &ipc.Error{
				Kind: ipc.Busy, Message: "the next steps of this account were all handed out", RetryAfter: int(wait),
			}
		}
	}
	if t.last == nil {
		t.last = make(map[string]int64)
	}
	t.last[id] = max(t.last[id], begin+period)
	if begin <= now {
		return r.now, nil
	}
	return time.Unix(begin, 0), nil
}

// maxFreshSteps is how many steps ahead may be promised.
const maxFreshSteps = 4

// mod is the remainder that is never negative.
func mod(a, b int64) int64 { return ((a % b) + b) % b }
