package daemon_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// initStick makes a vault on the only stick that is not enrolled.
func initStick(t *testing.T, d *daemon.Daemon, p ipc.Principal, pin, label string) ipc.InitResult {
	t.Helper()
	r, err := d.Init(t.Context(), p, ipc.InitRequest{
		Enroll:           &ipc.EnrollRequest{Kind: "fido2", Label: label, PIN: secretOf(pin)},
		RecoveryPassword: secretOf(recovery),
	})
	if err != nil {
		t.Fatalf("init: %v", err)
	}
	return r
}

func lock(t *testing.T, d *daemon.Daemon, p ipc.Principal) {
	t.Helper()
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

func unlock(t *testing.T, d *daemon.Daemon, p ipc.Principal, a ipc.Auth) error {
	t.Helper()
	_, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: a})
	return err
}

// listedAs is the token of a list with an id or label.
func listedAs(t *testing.T, d *daemon.Daemon, p ipc.Principal, label string) ipc.Token {
	t.Helper()
	l, err := d.Tokens(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range l.Tokens {
		if k.Label == label || k.ID == label {
			return k
		}
	}
	return ipc.Token{}
}

// TestTheRightKeyGetsThePIN has two keys plugged in, of one model.
func TestTheRightKeyGetsThePIN(t *testing.T) {
	a, b := &stick{model: "Stick", pin: "aaaa"}, &stick{model: "Stick", pin: "bbbb"}
	w := newDrawer()
	w.insert("/dev/a", a)
	d := withDrawer(t, w, nil)
	p := caller("1000")
	made := initStick(t, d, p, "aaaa", "first")
	if made.Token == nil || !made.Token.Present || !slices.Equal(made.Token.Classes, []string{"session", "touch"}) {
		t.Fatalf("init told %+v", made.Token)
	}
	w.insert("/dev/b", b)
	if first, other := listedAs(t, d, p, "first"), listedAs(t, d, p, "fido2/b"); !first.Present || first.Locator != "/dev/a" || other.Enrolled || !other.Present {
		t.Errorf("two keys are listed as %+v and %+v", first, other)
	}
	lock(t, d, p)
	a.pins, b.pins = nil, nil
	e := wantKind(t, unlock(t, d, p, ipc.Auth{}), ipc.PINRequired)
	if e.Token == nil || e.Token.ID != made.Token.ID {
		t.Errorf("the token that wants its PIN is told as %+v", e.Token)
	}
	touches := a.touches
	if err := unlock(t, d, p, ipc.Auth{PIN: secretOf("aaaa")}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a.pinsSeen(), []string{"aaaa"}) || len(b.pinsSeen()) != 0 || a.touches != touches+1 || b.touches != 0 {
		t.Errorf("the right key saw %q and %d touches, the other %q and %d", a.pins, a.touches-touches, b.pins, b.touches)
	}
	// Of the two the one that is not enrolled is meant.
	spare, err := d.EnrollToken(t.Context(), p, ipc.EnrollRequest{Kind: "fido2", Label: "spare", PIN: secretOf("bbbb"), Auth: ipc.Auth{Token: made.Token.ID, PIN: secretOf("aaaa")}})
	if err != nil || spare.Token.Locator != "/dev/b" {
		t.Fatalf("enroll: %+v, %v", spare, err)
	}
	lock(t, d, p)
	seen := len(a.pinsSeen()) + len(b.pinsSeen())
	wantKind(t, unlock(t, d, p, ipc.Auth{PIN: secretOf("bbbb")}), ipc.AmbiguousToken)
	if n := len(a.pinsSeen()) + len(b.pinsSeen()); n != seen {
		t.Errorf("a PIN for no token in particular was shown to %d", n-seen)
	}
	seen = len(a.pinsSeen())
	if err := unlock(t, d, p, ipc.Auth{Token: spare.Token.ID, PIN: secretOf("bbbb")}); err != nil || len(a.pinsSeen()) != seen {
		t.Errorf("by the second: %v, and the first saw %q", err, a.pinsSeen()[seen:])
	}
	_, err = d.EnrollToken(t.Context(), p, ipc.EnrollRequest{Kind: "fido2", Locator: "/dev/b", PIN: secretOf("bbbb"), Auth: ipc.Auth{Token: made.Token.ID, PIN: secretOf("aaaa")}})
	wantKind(t, err, ipc.AlreadyExists)
}

// TestSeveralFreshKeysMustBeNamed: no PIN goes to one of two that could be meant.
func TestSeveralFreshKeysMustBeNamed(t *testing.T) {
	a, b := &stick{model: "Stick", pin: "aaaa"}, &stick{model: "Stick", pin: "bbbb"}
	w := newDrawer()
	w.insert("/dev/a", a)
	w.insert("/dev/b", b)
	d := withDrawer(t, w, nil)
	_, err := d.Init(t.Context(), caller("1000"), ipc.InitRequest{Enroll: &ipc.EnrollRequest{Kind: "fido2", PIN: secretOf("aaaa")}})
	if e := wantKind(t, err, ipc.AmbiguousToken); len(e.Items) != 2 {
		t.Errorf("they are told as %+v", e.Items)
	}
	if len(a.pinsSeen())+len(b.pinsSeen()) != 0 {
		t.Error("a PIN was shown")
	}
}

// TestAPulledKeyLocks and is known again elsewhere, by a daemon that was started
// anew too.
func TestAPulledKeyLocks(t *testing.T) {
	a := &stick{model: "Stick", pin: "aaaa"}
	w := newDrawer()
	w.insert("/dev/a", a)
	state := filepath.Join(t.TempDir(), "state")
	p := caller("1000")
	var id string
	t.Run("pull", func(t *testing.T) {
		d := withDrawer(t, w, func(c *daemon.Config) { c.StateDir = state })
		made := initStick(t, d, p, "aaaa", "first")
		id = made.Token.ID
		events := listen(t, d, p)
		w.pull("/dev/a")
		events.next(t, ipc.EventLocked)
		if e := events.next(t, ipc.EventTokenRemoved); e.Token == nil || e.Token.ID != id {
			t.Errorf("the removal is told as %+v", e.Token)
		}
		wantKind(t, unlock(t, d, p, ipc.Auth{}), ipc.TokenNotPresent)
		w.insert("/dev/c", &stick{model: "Other"})
		if e := events.next(t, ipc.EventTokenInserted); e.Token == nil || e.Token.Label != "Other" {
			t.Errorf("another key is told as %+v", e.Token)
		}
		wantKind(t, unlock(t, d, p, ipc.Auth{}), ipc.TokenNotPresent)
		w.insert("/dev/b", a)
		if e := events.next(t, ipc.EventTokenInserted); e.Token == nil || e.Token.ID != id {
			t.Errorf("its return is told as %+v", e.Token)
		}
		if err := unlock(t, d, p, ipc.Auth{PIN: secretOf("aaaa")}); err != nil {
			t.Error(err)
		}
	})
	w.ready = make(chan struct{})
	d := withDrawer(t, w, func(c *daemon.Config) { c.StateDir = state })
	s, err := d.Status(t.Context(), p)
	if err != nil || len(s.Tokens) != 2 || !s.Tokens[0].Present || s.Tokens[0].ID != id {
		t.Errorf("after a restart the tokens are %+v, %v", s.Tokens, err)
	}
}

// TestAMuteKeyDelaysNobody whose own key answers.
func TestAMuteKeyDelaysNobody(t *testing.T) {
	a, mute := &stick{model: "Stick", pin: "aaaa"}, &stick{model: "Mute", mute: true}
	w := newDrawer()
	w.insert("/dev/a", a)
	d := withDrawer(t, w, nil)
	p := caller("1000")
	made := initStick(t, d, p, "aaaa", "first")
	lock(t, d, p)
	w.pull("/dev/a")
	w.insert("/dev/m", mute)
	w.insert("/dev/b", a)
	begin := time.Now()
	wantKind(t, unlock(t, d, p, ipc.Auth{}), ipc.PINRequired)
	if err := unlock(t, d, p, ipc.Auth{Token: made.Token.ID, PIN: secretOf("aaaa")}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("beside a mute key it took %v", took)
	}
	lock(t, d, p)
	// The only keyslot's token is here: a PIN is for that one, whatever the mute
	// one may be, which is not asked again.
	begin = time.Now()
	if err := unlock(t, d, p, ipc.Auth{PIN: secretOf("aaaa")}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 3*time.Second || len(mute.pinsSeen()) != 0 {
		t.Errorf("beside a mute key a PIN took %v, and the mute one saw %q", took, mute.pinsSeen())
	}
	// With a second keyslot whose token is elsewhere the mute one may be that,
	// and nobody can tell which of them a PIN is for.
	w.insert("/dev/c", &stick{model: "Spare", pin: "cccc"})
	if _, err := d.EnrollToken(t.Context(), p, ipc.EnrollRequest{
		Kind: "fido2", Locator: "/dev/c", Label: "spare", PIN: secretOf("cccc"), Auth: ipc.Auth{Token: made.Token.ID, PIN: secretOf("aaaa")},
	}); err != nil {
		t.Fatal(err)
	}
	w.pull("/dev/c")
	lock(t, d, p)
	seen := len(a.pinsSeen())
	wantKind(t, unlock(t, d, p, ipc.Auth{PIN: secretOf("aaaa")}), ipc.AmbiguousToken)
	if n := len(a.pinsSeen()) + len(mute.pinsSeen()); n != seen {
		t.Errorf("a PIN for no token in particular was shown to %d", n-seen)
	}
	w.pull("/dev/b")
	begin = time.Now()
	e := wantKind(t, unlock(t, d, p, ipc.Auth{}), ipc.TokenNotPresent)
	if took := time.Since(begin); took > 9*time.Second || !strings.Contains(e.Message, `"Mute" is plugged in and cannot be asked`) {
		t.Errorf("with a mute key alone, after %v: %s", took, e.Message)
	}
	if m := listedAs(t, d, p, "fido2/m"); m.Problem == nil || m.Problem.Kind != ipc.TokenFailed {
		t.Errorf("a mute key is listed as %+v", m)
	}
}

// TestWhoGoesAwayAsksNoMore: the probe ends with the call that wanted it.
func TestWhoGoesAwayAsksNoMore(t *testing.T) {
	a, mute := &stick{model: "Stick"}, &stick{model: "Mute", mute: true}
	w := newDrawer()
	w.insert("/dev/a", a)
	d := withDrawer(t, w, nil)
	p := caller("1000")
	initStick(t, d, p, "", "first")
	b := backup(t, d, p, "/stick/a.tokend")
	w.pull("/dev/a")
	// Another user has no keyslot, so that nobody but his call asks.
	stranger := caller("1001")
	d2 := withDrawer(t, &drawer{in: map[string]*stick{"/dev/m": mute}, ready: make(chan struct{})}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := d2.InspectBackup(ctx, stranger, ipc.InspectBackupRequest{Data: b.Data})
		done <- err
	}()
	count := func() (probes, called int) {
		mute.mu.Lock()
		defer mute.mu.Unlock()
		return mute.probes, mute.called
	}
	for end := time.Now().Add(3 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if n, _ := count(); n > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("nobody asked the key")
		}
	}
	begin := time.Now()
	cancel()
	if err := <-done; err == nil {
		t.Error("a backup was opened")
	}
	for end := time.Now().Add(3 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, n := count(); n > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the probe went on")
		}
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("it ended %v after the call", took)
	}
}

