package daemon_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/ipc"
)

// eachManaged calls the methods of ipc.Managed.
func eachManaged(t *testing.T, d *daemon.Daemon, p ipc.Principal, account, conversation string, act ipc.ActivateRequest, answer []byte) map[string]error {
	t.Helper()
	ctx, errs := t.Context(), map[string]error{}
	note := func(name string) func(ipc.ManagedStep, error) {
		return func(_ ipc.ManagedStep, err error) { errs[name] = err }
	}
	act.Link = bytes.Clone(act.Link)
	note("Activate")(d.Activate(ctx, p, act))
	note("Reactivate")(d.Reactivate(ctx, p, account, ipc.ReactivateRequest{DeviceName: "x"}))
	note("GiveFactor")(d.GiveFactor(ctx, p, conversation, ipc.GiveFactorRequest{Factor: "fob", Passcode: secretOf("123456")}))
	note("PollConversation")(d.PollConversation(ctx, p, conversation))
	note("ProveAgain")(d.ProveAgain(ctx, p, conversation))
	note("TakeAnswer")(d.TakeAnswer(ctx, p, ipc.TakeAnswerRequest{Message: answer}))
	note("AskQuestions")(d.AskQuestions(ctx, p, account))
	note("AnswerQuestion")(d.AnswerQuestion(ctx, p, conversation, ipc.AnswerQuestionRequest{Question: strings.Repeat("0", 32)}))
	note("AskNotices")(d.AskNotices(ctx, p, account))
	note("AskDevices")(d.AskDevices(ctx, p, account))
	note("RevokeDevice")(d.RevokeDevice(ctx, p, conversation, ipc.RevokeDeviceRequest{Device: strings.Repeat("0", 32)}))
	_, errs["Conversations"] = d.Conversations(ctx, p)
	return errs
}

// TestManagedIsOnesOwn: where the vault is locked or missing nothing is said or
// done, and another's accounts, conversations and answers are as ones that there
// are not.
func TestManagedIsOnesOwn(t *testing.T) {
	o := newOffice(t, newClock())
	v := o.device("laptop").create()
	a := v.activate("vpn")
	act := v.activation(o.link("mail"))
	first, err := v.Activate(t.Context(), v.who, v.activation(string(act.Link)))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := o.Serve(t.Context(), first.Request)
	if err != nil {
		t.Fatal(err)
	}
	bob, carol := caller("1001"), caller("1002")
	initSoft(t, v.Daemon, bob)
	for name, err := range eachManaged(t, v.Daemon, carol, a.ID, first.Conversation, act, answer) {
		if ipc.KindOf(err) != ipc.NoVault {
			t.Errorf("%s without a vault: %v", name, err)
		}
	}
	foreign := eachManaged(t, v.Daemon, bob, a.ID, first.Conversation, act, answer)
	missing := eachManaged(t, v.Daemon, bob, "0123456789abcdef", strings.Repeat("1", 32), act, answer)
	for name, err := range foreign {
		// The cause, which names the id, is for the daemon's log alone.
		var told, want ipc.Error
		if e := (*ipc.Error)(nil); errors.As(err, &e) {
			told = ipc.Error{Kind: e.Kind, Message: e.Message, Items: e.Items}
		}
		if e := (*ipc.Error)(nil); errors.As(missing[name], &e) {
			want = ipc.Error{Kind: e.Kind, Message: e.Message, Items: e.Items}
		}
		switch name {
		case "Activate", "Conversations":
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case "TakeAnswer":
			wantKind(t, err, ipc.InvalidArgument)
		default:
			wantKind(t, err, ipc.NotFound)
		}
		if !reflect.DeepEqual(told, want) {
			t.Errorf("%s: another's is %+v, a missing one %+v", name, told, want)
		}
	}
	if err := v.Lock(t.Context(), v.who); err != nil {
		t.Fatal(err)
	}
	for name, err := range eachManaged(t, v.Daemon, v.who, a.ID, first.Conversation, act, answer) {
		if ipc.KindOf(err) != ipc.VaultLocked {
			t.Errorf("%s while locked: %v", name, err)
		}
	}
	v.unlock()
	step, err := v.TakeAnswer(t.Context(), v.who, ipc.TakeAnswerRequest{Message: answer})
	if err != nil {
		t.Fatal(err)
	}
	v.expect(ipc.PhaseDone, v.carry(v.expect(ipc.PhaseProving, step), nil))
}

