//go:build cgo && linux && !nofido2

package fido2

import (
	"bytes"
	"context"
	"errors"

	libfido2 "github.com/keys-pub/go-libfido2"

	"github.com/tokenbridge/tokend/tokens"
)

// proof is how the user is verified. The zero proof verifies nobody.
type proof struct {
	pin string
	uv  libfido2.OptionValue // libfido2.True: by the key itself, as by a fingerprint
}

func (p proof) verifies() bool { return p.pin != "" || p.uv == libfido2.True }

// ask is what an assertion is asked for. Without a salt it is a pre-flight, which
// waits for no touch and proves which of the credentials the key holds.
type ask struct {
	credentials []credential
	salt        []byte
	proof       proof
	onTouch     func()
}

// assertion is a key's answer, checked.
type assertion struct {
	credential int    // its place in ask.credentials
	secret     []byte // what hmac-secret gave; the caller wipes it
}

// errLie says that a key claimed a credential that it could not sign with.
var errLie = errors.New("the key claims a credential that is not its own")

// assert asks for an assertion and checks it. It fails with errLie, or with what
// explain understands.
func (k *key) assert(ctx context.Context, a ask) (*assertion, error) {
	challenge, err := k.d.random(32)
	if err != nil {
		return nil, err
	}
	ids := make([][]byte, len(a.credentials))
	for i, c := range a.credentials {
		ids[i] = c.id // never empty, or the binding panics
	}
	opts := &libfido2.AssertionOpts{UP: libfido2.False}
	bound := 2 * k.d.o.Answer
	var tell *announcement
	if a.salt != nil {
		opts = &libfido2.AssertionOpts{
			Extensions: []libfido2.Extension{libfido2.HMACSecretExtension}, HMACSalt: a.salt, UV: a.proof.uv,
		}
		bound, tell = k.d.o.Touch, k.announce(a.onTouch, a.proof)
	}
	var got *libfido2.Assertion
	err = k.runTelling(ctx, bound, tell, func() (err error) {
		got, err = k.dev.Assertion(RPID, challenge, ids, a.proof.pin, opts)
		return err
	})
	if err != nil {
		if errors.Is(err, errBound) && a.salt != nil {
			err = fail(tokens.CodeTouchTimeout, "the key was not touched in time", err)
		}
		return nil, err
	}
	out, err := a.check(got, challenge)
	if err != nil {
		clear(got.HMACSecret)
		return nil, err
	}
	return out, nil
}

// check checks what a key answered (WebAuthn, section 7.2).
func (a ask) check(got *libfido2.Assertion, challenge []byte) (*assertion, error) {
	auth, err := parseWrapped(got.AuthDataCBOR)
	if err != nil {
		return nil, fail(tokens.CodeProtocol, "the key answers nonsense", err)
	}
	out := &assertion{credential: -1, secret: got.HMACSecret}
	for i, c := range a.credentials {
		// A key need not say which where there is but one.
		if bytes.Equal(c.id, got.CredentialID) || len(got.CredentialID) == 0 && len(a.credentials) == 1 {
			out.credential = i
		}
	}
	if out.credential < 0 || !auth.ours() || !auth.signed(a.credentials[out.credential], challenge, got.Sig) {
		return out, errLie
	}
	switch {
	case a.salt == nil:
		return out, nil
	case auth.flags&flagUP == 0:
		return nil, tokens.Errorf(tokens.CodeProtocol, "the key answered without a touch")
	case a.proof.verifies() && auth.flags&flagUV == 0:
		return nil, tokens.Errorf(tokens.CodeProtocol, "the key answered without having verified the user")
	case len(got.HMACSecret) != secretSize:
		return nil, tokens.Errorf(tokens.CodeUnsupported, "the key gives no secret (hmac-secret) of the right size")
	}
	return out, nil
}

// holds fails with CodeWrongToken unless the key holds the credential.
func (k *key) holds(ctx context.Context, c credential) error {
	_, err := k.assert(ctx, ask{credentials: []credential{c}})
	if errors.Is(err, errLie) {
		return fail(tokens.CodeWrongToken, "the key claims the credential but cannot sign with it", err)
	}
	if err == nil {
		return nil
	}
	if code, ok := statusOf(err); ok && foreign(code) {
		return fail(tokens.CodeWrongToken, "the key does not hold the credential", err)
	}
	return k.explain(ctx, err)
}

// foreign says whether a key answers so to credentials that are not its own.
// Which status it is differs between makers; lengths matter to some.
func foreign(code int) bool {
	switch code {
	case statusNoCredentials, statusInvalidCred, statusInvalidLength, statusLimit, statusTooLarge, statusNotAllowed:
		return true
	}
	return false
}
