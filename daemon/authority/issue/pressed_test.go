package issue

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/message"
)

// crowd is somebody who has a backup of the device's and no factor, and begins as
// often as he can.
func (d *device) crowd() {
	d.r.Helper()
	thief := d.restored("thief")
	thief.files = true // to be remembered for longer
	for range 2 * maxTalks {
		expect[*message.Offer](thief, thief.begin(true), true)
	}
}

// TestCrowdedOut: whoever has no factor pushes out nobody who gave one. Least of
// all may the answer to a proof be lost, for the old device is revoked by then.
func TestCrowdedOut(t *testing.T) {
	r := newRig(t)
	old := r.active("old", "alice", "vpn")
	r.policyIs(factorsTwo(usual))
	_, code, err := r.CreateBypass("owner", "alice", 0)
	if err != nil {
		t.Fatal(err)
	}
	fresh := old.restored("new")
	expect[*message.Offer](fresh, fresh.begin(true), true)
	expect[*message.Offer](fresh, factor("bypass_code", code), false)
	old.crowd()
	expect[*message.NewSecret](fresh, factor("fob", r.passcode("F1")), false)
	old.crowd()
	fresh.seal(fresh.proof(), false)
	answer, err := r.Serve(t.Context(), fresh.sealed)
	if err != nil {
		t.Fatal(err)
	}
	old.crowd()
	again, err := r.Serve(t.Context(), fresh.sealed)
	if err != nil || !bytes.Equal(again, answer) {
		t.Fatalf("the answer to the proof is lost: %v", err)
	}
	if _, ok := fresh.open(again).(*message.Done); !ok || !fresh.logsIn() {
		t.Error("the new device does not log in")
	}
	if n, err := r.talksOf(r.alice.ID); err != nil || n > maxTalks {
		t.Errorf("%d, %v", n, err)
	}
}

func factorsTwo(p string) string {
	return string(bytes.Replace([]byte(p), []byte("after_restore"), []byte("factors = 2\nafter_restore"), 1))
}

// TestThiefWaits: who brought the account back, and waits with the proof until an
// activation has replaced the devices, has nothing any more.
func TestThiefWaits(t *testing.T) {
	r := newRig(t)
	old := r.active("old", "alice", "vpn")
	thief := old.restored("thief")
	expect[*message.Offer](thief, thief.begin(true), true)
	expect[*message.NewSecret](thief, factor("fob", r.passcode("F1")), false)
	proof := thief.proof()
	fresh := r.device("new")
	expect[*message.NewSecret](fresh, activation(fresh, r.link("alice", "vpn")), true)
	if done := expect[*message.Done](fresh, fresh.proof(), false); !slices.Equal(done.Revoked, []string{"old"}) {
		t.Errorf("%+v", done)
	}
	thief.seal(proof, false)
	if answer, err := r.Serve(t.Context(), thief.sealed); err == nil {
		t.Errorf("the thief's proof is answered: %+v", thief.open(answer))
	}
	if !fresh.logsIn() || thief.logsIn() {
		t.Error("the thief has the account")
	}
}

// TestOftenAsked: each no makes the next question wait longer, whichever device
// asks it.
func TestOftenAsked(t *testing.T) {
	r := newRig(t)
	phone := r.active("phone", "alice", "mail")
	old := r.active("old", "alice", "vpn")
	asked := 0
	for begun := r.clock.Now(); asked <= 15 && r.clock.Now().Sub(begun) < time.Hour; r.clock.pass(time.Second) {
		thief := old.restored("thief")
		expect[*message.Offer](thief, thief.begin(true), true)
		if no, ok := thief.say(factor("other_device", nil), false).(*message.Refused); ok {
			if no.Code != codeThrottle {
				t.Fatalf("%+v", no)
			}
			r.clock.pass(time.Duration(no.RetryAfter) * time.Second)
			continue
		}
		asked++
		q := expect[*message.Questions](phone, &message.Poll{}, true)
		for len(q.List) > 0 {
			expect[*message.Done](phone, &message.Approve{Question: q.List[0].ID}, false)
			q = expect[*message.Questions](phone, &message.Poll{}, true)
		}
	}
	if asked > 15 {
		t.Errorf("the user was asked %d times in an hour, and said no each time", asked)
	}
	if asked < 5 {
		t.Errorf("the user was asked %d times", asked)
	}
}

// TestRightAlthoughThrottled: nobody's wrong codes keep a right one out, where no
// number of tries guesses one.
func TestRightAlthoughThrottled(t *testing.T) {
	r := newRig(t)
	old := r.active("old", "alice", "vpn")
	_, code, err := r.CreateBypass("owner", "alice", 0)
	if err != nil {
		t.Fatal(err)
	}
	thief := old.restored("thief")
	expect[*message.Offer](thief, thief.begin(true), true)
	for range 20 {
		if no := expect[*message.Refused](thief, factor("bypass_code", message.Secret("ABCD-EFGH-JKMN-PQRS")), false); no.Code == codeThrottle {
			r.clock.pass(time.Duration(no.RetryAfter) * time.Second / 2)
		}
	}
	thief.refused(factor("bypass_code", message.Secret("ABCD-EFGH-JKMN-PQRS")), false, codeThrottle)
	fresh := old.restored("new")
	expect[*message.Offer](fresh, fresh.begin(true), true)
	expect[*message.NewSecret](fresh, factor("bypass_code", code), false)
}
