package archive

import (
	"crypto/ecdh"
	"crypto/hpke"
	"fmt"
)

// Wrap is a key sealed to a keyslot's public key with HPKE (RFC 9180, base
// mode): the DHKEM of the key's curve, HKDF-SHA256, AES-256-GCM.
type Wrap struct {
	Enc []byte `json:"enc"` // the encapsulated key
	CT  []byte `json:"ct"`
}

// Binding is what a Wrap is bound to by HPKE's info: it opens as nothing else.
type Binding struct {
	VaultID string
	SlotID  string
	Class   string
	Epoch   uint64
}

func (b Binding) info() []byte {
	return fmt.Appendf(nil, "tokend vault v1 keyslot\n%s\n%s\n%s\n%d\n", b.VaultID, b.SlotID, b.Class, b.Epoch)
}

// Seal wraps plaintext to a keyslot's public key; no token is needed.
func Seal(k Key, b Binding, plaintext []byte) (Wrap, error) {
	pub, err := k.public()
	if err != nil {
		return Wrap{}, err
	}
	pk, err := hpke.NewDHKEMPublicKey(pub)
	if err != nil {
		return Wrap{}, fmt.Errorf("cannot seal to the keyslot: %w", err)
	}
	enc, s, err := hpke.NewSender(pk, hpke.HKDFSHA256(), hpke.AES256GCM(), b.info())
	if err != nil {
		return Wrap{}, fmt.Errorf("cannot seal to the keyslot: %w", err)
	}
	ct, err := s.Seal(nil, plaintext)
	if err != nil {
		return Wrap{}, fmt.Errorf("cannot seal to the keyslot: %w", err)
	}
	return Wrap{enc, ct}, nil
}

// Open unwraps with one Diffie-Hellman, which exchange does with the private
// half of k. Its error comes back wrapped; ErrWrongKey means that it did
// something, but not with the key that the wrap is for.
func (w Wrap) Open(k Key, b Binding, exchange func(peer []byte) ([]byte, error)) ([]byte, error) {
	pub, err := k.public()
	if err != nil {
		return nil, err
	}
	x := &exchanger{public: pub, exchange: exchange}
	sk, err := hpke.NewDHKEMPrivateKey(x)
	if err != nil {
		return nil, fmt.Errorf("cannot open the keyslot: %w", err)
	}
	r, err := hpke.NewRecipient(w.Enc, sk, hpke.HKDFSHA256(), hpke.AES256GCM(), b.info())
	if x.err != nil {
		return nil, fmt.Errorf("cannot open the keyslot: %w", x.err)
	}
	if err != nil {
		return nil, damaged("keyslot: %w", err)
	}
	out, err := r.Open(nil, w.CT)
	if err != nil {
		return nil, fmt.Errorf("cannot open the keyslot: %w", ErrWrongKey)
	}
	return out, nil
}

// Peer is what the keyslot's private key must be combined with to open the wrap,
// in the encoding of k's algorithm.
func (w Wrap) Peer(k Key) ([]byte, error) {
	c, err := k.curve()
	if err != nil {
		return nil, err
	}
	p, err := c.NewPublicKey(w.Enc)
	if err != nil {
		return nil, damaged("keyslot: %w", err)
	}
	return p.Bytes(), nil
}

// exchanger makes a token's Diffie-Hellman look like a key to crypto/hpke.
type exchanger struct {
	public   *ecdh.PublicKey
	exchange func(peer []byte) ([]byte, error)
	err      error
}

func (x *exchanger) PublicKey() *ecdh.PublicKey { return x.public }
func (x *exchanger) Curve() ecdh.Curve          { return x.public.Curve() }

// ECDH refuses answers that no Diffie-Hellman has: of another length, or all
// zero, which RFC 9180 section 7.1.4 wants refused for X25519.
func (x *exchanger) ECDH(peer *ecdh.PublicKey) ([]byte, error) {
	out, err := x.exchange(peer.Bytes())
	if err != nil {
		x.err = err
		return nil, err
	}
	zero := byte(0)
	for _, b := range out {
		zero |= b
	}
	want := 32
	if x.Curve() == ecdh.P384() {
		want = 48
	}
	if len(out) != want || zero == 0 {
		x.err = fmt.Errorf("%w: the answer is no shared secret", ErrWrongKey)
		return nil, x.err
	}
	return out, nil
}
