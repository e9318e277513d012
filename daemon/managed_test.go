package daemon_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// TestManagedStory: an account is activated, backed up, restored elsewhere, and
// brought back there by a fob. The daemon is killed between all steps, and every
// message is carried twice.
func TestManagedStory(t *testing.T) {
	o := newOffice(t, newClock())
	old := o.device("old laptop").create()
	old.kills = true
	add(t, old.Daemon, old.who, aliceURI)
	a := old.activate("vpn")
	if !old.logsIn(a.ID) {
		t.Fatal("the activated account does not log in")
	}
	fresh := old.restored("new laptop")
	got, err := fresh.Account(t.Context(), fresh.who, a.ID)
	if err != nil || !got.Inactive || got.Kind != "managed" {
		t.Fatalf("%+v, %v", got, err)
	}
	_, err = fresh.Code(t.Context(), fresh.who, "vpn", ipc.CodeRequest{})
	wantKind(t, err, ipc.AccountInactive)
	if list, err := fresh.Conversations(t.Context(), fresh.who); err != nil || len(list.Steps) > 0 {
		t.Fatalf("the backup holds what was under way: %+v, %v", list, err)
	}

	offer := fresh.expect(ipc.PhaseChoose, fresh.carry(fresh.begin("vpn")))
	if !slices.Equal(offer.Offer.Factors, []string{"fob", "other_device"}) || offer.Offer.OldDevice != "revoke" || offer.Kind != "reactivate" || *offer.Account != a {
		t.Fatalf("%+v", offer)
	}
	if !slices.ContainsFunc(offer.Offer.Denials, func(d ipc.ManagedDenial) bool {
		return d.Factor == "sms" && strings.Contains(d.Reason, "no-sms-no-calls")
	}) {
		t.Errorf("%+v", offer.Offer.Denials)
	}
	wrong := fresh.expect(ipc.PhaseChoose, fresh.carry(fresh.try(offer.Conversation, "fob", "000000")))
	if wrong.Refused == nil || wrong.Refused.Code != "passcode-invalid" {
		t.Fatalf("%+v", wrong.Refused)
	}
	o.pass(5 * time.Second)
	passcode := o.passcode()
	proof := fresh.expect(ipc.PhaseProving, fresh.carry(fresh.try(offer.Conversation, "fob", passcode)))
	if fresh.logsIn(a.ID) || !old.logsIn(a.ID) {
		t.Error("before the proof the old device logs in, and no other")
	}
	// The code is out of date by now: another one is made.
	if late := fresh.expect(ipc.PhaseProving, fresh.carry(proof, nil)); late.Refused == nil || late.Request != nil {
		t.Fatalf("%+v", late)
	}
	events := listen(t, fresh.Daemon, fresh.who)
	again, err := fresh.ProveAgain(t.Context(), fresh.who, proof.Conversation)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := o.Serve(t.Context(), again.Request)
	if err != nil {
		t.Fatal(err)
	}
	done, err := fresh.TakeAnswer(t.Context(), fresh.who, ipc.TakeAnswerRequest{Message: answer})
	if err != nil {
		t.Fatal(err)
	}
	fresh.expect(ipc.PhaseDone, done)
	if !slices.Equal(done.Done.Revoked, []string{"old laptop"}) || done.Authority.Name != "Example" || done.Request != nil {
		t.Errorf("%+v", done)
	}
	if e := events.next(t, ipc.EventAccountChanged); e.Account == nil || *e.Account != a {
		t.Errorf("told as %+v", e.Account)
	}
	if old.logsIn(a.ID) || !fresh.logsIn(a.ID) {
		t.Error("after the proof the new device logs in, and no other")
	}
	notices := old.expect(ipc.PhaseDone, old.carry(old.AskNotices(t.Context(), old.who, a.ID)))
	if len(notices.Revoked) != 1 || notices.Revoked[0].By != "new laptop" || notices.Revoked[0].Account == nil || *notices.Revoked[0].Account != a {
		t.Errorf("%+v", notices.Revoked)
	}
	_, err = old.Code(t.Context(), old.who, a.ID, ipc.CodeRequest{})
	wantKind(t, err, ipc.AccountInactive)
	if _, err := old.Code(t.Context(), old.who, "alice", ipc.CodeRequest{}); err != nil {
		t.Errorf("another account: %v", err)
	}
	checkManagedAudit(t, old, fresh, a.ID, passcode)
}