// TestAKeyThatWasOutOfSightProvesItself: where the watch was lost another key can
// have taken its place, and says the same of itself.
func TestAKeyThatWasOutOfSightProvesItself(t *testing.T) {
	a, b := &stick{model: "Stick"}, &stick{model: "Stick", pin: "bbbb"}
	w := newDrawer()
	w.insert("/dev/a", a)
	d := withDrawer(t, w, nil)
	p := caller("1000")
	initStick(t, d, p, "", "first")
	events := listen(t, d, p)
	w.blink(func(map[string]*stick) {})
	if s := state(t, d, p); s.State != ipc.VaultUnlocked {
		t.Errorf("with the same key the vault is %s", s.State)
	}
	if k := listedAs(t, d, p, "first"); !k.Present {
		t.Errorf("the same key is listed as %+v", k)
	}
	w.blink(func(in map[string]*stick) { in["/dev/a"] = b })
	events.next(t, ipc.EventLocked)
	if e := events.next(t, ipc.EventTokenRemoved); e.Token == nil || e.Token.Label != "first" {
		t.Errorf("the exchange is told as %+v", e.Token)
	}
	wantKind(t, unlock(t, d, p, ipc.Auth{PIN: secretOf("aaaa")}), ipc.TokenNotPresent)
	if len(b.pinsSeen()) != 0 {
		t.Errorf("the key in its place saw %q", b.pinsSeen())
	}
}

