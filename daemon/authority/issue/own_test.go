package issue

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/message"
)

func rawID(d *device) message.ID { return d.keys.Public().DeviceID() }

// TestOwnDevices: a user sees his devices from each of them and revokes the one
// that is gone; that one is told who did it.
func TestOwnDevices(t *testing.T) {
	r := newRig(t)
	old := r.active("old", "alice", "vpn")
	phone := r.active("phone", "alice", "mail")
	expect[*message.NewSecret](phone, activation(phone, r.link("alice", "chat")), true)
	expect[*message.Done](phone, phone.proof(), false)
	list := expect[*message.DeviceList](phone, &message.Devices{}, true)
	if len(list.Devices) != 2 {
		t.Fatalf("%+v", list)
	}
	o, p := list.Devices[0], list.Devices[1]
	if o.ID != rawID(old) || o.Name != "old" || o.State != "active" || o.This || o.First == 0 || !slices.Equal(list.AccountsOf(o), []string{"Example: vpn"}) {
		t.Errorf("%+v", o)
	}
	if p.ID != rawID(phone) || !p.This || !slices.Equal(list.AccountsOf(p), []string{"Example: mail", "Example: chat"}) {
		t.Errorf("%+v", p)
	}
	// No other device has the account: that must be said.
	res := phone.refused(&message.RevokeDevice{Device: rawID(old)}, false, codeLast)
	if res.Final || !strings.Contains(res.Message, "Example: vpn") || !old.logsIn() {
		t.Errorf("%+v", res)
	}
	// A list again, in the same conversation.
	if again := expect[*message.DeviceList](phone, &message.Devices{}, false); !reflect.DeepEqual(again.Accounts, list.Accounts) {
		t.Errorf("%+v", again)
	}
	done := expect[*message.Done](phone, &message.RevokeDevice{Device: rawID(old), Last: true}, false)
	if !slices.Equal(done.Revoked, []string{"old"}) {
		t.Errorf("%+v", done)
	}
	// The same bytes again: the same answer.
	if again, err := r.Serve(t.Context(), phone.sealed); err != nil || string(again) != string(phone.answer) {
		t.Error(err)
	}
	// And a later request for it does no harm.
	expect[*message.Done](phone, &message.RevokeDevice{Device: rawID(old)}, false)
	list = expect[*message.DeviceList](phone, &message.Devices{}, false)
	if x := list.Devices[0]; x.State != "revoked" || len(x.Has) > 0 || slices.Contains(list.Accounts, "Example: vpn") {
		t.Errorf("%+v", list)
	}
	if old.logsIn() {
		t.Error("the revoked device logs in")
	}
	n := expect[*message.Notices](old, &message.Notice{}, true)
	if len(n.Revoked) != 1 || n.Revoked[0].By != "phone" || n.Revoked[0].Account != old.account {
		t.Errorf("%+v", n)
	}
	// What is revoked sees and revokes nothing.
	old.refused(&message.Devices{}, true, codeRefused)
	told := r.told.all("device-revoke")
	if len(told) != 3 || told[0].OK || !told[1].OK || told[1].Device != old.id() || told[1].User != r.alice.ID || told[1].Detail != "by-device="+phone.id() {
		t.Errorf("%+v", told)
	}
	for _, e := range told {
		if strings.Contains(e.Detail, "phone") || strings.Contains(e.Detail, "old") {
			t.Errorf("a name in the audit: %+v", e)
		}
	}
}

// TestOwnDevicePending: what a device that is revoked had under way comes to
// nothing, and the account can be brought back by its key.
func TestOwnDevicePending(t *testing.T) {
	r := newRig(t)
	old := r.active("old", "alice", "vpn")
	phone := r.active("phone", "alice", "mail")
	expect[*message.Offer](old, old.begin(false), true)
	expect[*message.NewSecret](old, factor("fob", r.passcode("F1")), false)
	expect[*message.DeviceList](phone, &message.Devices{}, true)
	expect[*message.Done](phone, &message.RevokeDevice{Device: rawID(old), Last: true}, false)
	old.refused(old.proof(), false, codeOver)
	fresh := old.restored("new")
	expect[*message.Offer](fresh, fresh.begin(true), true)
	expect[*message.NewSecret](fresh, factor("fob", r.passcode("F1")), false)
	expect[*message.Done](fresh, fresh.proof(), false)
	if !fresh.logsIn() {
		t.Error("the account does not come back")
	}
}

