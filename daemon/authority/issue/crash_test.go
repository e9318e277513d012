package issue

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/message"
)

// TestCrashBetween reopens the registry after each step, and sends each request
// again before and after: the same bytes come back, and nothing is done twice.
func TestCrashBetween(t *testing.T) {
	r := newRig(t)
	crash := func(d *device, b message.RequestBody, first bool) message.Result {
		t.Helper()
		d.seal(b, first)
		answer, err := r.Serve(t.Context(), d.sealed)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			entries := len(r.told.entries)
			again, err := r.Serve(t.Context(), d.sealed)
			if err != nil || !bytes.Equal(again, answer) {
				t.Fatalf("again: %v, equal %v", err, bytes.Equal(again, answer))
			}
			if len(r.told.entries) != entries {
				t.Errorf("told again: %+v", r.told.entries[entries:])
			}
			r.reopen()
		}
		return d.open(answer)
	}
	phone := r.active("phone", "alice", "mail")
	old := r.device("old")
	link := r.link("alice", "vpn")
	crash(old, activation(old, link), true)
	crash(old, old.proof(), false)
	fresh := old.restored("new")
	crash(fresh, fresh.begin(true), true)
	crash(fresh, factor("fob", message.Secret("000000")), false)
	r.clock.pass(2 * time.Second)
	crash(fresh, factor("other_device", nil), false)
	crash(fresh, &message.Poll{}, false)
	q := crash(phone, &message.Poll{}, true).(*message.Questions)
	crash(phone, &message.Approve{Question: q.List[0].ID, Number: 0}, false)
	crash(fresh, &message.Poll{}, false)
	if _, ok := crash(fresh, factor("fob", r.passcode("F1")), false).(*message.NewSecret); !ok {
		t.Fatal("no secret")
	}
	if !old.logsIn() {
		t.Error("the old device does not log in before the proof")
	}
	if done, ok := crash(fresh, fresh.proof(), false).(*message.Done); !ok || len(done.Revoked) != 1 {
		t.Fatalf("%+v", done)
	}
	if old.logsIn() || !fresh.logsIn() || !phone.logsIn() {
		t.Error("who logs in")
	}
}

// TestReplays sends what was sent before, in a wrong order and to a wrong end.
func TestReplays(t *testing.T) {
	r := newRig(t)
	old := r.active("old", "alice", "vpn")
	fresh := old.restored("new")
	expect[*message.Offer](fresh, fresh.begin(true), true)
	begin := fresh.sealed
	expect[*message.NewSecret](fresh, factor("fob", r.passcode("F1")), false)
	tried := fresh.sealed
	fails := func(sealed []byte, want error) {
		t.Helper()
		waited := r.clock.waits()
		if _, err := r.Serve(t.Context(), sealed); !errors.Is(err, want) {
			t.Errorf("%v, not %v", err, want)
		}
		if r.clock.waits() == waited {
			t.Error("answered before the deadline")
		}
	}
	fails(begin, message.ErrReplayed)
	fails(bytes.Repeat([]byte{1}, 100), message.ErrMalformed)
	expect[*message.Done](fresh, fresh.proof(), false)
	fails(begin, message.ErrReplayed)
	fails(tried, message.ErrReplayed)
	// A later step of a conversation that never was.
	stray := fresh.restored("stray")
	stray.before, stray.after = &message.Pending{Conversation: message.ID{1}, Step: 1}, message.Hash{1}
	stray.seal(factor("fob", r.passcode("F1")), false)
	fails(stray.sealed, message.ErrReordered)
	// A step of another device's conversation.
	expect[*message.Offer](fresh, fresh.begin(false), true)
	stray.before, stray.after = fresh.before, fresh.after
	stray.seal(factor("fob", r.passcode("F1")), false)
	fails(stray.sealed, message.ErrOtherDevice)
	// A factor that is first, a proof without a secret, a poll without a question.
	fresh.seal(factor("fob", r.passcode("F1")), true)
	fails(fresh.sealed, message.ErrReordered)
	expect[*message.Offer](fresh, fresh.begin(false), true)
	before, after := fresh.before, fresh.after
	for _, b := range []message.RequestBody{&message.Proof{Code: message.Secret("123456")}, &message.Poll{}, &message.Approve{Question: message.ID{1}}, &message.Notice{}, fresh.begin(true)} {
		fresh.before, fresh.after = before, after
		fresh.seal(b, false)
		fails(fresh.sealed, message.ErrReordered)
	}
	// All of it is over in time; then the bytes have expired, too.
	r.clock.pass(16 * time.Minute)
	fails(begin, message.ErrExpired)
	fresh.before, fresh.after = before, after
	fresh.refused(factor("fob", r.passcode("F1")), false, codeOver)
}