// TestAResetKeyIsNoLongerPresent: its answer of before counts no more.
func TestAResetKeyIsNoLongerPresent(t *testing.T) {
	a := &stick{model: "Stick", pin: "aaaa"}
	w := newDrawer()
	w.insert("/dev/a", a)
	d := withDrawer(t, w, nil)
	p := caller("1000")
	initStick(t, d, p, "aaaa", "first")
	lock(t, d, p)
	a.mu.Lock()
	a.keys, a.pins = nil, nil
	a.mu.Unlock()
	wantKind(t, unlock(t, d, p, ipc.Auth{PIN: secretOf("aaaa")}), ipc.NoKeyslot)
	if k := listedAs(t, d, p, "Stick"); !k.Present || k.Enrolled {
		t.Errorf("it is listed as %+v", k)
	}
	wantKind(t, unlock(t, d, p, ipc.Auth{PIN: secretOf("aaaa")}), ipc.TokenNotPresent)
	if len(a.pinsSeen()) != 0 {
		t.Errorf("it saw %q", a.pinsSeen())
	}
	f, err := d.Doctor(t.Context(), p)
	if err != nil || !slices.ContainsFunc(f.Findings, func(f ipc.Finding) bool {
		return f.Code == "token-reset" && strings.Contains(f.Message, "first") && f.Fix != ""
	}) {
		t.Errorf("the doctor says %+v, %v", f, err)
	}
}

