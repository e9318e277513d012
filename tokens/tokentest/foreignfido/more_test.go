//go:build linux

package foreignfido

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens/tokentest/fidorig"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

func TestInfo(t *testing.T) {
	for _, tt := range []struct {
		o     vfido.Options
		words []string
	}{
		{vfido.Options{}, []string{"U2F_V2, FIDO_2_0, FIDO_2_1_PRE, FIDO_2_1\n", "hmac-secret", "noclientPin", "pin protocols: 2, 1\n", "minpinlen: 4", "maxmsgsiz: 1200", "pin change required: false"}},
		{vfido.Options{PIN: "1234", AlwaysUV: true, Protocols: []int{1}}, []string{" alwaysUv", "pin protocols: 1\n", "pin retries: 8", "nomakeCredUvNotRqd"}},
		{vfido.Options{PIN: "123456", MinPINLength: 6, ForcePINChange: true, UV: true}, []string{"minpinlen: 6", "pin change required: true", " uv,", "uv retries: 3"}},
		{vfido.Options{Version: vfido.CTAP20}, []string{"U2F_V2, FIDO_2_0\n", "pin protocols: 1\n"}},
		{vfido.Options{Version: vfido.CTAP20, Protocols: []int{2}, NoU2F: true}, []string{"strings: FIDO_2_0\n", "pin protocols: 2\n", "nomsg"}},
		{vfido.Options{Version: vfido.U2FOnly}, []string{"nocbor"}},
		{vfido.Options{AAGUID: [16]byte{0xAB, 0xCD}, CredentialIDLength: 1023, Algorithms: []int{-7, -8}}, []string{"aaguid: abcd00", "maxcredlen: 1023", "es256 (public-key), eddsa (public-key)", "maxmsgsiz: 2048"}},
	} {
		_, port := insert(t, tt.o)
		say(t, tt.words, nil, "fido2-token", "-I", port.Path())
	}
}

func TestWrongPINs(t *testing.T) {
	key, port := insert(t, vfido.Options{PIN: "1234"})
	wrong := func(word string) {
		t.Helper()
		refuse(t, word, []string{"9999", "5678", "5678"}, "fido2-token", "-C", port.Path())
	}
	for left := 8; left > 0; {
		for i := 1; i <= 3 && left > 0; i++ {
			left--
			switch {
			case left == 0:
				wrong("FIDO_ERR_PIN_BLOCKED")
			case i == 3:
				wrong("FIDO_ERR_PIN_AUTH_BLOCKED")
			default:
				wrong("FIDO_ERR_PIN_INVALID")
			}
			if key.PINTries() != left {
				t.Errorf("%d tries are left, not %d", key.PINTries(), left)
			}
		}
		if left > 0 {
			wrong("FIDO_ERR_PIN_AUTH_BLOCKED") // costs none
		}
		if err := port.Remove(); err != nil {
			t.Fatal(err)
		}
		if err := port.Insert(key); err != nil {
			t.Fatal(err)
		}
	}
	refuse(t, "FIDO_ERR_PIN_BLOCKED", []string{"1234", "5678", "5678"}, "fido2-token", "-C", port.Path())
	say(t, nil, nil, "fido2-token", "-R", port.Path())
	if !key.PINIs("") || key.PINTries() != 8 {
		t.Error("the key was not reset")
	}
	// A CTAP 2.0 key does not tell how long a PIN must be.
	_, port = insert(t, vfido.Options{Version: vfido.CTAP20, MinPINLength: 6})
	refuse(t, "FIDO_ERR_PIN_POLICY_VIOLATION", []string{"12345", "12345"}, "fido2-token", "-S", port.Path())
}

