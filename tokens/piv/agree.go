//go:build windows || (cgo && (linux || darwin))

package piv

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"sync"
	"time"

	gopiv "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokenbridge/tokend/tokens"
)

// Agree implements tokens.Driver.
func (d *Driver) Agree(ctx context.Context, r tokens.AgreeRequest) (shared []byte, err error) {
	p, slot, public, peer, err := checkAgree(r)
	if err != nil {
		return nil, err
	}
	yk, tries, err := d.openForPIN(ctx, r.Locator, p.PIN != tokens.PolicyNever)
	if err != nil {
		return nil, err
	}
	shown := false
	defer func() {
		yk.Close()
		if !shown {
			return
		}
		// What was done is not handed out from a card that stays open to all.
		if rerr := d.reset(ctx, r.Locator); rerr != nil && err == nil {
			clear(shared)
			shared, err = nil, rerr
		}
	}()
	if err := d.holds(yk, r.Locator, slot, r.Key); err != nil {
		return nil, err
	}
	if p.PIN != tokens.PolicyNever {
		if err := spend(r.PIN, tries, r.SpendLastTry); err != nil {
			return nil, err
		}
		if err := alive(ctx); err != nil {
			return nil, err
		}
		shown = true
		if err := calmly(func() error { return yk.VerifyPIN(string(r.PIN)) }); err != nil {
			return nil, d.refusedPIN(r.Locator, "PIN", err)
		}
	}
	if err := alive(ctx); err != nil {
		return nil, err
	}
	// The PIN has been shown, so the policy is set to never: anything else
	// would make piv-go ask the card again.
	private, err := yk.PrivateKey(slot, public, gopiv.KeyAuth{PINPolicy: gopiv.PINPolicyNever})
	if err != nil {
		return nil, fail(tokens.CodeProtocol, "cannot use the key", err)
	}
	key, ok := private.(*gopiv.ECDSAPrivateKey)
	if !ok {
		return nil, tokens.Errorf(tokens.CodeProtocol, "cannot use the key")
	}
	began := d.o.Now()
	stop := announce(p.Touch, r.OnTouch)
	err = calmly(func() (err error) {
		shared, err = key.ECDH(peer)
		return err
	})
	stop()
	if err != nil {
		return nil, d.refusedECDH(r.Locator, p, d.o.Now().Sub(began), err)
	}
	if want := (public.Curve.Params().BitSize + 7) / 8; len(shared) != want {
		clear(shared)
		return nil, tokens.Errorf(tokens.CodeProtocol, "the card's shared secret has the wrong size")
	}
	return shared, nil
}

func checkAgree(r tokens.AgreeRequest) (p params, slot gopiv.Slot, public *ecdsa.PublicKey, peer *ecdh.PublicKey, err error) {
	if r.Key.Kind != tokens.KindPIV {
		return p, slot, nil, nil, tokens.Errorf(tokens.CodeInvalid, "not a key of a PIV card")
	}
	if p, slot, err = parseParams(r.Key.Params); err != nil {
		return p, slot, nil, nil, err
	}
	if public = parsePoint(r.Key.Algorithm, r.Key.Public); public == nil {
		return p, slot, nil, nil, tokens.Errorf(tokens.CodeInvalid, "the key is not one of a PIV card")
	}
	// A point off the curve would draw the private key out of a careless card.
	point := parsePoint(r.Key.Algorithm, r.Peer)
	if point == nil {
		return p, slot, nil, nil, tokens.Errorf(tokens.CodeInvalid, "the peer's key is not a point of %s", r.Key.Algorithm)
	}
	if peer, err = point.ECDH(); err != nil {
		return p, slot, nil, nil, tokens.Errorf(tokens.CodeInvalid, "the peer's key is not a point of %s", r.Key.Algorithm)
	}
	return p, slot, public, peer, nil
}

// openForPIN opens a card and, where a PIN is going to be shown to it, counts
// the tries that are left (below zero: the card does not tell). A card that
// another program left authenticated does not tell until it is reset.
func (d *Driver) openForPIN(ctx context.Context, reader string, pin bool) (*gopiv.YubiKey, int, error) {
	for attempt := 0; ; attempt++ {
		yk, err := d.open(ctx, reader)
		if err != nil || !pin {
			return yk, -1, err
		}
		var tries int
		err = calmly(func() (err error) {
			tries, err = yk.Retries()
			return err
		})
		if err == nil {
			return yk, tries, nil
		}
		if _, refused := status(err); refused {
			return yk, -1, nil
		}
		if _, lost := pcscError(err); lost {
			yk.Close()
			return nil, -1, d.explain(reader, err)
		}
		if attempt > 0 {
			return yk, -1, nil
		}
		yk.Close()
		if err := d.reset(ctx, reader); err != nil {
			return nil, -1, err
		}
	}
}

