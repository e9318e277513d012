package issue

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/message"
)

// TestBob: whatever is Bob's does nothing to what is Alice's.
func TestBob(t *testing.T) {
	r := newRig(t)
	old := r.active("old", "alice", "vpn")
	r.user("bob", "F2")
	bob := r.active("bob's", "bob", "vpn")
	expectForged := func(d *device, b message.RequestBody) {
		t.Helper()
		waited := r.clock.waits()
		d.seal(b, true)
		_, err := r.Serve(t.Context(), d.sealed)
		if !errors.Is(err, message.ErrForged) || r.clock.waits() != waited+1 {
			t.Errorf("%v", err)
		}
	}
	// His device and his reactivation key for her account.
	thief := *bob
	thief.account = old.account
	expectForged(&thief, thief.begin(true))
	thief.account = message.ID{1}.String()
	expectForged(&thief, thief.begin(true))
	thief.account = "no-id"
	expectForged(&thief, thief.begin(true))
	// A passcode of hers, or of his, without her account's key.
	stranger := r.device("stranger")
	stranger.account = old.account
	expectForged(stranger, factor("fob", r.passcode("F1")))
	// His device with her key, as from a stolen backup: it is his in the registry.
	thief = *bob
	thief.account, thief.back = old.account, old.back
	thief.refused(thief.begin(true), true, codeRefused)
	// A new device with her key and his fob.
	fresh := old.restored("new")
	expect[*message.Offer](fresh, fresh.begin(true), true)
	fresh.refused(factor("fob", message.Secret(hotp("F2", 0))), false, codePasscode)
	r.clock.pass(5 * time.Second)
	// His bypass code.
	if _, _, err := r.CreateBypass("owner", "alice", 0); err != nil {
		t.Fatal(err)
	}
	_, code, err := r.CreateBypass("owner", "bob", 0)
	if err != nil {
		t.Fatal(err)
	}
	fresh.refused(factor("bypass_code", code), false, codeBypass)
	r.clock.pass(5 * time.Second)
	// His device approves.
	w := expect[*message.Waiting](fresh, factor("other_device", nil), false)
	if q := expect[*message.Questions](bob, &message.Poll{}, true); len(q.List) > 0 {
		t.Errorf("%+v", q)
	}
	c, err := r.questionOf(fresh)
	if err != nil {
		t.Fatal(err)
	}
	// He needs a question of his own to get to approve at all.
	other := bob.restored("bob's other")
	expect[*message.Offer](other, other.begin(true), true)
	expect[*message.Waiting](other, factor("other_device", nil), false)
	expect[*message.Questions](bob, &message.Poll{}, true)
	bob.refused(&message.Approve{Question: c, Yes: true, Number: w.Number}, false, codeLate)
	// The device that asks cannot approve itself.
	fresh.refused(&message.Poll{}, true, codeRefused)
	if !old.logsIn() {
		t.Error("the old device does not log in")
	}
	if v, err := r.VerifyManaged(t.Context(), Login{Service: "vpn", User: "alice", Code: bob.code()}); err != nil || v.Accepted {
		t.Errorf("%+v, %v", v, err)
	}
	// Her activation for him: the secret is all it takes, and the account stays hers.
	// A device serves one user; who has the link is told so, and it stays good.
	l := r.link("alice", "vpn")
	bob.refused(activation(bob, l), true, codeOther)
	wrong := l
	wrong.Secret = message.Secret("another secret of a link, as long")[:len(l.Secret)]
	bob.refused(activation(bob, wrong), true, codeRefused)
	expect[*message.NewSecret](other, activation(other, l), true)
}

// questionOf reads a question's id, which nobody but her devices is told.
func (r *rig) questionOf(d *device) (message.ID, error) {
	q := expect[*message.Questions](d.r.holderOf(d), &message.Poll{}, true)
	return q.List[0].ID, nil
}

// holderOf makes another active device of Alice's.
func (r *rig) holderOf(*device) *device { return r.active("tablet", "alice", "mail") }

