package daemon_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/remedy"
)

// TestTheLastWayIsRefusedFirst: before the token is asked for anything, and
// without a word of a recovery password that does not exist.
func TestTheLastWayIsRefusedFirst(t *testing.T) {
	for _, uri := range []string{
		"otpauth://totp/a?secret=JBSWY3DPEHPK3PXP",
		"", // not even an account
	} {
		w := newDrawer()
		only := &stick{model: "Stick", pin: "aaaa", uvAlways: true}
		w.insert("/dev/a", only)
		d := withDrawer(t, w, nil)
		p := caller("1000")
		made, err := d.Init(t.Context(), p, ipc.InitRequest{Enroll: &ipc.EnrollRequest{Kind: "fido2", Label: "only", PIN: secretOf("aaaa")}})
		if err != nil {
			t.Fatal(err)
		}
		if uri != "" {
			if a := add(t, d, p, uri); a.Class != "touch" {
				t.Fatalf("the account is of class %s", a.Class)
			}
		}
		pins, touches := len(only.pinsSeen()), only.touches
		for _, a := range []ipc.Auth{{}, {PIN: secretOf("aaaa")}, {Token: made.Token.ID, PIN: secretOf("aaaa")}, {RecoveryPassword: secretOf(recovery)}} {
			_, err = d.RevokeToken(t.Context(), p, made.Token.ID, ipc.RevokeRequest{Auth: a, Confirm: made.Token.ID})
			if e := wantKind(t, err, ipc.LastKeyslot); !strings.Contains(e.Message, "it is the last way") || strings.Contains(e.Message, "nothing was changed") {
				t.Errorf("it says %q", e.Message)
			}
		}
		if n := len(only.pinsSeen()); n != pins || only.touches != touches {
			t.Errorf("the token saw %d PINs and %d touches", n-pins, only.touches-touches)
		}
	}
}

// TestARenamedTokenIsNamedAnew where status says what unlocked the vault.
func TestARenamedTokenIsNamedAnew(t *testing.T) {
	w := newDrawer()
	w.insert("/dev/a", &stick{model: "Stick"})
	d := withDrawer(t, w, nil)
	p := caller("1000")
	made := initStick(t, d, p, "", "before")
	if by := state(t, d, p).UnlockedBy; by != "before" {
		t.Fatalf("it was unlocked by %q", by)
	}
	if _, err := d.RenameToken(t.Context(), p, made.Token.ID, ipc.RenameTokenRequest{Label: "after"}); err != nil {
		t.Fatal(err)
	}
	if by := state(t, d, p).UnlockedBy; by != "after" {
		t.Errorf("after the renaming it was unlocked by %q", by)
	}
}

// TestAKeysPoliciesAreTold from the keyslot's own parameters.
func TestAKeysPoliciesAreTold(t *testing.T) {
	w := newDrawer()
	w.insert("/dev/a", &stick{model: "Stick", pin: "aaaa"})
	d := withDrawer(t, w, nil)
	p := caller("1000")
	made := initStick(t, d, p, "aaaa", "first")
	info, err := d.TokenInfo(t.Context(), p, made.Token.ID)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, k := range info.Keys {
		told = append(told, k.Slot+" "+k.PINPolicy+" "+k.TouchPolicy)
	}
	if !slices.Equal(told, []string{"session always always", "touch never always"}) {
		t.Errorf("its keys are told as %q", told)
	}
}

