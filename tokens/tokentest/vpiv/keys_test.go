package vpiv

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"testing"
)

// use does GENERAL AUTHENTICATE and returns the response.
func (c client) use(alg, slot byte, tag int, input []byte) []byte {
	c.t.Helper()
	out := c.must(insAuthenticate, alg, slot, tlv(tagDynamic, tlv(tagResponse), tlv(tag, input)))
	template, _ := findTLV(out, tagDynamic)
	response, ok := findTLV(template, tagResponse)
	if !ok {
		c.t.Fatalf("no response in %x", out)
	}
	return response
}

func TestECDH(t *testing.T) {
	c := newClient(t, YubiKey(5, 7, 1))
	c.manage()
	for alg, curve := range map[byte]ecdh.Curve{AlgP256: ecdh.P256(), AlgP384: ecdh.P384(), AlgX25519: ecdh.X25519()} {
		body := c.generate(0x95, alg, pinNever, touchNever)
		raw, _ := findTLV(body, 0x86)
		public, err := curve.NewPublicKey(raw)
		if err != nil {
			t.Fatal(err)
		}
		mine, err := curve.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		want, err := mine.ECDH(public)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.use(alg, 0x95, tagExponentiate, mine.PublicKey().Bytes()); !bytes.Equal(got, want) {
			t.Errorf("algorithm %02x: another shared secret", alg)
		}
		other := AlgP256
		if alg == AlgP256 {
			other = AlgP384
		}
		c.want(swWrongData, insAuthenticate, other, 0x95, tlv(tagDynamic, tlv(tagExponentiate, mine.PublicKey().Bytes())))
		off := mine.PublicKey().Bytes()
		if alg != AlgX25519 {
			off[len(off)-1] ^= 1
			c.want(swWrongData, insAuthenticate, alg, 0x95, tlv(tagDynamic, tlv(tagExponentiate, off)))
		}
		c.want(swWrongData, insAuthenticate, alg, 0x95, tlv(tagDynamic, tlv(tagExponentiate)))
		c.want(swWrongData, insAuthenticate, alg, 0x95, tlv(tagDynamic))
		c.want(swWrongData, insAuthenticate, alg, 0x95)
	}
	if n := c.card.Counts(); n.ECDHs != 3 || n.Generated != 3 {
		t.Errorf("counts %+v", n)
	}
}

func TestSignatures(t *testing.T) {
	c := newClient(t, YubiKey(5, 7, 1))
	c.manage()
	digest := sha256.Sum256([]byte("message"))

	raw, _ := findTLV(c.generate(0x82, AlgP256, pinNever, touchNever), 0x86)
	ec, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if !ecdsa.VerifyASN1(ec, digest[:], c.use(AlgP256, 0x82, tagChallenge, digest[:])) {
		t.Error("ECDSA: wrong signature")
	}

	raw, _ = findTLV(c.generate(0x82, AlgEd25519, pinNever, touchNever), 0x86)
	message := []byte("a message of any length")
	if !ed25519.Verify(raw, message, c.use(AlgEd25519, 0x82, tagChallenge, message)) {
		t.Error("Ed25519: wrong signature")
	}

	body := c.generate(0x82, AlgRSA2048, pinNever, touchNever)
	n, _ := findTLV(body, 0x81)
	e, _ := findTLV(body, 0x82)
	// The card's part is the bare private operation; padding is its user's.
	block := make([]byte, 256)
	copy(block[256-len(message):], message)
	block[1] = 2
	power := new(big.Int).Exp(new(big.Int).SetBytes(block), new(big.Int).SetBytes(e), new(big.Int).SetBytes(n))
	if got := c.use(AlgRSA2048, 0x82, tagChallenge, power.FillBytes(make([]byte, 256))); !bytes.Equal(got, block) {
		t.Error("RSA: wrong decryption")
	}
	c.want(swWrongData, insAuthenticate, AlgRSA2048, 0x82, tlv(tagDynamic, tlv(tagChallenge, bytes.Repeat([]byte{0xFF}, 256))))
	c.want(swWrongData, insAuthenticate, AlgRSA2048, 0x82, tlv(tagDynamic, tlv(tagExponentiate, raw)))
}

