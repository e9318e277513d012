package issue

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/message"
)

// TestStory: activated, lost, restored elsewhere, brought back by a fob.
func TestStory(t *testing.T) {
	r := newRig(t)
	old := r.active("old laptop", "alice", "vpn")
	if !old.logsIn() {
		t.Fatal("the activated device does not log in")
	}
	fresh := old.restored("new laptop")
	offer := expect[*message.Offer](fresh, fresh.begin(true), true)
	if !slices.Equal(offer.Factors, []string{"fob", "other_device"}) || offer.Required != 1 || offer.OldDevice != "revoke" {
		t.Fatalf("%+v", offer)
	}
	why := map[string]string{}
	for _, d := range offer.Denials {
		why[d.Factor] = d.Reason
	}
	for f, part := range map[string]string{"sms": "no-sms-no-calls", "phone_call": "no-sms-no-calls", "security_key": "none registered", "other_device": "", "bypass_code": "none"} {
		if _, denied := why[f]; !denied && f != "other_device" || !strings.Contains(why[f], part) {
			t.Errorf("%s: %q", f, why[f])
		}
	}
	fresh.refused(factor("fob", message.Secret("000000")), false, codePasscode)
	r.clock.pass(2 * time.Second)
	fresh.refused(factor("sms", nil), false, codeOffered)
	expect[*message.NewSecret](fresh, factor("fob", r.passcode("F1")), false)
	if !old.logsIn() {
		t.Error("the old device does not log in before the proof")
	}
	v, err := r.VerifyManaged(t.Context(), Login{Service: "vpn", User: "alice", Code: fresh.code()})
	if err != nil || v.Accepted || v.Reason != ReasonPending {
		t.Errorf("before the proof: %+v, %v", v, err)
	}
	fresh.refused(&message.Proof{Code: message.Secret("000000")}, false, codeCode)
	done := expect[*message.Done](fresh, fresh.proof(), false)
	if !slices.Equal(done.Revoked, []string{"old laptop"}) || len(done.Kept) > 0 {
		t.Errorf("%+v", done)
	}
	if old.logsIn() || !fresh.logsIn() {
		t.Error("after the proof")
	}
	notices := expect[*message.Notices](old, &message.Notice{}, true)
	if len(notices.Revoked) != 1 || notices.Revoked[0].Account != old.account || notices.Revoked[0].By != "new laptop" {
		t.Errorf("%+v", notices)
	}
	if n := expect[*message.Notices](old, &message.Notice{Forgotten: []string{old.account}}, true); len(n.Revoked) > 0 {
		t.Errorf("%+v", n)
	}
	devices, err := r.Devices("alice")
	if err != nil || len(devices) != 2 || devices[0].State != Revoked || devices[1].State != Active || !slices.Equal(devices[1].Accounts, []string{fresh.account}) {
		t.Errorf("%+v, %v", devices, err)
	}
	r.quiet(old, fresh)
}

// quiet checks that the audit holds ids, and neither names nor secrets.
func (r *rig) quiet(devices ...*device) {
	r.Helper()
	for _, e := range r.told.entries {
		line := strings.Join([]string{e.Kind, e.By, e.User, e.Account, e.Device, e.Detail, e.Reference}, " ")
		for _, d := range devices {
			for _, s := range []string{d.name, "alice", "vpn", string(d.secret.Secret)} {
				if strings.Contains(line, s) {
					r.Errorf("%q holds %q", line, s)
				}
			}
		}
	}
}

func TestKept(t *testing.T) {
	r := newRig(t)
	old := r.active("old", "alice", "vpn")
	r.policyIs(strings.Replace(usual, `"revoke"`, `"keep"`, 1))
	fresh := old.restored("new")
	expect[*message.Offer](fresh, fresh.begin(true), true)
	expect[*message.NewSecret](fresh, factor("fob", r.passcode("F1")), false)
	if done := expect[*message.Done](fresh, fresh.proof(), false); !slices.Equal(done.Kept, []string{"old"}) || len(done.Revoked) > 0 {
		t.Errorf("%+v", done)
	}
	if !old.logsIn() || !fresh.logsIn() {
		t.Error("one does not log in")
	}
	if string(old.secret.Secret) == string(fresh.secret.Secret) {
		t.Error("two devices share a secret")
	}
}

