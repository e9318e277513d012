//go:build cgo && linux

package piv_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"slices"
	"testing"

	gopiv "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/piv"
	"github.com/tokenbridge/tokend/tokens/tokentest/conformance"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

func enrollRequest() tokens.EnrollRequest {
	return tokens.EnrollRequest{Locator: reader(0), Classes: both, PIN: []byte(vpiv.FactoryPIN)}
}

func mustEnroll(t *testing.T, r tokens.EnrollRequest) tokens.Enrollment {
	t.Helper()
	e, err := piv.New(piv.Options{}).Enroll(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// agrees proves that every key of an enrolment works.
func agrees(t *testing.T, e tokens.Enrollment, pin string) {
	t.Helper()
	for _, k := range e.Keys {
		peer := conformance.Peer(t, k)
		got, err := piv.New(piv.Options{}).Agree(t.Context(), tokens.AgreeRequest{
			Locator: reader(0), Key: k, Peer: peer.PublicKey().Bytes(), PIN: []byte(pin),
		})
		if err != nil {
			t.Fatalf("%s: %v", k.Class, err)
		}
		conformance.Want(t, got, k, peer)
	}
}

// withCard works with the card as another program.
func withCard(t *testing.T, f func(yk *gopiv.YubiKey) error) {
	t.Helper()
	yk, err := gopiv.Open(reader(0))
	if err != nil {
		t.Fatal(err)
	}
	defer yk.Close()
	if err := f(yk); err != nil {
		t.Fatal(err)
	}
}

func slot82() gopiv.Slot { s, _ := gopiv.RetiredKeyManagementSlot(0x82); return s }

func TestP384AndOtherSlots(t *testing.T) {
	card := insert(t, vpiv.YubiKey(5, 4, 3), 0)
	r := enrollRequest()
	r.Algorithm = tokens.P384
	r.Slots = map[tokens.Class]string{tokens.ClassSession: "9d", tokens.ClassTouch: "95"}
	e := mustEnroll(t, r)
	if got := card.Slots(); !bytes.Equal(got, []byte{0x95, 0x9d}) {
		t.Fatalf("keys in slots %x", got)
	}
	agrees(t, e, vpiv.FactoryPIN)
	list, err := piv.New(piv.Options{}).List(t.Context())
	if err != nil || len(list) != 1 || len(list[0].Keys) != 2 {
		t.Fatalf("list %+v: %v", list, err)
	}
}

func TestSlotsInUseAreLeftAlone(t *testing.T) {
	imported := func(t *testing.T) {
		k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		withCard(t, func(yk *gopiv.YubiKey) error {
			return yk.SetPrivateKeyInsecure(gopiv.DefaultManagementKey, slot82(), k, gopiv.Key{PINPolicy: gopiv.PINPolicyOnce, TouchPolicy: gopiv.TouchPolicyNever})
		})
	}
	generated := func(t *testing.T) {
		withCard(t, func(yk *gopiv.YubiKey) error {
			_, err := yk.GenerateKey(gopiv.DefaultManagementKey, slot82(), gopiv.Key{Algorithm: gopiv.AlgorithmEC256, PINPolicy: gopiv.PINPolicyAlways, TouchPolicy: gopiv.TouchPolicyNever})
			return err
		})
	}
	rsa := func(t *testing.T) {
		withCard(t, func(yk *gopiv.YubiKey) error {
			_, err := yk.GenerateKey(gopiv.DefaultManagementKey, slot82(), gopiv.Key{Algorithm: gopiv.AlgorithmRSA1024, PINPolicy: gopiv.PINPolicyOnce, TouchPolicy: gopiv.TouchPolicyNever})
			return err
		})
	}
	none := vpiv.YubiKey(5, 2, 7)
	none.NoAttestation = true
	for _, c := range []struct {
		name string
		o    vpiv.Options
		fill func(*testing.T)
	}{
		{"metadata", vpiv.YubiKey(5, 4, 3), generated},
		{"imported, metadata", vpiv.YubiKey(5, 4, 3), imported},
		{"RSA, metadata", vpiv.YubiKey(5, 4, 3), rsa},
		{"attestation", vpiv.YubiKey(5, 2, 7), generated},
		{"RSA, attestation", vpiv.YubiKey(5, 2, 7), rsa},
		{"imported, attestation", vpiv.YubiKey(5, 2, 7), imported},
		{"neither", none, generated},
		{"imported, neither", none, imported},
	} {
		t.Run(c.name, func(t *testing.T) {
			card := insert(t, c.o, 0)
			c.fill(t)
			before := card.Counts()
			_, err := piv.New(piv.Options{}).Enroll(t.Context(), enrollRequest())
			conformance.Code(t, err, tokens.CodeOccupied)
			if after := card.Counts(); after.Generated != before.Generated {
				t.Fatal("a key was made all the same")
			}
			r := enrollRequest()
			r.Overwrite = []string{"82"}
			agrees(t, mustEnroll(t, r), vpiv.FactoryPIN)
		})
	}
}

func TestACertificateAloneIsInTheWay(t *testing.T) {
	card := insert(t, vpiv.YubiKey(5, 4, 3), 0)
	e := mustEnroll(t, enrollRequest())
	// Only the object stays: what a foreign program's certificate is to us.
	withCard(t, func(yk *gopiv.YubiKey) error {
		cert, err := yk.Certificate(slot82())
		if err != nil {
			return err
		}
		if cert.Subject.CommonName != "tokend slot 82" {
			t.Errorf("subject %s", cert.Subject)
		}
		other, _ := gopiv.RetiredKeyManagementSlot(0x84)
		return yk.SetCertificate(gopiv.DefaultManagementKey, other, cert)
	})
	r := enrollRequest()
	r.Classes, r.Slots = []tokens.Class{tokens.ClassSession}, map[tokens.Class]string{tokens.ClassSession: "84"}
	_, err := piv.New(piv.Options{}).Enroll(t.Context(), r)
	conformance.Code(t, err, tokens.CodeOccupied)
	if len(card.Slots()) != 2 || len(e.Keys) != 2 {
		t.Fatal("another number of keys")
	}
}

func TestExistingKeys(t *testing.T) {
	fill := func(pin gopiv.PINPolicy, touch gopiv.TouchPolicy) func(*testing.T) {
		return func(t *testing.T) {
			withCard(t, func(yk *gopiv.YubiKey) error {
				_, err := yk.GenerateKey(gopiv.DefaultManagementKey, slot82(), gopiv.Key{Algorithm: gopiv.AlgorithmEC256, PINPolicy: pin, TouchPolicy: touch})
				return err
			})
		}
	}
	none := vpiv.YubiKey(5, 2, 7)
	none.NoAttestation = true
	for _, c := range []struct {
		name    string
		o       vpiv.Options
		fill    func(*testing.T)
		class   tokens.Class
		code    tokens.Code
		unknown bool
	}{
		{"metadata", vpiv.YubiKey(5, 4, 3), fill(gopiv.PINPolicyAlways, gopiv.TouchPolicyNever), tokens.ClassSession, "", false},
		{"attestation", vpiv.YubiKey(5, 2, 7), fill(gopiv.PINPolicyOnce, gopiv.TouchPolicyNever), tokens.ClassSession, "", false},
		{"nothing told", none, fill(gopiv.PINPolicyOnce, gopiv.TouchPolicyNever), tokens.ClassSession, tokens.CodeNoKey, false},
		{"touch", vpiv.YubiKey(5, 4, 3), fill(gopiv.PINPolicyOnce, gopiv.TouchPolicyAlways), tokens.ClassTouch, "", false},
		{"no touch", vpiv.YubiKey(5, 4, 3), fill(gopiv.PINPolicyOnce, gopiv.TouchPolicyNever), tokens.ClassTouch, tokens.CodeUnsupported, false},
		{"cached touch", vpiv.YubiKey(5, 4, 3), fill(gopiv.PINPolicyOnce, gopiv.TouchPolicyCached), tokens.ClassTouch, tokens.CodeUnsupported, false},
		{"no PIN", vpiv.YubiKey(5, 4, 3), fill(gopiv.PINPolicyNever, gopiv.TouchPolicyNever), tokens.ClassSession, tokens.CodeUnsupported, false},
		{"empty", vpiv.YubiKey(5, 4, 3), func(*testing.T) {}, tokens.ClassSession, tokens.CodeNoKey, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			card := insert(t, c.o, 0)
			c.fill(t)
			before := card.Counts().Generated
			r := enrollRequest()
			r.Classes, r.Slots, r.UseExisting = []tokens.Class{c.class}, map[tokens.Class]string{c.class: "82"}, true
			e, err := piv.New(piv.Options{}).Enroll(t.Context(), r)
			if c.code != "" {
				conformance.Code(t, err, c.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains(e.Warnings, tokens.WarnUnknownPolicy) != c.unknown {
				t.Errorf("warnings %v", e.Warnings)
			}
			if card.Counts().Generated != before {
				t.Error("a key was made")
			}
			agrees(t, e, vpiv.FactoryPIN)
		})
	}
}

// TestExistingKeyOfUnknownPolicy: only the certificate tells of the key.
func TestExistingKeyOfUnknownPolicy(t *testing.T) {
	o := vpiv.YubiKey(5, 2, 7)
	o.NoAttestation = true
	insert(t, o, 0)
	mustEnroll(t, enrollRequest())
	r := enrollRequest()
	r.UseExisting = true
	e := mustEnroll(t, r)
	if !slices.Contains(e.Warnings, tokens.WarnUnknownPolicy) {
		t.Errorf("warnings %v", e.Warnings)
	}
	for _, k := range e.Keys {
		_, err := piv.New(piv.Options{}).Agree(t.Context(), tokens.AgreeRequest{Locator: reader(0), Key: k, Peer: conformance.Peer(t, k).PublicKey().Bytes()})
		conformance.Code(t, err, tokens.CodePINRequired)
	}
	agrees(t, e, vpiv.FactoryPIN)
}

func TestCardWithoutTouch(t *testing.T) {
	o := vpiv.YubiKey(4, 3, 5)
	o.Version = vpiv.Version{3, 4, 0}
	insert(t, o, 0)
	e := mustEnroll(t, enrollRequest())
	if len(e.Keys) != 1 || e.Keys[0].Class != tokens.ClassSession || !slices.Contains(e.Warnings, tokens.WarnNoTouch) || e.Token.Touch {
		t.Fatalf("enrolled %+v", e)
	}
	agrees(t, e, vpiv.FactoryPIN)
	r := enrollRequest()
	r.Classes = []tokens.Class{tokens.ClassTouch}
	_, err := piv.New(piv.Options{}).Enroll(t.Context(), r)
	conformance.Code(t, err, tokens.CodeUnsupported)
}

func TestPolicyRefused(t *testing.T) {
	card := insert(t, vpiv.YubiKey(5, 4, 3), 0)
	card.Inject(vpiv.Fault{Kind: vpiv.FaultStatus, INS: 0x47, After: 1, Status: 0x6a80})
	e := mustEnroll(t, enrollRequest())
	if len(e.Keys) != 1 || !slices.Contains(e.Warnings, tokens.WarnNoTouch) {
		t.Fatalf("enrolled %+v", e)
	}
}

func TestAFailedEnrolmentLeavesNothing(t *testing.T) {
	card := insert(t, vpiv.YubiKey(5, 7, 1), 0)
	card.Inject(vpiv.Fault{Kind: vpiv.FaultStatus, INS: 0x47, After: 1, Status: 0x6f00})
	_, err := piv.New(piv.Options{}).Enroll(t.Context(), enrollRequest())
	conformance.Code(t, err, tokens.CodeProtocol)
	if got := card.Slots(); len(got) != 0 {
		t.Fatalf("keys in slots %x", got)
	}
	agrees(t, mustEnroll(t, enrollRequest()), vpiv.FactoryPIN)
}

func TestManagementKeys(t *testing.T) {
	other := bytes.Repeat([]byte{0x5a, 0xa5, 0x3c}, 8)
	protect := func(t *testing.T) {
		withCard(t, func(yk *gopiv.YubiKey) error { return yk.SetMetadata(other, &gopiv.Metadata{ManagementKey: &other}) })
	}
	set := func(version byte) vpiv.Options {
		o := vpiv.YubiKey(5, version, 1)
		o.ManagementKey = other
		return o
	}
	for _, c := range []struct {
		name  string
		o     vpiv.Options
		fill  func(*testing.T)
		given []byte
		code  tokens.Code
	}{
		{"factory", vpiv.YubiKey(5, 4, 3), nil, nil, ""},
		{"factory, AES", vpiv.YubiKey(5, 7, 1), nil, nil, ""},
		{"behind the PIN", set(4), protect, nil, ""},
		{"behind the PIN, a wrong one given", set(4), protect, make([]byte, 24), ""},
		{"given", set(4), nil, other, ""},
		{"given, old firmware", set(2), nil, other, ""},
		{"given wrongly", set(4), nil, bytes.Repeat([]byte{9}, 24), tokens.CodeManagement},
		{"of another size", set(4), nil, []byte{1, 2, 3}, tokens.CodeManagement},
		{"unknown", set(4), nil, nil, tokens.CodeManagement},
	} {
		t.Run(c.name, func(t *testing.T) {
			card := insert(t, c.o, 0)
			if c.fill != nil {
				c.fill(t)
			}
			r := enrollRequest()
			r.ManagementKey = c.given
			e, err := piv.New(piv.Options{}).Enroll(t.Context(), r)
			if c.code != "" {
				conformance.Code(t, err, c.code)
				if len(card.Slots()) != 0 {
					t.Error("keys were made")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := c.name[:min(7, len(c.name))] == "factory"; slices.Contains(e.Warnings, tokens.WarnFactoryKey) != want {
				t.Errorf("warnings %v", e.Warnings)
			}
			agrees(t, e, vpiv.FactoryPIN)
		})
	}
}

func TestWarnings(t *testing.T) {
	fresh := mustEnrollOn(t, vpiv.YubiKey(5, 4, 3), vpiv.FactoryPIN)
	for _, w := range []tokens.Warning{tokens.WarnFactoryPIN, tokens.WarnFactoryPUK, tokens.WarnFactoryKey} {
		if !slices.Contains(fresh.Warnings, w) {
			t.Errorf("no warning %s in %v", w, fresh.Warnings)
		}
	}
	o := vpiv.YubiKey(5, 4, 3)
	o.PIN, o.PUK, o.ManagementKey = "445566", "99887766", bytes.Repeat([]byte{7, 8, 9}, 8)
	card := insert(t, o, 0)
	r := enrollRequest()
	r.PIN, r.ManagementKey = []byte(o.PIN), o.ManagementKey
	if e := mustEnroll(t, r); len(e.Warnings) != 0 {
		t.Errorf("warnings %v", e.Warnings)
	}
	if card.PINVerified() {
		t.Error("the card was left authenticated")
	}
}

func mustEnrollOn(t *testing.T, o vpiv.Options, pin string) tokens.Enrollment {
	t.Helper()
	insert(t, o, 0)
	r := enrollRequest()
	r.PIN = []byte(pin)
	return mustEnroll(t, r)
}
