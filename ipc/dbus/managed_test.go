//go:build linux

package dbus_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/dbus"
)

// office is an authority played by hand: it answers as the test wants.
type office struct {
	*testing.T
	keys message.Keys
	self *message.Descriptor
	desc []byte
	back ed25519.PublicKey // the account's
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{T: t}
	var err error
	if o.keys, err = message.NewKeys(rand.Reader); err != nil {
		t.Fatal(err)
	}
	o.self = &message.Descriptor{Name: "Example", ID: message.ID{7}, Keys: o.keys.Public(), Issued: time.Now()}
	if o.desc, err = o.self.Encode(o.keys); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *office) answer(sealed []byte, r message.Result) []byte {
	o.Helper()
	q, err := message.OpenRequest(sealed, o.keys, o.self, time.Now(), func(string) (ed25519.PublicKey, error) { return o.back, nil })
	if err != nil {
		o.Fatal(err)
	}
	if b, ok := q.Body.(*message.Activate); ok {
		o.back = bytes.Clone(b.Reactivation[:])
	}
	answer, err := q.Answer(o.keys, o.self, r, time.Now())
	if err != nil {
		o.Fatal(err)
	}
	return answer
}

func newSecret() *message.NewSecret {
	return &message.NewSecret{Account: "a", Issuer: "Example", Name: "vpn", Secret: bytes.Repeat([]byte{9}, 20), Algorithm: "SHA1", Digits: 6, Period: 30,
		Until: time.Now().Add(15 * time.Minute).Unix(), OldDevice: "revoke"}
}

// activated gives a stage's vault a managed account, over the socket's interface:
// the link is a secret.
func (o *office) activated(s *stage) ipc.AccountRef {
	o.Helper()
	l := message.Link{Endpoint: message.Endpoint{Socket: "/run/x"}, Authority: o.self.KeysHash(), Secret: make(message.Secret, 16), Expires: time.Now().Add(time.Hour)}
	uri, err := l.URI()
	if err != nil {
		o.Fatal(err)
	}
	ctx := context.Background()
	step, err := s.daemon.Activate(ctx, s.me, ipc.ActivateRequest{Link: ipc.Secret(uri), Descriptor: o.desc, DeviceName: "desk"})
	for _, r := range []message.Result{newSecret(), &message.Done{}} {
		if err == nil {
			step, err = s.daemon.TakeAnswer(ctx, s.me, ipc.TakeAnswerRequest{Message: o.answer(step.Request, r)})
		}
	}
	if err != nil || step.Account == nil {
		o.Fatalf("%+v, %v", step, err)
	}
	return *step.Account
}

