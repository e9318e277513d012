package vfido

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
)

// agreementKey is the key's half of the key agreement of both PIN/UV auth
// protocols (section 6.5.5.4).
type agreementKey struct{ private *ecdh.PrivateKey }

func newAgreementKey() (agreementKey, error) {
	k, err := ecdh.P256().GenerateKey(rand.Reader)
	return agreementKey{k}, err
}

// public is the COSE key that getKeyAgreement gives.
func (a agreementKey) public() map[int]any {
	p := a.private.PublicKey().Bytes()
	return map[int]any{1: 2, 3: -25, -1: 1, -2: p[1:33], -3: p[33:]}
}

// secret is what both sides of a key agreement share, for one protocol.
type secret struct {
	protocol int
	mac, aes []byte
}

// decapsulate is that of section 6.5.4.
func (a agreementKey) decapsulate(protocol int, peer coseKey) (secret, Status) {
	if peer.Kty != 2 || peer.Crv != 1 || len(peer.X) != 32 || len(peer.Y) != 32 {
		return secret{}, StatusInvalidParameter
	}
	point := append(append([]byte{4}, peer.X...), peer.Y...)
	public, err := ecdh.P256().NewPublicKey(point)
	if err != nil {
		return secret{}, StatusInvalidParameter
	}
	z, err := a.private.ECDH(public)
	if err != nil {
		return secret{}, StatusInvalidParameter
	}
	if protocol == 1 {
		h := sha256.Sum256(z)
		return secret{1, h[:], h[:]}, StatusOK
	}
	s := secret{protocol: 2}
	for info, to := range map[string]*[]byte{"CTAP2 HMAC key": &s.mac, "CTAP2 AES key": &s.aes} {
		if *to, err = hkdf.Key(sha256.New, z, make([]byte, 32), info, 32); err != nil {
			return secret{}, StatusOther
		}
	}
	return s, StatusOK
}

// authenticate is the MAC of a protocol (sections 6.5.6 and 6.5.7).
func authenticate(protocol int, key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	if protocol == 1 {
		return h.Sum(nil)[:16]
	}
	return h.Sum(nil)
}

// verify says whether a MAC is that of the parts.
func (s secret) verify(mac []byte, parts ...[]byte) bool {
	var message []byte
	for _, p := range parts {
		message = append(message, p...)
	}
	return hmac.Equal(mac, authenticate(s.protocol, s.mac, message))
}

// encrypt is that of the protocol: AES-256-CBC without padding, with an IV of
// zeros in protocol 1 and with a random one before the rest in protocol 2.
func (s secret) encrypt(plain []byte) ([]byte, error) {
	block, err := aes.NewCipher(s.aes)
	if err != nil {
		return nil, err
	}
	iv, out := make([]byte, aes.BlockSize), []byte(nil)
	if s.protocol == 2 {
		iv = random(aes.BlockSize)
		out = append(out, iv...)
	}
	body := make([]byte, len(plain))
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(body, plain)
	return append(out, body...), nil
}

// decrypt undoes encrypt; ok is false when the length cannot be.
func (s secret) decrypt(in []byte) (plain []byte, ok bool) {
	iv := make([]byte, aes.BlockSize)
	if s.protocol == 2 {
		if len(in) < aes.BlockSize {
			return nil, false
		}
		iv, in = in[:aes.BlockSize], in[aes.BlockSize:]
	}
	block, err := aes.NewCipher(s.aes)
	if err != nil || len(in)%aes.BlockSize != 0 {
		return nil, false
	}
	plain = make([]byte, len(in))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, in)
	return plain, true
}
