//go:build linux

package foreignfido

import (
	"fmt"
	"testing"

	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// TestWithoutPIN makes and uses credentials as a key without a PIN allows.
func TestWithoutPIN(t *testing.T) {
	for name, o := range map[string]vfido.Options{
		"CTAP 2.0":           {Version: vfido.CTAP20},
		"CTAP 2.1":           {},
		"protocol 1":         {Protocols: []int{1}},
		"protocol 2":         {Protocols: []int{2}},
		"protocol 2 in 2.0":  {Version: vfido.CTAP20, Protocols: []int{2}},
		"self attestation":   {Attestation: vfido.AttestationSelf},
		"without U2F":        {NoU2F: true},
		"long credential id": {CredentialIDLength: 1023},
	} {
		t.Run(name, func(t *testing.T) {
			key, port := insert(t, o)
			c := enrol(t, port, "es256", nil, "-h")
			first := assertion(t, port, "es256", c, 7, nil)
			if second := assertion(t, port, "es256", c, 7, nil); first != second || len(first) != 44 {
				t.Errorf("hmac-secret gave %s and then %s", first, second)
			}
			if other := assertion(t, port, "es256", c, 8, nil); other == first {
				t.Error("another salt gave the same")
			}
			if n := key.Counts(); n.HMACOutputs != 3 || n.MakeCredentials != 1 || n.TouchesGiven != 4 || n.PINsSeen != 0 {
				t.Errorf("%+v", n)
			}
		})
	}
}

// TestWithPIN sets a PIN, changes it, and makes and uses credentials with it.
func TestWithPIN(t *testing.T) {
	for _, version := range []vfido.Version{vfido.CTAP20, vfido.CTAP21} {
		for _, protocols := range [][]int{{1}, {2}, {2, 1}} {
			t.Run(fmt.Sprint(version, protocols), func(t *testing.T) {
				key, port := insert(t, vfido.Options{Version: version, Protocols: protocols})
				say(t, nil, []string{"first1", "first1"}, "fido2-token", "-S", port.Path())
				if !key.PINIs("first1") {
					t.Fatal("the PIN is another")
				}
				say(t, nil, []string{"first1", "second2", "second2"}, "fido2-token", "-C", port.Path())
				if !key.PINIs("second2") {
					t.Fatal("the PIN is another after a change")
				}
				pin := []string{"second2"}
				flags := []string{"-h", "-v"}
				if version == vfido.CTAP20 {
					// It refuses the option uv without a fingerprint reader, and
					// wants the PIN anyway.
					flags = flags[:1]
				}
				c := enrol(t, port, "es256", pin, flags...)
				with := assertion(t, port, "es256", c, 7, pin, "-t", "pin=true")
				if again := assertion(t, port, "es256", c, 7, pin, "-t", "pin=true"); with != again {
					t.Errorf("hmac-secret gave %s and then %s", with, again)
				}
				if without := assertion(t, port, "es256", c, 7, nil); without == with {
					t.Error("hmac-secret is the same with and without user verification")
				}
				if n := key.Counts(); n.PINsSeen != 4 || n.PINFailures != 0 || n.UserVerified != 3 || n.PINsSet != 2 {
					t.Errorf("%+v", n)
				}
			})
		}
	}
}