// TestManagedIsWiped: what was typed is not left in memory, whatever became of it.
func TestManagedIsWiped(t *testing.T) {
	o := newOffice(t, newClock())
	v := o.device("laptop").create()
	link := v.activation(o.link("vpn"))
	_, _ = v.Activate(t.Context(), v.who, link)
	r := ipc.GiveFactorRequest{Factor: "fob", Passcode: secretOf("123456"), PIN: secretOf("4711")}
	_, _ = v.GiveFactor(t.Context(), v.who, "nothing", r)
	_, _ = v.GiveFactor(t.Context(), caller("no uid"), "nothing", r)
	for _, s := range []ipc.Secret{link.Link, r.Passcode, r.PIN} {
		if len(s) == 0 || strings.Trim(string(s), "\x00") != "" {
			t.Error("a secret is left")
		}
	}
}

// TestManagedRefusals has the ways to ask wrongly, each with its kind.
func TestManagedRefusals(t *testing.T) {
	o := newOffice(t, newClock())
	v := o.device("laptop").create()
	third := add(t, v.Daemon, v.who, aliceURI)
	other := newForger(t, o.clock)
	link := o.link("vpn")
	ctx := t.Context()
	activate := func(change func(*ipc.ActivateRequest)) error {
		r := v.activation(link)
		change(&r)
		_, err := v.Activate(ctx, v.who, r)
		return err
	}
	for what, c := range map[string]struct {
		err  error
		kind ipc.Kind
	}{
		"no link":            {activate(func(r *ipc.ActivateRequest) { r.Link = secretOf("https://example.org") }), ipc.InvalidArgument},
		"a link that is cut": {activate(func(r *ipc.ActivateRequest) { r.Link = r.Link[:len(r.Link)-2] }), ipc.InvalidArgument},
		"another's link":     {activate(func(r *ipc.ActivateRequest) { r.Link = secretOf(other.link()) }), ipc.InvalidArgument},
		"another descriptor": {activate(func(r *ipc.ActivateRequest) { r.Descriptor = other.desc }), ipc.InvalidArgument},
		"no descriptor":      {activate(func(r *ipc.ActivateRequest) { r.Descriptor = nil }), ipc.InvalidArgument},
		"a forged one": {activate(func(r *ipc.ActivateRequest) {
			r.Descriptor = bytes.Replace(r.Descriptor, []byte("Example"), []byte("Axample"), 1)
		}), ipc.InvalidArgument},
		"no name":     {activate(func(r *ipc.ActivateRequest) { r.DeviceName = "" }), ipc.InvalidArgument},
		"a long name": {activate(func(r *ipc.ActivateRequest) { r.DeviceName = strings.Repeat("x", 65) }), ipc.InvalidArgument},
		"an odd name": {activate(func(r *ipc.ActivateRequest) { r.DeviceName = "x\u202e" }), ipc.InvalidArgument},
	} {
		if e := wantKind(t, c.err, c.kind); strings.Contains(e.Error(), link[len(link)-40:]) || e.Message == "" {
			t.Errorf("%s: %v", what, e)
		}
	}
	_, err := v.begin(third.ID)
	wantKind(t, err, ipc.InvalidArgument)
	_, err = v.begin("nobody")
	wantKind(t, err, ipc.NotFound)
	_, err = v.try("nothing", "fob", "123456")
	wantKind(t, err, ipc.NotFound)
	_, err = v.try("nothing", "security_key", "")
	wantKind(t, err, ipc.NotFound)
	step, err := v.Activate(ctx, v.who, v.activation(link))
	if err != nil {
		t.Fatal(err)
	}
	same, err := v.Activate(ctx, v.who, v.activation(link))
	if err != nil || !bytes.Equal(same.Request, step.Request) {
		t.Error("the same link is another request: ", err)
	}
	_, err = v.try(step.Conversation, "fob", "123456")
	wantKind(t, err, ipc.Conflict)
	_, err = v.PollConversation(ctx, v.who, step.Conversation)
	wantKind(t, err, ipc.Conflict)
	o.pass(48 * time.Hour)
	v.unlock()
	wantKind(t, activate(func(*ipc.ActivateRequest) {}), ipc.ActivationBad)
	v.expect(ipc.PhaseExpired, v.step(step.Conversation))
}

