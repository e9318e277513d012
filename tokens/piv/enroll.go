//go:build windows || (cgo && (linux || darwin))

package piv

import (
	"context"
	"slices"

	gopiv "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokenbridge/tokend/tokens"
)

// place is where a class's key goes, or is.
type place struct {
	class    tokens.Class
	slot     gopiv.Slot
	existing *tokens.SlotKey // the key to use, nil to make one
	made     bool
}

// Enroll implements tokens.Driver.
//
// A card without a touch sensor, or that refuses to guard a key by touch, gets
// the session key alone, with WarnNoTouch. On a card that neither tells of its
// keys nor attests to them, a key without a certificate is found by asking it
// for an ECDH, once the PIN has been shown.
func (d *Driver) Enroll(ctx context.Context, r tokens.EnrollRequest) (tokens.Enrollment, error) {
	places, alg, err := planEnroll(r)
	if err != nil {
		return tokens.Enrollment{}, err
	}
	e := enrollment{d: d, r: r, places: places, alg: alg}
	if err := e.prepare(ctx); err != nil {
		return tokens.Enrollment{}, err
	}
	if e.key != nil {
		defer clear(e.key.value)
	}
	if err := e.probe(ctx); err != nil {
		return tokens.Enrollment{}, err
	}
	if e.key != nil {
		err := e.generate(ctx)
		// Reset even after a failure: the management key has been shown.
		if rerr := d.reset(ctx, r.Locator); err == nil {
			err = rerr
		}
		if err != nil {
			e.undo(ctx)
			return tokens.Enrollment{}, err
		}
	}
	return e.finish(ctx)
}

// planEnroll checks the request and says where each class's key goes.
func planEnroll(r tokens.EnrollRequest) ([]place, tokens.Algorithm, error) {
	alg := r.Algorithm
	if alg == "" {
		alg = tokens.P256
	}
	if alg != tokens.P256 && alg != tokens.P384 {
		return nil, "", tokens.Errorf(tokens.CodeUnsupported, "keys on PIV cards are P-256 or P-384")
	}
	if len(r.Classes) == 0 {
		return nil, "", tokens.Errorf(tokens.CodeInvalid, "no class of key was asked for")
	}
	var out []place
	for _, c := range r.Classes {
		if c != tokens.ClassSession && c != tokens.ClassTouch {
			return nil, "", tokens.Errorf(tokens.CodeInvalid, "there is no such class of key")
		}
		name := r.Slots[c]
		if name == "" {
			name = defaultSlot(c)
		}
		slot, err := parseSlot(name)
		if err != nil {
			return nil, "", err
		}
		if slices.ContainsFunc(out, func(p place) bool { return p.class == c || p.slot == slot }) {
			return nil, "", tokens.Errorf(tokens.CodeInvalid, "each class of key needs a slot of its own")
		}
		out = append(out, place{class: c, slot: slot})
	}
	for _, name := range r.Overwrite {
		if _, err := parseSlot(name); err != nil {
			return nil, "", err
		}
	}
	return out, alg, nil
}

// enrollment is the state of one Enroll.
type enrollment struct {
	d        *Driver
	r        tokens.EnrollRequest
	places   []place
	alg      tokens.Algorithm
	key      *managementKey // nil where none is needed
	unsure   []gopiv.Slot
	warnings []tokens.Warning
}

func (e *enrollment) warn(w tokens.Warning) {
	if !slices.Contains(e.warnings, w) {
		e.warnings = append(e.warnings, w)
	}
}

