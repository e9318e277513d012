package fido2

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// TestACertificateForSomethingElse: who is given for a root and signs more than
// keys (a company's authority, say) vouches by those certificates alone that are
// for attesting.
func TestACertificateForSomethingElse(t *testing.T) {
	root, rootKey := certify(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, nil)
	for unit, want := range map[string]bool{purpose: true, "Web servers": false, "": false} {
		for _, ca := range []bool{false, true} {
			name := pkix.Name{CommonName: "leaf"}
			if unit != "" {
				name.OrganizationalUnit = []string{unit}
			}
			leaf, key := certify(t, &x509.Certificate{Subject: name, BasicConstraintsValid: true, IsCA: ca}, root, rootKey)
			s := statement{format: "packed", auth: &authData{raw: []byte("data")}, clientDataHash: make([]byte, 32), certificate: leaf.Raw}
			sum := sha256.Sum256(append([]byte("data"), s.clientDataHash...))
			var err error
			if s.signature, err = ecdsa.SignASN1(rand.Reader, key, sum[:]); err != nil {
				t.Fatal(err)
			}
			got := s.vouched([][]byte{root.Raw})
			if (got != nil && got.Verified) != (want && !ca) {
				t.Errorf("unit %q, authority %t: vouched %+v", unit, ca, got)
			}
		}
	}
}

// certify makes a certificate, signed by parent or by itself.
func certify(t *testing.T, c, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(1), time.Unix(0, 0), time.Unix(1<<32, 0)
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}
