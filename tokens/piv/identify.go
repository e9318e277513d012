//go:build windows || (cgo && (linux || darwin))

package piv

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	gopiv "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/piv/pcsc"
)

// List implements tokens.Driver. A card that cannot be used is listed with its
// Problem.
func (d *Driver) List(ctx context.Context) ([]tokens.Token, error) {
	x, err := pcsc.Open()
	if err != nil {
		return nil, explainOpen(err)
	}
	defer x.Close()
	names, err := x.Readers()
	if err != nil {
		return nil, explainOpen(err)
	}
	var out []tokens.Token
	for _, name := range names {
		t, err := d.identify(ctx, name)
		if errors.Is(err, &tokens.Error{Code: tokens.CodeNotPresent}) || errors.Is(err, &tokens.Error{Code: tokens.CodeRemoved}) {
			continue
		}
		if errors.Is(err, &tokens.Error{Code: tokens.CodeNoService}) || errors.Is(err, &tokens.Error{Code: tokens.CodeCancelled}) {
			return nil, err
		}
		out = append(out, distinct(t, out))
	}
	return out, nil
}

// distinct gives a token an id of its own where another present has the same
// serial number.
func distinct(t tokens.Token, others []tokens.Token) tokens.Token {
	for _, o := range others {
		if o.ID == t.ID {
			t.ID += "-" + readerHash(t.Locator)
			break
		}
	}
	return t
}

func readerHash(reader string) string {
	h := sha256.Sum256([]byte(reader))
	return hex.EncodeToString(h[:4])
}

// identify reads a card. Where that fails it returns what can be said, with the
// Problem, and the error.
func (d *Driver) identify(ctx context.Context, reader string) (tokens.Token, error) {
	s, err := d.read(ctx, reader)
	if err == nil {
		defer s.close()
		var t tokens.Token
		if t, err = s.token(); err == nil {
			return t, nil
		}
	}
	t := tokens.Token{ID: "piv-" + readerHash(reader), Kind: tokens.KindPIV, Locator: reader, Model: model(reader, "")}
	if !errors.As(err, &t.Problem) {
		t.Problem = fail(tokens.CodeProtocol, "cannot read the card", err)
	}
	return t, err
}

// token describes the card.
func (s *session) token() (tokens.Token, error) {
	firmware := fmt.Sprintf("%d.%d.%d", s.version[0], s.version[1], s.version[2])
	t := tokens.Token{
		ID: "piv-" + readerHash(s.reader), Kind: tokens.KindPIV, Locator: s.reader,
		Model: model(s.reader, firmware), Firmware: firmware, Touch: s.atLeast(4, 0),
	}
	serial, err := s.serial()
	if err != nil {
		return t, err
	}
	if serial != 0 {
		t.Serial = strconv.FormatUint(uint64(serial), 10)
		t.ID = "piv-" + t.Serial
	}
	t.Keys, err = s.keys()
	return t, err
}

// refused returns err unless the card merely refused.
func (s *session) refused(err error) error {
	if _, ok := status(err); ok || err == nil {
		return nil
	}
	return s.d.explain(s.reader, err)
}

// serial is 0 where the card tells none.
func (s *session) serial() (uint32, error) {
	if s.version[0] >= 5 {
		b, err := s.card.Send(insSerial, 0, 0, nil)
		if err != nil || len(b) != 4 {
			return 0, s.refused(err)
		}
		return binary.BigEndian.Uint32(b), nil
	}
	// Older firmware tells it in the OTP application (Yubico's READ SERIAL).
	_, err := s.card.Send(insSelect, 4, 0, []byte(aidOTP))
	var b []byte
	if err == nil {
		b, err = s.card.Send(0x01, 0x10, 0, nil)
	}
	if err := s.refused(err); err != nil {
		return 0, err
	}
	if err := s.begin(); err != nil {
		return 0, err
	}
	if len(b) != 4 {
		return 0, nil
	}
	return binary.BigEndian.Uint32(b), nil
}

// keys reads what can be told of all slots without PIN.
func (s *session) keys() ([]tokens.SlotKey, error) {
	var out []tokens.SlotKey
	told, attests := s.atLeast(5, 3), s.atLeast(4, 3)
	for _, slot := range keySlots() {
		if told {
			m, err := s.metadata(byte(slot.Key))
			if err := s.refused(err); err != nil {
				return nil, err
			}
			// An empty slot is answered otherwise than an unknown instruction.
			if err != nil {
				code, _ := status(err)
				told = code != swNoSuchINS && code != swNotSupported
			} else if k, ok := m.slotKey(slot); ok {
				out = append(out, k)
			}
			if told {
				continue
			}
		}
		cert, err := s.certificate(slot)
		if err := s.refused(err); err != nil {
			return nil, err
		}
		if k, ok := certified(slot, cert); ok {
			out = append(out, k)
			continue
		}
		// Attesting is slow on real cards: only where keys of ours go.
		if name := slot.String(); attests && (name == "82" || name == "83" || name == "9d") {
			k, ok, err := s.attested(slot)
			if err := s.refused(err); err != nil {
				return nil, err
			}
			if code, refused := status(err); refused && code == swNoSuchINS {
				attests = false
			}
			if ok {
				out = append(out, k)
			}
		}
	}
	return out, nil
}

