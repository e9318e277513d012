package remote

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"
)

// keyBlock is the type of the PEM block that a key is kept in.
const keyBlock = "PRIVATE KEY"

// MaxKey is how many bytes the text of a key has at most.
const MaxKey = 4096

// NewKey makes an ECDSA key on P-256, as PEM text (PKCS #8).
func NewKey(random io.Reader) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, fmt.Errorf("cannot make a key: %w", err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("cannot write a key: %w", err)
	}
	defer clear(raw)
	return pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: raw}), nil
}

// certificateLife is how long a certificate says that it is good. Nobody looks at
// that, for the key alone is pinned; it is made anew at each start.
const certificateLife = 10 * 365 * 24 * time.Hour

// Certificate makes a certificate, signed by itself, of a key that NewKey made,
// and returns it with its SubjectPublicKeyInfo, whose SHA-256 is what clients pin:
// it stays the same as long as the key does. Errors hold nothing of the key.
func Certificate(text []byte, random io.Reader, now time.Time) (cert tls.Certificate, spki []byte, err error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != keyBlock || len(rest) > 0 || len(text) > MaxKey {
		return cert, nil, errors.New("it is not one private key in PEM form")
	}
	defer clear(block.Bytes)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return cert, nil, errors.New("it is not a private key in PKCS #8 form")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return cert, nil, errors.New("it is not an ECDSA key on P-256")
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tokend authority"}, DNSNames: []string{"tokend.invalid"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(certificateLife), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(random, template, template, key.Public(), key)
	if err != nil {
		return cert, nil, fmt.Errorf("cannot make a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return cert, nil, fmt.Errorf("cannot read the certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, leaf.RawSubjectPublicKeyInfo, nil
}