// TestAKeyThatAlwaysVerifies wants its PIN for codes of the touch class too.
func TestAKeyThatAlwaysVerifies(t *testing.T) {
	a := &stick{model: "Stick", pin: "aaaa", uvAlways: true}
	w := newDrawer()
	w.insert("/dev/a", a)
	d := withDrawer(t, w, nil)
	p := caller("1000")
	made := initStick(t, d, p, "aaaa", "first")
	account := add(t, d, p, aliceURI)
	if account.Class != "touch" {
		t.Fatalf("the class is %q", account.Class)
	}
	_, err := d.Code(t.Context(), p, "alice", ipc.CodeRequest{})
	if e := wantKind(t, err, ipc.PINRequired); e.Token == nil || e.Token.ID != made.Token.ID {
		t.Errorf("the token is told as %+v", e.Token)
	}
	auth := func() ipc.Auth { return ipc.Auth{Token: made.Token.ID, PIN: secretOf("aaaa")} }
	if _, err = d.Code(t.Context(), p, "alice", ipc.CodeRequest{Auth: auth()}); err != nil {
		t.Errorf("with the PIN: %v", err)
	}
	if _, err = d.RevealAccount(t.Context(), p, "alice", ipc.RevealRequest{Auth: auth()}); err != nil {
		t.Errorf("reveal with the PIN: %v", err)
	}
	if _, err = d.TestToken(t.Context(), p, "first", ipc.TestTokenRequest{Auth: auth()}); err != nil {
		t.Errorf("test with the PIN: %v", err)
	}
}

