package vfido

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"
)

// Maker makes keys: its root certificate is above their attestations.
type Maker struct {
	name string
	key  *ecdsa.PrivateKey
	root *x509.Certificate
}

// NewMaker makes a maker of that name with a root certificate of its own.
func NewMaker(name string) (*Maker, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make a root key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Country: []string{"SE"}, Organization: []string{name}, CommonName: name + " FIDO Root"},
		NotBefore: notBefore(), NotAfter: notAfter(),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	root, err := issue(template, template, key, key)
	if err != nil {
		return nil, err
	}
	return &Maker{name, key, root}, nil
}

// Root is the maker's root certificate.
func (m *Maker) Root() *x509.Certificate { return m.root }

// Certificates are good for all times that tests could set their clocks to.
func notBefore() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }
func notAfter() time.Time  { return time.Date(2099, 12, 31, 0, 0, 0, 0, time.UTC) }

func issue(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// attestationKey is what the maker put into a key.
type attestationKey struct {
	private     *ecdsa.PrivateKey
	certificate *x509.Certificate
	root        *x509.Certificate
}

// newAttestationKey makes a key and a certificate as WebAuthn section 8.2.1
// wants it.
func newAttestationKey(o Options) (*attestationKey, error) {
	maker := o.Maker
	if maker == nil {
		var err error
		if maker, err = NewMaker("Virtual FIDO"); err != nil {
			return nil, err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make an attestation key: %w", err)
	}
	model, err := asn1.Marshal(o.AAGUID[:])
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(random(8)),
		Subject: pkix.Name{
			Country: []string{"SE"}, Organization: []string{maker.name},
			OrganizationalUnit: []string{"Authenticator Attestation"}, CommonName: maker.name + " key",
		},
		NotBefore: notBefore(), NotAfter: notAfter(), BasicConstraintsValid: true,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}, Value: model}},
	}
	certificate, err := issue(template, maker.root, key, maker.key)
	if err != nil {
		return nil, err
	}
	return &attestationKey{key, certificate, maker.root}, nil
}

// AttestationRoot is the root certificate above the key's attestations, with
// AttestationMaker.
func (k *Key) AttestationRoot() *x509.Certificate { return k.attestation.root }

// AttestationCertificate is the certificate in the key's attestations, with
// AttestationMaker.
func (k *Key) AttestationCertificate() *x509.Certificate { return k.attestation.certificate }

// sign signs with the maker's key.
func (a *attestationKey) sign(parts ...[]byte) ([]byte, Status) {
	h := sha256.Sum256(bytes.Join(parts, nil))
	signature, err := ecdsa.SignASN1(rand.Reader, a.private, h[:])
	if err != nil {
		return nil, StatusOther
	}
	return signature, StatusOK
}

// attest makes the attestation statement for new authenticator data.
func (k *Key) attest(c *credential, data, hash []byte) (format string, statement map[string]any, s Status) {
	var signature []byte
	switch k.opts.Attestation {
	case AttestationNone:
		return "none", map[string]any{}, StatusOK
	case AttestationSelf:
		signature, s = c.sign(data, hash)
		return "packed", map[string]any{"alg": c.alg, "sig": signature}, s
	default:
		signature, s = k.attestation.sign(data, hash)
		return "packed", map[string]any{
			"alg": AlgES256, "sig": signature, "x5c": [][]byte{k.attestation.certificate.Raw},
		}, s
	}
}