// checkManagedAudit looks for each step, by ids, and for what must not be there.
func checkManagedAudit(t *testing.T, old, fresh *device, account, passcode string) {
	t.Helper()
	has := func(v *device, want ...string) {
		t.Helper()
		list := v.audited()
		at := 0
		for _, line := range list {
			if at < len(want) && strings.HasPrefix(line, want[at]) {
				at++
			}
		}
		if at < len(want) {
			t.Errorf("%s: no %q at its place in %q", v.name, want[at], list)
		}
		for _, word := range []string{"vpn", "laptop", passcode, "000000", "tokend-activate"} {
			if strings.Contains(strings.Join(list, "\n"), word) {
				t.Errorf("%s: the audit has %q: %q", v.name, word, list)
			}
		}
	}
	has(old, "activate ", "secret-prove ", "secret-replace "+account, "account-revoked "+account)
	has(fresh, "reactivate "+account, "reactivate-factor ", "authority-refuse ", "reactivate-factor ", "secret-prove ", "authority-refuse ", "secret-prove ", "secret-replace "+account)
	if n := strings.Count(strings.Join(fresh.audited(), "\n"), "fob"); n != 2 {
		t.Errorf("the factor is told %d times", n)
	}
}

// TestManagedOtherDevice: approved on another device by the number, and not by
// another number.
func TestManagedOtherDevice(t *testing.T) {
	o := newOffice(t, newClock())
	phone, old := o.device("phone").create(), o.device("old").create()
	mail := phone.activate("mail")
	vpn := old.activate("vpn")
	fresh := old.restored("new")
	offer := fresh.expect(ipc.PhaseChoose, fresh.carry(fresh.begin(vpn.ID)))
	ask := func() (waiting, asked ipc.ManagedStep) {
		waiting = fresh.expect(ipc.PhaseWaiting, fresh.carry(fresh.try(offer.Conversation, "other_device", "")))
		asked = phone.expect(ipc.PhaseQuestions, phone.carry(phone.AskQuestions(t.Context(), phone.who, mail.ID)))
		if len(asked.Questions) != 1 || asked.Questions[0].Device != "new" || !strings.Contains(asked.Questions[0].Account, "vpn") {
			t.Fatalf("%+v", asked.Questions)
		}
		return waiting, asked
	}
	waiting, asked := ask()
	answer := ipc.AnswerQuestionRequest{Question: "ff", Yes: true, Number: waiting.Waiting.Number}
	_, err := phone.AnswerQuestion(t.Context(), phone.who, asked.Conversation, answer)
	wantKind(t, err, ipc.Conflict)
	answer.Question, answer.Number = asked.Questions[0].ID, 1
	_, err = phone.AnswerQuestion(t.Context(), phone.who, asked.Conversation, answer)
	wantKind(t, err, ipc.InvalidArgument)
	answer.Number = waiting.Waiting.Number%90 + 10
	if step := phone.carry(phone.AnswerQuestion(t.Context(), phone.who, asked.Conversation, answer)); step.Refused == nil {
		t.Errorf("a wrong number: %+v", step)
	}
	fresh.expect(ipc.PhaseChoose, fresh.carry(fresh.PollConversation(t.Context(), fresh.who, offer.Conversation)))
	o.pass(time.Minute)
	waiting, asked = ask()
	answer.Question, answer.Number = asked.Questions[0].ID, waiting.Waiting.Number
	phone.expect(ipc.PhaseDone, phone.carry(phone.AnswerQuestion(t.Context(), phone.who, asked.Conversation, answer)))
	proof := fresh.expect(ipc.PhaseProving, fresh.carry(fresh.PollConversation(t.Context(), fresh.who, offer.Conversation)))
	fresh.expect(ipc.PhaseDone, fresh.carry(proof, nil))
	if !fresh.logsIn(vpn.ID) || old.logsIn(vpn.ID) || !phone.logsIn(mail.ID) {
		t.Error("after the approval")
	}
	if list := strings.Join(phone.audited(), "\n"); strings.Count(list, "device-approve "+asked.Conversation+" yes") != 1 {
		t.Errorf("%s", list)
	}
}