// prepare looks at the card and its slots, shows the PIN, and finds the
// management key. Nothing on the card is changed.
func (e *enrollment) prepare(ctx context.Context) (err error) {
	s, err := e.d.read(ctx, e.r.Locator)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := s.close(); cerr != nil && err == nil {
			err = cerr
		}
	}()
	if !s.atLeast(4, 0) {
		if err := e.dropTouch(nil); err != nil {
			return err
		}
	}
	fresh := false
	for i := range e.places {
		if err := e.look(s, &e.places[i]); err != nil {
			return err
		}
		fresh = fresh || e.places[i].existing == nil
	}
	if err := alive(ctx); err != nil {
		return err
	}
	session := slices.ContainsFunc(e.places, func(p place) bool { return p.class == tokens.ClassSession })
	if session || e.r.PIN != nil {
		// The PIN is tried now, so that no key is made that nobody can use.
		if err := s.verify(e.r.PIN, e.r.SpendLastTry); err != nil {
			return err
		}
		if string(e.r.PIN) == gopiv.DefaultPIN {
			e.warn(tokens.WarnFactoryPIN)
		}
	}
	if fresh {
		if e.key, err = s.manage(e.r.ManagementKey, e.r.PIN != nil, e.r.OnTouch); err != nil {
			return err
		}
		if e.key.factory {
			e.warn(tokens.WarnFactoryKey)
		}
	}
	return e.weak(s)
}

// weak warns of what metadata tells to be as the factory set it.
func (e *enrollment) weak(s *session) error {
	var told tokens.Details
	if err := s.references(&told); err != nil {
		return err
	}
	if told.FactoryPIN {
		e.warn(tokens.WarnFactoryPIN)
	}
	if told.FactoryPUK {
		e.warn(tokens.WarnFactoryPUK)
	}
	_, factory, _, err := s.managementAlgorithm()
	if factory {
		e.warn(tokens.WarnFactoryKey)
	}
	return err
}

// dropTouch goes on without the touch class, if something is left then.
func (e *enrollment) dropTouch(cause error) error {
	n := len(e.places)
	e.places = slices.DeleteFunc(e.places, func(p place) bool { return p.class == tokens.ClassTouch })
	if len(e.places) == 0 {
		return fail(tokens.CodeUnsupported, "the card cannot guard a key by touch", cause)
	}
	if len(e.places) < n {
		e.warn(tokens.WarnNoTouch)
	}
	return nil
}

// look finds out what is in a slot, and whether that may be used or replaced.
func (e *enrollment) look(s *session, p *place) error {
	k, occupied, sure, err := s.occupant(p.slot)
	if err != nil {
		return err
	}
	if e.r.UseExisting {
		return e.take(p, k)
	}
	if slices.Contains(e.r.Overwrite, p.slot.String()) {
		return nil
	}
	if occupied {
		cert, err := s.certificate(p.slot)
		if err := s.refused(err); err != nil {
			return err
		}
		if spare(cert, k) {
			return nil
		}
		if cert != nil && slices.Contains(cert.Subject.Organization, organization) {
			return tokens.Errorf(tokens.CodeOccupied, "slot %s of the card is in use: it has the key of a vault", p.slot)
		}
		return tokens.Errorf(tokens.CodeOccupied, "slot %s of the card is in use", p.slot)
	}
	if !sure {
		e.unsure = append(e.unsure, p.slot)
	}
	return nil
}

// take decides whether the key that is in a slot can serve the class.
func (e *enrollment) take(p *place, k *tokens.SlotKey) error {
	switch {
	case k == nil:
		return tokens.Errorf(tokens.CodeNoKey, "slot %s holds no key that could be used", p.slot)
	case e.r.Algorithm != "" && k.Algorithm != e.r.Algorithm:
		return tokens.Errorf(tokens.CodeUnsupported, "the key in slot %s is of %s", p.slot, k.Algorithm)
	case p.class == tokens.ClassTouch && (k.TouchPolicy == tokens.PolicyNever || k.TouchPolicy == tokens.PolicyCached):
		return tokens.Errorf(tokens.CodeUnsupported, "the key in slot %s does not ask for a touch each time", p.slot)
	case p.class == tokens.ClassSession && k.PINPolicy == tokens.PolicyNever:
		return tokens.Errorf(tokens.CodeUnsupported, "the key in slot %s never asks for the PIN", p.slot)
	}
	if k.PINPolicy == tokens.PolicyUnknown || k.TouchPolicy == tokens.PolicyUnknown {
		e.warn(tokens.WarnUnknownPolicy)
	}
	p.existing = k
	return nil
}

