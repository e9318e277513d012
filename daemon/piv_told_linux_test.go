//go:build cgo

package daemon_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// tellsDeadService asks for all that wants a token, while pcscd is dead.
func (b *bench) tellsDeadService(t *testing.T) {
	t.Helper()
	s, err := b.d.Status(t.Context(), b.p)
	if err != nil || !has(s.Warnings, "token-service") || len(s.Tokens) != 1 || s.Tokens[0].Problem == nil || s.Tokens[0].Problem.Kind != ipc.TokenService {
		t.Errorf("status without pcscd: %+v, %v", s, err)
	}
	if l, err := b.d.Tokens(t.Context(), b.p); err != nil || !has(l.Warnings, "token-service") {
		t.Errorf("tokens without pcscd: %+v, %v", l, err)
	}
	data := b.backup(t)
	stranger := caller("1001")
	for name, call := range map[string]func() error{
		"unlock": func() error { _, err := b.d.Unlock(t.Context(), b.p, ipc.UnlockRequest{}); return err },
		"init": func() error {
			_, err := b.d.Init(t.Context(), stranger, ipc.InitRequest{Enroll: &ipc.EnrollRequest{Kind: "piv", PIN: secretOf(factoryPIN)}})
			return err
		},
		"restore": func() error {
			_, err := b.d.RestoreBackup(t.Context(), stranger, ipc.RestoreBackupRequest{Data: data})
			return err
		},
		"info": func() error { _, err := b.d.TokenInfo(t.Context(), b.p, s.Tokens[0].ID); return err },
	} {
		e := wantKind(t, call(), ipc.TokenService)
		if !strings.Contains(e.Message, "smart card service") {
			t.Errorf("%s: %q", name, e.Message)
		}
	}
	// The recovery password still opens it, and then codes and tests want the token.
	if _, err := b.d.Unlock(t.Context(), b.p, ipc.UnlockRequest{Auth: ipc.Auth{RecoveryPassword: secretOf(recovery)}}); err != nil {
		t.Fatal(err)
	}
	_, err = b.code(t, "alice")
	wantKind(t, err, ipc.TokenService)
	_, err = b.d.TestToken(t.Context(), b.p, s.Tokens[0].ID, ipc.TestTokenRequest{})
	wantKind(t, err, ipc.TokenService)
}

func (b *bench) backup(t *testing.T) []byte {
	t.Helper()
	made, err := b.d.CreateBackup(t.Context(), b.p)
	if err != nil {
		t.Fatal(err)
	}
	return made.Data
}

// TestPIVPulledWhileItBlinks pulls the card while a touch is waited for: a code
// was asked for, and that is what the error speaks of.
func TestPIVPulledWhileItBlinks(t *testing.T) {
	b := workbench(t, vpiv.YubiKey(5, 4, 3), nil)
	b.init(t)
	add(t, b.d, b.p, aliceURI)
	pull := func(how string) {
		t.Helper()
		b.card.SetTouch(vpiv.TouchNever)
		// Heard from now on: an earlier code's touch would have the card pulled
		// before it blinks for this one.
		events := listen(t, b.d, b.p)
		waiting := make(chan error, 1)
		go func() { _, err := b.code(t, "alice"); waiting <- err }()
		events.next(t, ipc.EventTouchWanted)
		if err := b.rig.Remove(0); err != nil {
			t.Fatal(err)
		}
		if e := wantKind(t, <-waiting, ipc.TokenRemoved); !strings.Contains(e.Message, "no code was made") {
			t.Errorf("%s: %q", how, e.Message)
		}
		b.card.SetTouch(vpiv.TouchYes)
	}
	pull("unlocked by the card")
	if _, err := b.d.Unlock(t.Context(), b.p, ipc.UnlockRequest{Auth: ipc.Auth{RecoveryPassword: secretOf(recovery)}}); err != nil {
		t.Fatal(err)
	}
	if err := b.rig.Insert(b.card, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a code with the card back", 5*time.Second, func() bool {
		_, err := b.d.Code(t.Context(), b.p, "alice", ipc.CodeRequest{Auth: ipc.Auth{PIN: secretOf(factoryPIN)}})
		return err == nil
	})
	pull("unlocked by the recovery password")
}

// TestPIVSeveralFreshTokens: what names a token is its id, its serial number or
// a part of its reader's name, and the error that asks for one says them all.
func TestPIVSeveralFreshTokens(t *testing.T) {
	b := workbench(t, vpiv.YubiKey(5, 4, 3), nil)
	o := vpiv.YubiKey(5, 7, 1)
	o.Serial = 22222222
	b.insert(t, o, 1)
	eventually(t, "the second token", 5*time.Second, func() bool {
		l, err := b.d.Tokens(t.Context(), b.p)
		return err == nil && len(l.Tokens) == 2
	})
	init := func(locator string) (ipc.InitResult, error) {
		return b.d.Init(t.Context(), b.p, ipc.InitRequest{Enroll: &ipc.EnrollRequest{Kind: "piv", PIN: secretOf(factoryPIN), Locator: locator}})
	}
	_, err := init("")
	e := wantKind(t, err, ipc.AmbiguousToken)
	if len(e.Items) != 2 || e.Items[0].ID == "" || e.Items[0].Name != b.rig.Readers()[0] || !strings.Contains(e.Items[1].Reason, "22222222") {
		t.Errorf("the tokens that it may be: %+v", e.Items)
	}
	_, err = init("YubiKey") // a part of both readers' names
	wantKind(t, err, ipc.AmbiguousToken)
	made, err := init("22222222")
	if err != nil || made.Token.Serial != "22222222" {
		t.Fatalf("by serial number: %+v, %v", made.Token, err)
	}
	again, err := b.d.EnrollToken(t.Context(), b.p, ipc.EnrollRequest{Kind: "piv", PIN: secretOf(factoryPIN), Locator: e.Items[0].ID, Auth: ipc.Auth{Token: made.Token.ID, PIN: secretOf(factoryPIN)}})
	if err != nil || again.Token.Serial == "22222222" {
		t.Fatalf("by id: %+v, %v", again.Token, err)
	}
}