// TestAKeyWithoutPIN is warned about until it is enrolled with one.
func TestAKeyWithoutPIN(t *testing.T) {
	a := &stick{model: "Stick"}
	w := newDrawer()
	w.insert("/dev/a", a)
	d := withDrawer(t, w, nil)
	p := caller("1000")
	made := initStick(t, d, p, "", "")
	if made.Token.Label != "Stick" || !made.Token.NoPIN || fixOf(made.Warnings, "no-pin") != "tokenctl token pin "+made.Token.ID+" && tokenctl token revoke "+made.Token.ID+" && tokenctl token enroll --token fido2" {
		t.Errorf("init told %+v, %+v", made.Token, made.Warnings)
	}
	wantKind(t, d.ChangePIN(t.Context(), p, "Stick", ipc.ChangePINRequest{Which: "unblock", New: secretOf("aaaa")}), ipc.InvalidArgument)
	if err := d.ChangePIN(t.Context(), p, "Stick", ipc.ChangePINRequest{Which: "pin", Old: secretOf(""), New: secretOf("aaaa")}); err != nil {
		t.Fatal(err)
	}
	s, err := d.Status(t.Context(), p)
	if err != nil || !has(s.Warnings, "no-pin") || s.Tokens[0].NoPIN {
		t.Errorf("after setting one: %+v, %v", s, err)
	}
	// It has one now, and the recovery password opens the vault meanwhile.
	if fix := fixOf(s.Warnings, "no-pin"); fix != "tokenctl token revoke "+made.Token.ID+" && tokenctl token enroll --token fido2" {
		t.Errorf("with a PIN: %q", fix)
	}
	wantKind(t, d.ChangePIN(t.Context(), p, "Stick", ipc.ChangePINRequest{Which: "pin", New: secretOf("bbbb")}), ipc.PINRequired)
}

// TestRequiredAttestation: nobody vouches, so nothing is enrolled.
func TestRequiredAttestation(t *testing.T) {
	a := &stick{model: "Stick", attest: &tokens.Attestation{Maker: "Somebody", Model: "2fc0579f-8113-47ea-b116-bb5a8db9202a"}}
	w := newDrawer()
	w.insert("/dev/a", a)
	d := withDrawer(t, w, func(c *daemon.Config) { c.Attestation.Required = true })
	p := caller("1000")
	init := func(kind string) (ipc.InitResult, error) {
		return d.Init(t.Context(), p, ipc.InitRequest{Enroll: &ipc.EnrollRequest{Kind: kind, PIN: secretOf(passphrase)}})
	}
	_, err := init("fido2")
	if e := wantKind(t, err, ipc.TokenUnattested); !strings.Contains(e.Message, "Somebody") {
		t.Errorf("it says %q", e.Message)
	}
	_, err = init("soft")
	wantKind(t, err, ipc.TokenUnattested)
	if state(t, d, p).State != ipc.VaultNone {
		t.Error("a vault was made")
	}
	a.attest.Verified = true
	if _, err = init("fido2"); err != nil {
		t.Fatal(err)
	}
	info, err := d.TokenInfo(t.Context(), p, "Stick")
	if err != nil || !info.AttestationOK || info.Maker != "Somebody" || info.MakerModel != a.attest.Model || len(info.Facts) != 1 || len(info.Keys) != 2 {
		t.Errorf("info: %+v, %v", info, err)
	}
	d.SetAttestation(daemon.Attestation{})
	w.insert("/dev/b", &stick{model: "Plain"})
	e, err := d.EnrollToken(t.Context(), p, ipc.EnrollRequest{Kind: "fido2"})
	if err != nil || e.Attested || e.AttestationOK {
		t.Errorf("without the rule: %+v, %v", e, err)
	}
	w.insert("/dev/c", &stick{model: "Plain"})
	_, err = d.EnrollToken(t.Context(), p, ipc.EnrollRequest{Kind: "fido2", RequireAttestation: true})
	wantKind(t, err, ipc.TokenUnattested)
}