// TestFobOutOfDate: a fob holds the rungs below it back while its passcodes are
// accepted, and neither before nor after.
func TestFobOutOfDate(t *testing.T) {
	r := newRig(t)
	r.policyIs(strings.Replace(usual, "after_restore", "ladder = [\"fob\", \"bypass_code\"]\nafter_restore", 1))
	bob := r.user("bob")
	seed := seedOf("F2")
	seed.Start, seed.Expiry = r.clock.Now().Add(time.Hour), r.clock.Now().Add(2*time.Hour)
	if _, err := r.reg.ImportFobs("owner", []authority.Seed{seed}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.reg.AssignFob("owner", "F2", bob.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.CreateBypass("owner", "bob", 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	fresh := r.active("old", "bob", "vpn").restored("new")
	for _, c := range []struct{ when, offered, denied string }{
		{"before its start", "bypass_code", "fob"},
		{"while it works", "fob", "bypass_code"},
		{"after its expiry", "bypass_code", "fob"},
	} {
		offer := expect[*message.Offer](fresh, fresh.begin(true), true)
		if !slices.Contains(offer.Factors, c.offered) || slices.Contains(offer.Factors, c.denied) {
			t.Errorf("%s: %v", c.when, offer.Factors)
		}
		r.clock.pass(time.Hour)
	}
}

// TestNothingLeft: every factor is denied, or the restore is.
func TestNothingLeft(t *testing.T) {
	r := newRig(t)
	old := r.active("old", "alice", "vpn")
	fresh := old.restored("new")
	r.policyIs(strings.Replace(usual, `deny = ["sms"`, `deny = ["fob", "security_key", "other_device", "bypass_code", "sms"`, 1))
	res := fresh.refused(fresh.begin(true), true, codePolicy)
	if !res.Final || res.Contact != "IT helpdesk, +41 44 000 00 00" || res.Reference == "" || len(res.Alternatives) != 3 || len(res.Denials) < 6 {
		t.Errorf("%+v", res)
	}
	if e := r.told.all("reactivate-begin"); len(e) != 1 || e[0].Reference != res.Reference || e[0].OK || e[0].Account != old.account {
		t.Errorf("%+v", e)
	}
	fresh.refused(factor("fob", r.passcode("F1")), false, codeOver)
	r.policyIs(strings.Replace(usual, `after_restore = "allowed"`, "after_restore = \"forbidden\"\nforbidden_by = \"the board\"", 1))
	if res := fresh.refused(fresh.begin(true), true, codeRestore); !strings.Contains(res.Message, "the board") {
		t.Errorf("%+v", res)
	}
	// On the device itself nothing was restored.
	expect[*message.Offer](old, old.begin(false), true)
	// Who never had a secret is taken for restored, whatever it says.
	fresh.refused(fresh.begin(false), true, codeRestore)
	r.policyIs(usual)
	// A policy that changes in between counts.
	expect[*message.Offer](fresh, fresh.begin(false), true)
	r.policyIs(strings.Replace(usual, `deny = ["sms"`, `deny = ["fob", "other_device", "sms"`, 1))
	fresh.refused(factor("fob", r.passcode("F1")), false, codePolicy)
	if !old.logsIn() {
		t.Error("the old device does not log in")
	}
}

func TestBypass(t *testing.T) {
	r := newRig(t)
	old := r.active("old", "alice", "vpn")
	b, code, err := r.CreateBypass("owner", "alice", 0)
	if err != nil || len(code) != 19 {
		t.Fatal(len(code), err)
	}
	fresh := old.restored("new")
	expect[*message.Offer](fresh, fresh.begin(true), true)
	fresh.refused(factor("bypass_code", message.Secret("ABCD-EFGH-JKMN-PQRS")), false, codeBypass)
	if res := fresh.refused(factor("bypass_code", message.Secret("ABCD-EFGH-JKMN-PQRS")), false, codeThrottle); res.RetryAfter != 1 {
		t.Errorf("%+v", res)
	}
	typed := message.Secret(strings.ToLower(strings.NewReplacer("-", " ", "0", "o", "1", "l").Replace(string(code))))
	expect[*message.NewSecret](fresh, factor("bypass_code", typed), false)
	// It is used up, though nothing was proved yet.
	third := old.restored("third")
	offer := expect[*message.Offer](third, third.begin(true), true)
	if slices.Contains(offer.Factors, "bypass_code") {
		t.Errorf("%+v", offer)
	}
	third.refused(factor("bypass_code", slices.Clone(code)), false, codeOffered)
	expect[*message.Done](fresh, fresh.proof(), false)
	list, err := r.BypassCodes("alice")
	if err != nil || len(list) != 1 || list[0].State != Used || list[0].ID != b.ID {
		t.Errorf("%+v, %v", list, err)
	}
	for n, spoil := range []func(BypassCode) error{
		func(b BypassCode) error { return r.RevokeBypass("owner", b.ID) },
		func(BypassCode) error { r.clock.pass(24 * time.Hour); return nil },
	} {
		b, code, err := r.CreateBypass("owner", "alice", 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := spoil(b); err != nil {
			t.Fatal(err)
		}
		d := fresh.restored("again")
		expect[*message.Offer](d, d.begin(true), true)
		d.refused(factor("bypass_code", code), false, codeOffered)
		if list, _ := r.BypassCodes("alice"); list[n+1].State != []CodeState{Off, Expired}[n] {
			t.Errorf("%+v", list)
		}
	}
	if err := r.RevokeBypass("owner", b.ID); kind(err) != authority.Conflict {
		t.Error(err)
	}
}

func TestOtherDevice(t *testing.T) {
	r := newRig(t)
	phone := r.active("phone", "alice", "mail")
	old := r.active("old", "alice", "vpn")
	fresh := old.restored("new")
	ask := func() (*message.Waiting, message.Question) {
		t.Helper()
		w := expect[*message.Waiting](fresh, factor("other_device", nil), false)
		q := expect[*message.Questions](phone, &message.Poll{}, true)
		if len(q.List) != 1 || q.List[0].Account != "Example: vpn" || q.List[0].Device != "new" {
			t.Fatalf("%+v", q)
		}
		return w, q.List[0]
	}
	expect[*message.Offer](fresh, fresh.begin(true), true)
	if q := expect[*message.Questions](phone, &message.Poll{}, true); len(q.List) > 0 {
		t.Errorf("%+v", q)
	}
	w, q := ask()
	wrong := 10 + (w.Number-9)%90
	phone.refused(&message.Approve{Question: q.ID, Yes: true, Number: wrong}, false, codeApproval)
	// The right number comes too late now.
	phone.refused(&message.Approve{Question: q.ID, Yes: true, Number: w.Number}, false, codeLate)
	fresh.refused(&message.Poll{}, false, codeApproval)
	fresh.refused(factor("other_device", nil), false, codeThrottle)
	r.clock.pass(2 * time.Second)
	_, q = ask()
	expect[*message.Done](phone, &message.Approve{Question: q.ID}, false)
	fresh.refused(&message.Poll{}, false, codeApproval)
	fresh.refused(factor("other_device", nil), false, codeThrottle)
	r.clock.pass(4 * time.Second)
	w, q = ask()
	if again := expect[*message.Waiting](fresh, &message.Poll{}, false); again.Number != w.Number {
		t.Errorf("%+v", again)
	}
	expect[*message.Done](phone, &message.Approve{Question: q.ID, Yes: true, Number: w.Number}, false)
	expect[*message.NewSecret](fresh, &message.Poll{}, false)
	done := expect[*message.Done](fresh, fresh.proof(), false)
	if !slices.Equal(done.Revoked, []string{"old"}) {
		t.Errorf("%+v", done)
	}
	if e := r.told.all("device-approve"); len(e) != 3 || e[2].Device != phone.id() || e[2].Reference == "" || e[2].Account != fresh.account {
		t.Errorf("%+v", e)
	}
	// In time, or not at all; and not for ever.
	fourth := fresh.restored("fourth")
	expect[*message.Offer](fourth, fourth.begin(true), true)
	for range maxAsked {
		expect[*message.Waiting](fourth, factor("other_device", nil), false)
		r.clock.pass(5 * time.Minute)
		if q := expect[*message.Questions](phone, &message.Poll{}, true); len(q.List) > 0 {
			t.Errorf("%+v", q)
		}
		res := fourth.say(&message.Poll{}, false).(*message.Refused)
		if res.Code != codeLate && res.Code != codeOver {
			t.Fatalf("%+v", res)
		}
		if res.Code == codeOver {
			return
		}
	}
	t.Error("the conversation does not end")
}

func kind(err error) authority.ErrorKind {
	var e *authority.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}