// TestAtOnce: equal requests at the same time get one answer and burn one
// passcode; the same passcode in different requests is good for one of them.
func TestAtOnce(t *testing.T) {
	r := newRig(t)
	old := r.active("old", "alice", "vpn")
	fresh := old.restored("new")
	expect[*message.Offer](fresh, fresh.begin(true), true)
	fresh.seal(factor("fob", r.passcode("F1")), false)
	const n = 50
	answers := make([][]byte, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			var err error
			if answers[i], err = r.Serve(t.Context(), fresh.sealed); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, a := range answers {
		if !bytes.Equal(a, answers[0]) {
			t.Fatal("different answers to one request")
		}
	}
	if _, ok := fresh.open(answers[0]).(*message.NewSecret); !ok {
		t.Fatal("no secret")
	}
	if e := r.told.all("verify"); len(e) != 1 || !e[0].OK {
		t.Errorf("%+v", e)
	}
	passcode := r.passcode("F1")
	devices := make([]*device, n)
	for i := range n {
		devices[i] = old.restored("another")
		expect[*message.Offer](devices[i], devices[i].begin(true), true)
		devices[i].seal(factor("fob", bytes.Clone(passcode)), false)
	}
	for i := range n {
		wg.Go(func() {
			var err error
			if answers[i], err = r.Serve(t.Context(), devices[i].sealed); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	accepted := 0
	for i := range n {
		if _, ok := devices[i].open(answers[i]).(*message.NewSecret); ok {
			accepted++
		}
	}
	if accepted != 1 {
		t.Errorf("%d accepted", accepted)
	}
}

// TestTwoDevices: two devices bring the account back at the same time. Whoever
// proves last has it, and at every moment somebody has.
func TestTwoDevices(t *testing.T) {
	r := newRig(t)
	old := r.active("old", "alice", "vpn")
	a, b := old.restored("a"), old.restored("b")
	expect[*message.Offer](a, a.begin(true), true)
	expect[*message.Offer](b, b.begin(true), true)
	expect[*message.NewSecret](a, factor("fob", r.passcode("F1")), false)
	expect[*message.NewSecret](b, factor("fob", r.passcode("F1")), false)
	if !old.logsIn() {
		t.Error("nobody logs in")
	}
	expect[*message.Done](a, a.proof(), false)
	if !a.logsIn() || old.logsIn() {
		t.Error("after a")
	}
	r.clock.pass(b.before.Expires.Sub(r.clock.Now()) - 30*time.Second) // back: logsIn lets time pass
	if done := expect[*message.Done](b, b.proof(), false); len(done.Revoked) != 1 || done.Revoked[0] != "a" {
		t.Errorf("%+v", done)
	}
	if a.logsIn() || !b.logsIn() {
		t.Error("after b")
	}
	// One device twice: the later secret takes the place of the earlier.
	first := old.restored("c")
	expect[*message.Offer](first, first.begin(true), true)
	expect[*message.NewSecret](first, factor("fob", r.passcode("F1")), false)
	second := *first
	expect[*message.Offer](&second, second.begin(true), true)
	expect[*message.NewSecret](&second, factor("fob", r.passcode("F1")), false)
	first.refused(first.proof(), false, codeOver)
	expect[*message.Done](&second, second.proof(), false)
	if !second.logsIn() {
		t.Error("the device does not log in")
	}
	accounts, err := r.Accounts("alice")
	if err != nil || len(accounts) != 1 {
		t.Fatal(accounts, err)
	}
	for _, d := range accounts[0].Devices {
		if (d.State == Active) != (d.Device == second.id()) {
			t.Errorf("%+v", d)
		}
	}
}

// TestPendingExpires: a secret that is not proved in time is good for nothing.
func TestPendingExpires(t *testing.T) {
	r := newRig(t)
	old := r.active("old", "alice", "vpn")
	fresh := old.restored("new")
	expect[*message.Offer](fresh, fresh.begin(true), true)
	expect[*message.NewSecret](fresh, factor("fob", r.passcode("F1")), false)
	r.clock.pass(15 * time.Minute)
	fresh.files = true // so that the request itself is still good
	fresh.refused(fresh.proof(), false, codeOver)
	if !old.logsIn() || fresh.logsIn() {
		t.Error("who logs in")
	}
	if devices, _ := r.Devices("alice"); len(devices) != 1 {
		t.Errorf("%+v", devices)
	}
	// Wrong codes use it up.
	expect[*message.Offer](fresh, fresh.begin(true), true)
	expect[*message.NewSecret](fresh, factor("fob", r.passcode("F1")), false)
	for n := range maxProofs {
		if res := fresh.refused(&message.Proof{Code: message.Secret("000000")}, false, codeCode); res.Final != (n == maxProofs-1) {
			t.Fatalf("%d: %+v", n, res)
		}
	}
	fresh.refused(fresh.proof(), false, codeOver)
	if !old.logsIn() {
		t.Error("the old device does not log in")
	}
}

// TestByFiles: what is carried by hand has a day, and its proof the same 15
// minutes.
func TestByFiles(t *testing.T) {
	r := newRig(t)
	old := r.active("old", "alice", "vpn")
	fresh := old.restored("new")
	fresh.files = true
	expect[*message.Offer](fresh, fresh.begin(true), true)
	r.clock.pass(5 * time.Hour)
	expect[*message.NewSecret](fresh, factor("fob", r.passcode("F1")), false)
	r.clock.pass(14 * time.Minute)
	expect[*message.Done](fresh, fresh.proof(), false)
	if !fresh.logsIn() {
		t.Error("it does not log in")
	}
}