// TestThisDevice: the device that asks is revoked where it is named as that alone.
func TestThisDevice(t *testing.T) {
	r := newRig(t)
	laptop, phone := r.active("laptop", "alice", "vpn"), r.active("phone", "alice", "mail")
	expect[*message.DeviceList](laptop, &message.Devices{}, true)
	laptop.refused(&message.RevokeDevice{Device: rawID(laptop), Last: true}, false, codeThis)
	laptop.refused(&message.RevokeDevice{Device: rawID(phone), This: true, Last: true}, false, codeThis)
	laptop.refused(&message.RevokeDevice{Device: rawID(laptop), This: true}, false, codeLast)
	if !laptop.logsIn() || !phone.logsIn() {
		t.Error("a device that was not revoked does not log in")
	}
	expect[*message.Done](laptop, &message.RevokeDevice{Device: rawID(laptop), This: true, Last: true}, false)
	if laptop.logsIn() || !phone.logsIn() {
		t.Error("who logs in")
	}
	n := expect[*message.Notices](laptop, &message.Notice{}, true)
	if len(n.Revoked) != 1 || n.Revoked[0].By != "laptop" {
		t.Errorf("%+v", n)
	}
	laptop.refused(&message.Devices{}, true, codeRefused)
}

// TestKeptDevice: where another device has the account as well, nothing is asked.
func TestKeptDevice(t *testing.T) {
	r := newRig(t)
	r.policyIs(strings.Replace(usual, `old_device = "revoke"`, `old_device = "keep"`, 1))
	first, second := r.active("first", "alice", "vpn"), r.active("second", "alice", "vpn")
	expect[*message.DeviceList](second, &message.Devices{}, true)
	expect[*message.Done](second, &message.RevokeDevice{Device: rawID(first)}, false)
	if first.logsIn() || !second.logsIn() {
		t.Error("who logs in")
	}
}

// TestForeignDevice: another user's device is as unknown as one that there is not,
// and guessing is slowed down.
func TestForeignDevice(t *testing.T) {
	r := newRig(t)
	alices := r.active("alice's", "alice", "vpn")
	r.user("bob", "F2")
	bob := r.active("bob's", "bob", "vpn")
	if l := expect[*message.DeviceList](bob, &message.Devices{}, true); len(l.Devices) != 1 || l.Devices[0].ID != rawID(bob) {
		t.Fatalf("%+v", l)
	}
	a := bob.refused(&message.RevokeDevice{Device: rawID(alices), Last: true}, false, codeDevice)
	r.clock.pass(5 * time.Minute)
	b := bob.refused(&message.RevokeDevice{Device: message.ID{1}, Last: true}, false, codeDevice)
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%+v, of none %+v", a, b)
	}
	if x := bob.refused(&message.RevokeDevice{Device: message.ID{2}}, false, codeThrottle); x.RetryAfter == 0 {
		t.Errorf("%+v", x)
	}
	if !alices.logsIn() {
		t.Error("another user's device was revoked")
	}
	// Strangers and later requests without a first one.
	stranger := r.device("stranger")
	stranger.refused(&message.Devices{}, true, codeRefused)
	for _, d := range []*device{bob, stranger} {
		d.seal(&message.RevokeDevice{Device: rawID(alices), Last: true}, true)
		if _, err := r.Serve(t.Context(), d.sealed); !errors.Is(err, message.ErrReordered) {
			t.Error(err)
		}
	}
	// In a conversation about something else.
	expect[*message.Offer](bob, bob.begin(false), true)
	bob.seal(&message.RevokeDevice{Device: rawID(bob), This: true, Last: true}, false)
	if _, err := r.Serve(t.Context(), bob.sealed); !errors.Is(err, message.ErrReordered) {
		t.Error(err)
	}
	// A user who may nothing any more.
	expect[*message.DeviceList](bob, &message.Devices{}, true)
	disabled := true
	if _, err := r.reg.EditUser("owner", "bob", authority.UserEdit{Disabled: &disabled}); err != nil {
		t.Fatal(err)
	}
	bob.refused(&message.RevokeDevice{Device: rawID(bob), This: true, Last: true}, false, codeRefused)
}