func TestImport(t *testing.T) {
	c := newClient(t, YubiKey(5, 7, 1))
	digest := sha256.Sum256([]byte("message"))
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	scalar, err := ec.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	c.want(swNotSatisfied, insImport, AlgP384, 0x82, tlv(6, scalar))
	c.manage()
	c.want(swWrongData, insImport, AlgP384, 0x82, tlv(6, scalar[1:]))
	c.want(swWrongData, insImport, 0x99, 0x82, tlv(6, scalar))
	c.want(swWrongP1P2, insImport, AlgP384, 0x96, tlv(6, scalar))
	c.want(swWrongData, insImport, AlgP384, 0x82, tlv(6, scalar), tlv(0xAA, []byte{9}))
	c.must(insImport, AlgP384, 0x82, tlv(6, scalar), tlv(0xAA, []byte{pinNever}))
	if !ecdsa.VerifyASN1(&ec.PublicKey, digest[:], c.use(AlgP384, 0x82, tagChallenge, digest[:])) {
		t.Error("P-384: another key")
	}
	c.want(swWrongData, insAttest, 0x82, 0) // it came from outside

	x, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.must(insImport, AlgX25519, 0x83, tlv(8, x.Bytes()), tlv(0xAA, []byte{pinNever}))
	meta := c.must(insMetadata, 0, 0x83)
	inner, _ := findTLV(meta, 4)
	if raw, _ := findTLV(inner, 0x86); !bytes.Equal(raw, x.PublicKey().Bytes()) {
		t.Errorf("X25519: metadata %x", meta)
	}
	if origin, _ := findTLV(meta, 3); !bytes.Equal(origin, []byte{originImported}) {
		t.Errorf("origin %x", origin)
	}

	seed := random(ed25519.SeedSize)
	c.must(insImport, AlgEd25519, 0x84, tlv(7, seed), tlv(0xAA, []byte{pinNever}))
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	if !ed25519.Verify(public, digest[:], c.use(AlgEd25519, 0x84, tagChallenge, digest[:])) {
		t.Error("Ed25519: another key")
	}
	c.want(swWrongData, insImport, AlgEd25519, 0x84, tlv(7, seed[1:]))
	if n := c.card.Counts().Imported; n != 3 {
		t.Errorf("%d imported", n)
	}
}

func TestImportRSA(t *testing.T) {
	c := newClient(t, YubiKey(4, 3, 5))
	c.manage()
	digest := sha256.Sum256([]byte("message"))
	rk, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p, q := rk.Primes[0].FillBytes(make([]byte, 128)), rk.Primes[1].FillBytes(make([]byte, 128))
	c.must(insImport, AlgRSA2048, 0x85, tlv(1, p), tlv(2, q), tlv(0xAA, []byte{pinNever}))
	block := append([]byte{0, 1}, bytes.Repeat([]byte{0xFF}, 202)...)
	info := append([]byte{0}, append(unhex(t, "3031300d060960864801650304020105000420"), digest[:]...)...)
	block = append(block, info...)
	if err := rsa.VerifyPKCS1v15(&rk.PublicKey, crypto.SHA256, digest[:], c.use(AlgRSA2048, 0x85, tagChallenge, block)); err != nil {
		t.Errorf("RSA: %v", err)
	}
	c.want(swWrongData, insImport, AlgRSA2048, 0x85, tlv(1, p), tlv(2, p[1:]))
	c.want(swWrongData, insImport, AlgRSA2048, 0x85, tlv(1, make([]byte, 128)), tlv(2, make([]byte, 128)))
	if n := c.card.Counts().Imported; n != 1 {
		t.Errorf("%d imported", n)
	}
}

func TestMoveAndDelete(t *testing.T) {
	c := newClient(t, YubiKey(5, 7, 1))
	c.want(swNotSatisfied, insMoveKey, 0x83, 0x82)
	c.manage()
	before := c.generate(0x82, AlgP256, pinNever, touchNever)
	c.must(insMoveKey, 0x83, 0x82)
	c.want(swNoReference, insMoveKey, 0x84, 0x82)
	c.want(swNoReference, insMetadata, 0, 0x82)
	meta := c.must(insMetadata, 0, 0x83)
	if after, _ := findTLV(meta, 4); !bytes.Equal(before, after) {
		t.Error("another key arrived")
	}
	c.generate(0x82, AlgP256, pinNever, touchNever)
	c.want(swWrongData, insMoveKey, 0x83, 0x82)
	c.want(swWrongP1P2, insMoveKey, slotAttestation, 0x82)
	c.want(swWrongP1P2, insMoveKey, 0x84, slotAttestation)
	c.must(insMoveKey, 0xFF, 0x83)
	if got := c.card.Slots(); !bytes.Equal(got, []byte{0x82}) {
		t.Errorf("slots %x", got)
	}
}

