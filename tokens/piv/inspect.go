//go:build windows || (cgo && (linux || darwin))

package piv

import (
	"bytes"
	"context"
	"crypto/x509"
	"strconv"

	gopiv "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokenbridge/tokend/tokens"
)

// Inspect implements tokens.Inspector. Factory PIN and PUK are told by firmware
// 5.3 and later alone: nothing is tried that would cost a try. The management
// key costs none, so the factory's is tried.
func (d *Driver) Inspect(ctx context.Context, locator string) (out tokens.Details, err error) {
	s, err := d.read(ctx, locator)
	if err != nil {
		return tokens.Details{}, err
	}
	defer func() {
		if cerr := s.close(); cerr != nil && err == nil {
			err = cerr
		}
	}()
	out = tokens.Details{PUKTries: -1}
	if out.Token, err = s.token(); err != nil {
		return out, err
	}
	if out.PINTries, err = s.pinTries(); err != nil {
		return out, err
	}
	if err := s.references(&out); err != nil {
		return out, err
	}
	alg, factory, touch, err := s.managementAlgorithm()
	if err != nil {
		return out, err
	}
	if out.FactoryKey = factory; !factory && !touch {
		if out.FactoryKey, err = s.authenticate(alg, gopiv.DefaultManagementKey); err != nil {
			return out, err
		}
	}
	if err := s.markMade(out.Token.Keys); err != nil {
		return out, err
	}
	out.Attestation, err = s.vouch(out.Token.Keys, nil)
	return out, err
}

// markMade looks which of the keys an enrolment made.
func (s *session) markMade(keys []tokens.SlotKey) error {
	for i := range keys {
		slot, err := parseSlot(keys[i].Slot)
		if err != nil {
			return err
		}
		cert, err := s.certificate(slot)
		if err := s.refused(err); err != nil {
			return err
		}
		keys[i].Made = made(cert, keys[i].Slot, &keys[i])
	}
	return nil
}

// references fills in what metadata tells of PIN and PUK.
func (s *session) references(out *tokens.Details) error {
	if !s.atLeast(5, 3) {
		return nil
	}
	pin, err := s.metadata(0x80)
	if err := s.refused(err); err != nil {
		return err
	}
	if err == nil {
		out.FactoryPIN = pin.factory
		if pin.tries >= 0 {
			out.PINTries = pin.tries
		}
	}
	puk, err := s.metadata(0x81)
	if err := s.refused(err); err != nil {
		return err
	}
	if err == nil {
		out.FactoryPUK, out.PUKTries = puk.factory, puk.tries
	}
	return nil
}

// vouch asks the card to attest to its keys, marks those it vouches for, and
// says whose word that is; nil where the card attests to none. The word of roots
// (DER) counts beside Yubico's.
func (s *session) vouch(keys []tokens.SlotKey, roots [][]byte) (*tokens.Attestation, error) {
	if !s.atLeast(4, 3) {
		return nil, nil
	}
	issuer, err := s.certificate(gopiv.Slot{Key: 0xf9, Object: 0x5fff01})
	if err != nil || issuer == nil {
		return nil, s.refused(err)
	}
	var out *tokens.Attestation
	for i := range keys {
		k := &keys[i]
		slot, err := parseSlot(k.Slot)
		if err != nil {
			return nil, err
		}
		cert, err := s.attestation(slot)
		if err := s.refused(err); err != nil {
			return nil, err
		}
		if err != nil || cert == nil {
			continue
		}
		told, ok := attestedKey(slot, cert)
		if !ok || !bytes.Equal(told.Public, k.Public) || issuer.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) != nil {
			continue
		}
		k.PINPolicy, k.TouchPolicy, k.Attested = told.PINPolicy, told.TouchPolicy, told.Attested
		if out == nil {
			out = &tokens.Attestation{Maker: signerOf(issuer)}
		}
		var a *gopiv.Attestation
		if err := calmly(func() (err error) {
			a, err = verify(issuer, cert, roots)
			return err
		}); err == nil {
			out.Verified = true
			out.Serial = strconv.FormatUint(uint64(a.Serial), 10)
			out.Firmware = firmwareOf(a.Version)
		}
	}
	return out, nil
}

// verify makes sure that a chain ends at Yubico's root or one of roots.
func verify(issuer, cert *x509.Certificate, roots [][]byte) (*gopiv.Attestation, error) {
	a, err := gopiv.Verify(issuer, cert)
	if err == nil || len(roots) == 0 {
		return a, err
	}
	pool := x509.NewCertPool()
	for _, der := range roots {
		root, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, tokens.Errorf(tokens.CodeInvalid, "a root of attestations is no certificate")
		}
		pool.AddCert(root)
	}
	return (&gopiv.Verifier{Roots: pool}).Verify(issuer, cert)
}

// signerOf is who made the card, as the certificate of its attesting key names
// him; empty for a card that signed for itself.
func signerOf(issuer *x509.Certificate) string {
	if bytes.Equal(issuer.RawIssuer, issuer.RawSubject) {
		return ""
	}
	if issuer.Issuer.CommonName != "" {
		return issuer.Issuer.CommonName
	}
	return issuer.Issuer.String()
}

func firmwareOf(v gopiv.Version) string {
	return strconv.Itoa(v.Major) + "." + strconv.Itoa(v.Minor) + "." + strconv.Itoa(v.Patch)
}