// TestActivationRules: an activation is one device's, once, for a while; and all
// that is wrong with one looks alike.
func TestActivationRules(t *testing.T) {
	r := newRig(t)
	link := r.link("alice", "vpn")
	uri, err := link.URI()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := message.ParseLink(uri)
	if err != nil || parsed.Check(r.d, r.clock.Now()) != nil {
		t.Fatal(err, parsed.Check(r.d, r.clock.Now()))
	}
	first, second := r.device("first"), r.device("second")
	unknown, wrong := link, link
	unknown.Activation = message.ID{1}
	wrong.Secret = make(message.Secret, 16)
	var refusals []*message.Refused
	refused := func(d *device, l message.Link) {
		t.Helper()
		refusals = append(refusals, d.refused(activation(d, l), true, codeRefused))
	}
	refused(first, unknown)
	refused(first, wrong)
	refused(first, link) // throttled
	r.clock.pass(2 * time.Second)
	expect[*message.NewSecret](first, activation(first, link), true)
	refused(second, link)
	// The same device may begin anew, until it has proved the secret.
	lost := *first
	expect[*message.NewSecret](first, activation(first, link), true)
	if string(lost.secret.Secret) == string(first.secret.Secret) {
		t.Error("the same secret again")
	}
	lost.refused(lost.proof(), false, codeOver)
	first.refused(&message.Proof{Code: message.Secret("000000")}, false, codeCode)
	if done := expect[*message.Done](first, first.proof(), false); len(done.Revoked)+len(done.Kept) > 0 {
		t.Errorf("%+v", done)
	}
	refused(first, link)
	refused(second, link)
	late := r.link("alice", "vpn")
	r.clock.pass(24 * time.Hour)
	refused(second, late)
	gone := r.link("alice", "vpn")
	expect[*message.NewSecret](second, activation(second, gone), true)
	if err := r.RevokeActivation("owner", gone.Activation.String()); err != nil {
		t.Fatal(err)
	}
	second.seal(second.proof(), false)
	if _, err := r.Serve(t.Context(), second.sealed); !errors.Is(err, message.ErrForged) {
		t.Errorf("after the revocation: %v", err)
	}
	refused(second, gone)
	disabled := true
	if _, err := r.reg.EditUser("owner", "alice", authority.UserEdit{Disabled: &disabled}); err == nil {
		if _, _, err := r.CreateActivation("owner", NewActivation{User: "alice", Account: "vpn", Endpoint: message.Endpoint{Socket: "/s"}}); kind(err) != authority.Conflict {
			t.Error(err)
		}
	}
	for _, x := range refusals {
		if !reflect.DeepEqual(x, refusals[0]) {
			t.Errorf("%+v, another %+v", x, refusals[0])
		}
	}
	list, err := r.Activations("alice")
	if err != nil || len(list) != 3 || list[0].State != Used || list[0].Device != first.id() || list[1].State != Expired || list[2].State != Off {
		t.Errorf("%+v, %v", list, err)
	}
	// Unknown devices, too.
	refused(second, unknown)
	if q := second.refused(&message.Poll{}, true, codeRefused); !reflect.DeepEqual(q, refusals[0]) {
		t.Errorf("%+v", q)
	}
	if q := second.refused(&message.Notice{}, true, codeRefused); !reflect.DeepEqual(q, refusals[0]) {
		t.Errorf("%+v", q)
	}
}

