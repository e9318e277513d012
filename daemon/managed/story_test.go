package managed

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/vault"
)

// TestStory: activated, backed up, restored elsewhere, brought back by a fob; with
// a crash between all steps, and every message carried twice.
func TestStory(t *testing.T) {
	s := newSite(t)
	old := s.activated("old laptop", "vpn")
	if a := old.only(); a.Inactive || a.Kind != vault.Managed || !a.NoExport || a.Name != "vpn" || a.Issuer != "Example" {
		t.Fatalf("%+v", a)
	}
	if !old.logsIn() {
		t.Fatal("the activated device does not log in")
	}
	fresh := old.restored("new laptop")
	a := fresh.only()
	if !a.Inactive || fresh.logsIn() {
		t.Fatalf("%+v", a)
	}
	if list, err := fresh.List(); err != nil || len(list) > 0 {
		t.Fatalf("the backup holds what was under way: %+v, %v", list, err)
	}
	offer := fresh.expect(Choose, fresh.carry(fresh.Reactivate(t.Context(), a.ID, fresh.asking())))
	if o := offer.Offer; !slices.Equal(o.Factors, []string{"fob", "other_device"}) || o.OldDevice != "revoke" {
		t.Fatalf("%+v", o)
	}
	if !slices.ContainsFunc(offer.Offer.Denials, func(d message.Denial) bool { return d.Factor == "sms" && strings.Contains(d.Reason, "no-sms-no-calls") }) {
		t.Errorf("%+v", offer.Offer.Denials)
	}
	wrong := fresh.expect(Choose, fresh.carry(fresh.GiveFactor(t.Context(), offer.Conversation, "fob", []byte("000000"), nil)))
	if wrong.Refused == nil || wrong.Refused.Code != "passcode-invalid" {
		t.Fatalf("%+v", wrong.Refused)
	}
	s.now = s.now.Add(5 * time.Second)
	proof := fresh.expect(Proving, fresh.carry(fresh.GiveFactor(t.Context(), offer.Conversation, "fob", s.passcode(), nil)))
	if !fresh.only().Inactive || fresh.logsIn() {
		t.Error("the new secret is in use before its proof")
	}
	if !old.logsIn() {
		t.Error("the old device does not log in before the proof")
	}
	// The code is out of date by now: another one is made.
	if refused := fresh.expect(Proving, fresh.carry(proof, nil)); refused.Refused == nil || refused.Request != nil {
		t.Fatalf("%+v", refused)
	}
	done := fresh.expect(Done, fresh.carry(fresh.Prove(t.Context(), proof.Conversation)))
	if !slices.Equal(done.Done.Revoked, []string{"old laptop"}) || done.Account != a.ID {
		t.Errorf("%+v", done)
	}
	if old.logsIn() || !fresh.logsIn() {
		t.Error("after the proof")
	}
	notices := old.expect(Done, old.carry(old.Notices(t.Context(), old.only().ID)))
	if len(notices.Notices) != 1 || notices.Notices[0].By != "new laptop" || !old.only().Inactive {
		t.Errorf("%+v", notices)
	}
	if notices := old.expect(Done, old.carry(old.Notices(t.Context(), old.only().ID))); len(notices.Notices) > 0 {
		t.Errorf("%+v", notices)
	}
	// And back again, in the vault that had it, by the name that it had.
	again := old.expect(Choose, old.carry(old.Reactivate(t.Context(), old.only().ID, Asking{Name: "localhost", KeepName: true})))
	proof = old.expect(Proving, old.carry(old.GiveFactor(t.Context(), again.Conversation, "fob", s.passcode(), nil)))
	old.expect(Done, old.carry(proof, nil))
	if !old.logsIn() || fresh.logsIn() {
		t.Error("after coming back")
	}
	if notices := fresh.expect(Done, fresh.carry(fresh.Notices(t.Context(), fresh.only().ID))); len(notices.Notices) != 1 || notices.Notices[0].By != "old laptop" {
		t.Errorf("%+v", notices)
	}
}