// forger is an authority played by hand: it says whatever it likes.
type forger struct {
	*testing.T
	*clock
	keys message.Keys
	self *message.Descriptor
	desc []byte
	// backs are the reactivation keys, by account.
	backs map[string]ed25519.PublicKey
	heard []*message.Opened
}

func newForger(t *testing.T, c *clock) *forger {
	t.Helper()
	f := &forger{T: t, clock: c, backs: map[string]ed25519.PublicKey{}}
	var err error
	if f.keys, err = message.NewKeys(rand.Reader); err != nil {
		t.Fatal(err)
	}
	f.self = &message.Descriptor{Name: "Example", ID: message.ID{7}, Keys: f.keys.Public(), Issued: c.clock().Now()}
	if f.desc, err = f.self.Encode(f.keys); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *forger) link() string {
	f.Helper()
	l := message.Link{Endpoint: message.Endpoint{Socket: "/run/x"}, Authority: f.self.KeysHash(), Secret: make(message.Secret, 16), Expires: f.clock.clock().Now().Add(time.Hour)}
	if _, err := rand.Read(l.Activation[:]); err != nil {
		f.Fatal(err)
	}
	uri, err := l.URI()
	if err != nil {
		f.Fatal(err)
	}
	return uri
}

func (f *forger) open(sealed []byte) *message.Opened {
	f.Helper()
	q, err := message.OpenRequest(sealed, f.keys, f.self, f.clock.clock().Now(), func(id string) (ed25519.PublicKey, error) { return f.backs[id], nil })
	if err != nil {
		f.Fatal(err)
	}
	f.heard = append(f.heard, q)
	return q
}

func (f *forger) answer(sealed []byte, r message.Result) []byte {
	f.Helper()
	answer, err := f.open(sealed).Answer(f.keys, f.self, r, f.clock.clock().Now())
	if err != nil {
		f.Fatal(err)
	}
	return answer
}

// secret is a new secret of an account, after an activation.
func (f *forger) secret(sealed []byte, account, name string) []byte {
	f.Helper()
	if b, ok := f.open(sealed).Body.(*message.Activate); ok {
		f.backs[account] = bytes.Clone(b.Reactivation[:])
	}
	return f.answer(sealed, &message.NewSecret{Account: account, Issuer: "Example", Name: name, Secret: bytes.Repeat([]byte{9}, 20), Algorithm: "SHA1",
		Digits: 6, Period: 30, Until: f.clock.clock().Now().Add(15 * time.Minute).Unix(), OldDevice: "revoke"})
}

// managed gives v an account of the forger's.
func (f *forger) managed(v *device, account, name string) ipc.AccountRef {
	f.Helper()
	r := ipc.ActivateRequest{Link: secretOf(f.link()), Descriptor: f.desc, DeviceName: "laptop"}
	step, err := v.Activate(f.T.Context(), v.who, r)
	if err == nil {
		step, err = v.TakeAnswer(f.T.Context(), v.who, ipc.TakeAnswerRequest{Message: f.secret(step.Request, account, name)})
	}
	if err == nil {
		step, err = v.TakeAnswer(f.T.Context(), v.who, ipc.TakeAnswerRequest{Message: f.answer(step.Request, &message.Done{})})
	}
	if err != nil || step.Account == nil {
		f.Fatalf("%+v, %v", step, err)
	}
	return *step.Account
}

