//go:build cgo

package daemon_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper"
	"github.com/tokenbridge/tokend/tokens/tokentest/rig"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

const factoryPIN = "123456"

// bench is a daemon over the real pcscd, the real helper program and virtual
// cards.
type bench struct {
	rig  *rig.Rig
	d    *daemon.Daemon
	card *vpiv.Card // in the first reader
	p    ipc.Principal
}

// workbench starts one, with a fresh YubiKey in the first reader.
func workbench(t *testing.T, o vpiv.Options, change func(*daemon.Config)) *bench {
	t.Helper()
	program := filepath.Join(t.TempDir(), "tokend-helper")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/tokenbridge/tokend/cmd/tokend-helper").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b := &bench{rig: rig.Start(t, rig.Options{}), p: caller("1000")}
	b.card = b.insert(t, o, 0)
	b.d = start(t, func(c *daemon.Config) {
		env := append(helper.Environment(), b.rig.Env()...)
		piv := helper.New(helper.Config{Path: program, Kind: tokens.KindPIV, Env: env, Log: c.Log})
		c.Drivers[tokens.KindPIV] = piv
		c.Watchers = map[tokens.Kind]tokens.Watcher{tokens.KindPIV: piv}
		if change != nil {
			change(c)
		}
	})
	return b
}

func (b *bench) insert(t *testing.T, o vpiv.Options, reader int) *vpiv.Card {
	t.Helper()
	card, err := vpiv.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.rig.Insert(card, reader); err != nil {
		t.Fatal(err)
	}
	return card
}

// init makes the vault on the card in the first reader.
func (b *bench) init(t *testing.T) ipc.InitResult {
	t.Helper()
	r, err := b.d.Init(t.Context(), b.p, ipc.InitRequest{
		Enroll:           &ipc.EnrollRequest{Kind: "piv", Label: "work key", PIN: secretOf(factoryPIN), Locator: b.rig.Reader()},
		RecoveryPassword: secretOf(recovery),
	})
	if err != nil {
		t.Fatalf("init: %v", err)
	}
	return r
}

func (b *bench) code(t *testing.T, ref string) (ipc.Code, error) {
	t.Helper()
	return b.d.Code(t.Context(), b.p, ref, ipc.CodeRequest{})
}

// eventually waits until is says so.
func eventually(t *testing.T, what string, limit time.Duration, is func() bool) {
	t.Helper()
	for begin := time.Now(); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > limit {
			t.Fatalf("%s did not come about within %v", what, limit)
		}
	}
}

func TestPIVTouchCodes(t *testing.T) {
	b := workbench(t, vpiv.YubiKey(5, 4, 3), nil)
	events := listen(t, b.d, b.p)
	made := b.init(t)
	if !has(made.Warnings, "factory-pin") || made.Token == nil || !made.Token.Hardware || !made.Token.Present {
		t.Errorf("init told %+v", made)
	}
	a := add(t, b.d, b.p, aliceURI)
	if a.Class != "touch" {
		t.Fatalf("with a token that has a touch, the class is %q", a.Class)
	}
	before := b.card.Counts().TouchesAsked
	for range 3 {
		c, err := b.code(t, "alice")
		if err != nil {
			t.Fatal(err)
		}
		if c.Code == "" || c.ValidUntil.Sub(c.ValidFrom) != 30*time.Second {
			t.Errorf("the code is %+v", c)
		}
	}
	if n := b.card.Counts().TouchesAsked - before; n != 3 {
		t.Errorf("3 codes asked for %d touches", n)
	}
	wanted := events.next(t, ipc.EventTouchWanted)
	for wanted.Account == nil { // enrolling asked for touches too
		wanted = events.next(t, ipc.EventTouchWanted)
	}
	if wanted.Account.ID != a.ID || wanted.Token == nil || wanted.Token.Label != "work key" || wanted.Requester != "test (4711)" || wanted.Operation == "" {
		t.Errorf("the touch is announced as %+v", wanted)
	}
	done := events.next(t, ipc.EventTouchDone)
	if done.Operation != wanted.Operation || done.OK == nil || !*done.OK {
		t.Errorf("its end is told as %+v", done)
	}
	// No wait for a touch where none is wanted.
	_, err := b.d.Code(t.Context(), b.p, "alice", ipc.CodeRequest{NoTouchWait: true})
	wantKind(t, err, ipc.TouchTimeout)
	// A vault that is locked wants the PIN, and names the token.
	if err := b.d.Lock(t.Context(), b.p); err != nil {
		t.Fatal(err)
	}
	_, err = b.d.Unlock(t.Context(), b.p, ipc.UnlockRequest{})
	if e := wantKind(t, err, ipc.PINRequired); e.Token == nil || e.Token.ID != made.Token.ID {
		t.Errorf("the token that wants its PIN is told as %+v", e.Token)
	}
	u, err := b.d.Unlock(t.Context(), b.p, ipc.UnlockRequest{Auth: ipc.Auth{Token: made.Token.ID, PIN: secretOf(factoryPIN)}})
	if err != nil || u.Vault.UnlockedBy != "work key" {
		t.Fatalf("unlock: %+v, %v", u, err)
	}
}