// step calls a method that answers with one.
func (s *stage) step(path godbus.ObjectPath, method string, args ...any) (out ipc.ManagedStep) {
	s.t.Helper()
	var text string
	if err := call(s.object(path), method, args...).Store(&text); err != nil {
		s.t.Fatalf("%s: %v", method, err)
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil || out.Version != 1 {
		s.t.Fatalf("%s: %s, %v", method, text, err)
	}
	if strings.Contains(text, ":null") {
		s.t.Errorf("%s: a list is null: %s", method, text)
	}
	return out
}

// take carries a step's request to the office, and what it says back.
func (s *stage) take(o *office, step ipc.ManagedStep, r message.Result) ipc.ManagedStep {
	s.t.Helper()
	return s.step(dbus.Root+"/vault", vaultName+".TakeAnswer", base64.StdEncoding.EncodeToString(o.answer(step.Request, r)))
}

// TestManaged drives the conversations that need nothing typed.
func TestManaged(t *testing.T) {
	s := newStage(t, nil)
	third := s.vault()
	o := newOffice(t)
	a := o.activated(s)
	vault, until := dbus.Root+"/vault", time.Now().Add(10*time.Minute).Unix()
	begun := s.step(account(a.ID), accountName+".Reactivate", "desk", with("by_hand", true))
	if begun.Kind != "reactivate" || begun.Phase != ipc.PhaseAsked || begun.Account == nil || *begun.Account != a || begun.Authority.Fingerprint != o.self.Fingerprint() {
		t.Fatalf("%+v", begun)
	}
	if same := s.step(account(a.ID), accountName+".Reactivate", "desk", options{}); !bytes.Equal(same.Request, begun.Request) {
		t.Error("begun twice, it is another request")
	}
	offer := s.take(o, begun, &message.Offer{Factors: []string{"other_device"}, Required: 1, OldDevice: "keep", Until: until})
	if offer.Offer == nil || offer.Phase != ipc.PhaseChoose {
		t.Fatalf("%+v", offer)
	}
	// A factor is given over the socket.
	asked, err := s.daemon.GiveFactor(context.Background(), s.me, offer.Conversation, ipc.GiveFactorRequest{Factor: "other_device"})
	if err != nil {
		t.Fatal(err)
	}
	waiting := s.take(o, asked, &message.Waiting{Factor: "other_device", Number: 42, RetryAfter: 2, Until: until})
	if waiting.Waiting == nil || waiting.Waiting.Number != 42 {
		t.Fatalf("%+v", waiting)
	}
	proof := s.take(o, s.step(vault, vaultName+".PollConversation", offer.Conversation), newSecret())
	refused := s.take(o, proof, &message.Refused{Code: "passcode-invalid"})
	if refused.Phase != ipc.PhaseProving || refused.Refused == nil {
		t.Fatalf("%+v", refused)
	}
	done := s.take(o, s.step(vault, vaultName+".ProveAgain", offer.Conversation), &message.Done{Kept: []string{"phone"}})
	if done.Phase != ipc.PhaseDone || len(done.Changed) != 1 || done.Changed[0] != a || done.Done.Kept[0] != "phone" {
		t.Fatalf("%+v", done)
	}
	question := message.Question{ID: message.ID{3}, Account: "vpn", Device: "phone", Asked: 1, Until: until}
	asking := s.take(o, s.step(account(a.ID), accountName+".AskQuestions"), &message.Questions{List: []message.Question{question}})
	s.take(o, s.step(vault, vaultName+".AnswerQuestion", asking.Conversation, with("question", asking.Questions[0].ID, "yes", true, "number", uint16(42))), &message.Done{})
	device := message.OwnDevice{ID: message.ID{4}, Name: "phone", State: "active", First: 1, Last: 1}
	listed := s.take(o, s.step(account(a.ID), accountName+".AskDevices"), &message.DeviceList{Devices: []message.OwnDevice{device}})
	s.take(o, s.step(vault, vaultName+".RevokeDevice", listed.Conversation, with("device", listed.Devices[0].ID, "last", true)), &message.Done{Revoked: []string{"phone"}})
	gone := s.take(o, s.step(account(a.ID), accountName+".AskNotices"), &message.Notices{Revoked: []message.Notification{{Account: "a", At: 1, By: "phone"}}})
	if len(gone.Revoked) != 1 || *gone.Revoked[0].Account != a || gone.Revoked[0].By != "phone" {
		t.Errorf("%+v", gone)
	}
	if name, _ := failure(t, call(s.object(account(a.ID)), accountName+".GenerateCode", options{})); name != dbus.Name+".Error.AccountInactive" {
		t.Errorf("a code of an account that was revoked: %s", name)
	}
	if err := call(s.object(account(third.ID)), accountName+".GenerateCode", options{}).Err; err != nil {
		t.Error(err)
	}
	var text string
	var list ipc.ManagedStepList
	if err := call(s.object(vault), vaultName+".Conversations").Store(&text); err != nil || json.Unmarshal([]byte(text), &list) != nil || len(list.Steps) < 5 {
		t.Errorf("%s, %v", text, err)
	}
	s.wrongManaged(a, third, done.Conversation)
}

// wrongManaged has the ways to ask wrongly, with the vault open and locked.
func (s *stage) wrongManaged(a ipc.AccountRef, third ipc.Account, ended string) {
	s.t.Helper()
	vault, unnamed, unknown := dbus.Root+"/vault", dbus.Name+".Error.", "org.freedesktop.DBus.Error.UnknownObject"
	calls := []struct {
		what   string
		path   godbus.ObjectPath
		method string
		args   []any
		want   string
	}{
		{"no such account", account("00000000000000ff"), accountName + ".Reactivate", []any{"desk", options{}}, unknown},
		{"no such account to ask by", account("00000000000000ff"), accountName + ".AskNotices", nil, unknown},
		{"an account by its name", account("vpn"), accountName + ".AskDevices", nil, unknown},
		{"an account that nobody issued", account(third.ID), accountName + ".Reactivate", []any{"desk", options{}}, unnamed + "InvalidArgument"},
		{"no name", account(a.ID), accountName + ".Reactivate", []any{"", options{}}, unnamed + "InvalidArgument"},
		{"an unknown option", account(a.ID), accountName + ".Reactivate", []any{"desk", with("passcode", "123456")}, unnamed + "InvalidArgument"},
		{"no base64", vault, vaultName + ".TakeAnswer", []any{"%"}, unnamed + "InvalidArgument"},
		{"no answer", vault, vaultName + ".TakeAnswer", []any{"AAAA"}, unnamed + "InvalidArgument"},
		{"no such conversation", vault, vaultName + ".PollConversation", []any{"nothing"}, unnamed + "NotFound"},
		{"one that has ended", vault, vaultName + ".ProveAgain", []any{ended}, unnamed + "Conflict"},
		{"nothing to answer", vault, vaultName + ".AnswerQuestion", []any{"nothing", options{}}, unnamed + "NotFound"},
		{"nothing to revoke", vault, vaultName + ".RevokeDevice", []any{"nothing", with("device", "x")}, unnamed + "NotFound"},
		{"an odd number", vault, vaultName + ".AnswerQuestion", []any{"nothing", with("number", "42")}, unnamed + "InvalidArgument"},
	}
	for _, c := range calls {
		if name, message := failure(s.t, call(s.object(c.path), c.method, c.args...)); name != c.want || message == "" {
			s.t.Errorf("%s: %s %q, want %s", c.what, name, message, c.want)
		}
	}
	if err := call(s.object(vault), vaultName+".Lock").Err; err != nil {
		s.t.Fatal(err)
	}
	for _, c := range append(calls, struct {
		what   string
		path   godbus.ObjectPath
		method string
		args   []any
		want   string
	}{"conversations", vault, vaultName + ".Conversations", nil, ""}) {
		if c.what == "no base64" || c.what == "an odd number" {
			continue // refused before anybody is asked
		}
		if name, message := failure(s.t, call(s.object(c.path), c.method, c.args...)); name != unnamed+"VaultLocked" || message != "the vault is locked" {
			s.t.Errorf("locked, %s: %s %q", c.what, name, message)
		}
	}
}