func TestRefusals(t *testing.T) {
	key, port := insert(t, vfido.Options{TouchTimeout: time.Second})
	c := enrol(t, port, "es256", nil, "-h")
	ask := func(id string) []string {
		return []string{"-G", "-h", "-i", lines(t, b64(3, 32), rp, id, b64(7, 32)), port.Path()}
	}
	key.SetTouch(vfido.TouchNo)
	refuse(t, "FIDO_ERR_OPERATION_DENIED", nil, "fido2-assert", ask(c.id)...)
	key.SetTouch(vfido.TouchNever)
	refuse(t, "FIDO_ERR_USER_ACTION_TIMEOUT", nil, "fido2-assert", ask(c.id)...)
	refuse(t, "FIDO_ERR_NO_CREDENTIALS", nil, "fido2-assert", ask(b64(9, 64))...)
	if n := key.Counts(); n.TouchesAsked != 3 || n.TouchesGiven != 1 {
		t.Errorf("%+v", n)
	}
	// A pre-flight needs no touch, and hmac-secret is not to be had by one.
	in := lines(t, b64(3, 32), rp, c.id)
	say(t, nil, nil, "fido2-assert", "-G", "-t", "up=false", "-i", in, port.Path())
	refuse(t, "FIDO_ERR_UNSUPPORTED_OPTION", nil, "fido2-assert", append([]string{"-G", "-t", "up=false"}, ask(c.id)[1:]...)...)
	key.SetTouch(vfido.TouchAfter(50 * time.Millisecond))
	say(t, nil, nil, "fido2-assert", ask(c.id)...)
	if n := key.Counts().Preflights; n != 2 {
		t.Errorf("%d pre-flights", n)
	}
}

func TestResidents(t *testing.T) {
	pin := []string{"1234"}
	for _, o := range []vfido.Options{{PIN: "1234"}, {PIN: "1234", Version: vfido.CTAP20, ManagementPreview: true}} {
		key, port := insert(t, o)
		c := enrol(t, port, "es256", pin, "-r")
		if key.Residents() != 1 {
			t.Fatalf("%d residents", key.Residents())
		}
		say(t, []string{rp}, pin, "fido2-token", "-L", "-r", port.Path())
		say(t, []string{c.id}, pin, "fido2-token", "-L", "-k", rp, port.Path())
		say(t, []string{"existing rk(s): 1", "remaining rk(s): 24"}, pin, "fido2-token", "-I", "-c", port.Path())
		say(t, nil, pin, "fido2-token", "-D", "-i", c.id, port.Path())
		if key.Residents() != 0 {
			t.Error("it is still there")
		}
	}
}

func TestMakersCertificate(t *testing.T) {
	maker, err := vfido.NewMaker("Test Maker")
	if err != nil {
		t.Fatal(err)
	}
	_, port := insert(t, vfido.Options{Maker: maker})
	out := filepath.Join(t.TempDir(), "cred")
	say(t, nil, nil, "fido2-cred", "-M", "-i", lines(t, b64(1, 32), rp, "user", b64(2, 16)), "-o", out, port.Path())
	l := readLines(t, out)
	der, err := base64.StdEncoding.DecodeString(l[len(l)-1])
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(maker.Root())
	if _, err := certificate.Verify(x509.VerifyOptions{Roots: roots}); err != nil {
		t.Error(err)
	}
}

func TestOtherKinds(t *testing.T) {
	t.Run("EdDSA", func(t *testing.T) {
		_, port := insert(t, vfido.Options{Algorithms: []int{vfido.AlgES256, vfido.AlgEdDSA}})
		c := enrol(t, port, "eddsa", nil, "-h")
		assertion(t, port, "eddsa", c, 1, nil)
	})
	t.Run("fingerprint", func(t *testing.T) {
		key, port := insert(t, vfido.Options{UV: true})
		c := enrol(t, port, "es256", nil, "-h", "-v")
		with := assertion(t, port, "es256", c, 1, nil, "-t", "uv=true")
		if without := assertion(t, port, "es256", c, 1, nil); with == without {
			t.Error("hmac-secret is the same with and without a finger")
		}
		if n := key.Counts(); n.FingersMatched != 2 || n.UserVerified != 2 || n.PINsSeen != 0 {
			t.Errorf("%+v", n)
		}
		key.SetFinger(vfido.TouchNo)
		refuse(t, "FIDO_ERR", nil, "fido2-assert", "-G", "-t", "uv=true", "-i", lines(t, b64(3, 32), rp, c.id), port.Path())
	})
	t.Run("one CredRandom", func(t *testing.T) {
		_, port := insert(t, vfido.Options{UV: true, OneCredRandom: true})
		c := enrol(t, port, "es256", nil, "-h", "-v")
		if with := assertion(t, port, "es256", c, 1, nil, "-t", "uv=true"); with != assertion(t, port, "es256", c, 1, nil) {
			t.Error("hmac-secret differs with and without a finger")
		}
	})
	t.Run("always UV", func(t *testing.T) {
		_, port := insert(t, vfido.Options{PIN: "1234", AlwaysUV: true})
		pin := []string{"1234"}
		c := enrol(t, port, "es256", pin, "-h")
		assertion(t, port, "es256", c, 1, pin, "-t", "pin=true")
	})
	t.Run("U2F", func(t *testing.T) {
		for _, v := range []vfido.Version{vfido.U2FOnly, vfido.CTAP21} {
			_, port := insert(t, vfido.Options{Version: v, Touch: vfido.TouchAfter(150 * time.Millisecond)})
			c := enrol(t, port, "es256", nil, "-u")
			out := filepath.Join(t.TempDir(), "assertion")
			say(t, nil, nil, "fido2-assert", "-G", "-u", "-i", lines(t, b64(3, 32), rp, c.id), "-o", out, port.Path())
			say(t, nil, nil, "fido2-assert", "-V", "-p", "-i", out, c.public, "es256")
			if v == vfido.U2FOnly {
				refuse(t, "FIDO_ERR", nil, "fido2-assert", "-G", "-h", "-i", lines(t, b64(3, 32), rp, c.id, b64(7, 32)), port.Path())
			}
		}
	})
}