// TestALostTokenIsToldOf: what it opened, when it is not here any more.
func TestALostTokenIsToldOf(t *testing.T) {
	w, lost := newDrawer(), &stick{model: "Stick"}
	w.insert("/dev/a", lost)
	d := withDrawer(t, w, nil)
	p := caller("1000")
	made := initStick(t, d, p, "", "first")
	add(t, d, p, aliceURI)
	backup(t, d, p, "/disk/a.tokend")
	w.pull("/dev/a")
	if err := unlock(t, d, p, ipc.Auth{RecoveryPassword: secretOf(recovery)}); err != nil {
		t.Fatal(err)
	}
	info, err := d.TokenInfo(t.Context(), p, "first")
	if err != nil || info.Token.Present || info.Token.ID != made.Token.ID || len(info.Token.Classes) != 2 || info.Token.Added.IsZero() || info.Token.LastUsed.IsZero() {
		t.Fatalf("info: %+v, %v", info, err)
	}
	if !slices.Equal(info.Backups, []string{"/disk/a.tokend"}) || len(info.Keys) != 2 || !info.Keys[0].Ours {
		t.Errorf("info: %+v", info)
	}
	rev, err := d.RevokeToken(t.Context(), p, "first", ipc.RevokeRequest{Confirm: made.Token.ID, Auth: ipc.Auth{RecoveryPassword: secretOf(recovery)}})
	if err != nil || !slices.Equal(rev.OldBackups, info.Backups) {
		t.Fatalf("revoke: %+v, %v", rev, err)
	}
	// When it is found again nothing is on it to be wiped, and that is no error.
	w.insert("/dev/b", lost)
	wiped, err := d.WipeToken(t.Context(), p, "fido2/b", ipc.WipeTokenRequest{Confirm: "fido2/b"})
	if err != nil || len(wiped.Cleared) != 0 || len(lost.wiped) != 2 {
		t.Errorf("wipe: %+v, %v, of keys %+v", wiped, err, lost.wiped)
	}
}

