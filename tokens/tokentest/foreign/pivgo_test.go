//go:build linux && cgo

package foreign

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"

	"github.com/go-piv/piv-go/v2/piv"

	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// open opens the card with piv-go, for the length of the test at most.
func open(t *testing.T) *piv.YubiKey {
	t.Helper()
	yk, err := piv.Open(pcsc.Reader())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = yk.Close() }) // closing it twice is harmless
	return yk
}

// agree does an ECDH on the card and compares it with the same ECDH here.
func agree(t *testing.T, yk *piv.YubiKey, slot piv.Slot, public *ecdsa.PublicKey, auth piv.KeyAuth) error {
	t.Helper()
	private, err := yk.PrivateKey(slot, public, auth)
	if err != nil {
		return err
	}
	peer, err := ecdsa.GenerateKey(public.Curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	got, err := private.(*piv.ECDSAPrivateKey).ECDH(mustECDH(t, peer).PublicKey())
	if err != nil {
		return err
	}
	theirs, err := public.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	want, err := mustECDH(t, peer).ECDH(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("the card's shared secret is another one")
	}
	return nil
}

func mustECDH(t *testing.T, k *ecdsa.PrivateKey) *ecdh.PrivateKey {
	t.Helper()
	e, err := k.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestPIVGo(t *testing.T) {
	for _, v := range []vpiv.Version{{4, 3, 5}, {5, 2, 7}, {5, 4, 3}, {5, 7, 1}} {
		t.Run(v.String(), func(t *testing.T) { pivGo(t, v) })
	}
}

func pivGo(t *testing.T, v vpiv.Version) {
	card := insert(t, vpiv.YubiKey(v[0], v[1], v[2]))
	yk := open(t)
	if got := yk.Version(); fmt.Sprintf("%d.%d.%d", got.Major, got.Minor, got.Patch) != v.String() {
		t.Errorf("version %v, not %v", got, v)
	}
	if serial, err := yk.Serial(); err != nil || serial != card.Options().Serial {
		t.Errorf("serial %d, %v", serial, err)
	}
	session, ok := piv.RetiredKeyManagementSlot(0x82)
	touch, ok2 := piv.RetiredKeyManagementSlot(0x83)
	if !ok || !ok2 {
		t.Fatal("piv-go has no retired slots")
	}
	t.Run("session key", func(t *testing.T) { sessionKey(t, yk, card, session) })
	t.Run("touch key", func(t *testing.T) { touchKey(t, yk, card, touch) })
	t.Run("metadata", func(t *testing.T) {
		info, err := yk.KeyInfo(session)
		if !v.AtLeast(5, 3, 0) {
			if err == nil {
				t.Error("firmware before 5.3 has no metadata")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if info.Origin != piv.OriginGenerated || info.PINPolicy != piv.PINPolicyOnce || info.Algorithm != piv.AlgorithmEC256 {
			t.Errorf("metadata %+v", info)
		}
	})
}

func sessionKey(t *testing.T, yk *piv.YubiKey, card *vpiv.Card, slot piv.Slot) {
	pub, err := yk.GenerateKey(vpiv.FactoryManagementKey(), slot,
		piv.Key{Algorithm: piv.AlgorithmEC256, PINPolicy: piv.PINPolicyOnce, TouchPolicy: piv.TouchPolicyNever})
	if err != nil {
		t.Fatal(err)
	}
	p := pub.(*ecdsa.PublicKey)
	if err := agree(t, yk, slot, p, piv.KeyAuth{PINPolicy: piv.PINPolicyNever}); err == nil {
		t.Error("the key was used without its PIN")
	}
	if err := agree(t, yk, slot, p, piv.KeyAuth{PIN: vpiv.FactoryPIN, PINPolicy: piv.PINPolicyOnce}); err != nil {
		t.Error(err)
	}
	if err := agree(t, yk, slot, p, piv.KeyAuth{PINPolicy: piv.PINPolicyNever}); err != nil {
		t.Errorf("the PIN was not remembered: %v", err)
	}
	attested(t, yk, card, slot, p, piv.PINPolicyOnce, piv.TouchPolicyNever)
}

func touchKey(t *testing.T, yk *piv.YubiKey, card *vpiv.Card, slot piv.Slot) {
	pub, err := yk.GenerateKey(vpiv.FactoryManagementKey(), slot,
		piv.Key{Algorithm: piv.AlgorithmEC384, PINPolicy: piv.PINPolicyNever, TouchPolicy: piv.TouchPolicyAlways})
	if err != nil {
		t.Fatal(err)
	}
	p := pub.(*ecdsa.PublicKey)
	if p.Curve != elliptic.P384() {
		t.Error("wrong curve")
	}
	before := card.Counts()
	if err := agree(t, yk, slot, p, piv.KeyAuth{PINPolicy: piv.PINPolicyNever}); err != nil {
		t.Error(err)
	}
	card.SetTouch(vpiv.TouchNo)
	err = agree(t, yk, slot, p, piv.KeyAuth{PINPolicy: piv.PINPolicyNever})
	var status interface{ Status() uint16 }
	if !errors.As(err, &status) || status.Status() != 0x6982 {
		t.Errorf("a touch refused: %v", err)
	}
	card.SetTouch(vpiv.TouchYes)
	after := card.Counts()
	if after.TouchesAsked-before.TouchesAsked != 2 || after.ECDHs-before.ECDHs != 1 || after.PINsSeen != before.PINsSeen {
		t.Errorf("counts went from %+v to %+v", before, after)
	}
	attested(t, yk, card, slot, p, piv.PINPolicyNever, piv.TouchPolicyAlways)
}

// attested checks the attestation of a slot against the card's own root.
func attested(t *testing.T, yk *piv.YubiKey, card *vpiv.Card, slot piv.Slot, public *ecdsa.PublicKey, pin piv.PINPolicy, touch piv.TouchPolicy) {
	t.Helper()
	cert, err := yk.Attest(slot)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := yk.AttestationCertificate()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(card.AttestationRoot())
	a, err := (&piv.Verifier{Roots: roots}).Verify(issuer, cert)
	if err != nil {
		t.Fatal(err)
	}
	if !public.Equal(cert.PublicKey) || a.PINPolicy != pin || a.TouchPolicy != touch || a.Slot != slot || a.Serial != card.Options().Serial {
		t.Errorf("attestation %+v", a)
	}
	if _, err := piv.Verify(issuer, cert); err == nil {
		t.Error("a virtual card passes for a real one")
	}
}
