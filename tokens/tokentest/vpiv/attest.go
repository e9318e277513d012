package vpiv

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"
)

// The validity of everything the maker signs.
func attestationTimes() (from, until time.Time) {
	return time.Date(2016, 3, 14, 0, 0, 0, 0, time.UTC), time.Date(2052, 4, 17, 0, 0, 0, 0, time.UTC)
}

// makeAttestationKey does what the maker does: a root of its own for each card,
// and under it the card's key F9 with a certificate in object 5FFF01.
func (c *Card) makeAttestationKey() error {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("cannot make the attestation root: %w", err)
	}
	from, until := attestationTimes()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Virtual PIV Root CA"},
		NotBefore: from, NotAfter: until, IsCA: true, BasicConstraintsValid: true, MaxPathLen: 1,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, rootKey.Public(), rootKey)
	if err != nil {
		return fmt.Errorf("cannot make the attestation root: %w", err)
	}
	if c.root, err = x509.ParseCertificate(der); err != nil {
		return fmt.Errorf("cannot read the attestation root: %w", err)
	}
	if !c.hasSlot(slotAttestation) {
		return nil
	}
	k, err := generate(AlgP256)
	if err != nil {
		return fmt.Errorf("cannot make the attestation key: %w", err)
	}
	k.pin, k.touch = pinNever, touchNever
	t = &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Yubico PIV Attestation"},
		NotBefore: from, NotAfter: until, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	if der, err = x509.CreateCertificate(rand.Reader, t, c.root, k.publicKey(), rootKey); err != nil {
		return fmt.Errorf("cannot make the attestation certificate: %w", err)
	}
	c.keys[slotAttestation] = k
	c.objects[objectAttestation] = append(tlv(0x70, der), 0x71, 1, 0, 0xFE, 0)
	return nil
}

// AttestationRoot is the certificate at the end of the card's attestations, as
// the maker would publish it. It is not Yubico's.
func (c *Card) AttestationRoot() *x509.Certificate { return c.root }

// attest is Yubico's ATTEST: a certificate on the key in the slot, signed by
// the key in F9.
func (c *Card) attest(cmd command) ([]byte, status) {
	k, signer := c.keys[cmd.p1], c.keys[slotAttestation]
	if cmd.p2 != 0 || k == nil || k.origin != originGenerated || cmd.p1 == slotAttestation {
		return nil, swWrongData
	}
	if signer == nil || signer.private == nil {
		return nil, swConditions
	}
	der, _ := findTLV(c.objects[objectAttestation], 0x70)
	issuer, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, swConditions
	}
	from, until := attestationTimes()
	t := &x509.Certificate{
		SerialNumber:    new(big.Int).SetBytes(append([]byte{1}, random(15)...)),
		Subject:         pkix.Name{CommonName: fmt.Sprintf("YubiKey PIV Attestation %02x", cmd.p1)},
		NotBefore:       from,
		NotAfter:        until,
		ExtraExtensions: c.attestationExtensions(k),
	}
	out, err := certify(t, issuer, k.publicKey(), signer.private)
	if err != nil {
		return nil, swInternalProblem
	}
	return out, swOK
}

// certify is x509.CreateCertificate, which cannot certify X25519 keys: it makes
// the certificate for an Ed25519 key of the same bytes, whose encoding differs
// in the last byte of its object identifier (RFC 8410, section 3), puts that
// right and signs again.
func certify(t, issuer *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) ([]byte, error) {
	x, ok := public.(*ecdh.PublicKey)
	if !ok {
		return x509.CreateCertificate(rand.Reader, t, issuer, public, signer)
	}
	raw := x.Bytes()
	der, err := x509.CreateCertificate(rand.Reader, t, issuer, ed25519.PublicKey(raw), signer)
	if err != nil {
		return nil, err
	}
	var cert struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &cert); err != nil {
		return nil, err
	}
	const before = "\x06\x03\x2B\x65" // the object identifier but for its end
	spki := func(last byte) []byte {
		return append([]byte(before), append([]byte{last, 0x03, 0x21, 0x00}, raw...)...)
	}
	cert.TBS.FullBytes = bytes.Replace(cert.TBS.FullBytes, spki(0x70), spki(0x6E), 1)
	hash := crypto.SHA256
	if k, ok := signer.Public().(*ecdsa.PublicKey); ok && k.Curve == elliptic.P384() {
		hash = crypto.SHA384
	}
	digest := hash.New()
	digest.Write(cert.TBS.FullBytes)
	signature, err := signer.Sign(rand.Reader, digest.Sum(nil), hash)
	if err != nil {
		return nil, err
	}
	cert.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	return asn1.Marshal(cert)
}

// attestationExtensions are Yubico's: firmware, serial number, policies, form
// factor (a keychain with USB-A).
func (c *Card) attestationExtensions(k *key) []pkix.Extension {
	ext := func(n int, v []byte) pkix.Extension {
		return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, n}, Value: v}
	}
	out := []pkix.Extension{ext(3, c.opts.Version[:])}
	if !c.opts.NoSerial {
		if serial, err := asn1.Marshal(int64(c.opts.Serial)); err == nil {
			out = append(out, ext(7, serial))
		}
	}
	out = append(out, ext(8, []byte{k.pin, k.touch}))
	if c.opts.Version.AtLeast(5, 0, 0) {
		out = append(out, ext(9, []byte{formFactor}))
	}
	return out
}