// TestSixteenKeyslots of mixed kinds: each alone opens the vault.
func TestSixteenKeyslots(t *testing.T) {
	w := newDrawer()
	sticks := []*stick{{model: "Stick 0"}}
	w.insert("/dev/0", sticks[0])
	d := withDrawer(t, w, nil)
	p := caller("1000")
	initStick(t, d, p, "", "token 0")
	add(t, d, p, aliceURI)
	for i := 1; i < 16; i++ {
		r := ipc.EnrollRequest{Kind: "soft", Label: fmt.Sprintf("token %d", i), PIN: secretOf(passphrase), Auth: ipc.Auth{Token: "token 0"}}
		if i%4 != 0 {
			s := &stick{model: fmt.Sprintf("Stick %d", i), pin: fmt.Sprintf("pin %d", i)}
			sticks = append(sticks, s)
			w.insert(fmt.Sprintf("/dev/%d", i), s)
			r.Kind, r.PIN = "fido2", secretOf(s.pin)
		}
		if _, err := d.EnrollToken(t.Context(), p, r); err != nil {
			t.Fatalf("token %d: %v", i, err)
		}
	}
	begin := time.Now()
	l, err := d.Tokens(t.Context(), p)
	if err != nil || len(l.Tokens) != 16 || slices.ContainsFunc(l.Tokens, func(k ipc.Token) bool { return !k.Enrolled || !k.Present }) {
		t.Errorf("listed: %+v, %v", l.Tokens, err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("a list of 16 took %v", took)
	}
	for _, s := range sticks {
		s.pins = nil
	}
	for _, k := range l.Tokens {
		lock(t, d, p)
		auth := func() ipc.Auth { return ipc.Auth{Token: k.ID, PIN: secretOf(passphrase)} }
		if n := strings.TrimPrefix(k.Label, "token "); k.Kind == "fido2" {
			auth = func() ipc.Auth { return ipc.Auth{Token: k.ID, PIN: secretOf("pin " + n)} }
		}
		if err := unlock(t, d, p, auth()); err != nil {
			t.Errorf("%s: %v", k.Label, err)
		}
		if k.Kind != "fido2" {
			continue
		}
		if _, err := d.Code(t.Context(), p, "alice", ipc.CodeRequest{Auth: auth()}); err != nil {
			t.Errorf("a code by %s: %v", k.Label, err)
		}
	}
	for _, s := range sticks {
		if slices.ContainsFunc(s.pins, func(seen string) bool { return seen != s.pin }) {
			t.Errorf("%s saw %q", s.model, s.pins)
		}
	}
	if s := state(t, d, p); s.State != ipc.VaultUnlocked {
		t.Errorf("in the end the vault is %s", s.State)
	}
}

// TestTheLastKeyslotThatFits: the one after it is refused before its token is
// asked for anything.
func TestTheLastKeyslotThatFits(t *testing.T) {
	w := newDrawer()
	first := &stick{model: "Stick 1"}
	w.insert("/dev/1", first)
	d := withDrawer(t, w, nil)
	p := caller("1000")
	initStick(t, d, p, "", "first")
	enroll := func(n int) (*stick, error) {
		s := &stick{model: fmt.Sprintf("Stick %d", n)}
		at := fmt.Sprintf("/dev/%d", n)
		w.insert(at, s)
		_, err := d.EnrollToken(t.Context(), p, ipc.EnrollRequest{Kind: "fido2", Locator: at, Auth: ipc.Auth{Token: "first"}})
		return s, err
	}
	for n := 2; n <= vault.MaxSlots; n++ {
		if _, err := enroll(n); err != nil {
			t.Fatalf("keyslot %d: %v", n, err)
		}
	}
	late, err := enroll(vault.MaxSlots + 1)
	if e := wantKind(t, err, ipc.Conflict); !strings.Contains(e.Message, "64 keyslots") {
		t.Errorf("it says %q", e.Message)
	}
	if late.touches != 0 {
		t.Error("the token was asked for a touch")
	}
	lock(t, d, p)
	if err := unlock(t, d, p, ipc.Auth{Token: fmt.Sprintf("Stick %d", vault.MaxSlots)}); err != nil {
		t.Errorf("by the last: %v", err)
	}
}

// unable is a driver of a build that cannot do its kind.
type unable struct {
	tokens.Driver
	watched atomic.Int32
}

func (u *unable) List(context.Context) ([]tokens.Token, error) {
	return nil, tokens.Errorf(tokens.CodeUnsupported, "this build cannot")
}

func (u *unable) Watch(context.Context, func(tokens.Event)) error {
	u.watched.Add(1)
	return tokens.Errorf(tokens.CodeUnsupported, "this build cannot")
}

// TestABuildWithoutAKind is told so where it matters, and tries no more.
func TestABuildWithoutAKind(t *testing.T) {
	u := &unable{}
	d := start(t, func(c *daemon.Config) {
		c.Drivers[tokens.KindFIDO2] = u
		c.Watchers = map[tokens.Kind]tokens.Watcher{tokens.KindFIDO2: u}
	})
	p := caller("1000")
	begin := time.Now()
	_, err := d.Init(t.Context(), p, ipc.InitRequest{Enroll: &ipc.EnrollRequest{Kind: "fido2"}})
	if e := ipc.KindOf(err); e != ipc.TokenUnsupported {
		t.Errorf("enrolling such a token: %v", err)
	}
	initSoft(t, d, p)
	s, err := d.Status(t.Context(), p)
	if err != nil || has(s.Warnings, "token-service") {
		t.Errorf("who has no such token is warned: %+v, %v", s.Warnings, err)
	}
	time.Sleep(1500 * time.Millisecond) // longer than the pause after a failure
	if n := u.watched.Load(); n != 1 {
		t.Errorf("in %v it was tried %d times", time.Since(begin), n)
	}
}
