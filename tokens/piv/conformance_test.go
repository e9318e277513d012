//go:build cgo && linux

package piv_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"strconv"
	"testing"
	"time"

	gopiv "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/piv"
	"github.com/tokenbridge/tokend/tokens/tokentest/conformance"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

var both = []tokens.Class{tokens.ClassSession, tokens.ClassTouch}

// bypass is another program that uses a key without a PIN.
func bypass(t *testing.T, f *conformance.Fixture, k tokens.Key, peer []byte) error {
	t.Helper()
	return withoutPIN(t, f.A.Locator, k, peer)
}

func withoutPIN(t *testing.T, reader string, k tokens.Key, peer []byte) error {
	t.Helper()
	var p struct {
		Slot string `json:"slot"`
	}
	if err := json.Unmarshal(k.Params, &p); err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(p.Slot, 16, 8)
	if err != nil {
		t.Fatal(err)
	}
	slot, ok := gopiv.RetiredKeyManagementSlot(uint32(n))
	if !ok {
		t.Fatalf("slot %s", p.Slot)
	}
	yk, err := gopiv.Open(reader)
	if err != nil {
		t.Fatal(err)
	}
	defer yk.Close()
	curve, other := elliptic.P256(), ecdh.P256()
	if k.Algorithm == tokens.P384 {
		curve, other = elliptic.P384(), ecdh.P384()
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, k.Public)
	if err != nil {
		t.Fatal(err)
	}
	private, err := yk.PrivateKey(slot, public, gopiv.KeyAuth{PINPolicy: gopiv.PINPolicyNever})
	if err != nil {
		t.Fatal(err)
	}
	point, err := other.NewPublicKey(peer)
	if err != nil {
		t.Fatal(err)
	}
	_, err = private.(*gopiv.ECDSAPrivateKey).ECDH(point)
	var status interface{ Status() uint16 }
	if err != nil && !errors.As(err, &status) {
		t.Fatalf("the other program could not try: %v", err)
	}
	return err
}

func fixture(o vpiv.Options, driver tokens.Driver) func(t *testing.T) *conformance.Fixture {
	return func(t *testing.T) *conformance.Fixture {
		a, b := o, o
		if o.Serial != 0 {
			b.Serial++
		}
		return &conformance.Fixture{
			Driver: driver,
			A:      user(insert(t, a, 0), reader(0)), B: user(insert(t, b, 1), reader(1)),
		}
	}
}

// odd are cards that differ from a YubiKey 5.
func odd() map[string]vpiv.Options {
	alter := func(o vpiv.Options, f func(*vpiv.Options)) vpiv.Options { f(&o); return o }
	return map[string]vpiv.Options{
		"4.3":               vpiv.YubiKey(4, 3, 5),
		"5.2":               vpiv.YubiKey(5, 2, 7),
		"5.4":               vpiv.YubiKey(5, 4, 3),
		"5.7":               vpiv.YubiKey(5, 7, 1),
		"serial 0":          alter(vpiv.YubiKey(5, 4, 3), func(o *vpiv.Options) { o.Serial = 0 }),
		"no serial":         alter(vpiv.YubiKey(5, 2, 7), func(o *vpiv.Options) { o.NoSerial = true }),
		"serial above 2^31": alter(vpiv.YubiKey(5, 4, 3), func(o *vpiv.Options) { o.Serial = 0xfffffff0 }),
		"no attestation":    alter(vpiv.YubiKey(5, 2, 7), func(o *vpiv.Options) { o.NoAttestation = true }),
		"only 82 and 83":    alter(vpiv.YubiKey(5, 4, 3), func(o *vpiv.Options) { o.RetiredSlots = []byte{0x82, 0x83} }),
		"five tries":        alter(vpiv.YubiKey(5, 4, 3), func(o *vpiv.Options) { o.PINTries, o.PUKTries = 5, 8 }),
		"no applets":        alter(vpiv.YubiKey(4, 3, 5), func(o *vpiv.Options) { o.NoApplets = true }),
		"AES management":    alter(vpiv.YubiKey(5, 4, 3), func(o *vpiv.Options) { o.ManagementAlgorithm = vpiv.AlgAES192 }),
	}
}

func TestConformance(t *testing.T) {
	for name, o := range odd() {
		o.TouchTimeout = 600 * time.Millisecond
		parts := []string{"Enroll", "Agree", "NothingLeftOpen"}
		if whole := map[string]bool{"4.3": true, "5.7": true, "no attestation": true}; whole[name] {
			parts = nil
		}
		t.Run(name, func(t *testing.T) {
			conformance.Run(t, conformance.Config{
				New:     fixture(o, piv.New(piv.Options{TouchTimeout: 500 * time.Millisecond})),
				Classes: both, Algorithm: tokens.P256, Listed: true, CountsTries: true, Bypass: bypass,
				Parts: parts,
			})
		})
	}
}

func TestConformanceThroughTheHelper(t *testing.T) {
	o := vpiv.YubiKey(5, 4, 3)
	o.TouchTimeout = piv.DefaultTouchTimeout + 200*time.Millisecond
	conformance.Run(t, conformance.Config{
		New: fixture(o, client()), Classes: both, Algorithm: tokens.P256,
		Listed: true, CountsTries: true, Cancels: true, Bypass: bypass,
	})
}

// TestConformanceThroughTheSockets is the same where the service manager starts the
// helper.
func TestConformanceThroughTheSockets(t *testing.T) {
	o := vpiv.YubiKey(5, 4, 3)
	o.TouchTimeout = piv.DefaultTouchTimeout + 200*time.Millisecond
	conformance.Run(t, conformance.Config{
		New: fixture(o, connected(t)), Classes: both, Algorithm: tokens.P256,
		Listed: true, CountsTries: true, Cancels: true, Bypass: bypass,
	})
}