// TestActivationReplaces: with an activation the old device works until the
// proof, and old backups bring nothing back afterwards.
func TestActivationReplaces(t *testing.T) {
	r := newRig(t)
	old := r.active("old", "alice", "vpn")
	fresh := r.device("new")
	expect[*message.NewSecret](fresh, activation(fresh, r.link("alice", "VPN")), true)
	if fresh.account != old.account {
		t.Fatal("another account")
	}
	// The new key begins nothing before the proof.
	early := fresh.restored("early")
	early.refused(early.begin(true), true, codeRefused)
	if !old.logsIn() {
		t.Error("the old device does not log in before the proof")
	}
	if done := expect[*message.Done](fresh, fresh.proof(), false); !slices.Equal(done.Revoked, []string{"old"}) {
		t.Errorf("%+v", done)
	}
	if old.logsIn() || !fresh.logsIn() {
		t.Error("who logs in")
	}
	stale := old.restored("stale")
	stale.seal(stale.begin(true), true)
	if _, err := r.Serve(t.Context(), stale.sealed); !errors.Is(err, message.ErrForged) {
		t.Error(err)
	}
	next := fresh.restored("next")
	expect[*message.Offer](next, next.begin(true), true)
}

// TestLogins: the codes of managed accounts.
func TestLogins(t *testing.T) {
	r := newRig(t)
	d := r.active("laptop", "alice", "vpn")
	try := func(user, account string, code message.Secret) ManagedVerdict {
		t.Helper()
		waited := r.clock.waits()
		v, err := r.VerifyManaged(t.Context(), Login{Service: "vpn", User: user, Account: account, Code: code})
		if err != nil {
			t.Fatal(err)
		}
		if !v.Accepted && r.clock.waits() != waited+1 {
			t.Error("answered before the deadline")
		}
		return v
	}
	code := d.code()
	if v := try("Alice", "VPN", code); !v.Accepted || v.Device != d.id() || v.UserID != r.alice.ID {
		t.Fatalf("%+v", v)
	}
	if v := try("alice", "", code); v.Accepted || v.Reason != authority.ReasonReused {
		t.Errorf("%+v", v)
	}
	r.reopen()
	if v := try("alice", d.account, code); v.Accepted {
		t.Errorf("%+v", v)
	}
	r.clock.pass(time.Minute)
	for _, c := range []struct {
		user, account string
		code          message.Secret
		want          authority.Reason
	}{
		{"nobody", "", d.code(), authority.ReasonUnknownUser},
		{"alice", "mail", d.code(), ReasonNoAccount},
		{"alice", "vpn", d.code(), authority.ReasonThrottled},
	} {
		if v := try(c.user, c.account, c.code); v.Accepted || v.Reason != c.want {
			t.Errorf("%+v: %+v", c, v)
		}
	}
	r.clock.pass(time.Minute)
	if v := try("alice", "vpn", message.Secret("x")); v.Accepted || v.Reason != authority.ReasonUnfit {
		t.Errorf("%+v", v)
	}
	if v := try("alice", "vpn", d.code()); !v.Accepted {
		t.Errorf("%+v", v)
	}
	if _, err := r.VerifyManaged(t.Context(), Login{Service: "", User: "alice", Code: d.code()}); kind(err) != authority.Invalid {
		t.Error(err)
	}
	if err := r.RevokeDevice("owner", "an administrator", d.id()); err != nil {
		t.Fatal(err)
	}
	r.clock.pass(time.Minute)
	if v := try("alice", "vpn", d.code()); v.Accepted {
		t.Errorf("%+v", v)
	}
	if n := expect[*message.Notices](d, &message.Notice{}, true); len(n.Revoked) != 1 || n.Revoked[0].By != "an administrator" {
		t.Errorf("%+v", n)
	}
	// It is not the end: with a factor the account comes back, on this device too.
	expect[*message.Offer](d, d.begin(false), true)
	expect[*message.NewSecret](d, factor("fob", r.passcode("F1")), false)
	expect[*message.Done](d, d.proof(), false)
	if !d.logsIn() {
		t.Error("it does not log in")
	}
	if n := expect[*message.Notices](d, &message.Notice{}, true); len(n.Revoked) != 0 {
		t.Errorf("%+v", n)
	}
	if err := r.RevokeAccount("owner", "an administrator", "alice", "vpn"); err != nil {
		t.Fatal(err)
	}
	if d.logsIn() {
		t.Error("it logs in")
	}
	d.seal(d.begin(false), true)
	if _, err := r.Serve(t.Context(), d.sealed); !errors.Is(err, message.ErrForged) {
		t.Error(err)
	}
	if devices, _ := r.Devices("alice"); len(devices) != 1 || devices[0].State != Revoked {
		t.Errorf("%+v", devices)
	}
	// The label is free again.
	again := r.active("again", "alice", "vpn")
	if again.account == d.account || !again.logsIn() {
		t.Error("no new account")
	}
	if err := r.Forget("owner", "alice"); err != nil {
		t.Fatal(err)
	}
	if accounts, err := r.Accounts("alice"); err != nil || len(accounts) > 0 || again.logsIn() {
		t.Errorf("%+v, %v", accounts, err)
	}
	again.refused(&message.Notice{}, true, codeRefused)
	if n, err := r.talksOf(r.alice.ID); err != nil || n > 0 {
		t.Error(n, err)
	}
}