// TestABetterTokenIsNamedByWhatIsThere: who has FIDO2 keys alone is not sent to
// look for a PIV card.
func TestABetterTokenIsNamedByWhatIsThere(t *testing.T) {
	w := newDrawer()
	d := withDrawer(t, w, nil)
	p := caller("1000")
	initSoft(t, d, p)
	fix := func() string {
		s, err := d.Status(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		fix, id, _ := strings.Cut(fixOf(s.Warnings, "software-token"), "tokenctl token revoke ")
		if id != s.Tokens[0].ID {
			t.Errorf("the software token %s is not revoked: %q", s.Tokens[0].ID, id)
		}
		return fix
	}
	if got := fix(); got != "tokenctl token enroll && " {
		t.Errorf("without any token: %q", got)
	}
	w.insert("/dev/a", &stick{model: "Stick"})
	if got := fix(); got != "tokenctl token enroll --token fido2 && " {
		t.Errorf("with a FIDO2 key: %q", got)
	}
	if _, err := d.EnrollToken(t.Context(), p, ipc.EnrollRequest{Kind: string(tokens.KindFIDO2), Auth: ipc.Auth{RecoveryPassword: secretOf(recovery)}}); err != nil {
		t.Fatal(err)
	}
	if got := fix(); got != "" {
		t.Errorf("once that is enrolled: %q", got)
	}
}

// findings are those that the doctor tells of code.
func findings(t *testing.T, d *daemon.Daemon, p ipc.Principal, code string) []ipc.Finding {
	t.Helper()
	all, err := d.Doctor(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all.Findings, func(f ipc.Finding) bool { return f.Code != code })
}

// TestTheClockIsBehind: a clock that was set back to before the vault was written makes
// wrong codes; once it goes right again nothing is said of it.
func TestTheClockIsBehind(t *testing.T) {
	k := startKept(t)
	k.clock.jump(-2*time.Hour, 0)
	if f := findings(t, k.Daemon, k.who, "clock"); len(f) != 1 || f[0].Level != "error" || f[0].Fix != remedy.Here().SetClock() {
		t.Errorf("two hours behind: %+v", f)
	}
	k.clock.jump(2*time.Hour, 0)
	if f := findings(t, k.Daemon, k.who, "clock"); len(f) != 1 || f[0].Level != "ok" {
		t.Errorf("set right: %+v", f)
	}
}

// sick is a drawer whose doctor finds the same of each key.
type sick struct {
	*drawer
	code   tokens.Code
	detail string
}

func (s *sick) Diagnose(context.Context) ([]tokens.Finding, error) {
	return []tokens.Finding{{Code: s.code, Device: "Stick", Locator: "/dev/a", Detail: s.detail}}, nil
}

// TestWhatMendsAPIN: no command is named where none mends it, and the way back
// from a blocked one begins with what is needed first.
func TestWhatMendsAPIN(t *testing.T) {
	w := &sick{drawer: newDrawer()}
	w.insert("/dev/a", &stick{model: "Stick"})
	d := withDrawer(t, w.drawer, func(c *daemon.Config) { c.Drivers[tokens.KindFIDO2] = w })
	p := caller("1000")
	id := initStick(t, d, p, "", "first").Token.ID
	w.code, w.detail = tokens.CodePINPaused, "the key takes no PIN until it has been pulled out and put back in"
	if f := findings(t, d, p, "token-pin-paused"); len(f) != 1 || f[0].Fix != "" || strings.Count(f[0].Message, "put") != 1 {
		t.Errorf("a paused PIN: %+v", f)
	}
	w.code, w.detail = tokens.CodePINBlocked, "the key's PIN is blocked; only a reset helps, which destroys all credentials on the key"
	rest := "tokenctl token revoke " + id + " --recovery && fido2-token -R /dev/a && tokenctl token enroll --token fido2"
	if f := findings(t, d, p, "token-pin-blocked"); len(f) != 1 || f[0].Fix != rest || strings.Count(f[0].Message, "only a reset") != 1 {
		t.Errorf("a blocked PIN: %+v", f)
	}
	lock(t, d, p)
	if f := findings(t, d, p, "token-pin-blocked"); len(f) != 1 || f[0].Fix != "tokenctl unlock --recovery && "+rest {
		t.Errorf("a blocked PIN, and the vault locked: %+v", f)
	}
}

// TestTheHelperIsBlamedAlone where nothing is known of the services behind it.
func TestTheHelperIsBlamedAlone(t *testing.T) {
	const state = "cannot find the token helper"
	w := &broken{}
	d := start(t, func(c *daemon.Config) {
		c.Helper = func() string { return state }
		c.Drivers[tokens.KindPIV] = w
		c.Watchers = map[tokens.Kind]tokens.Watcher{tokens.KindPIV: w}
		c.RemovalGrace = time.Millisecond
	})
	p := caller("1000")
	time.Sleep(100 * time.Millisecond)
	for name, ask := range map[string]func() ([]ipc.Warning, error){
		"status": func() ([]ipc.Warning, error) { s, err := d.Status(t.Context(), p); return s.Warnings, err },
		"list":   func() ([]ipc.Warning, error) { l, err := d.Tokens(t.Context(), p); return l.Warnings, err },
	} {
		if got, err := ask(); err != nil || len(got) != 1 || got[0].Code != "helper" || !strings.Contains(got[0].Message, state) {
			t.Errorf("%s warns of %+v, %v", name, got, err)
		}
	}
	if f := findings(t, d, p, "helper"); len(f) != 1 || f[0].Level != "error" {
		t.Errorf("the doctor says of the helper %+v", f)
	}
	if f := findings(t, d, p, "service-piv"); len(f) != 0 {
		t.Errorf("the doctor says of the service %+v", f)
	}
	_, err := d.Init(t.Context(), p, ipc.InitRequest{Enroll: &ipc.EnrollRequest{Kind: "piv"}})
	if e := wantKind(t, err, ipc.TokenService); !strings.Contains(e.Message, state) || strings.Contains(e.Message, "PC/SC") {
		t.Errorf("it says %q", e.Message)
	}
}

// broken is a driver whose program cannot be run.
type broken struct{ tokens.Driver }

func (*broken) List(context.Context) ([]tokens.Token, error) {
	return nil, tokens.Errorf(tokens.CodeProtocol, "cannot work with the token helper")
}

func (*broken) Watch(ctx context.Context, report func(tokens.Event)) error {
	report(tokens.Event{Type: tokens.EventServiceLost, Kind: tokens.KindPIV, Detail: "cannot work with the token helper"})
	<-ctx.Done()
	return ctx.Err()
}

// TestAKeyThatMayNotBeOpened: status, list and doctor say the same, and name the
// same mend.
func TestAKeyThatMayNotBeOpened(t *testing.T) {
	w := newDrawer()
	d := withDrawer(t, w, nil)
	p := caller("1000")
	w.report(tokens.Event{Type: tokens.EventInserted, Kind: tokens.KindFIDO2, Token: tokens.Token{
		ID: "fido2-hidraw0", Kind: tokens.KindFIDO2, Locator: "/dev/hidraw0", Model: "Stick", Unlisted: true,
		Problem: tokens.Errorf(tokens.CodeNoAccess, "the system does not let this program open /dev/hidraw0"),
	}})
	s, err := d.Status(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	l, err := d.Tokens(t.Context(), p)
	if err != nil || len(l.Tokens) != 1 || len(s.Tokens) != 1 || !l.Tokens[0].Present {
		t.Fatalf("status lists %+v, list %+v, %v", s.Tokens, l.Tokens, err)
	}
	f := findings(t, d, p, "token-no-access")
	if len(f) != 1 || f[0].Fix != "sudo tokenctl service install" {
		t.Fatalf("the doctor says %+v", f)
	}
	for name, list := range map[string][]ipc.Warning{"status": s.Warnings, "list": l.Warnings} {
		if len(list) != 1 || list[0].Fix != f[0].Fix || list[0].Message != f[0].Message {
			t.Errorf("%s warns of %+v, the doctor of %+v", name, list, f)
		}
	}
	initSoft(t, d, p)
	if f := findings(t, d, p, "token-no-access"); len(f) != 1 {
		t.Errorf("with a vault the doctor says %+v", f)
	}
}

// TestASlowKeyIsNamed to who waited for it, though others wait on.
func TestASlowKeyIsNamed(t *testing.T) {
	a, mute := &stick{model: "Stick"}, &stick{model: "Mute", mute: true}
	w := newDrawer()
	w.insert("/dev/a", a)
	d := withDrawer(t, w, nil)
	p := caller("1000")
	initStick(t, d, p, "", "first")
	lock(t, d, p)
	w.pull("/dev/a")
	w.insert("/dev/m", mute)
	e := wantKind(t, unlock(t, d, p, ipc.Auth{}), ipc.TokenNotPresent)
	if !strings.Contains(e.Message, `"Mute" is plugged in and cannot be asked`) {
		t.Errorf("it says %q", e.Message)
	}
}
