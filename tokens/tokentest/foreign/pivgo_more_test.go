//go:build linux && cgo

package foreign

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-piv/piv-go/v2/piv"

	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// triesLeft wants err to say how many tries are left.
func triesLeft(t *testing.T, err error, want int) {
	t.Helper()
	var wrong piv.AuthErr
	if !errors.As(err, &wrong) || wrong.Retries != want {
		t.Errorf("%v, where %d tries should be left", err, want)
	}
}

func TestPIVGoPINs(t *testing.T) {
	o := vpiv.YubiKey(5, 4, 3)
	o.PINTries = 5
	card := insert(t, o)
	yk := open(t)
	if n, err := yk.Retries(); err != nil || n != 5 {
		t.Errorf("%d tries: %v", n, err)
	}
	for left := 4; left >= 0; left-- {
		triesLeft(t, yk.VerifyPIN("111111"), left)
	}
	triesLeft(t, yk.VerifyPIN(vpiv.FactoryPIN), 0)
	triesLeft(t, yk.Unblock("11111111", "654321"), 2)
	if err := yk.Unblock(vpiv.FactoryPUK, "654321"); err != nil {
		t.Error(err)
	}
	if err := yk.SetPIN("654321", "24682468"); err != nil {
		t.Error(err)
	}
	if err := yk.SetPUK(vpiv.FactoryPUK, "13571357"); err != nil {
		t.Error(err)
	}
	if err := yk.SetRetries(vpiv.FactoryManagementKey(), "24682468", 7, 8); err != nil {
		t.Error(err)
	}
	if card.PINTries() != 7 || card.PUKTries() != 8 {
		t.Errorf("%d and %d tries", card.PINTries(), card.PUKTries())
	}
	if err := yk.Reset(); err != nil {
		t.Error(err)
	}
	if card.PINTries() != 3 || card.Counts().Resets != 1 {
		t.Error("not reset")
	}
}