func TestPIVWrongAndBlockedPIN(t *testing.T) {
	b := workbench(t, vpiv.YubiKey(5, 4, 3), nil)
	b.init(t)
	if err := b.d.Lock(t.Context(), b.p); err != nil {
		t.Fatal(err)
	}
	unlock := func(pin string, last bool) error {
		_, err := b.d.Unlock(t.Context(), b.p, ipc.UnlockRequest{Auth: ipc.Auth{PIN: secretOf(pin), SpendLastTry: last}})
		return err
	}
	for left := 2; left >= 1; left-- {
		e := wantKind(t, unlock("654321", false), ipc.PINInvalid)
		if e.TriesLeft == nil || *e.TriesLeft != left || !strings.Contains(e.Message, "work key") && !strings.Contains(e.Message, "YubiKey") {
			t.Errorf("with %d tries left it says %v, %v", left, e.TriesLeft, e)
		}
	}
	wantKind(t, unlock(factoryPIN, false), ipc.PINLastTry)
	if b.card.PINTries() != 1 {
		t.Errorf("the last try was spent: %d are left", b.card.PINTries())
	}
	wantKind(t, unlock("654321", true), ipc.PINBlocked)
	wantKind(t, unlock(factoryPIN, true), ipc.PINBlocked)
	if _, err := b.d.Unlock(t.Context(), b.p, ipc.UnlockRequest{Auth: ipc.Auth{RecoveryPassword: secretOf(recovery)}}); err != nil {
		t.Errorf("the recovery password: %v", err)
	}
}