// TestHostileAuthority: an authority reaches the accounts that it has issued, and
// no other; and what is not its answer to what waits changes nothing.
func TestHostileAuthority(t *testing.T) {
	c := newClock()
	o, f := newOffice(t, c), newForger(t, c)
	v := o.device("laptop").create()
	third := add(t, v.Daemon, v.who, aliceURI)
	vpn := v.activate("vpn")
	listed, err := v.Accounts(t.Context(), v.who)
	if err != nil {
		t.Fatal(err)
	}
	// An account of the same name as the user's own, and under the id that another
	// authority has, is another account.
	for _, account := range []string{third.ID, o.account} {
		if a := f.managed(v, account, "alice"); a.ID == third.ID || a.ID == vpn.ID {
			t.Fatalf("an authority has taken the account %+v", a)
		}
	}
	mine := f.managed(v, "mine", "mine")
	step, err := v.AskNotices(t.Context(), v.who, mine.ID)
	if err != nil {
		t.Fatal(err)
	}
	notices := f.answer(step.Request, &message.Notices{Revoked: []message.Notification{
		{Account: third.ID, At: 1, By: "x"}, {Account: o.account, At: 1, By: "x"}, {Account: "mine", At: 1, By: "x"}}})
	step, err = v.TakeAnswer(t.Context(), v.who, ipc.TakeAnswerRequest{Message: notices})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range step.Changed {
		if a.ID == third.ID || a.ID == vpn.ID {
			t.Errorf("an authority has taken the secret of %+v", a)
		}
	}
	for _, before := range listed.Accounts {
		if now, err := v.Account(t.Context(), v.who, before.ID); err != nil || !reflect.DeepEqual(now, before) {
			t.Errorf("%+v is %+v, %v", before, now, err)
		}
		if _, err := v.Code(t.Context(), v.who, before.ID, ipc.CodeRequest{}); err != nil {
			t.Error(err)
		}
	}
	_, err = v.Code(t.Context(), v.who, mine.ID, ipc.CodeRequest{})
	wantKind(t, err, ipc.AccountInactive)
	if !v.logsIn(vpn.ID) {
		t.Error("another authority's account does not log in")
	}
	badAnswers(t, v, f, mine)
}

// badAnswers gives v what is no answer to what it has asked.
func badAnswers(t *testing.T, v *device, f *forger, mine ipc.AccountRef) {
	t.Helper()
	step, err := v.begin(mine.ID)
	if err != nil {
		t.Fatal(err)
	}
	good := f.answer(step.Request, &message.Offer{Factors: []string{"fob"}, Required: 1, OldDevice: "revoke", Until: v.clock.clock().Now().Add(time.Hour).Unix()})
	other := newForger(t, v.clock)
	other.backs = f.backs
	q := f.open(step.Request)
	forged, err := q.Answer(other.keys, f.self, &message.Refused{Code: "x", Final: true}, v.clock.clock().Now())
	if err != nil {
		t.Fatal(err)
	}
	generation, entries := state(t, v.Daemon, v.who).Generation, len(v.audited())
	bad := map[string][]byte{"nothing": nil, "nonsense": []byte("nonsense"), "a request": step.Request, "forged": forged, "large": make([]byte, 64<<10)}
	for i := 0; i < len(good); i += 1 + len(good)/20 {
		spoilt := bytes.Clone(good)
		spoilt[i] ^= 1
		bad[fmt.Sprintf("byte %d", i)] = spoilt
	}
	for what, answer := range bad {
		_, err := v.TakeAnswer(t.Context(), v.who, ipc.TakeAnswerRequest{Message: answer})
		if k := ipc.KindOf(err); err == nil || k != ipc.InvalidArgument && k != ipc.NewerVersion {
			t.Errorf("%s: %v", what, err)
		}
	}
	if g := state(t, v.Daemon, v.who).Generation; g != generation || len(v.audited()) != entries+len(bad) {
		t.Error("a bad answer has changed something, or is not in the audit")
	}
	if now := v.step(step.Conversation); !bytes.Equal(now.Request, step.Request) || now.Phase != ipc.PhaseAsked {
		t.Errorf("%+v", now)
	}
	if step, err = v.TakeAnswer(t.Context(), v.who, ipc.TakeAnswerRequest{Message: good}); err != nil {
		t.Fatal(err)
	}
	v.expect(ipc.PhaseChoose, step)
}

