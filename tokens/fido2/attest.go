package fido2

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/tokens"
)

// statement is a key's attestation of a new credential (WebAuthn, section 6.5.4),
// as far as the binding hands it out: of the certificates the first alone.
type statement struct {
	format         string
	auth           *authData
	clientDataHash []byte
	signature      []byte
	certificate    []byte // DER; empty where the key signed for itself
}

// purpose is the organisational unit of certificates that are for attesting
// (WebAuthn, section 8.2.1): a root may sign others.
const purpose = "Authenticator Attestation"

// maxCertificate is the longest certificate looked at, in bytes.
const maxCertificate = 16 << 10

// vouched returns what the key's maker vouches for, nil where a key says nothing
// that can be checked. Verified is whether one of the roots signed the key's own
// certificate: a chain with certificates in between cannot be followed.
func (s statement) vouched(roots [][]byte) *tokens.Attestation {
	if s.format != "packed" {
		return nil
	}
	out := &tokens.Attestation{Model: modelID(s.auth.aaguid)}
	if len(s.certificate) == 0 {
		if !s.auth.signed(s.auth.credential, s.clientDataHash, s.signature) {
			return nil
		}
		return out
	}
	if len(s.certificate) > maxCertificate {
		return nil
	}
	cert, err := x509.ParseCertificate(s.certificate)
	if err != nil || !s.signedBy(cert) || !fit(cert, s.auth.aaguid) {
		return nil
	}
	out.Maker = maker(cert)
	out.Verified = slices.Contains(cert.Subject.OrganizationalUnit, purpose) && rooted(cert, roots)
	return out
}

// signedBy checks the statement's signature (WebAuthn, section 8.2). The binding
// does not tell the algorithm; the certificate's key leaves one.
func (s statement) signedBy(cert *x509.Certificate) bool {
	var alg x509.SignatureAlgorithm
	switch cert.PublicKey.(type) {
	case *ecdsa.PublicKey:
		alg = x509.ECDSAWithSHA256
	case *rsa.PublicKey:
		alg = x509.SHA256WithRSA
	case ed25519.PublicKey:
		alg = x509.PureEd25519
	default:
		return false
	}
	return cert.CheckSignature(alg, append(bytes.Clone(s.auth.raw), s.clientDataHash...), s.signature) == nil
}

// fit says whether a certificate may attest to that model (WebAuthn, section
// 8.2.1).
func fit(cert *x509.Certificate, aaguid [16]byte) bool {
	if cert.Version != 3 || cert.IsCA {
		return false
	}
	// id-fido-gen-ce-aaguid: an octet string within the extension's own.
	id := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}
	at := slices.IndexFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(id) })
	if at < 0 {
		return true
	}
	var told []byte
	rest, err := asn1.Unmarshal(cert.Extensions[at].Value, &told)
	return err == nil && len(rest) == 0 && bytes.Equal(told, aaguid[:])
}

// maker names who made the key.
func maker(cert *x509.Certificate) string {
	for _, names := range [][]string{cert.Subject.Organization, {cert.Issuer.CommonName}, {cert.Subject.CommonName}} {
		if len(names) > 0 && names[0] != "" {
			return names[0]
		}
	}
	return "unnamed"
}

// rooted says whether one of the roots signed the certificate. It was valid when
// the key was made, which is what counts: nobody renews it.
func rooted(cert *x509.Certificate, roots [][]byte) bool {
	pool := x509.NewCertPool()
	for _, der := range roots {
		if root, err := x509.ParseCertificate(der); err == nil {
			pool.AddCert(root)
		}
	}
	_, err := cert.Verify(x509.VerifyOptions{
		Roots: pool, CurrentTime: cert.NotBefore.Add(time.Second), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err == nil
}

// modelID writes an AAGUID as it is written everywhere.
func modelID(a [16]byte) string {
	h := hex.EncodeToString(a[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