func TestPIVGoManagementKeyOnCard(t *testing.T) {
	for _, v := range []vpiv.Version{{4, 3, 5}, {5, 4, 3}, {5, 7, 1}} {
		t.Run(v.String(), func(t *testing.T) {
			insert(t, vpiv.YubiKey(v[0], v[1], v[2]))
			yk := open(t)
			key := bytes.Repeat([]byte{0x5A}, 24)
			if err := yk.SetManagementKey(vpiv.FactoryManagementKey(), key); err != nil {
				t.Fatal(err)
			}
			if err := yk.SetMetadata(key, &piv.Metadata{ManagementKey: &key}); err != nil {
				t.Fatal(err)
			}
			m, err := yk.Metadata(vpiv.FactoryPIN)
			if err != nil || m.ManagementKey == nil || !bytes.Equal(*m.ManagementKey, key) {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
}

func TestPIVGoCertificateAndImport(t *testing.T) {
	card := insert(t, vpiv.YubiKey(5, 7, 1))
	yk := open(t)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: strings.Repeat("long ", 100)},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	slot := piv.SlotKeyManagement
	if err := yk.SetCertificate(vpiv.FactoryManagementKey(), slot, cert); err != nil {
		t.Fatal(err)
	}
	if got, err := yk.Certificate(slot); err != nil || !got.Equal(cert) {
		t.Errorf("another certificate: %v", err)
	}
	policy := piv.Key{PINPolicy: piv.PINPolicyOnce, TouchPolicy: piv.TouchPolicyCached}
	if err := yk.SetPrivateKeyInsecure(vpiv.FactoryManagementKey(), slot, private, policy); err != nil {
		t.Fatal(err)
	}
	if err := agree(t, yk, slot, &private.PublicKey, piv.KeyAuth{PIN: vpiv.FactoryPIN, PINPolicy: piv.PINPolicyOnce}); err != nil {
		t.Error(err)
	}
	if info, err := yk.KeyInfo(slot); err != nil || info.Origin != piv.OriginImported || info.TouchPolicy != piv.TouchPolicyCached {
		t.Errorf("%+v, %v", info, err)
	}
	if n := card.Counts(); n.ECDHs != 1 || n.Imported != 1 || n.TouchesAsked != 1 {
		t.Errorf("counts %+v", n)
	}
	if _, err := yk.Attest(slot); !errors.Is(err, piv.ErrNotFound) {
		t.Errorf("an imported key is attested: %v", err)
	}
}

func TestPIVGoX25519(t *testing.T) {
	insert(t, vpiv.YubiKey(5, 7, 1))
	yk := open(t)
	slot := piv.SlotKeyManagement
	public, err := yk.GenerateKey(vpiv.FactoryManagementKey(), slot,
		piv.Key{Algorithm: piv.AlgorithmX25519, PINPolicy: piv.PINPolicyNever, TouchPolicy: piv.TouchPolicyNever})
	if err != nil {
		t.Fatal(err)
	}
	private, err := yk.PrivateKey(slot, public, piv.KeyAuth{PINPolicy: piv.PINPolicyNever})
	if err != nil {
		t.Fatal(err)
	}
	peer, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	got, err := private.(*piv.X25519PrivateKey).ECDH(peer.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	if want, err := peer.ECDH(public.(*ecdh.PublicKey)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("another shared secret: %v", err)
	}
	if _, err := yk.Attest(slot); err != nil {
		t.Error(err)
	}
}

func TestPIVGoPlainCard(t *testing.T) {
	insert(t, vpiv.PlainPIV())
	_, err := piv.Open(pcsc.Reader())
	var status interface{ Status() uint16 }
	if !errors.As(err, &status) || status.Status() != 0x6D00 {
		t.Errorf("a card without Yubico's version: %v", err)
	}
	// The failed Open keeps the reader until its process ends or pcscd does.
	if err := pcsc.RestartPCSCD(); err != nil {
		t.Fatal(err)
	}
}

func TestPIVGoSerialNumbers(t *testing.T) {
	for _, serial := range []uint32{0, 1<<31 + 5} {
		o := vpiv.YubiKey(5, 4, 3)
		o.Serial = serial
		card, err := vpiv.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := pcsc.Insert(card, 1); err != nil {
			t.Fatal(err)
		}
		yk, err := piv.Open(pcsc.Readers()[1])
		if err != nil {
			t.Fatal(err)
		}
		if got, err := yk.Serial(); err != nil || got != serial {
			t.Errorf("serial number %d, not %d: %v", got, serial, err)
		}
		if err := yk.Close(); err != nil {
			t.Error(err)
		}
		if err := pcsc.Remove(1); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPIVGoInterrupted pulls the card, and kills pcscd, while a touch is waited
// for; both end the call at once, and the same card works afterwards.
func TestPIVGoInterrupted(t *testing.T) {
	card, err := vpiv.New(vpiv.YubiKey(5, 4, 3))
	if err != nil {
		t.Fatal(err)
	}
	if err := pcsc.Insert(card, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pcsc.Remove(0) }) // it may be out
	interruptions := map[string][2]func() error{
		"pulled": {func() error { return pcsc.Remove(0) }, func() error { return pcsc.Insert(card, 0) }},
		"killed": {pcsc.KillPCSCD, pcsc.StartPCSCD},
	}
	for name, i := range interruptions {
		t.Run(name, func(t *testing.T) {
			card.SetTouch(vpiv.TouchYes)
			yk := open(t)
			slot := piv.SlotKeyManagement
			public, err := yk.GenerateKey(vpiv.FactoryManagementKey(), slot,
				piv.Key{Algorithm: piv.AlgorithmEC256, PINPolicy: piv.PINPolicyNever, TouchPolicy: piv.TouchPolicyAlways})
			if err != nil {
				t.Fatal(err)
			}
			card.SetTouch(vpiv.TouchNever)
			asked := card.Counts().TouchesAsked
			ended := make(chan error, 1)
			p := public.(*ecdsa.PublicKey)
			go func() { ended <- agree(t, yk, slot, p, piv.KeyAuth{PINPolicy: piv.PINPolicyNever}) }()
			for card.Counts().TouchesAsked == asked {
				time.Sleep(time.Millisecond)
			}
			if err := i[0](); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				if err == nil {
					t.Error("the key was used without a touch")
				}
			case <-time.After(5 * time.Second):
				t.Fatal("the call goes on without a card")
			}
			_ = yk.Close() // the handle is dead
			if err := i[1](); err != nil {
				t.Fatal(err)
			}
			card.SetTouch(vpiv.TouchYes)
			if err := agree(t, open(t), slot, p, piv.KeyAuth{PINPolicy: piv.PINPolicyNever}); err != nil {
				t.Error(err)
			}
		})
	}
}
