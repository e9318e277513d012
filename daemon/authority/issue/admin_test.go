package issue

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/otp"
)

func TestCreateActivation(t *testing.T) {
	r := newRig(t)
	socket := message.Endpoint{Socket: "/run/tokend/tokend.sock"}
	for _, c := range []struct {
		name string
		by   string
		n    NewActivation
		want authority.ErrorKind
	}{
		{"no such user", "owner", NewActivation{User: "nobody", Account: "vpn", Endpoint: socket}, authority.NotFound},
		{"oneself", r.alice.ID, NewActivation{User: "alice", Account: "vpn", Endpoint: socket}, authority.Conflict},
		{"no label", "owner", NewActivation{User: "alice", Endpoint: socket}, authority.Invalid},
		{"a long label", "owner", NewActivation{User: "alice", Account: strings.Repeat("x", 129), Endpoint: socket}, authority.Invalid},
		{"a label that cannot be shown", "owner", NewActivation{User: "alice", Account: "a\nb", Endpoint: socket}, authority.Invalid},
		{"a label like an id", "owner", NewActivation{User: "alice", Account: message.ID{1}.String(), Endpoint: socket}, authority.Invalid},
		{"a long issuer", "owner", NewActivation{User: "alice", Account: "vpn", Issuer: strings.Repeat("x", 65), Endpoint: socket}, authority.Invalid},
		{"digits", "owner", NewActivation{User: "alice", Account: "vpn", Digits: 9, Endpoint: socket}, authority.Invalid},
		{"period", "owner", NewActivation{User: "alice", Account: "vpn", Period: 301, Endpoint: socket}, authority.Invalid},
		{"algorithm", "owner", NewActivation{User: "alice", Account: "vpn", Algorithm: "MD5", Endpoint: socket}, authority.Invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, _, err := r.CreateActivation(c.by, c.n); kind(err) != c.want {
				t.Error(err)
			}
		})
	}
	if _, _, err := r.CreateActivation("owner", NewActivation{User: "alice", Account: "vpn"}); !errors.Is(err, message.ErrMalformed) {
		t.Error("without an endpoint:", err)
	}
	if accounts, err := r.Accounts("alice"); err != nil || len(accounts) > 0 {
		t.Errorf("%+v, %v", accounts, err)
	}
	a, l, err := r.CreateActivation("owner", NewActivation{User: "alice", Account: "vpn", Issuer: "Acme", Algorithm: otp.SHA512, Digits: 8, Period: 60, Life: time.Hour, Endpoint: socket})
	if err != nil || !a.Expires.Equal(l.Expires) || a.Expires.Sub(a.Created) != time.Hour || a.State != Open {
		t.Fatalf("%+v, %v", a, err)
	}
	d := r.device("laptop")
	s := expect[*message.NewSecret](d, activation(d, l), true)
	if s.Issuer != "Acme" || s.Name != "vpn" || s.Algorithm != "SHA512" || s.Digits != 8 || s.Period != 60 || len(s.Secret) != 64 {
		t.Errorf("%s %s %s %d %d %d", s.Issuer, s.Name, s.Algorithm, s.Digits, s.Period, len(s.Secret))
	}
	expect[*message.Done](d, d.proof(), false)
	if !d.logsIn() {
		t.Error("it does not log in")
	}
	// No longer than the policy says.
	if a, _, err = r.CreateActivation("owner", NewActivation{User: "alice", Account: "vpn", Life: 1000 * time.Hour, Endpoint: socket}); err != nil || a.Expires.Sub(a.Created) != 24*time.Hour {
		t.Errorf("%+v, %v", a, err)
	}
	for range MaxActivations - 1 {
		if _, _, err = r.CreateActivation("owner", NewActivation{User: "alice", Account: "vpn", Endpoint: socket}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err = r.CreateActivation("owner", NewActivation{User: "alice", Account: "vpn", Endpoint: socket}); kind(err) != authority.TooMany {
		t.Error(err)
	}
	r.clock.pass(24 * time.Hour)
	if _, _, err = r.CreateActivation("owner", NewActivation{User: "alice", Account: "vpn", Endpoint: socket}); err != nil {
		t.Error(err)
	}
}

func TestSecondApprover(t *testing.T) {
	r := newRig(t)
	a, l, err := r.CreateActivation("one", NewActivation{User: "alice", Account: "vpn", Second: true, Endpoint: message.Endpoint{Socket: "/s"}})
	if err != nil || a.State != Waiting {
		t.Fatalf("%+v, %v", a, err)
	}
	d := r.device("laptop")
	d.refused(activation(d, l), true, codeRefused)
	for _, by := range []string{"one", r.alice.ID} {
		if err := r.ApproveActivation(by, a.ID); kind(err) != authority.Conflict {
			t.Errorf("%s: %v", by, err)
		}
	}
	if err := r.ApproveActivation("two", "x"); kind(err) != authority.NotFound {
		t.Error(err)
	}
	if err := r.ApproveActivation("two", a.ID); err != nil {
		t.Fatal(err)
	}
	if err := r.ApproveActivation("two", a.ID); kind(err) != authority.Conflict {
		t.Error(err)
	}
	expect[*message.NewSecret](d, activation(d, l), true)
	expect[*message.Done](d, d.proof(), false)
	if err := r.RevokeActivation("one", a.ID); kind(err) != authority.Conflict {
		t.Error(err)
	}
	if e := r.told.all("activation-approve"); len(e) != 5 || !e[3].OK || e[3].By != "two" || e[3].Detail != a.ID {
		t.Errorf("%+v", e)
	}
}

func TestBypassLimits(t *testing.T) {
	r := newRig(t)
	if _, _, err := r.CreateBypass(r.alice.ID, "alice", 0); kind(err) != authority.Conflict {
		t.Error("for oneself:", err)
	}
	if _, _, err := r.CreateBypass("owner", "nobody", 0); kind(err) != authority.NotFound {
		t.Error(err)
	}
	seen := map[string]bool{}
	for range 3 {
		for range MaxBypassCodes {
			b, code, err := r.CreateBypass("owner", "alice", time.Hour)
			if err != nil || seen[string(code)] || b.Expires.Sub(b.Created) != time.Hour {
				t.Fatal(b, err)
			}
			seen[string(code)] = true
		}
		if _, _, err := r.CreateBypass("owner", "alice", 0); kind(err) != authority.TooMany {
			t.Error(err)
		}
		r.clock.pass(time.Hour)
	}
	if list, err := r.BypassCodes("alice"); err != nil || len(list) > 2*MaxBypassCodes {
		t.Error(len(list), err)
	}
	if err := r.RevokeBypass("owner", "x"); kind(err) != authority.NotFound {
		t.Error(err)
	}
	if err := r.RevokeDevice("owner", "x", message.ID{}.String()); kind(err) != authority.NotFound {
		t.Error(err)
	}
	if err := r.RevokeAccount("owner", "x", "alice", "vpn"); kind(err) != authority.NotFound {
		t.Error(err)
	}
}

// TestDescriptor: the keys stay, whatever is restarted.
func TestDescriptor(t *testing.T) {
	r := newRig(t)
	d, raw, err := r.Descriptor([]message.Endpoint{{Socket: "/run/tokend/tokend.sock"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := message.ParseDescriptor(raw)
	if err != nil || got.Fingerprint() != d.Fingerprint() || got.Name != "Example" || got.Contact != "IT helpdesk, +41 44 000 00 00" || got.Portal != "https://example.org/2fa" {
		t.Fatalf("%+v, %v", got, err)
	}
	r.reopen()
	if again, _, err := r.Descriptor(nil); err != nil || again.KeysHash() != d.KeysHash() {
		t.Errorf("%v", err)
	}
}

// TestManyConversations: however often a device begins, what is kept is bounded,
// and what is in progress goes last.
func TestManyConversations(t *testing.T) {
	r := newRig(t)
	d := r.active("laptop", "alice", "vpn")
	phone := r.active("phone", "alice", "mail")
	fresh := d.restored("new")
	expect[*message.Offer](fresh, fresh.begin(true), true)
	expect[*message.Waiting](fresh, factor("other_device", nil), false)
	for range 2 * maxTalks {
		expect[*message.Questions](phone, &message.Poll{}, true)
	}
	expect[*message.Waiting](fresh, &message.Poll{}, false)
	for range 2 * maxTalks {
		expect[*message.Offer](d, d.begin(false), true)
	}
	p, err := r.talksOf(r.alice.ID)
	if err != nil || p > maxTalks {
		t.Errorf("%d, %v", p, err)
	}
	r.clock.pass(time.Hour)
	expect[*message.Offer](d, d.begin(false), true)
	if p, err = r.talksOf(r.alice.ID); err != nil || p != 1 {
		t.Errorf("%d, %v", p, err)
	}
}

func TestFactorsTogether(t *testing.T) {
	r := newRig(t)
	r.policyIs(strings.Replace(usual, "after_restore", "factors = 2\nafter_restore", 1))
	old := r.active("old", "alice", "vpn")
	fresh := old.restored("new")
	_, code, err := r.CreateBypass("owner", "alice", 0)
	if err != nil {
		t.Fatal(err)
	}
	expect[*message.Offer](fresh, fresh.begin(true), true)
	offer := expect[*message.Offer](fresh, factor("bypass_code", code), false)
	if len(offer.Proved) != 1 || offer.Required != 2 {
		t.Errorf("%+v", offer)
	}
	fresh.refused(factor("bypass_code", code), false, codeOffered)
	expect[*message.NewSecret](fresh, factor("fob", r.passcode("F1")), false)
	expect[*message.Done](fresh, fresh.proof(), false)
}

// FuzzBypass: however it is typed, a code is itself and no other.
func FuzzBypass(f *testing.F) {
	f.Add([]byte("ABCD-EFGH-JKMN-PQRS"))
	f.Add([]byte("o0 l1\ti\n"))
	f.Fuzz(func(t *testing.T, typed []byte) {
		once := readBypass(typed)
		if twice := readBypass(once); string(twice) != string(once) || len(once) > len(typed) {
			t.Fatalf("%q, %q", once, twice)
		}
	})
}

// FuzzServe: whatever comes, nothing is served that no device has made.
func FuzzServe(f *testing.F) {
	r := newRig(f)
	d := r.device("x")
	d.seal(&message.Poll{}, true)
	f.Add(d.sealed[:len(d.sealed)-1])
	f.Add([]byte{0xa1, 1, 1})
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if answer, err := r.Serve(t.Context(), sealed); err == nil && string(sealed) != string(d.sealed) {
			t.Fatal(len(answer))
		}
	})
}