// TestHostile wants libfido2 to see what a key that misbehaves does; what it
// makes of it is not ours.
func TestHostile(t *testing.T) {
	for _, tt := range []struct {
		kind  vfido.FaultKind
		hangs bool // libfido2's programs then wait for ever
	}{
		{vfido.FaultStatus, false}, {vfido.FaultGarbage, false}, {vfido.FaultTruncate, false}, {vfido.FaultOversize, false},
		{vfido.FaultVanish, false}, {vfido.FaultSequence, false}, {vfido.FaultChannel, true}, {vfido.FaultCommand, false},
		{vfido.FaultShortCount, false}, {vfido.FaultMute, true}, {vfido.FaultKeepalive, true}, {vfido.FaultLongCount, true},
	} {
		t.Run(fmt.Sprint(tt.kind), func(t *testing.T) {
			t.Parallel()
			hostile(t, tt.kind, tt.hangs)
		})
	}
}

func hostile(t *testing.T, kind vfido.FaultKind, hangs bool) {
	key, port := insert(t, vfido.Options{})
	key.Inject(vfido.Fault{Kind: kind, Command: vfido.CommandGetInfo, Times: -1, Status: vfido.StatusOther})
	out, err := plain(t, nil, "timeout", "-s", "KILL", "4", "fido2-token", "-I", port.Path())
	killed := err != nil && strings.Contains(err.Error(), "killed")
	if err == nil && strings.Contains(out, "FIDO_2_1") || killed != hangs {
		t.Errorf("%v: %s", err, out)
	}
	// The next client finds a good key.
	if kind == vfido.FaultVanish {
		if err := port.Remove(); err != nil {
			t.Fatal(err)
		}
		if err := port.Insert(key); err != nil {
			t.Fatal(err)
		}
	}
	key.ClearFaults()
	say(t, []string{"FIDO_2_1"}, nil, "fido2-token", "-I", port.Path())
}

// TestEnumerated uses keys as they are found under umockdev.
func TestEnumerated(t *testing.T) {
	rig := fidorig.Start(t, fidorig.Options{Ports: 2})
	for n := range 2 {
		key, err := vfido.New(vfido.Options{PIN: "1234"})
		if err != nil {
			t.Fatal(err)
		}
		if err := rig.Insert(key, n); err != nil {
			t.Fatal(err)
		}
	}
	out, err := plain(t, rig.Env(), "timeout", "-s", "KILL", "20", "fido2-token", "-L")
	if err != nil || strings.Count(out, "\n") != 2 || !strings.Contains(out, "/dev/hidraw0: ") || !strings.Contains(out, "/dev/hidraw1: ") {
		t.Fatalf("%v: %s", err, out)
	}
	cred := filepath.Join(t.TempDir(), "cred")
	in := lines(t, b64(1, 32), rp, "user", b64(2, 16))
	if out, err := runTool(t, rig.Env(), []string{"1234"}, "fido2-cred", "-M", "-h", "-r", "-i", in, "-o", cred, "/dev/hidraw1"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if a, b := rig.Key(0).Counts(), rig.Key(1).Counts(); a.MakeCredentials != 0 || b.MakeCredentials != 1 || a.PINsSeen != 0 || b.PINsSeen != 1 {
		t.Errorf("%+v and %+v", a, b)
	}
}
