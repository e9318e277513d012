//go:build windows || (cgo && (linux || darwin))

package piv

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"slices"

	gopiv "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokenbridge/tokend/tokens"
)

// Wipe implements tokens.Wiper. From firmware 5.7 on a key can be deleted; on
// older cards a new key that nobody has use for takes its place, with a
// certificate that says so: Enroll takes such a slot for free.
func (d *Driver) Wipe(ctx context.Context, r tokens.WipeRequest) (cleared []string, err error) {
	for _, k := range r.Keys {
		if k.Kind != tokens.KindPIV {
			return nil, tokens.Errorf(tokens.CodeInvalid, "not a key of a PIV card")
		}
		if _, _, err := parseParams(k.Params); err != nil {
			return nil, err
		}
	}
	s, err := d.read(ctx, r.Locator)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := s.close(); cerr != nil && err == nil {
			err = cerr
		}
	}()
	ours, err := s.toClear(r)
	if err != nil {
		return nil, err
	}
	if r.PIN != nil {
		if err := s.verify(r.PIN, r.SpendLastTry); err != nil {
			return nil, err
		}
	}
	key, err := s.manage(r.ManagementKey, r.PIN != nil, nil)
	if err != nil {
		return nil, err
	}
	defer clear(key.value)
	for _, slot := range ours {
		if err := alive(ctx); err != nil {
			return cleared, err
		}
		if err := s.clear(slot); err != nil {
			return cleared, err
		}
		cleared = append(cleared, slot.String())
	}
	return cleared, nil
}

// toClear are the slots that hold one of the request's keys, and those named that
// hold one which an enrolment made.
func (s *session) toClear(r tokens.WipeRequest) ([]gopiv.Slot, error) {
	var ours []gopiv.Slot
	for _, want := range r.Keys {
		p, slot, err := parseParams(want.Params)
		if err != nil {
			return nil, err
		}
		k, _, _, err := s.occupant(slot)
		if err != nil {
			return nil, err
		}
		if k != nil && !p.Taken && k.Algorithm == want.Algorithm && bytes.Equal(k.Public, want.Public) && !slices.Contains(ours, slot) {
			ours = append(ours, slot)
		}
	}
	for _, name := range r.Places {
		slot, err := parseSlot(name)
		if err != nil {
			return nil, err
		}
		if slices.Contains(ours, slot) {
			continue
		}
		k, _, _, err := s.occupant(slot)
		if err != nil {
			return nil, err
		}
		cert, err := s.certificate(slot)
		if err := s.refused(err); err != nil {
			return nil, err
		}
		if !made(cert, slot.String(), k) {
			return nil, tokens.Errorf(tokens.CodeOccupied, "slot %s of the card holds no key that is known to be of a vault", slot)
		}
		ours = append(ours, slot)
	}
	if len(ours) == 0 {
		return nil, tokens.Errorf(tokens.CodeWrongToken, "the card in the reader holds none of the keys")
	}
	return ours, nil
}

// clear destroys the key in a slot, and then its certificate: the other way
// round a card pulled out in between could not be recognised any more. The
// management key has been shown.
func (s *session) clear(slot gopiv.Slot) error {
	replacement, err := s.destroy(byte(slot.Key))
	if err != nil {
		return err
	}
	var object []byte
	if replacement != nil {
		cert, err := slotCertificate(s.d.o.Now(), sparePrefix+slot.String(), replacement)
		if err != nil {
			return fail(tokens.CodeProtocol, "cannot make the slot's certificate", err)
		}
		// SP 800-73-4 part 1, table 10: certificate, not compressed, no error code.
		object = append(append(tlv(0x70, cert.Raw), tlv(0x71, []byte{0})...), tlv(0xfe, nil)...)
	}
	name := tlv(0x5c, []byte{byte(slot.Object >> 16), byte(slot.Object >> 8), byte(slot.Object)})
	_, err = s.card.Send(insPutData, 0x3f, 0xff, append(name, tlv(0x53, object)...))
	if err != nil && !missing(err) {
		return s.d.explain(s.reader, err)
	}
	return nil
}

// destroy removes the key, or puts another in its place, which it returns.
func (s *session) destroy(slot byte) (replacement *ecdsa.PublicKey, err error) {
	if s.atLeast(5, 7) {
		_, err := s.card.Send(insMoveKey, 0xff, slot, nil)
		if err == nil || missing(err) {
			return nil, nil
		}
		if _, refused := status(err); !refused {
			return nil, s.d.explain(s.reader, err)
		}
	}
	const insGenerate, algP256 = 0x47, 0x11
	answer, err := s.card.Send(insGenerate, 0, slot, tlv(0xac, tlv(0x80, []byte{algP256})))
	if err != nil {
		return nil, s.d.explain(s.reader, err)
	}
	public, _ := find(answer, 0x7f49)
	point, _ := find(public, 0x86)
	replacement, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, fail(tokens.CodeProtocol, "the card answered nonsense", err)
	}
	return replacement, nil
}