// TestOtherDevice: approved on another device by a number.
func TestOtherDevice(t *testing.T) {
	s := newSite(t)
	phone := s.activated("phone", "mail")
	old := s.activated("old", "vpn")
	fresh := old.restored("new")
	offer := fresh.expect(Choose, fresh.carry(fresh.Reactivate(t.Context(), fresh.only().ID, fresh.asking())))
	waiting := fresh.expect(Waiting, fresh.carry(fresh.GiveFactor(t.Context(), offer.Conversation, "other_device", nil, nil)))
	if waiting.Waiting.Number == 0 {
		t.Fatalf("%+v", waiting.Waiting)
	}
	fresh.expect(Waiting, fresh.carry(fresh.Poll(t.Context(), offer.Conversation)))
	asked := phone.expect(Questions, phone.carry(phone.Questions(t.Context(), phone.only().ID)))
	if len(asked.Questions) != 1 || asked.Questions[0].Device != "new" {
		t.Fatalf("%+v", asked.Questions)
	}
	phone.expect(Done, phone.carry(phone.Approve(t.Context(), asked.Conversation, asked.Questions[0].ID, true, waiting.Waiting.Number)))
	proof := fresh.expect(Proving, fresh.carry(fresh.Poll(t.Context(), offer.Conversation)))
	fresh.expect(Done, fresh.carry(proof, nil))
	if !fresh.logsIn() || old.logsIn() {
		t.Error("after the approval")
	}
}

// TestBroken: an account that is active keeps its secret until the new one is
// proved, whatever happens on the way.
func TestBroken(t *testing.T) {
	s := newSite(t)
	m := s.activated("laptop", "vpn")
	id := m.only().ID
	offer := m.expect(Choose, m.carry(m.Reactivate(t.Context(), id, m.asking())))
	if same, err := m.Reactivate(t.Context(), id, m.asking()); err != nil || same.Conversation != offer.Conversation || same.Phase != Choose {
		t.Errorf("%+v, %v", same, err)
	}
	proof := m.expect(Proving, m.carry(m.GiveFactor(t.Context(), offer.Conversation, "fob", s.passcode(), nil)))
	if !m.logsIn() {
		t.Error("the secret there was is gone before the proof")
	}
	s.now = s.now.Add(20 * time.Minute)
	if late := m.step(proof.Conversation); !late.Late || late.Request == nil {
		t.Errorf("%+v", late)
	}
	over := m.expect(Refused, m.carry(proof, nil))
	if over.Refused == nil || over.Refused.Code != "conversation-over" {
		t.Errorf("%+v", over.Refused)
	}
	if !m.logsIn() {
		t.Error("a secret that came to nothing has cost the one there was")
	}
}

// TestLostProof: the proof arrives and its answer does not, for hours.
func TestLostProof(t *testing.T) {
	s := newSite(t)
	old := s.activated("old", "vpn")
	fresh := old.restored("new")
	offer := fresh.expect(Choose, fresh.carry(fresh.Reactivate(t.Context(), fresh.only().ID, fresh.asking())))
	proof := fresh.expect(Proving, fresh.carry(fresh.GiveFactor(t.Context(), offer.Conversation, "fob", s.passcode(), nil)))
	if _, err := s.Serve(t.Context(), proof.Request); err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(6 * time.Hour)
	fresh.killed()
	fresh.expect(Done, fresh.carry(fresh.step(proof.Conversation), nil))
	if !fresh.logsIn() || old.logsIn() {
		t.Error("after the answer came")
	}
	// Lost for good: it is said, and the next reactivation settles it.
	offer = fresh.expect(Choose, fresh.carry(fresh.Reactivate(t.Context(), fresh.only().ID, fresh.asking())))
	proof = fresh.expect(Proving, fresh.carry(fresh.GiveFactor(t.Context(), offer.Conversation, "fob", s.passcode(), nil)))
	if _, err := s.Serve(t.Context(), proof.Request); err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(25 * time.Hour)
	fresh.expect(Unsure, fresh.step(proof.Conversation))
	offer = fresh.expect(Choose, fresh.carry(fresh.Reactivate(t.Context(), fresh.only().ID, fresh.asking())))
	proof = fresh.expect(Proving, fresh.carry(fresh.GiveFactor(t.Context(), offer.Conversation, "fob", s.passcode(), nil)))
	fresh.expect(Done, fresh.carry(proof, nil))
	if !fresh.logsIn() {
		t.Error("after another reactivation")
	}
}