func TestPIVTouchDeniedTimedOutAndClientGone(t *testing.T) {
	o := vpiv.YubiKey(5, 4, 3)
	o.TouchTimeout = 11 * time.Second // a sooner answer counts as a refusal
	b := workbench(t, o, nil)
	b.init(t)
	add(t, b.d, b.p, aliceURI)
	list, err := b.d.AddAccounts(t.Context(), b.p, ipc.AddAccountsRequest{Accounts: []ipc.NewAccount{
		{Name: "quick", Secret: secretOf("GEZDGNBVGY3TQOJQ"), Class: "session"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	events := listen(t, b.d, b.p)
	b.card.SetTouch(vpiv.TouchNever)
	waiting := make(chan error, 1)
	go func() { _, err := b.code(t, "alice"); waiting <- err }()
	events.next(t, ipc.EventTouchWanted)
	// While the card blinks, session codes and lists go on.
	begin := time.Now()
	if _, err := b.code(t, list.Accounts[0].ID); err != nil {
		t.Error(err)
	}
	if _, err := b.d.Tokens(t.Context(), b.p); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("a session code and a list took %v beside a touch", took)
	}
	// An agent that connects now is told of the touch.
	late := listen(t, b.d, b.p)
	late.next(t, ipc.EventTouchWanted)
	wantKind(t, <-waiting, ipc.TouchTimeout)
	if e := events.next(t, ipc.EventTouchDone); e.OK == nil || *e.OK {
		t.Errorf("a touch that did not come is told as %+v", e)
	}

	// A client that goes away takes its operation and its place with it.
	b.card.SetTouch(vpiv.TouchAfter(3 * time.Second))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { _, err := b.d.Code(ctx, b.p, "alice", ipc.CodeRequest{}); waiting <- err }()
	events.next(t, ipc.EventTouchWanted)
	queued := make(chan error, 1)
	go func() { _, err := b.code(t, "alice"); queued <- err }()
	if e := events.next(t, ipc.EventTokenWaiting); e.Place != 1 {
		t.Errorf("the place in the queue is told as %d", e.Place)
	}
	b.card.SetTouch(vpiv.TouchYes)
	cancel()
	wantKind(t, <-waiting, ipc.Cancelled)
	if err := <-queued; err != nil {
		t.Errorf("who waited behind the one that went away got %v", err)
	}

	b.card.SetTouch(vpiv.TouchNo)
	_, err = b.code(t, "alice")
	if k := ipc.KindOf(err); k != ipc.TouchDenied && k != ipc.TouchTimeout {
		t.Errorf("a refused touch: %v", err)
	}
	b.card.SetTouch(vpiv.TouchYes)
	if _, err := b.code(t, "alice"); err != nil {
		t.Errorf("a touch after a refused one: %v", err)
	}
	// A lock ends the wait for a touch: for this one, not for those before.
	b.card.SetTouch(vpiv.TouchNever)
	events = listen(t, b.d, b.p)
	go func() { _, err := b.code(t, "alice"); waiting <- err }()
	events.next(t, ipc.EventTouchWanted)
	if err := b.d.Lock(t.Context(), b.p); err != nil {
		t.Fatal(err)
	}
	wantKind(t, <-waiting, ipc.VaultLocked)
}

func TestPIVPullLocks(t *testing.T) {
	b := workbench(t, vpiv.YubiKey(5, 4, 3), nil)
	b.init(t)
	add(t, b.d, b.p, aliceURI)
	events := listen(t, b.d, b.p)
	if err := b.rig.Remove(0); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	events.next(t, ipc.EventLocked)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the vault locked %v after the pull", took)
	}
	if e := events.next(t, ipc.EventTokenRemoved); e.Token == nil || e.Token.Label != "work key" {
		t.Errorf("the removal is told as %+v", e)
	}
	_, err := b.d.Unlock(t.Context(), b.p, ipc.UnlockRequest{})
	wantKind(t, err, ipc.TokenNotPresent)
	if _, err := b.d.Unlock(t.Context(), b.p, ipc.UnlockRequest{Auth: ipc.Auth{RecoveryPassword: secretOf(recovery)}}); err != nil {
		t.Fatal(err)
	}
	_, err = b.code(t, "alice")
	wantKind(t, err, ipc.TokenNotPresent)
	// Unlocked by the password, it stays open whatever is plugged.
	if err := b.rig.Insert(b.card, 1); err != nil {
		t.Fatal(err)
	}
	events.next(t, ipc.EventTokenInserted)
	if _, err := b.code(t, "alice"); err != nil {
		t.Errorf("in another reader: %v", err)
	}
	if err := b.rig.Remove(1); err != nil {
		t.Fatal(err)
	}
	events.next(t, ipc.EventTokenRemoved)
	if got := state(t, b.d, b.p).State; got != ipc.VaultUnlocked {
		t.Errorf("after pulling a token that did not unlock it: %s", got)
	}
}

func TestPIVRestartOfTheService(t *testing.T) {
	b := workbench(t, vpiv.YubiKey(5, 4, 3), nil)
	b.init(t)
	add(t, b.d, b.p, aliceURI)
	if err := b.rig.KillPCSCD(); err != nil {
		t.Fatal(err)
	}
	if err := b.rig.StartPCSCD(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	eventually(t, "a code after a restart of pcscd", 5*time.Second, func() bool {
		_, err := b.code(t, "alice")
		if k := ipc.KindOf(err); err != nil && k == ipc.VaultLocked {
			t.Fatal("a restart of pcscd locked the vault")
		}
		return err == nil
	})
	t.Logf("work went on %v after pcscd was back", time.Since(begin))
	time.Sleep(4 * time.Second) // longer than the grace
	if got := state(t, b.d, b.p).State; got != ipc.VaultUnlocked {
		t.Errorf("after the grace the vault is %s", got)
	}
	// A service that stays away is a pulled token, in the end.
	if err := b.rig.KillPCSCD(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lock after losing pcscd", 8*time.Second, func() bool {
		return state(t, b.d, b.p).State == ipc.VaultIsLocked
	})
	b.tellsDeadService(t)
}

func TestPIVTwoTokens(t *testing.T) {
	b := workbench(t, vpiv.YubiKey(5, 4, 3), nil)
	made := b.init(t)
	add(t, b.d, b.p, aliceURI)
	o := vpiv.YubiKey(5, 7, 1)
	o.Serial = 0 // shared by cards of other makers
	o.PIN = "77777777"
	second := b.insert(t, o, 1)
	eventually(t, "the second token", 5*time.Second, func() bool {
		l, err := b.d.Tokens(t.Context(), b.p)
		return err == nil && len(l.Tokens) == 2
	})
	// Of two tokens the one that is not enrolled is meant.
	e, err := b.d.EnrollToken(t.Context(), b.p, ipc.EnrollRequest{Kind: "piv", Label: "spare key", PIN: secretOf("77777777")})
	if err != nil || !e.Token.Enrolled || !e.Token.Present || !slices.Equal(e.Token.Classes, []string{"session", "touch"}) {
		t.Fatalf("enroll: %+v, %v", e, err)
	}
	_, err = b.d.EnrollToken(t.Context(), b.p, ipc.EnrollRequest{Kind: "piv", PIN: secretOf("77777777"), Locator: b.rig.Readers()[1]})
	wantKind(t, err, ipc.AlreadyExists)
	_, err = b.d.EnrollToken(t.Context(), b.p, ipc.EnrollRequest{Kind: "piv", PIN: secretOf("77777777"), Locator: made.Token.Serial})
	if e := wantKind(t, err, ipc.AlreadyExists); e.Token == nil || e.Token.Label != "work key" {
		t.Errorf("by its serial number: %+v", e.Token)
	}
	_, err = b.d.EnrollToken(t.Context(), b.p, ipc.EnrollRequest{Kind: "piv", PIN: secretOf("77777777")})
	wantKind(t, err, ipc.AlreadyExists)

	// A PIN is for one token.
	if err := b.d.Lock(t.Context(), b.p); err != nil {
		t.Fatal(err)
	}
	seen := b.card.Counts().PINsSeen + second.Counts().PINsSeen
	_, err = b.d.Unlock(t.Context(), b.p, ipc.UnlockRequest{Auth: ipc.Auth{PIN: secretOf(factoryPIN)}})
	if e := wantKind(t, err, ipc.AmbiguousToken); len(e.Items) != 2 {
		t.Errorf("the tokens that it may be for: %+v", e.Items)
	}
	if n := b.card.Counts().PINsSeen + second.Counts().PINsSeen; n != seen {
		t.Errorf("a PIN for no token in particular was shown to %d", n-seen)
	}
	seen = b.card.Counts().PINsSeen
	if _, err := b.d.Unlock(t.Context(), b.p, ipc.UnlockRequest{Auth: ipc.Auth{Token: e.Token.ID, PIN: secretOf("77777777")}}); err != nil {
		t.Fatal(err)
	}
	if b.card.Counts().PINsSeen != seen {
		t.Error("the PIN of one token was shown to another")
	}

	test, err := b.d.TestToken(t.Context(), b.p, "spare key", ipc.TestTokenRequest{Auth: ipc.Auth{PIN: secretOf("77777777")}})
	if err != nil || len(test.Opened) != 2 {
		t.Errorf("test: %+v, %v", test, err)
	}
	info, err := b.d.TokenInfo(t.Context(), b.p, "work key")
	if err != nil || !info.FactoryPIN || info.PINTries != 3 || info.Token.Serial != "12345678" {
		t.Errorf("info: %+v, %v", info, err)
	}

	// Revoke the first; its PIN opens nothing any more, and its keys go.
	backup(t, b.d, b.p, "/stick/a.tokend")
	rev, err := b.d.RevokeToken(t.Context(), b.p, "work key", ipc.RevokeRequest{Confirm: made.Token.ID})
	if err != nil || rev.Vault.Epoch != 2 || len(rev.OldBackups) != 1 {
		t.Fatalf("revoke: %+v, %v", rev, err)
	}
	if c, err := b.code(t, "alice"); err != nil {
		t.Errorf("a code after revoking: %+v, %v", c, err)
	}
	var id string
	l, err := b.d.Tokens(t.Context(), b.p)
	for _, t := range l.Tokens {
		if t.Present && !t.Enrolled {
			id = t.ID
		}
	}
	if err != nil || id == "" {
		t.Fatalf("the revoked token is listed as %+v, %v", l.Tokens, err)
	}
	wiped, err := b.d.WipeToken(t.Context(), b.p, id, ipc.WipeTokenRequest{PIN: secretOf(factoryPIN), Confirm: id})
	if err != nil || len(wiped.Cleared) == 0 {
		t.Errorf("wipe: %+v, %v", wiped, err)
	}
	_, err = b.d.RevokeToken(t.Context(), b.p, e.Token.ID, ipc.RevokeRequest{Confirm: e.Token.ID})
	if err != nil && ipc.KindOf(err) != ipc.LastKeyslot {
		t.Errorf("revoking the last token: %v", err)
	}
}

func TestPIVManyClients(t *testing.T) {
	b := workbench(t, vpiv.YubiKey(5, 4, 3), nil)
	b.init(t)
	add(t, b.d, b.p, aliceURI)
	before := b.card.Counts().TouchesAsked
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if _, err := b.code(t, "alice"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := b.card.Counts().TouchesAsked - before; n != 6 {
		t.Errorf("6 codes asked for %d touches", n)
	}
}

func TestPIVChangePIN(t *testing.T) {
	b := workbench(t, vpiv.YubiKey(5, 4, 3), nil)
	b.init(t)
	err := b.d.ChangePIN(t.Context(), b.p, "work key", ipc.ChangePINRequest{Which: "pin", Old: secretOf(factoryPIN), New: secretOf("90817263")})
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.d.Status(t.Context(), b.p)
	if err != nil || has(s.Warnings, "factory-pin") || !has(s.Warnings, "factory-puk") {
		t.Errorf("after changing the PIN it warns %+v, %v", s.Warnings, err)
	}
	if err := b.d.Lock(t.Context(), b.p); err != nil {
		t.Fatal(err)
	}
	if _, err := b.d.Unlock(t.Context(), b.p, ipc.UnlockRequest{Auth: ipc.Auth{PIN: secretOf("90817263")}}); err != nil {
		t.Errorf("with the new PIN: %v", err)
	}
}

func TestPIVIsForWhoMayUseIt(t *testing.T) {
	b := workbench(t, vpiv.YubiKey(5, 4, 3), func(c *daemon.Config) {
		c.MayUseTokens = func(p ipc.Principal) bool { return p.UID == "1000" }
	})
	b.init(t)
	stranger := caller("1001")
	l, err := b.d.Tokens(t.Context(), stranger)
	if err != nil || len(l.Tokens) != 0 {
		t.Errorf("a stranger sees %+v, %v", l, err)
	}
	_, err = b.d.Init(t.Context(), stranger, ipc.InitRequest{Enroll: &ipc.EnrollRequest{Kind: "piv", PIN: secretOf(factoryPIN)}})
	wantKind(t, err, ipc.TokenNotPresent)
	_, err = b.d.TokenInfo(t.Context(), stranger, "piv-12345678")
	wantKind(t, err, ipc.NotFound)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err = b.d.Events(ctx, stranger, func(e ipc.Event) error {
		if e.Token != nil {
			t.Errorf("a stranger is told %+v", e)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