// TestTiming: with the real clock, what strangers may not tell apart cannot be
// told apart by its time either.
func TestTiming(t *testing.T) {
	r := newRig(t)
	old := r.active("old", "alice", "vpn")
	r.Issuer.Close()
	if err := r.reg.Close(); err != nil {
		t.Fatal(err)
	}
	r.o.Wait, r.o.Now, r.o.Deadline = nil, nil, 400*time.Millisecond
	r.clock.now = time.Now()
	var err error
	if r.reg, err = authority.Open(r.o); err != nil {
		t.Fatal(err)
	}
	r.Issuer, err = New(Options{Registry: r.reg, Audit: r.told, Policy: r.policy})
	if err != nil {
		t.Fatal(err)
	}
	link := r.link("alice", "vpn")
	kinds := map[string]func() []byte{
		"unknown account": func() []byte {
			d := old.restored("x")
			d.account = message.ID{7}.String()
			d.seal(d.begin(true), true)
			return d.sealed
		},
		"wrong key": func() []byte {
			d := r.device("x")
			d.account = old.account
			d.seal(d.begin(true), true)
			return d.sealed
		},
		"unknown activation": func() []byte {
			d, l := r.device("x"), link
			l.Activation = message.ID{7}
			d.seal(activation(d, l), true)
			return d.sealed
		},
		"wrong secret": func() []byte {
			d, l := r.device("x"), link
			l.Secret = make(message.Secret, 16)
			d.seal(activation(d, l), true)
			return d.sealed
		},
		"unknown device": func() []byte { d := r.device("x"); d.seal(&message.Poll{}, true); return d.sealed },
	}
	took := map[string][]float64{}
	var mu sync.Mutex
	for range 15 {
		requests := map[string][][]byte{}
		for kind, build := range kinds {
			for range 4 {
				requests[kind] = append(requests[kind], build())
			}
		}
		var wg sync.WaitGroup
		for kind, list := range requests {
			for _, sealed := range list {
				wg.Go(func() {
					began := time.Now()
					_, _ = r.Serve(context.Background(), sealed)
					d := time.Since(began).Seconds()
					mu.Lock()
					defer mu.Unlock()
					took[kind] = append(took[kind], d)
				})
			}
		}
		wg.Wait()
	}
	for kind, d := range took {
		slices.Sort(d)
		z := rankSum(took, kind)
		t.Logf("%-18s median %.2f ms, z %.2f", kind, d[len(d)/2]*1e3, z)
		if math.Abs(z) > 5 {
			t.Errorf("%s can be told from the others by its time (z = %.1f)", kind, z)
		}
	}
}

// rankSum is the statistic of Wilcoxon, Mann and Whitney, in standard deviations.
func rankSum(took map[string][]float64, kind string) float64 {
	var all []float64
	for _, d := range took {
		all = append(all, d...)
	}
	slices.Sort(all)
	sum := 0.0
	for _, d := range took[kind] {
		at, _ := slices.BinarySearch(all, d)
		sum += float64(at + 1)
	}
	n := float64(len(took[kind]))
	m := float64(len(all)) - n
	return (sum - n*(n+1)/2 - n*m/2) / math.Sqrt(n*m*(n+m+1)/12)
}