// TestRequestsTellNothingElse opens all that a device says to an authority and
// looks for what is none of that one's business.
func TestRequestsTellNothingElse(t *testing.T) {
	c := newClock()
	o, f := newOffice(t, c), newForger(t, c)
	v := o.device("laptop").create()
	third := add(t, v.Daemon, v.who, "otpauth://totp/Privatebank:carla?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Privatebank")
	note := "a note of the user's"
	if _, err := v.EditAccount(t.Context(), v.who, third.ID, ipc.EditAccountRequest{Note: &note}); err != nil {
		t.Fatal(err)
	}
	vpn := v.activate("vpn") // another authority's
	mine := f.managed(v, "mine", "work")
	take := func(r message.Result) func(ipc.ManagedStep, error) ipc.ManagedStep {
		return func(step ipc.ManagedStep, err error) ipc.ManagedStep {
			t.Helper()
			if err == nil {
				step, err = v.TakeAnswer(t.Context(), v.who, ipc.TakeAnswerRequest{Message: f.answer(step.Request, r)})
			}
			if err != nil {
				t.Fatal(err)
			}
			return step
		}
	}
	until := c.clock().Now().Add(10 * time.Minute).Unix()
	offer := &message.Offer{Factors: []string{"fob", "other_device"}, Required: 1, OldDevice: "keep", Until: until}
	step := take(offer)(v.begin(mine.ID))
	take(&message.Waiting{Factor: "other_device", Number: 42, RetryAfter: 2, Until: until})(v.try(step.Conversation, "other_device", ""))
	take(offer)(v.PollConversation(t.Context(), v.who, step.Conversation))
	step, err := v.try(step.Conversation, "fob", "123456")
	if err != nil {
		t.Fatal(err)
	}
	if step, err = v.TakeAnswer(t.Context(), v.who, ipc.TakeAnswerRequest{Message: f.secret(step.Request, "mine", "work")}); err != nil {
		t.Fatal(err)
	}
	take(&message.Done{})(step, nil)
	question := message.Question{ID: message.ID{3}, Account: "work", Device: "phone", Asked: 1, Until: until}
	step = take(&message.Questions{List: []message.Question{question}})(v.AskQuestions(t.Context(), v.who, mine.ID))
	take(&message.Done{})(v.AnswerQuestion(t.Context(), v.who, step.Conversation, ipc.AnswerQuestionRequest{Question: question.ID.String()}))
	take(&message.Notices{})(v.AskNotices(t.Context(), v.who, mine.ID))
	device := message.OwnDevice{ID: message.ID{4}, Name: "phone", State: "active", First: 1, Last: 1}
	step = take(&message.DeviceList{Devices: []message.OwnDevice{device}})(v.AskDevices(t.Context(), v.who, mine.ID))
	take(&message.Done{})(v.RevokeDevice(t.Context(), v.who, step.Conversation, ipc.RevokeDeviceRequest{Device: device.ID.String()}))

	kinds := map[message.Kind]bool{}
	for _, q := range f.heard {
		kinds[q.Kind()] = true
		raw, err := cbor.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		if b := q.Kind(); (b == message.KindActivate || b == message.KindBegin) && !bytes.Contains(raw, []byte("laptop")) {
			t.Fatalf("%s does not even tell the device's name", b)
		}
		key, err := base32.StdEncoding.DecodeString("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range [][]byte{[]byte("Privatebank"), []byte("carla"), key, []byte("GEZDGNBVGY3TQOJQ"), []byte(third.ID), []byte(note), []byte(vpn.ID), []byte("vpn"), []byte(o.account),
			[]byte(mine.ID), []byte(state(t, v.Daemon, v.who).ID)} {
			if bytes.Contains(raw, s) {
				t.Errorf("%s tells %q", q.Kind(), s)
			}
		}
	}
	if len(kinds) != 9 {
		t.Errorf("only %v were said", kinds)
	}
}