// spend says whether the PIN may be shown to a card with so many tries left. A
// card that does not tell might have one.
func spend(pin []byte, tries int, last bool) error {
	switch {
	case tries == 0:
		return &tokens.Error{Code: tokens.CodePINBlocked, Tries: 0, Detail: "the card's PIN is blocked"}
	case pin == nil:
		return &tokens.Error{Code: tokens.CodePINRequired, Tries: tries, Detail: "the card needs its PIN"}
	case len(pin) == 0 || len(pin) > 8:
		return &tokens.Error{Code: tokens.CodeInvalid, Tries: tries, Detail: "a PIN has up to 8 characters"}
	case last:
		return nil
	case tries == 1:
		return &tokens.Error{Code: tokens.CodeLastTry, Tries: 1, Detail: "one try is left; the PIN was not shown to the card"}
	case tries < 0:
		return tokens.Errorf(tokens.CodeLastTry, "the card does not tell how many tries are left; the PIN was not shown to it")
	}
	return nil
}

// holds fails with CodeWrongToken unless the card in the reader has that key in
// that slot. What metadata says is final; a certificate may have outlived its
// key's slot, so an attestation can overrule it.
func (d *Driver) holds(yk *gopiv.YubiKey, reader string, slot gopiv.Slot, key tokens.Key) error {
	same := func(k crypto.PublicKey) bool {
		a, point, ok := publicPoint(k)
		return ok && a == key.Algorithm && bytes.Equal(point, key.Public)
	}
	wrong := tokens.Errorf(tokens.CodeWrongToken, "the card in the reader does not hold the key in slot %s", slot)
	lost := func(err error) bool { _, is := pcscError(err); return is }
	v := yk.Version()
	if v.Major > 5 || v.Major == 5 && v.Minor >= 3 {
		var info gopiv.KeyInfo
		err := calmly(func() (err error) {
			info, err = yk.KeyInfo(slot)
			return err
		})
		switch {
		case err == nil && same(info.PublicKey):
			return nil
		case err == nil && info.PublicKey != nil, err != nil && missing(err):
			return wrong
		case err != nil && lost(err):
			return d.explain(reader, err)
		}
	}
	certificates := []func(gopiv.Slot) (*x509.Certificate, error){yk.Certificate}
	if v.Major > 4 || v.Major == 4 && v.Minor >= 3 {
		certificates = append(certificates, yk.Attest)
	}
	for _, read := range certificates {
		var cert *x509.Certificate
		err := calmly(func() (err error) {
			cert, err = read(slot)
			return err
		})
		if err == nil && same(cert.PublicKey) {
			return nil
		} else if err != nil && lost(err) {
			return d.explain(reader, err)
		}
	}
	return wrong
}

// touchShows is how long a card that may or may not want a touch is given to
// answer before it is said to wait for one.
const touchShows = 500 * time.Millisecond

// announce calls onTouch where the policy says that the card is going to wait:
// at once where it always does, after touchShows where that depends. After stop
// returns onTouch is not called any more.
func announce(p tokens.Policy, onTouch func()) (stop func()) {
	switch {
	case onTouch == nil, p == tokens.PolicyNever:
		return func() {}
	case p == tokens.PolicyAlways:
		onTouch()
		return func() {}
	}
	var mu sync.Mutex
	over := false
	t := time.AfterFunc(touchShows, func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			onTouch()
		}
	})
	return func() {
		t.Stop()
		mu.Lock()
		defer mu.Unlock()
		over = true
	}
}

// refusedECDH turns a failed ECDH that took so long into an error.
func (d *Driver) refusedECDH(reader string, p params, took time.Duration, err error) error {
	s, ok := status(err)
	switch {
	case ok && s == swNotSatisfied && p.Touch == tokens.PolicyNever:
		return fail(tokens.CodePINRequired, "the card wants its PIN for this key", err)
	case ok && s == swNotSatisfied && took >= d.o.TouchTimeout:
		return fail(tokens.CodeTouchTimeout, "the card was not touched in time", err)
	case ok && s == swNotSatisfied:
		return fail(tokens.CodeTouchDenied, "the card refused without a touch", err)
	case ok && (missing(err) || s == swWrongData):
		return fail(tokens.CodeNoKey, "the card has no such key in the slot", err)
	case errors.Is(err, gopiv.ErrNotFound):
		return fail(tokens.CodeNoKey, "the card has no such key in the slot", err)
	}
	return d.explain(reader, err)
}
