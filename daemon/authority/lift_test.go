package authority

import (
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// throttled is a rig with alice and bob, who share the fob H: too many wrong
// passcodes of alice's came at vpn. She may have other fobs, by time.
func throttled(t *testing.T, others ...string) *rig {
	r := newRig(t)
	r.fobs(fob.HOTP, "H")
	r.fobs(fob.TOTP, others...)
	r.user("alice", append(others, "H")...)
	r.user("bob", "H")
	r.guess("alice")
	return r
}

// guess tries wrong passcodes at vpn until these take 15 minutes each.
func (r *rig) guess(user string) {
	r.Helper()
	for range mostFailures {
		r.refused(user, wrongCode("H"), ReasonWrong)
		r.clock.pass(r.try("vpn", user, wrongCode("H")).RetryAfter)
	}
	r.refused(user, wrongCode("H"), ReasonWrong)
	r.refused(user, wrongCode("H"), ReasonThrottled)
}

// TestLift: two passcodes in a row at one service let single ones be looked at at
// all of them, again at once, and the failures before are as if they had not been.
func TestLift(t *testing.T) {
	r := throttled(t)
	other := r.try("vpn", "bob", code("H", 0))
	if other.Reason != ReasonThrottled {
		t.Fatalf("the fob is bob's, too: %+v", other)
	}
	v := r.try("desk", "alice", code("H", 0)+" "+code("H", 1))
	if !v.Accepted || !v.Lifted {
		t.Fatalf("%+v", v)
	}
	if e := r.told.last(); !e.OK || e.Detail != "lifted" {
		t.Errorf("%+v", e)
	}
	r.reopen()
	r.accepted("alice", code("H", 2))
	r.accepted("bob", code("H", 3))
	r.refused("alice", wrongCode("H"), ReasonWrong)
	if v := r.try("vpn", "alice", code("H", 4)); v.Reason != ReasonThrottled || v.RetryAfter != time.Second {
		t.Errorf("the first failure afterwards: %+v", v)
	}
}

// TestLiftOfOtherFob: what was proved is one fob. Others stay throttled, for who
// guesses tries them all.
func TestLiftOfOtherFob(t *testing.T) {
	r := throttled(t, "T")
	r.accepted("alice", code("H", 0)+code("H", 1))
	step := uint64(r.clock.Now().Unix() / 30)
	if v := r.try("vpn", "alice", code("T", step)); v.Accepted || v.Reason != ReasonThrottled {
		t.Errorf("%+v", v)
	}
	r.clock.pass(time.Second) // it was no passcode of H's
	r.accepted("alice", code("H", 2))
	step = uint64(r.clock.Now().Unix() / 30)
	if v := r.try("vpn", "alice", code("T", step)+code("T", step+1)); !v.Accepted || !v.Lifted {
		t.Errorf("%+v", v)
	}
}

// TestLiftsAreBounded: who is at his fob gives somebody who guesses a bounded number
// of tries more. He himself is accepted all the same.
func TestLiftsAreBounded(t *testing.T) {
	r := throttled(t)
	counter := uint64(0)
	pair := func() Verdict {
		v := r.try("vpn", "alice", code("H", counter)+code("H", counter+1))
		counter += 2
		return v
	}
	for n := range MaxLifts {
		if v := pair(); !v.Accepted || !v.Lifted {
			t.Fatalf("%d: %+v", n, v)
		}
		if v := pair(); !v.Lifted {
			t.Errorf("%d, with nothing to lift: %+v", n, v)
		}
		r.guess("alice")
	}
	if v := pair(); !v.Accepted || v.Lifted {
		t.Errorf("%+v", v)
	}
	r.refused("alice", code("H", counter), ReasonThrottled)
	f, err := r.ResyncFob(Resync{By: "helper", Serial: "H", Passcodes: []byte(code("H", counter) + code("H", counter+1)), Attended: true})
	if counter += 2; err != nil || f.Throttled.IsZero() {
		t.Errorf("a resync is one of them: %+v, %v", f, err)
	}
	r.clock.pass(24 * time.Hour)
	r.guess("alice")
	if v := pair(); !v.Accepted || !v.Lifted {
		t.Errorf("a day later: %+v", v)
	}
}

// TestResyncLifts: a resync, also by the user himself, proves as much.
func TestResyncLifts(t *testing.T) {
	for name, how := range map[string]Resync{
		"attended": {By: "helper", Serial: "H", Passcodes: []byte(code("H", 300) + code("H", 301)), Attended: true},
		"own":      {By: "alice", Serial: "H", User: "alice", Passcodes: []byte(code("H", 299) + code("H", 300) + code("H", 301))},
	} {
		t.Run(name, func(t *testing.T) {
			r := throttled(t)
			if f, err := r.ResyncFob(how); err != nil || !f.Throttled.IsZero() {
				t.Fatalf("%+v, %v", f, err)
			}
			r.accepted("alice", code("H", 302))
		})
	}
}

// TestLiftOfPasscodesAlone: failures with other factors are counted under names of
// their own, and stay.
func TestLiftOfPasscodesAlone(t *testing.T) {
	r := throttled(t)
	u, err := r.User("alice")
	if err != nil {
		t.Fatal(err)
	}
	wait := func(f func(*store.Tx, string, string, time.Time) (time.Duration, error), service string) (d time.Duration) {
		err := r.store.Update(func(tx *store.Tx) (err error) {
			d, err = f(tx, service, u.ID, r.clock.Now())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	failed := func(f func(*store.Tx, string, string, time.Time) error, service string) {
		if err := r.store.Update(func(tx *store.Tx) error { return f(tx, service, u.ID, r.clock.Now()) }); err != nil {
			t.Fatal(err)
		}
	}
	failed(r.Authority.Failed, "bypass-code")
	r.accepted("alice", code("H", 0)+code("H", 1))
	if wait(r.Waits, "bypass-code") != time.Second || wait(r.PasscodeWaits, "vpn") != 0 {
		t.Error("bypass codes:", wait(r.Waits, "bypass-code"), "passcodes:", wait(r.PasscodeWaits, "vpn"))
	}
	failed(r.PasscodeFailed, "vpn")
	if until, err := r.Throttled(u.ID, []string{"vpn", "ssh"}); err != nil || len(until) != 1 || until["vpn"].IsZero() {
		t.Error(until, err)
	}
}
