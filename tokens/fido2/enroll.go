//go:build cgo && linux && !nofido2

package fido2

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"slices"

	libfido2 "github.com/keys-pub/go-libfido2"

	"github.com/tokenbridge/tokend/tokens"
)

// Enroll implements tokens.Driver. Each class takes two touches: one makes the
// credential, one gets the secret that seals the private key. Where the session
// class is guarded by a PIN or a finger, a third one shows whether the key gives
// another secret without; one that does not is warned about, for its PIN is then
// no guard against who has a copy of the vault. OnTouch comes before each.
//
// A key that has a PIN wants it for new credentials, unless it is a CTAP 2.1 key
// that says otherwise and the touch class alone is asked for.
func (d *Driver) Enroll(ctx context.Context, r tokens.EnrollRequest) (tokens.Enrollment, error) {
	alg, err := checkEnroll(r)
	if err != nil {
		return tokens.Enrollment{}, err
	}
	k, err := d.open(ctx, r.Locator, true, r.OnBusy)
	if err != nil {
		return tokens.Enrollment{}, err
	}
	defer k.close()
	if err := k.excluded(ctx, r.Exclude); err != nil {
		return tokens.Enrollment{}, err
	}
	var who proof
	if slices.ContainsFunc(r.Classes, func(c tokens.Class) bool { return k.verifies(c) || k.verifiesNew(c) }) {
		if who, err = k.prove(r.PIN, r.SpendLastTry); err != nil {
			return tokens.Enrollment{}, err
		}
	}
	out := tokens.Enrollment{Token: k.token(d.place(r.Locator))}
	for i, class := range r.Classes {
		made, err := k.enroll(ctx, r, class, alg, who)
		if err != nil {
			return tokens.Enrollment{}, err
		}
		out.Keys = append(out.Keys, made.key)
		if i == 0 {
			out.Attestation = made.vouched
		}
		if a, b := out.Attestation, made.vouched; a != nil && (b == nil || *a != *b) {
			out.Attestation = nil // who vouches for one key alone does not vouch for the token
		}
		if made.bypass {
			out.Warnings = append(out.Warnings, tokens.WarnPINBypass)
		}
	}
	if slices.Contains(r.Classes, tokens.ClassSession) && !k.verifies(tokens.ClassSession) {
		out.Warnings = append(out.Warnings, tokens.WarnNoPIN)
	}
	return out, nil
}

func checkEnroll(r tokens.EnrollRequest) (tokens.Algorithm, error) {
	if len(r.Classes) == 0 || len(r.Classes) > 2 {
		return "", tokens.Errorf(tokens.CodeInvalid, "a FIDO2 key is enrolled for one class or two")
	}
	for i, c := range r.Classes {
		if c != tokens.ClassSession && c != tokens.ClassTouch || slices.Contains(r.Classes[:i], c) {
			return "", tokens.Errorf(tokens.CodeInvalid, "a FIDO2 key is enrolled for the classes session and touch, once each")
		}
	}
	if r.UseExisting || len(r.Slots) > 0 || len(r.Overwrite) > 0 {
		return "", tokens.Errorf(tokens.CodeUnsupported, "a FIDO2 key has no slots, and holds no keys that were made elsewhere")
	}
	switch r.Algorithm {
	case "":
		return tokens.X25519, nil
	case tokens.X25519, tokens.P256, tokens.P384:
		return r.Algorithm, nil
	}
	return "", tokens.Errorf(tokens.CodeInvalid, "unknown algorithm")
}

// verifies says whether the class's secret is asked for with user verification.
func (k *key) verifies(c tokens.Class) bool {
	if c == tokens.ClassTouch {
		return k.info.Has("alwaysUv")
	}
	return k.info.Has("clientPin") || k.info.Has("uv") || k.info.Has("alwaysUv")
}

// verifiesNew says whether the class's credential is made with user
// verification: where its secret is, and where the key demands it.
func (k *key) verifiesNew(c tokens.Class) bool {
	protected := k.info.Has("clientPin") || k.info.Has("uv")
	return k.verifies(c) || protected && !k.info.Has("makeCredUvNotRqd")
}

// excluded fails with CodeEnrolled when the key holds one of the keys.
func (k *key) excluded(ctx context.Context, keys []tokens.Key) error {
	var list []credential
	for _, key := range keys {
		if p, err := parseParams(key.Params); key.Kind == tokens.KindFIDO2 && err == nil {
			list = append(list, p.credential())
		}
	}
	held, err := k.probe(ctx, list)
	if err != nil {
		return err
	}
	if slices.Contains(held, true) {
		return tokens.Errorf(tokens.CodeEnrolled, "the key is enrolled already")
	}
	return nil
}

// enrolled is what enrolling made for one class.
type enrolled struct {
	key     tokens.Key
	vouched *tokens.Attestation
	bypass  bool // the secret can be had without verification too
}

// enroll makes the key pair of one class.
func (k *key) enroll(ctx context.Context, r tokens.EnrollRequest, class tokens.Class, alg tokens.Algorithm, who proof) (*enrolled, error) {
	made, err := k.make(ctx, r, class, who)
	if err != nil {
		return nil, err
	}
	salt, err := k.d.random(saltSize)
	if err != nil {
		return nil, err
	}
	p := &params{
		Version: paramsVersion, Credential: made.auth.credential.id, CredentialKey: made.auth.credential.point,
		Salt: salt, SaltMode: saltRaw, UV: k.verifies(class),
	}
	if !p.UV {
		who = proof{}
	}
	got, err := k.secret(ctx, r, p, who)
	if err != nil {
		return nil, k.explainTouch(ctx, who, err)
	}
	defer clear(got)
	out := &enrolled{vouched: made.vouched(r.Roots)}
	if out.key, err = k.seal(p, got, class, alg); err != nil {
		return nil, err
	}
	if class == tokens.ClassSession && p.UV && !k.info.Has("alwaysUv") {
		out.bypass, err = k.bypassed(ctx, r, p, got)
	}
	return out, err
}

// secret asks for the secret of p; the caller wipes it.
func (k *key) secret(ctx context.Context, r tokens.EnrollRequest, p *params, who proof) ([]byte, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	got, err := k.assert(ctx, ask{credentials: []credential{p.credential()}, salt: p.salt(), proof: who, onTouch: r.OnTouch})
	if err != nil {
		return nil, err
	}
	return got.secret, nil
}

// bypassed says whether the key gives the same secret without verifying its
// user. CTAP 2.0 leaves that open, CTAP 2.1 forbids it (section 12.5).
func (k *key) bypassed(ctx context.Context, r tokens.EnrollRequest, p *params, secret []byte) (bool, error) {
	got, err := k.secret(ctx, r, p, proof{})
	if err != nil {
		told := k.explainTouch(ctx, proof{}, err)
		if code, ok := statusOf(err); ok && aboutPIN(code) {
			return false, nil // it refuses, which is as good
		}
		return false, told
	}
	defer clear(got)
	return subtle.ConstantTimeCompare(got, secret) == 1, nil
}

// seal makes a key pair and seals its private half.
func (k *key) seal(p *params, secret []byte, class tokens.Class, alg tokens.Algorithm) (tokens.Key, error) {
	nonce, err := k.d.random(nonceSize)
	if err != nil {
		return tokens.Key{}, err
	}
	private, err := generate(k.d, alg)
	if err != nil {
		return tokens.Key{}, err
	}
	if err := p.seal(secret, class, alg, private, nonce); err != nil {
		return tokens.Key{}, fail(tokens.CodeProtocol, "cannot seal the private key", err)
	}
	b, err := json.Marshal(p)
	if err != nil || len(b) > maxParams {
		return tokens.Key{}, fail(tokens.CodeUnsupported, "the key's credential id is too long to be stored", err)
	}
	return tokens.Key{Kind: tokens.KindFIDO2, Class: class, Algorithm: alg, Public: private.PublicKey().Bytes(), Params: b}, nil
}

func generate(d *Driver, alg tokens.Algorithm) (*ecdh.PrivateKey, error) {
	private, err := alg.Curve().GenerateKey(d.o.Random)
	if err != nil {
		return nil, fail(tokens.CodeProtocol, "cannot make a private key", err)
	}
	return private, nil
}

// make has the key make a credential that it does not store.
func (k *key) make(ctx context.Context, r tokens.EnrollRequest, class tokens.Class, who proof) (*statement, error) {
	challenge, err := k.d.random(32)
	if err != nil {
		return nil, err
	}
	userID, err := k.d.random(32)
	if err != nil {
		return nil, err
	}
	if !k.verifiesNew(class) {
		who = proof{}
	}
	if err := alive(ctx); err != nil {
		return nil, err
	}
	var got *libfido2.Attestation
	err = k.runTelling(ctx, k.d.o.Touch, k.announce(r.OnTouch, who), func() (err error) {
		got, err = k.dev.MakeCredential(challenge,
			libfido2.RelyingParty{ID: RPID, Name: "tokend"}, libfido2.User{ID: userID, Name: "tokend", DisplayName: "tokend"},
			libfido2.ES256, who.pin, &libfido2.MakeCredentialOpts{
				Extensions: []libfido2.Extension{libfido2.HMACSecretExtension}, UV: who.uv,
			})
		return err
	})
	if errors.Is(err, errBound) {
		return nil, fail(tokens.CodeTouchTimeout, "the key was not touched in time", err)
	}
	if err != nil {
		return nil, k.explainTouch(ctx, who, err)
	}
	return checkMade(got, challenge, who)
}

// checkMade checks what a key says of a new credential (WebAuthn, section 7.1).
func checkMade(got *libfido2.Attestation, challenge []byte, who proof) (*statement, error) {
	auth, err := parseWrapped(got.AuthData)
	if err != nil {
		return nil, fail(tokens.CodeProtocol, "the key answers nonsense", err)
	}
	switch {
	case auth.flags&flagAT == 0 || !auth.ours() || !bytes.Equal(auth.credential.id, got.CredentialID):
		return nil, tokens.Errorf(tokens.CodeProtocol, "the key made another credential than it was asked for")
	case auth.flags&flagUP == 0:
		return nil, tokens.Errorf(tokens.CodeProtocol, "the key answered without a touch")
	case who.verifies() && auth.flags&flagUV == 0:
		return nil, tokens.Errorf(tokens.CodeProtocol, "the key answered without having verified the user")
	case !auth.hmacSecret:
		return nil, tokens.Errorf(tokens.CodeUnsupported, "the key made a credential that gives no secret (hmac-secret)")
	}
	return &statement{
		format: got.Format, auth: auth, clientDataHash: challenge, signature: got.Sig, certificate: got.Cert,
	}, nil
}
