package fido2

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/tokenbridge/tokend/tokens"
)

// paramsVersion is the version of params.
const paramsVersion = 1

// maxParams is what tokens.Key.Params may have, in bytes.
const maxParams = 4096

// saltMode says what of the stored salt goes to the key.
type saltMode string

const (
	// saltRaw: the salt itself.
	saltRaw saltMode = "raw"
	// saltPRF: what a browser makes of it (WebAuthn level 3, section 10.1.4), so
	// that a secret made by a web page could be had here. Never written.
	saltPRF saltMode = "prf"
)

const (
	saltSize   = 32
	secretSize = 32 // what hmac-secret gives for one salt
	nonceSize  = 12
	tagSize    = 16
)

// params is what tokens.Key.Params holds for a FIDO2 key.
type params struct {
	Version int `json:"v"`
	// Credential is its id and CredentialKey its ES256 public key, an
	// uncompressed P-256 point.
	Credential    []byte   `json:"credential"`
	CredentialKey []byte   `json:"credential_key"`
	Salt          []byte   `json:"salt"`
	SaltMode      saltMode `json:"salt_mode"`
	// UV says that the secret is the one with user verification.
	UV bool `json:"uv"`
	// Sealed is the private key: nonce and AES-256-GCM.
	Sealed []byte `json:"sealed"`
}

func (p *params) credential() credential {
	return credential{id: p.Credential, point: p.CredentialKey}
}

// salt is what goes to the key.
func (p *params) salt() []byte {
	if p.SaltMode == saltPRF {
		sum := sha256.Sum256(append([]byte("WebAuthn PRF\x00"), p.Salt...))
		return sum[:]
	}
	return p.Salt
}

// parseParams reads foreign parameters strictly.
func parseParams(b []byte) (*params, error) {
	invalid := func(detail string, err error) error {
		return &tokens.Error{Code: tokens.CodeInvalid, Tries: -1, Detail: detail, Err: err}
	}
	if len(b) > maxParams {
		return nil, invalid("the key's parameters are too large", nil)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	p := new(params)
	if err := d.Decode(p); err != nil {
		return nil, invalid("the key's parameters are malformed", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, invalid("the key's parameters are malformed", err)
	}
	switch {
	case p.Version != paramsVersion:
		return nil, invalid("the key's parameters are of another version", nil)
	case len(p.Credential) == 0 || len(p.Credential) > maxCredentialID,
		len(p.Salt) != saltSize,
		p.SaltMode != saltRaw && p.SaltMode != saltPRF,
		len(p.Sealed) < nonceSize+tagSize+32 || len(p.Sealed) > nonceSize+tagSize+66:
		return nil, invalid("the key's parameters are malformed", nil)
	}
	if _, err := p.credential().public(); err != nil {
		return nil, invalid("the key's parameters are malformed", err)
	}
	return p, nil
}

// context binds everything that is stored beside the sealed private key, each
// part with its length.
func (p *params) context(class tokens.Class, alg tokens.Algorithm, public []byte) []byte {
	uv := []byte{0}
	if p.UV {
		uv[0] = 1
	}
	var out []byte
	for _, part := range [][]byte{
		[]byte("tokend fido2 key v1"), []byte(RPID), []byte(class), []byte(alg), uv, []byte(p.SaltMode), p.Salt,
		p.Credential, p.CredentialKey, public,
	} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
		out = append(out, part...)
	}
	return out
}

// aead makes the cipher out of the key's secret.
func (p *params) aead(secret, context []byte) (cipher.AEAD, error) {
	if len(secret) != secretSize {
		return nil, errors.New("a secret of the wrong size")
	}
	k, err := hkdf.Key(sha256.New, secret, p.Salt, string(context), 32)
	if err != nil {
		return nil, fmt.Errorf("cannot derive a key: %w", err)
	}
	defer clear(k)
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, fmt.Errorf("cannot derive a key: %w", err)
	}
	return cipher.NewGCM(block)
}

// seal puts a private key into p.
func (p *params) seal(secret []byte, class tokens.Class, alg tokens.Algorithm, private *ecdh.PrivateKey, nonce []byte) error {
	context := p.context(class, alg, private.PublicKey().Bytes())
	a, err := p.aead(secret, context)
	if err != nil {
		return err
	}
	plain := private.Bytes()
	defer clear(plain)
	p.Sealed = a.Seal(bytes.Clone(nonce), nonce, plain, context)
	return nil
}

// errSecret says that the key gave another secret than at enrolling.
var errSecret = errors.New("the secret does not open the private key")

// unseal takes the private key of k out of p. It fails with errSecret when the
// secret is not the one that sealed it.
func (p *params) unseal(secret []byte, k tokens.Key) (*ecdh.PrivateKey, error) {
	curve := k.Algorithm.Curve()
	context := p.context(k.Class, k.Algorithm, k.Public)
	a, err := p.aead(secret, context)
	if err != nil {
		return nil, err
	}
	plain, err := a.Open(nil, p.Sealed[:nonceSize], p.Sealed[nonceSize:], context)
	if err != nil {
		return nil, errSecret
	}
	defer clear(plain)
	private, err := curve.NewPrivateKey(plain)
	if err != nil || !bytes.Equal(private.PublicKey().Bytes(), k.Public) {
		return nil, errors.New("the sealed private key is another")
	}
	return private, nil
}

func readFull(r io.Reader, b []byte) (int, error) { return io.ReadFull(r, b) }