func certified(slot gopiv.Slot, cert *x509.Certificate) (tokens.SlotKey, bool) {
	if cert == nil {
		return tokens.SlotKey{}, false
	}
	a, point, ok := publicPoint(cert.PublicKey)
	return tokens.SlotKey{Slot: slot.String(), Algorithm: a, Public: point, PINPolicy: tokens.PolicyUnknown, TouchPolicy: tokens.PolicyUnknown}, ok
}

// metadata is what GET METADATA tells (Yubico's extensions of PIV).
type metadata struct {
	algorithm    byte
	pin, touch   byte
	generated    bool
	public       []byte // as in GENERATE's answer
	factory      bool
	tries, total int // below zero when not told
}

func parseMetadata(b []byte) metadata {
	m := metadata{tries: -1, total: -1}
	for tag, v := range objects(b) {
		switch {
		case tag == 1 && len(v) == 1:
			m.algorithm = v[0]
		case tag == 2 && len(v) == 2:
			m.pin, m.touch = v[0], v[1]
		case tag == 3 && len(v) == 1:
			m.generated = v[0] == 1
		case tag == 4:
			m.public = v
		case tag == 5 && len(v) == 1:
			m.factory = v[0] == 1
		case tag == 6 && len(v) == 2:
			m.total, m.tries = int(v[0]), int(v[1])
		}
	}
	return m
}

func (s *session) metadata(slot byte) (metadata, error) {
	b, err := s.card.Send(insMetadata, 0, slot, nil)
	if err != nil {
		return metadata{}, err
	}
	return parseMetadata(b), nil
}

func (m metadata) slotKey(slot gopiv.Slot) (tokens.SlotKey, bool) {
	k := tokens.SlotKey{Slot: slot.String(), PINPolicy: pinPolicy(m.pin), TouchPolicy: touchPolicy(m.touch)}
	switch m.algorithm {
	case 0x11:
		k.Algorithm = tokens.P256
	case 0x14:
		k.Algorithm = tokens.P384
	default:
		return k, false
	}
	k.Public, _ = find(m.public, 0x86)
	return k, parsePoint(k.Algorithm, k.Public) != nil
}

// object reads a data object without its tag 53; nil when there is none.
func (s *session) object(id uint32) ([]byte, error) {
	b, err := s.card.Send(insGetData, 0x3f, 0xff, tlv(0x5c, []byte{byte(id >> 16), byte(id >> 8), byte(id)}))
	if err != nil {
		return nil, err
	}
	v, _ := find(b, 0x53)
	return v, nil
}

// certificate reads the certificate in a slot; nil where there is none that can
// be read.
func (s *session) certificate(slot gopiv.Slot) (*x509.Certificate, error) {
	b, err := s.object(slot.Object)
	if err != nil {
		return nil, err
	}
	return parseCertificate(b), nil
}

func parseCertificate(object []byte) *x509.Certificate {
	der, ok := find(object, 0x70)
	if !ok {
		return nil
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	return cert
}

// attestation reads the card's word on the key in a slot; nil where it cannot
// be read.
func (s *session) attestation(slot gopiv.Slot) (*x509.Certificate, error) {
	b, err := s.card.Send(insAttest, byte(slot.Key), 0, nil)
	if err != nil {
		return nil, err
	}
	if der, ok := find(b, 0x70); ok {
		b = der
	}
	cert, err := x509.ParseCertificate(b)
	if err != nil {
		return nil, nil // other makers' cards answer other things
	}
	return cert, nil
}

// attested is the key in a slot as the card attests to it.
func (s *session) attested(slot gopiv.Slot) (tokens.SlotKey, bool, error) {
	cert, err := s.attestation(slot)
	if err != nil || cert == nil {
		return tokens.SlotKey{}, false, err
	}
	k, ok := attestedKey(slot, cert)
	return k, ok, nil
}

func attestedKey(slot gopiv.Slot, cert *x509.Certificate) (tokens.SlotKey, bool) {
	pub, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return tokens.SlotKey{}, false
	}
	a, point, ok := publicPoint(pub)
	k := tokens.SlotKey{Slot: slot.String(), Algorithm: a, Public: point, PINPolicy: tokens.PolicyUnknown, TouchPolicy: tokens.PolicyUnknown}
	policies := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 8}
	for _, e := range cert.Extensions {
		if e.Id.Equal(policies) && len(e.Value) == 2 {
			k.PINPolicy, k.TouchPolicy, k.Attested = pinPolicy(e.Value[0]), touchPolicy(e.Value[1]), true
		}
	}
	return k, ok
}
