//go:build unix

package helper

import (
	"slices"
	"testing"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper/wire"
)

// TestArguments: the command line has what the program is confined by, and
// nothing that is only a name.
func TestArguments(t *testing.T) {
	agree := &tokens.AgreeRequest{Locator: "/dev/pts/7", PIN: []byte("123456")}
	for _, c := range []struct {
		req  wire.Request
		mode string
		want []string
	}{
		{wire.Request{Kind: tokens.KindSoft, Op: wire.OpList}, "op", []string{"op", "soft"}},
		{wire.Request{Kind: tokens.KindPIV, Op: wire.OpWatch}, "watch", []string{"watch", "piv"}},
		{wire.Request{Kind: tokens.KindPIV, Op: wire.OpInspect, Locator: "/reader"}, "op", []string{"op", "piv"}},
		{wire.Request{Kind: tokens.KindFIDO2, Op: wire.OpList}, "op", []string{"op", "fido2"}},
		// On macOS and Windows a locator need not be a path.
		{wire.Request{Kind: tokens.KindFIDO2, Op: wire.OpInspect, Locator: "relative"}, "op", []string{"op", "fido2"}},
		{wire.Request{Kind: tokens.KindFIDO2, Op: wire.OpWatch, Devices: []string{"/dev/d", "/dev/e", "/dev/d"}}, "watch", []string{"watch", "fido2", "/dev/d", "/dev/e"}},
		{wire.Request{Kind: tokens.KindSoft, Op: wire.OpList, Devices: []string{"/dev/d"}}, "op", []string{"op", "soft"}},
		{wire.Request{Kind: tokens.KindFIDO2, Op: wire.OpAgree, Agree: agree}, "op", []string{"op", "fido2", "/dev/pts/7"}},
		{wire.Request{Kind: tokens.KindFIDO2, Op: wire.OpEnroll, Enroll: &tokens.EnrollRequest{Locator: "/dev/a"}}, "op", []string{"op", "fido2", "/dev/a"}},
		{wire.Request{Kind: tokens.KindFIDO2, Op: wire.OpPIN, PIN: &tokens.PINRequest{Locator: "/dev/b"}}, "op", []string{"op", "fido2", "/dev/b"}},
		{wire.Request{Kind: tokens.KindFIDO2, Op: wire.OpProbe, Probe: &tokens.ProbeRequest{Locator: "/dev/f"}}, "op", []string{"op", "fido2", "/dev/f"}},
		{wire.Request{Kind: tokens.KindFIDO2, Op: wire.OpWipe, Wipe: &tokens.WipeRequest{Locator: "/dev/c"}}, "op", []string{"op", "fido2", "/dev/c"}},
		{wire.Request{Kind: tokens.KindFIDO2, Op: wire.OpProbe, Probe: &tokens.ProbeRequest{Locator: "/dev/d"}}, "op", []string{"op", "fido2", "/dev/d"}},
		{wire.Request{Kind: tokens.KindFIDO2, Op: wire.OpMake, Make: &tokens.CredentialRequest{Locator: "/dev/g"}}, "op", []string{"op", "fido2", "/dev/g"}},
		{wire.Request{Kind: tokens.KindFIDO2, Op: wire.OpAssert, Assert: &tokens.AssertRequest{Locator: "/dev/h"}}, "op", []string{"op", "fido2", "/dev/h"}},
		{wire.Request{Kind: tokens.KindFIDO2, Op: wire.OpWatch, Devices: []string{"/dev/e", "/dev/f"}}, "watch", []string{"watch", "fido2", "/dev/e", "/dev/f"}},
		{wire.Request{Kind: tokens.KindFIDO2, Op: wire.OpInspect, Locator: "/dev/f", Devices: []string{"/dev/e", "/dev/f"}}, "op", []string{"op", "fido2", "/dev/f", "/dev/e"}},
	} {
		if got := arguments(c.req, c.mode); !slices.Equal(got, c.want) {
			t.Errorf("%s %s: %q, want %q", c.req.Kind, c.req.Op, got, c.want)
		}
	}
}