// TestRefusedAnswers: what is not the answer to what waits changes nothing.
func TestRefusedAnswers(t *testing.T) {
	s := newSite(t)
	a, b := s.machine("a").create(), s.machine("b").create()
	la, lb := s.link("one"), s.link("two")
	first, err := a.Activate(t.Context(), la, s.desc, a.asking())
	if err != nil {
		t.Fatal(err)
	}
	again, err := a.Activate(t.Context(), la, s.desc, a.asking())
	if err != nil || !bytes.Equal(again.Request, first.Request) {
		t.Fatal("another request for the same link: ", err)
	}
	other, err := b.Activate(t.Context(), lb, s.desc, b.asking())
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.Serve(t.Context(), other.Request)
	if err != nil {
		t.Fatal(err)
	}
	generation := a.Vault.Generation()
	if _, err := a.Receive(t.Context(), answer); !errors.Is(err, message.ErrOtherDevice) {
		t.Error(err)
	}
	mine, err := s.Serve(t.Context(), first.Request)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(mine); i += 1 + len(mine)/50 {
		bad := bytes.Clone(mine)
		bad[i] ^= 1
		if _, err := a.Receive(t.Context(), bad); err == nil {
			t.Fatalf("byte %d changed, and taken", i)
		}
	}
	if _, err := a.Receive(t.Context(), nil); err == nil {
		t.Error("nothing is an answer")
	}
	if a.Vault.Generation() != generation {
		t.Error("a bad answer has changed the vault")
	}
	second, err := a.Activate(t.Context(), s.link("three"), s.desc, a.asking())
	if err != nil {
		t.Fatal(err)
	}
	a.expect(Proving, a.carry(first, nil))
	a.expect(Proving, a.carry(second, nil))
	if _, err := a.GiveFactor(t.Context(), first.Conversation, "fob", []byte("123456"), nil); !errors.Is(err, ErrNotNow) {
		t.Error(err)
	}
	if _, err := a.Poll(t.Context(), "nothing"); !errors.Is(err, ErrNoConversation) {
		t.Error(err)
	}
	if _, err := a.Reactivate(t.Context(), "0011223344556677", a.asking()); !errors.Is(err, vault.ErrNotFound) {
		t.Error(err)
	}
	expired := s.link("four")
	s.now = s.now.Add(48 * time.Hour)
	if _, err := b.Activate(t.Context(), expired, s.desc, b.asking()); !errors.Is(err, message.ErrExpired) {
		t.Error(err)
	}
	b.expect(Expired, b.step(other.Conversation))
}

func TestLocked(t *testing.T) {
	s := newSite(t)
	m := s.machine("m").create()
	l := s.link("vpn")
	first, err := m.Activate(t.Context(), l, s.desc, m.asking())
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.Serve(t.Context(), first.Request)
	if err != nil {
		t.Fatal(err)
	}
	m.Vault.Lock()
	if _, err := m.Receive(t.Context(), answer); !errors.Is(err, vault.ErrLocked) {
		t.Error(err)
	}
	if _, err := m.List(); !errors.Is(err, vault.ErrLocked) {
		t.Error(err)
	}
	m.killed()
	step, err := m.Receive(t.Context(), answer)
	if err != nil {
		t.Fatal(err)
	}
	m.expect(Done, m.carry(m.expect(Proving, step), nil))
}

// TestDevices: a device that is gone is revoked from another one, after what it
// costs was said.
func TestDevices(t *testing.T) {
	s := newSite(t)
	old := s.activated("old laptop", "vpn")
	phone := s.activated("phone", "mail")
	listed := phone.expect(Listed, phone.carry(phone.Devices(t.Context(), phone.only().ID)))
	if l := listed.Devices; len(l.Devices) != 2 || l.Devices[0].Name != "old laptop" || !l.Devices[1].This || !slices.Equal(l.AccountsOf(l.Devices[0]), []string{"Example: vpn"}) {
		t.Fatalf("%+v", l)
	}
	gone := listed.Devices.Devices[0].ID.String()
	if _, err := phone.RevokeDevice(t.Context(), listed.Conversation, message.ID{1}.String(), false, true); !errors.Is(err, ErrNotNow) {
		t.Error(err)
	}
	last := phone.expect(Listed, phone.carry(phone.RevokeDevice(t.Context(), listed.Conversation, gone, false, false)))
	if last.Refused == nil || last.Refused.Code != "last-device" || last.Devices == nil {
		t.Fatalf("%+v", last.Refused)
	}
	done := phone.expect(Done, phone.carry(phone.RevokeDevice(t.Context(), listed.Conversation, gone, false, true)))
	if !slices.Equal(done.Done.Revoked, []string{"old laptop"}) || old.logsIn() || !phone.logsIn() {
		t.Errorf("%+v", done)
	}
	notices := old.expect(Done, old.carry(old.Notices(t.Context(), old.only().ID)))
	if len(notices.Notices) != 1 || notices.Notices[0].By != "phone" || !old.only().Inactive {
		t.Errorf("%+v", notices)
	}
	// One that is revoked is told nothing more, and has its own accounts still.
	old.expect(Refused, old.carry(old.Devices(t.Context(), old.only().ID)))
}