// occupant says what is in a slot: a key that could be used (nil when there is
// none or it cannot be told), whether anything at all is, and whether that is
// certain.
func (s *session) occupant(slot gopiv.Slot) (k *tokens.SlotKey, occupied, sure bool, err error) {
	if s.atLeast(5, 3) {
		m, err := s.metadata(byte(slot.Key))
		if err := s.refused(err); err != nil {
			return nil, false, false, err
		}
		code, _ := status(err)
		sure = err == nil || missing(err)
		if err == nil {
			occupied = true
			if told, ok := m.slotKey(slot); ok {
				k = &told
			}
		} else if code == swWrongData || code == swWrongP1P2 {
			sure = false
		}
	}
	if k == nil && s.atLeast(4, 3) {
		told, ok, err := s.attested(slot)
		if rerr := s.refused(err); rerr != nil {
			return nil, false, false, rerr
		}
		// A card that attests refuses both for empty slots and for imported
		// keys, so only its word for a key is certain.
		if err == nil {
			occupied = true
		}
		if ok {
			k = &told
		}
	}
	object, err := s.object(slot.Object)
	if rerr := s.refused(err); rerr != nil {
		return nil, false, false, rerr
	}
	if err == nil && len(object) > 0 {
		occupied = true
		if told, ok := certified(slot, parseCertificate(object)); ok && k == nil {
			k = &told
		}
	}
	return k, occupied, sure || occupied, nil
}

// undo removes what a failed enrolment has made, so that it can be repeated. A
// card that is gone keeps it, and the slot must be named for overwriting.
func (e *enrollment) undo(ctx context.Context) {
	var made []gopiv.Slot
	for _, p := range e.places {
		if p.made {
			made = append(made, p.slot)
		}
	}
	if len(made) == 0 {
		return
	}
	s, err := e.d.read(context.WithoutCancel(ctx), e.r.Locator)
	if err != nil {
		return
	}
	defer s.close()
	alg, _, _, err := s.managementAlgorithm()
	if err != nil {
		return
	}
	if ok, err := s.authenticate(alg, e.key.value); !ok || err != nil {
		return
	}
	for _, slot := range made {
		if s.clear(slot) != nil {
			return
		}
	}
}

// finish reads the card again and says what was made.
func (e *enrollment) finish(ctx context.Context) (tokens.Enrollment, error) {
	s, err := e.d.read(ctx, e.r.Locator)
	if err != nil {
		return tokens.Enrollment{}, err
	}
	defer s.close()
	out := tokens.Enrollment{Warnings: e.warnings}
	if out.Token, err = s.token(); err != nil {
		return tokens.Enrollment{}, err
	}
	for _, p := range e.places {
		k := p.existing
		raw, err := params{Slot: p.slot.String(), PIN: k.PINPolicy, Touch: k.TouchPolicy, Taken: !p.made}.encode()
		if err != nil {
			return tokens.Enrollment{}, fail(tokens.CodeProtocol, "cannot write the key's parameters", err)
		}
		out.Keys = append(out.Keys, tokens.Key{Kind: tokens.KindPIV, Class: p.class, Algorithm: k.Algorithm, Public: k.Public, Params: raw})
	}
	var ours []tokens.SlotKey
	for _, p := range e.places {
		k := *p.existing
		k.Attested = false // until that was verified
		ours = append(ours, k)
	}
	if out.Attestation, err = s.vouch(ours, e.r.Roots); err != nil {
		return tokens.Enrollment{}, err
	}
	if slices.ContainsFunc(ours, func(k tokens.SlotKey) bool { return !k.Attested }) {
		out.Attestation = nil // what is said of one key does not vouch for another, made elsewhere
	}
	return out, nil
}
