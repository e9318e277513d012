package vpiv

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
)

// Tags of GENERAL AUTHENTICATE (SP 800-73-4 part 2, table 7).
const (
	tagDynamic      = 0x7C
	tagWitness      = 0x80
	tagChallenge    = 0x81
	tagResponse     = 0x82
	tagExponentiate = 0x85
)

// generalAuthenticate is GENERAL AUTHENTICATE (SP 800-73-4 part 2, section
// 3.2.4).
func (c *Card) generalAuthenticate(cmd command) ([]byte, status) {
	template, ok := findTLV(cmd.data, tagDynamic)
	if !ok {
		return nil, swWrongData
	}
	if cmd.p2 == slotManagement {
		return c.authenticateManagement(cmd.p1, template)
	}
	k := c.keys[cmd.p2]
	if k == nil || k.alg != cmd.p1 {
		return nil, swWrongData
	}
	if k.pin != pinNever && !c.pinOK || k.pin == pinAlways && !c.pinFresh {
		return nil, swNotSatisfied
	}
	c.pinFresh = false
	if !c.waitTouch(cmd.p2, k.touch) {
		return nil, swNotSatisfied
	}
	out, s := c.use(k, template)
	if s != swOK {
		return nil, s
	}
	return tlv(tagDynamic, tlv(tagResponse, out)), swOK
}

// use does the one thing with the private key that the template asks for.
func (c *Card) use(k *key, template []byte) ([]byte, status) {
	if peer, ok := findTLV(template, tagExponentiate); ok {
		out := k.agree(peer)
		if out == nil {
			return nil, swWrongData
		}
		c.counts.ECDHs++
		return out, swOK
	}
	message, ok := findTLV(template, tagChallenge)
	if !ok {
		return nil, swWrongData
	}
	out := k.sign(message)
	if out == nil {
		return nil, swWrongData
	}
	c.counts.PrivateUses++
	return out, swOK
}

// agree does an ECDH; nil when the key cannot, or peer is no public key for it.
func (k *key) agree(peer []byte) []byte {
	private := k.exchange
	if ec, ok := k.private.(*ecdsa.PrivateKey); ok {
		p, err := ec.ECDH()
		if err != nil {
			return nil
		}
		private = p
	}
	if private == nil {
		return nil
	}
	public, err := private.Curve().NewPublicKey(peer)
	if err != nil {
		return nil
	}
	out, err := private.ECDH(public)
	if err != nil {
		return nil
	}
	return out
}

// sign signs a digest (ECDSA) or message (Ed25519), or does the bare RSA
// operation on a padded block, which is signature and decryption alike.
func (k *key) sign(message []byte) []byte {
	switch p := k.private.(type) {
	case *ecdsa.PrivateKey:
		if len(message) == 0 || len(message) > 64 {
			return nil
		}
		out, err := ecdsa.SignASN1(rand.Reader, p, message)
		if err != nil {
			return nil
		}
		return out
	case ed25519.PrivateKey:
		out, err := p.Sign(rand.Reader, message, crypto.Hash(0))
		if err != nil {
			return nil
		}
		return out
	case *rsa.PrivateKey:
		m := new(big.Int).SetBytes(message)
		if len(message) != p.Size() || m.Cmp(p.N) >= 0 {
			return nil
		}
		return m.Exp(m, p.D, p.N).FillBytes(make([]byte, p.Size()))
	}
	return nil
}
