//go:build windows || (cgo && (linux || darwin))

package piv

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/tokens"
)

// organization is the subject's of every certificate that we write.
const organization = "tokend"

// sparePrefix begins the name on a certificate that marks a slot as free: Wipe
// writes it where a key can only be replaced, not removed.
const sparePrefix = "tokend unused slot "

// slotCertificate makes the certificate by which a card without metadata tells
// the key in a slot. Nobody is to trust it: an ephemeral key signs it.
func slotCertificate(now time.Time, name string, public *ecdsa.PublicKey) (*x509.Certificate, error) {
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	number, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 119))
	if err != nil {
		return nil, err
	}
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: organization}}
	t := &x509.Certificate{
		SerialNumber: number.Add(number, big.NewInt(1)),
		Subject:      pkix.Name{Organization: []string{organization}, CommonName: name},
		NotBefore:    now.Add(-24 * time.Hour).UTC(),
		// RFC 5280, 4.1.2.5: no well-defined end.
		NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage: x509.KeyUsageKeyAgreement,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, issuer, public, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// made says whether a slot's certificate tells that an enrolment made the key k
// there. A certificate that the user put in its place, or a key that he did, is
// none of ours.
func made(cert *x509.Certificate, slot string, k *tokens.SlotKey) bool {
	if cert == nil || k == nil || cert.Subject.CommonName != madeName(slot) || !slices.Contains(cert.Subject.Organization, organization) {
		return false
	}
	_, point, ok := publicPoint(cert.PublicKey)
	return ok && bytes.Equal(point, k.Public)
}

// madeName is the name on the certificate of a key that was made in a slot.
func madeName(slot string) string { return "tokend slot " + slot }

// spare says whether a slot's certificate marks its key as one that nobody has
// use for. k is what else is known of the key, which must be the same one.
func spare(cert *x509.Certificate, k *tokens.SlotKey) bool {
	if cert == nil || !strings.HasPrefix(cert.Subject.CommonName, sparePrefix) {
		return false
	}
	_, point, ok := publicPoint(cert.PublicKey)
	return ok && k != nil && bytes.Equal(point, k.Public)
}
