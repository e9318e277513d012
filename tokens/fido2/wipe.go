//go:build cgo && linux && !nofido2

package fido2

import (
	"context"
	"encoding/hex"

	libfido2 "github.com/keys-pub/go-libfido2"

	"github.com/tokenbridge/tokend/tokens"
)

// maxStored is how many stored credentials one wipe removes.
const maxStored = 64

// Wipe implements tokens.Wiper. Enrolling leaves nothing on a key, so there is
// nothing to remove but stored (resident) credentials of our relying party, which
// something else may have made; those are removed whatever Keys names, and that
// takes the PIN. An empty answer means that nothing was there. Stored credentials
// that the key does not show without a PIN are looked for only with one.
func (d *Driver) Wipe(ctx context.Context, r tokens.WipeRequest) ([]string, error) {
	k, err := d.open(ctx, r.Locator, true, nil)
	if err != nil {
		return nil, err
	}
	defer k.close()
	if err := k.holdsOne(ctx, r.Keys); err != nil {
		return nil, err
	}
	stored, err := k.stores(ctx)
	if err != nil {
		return nil, err
	}
	managed := k.info.Has("clientPin") && (k.info.Has("credMgmt") || k.info.Has("credentialMgmtPreview"))
	switch {
	case stored && !managed:
		return nil, tokens.Errorf(tokens.CodeUnsupported, "the key stores a credential for tokend that only a reset of the key removes; tokend itself never stores one")
	case !managed, !stored && r.PIN == nil:
		return nil, nil
	}
	if err := k.spend(r.PIN, r.SpendLastTry); err != nil {
		return nil, err
	}
	gone, err := k.removeStored(ctx, string(normal(r.PIN)))
	// libfido2 before 1.15 knows the command's number in drafts of CTAP 2.1 alone.
	if code, ok := statusOf(err); ok && code == statusInvalidCommand {
		if !stored {
			return nil, nil
		}
		return nil, fail(tokens.CodeUnsupported, "the key stores a credential for tokend that this version of libfido2 cannot remove; tokend itself never stores one", err)
	}
	return gone, err
}

// stores says whether the key shows, without a PIN, that it stores a credential
// of our relying party: asked for any at all, it then answers.
func (k *key) stores(ctx context.Context) (bool, error) {
	challenge, err := k.d.random(32)
	if err != nil {
		return false, err
	}
	err = k.run(ctx, 2*k.d.o.Answer, func() error {
		_, err := k.dev.Assertion(RPID, challenge, nil, "", &libfido2.AssertionOpts{UP: libfido2.False})
		return err
	})
	if err == nil {
		return true, nil
	}
	// A key that stores none at all may not know such a question.
	if code, ok := statusOf(err); ok && code > 0 && code != statusBusy && code != statusTimeout {
		return false, nil
	}
	return false, k.explain(ctx, err)
}

// removeStored removes every stored credential of our relying party.
func (k *key) removeStored(ctx context.Context, pin string) ([]string, error) {
	var list []*libfido2.Credential
	err := k.run(ctx, 2*k.d.o.Answer, func() (err error) {
		list, err = k.dev.Credentials(RPID, pin)
		return err
	})
	if code, ok := statusOf(err); ok && code == statusNoCredentials {
		return nil, nil
	}
	if err != nil {
		return nil, k.explain(ctx, err)
	}
	var removed []string
	for _, c := range list[:min(len(list), maxStored)] {
		if len(c.ID) == 0 || len(c.ID) > maxCredentialID {
			return removed, tokens.Errorf(tokens.CodeProtocol, "the key answers nonsense")
		}
		err := k.run(ctx, 2*k.d.o.Answer, func() error { return k.dev.DeleteCredential(c.ID, pin) })
		if err != nil {
			return removed, k.explain(ctx, err)
		}
		removed = append(removed, "credential "+hex.EncodeToString(c.ID[:min(len(c.ID), 8)]))
	}
	return removed, nil
}

// holdsOne fails with CodeWrongToken when keys are named and the token holds none
// of them.
func (k *key) holdsOne(ctx context.Context, keys []tokens.Key) error {
	if len(keys) == 0 {
		return nil
	}
	var list []credential
	for _, key := range keys {
		if key.Kind != tokens.KindFIDO2 {
			return tokens.Errorf(tokens.CodeInvalid, "not a key of a FIDO2 token")
		}
		p, err := parseParams(key.Params)
		if err != nil {
			return err
		}
		list = append(list, p.credential())
	}
	held, err := k.probe(ctx, list)
	if err != nil {
		return err
	}
	for _, yes := range held {
		if yes {
			return nil
		}
	}
	return tokens.Errorf(tokens.CodeWrongToken, "the key holds none of the credentials")
}
