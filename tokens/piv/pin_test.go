//go:build cgo && linux

package piv_test

import (
	"testing"

	gopiv "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/piv"
	"github.com/tokenbridge/tokend/tokens/tokentest/conformance"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

func sessionRequest(t *testing.T, e tokens.Enrollment, pin string) tokens.AgreeRequest {
	t.Helper()
	r := tokens.AgreeRequest{Locator: reader(0), Key: e.Keys[0], Peer: conformance.Peer(t, e.Keys[0]).PublicKey().Bytes()}
	if pin != "" {
		r.PIN = []byte(pin)
	}
	return r
}

func TestTheLastTryIsNotSpent(t *testing.T) {
	for name, o := range map[string]vpiv.Options{"5.4": vpiv.YubiKey(5, 4, 3), "5.2": vpiv.YubiKey(5, 2, 7)} {
		t.Run(name, func(t *testing.T) {
			d := piv.New(piv.Options{})
			card := insert(t, o, 0)
			e := mustEnroll(t, enrollRequest())
			for _, left := range []int{2, 1} {
				_, err := d.Agree(t.Context(), sessionRequest(t, e, "000000"))
				if told := conformance.Code(t, err, tokens.CodePINInvalid); told.Tries != left {
					t.Fatalf("%d tries left, want %d", told.Tries, left)
				}
			}
			for _, pin := range []string{"000000", vpiv.FactoryPIN} {
				_, err := d.Agree(t.Context(), sessionRequest(t, e, pin))
				conformance.Code(t, err, tokens.CodeLastTry)
			}
			r := enrollRequest()
			r.Overwrite = []string{"82", "83"}
			_, err := d.Enroll(t.Context(), r)
			conformance.Code(t, err, tokens.CodeLastTry)
			_, err = d.ChangePIN(t.Context(), tokens.PINRequest{Locator: reader(0), Which: "pin", Old: []byte("000000"), New: []byte("11112222")})
			conformance.Code(t, err, tokens.CodeLastTry)
			if card.PINTries() != 1 {
				t.Fatalf("%d tries left on the card", card.PINTries())
			}
			spend := sessionRequest(t, e, "000000")
			spend.SpendLastTry = true
			_, err = d.Agree(t.Context(), spend)
			conformance.Code(t, err, tokens.CodePINBlocked)
			_, err = d.Agree(t.Context(), sessionRequest(t, e, vpiv.FactoryPIN))
			conformance.Code(t, err, tokens.CodePINBlocked)
			// The PUK unblocks; without metadata its tries are not told.
			unblock := tokens.PINRequest{Locator: reader(0), Which: "unblock", Old: []byte(vpiv.FactoryPUK), New: []byte("654321")}
			if name == "5.2" {
				_, err = d.ChangePIN(t.Context(), unblock)
				conformance.Code(t, err, tokens.CodeLastTry)
				unblock.SpendLastTry = true
			}
			if _, err := d.ChangePIN(t.Context(), unblock); err != nil {
				t.Fatal(err)
			}
			agrees(t, e, "654321")
		})
	}
}

func TestACardThatDoesNotCountIsNotTried(t *testing.T) {
	card := insert(t, vpiv.YubiKey(5, 4, 3), 0)
	e := mustEnroll(t, enrollRequest())
	card.Inject(vpiv.Fault{Kind: vpiv.FaultStatus, INS: 0x20, Status: 0x6982})
	before := card.Counts().PINsSeen
	_, err := piv.New(piv.Options{}).Agree(t.Context(), sessionRequest(t, e, vpiv.FactoryPIN))
	conformance.Code(t, err, tokens.CodeLastTry)
	if card.Counts().PINsSeen != before {
		t.Fatal("the PIN was shown")
	}
}

func TestPUK(t *testing.T) {
	card := insert(t, vpiv.YubiKey(5, 4, 3), 0)
	d := piv.New(piv.Options{})
	_, err := d.ChangePIN(t.Context(), tokens.PINRequest{Locator: reader(0), Which: "puk", Old: []byte("00000000"), New: []byte("87654321")})
	if told := conformance.Code(t, err, tokens.CodePINInvalid); told.Tries != 2 || told.Detail != "wrong PUK" {
		t.Fatalf("error %+v", told)
	}
	if _, err := d.ChangePIN(t.Context(), tokens.PINRequest{Locator: reader(0), Which: "puk", Old: []byte(vpiv.FactoryPUK), New: []byte("87654321")}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ChangePIN(t.Context(), tokens.PINRequest{Locator: reader(0), Which: "unblock", Old: []byte("87654321"), New: []byte("777777")}); err != nil {
		t.Fatal(err)
	}
	_, err = d.ChangePIN(t.Context(), tokens.PINRequest{Locator: reader(0), Which: "other", Old: []byte("87654321"), New: []byte("777777")})
	conformance.Code(t, err, tokens.CodeInvalid)
	if card.PUKTries() != 3 {
		t.Errorf("%d tries of the PUK", card.PUKTries())
	}
}

// TestACardLeftOpenByOthers tells no tries until it is reset.
func TestACardLeftOpenByOthers(t *testing.T) {
	card := insert(t, vpiv.YubiKey(5, 4, 3), 0)
	e := mustEnroll(t, enrollRequest())
	withCard(t, func(yk *gopiv.YubiKey) error { return yk.VerifyPIN(vpiv.FactoryPIN) })
	if !card.PINVerified() {
		t.Fatal("the card is not open")
	}
	agrees(t, e, vpiv.FactoryPIN)
	if card.PINVerified() {
		t.Fatal("the card is still open")
	}
	withCard(t, func(yk *gopiv.YubiKey) error { return yk.VerifyPIN(vpiv.FactoryPIN) })
	d, err := piv.New(piv.Options{}).Inspect(t.Context(), reader(0))
	if err != nil || d.PINTries != 3 {
		t.Fatalf("%d tries: %v", d.PINTries, err)
	}
}

func TestInspect(t *testing.T) {
	for name, c := range map[string]struct {
		o       vpiv.Options
		told    bool
		attests bool
	}{
		"5.4": {vpiv.YubiKey(5, 4, 3), true, true},
		"5.2": {vpiv.YubiKey(5, 2, 7), false, true},
		"3.4": {func() vpiv.Options { o := vpiv.YubiKey(4, 3, 1); o.Version = vpiv.Version{3, 4, 0}; return o }(), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			card := insert(t, c.o, 0)
			mustEnroll(t, enrollRequest())
			d, err := piv.New(piv.Options{}).Inspect(t.Context(), reader(0))
			if err != nil {
				t.Fatal(err)
			}
			if d.PINTries != 3 || d.FactoryPIN != c.told || d.FactoryPUK != c.told || !d.FactoryKey || (d.PUKTries == 3) != c.told {
				t.Errorf("details %+v", d)
			}
			if (d.Attestation != nil) != c.attests || d.Attestation != nil && d.Attestation.Verified {
				t.Errorf("attestation %+v", d.Attestation)
			}
			for _, k := range d.Token.Keys {
				if k.Attested != c.attests {
					t.Errorf("key %+v", k)
				}
			}
			if card.PINVerified() || card.PINTries() != 3 {
				t.Error("inspecting has left traces")
			}
		})
	}
}
