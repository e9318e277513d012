//go:build cgo && linux && !nofido2

package fido2

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"

	libfido2 "github.com/keys-pub/go-libfido2"

	"github.com/tokenbridge/tokend/tokens"
)

// MakeCredential implements tokens.Asserter. It takes two touches: one makes the
// credential, one shows that it can be used.
func (d *Driver) MakeCredential(ctx context.Context, r tokens.CredentialRequest) (tokens.NewCredential, error) {
	if len(r.Hash) != tokens.AssertHash {
		return tokens.NewCredential{}, tokens.Errorf(tokens.CodeInvalid, "what is to be signed is no hash")
	}
	k, err := d.open(ctx, r.Locator, true, r.OnBusy)
	if err != nil {
		return tokens.NewCredential{}, err
	}
	defer k.close()
	var who proof
	if k.verifies(tokens.ClassSession) || k.verifiesNew(tokens.ClassSession) {
		if who, err = k.prove(r.PIN, r.SpendLastTry); err != nil {
			return tokens.NewCredential{}, err
		}
	}
	out := tokens.NewCredential{Token: k.token(d.place(r.Locator))}
	made, err := k.makeForAuthority(ctx, r, who)
	if err != nil {
		return tokens.NewCredential{}, err
	}
	out.AuthData = made.raw
	out.Proof, err = k.sign(ctx, signing{hash: r.Hash, id: made.credential.id, proof: who, onTouch: r.OnTouch})
	return out, err
}

// makeForAuthority has the key make a credential that it does not store.
func (k *key) makeForAuthority(ctx context.Context, r tokens.CredentialRequest, who proof) (*authData, error) {
	userID, err := k.d.random(32)
	if err != nil {
		return nil, err
	}
	if err := alive(ctx); err != nil {
		return nil, err
	}
	var got *libfido2.Attestation
	err = k.runTelling(ctx, k.d.o.Touch, k.announce(r.OnTouch, who), func() (err error) {
		got, err = k.dev.MakeCredential(r.Hash, libfido2.RelyingParty{ID: tokens.AuthorityRP, Name: "tokend"},
			libfido2.User{ID: userID, Name: "tokend", DisplayName: "tokend"}, libfido2.ES256, who.pin, &libfido2.MakeCredentialOpts{UV: who.uv})
		return err
	})
	if errors.Is(err, errBound) {
		return nil, fail(tokens.CodeTouchTimeout, "the key was not touched in time", err)
	}
	if err != nil {
		return nil, k.explainTouch(ctx, who, err)
	}
	auth, err := parseWrapped(got.AuthData)
	if err != nil {
		return nil, fail(tokens.CodeProtocol, "the key answers nonsense", err)
	}
	if auth.flags&flagAT == 0 || !bytes.Equal(auth.credential.id, got.CredentialID) {
		return nil, tokens.Errorf(tokens.CodeProtocol, "the key made another credential than it was asked for")
	}
	return auth, auth.forAuthority(who)
}

// forAuthority checks what can be checked without the credential's public key.
func (a *authData) forAuthority(who proof) error {
	switch {
	case a.rpHash != sha256.Sum256([]byte(tokens.AuthorityRP)):
		return tokens.Errorf(tokens.CodeProtocol, "the key answered for another party than it was asked for")
	case a.flags&flagUP == 0:
		return tokens.Errorf(tokens.CodeProtocol, "the key answered without a touch")
	case who.verifies() && a.flags&flagUV == 0:
		return tokens.Errorf(tokens.CodeProtocol, "the key answered without having verified the user")
	}
	return nil
}

// Assert implements tokens.Asserter.
func (d *Driver) Assert(ctx context.Context, r tokens.AssertRequest) (tokens.Assertion, error) {
	if err := checkAssert(r); err != nil {
		return tokens.Assertion{}, err
	}
	k, err := d.open(ctx, r.Locator, true, r.OnBusy)
	if err != nil {
		return tokens.Assertion{}, err
	}
	defer k.close()
	id, err := k.holdsForAuthority(ctx, r.Credentials)
	if err != nil {
		return tokens.Assertion{}, err
	}
	var who proof
	if k.verifies(tokens.ClassSession) {
		if who, err = k.prove(r.PIN, r.SpendLastTry); err != nil {
			return tokens.Assertion{}, err
		}
	}
	return k.sign(ctx, signing{hash: r.Hash, id: id, proof: who, onTouch: r.OnTouch})
}

func checkAssert(r tokens.AssertRequest) error {
	if len(r.Hash) != tokens.AssertHash || len(r.Credentials) == 0 || len(r.Credentials) > tokens.MaxAssertRequests {
		return tokens.Errorf(tokens.CodeInvalid, "what is to be signed is no hash, or by no credential")
	}
	for _, c := range r.Credentials {
		if len(c) == 0 || len(c) > maxCredentialID {
			return tokens.Errorf(tokens.CodeInvalid, "a credential of %d bytes", len(c))
		}
	}
	return nil
}

// holdsForAuthority returns the first credential that the key says it holds; their
// public keys are the authority's to know. It fails with CodeWrongToken where the key
// holds none.
func (k *key) holdsForAuthority(ctx context.Context, ids [][]byte) ([]byte, error) {
	for _, id := range ids {
		challenge, err := k.d.random(tokens.AssertHash)
		if err != nil {
			return nil, err
		}
		err = k.run(ctx, 2*k.d.o.Answer, func() error {
			_, err := k.dev.Assertion(tokens.AuthorityRP, challenge, [][]byte{id}, "", &libfido2.AssertionOpts{UP: libfido2.False})
			return err
		})
		code, refused := statusOf(err)
		switch {
		case err == nil:
			return id, nil
		case !refused || !foreign(code):
			return nil, k.explain(ctx, err)
		}
	}
	return nil, tokens.Errorf(tokens.CodeWrongToken, "the key is none of those that are registered")
}

// signing is what is signed, by which credential.
type signing struct {
	hash, id []byte
	proof    proof
	onTouch  func()
}

// sign asks for an assertion, which waits for a touch.
func (k *key) sign(ctx context.Context, s signing) (tokens.Assertion, error) {
	if err := alive(ctx); err != nil {
		return tokens.Assertion{}, err
	}
	var got *libfido2.Assertion
	err := k.runTelling(ctx, k.d.o.Touch, k.announce(s.onTouch, s.proof), func() (err error) {
		got, err = k.dev.Assertion(tokens.AuthorityRP, s.hash, [][]byte{s.id}, s.proof.pin, &libfido2.AssertionOpts{UV: s.proof.uv})
		return err
	})
	if errors.Is(err, errBound) {
		return tokens.Assertion{}, fail(tokens.CodeTouchTimeout, "the key was not touched in time", err)
	}
	if err != nil {
		return tokens.Assertion{}, k.explainTouch(ctx, s.proof, err)
	}
	auth, err := parseWrapped(got.AuthDataCBOR)
	if err != nil {
		return tokens.Assertion{}, fail(tokens.CodeProtocol, "the key answers nonsense", err)
	}
	// A key need not say which where there is but one.
	if len(got.CredentialID) > 0 && !bytes.Equal(got.CredentialID, s.id) {
		return tokens.Assertion{}, tokens.Errorf(tokens.CodeProtocol, "the key answered by another credential than it was asked for")
	}
	return tokens.Assertion{Credential: s.id, AuthData: auth.raw, Signature: got.Sig}, auth.forAuthority(s.proof)
}
