//go:build windows || (cgo && (linux || darwin))

package piv

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"slices"
	"strings"

	gopiv "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokenbridge/tokend/tokens"
)

// probe asks slots that the card tells nothing about for an ECDH: a key that
// answers, or that waits in vain for a touch, is one that must not be
// overwritten. A key that wants a PIN answers because it was shown.
func (e *enrollment) probe(ctx context.Context) error {
	if len(e.unsure) == 0 {
		return nil
	}
	yk, err := e.d.open(ctx, e.r.Locator)
	if err != nil {
		return err
	}
	shown := false
	err = func() error {
		defer yk.Close()
		if e.r.PIN != nil {
			shown = true
			if err := calmly(func() error { return yk.VerifyPIN(string(e.r.PIN)) }); err != nil {
				return e.d.refusedPIN(e.r.Locator, "PIN", err)
			}
		}
		for _, slot := range e.unsure {
			if err := e.probeSlot(yk, slot); err != nil {
				return err
			}
		}
		return nil
	}()
	if shown {
		if rerr := e.d.reset(ctx, e.r.Locator); err == nil {
			err = rerr
		}
	}
	return err
}

func (e *enrollment) probeSlot(yk *gopiv.YubiKey, slot gopiv.Slot) error {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384()} {
		peer, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			return fail(tokens.CodeProtocol, "cannot make a key", err)
		}
		point, err := peer.PublicKey.ECDH()
		if err != nil {
			return fail(tokens.CodeProtocol, "cannot make a key", err)
		}
		private, err := yk.PrivateKey(slot, &peer.PublicKey, gopiv.KeyAuth{PINPolicy: gopiv.PINPolicyNever})
		if err != nil {
			return fail(tokens.CodeProtocol, "cannot use the slot", err)
		}
		key, ok := private.(*gopiv.ECDSAPrivateKey)
		if !ok {
			return tokens.Errorf(tokens.CodeProtocol, "cannot use the slot: its key is a %T", private)
		}
		stop := announce(tokens.PolicyUnknown, e.r.OnTouch)
		err = calmly(func() error {
			shared, err := key.ECDH(point)
			clear(shared)
			return err
		})
		stop()
		if err != nil {
			if _, lost := pcscError(err); lost {
				return e.d.explain(e.r.Locator, err)
			}
			if s, ok := status(err); !ok || s != swNotSatisfied {
				continue
			}
		}
		return tokens.Errorf(tokens.CodeOccupied, "slot %s of the card is in use", slot)
	}
	return nil
}

// generate makes the keys and their certificates.
func (e *enrollment) generate(ctx context.Context) error {
	yk, err := e.d.open(ctx, e.r.Locator)
	if err != nil {
		return err
	}
	defer yk.Close()
	for i := 0; i < len(e.places); i++ {
		p := &e.places[i]
		if p.existing != nil {
			continue
		}
		if err := alive(ctx); err != nil {
			return err
		}
		public, err := e.makeKey(yk, p)
		if err != nil {
			if s, refused := status(err); refused && p.class == tokens.ClassTouch && (s == swWrongData || s == swNotSupported) {
				if err := e.dropTouch(err); err != nil {
					return err
				}
				i--
				continue
			}
			return e.refusedGenerate(p.slot, err)
		}
		if err := e.certify(yk, p.slot, public); err != nil {
			return err
		}
	}
	return nil
}

func (e *enrollment) makeKey(yk *gopiv.YubiKey, p *place) (*ecdsa.PublicKey, error) {
	template := gopiv.Key{Algorithm: gopiv.AlgorithmEC256, PINPolicy: gopiv.PINPolicyOnce, TouchPolicy: gopiv.TouchPolicyNever}
	told := tokens.SlotKey{Slot: p.slot.String(), PINPolicy: tokens.PolicyOnce, TouchPolicy: tokens.PolicyNever}
	if e.alg == tokens.P384 {
		template.Algorithm = gopiv.AlgorithmEC384
	}
	if p.class == tokens.ClassTouch {
		template.PINPolicy, template.TouchPolicy = gopiv.PINPolicyNever, gopiv.TouchPolicyAlways
		told.PINPolicy, told.TouchPolicy = tokens.PolicyNever, tokens.PolicyAlways
	}
	// A card can have made a key and yet answer with an error. What was in a
	// slot named for overwriting may still be there, and is left alone.
	p.made = !slices.Contains(e.r.Overwrite, p.slot.String())
	stop := announce(e.key.touch, e.r.OnTouch)
	var k crypto.PublicKey
	err := calmly(func() (err error) {
		k, err = yk.GenerateKey(e.key.value, p.slot, template)
		return err
	})
	stop()
	if err != nil {
		return nil, err
	}
	public, _ := k.(*ecdsa.PublicKey)
	var ok bool
	if told.Algorithm, told.Public, ok = publicPoint(k); !ok || told.Algorithm != e.alg {
		return nil, tokens.Errorf(tokens.CodeProtocol, "the card made a key of another kind")
	}
	p.existing, p.made = &told, true
	return public, nil
}

func (e *enrollment) refusedGenerate(slot gopiv.Slot, err error) error {
	s, refused := status(err)
	switch {
	case strings.HasPrefix(err.Error(), "authenticating with management key"):
		if _, lost := pcscError(err); !lost {
			return fail(tokens.CodeManagement, "the card did not accept its management key", err)
		}
	case refused && s == swWrongP1P2, refused && s == 0x6A86, refused && missing(err):
		return fail(tokens.CodeUnsupported, "the card has no slot "+slot.String(), err)
	case refused && (s == swWrongData || s == swNotSupported):
		return fail(tokens.CodeUnsupported, "the card cannot make such a key in slot "+slot.String(), err)
	}
	return e.d.explain(e.r.Locator, err)
}

// certify leaves a certificate beside the key, because many cards can tell the
// public key in no other way. It vouches for nothing: the key that signs it is
// thrown away.
func (e *enrollment) certify(yk *gopiv.YubiKey, slot gopiv.Slot, public *ecdsa.PublicKey) error {
	cert, err := slotCertificate(e.d.o.Now(), madeName(slot.String()), public)
	if err != nil {
		return fail(tokens.CodeProtocol, "cannot make the slot's certificate", err)
	}
	stop := announce(e.key.touch, e.r.OnTouch)
	err = calmly(func() error { return yk.SetCertificate(e.key.value, slot, cert) })
	stop()
	if err != nil {
		if _, lost := pcscError(err); lost {
			return e.d.explain(e.r.Locator, err)
		}
		return fail(tokens.CodeUnsupported, "the card did not take the certificate of slot "+slot.String(), err)
	}
	return nil
}
