package daemon_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
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
		return fixOf(s.Warnings, "software-token")
	}
	if got := fix(); got != "tokenctl token enroll" {
		t.Errorf("without any token: %q", got)
	}
	w.insert("/dev/a", &stick{model: "Stick"})
	if got := fix(); got != "tokenctl token enroll --token fido2" {
		t.Errorf("with a FIDO2 key: %q", got)
	}
	if _, err := d.EnrollToken(t.Context(), p, ipc.EnrollRequest{Kind: string(tokens.KindFIDO2), Auth: ipc.Auth{RecoveryPassword: secretOf(recovery)}}); err != nil {
		t.Fatal(err)
	}
	if got := fix(); got != "tokenctl token enroll" {
		t.Errorf("once that is enrolled: %q", got)
	}
}