func TestAttestation(t *testing.T) {
	o := YubiKey(5, 7, 1)
	o.Serial = 3000000000 // above 2^31
	c := newClient(t, o)
	c.manage()
	object, _ := findTLV(c.must(insGetData, 0x3F, 0xFF, tlv(0x5C, []byte{0x5F, 0xFF, 0x01})), 0x53)
	der, _ := findTLV(object, 0x70)
	issuer, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []byte{AlgP256, AlgP384, AlgX25519, AlgEd25519} {
		c.generate(0x82, alg, pinOnce, touchCached)
		cert, err := x509.ParseCertificate(c.must(insAttest, 0x82, 0))
		if err != nil {
			t.Fatal(err)
		}
		// Certificate.PublicKey is nil for X25519.
		public, err := x509.ParsePKIXPublicKey(cert.RawSubjectPublicKeyInfo)
		if err != nil {
			t.Fatal(err)
		}
		if x, ok := public.(*ecdh.PublicKey); (alg == AlgX25519) != ok || ok && x.Curve() != ecdh.X25519() {
			t.Errorf("algorithm %02x: a certificate for a %T", alg, public)
		}
		roots, between := x509.NewCertPool(), x509.NewCertPool()
		roots.AddCert(c.card.AttestationRoot())
		between.AddCert(issuer)
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			t.Errorf("algorithm %02x: %v", alg, err)
		}
		serial, err := asn1.Marshal(int64(3000000000))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string][]byte{
			"1.3.6.1.4.1.41482.3.3": {5, 7, 1}, "1.3.6.1.4.1.41482.3.7": serial,
			"1.3.6.1.4.1.41482.3.8": {pinOnce, touchCached}, "1.3.6.1.4.1.41482.3.9": {formFactor},
		}
		for _, e := range cert.Extensions {
			if v, ok := want[e.Id.String()]; ok {
				if !bytes.Equal(e.Value, v) {
					t.Errorf("extension %v is %x, not %x", e.Id, e.Value, v)
				}
				delete(want, e.Id.String())
			}
		}
		if len(want) > 0 {
			t.Errorf("extensions missing: %v", want)
		}
	}
	c.want(swWrongData, insAttest, 0x83, 0)
	// Whoever replaces the attestation key replaces the maker's word.
	c.generate(slotAttestation, AlgX25519, pinNever, touchNever)
	c.want(swConditions, insAttest, 0x82, 0)
	c.must(insPutData, 0x3F, 0xFF, tlv(0x5C, []byte{0x5F, 0xFF, 0x01}), tlv(0x53))
	c.generate(slotAttestation, AlgP256, pinNever, touchNever)
	c.want(swConditions, insAttest, 0x82, 0)
}

func TestObjects(t *testing.T) {
	c := newClient(t, YubiKey(5, 4, 3))
	object := func(id ...byte) []byte { return tlv(0x5C, id) }
	printed := object(0x5F, 0xC1, 0x09)
	c.want(swNotSatisfied, insPutData, 0x3F, 0xFF, printed, tlv(0x53, []byte{1}))
	c.manage()
	c.must(insPutData, 0x3F, 0xFF, printed, tlv(0x53, []byte{1}))
	c.want(swNotSatisfied, insGetData, 0x3F, 0xFF, printed)
	c.verify(FactoryPIN)
	if got := c.must(insGetData, 0x3F, 0xFF, printed); !bytes.Equal(got, []byte{0x53, 1, 1}) {
		t.Errorf("printed information %x", got)
	}
	if v, ok := c.card.Object(objectPrinted); !ok || !bytes.Equal(v, []byte{1}) {
		t.Errorf("object %x, %v", v, ok)
	}
	c.must(insPutData, 0x3F, 0xFF, printed, tlv(0x53))
	c.want(swNotFound, insGetData, 0x3F, 0xFF, printed)
	c.want(swNotFound, insGetData, 0x3F, 0xFF, object(0x5F, 0xC1, 0x02))
	c.want(swNoSpace, insPutData, 0x3F, 0xFF, printed, tlv(0x53, make([]byte, maxObject+1)))
	c.must(insPutData, 0x3F, 0xFF, printed, tlv(0x53, make([]byte, maxObject)))
	c.want(swWrongData, insPutData, 0x3F, 0xFF, printed)
	c.want(swWrongData, insPutData, 0x3F, 0xFF, object(0x7E), tlv(0x53, []byte{1}))
	c.want(swNotFound, insPutData, 0x3F, 0xFF, object(0x11, 0x22, 0x33), tlv(0x53, []byte{1}))
	c.want(swWrongP1P2, insPutData, 0, 0, printed, tlv(0x53, []byte{1}))
	c.want(swWrongData, insGetData, 0x3F, 0xFF, object(1, 2))
	c.want(swWrongP1P2, insGetData, 0, 0, printed)
	discovery, ok := findTLV(c.must(insGetData, 0x3F, 0xFF, object(0x7E)), 0x7E)
	if aid, _ := findTLV(discovery, 0x4F); !ok || !bytes.Equal(aid, applicationID()) {
		t.Errorf("discovery object %x", discovery)
	}
}

func TestMetadata(t *testing.T) {
	c := newClient(t, YubiKey(5, 4, 3))
	c.verify("111111")
	for ref, want := range map[byte]string{refPIN: "0101ff05010106020302", refPUK: "0101ff05010106020303", slotManagement: "010103020200010501" + "01"} {
		if got := c.must(insMetadata, 0, ref); !bytes.Equal(got, unhex(t, want)) {
			t.Errorf("metadata of %02x: %x, not %s", ref, got, want)
		}
	}
	c.want(swNoReference, insMetadata, 0, 0x82)
	c.want(swWrongP1P2, insMetadata, 1, 0x82)
	c.manage()
	public := c.generate(0x82, AlgP256, pinOnce, touchAlways)
	want := append(unhex(t, "010111020202020301010443"), public...)
	if got := c.must(insMetadata, 0, 0x82); !bytes.Equal(got, want) {
		t.Errorf("metadata %x, not %x", got, want)
	}
}
