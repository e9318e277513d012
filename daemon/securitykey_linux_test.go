//go:build cgo && !nofido2

package daemon_test

import (
	"slices"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/daemon/authority/issue"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// TestSecurityKeyFactor: a key is registered at the helper's machine, and brings an
// account back; another one beside it, and a wrong PIN, do not.
func TestSecurityKeyFactor(t *testing.T) {
	c := newClock()
	o := newOffice(t, c)
	r := newKeyring(t, func(cfg *daemon.Config) { cfg.Clock = c.clock() })
	v := &device{office: o, Daemon: r.d, name: "laptop", who: r.p}
	v.create()
	ctx := t.Context()
	alice := o.alice
	make := ipc.MakeSecurityKeyRequest{UserID: alice}
	_, err := v.MakeSecurityKey(ctx, r.p, make)
	wantKind(t, err, ipc.TokenNotPresent)
	other := r.insert(t, 0, vfido.Options{PIN: "1618033"})
	key := r.insert(t, 1, vfido.Options{PIN: keyPIN})
	_, err = v.MakeSecurityKey(ctx, r.p, make)
	wantKind(t, err, ipc.AmbiguousToken)
	make.Locator = r.ports[1].Path()
	_, err = v.MakeSecurityKey(ctx, r.p, make)
	wantKind(t, err, ipc.PINRequired)
	make.UserID, make.PIN = "alice", secretOf(keyPIN)
	_, err = v.MakeSecurityKey(ctx, r.p, make)
	wantKind(t, err, ipc.InvalidArgument)
	make.UserID, make.PIN = alice, secretOf(keyPIN)
	made, err := v.MakeSecurityKey(ctx, r.p, make)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.AddSecurityKey("owner", issue.NewSecurityKey{User: alice, Name: "hers", Statement: made.Statement}); err != nil {
		t.Fatal(err)
	}
	account := v.activate("vpn")
	offer := v.expect(ipc.PhaseChoose, v.carry(v.begin(account.ID)))
	if !slices.Contains(offer.Offer.Factors, "security_key") {
		t.Fatalf("%+v", offer.Offer)
	}
	give := func(pin string) (ipc.ManagedStep, error) {
		q := ipc.GiveFactorRequest{Factor: "security_key"}
		if pin != "" {
			q.PIN = secretOf(pin)
		}
		return v.GiveFactor(ctx, r.p, offer.Conversation, q)
	}
	before := other.Counts()
	if e := wantKind(t, second(give("")), ipc.PINRequired); e.Token == nil || e.Token.ID != r.at(t, 1).ID {
		t.Errorf("%+v", e.Token)
	}
	wantKind(t, second(give("000000")), ipc.PINInvalid)
	events := listen(t, r.d, r.p)
	proof := v.expect(ipc.PhaseProving, v.carry(give(keyPIN)))
	if e := events.next(t, ipc.EventTouchWanted); e.Token == nil {
		t.Errorf("%+v", e)
	}
	v.expect(ipc.PhaseDone, v.carry(proof, nil))
	if n := other.Counts(); n.PINsSeen != before.PINsSeen || n.TouchesAsked != before.TouchesAsked {
		t.Errorf("the other key: %+v", n)
	}
	if key.Residents() > 0 {
		t.Error("the key keeps something")
	}
	if !v.logsIn(account.ID) {
		t.Error("the account does not log in")
	}
	// No key here is registered.
	r.ports[1].Remove()
	eventually(t, "the key to be gone", 5*time.Second, func() bool { return !r.at(t, 1).Present })
	offer = v.expect(ipc.PhaseChoose, v.carry(v.begin(account.ID)))
	wantKind(t, second(give("1618033")), ipc.NoKeyslot)
	if _, err := v.GiveFactor(ctx, r.p, "none", ipc.GiveFactorRequest{Factor: "security_key"}); ipc.KindOf(err) != ipc.NotFound {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }
