//go:build cgo && linux && !nofido2

package fido2

import (
	"context"
	"crypto/ecdh"
	"errors"

	"github.com/tokenbridge/tokend/tokens"
)

// Agree implements tokens.Driver. It always waits for one touch.
func (d *Driver) Agree(ctx context.Context, r tokens.AgreeRequest) ([]byte, error) {
	p, peer, err := checkAgree(r)
	if err != nil {
		return nil, err
	}
	k, err := d.open(ctx, r.Locator, true, r.OnBusy)
	if err != nil {
		return nil, err
	}
	defer k.close()
	if err := k.holds(ctx, p.credential()); err != nil {
		return nil, err
	}
	var who proof
	if p.UV || k.info.Has("alwaysUv") {
		if who, err = k.prove(r.PIN, r.SpendLastTry); err != nil {
			return nil, err
		}
	}
	if err := alive(ctx); err != nil {
		return nil, err
	}
	got, err := k.assert(ctx, ask{credentials: []credential{p.credential()}, salt: p.salt(), proof: who, onTouch: r.OnTouch})
	if err != nil {
		return nil, k.explainTouch(ctx, who, err)
	}
	defer clear(got.secret)
	private, err := p.unseal(got.secret, r.Key)
	if errors.Is(err, errSecret) {
		return nil, fail(tokens.CodeNoKey, p.otherSecret(who), err)
	}
	if err != nil {
		return nil, fail(tokens.CodeInvalid, "the key's parameters are malformed", err)
	}
	shared, err := private.ECDH(peer)
	if err != nil {
		return nil, fail(tokens.CodeInvalid, "the peer's key is not fit for an agreement", err)
	}
	return shared, nil
}

// otherSecret says why a key's secret may be another than at enrolling.
func (p *params) otherSecret(who proof) string {
	if who.verifies() && !p.UV {
		return "the key was set to always verify its user after it was enrolled, and gives another secret now; enroll it again"
	}
	return "the key gives another secret than when it was enrolled, or the enrolment's record was altered"
}

// explainTouch is explain for a step that waited for a touch.
func (k *key) explainTouch(ctx context.Context, who proof, err error) error {
	if errors.Is(err, errLie) {
		return fail(tokens.CodeProtocol, "the key's signature is not that of its credential", err)
	}
	// A CTAP 2.0 key with a fingerprint reader does not tell a strange finger
	// from a denial.
	code, ok := statusOf(err)
	if ok && code == statusDenied && who.pin == "" && who.verifies() && k.info.Has("clientPin") && !k.info.Has("pinUvAuthToken") {
		return fail(tokens.CodePINRequired, "the finger was not recognised; the key's PIN helps", err)
	}
	return k.explain(ctx, err)
}

func checkAgree(r tokens.AgreeRequest) (*params, *ecdh.PublicKey, error) {
	if r.Key.Kind != tokens.KindFIDO2 {
		return nil, nil, tokens.Errorf(tokens.CodeInvalid, "not a key of a FIDO2 token")
	}
	p, err := parseParams(r.Key.Params)
	if err != nil {
		return nil, nil, err
	}
	curve := r.Key.Algorithm.Curve()
	if curve == nil {
		return nil, nil, tokens.Errorf(tokens.CodeInvalid, "the key's algorithm is not known")
	}
	if _, err := curve.NewPublicKey(r.Key.Public); err != nil {
		return nil, nil, fail(tokens.CodeInvalid, "the key's public half is malformed", err)
	}
	peer, err := curve.NewPublicKey(r.Peer)
	if err != nil {
		return nil, nil, fail(tokens.CodeInvalid, "the peer's key is not a point of "+string(r.Key.Algorithm), err)
	}
	return p, peer, nil
}