// TestManagedIsBackedUp: an account that was activated is in the next backup that
// the daemon makes by itself.
func TestManagedIsBackedUp(t *testing.T) {
	k := startKept(t)
	o := newOffice(t, k.clock)
	v := &device{office: o, Daemon: k.Daemon, name: "laptop", state: k.state, who: k.who}
	events := listen(t, v.Daemon, v.who)
	step, err := v.Activate(t.Context(), v.who, v.activation(o.link("vpn")))
	for range 2 {
		if err != nil {
			t.Fatal(err)
		}
		var answer []byte
		if answer, err = o.Serve(t.Context(), step.Request); err != nil {
			t.Fatal(err)
		}
		step, err = v.TakeAnswer(t.Context(), v.who, ipc.TakeAnswerRequest{Message: answer})
	}
	if err != nil {
		t.Fatal(err)
	}
	v.expect(ipc.PhaseDone, step)
	if e := events.next(t, ipc.EventAccountAdded); e.Account == nil || *e.Account != *step.Account {
		t.Errorf("told as %+v", e.Account)
	}
	k.clock.pass(time.Minute)
	k.until("a backup with the account", func(st ipc.BackupStatus) bool {
		return !st.Pending && st.Opened != nil && st.Opened.Accounts == 1
	})
}

// TestManagedClass: an account of the touch class wants a token that can guard it.
func TestManagedClass(t *testing.T) {
	o := newOffice(t, newClock())
	v := o.device("laptop").create()
	for class, kind := range map[string]ipc.Kind{"touch": ipc.NoKeyslot, "psychic": ipc.InvalidArgument} {
		r := v.activation(o.link("vpn"))
		r.Class = class
		_, err := v.Activate(t.Context(), v.who, r)
		wantKind(t, err, kind)
	}
	if list, err := v.Conversations(t.Context(), v.who); err != nil || len(list.Steps) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestManagedDevices: a device that is gone is revoked from another one, once the
// user has said that he knows what it costs.
func TestManagedDevices(t *testing.T) {
	o := newOffice(t, newClock())
	old, phone := o.device("old laptop").create(), o.device("phone").create()
	vpn, mail := old.activate("vpn"), phone.activate("mail")
	listed := phone.expect(ipc.PhaseDevices, phone.carry(phone.AskDevices(t.Context(), phone.who, mail.ID)))
	if len(listed.Devices) != 2 || listed.Devices[0].Name != "old laptop" || listed.Devices[0].State != ipc.DeviceActive || !listed.Devices[1].This ||
		!slices.Equal(listed.Devices[0].Accounts, []string{"Example: vpn"}) || listed.Devices[0].First.IsZero() || listed.Kind != "devices" {
		t.Fatalf("%+v", listed.Devices)
	}
	r := ipc.RevokeDeviceRequest{Device: strings.Repeat("1", 32)}
	_, err := phone.RevokeDevice(t.Context(), phone.who, listed.Conversation, r)
	wantKind(t, err, ipc.Conflict)
	r.Device = listed.Devices[0].ID
	last := phone.expect(ipc.PhaseDevices, phone.carry(phone.RevokeDevice(t.Context(), phone.who, listed.Conversation, r)))
	if last.Refused == nil || last.Refused.Code != "last-device" || len(last.Devices) != 2 || !old.logsIn(vpn.ID) {
		t.Fatalf("%+v", last)
	}
	r.Last = true
	done := phone.expect(ipc.PhaseDone, phone.carry(phone.RevokeDevice(t.Context(), phone.who, listed.Conversation, r)))
	if !slices.Equal(done.Done.Revoked, []string{"old laptop"}) || old.logsIn(vpn.ID) || !phone.logsIn(mail.ID) {
		t.Errorf("%+v", done.Done)
	}
	if list := strings.Join(phone.audited(), "\n"); strings.Count(list, "device-revoke "+listed.Conversation+" device="+r.Device) != 2 ||
		!strings.Contains(list, "authority-done "+listed.Conversation) {
		t.Errorf("%s", list)
	}
}
