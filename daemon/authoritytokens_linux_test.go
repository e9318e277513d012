//go:build cgo && !nofido2

package daemon_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/daemon/authority/desk"
	"github.com/tokenbridge/tokend/daemon/authority/keyslot"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// counter is an authority beside the vaults, whose key tokens of the daemon's hold.
type counter struct{ *desk.Desk }

// beside is to be given to the daemon, which is made first.
func (c *counter) beside(cfg *daemon.Config) { cfg.Authority = c }

// open makes a desk at the daemon, or opens the same one again as after a start.
func (c *counter) open(t *testing.T, dir string, d *daemon.Daemon) {
	t.Helper()
	if c.Desk != nil {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c.Desk = desk.New(desk.Config{Dir: dir, Login: func(string) string { return "" }, Tokens: d.AuthorityTokens()})
	c.Open()
	t.Cleanup(func() { _ = c.Close() })
}

// unlockBy is UnlockAuthority by the owner.
func (c *counter) unlockBy(t *testing.T, p ipc.Principal, a ipc.Auth) error {
	t.Helper()
	_, err := c.UnlockAuthority(t.Context(), p, ipc.UnlockAuthorityRequest{Auth: a})
	return err
}

func (c *counter) createBy(t *testing.T, p ipc.Principal, a ipc.Auth) {
	t.Helper()
	if _, err := c.CreateAuthority(t.Context(), p, ipc.CreateAuthorityRequest{Name: "Example AG", Key: "token", Auth: a}); err != nil {
		t.Fatal(err)
	}
}

func tokenListOf(t *testing.T, d *daemon.Daemon, p ipc.Principal) []ipc.Token {
	t.Helper()
	l, err := d.Tokens(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return l.Tokens
}

// slotOf is the token of a keyslot.
func slotOf(t *testing.T, d *daemon.Daemon, p ipc.Principal, id string) ipc.Token {
	t.Helper()
	for _, k := range tokenListOf(t, d, p) {
		if k.ID == id {
			return k
		}
	}
	return ipc.Token{}
}

func owner(p ipc.Principal) ipc.Principal {
	p.Admin = true
	return p
}

func TestPIVAuthorityKey(t *testing.T) {
	c, dir := &counter{}, filepath.Join(t.TempDir(), "authority")
	b := workbench(t, vpiv.YubiKey(5, 4, 3), c.beside)
	c.open(t, dir, b.d)
	p := owner(b.p)
	_, err := c.CreateAuthority(t.Context(), p, ipc.CreateAuthorityRequest{Name: "Example AG", Key: "token", Auth: ipc.Auth{PIN: secretOf(factoryPIN)}})
	wantKind(t, err, ipc.NoKeyslot) // there is no vault
	made := b.init(t)
	id := made.Token.ID
	lock(t, b.d, b.p) // which nothing of this needs open
	pin := ipc.Auth{Token: "work key", PIN: secretOf(factoryPIN)}
	before := b.card.Counts()
	c.createBy(t, p, pin)
	if n := b.card.Counts(); n.ECDHs != before.ECDHs+1 || n.TouchesAsked != before.TouchesAsked || n.Generated != before.Generated {
		t.Errorf("making it cost %+v, before %+v", n, before)
	}

	c.open(t, dir, b.d)
	if e := wantKind(t, c.unlockBy(t, p, ipc.Auth{}), ipc.PINRequired); e.Token == nil || e.Token.ID != id || e.Token.Label != "work key" {
		t.Errorf("the PIN of %+v is wanted", e.Token)
	}
	if e := wantKind(t, c.unlockBy(t, p, ipc.Auth{PIN: secretOf("654321")}), ipc.PINInvalid); e.TriesLeft == nil || *e.TriesLeft != 2 {
		t.Errorf("a wrong PIN leaves %v tries", e.TriesLeft)
	}
	if err := b.rig.Remove(0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the removal", 10*time.Second, func() bool { return !slotOf(t, b.d, b.p, id).Present })
	wantKind(t, c.unlockBy(t, p, ipc.Auth{PIN: secretOf(factoryPIN)}), ipc.TokenNotPresent)
	other := b.insert(t, vpiv.YubiKey(5, 4, 3), 0)
	eventually(t, "another card", 10*time.Second, func() bool { return len(tokenListOf(t, b.d, b.p)) == 2 })
	wantKind(t, c.unlockBy(t, p, ipc.Auth{PIN: secretOf(factoryPIN)}), ipc.TokenNotPresent)
	if n := other.Counts().PINsSeen; n != 0 {
		t.Errorf("another card saw %d PINs", n)
	}
	if err := b.rig.Remove(0); err != nil {
		t.Fatal(err)
	}
	if err := b.rig.Insert(b.card, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the card", 10*time.Second, func() bool { return slotOf(t, b.d, b.p, id).Present })
	if s, err := b.d.Status(t.Context(), p); err != nil || s.Authority == nil || !s.Authority.Locked || !has(s.Warnings, "authority-locked") {
		t.Errorf("the status: %+v, %v", s.Authority, err)
	}
	if err := c.unlockBy(t, p, ipc.Auth{PIN: secretOf(factoryPIN)}); err != nil {
		t.Fatal(err)
	}

	// A software token is one more, by its passphrase; a locked vault does.
	if err := unlock(t, b.d, b.p, ipc.Auth{Token: "work key", PIN: secretOf(factoryPIN)}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.d.EnrollToken(t.Context(), b.p, ipc.EnrollRequest{Kind: "soft", Label: "file", PIN: secretOf(passphrase), Auth: ipc.Auth{RecoveryPassword: secretOf(recovery)}}); err != nil {
		t.Fatal(err)
	}
	lock(t, b.d, b.p)
	k, err := c.AddAuthorityKey(t.Context(), p, ipc.AddAuthorityKeyRequest{Auth: ipc.Auth{Token: "file", PIN: secretOf(passphrase)}})
	if err != nil || k.Hardware || k.Kind != "soft" {
		t.Errorf("%+v, %v", k, err)
	}
	c.open(t, dir, b.d)
	wantKind(t, c.unlockBy(t, p, ipc.Auth{Token: k.ID, PIN: secretOf("not the passphrase")}), ipc.PINInvalid)
	if err := c.unlockBy(t, p, ipc.Auth{Token: k.ID, PIN: secretOf(passphrase)}); err != nil {
		t.Fatal(err)
	}

	// The card's key opens the authority also when no vault is opened by it, and stays.
	if err := unlock(t, b.d, b.p, ipc.Auth{Token: "file", PIN: secretOf(passphrase)}); err != nil {
		t.Fatal(err)
	}
	r, err := b.d.RevokeToken(t.Context(), b.p, id, ipc.RevokeRequest{Confirm: id, Auth: ipc.Auth{RecoveryPassword: secretOf(recovery)}})
	if err != nil || !has(r.Warnings, "opens-authority") {
		t.Fatalf("%+v, %v", r.Warnings, err)
	}
	here := tokenListOf(t, b.d, b.p)
	on := here[len(here)-1].ID
	_, err = b.d.WipeToken(t.Context(), b.p, on, ipc.WipeTokenRequest{Confirm: on, PIN: secretOf(factoryPIN)})
	if e := wantKind(t, err, ipc.Conflict); !strings.Contains(e.Message, "opens the authority") {
		t.Errorf("wiping: %v", e)
	}
	_, err = b.d.EnrollToken(t.Context(), b.p, ipc.EnrollRequest{Kind: "piv", PIN: secretOf(factoryPIN), Overwrite: []string{"82", "83"}, Auth: ipc.Auth{RecoveryPassword: secretOf(recovery)}})
	if e := wantKind(t, err, ipc.Conflict); !strings.Contains(e.Message, "opens the authority") {
		t.Errorf("overwriting: %v", e)
	}
	c.open(t, dir, b.d)
	if err := c.unlockBy(t, p, ipc.Auth{Token: id, PIN: secretOf(factoryPIN)}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RemoveAuthorityKey(t.Context(), p, id); err != nil {
		t.Fatal(err)
	}
	if _, err := b.d.WipeToken(t.Context(), b.p, on, ipc.WipeTokenRequest{Confirm: on, PIN: secretOf(factoryPIN)}); err != nil {
		t.Errorf("then it can be wiped: %v", err)
	}
}

func TestFIDO2AuthorityKey(t *testing.T) {
	c, dir := &counter{}, filepath.Join(t.TempDir(), "authority")
	r := newKeyring(t, c.beside)
	c.open(t, dir, r.d)
	first := r.insert(t, 0, vfido.Options{PIN: keyPIN})
	made := initStick(t, r.d, r.p, keyPIN, "first")
	p := owner(r.p)
	lock(t, r.d, r.p)
	events := listen(t, r.d, r.p)
	c.createBy(t, p, ipc.Auth{PIN: secretOf(keyPIN)})
	if e := events.next(t, ipc.EventTouchWanted); e.Token == nil || e.Token.ID != made.Token.ID {
		t.Errorf("the touch is announced as %+v", e.Token)
	}
	c.open(t, dir, r.d)
	// Another key beside it, which has the same PIN, is shown none.
	second := r.insert(t, 1, vfido.Options{PIN: keyPIN})
	before := second.Counts()
	wantKind(t, c.unlockBy(t, p, ipc.Auth{Token: made.Token.ID, PIN: secretOf("31415926")}), ipc.PINInvalid)
	if err := r.ports[0].Remove(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the removal", 10*time.Second, func() bool { return !slotOf(t, r.d, r.p, made.Token.ID).Present })
	wantKind(t, c.unlockBy(t, p, ipc.Auth{Token: made.Token.ID, PIN: secretOf(keyPIN)}), ipc.TokenNotPresent)
	r.plug(t, 2, first) // in another port
	if err := c.unlockBy(t, p, ipc.Auth{Token: made.Token.ID, PIN: secretOf(keyPIN)}); err != nil {
		t.Fatal(err)
	}
	if n := second.Counts(); n.PINsSeen != before.PINsSeen || n.TouchesGiven != before.TouchesGiven {
		t.Errorf("the other key saw %+v, before %+v", n, before)
	}
}

// TestAuthorityKeyByAgent: the PIN of an authority's token is asked for by the agent
// of who unlocks it.
func TestAuthorityKeyByAgent(t *testing.T) {
	d := start(t, nil)
	p := caller("1000")
	made := initSoft(t, d, p)
	_ = d.Lock(t.Context(), p)
	agent := join(t, d, p, func(ipc.Event) ipc.AgentAnswer { return ipc.AgentAnswer{Allow: true, PIN: secretOf(passphrase)} })
	own, err := d.AuthorityTokens().Keyslots(p)
	if err != nil || len(own) != 1 || own[0].ID != made.Token.ID || own[0].KeyFile == nil {
		t.Fatalf("%+v, %v", own, err)
	}
	use := func(interaction string) error {
		return d.AuthorityTokens().Use(t.Context(), p, ipc.Auth{}, interaction, own, func(ctx context.Context, id string, x keyslot.Exchange) error {
			_, err := x(ctx, own[0].Session().Public) // any point is a peer
			return err
		})
	}
	wantKind(t, use(""), ipc.PINRequired)
	if err := use(ipc.InteractionAgent); err != nil || agent.questions() != 1 {
		t.Errorf("%v, asked %d times", err, agent.questions())
	}
	wantKind(t, use("nonsense"), ipc.InvalidArgument)
}
