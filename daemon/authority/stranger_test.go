package authority

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// TestStrangersPushNobodyOut makes up more names than there are rows for, each tried
// once: what a real user failed at is remembered, as the throttle of whoever has no fob
// here is all there is.
func TestStrangersPushNobodyOut(t *testing.T) {
	r := newRig(t)
	alice := r.user("alice")
	now := r.clock.Now()
	const service = "managed vpn"
	err := r.store.Update(func(tx *store.Tx) error {
		for range mostFailures {
			if err := r.Authority.Failed(tx, service, alice.ID, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.clock.pass(time.Second)
	for made := 0; made < maxTries+100; {
		err := r.store.Update(func(tx *store.Tx) error {
			for range 5000 {
				made++
				at := Attempt{Service: "vpn", User: fmt.Sprint("nobody", made), Passcode: []byte("123456")}
				q, v := question{user: at.User, now: r.clock.Now()}, Verdict{}
				err := r.prepare(tx, at, &q, &v)
				if err == nil {
					v, err = r.judge(tx, &q)
				}
				if err != nil || v.Reason != ReasonUnknownUser {
					return errors.Join(err, fmt.Errorf("%+v", v))
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	err = r.store.View(func(tx *store.Tx) error {
		waits, err := r.Waits(tx, service, alice.ID, r.clock.Now())
		if err == nil && waits != longest-time.Second {
			t.Errorf("after %d names that were made up she waits %v", maxTries+100, waits)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
