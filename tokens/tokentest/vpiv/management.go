package vpiv

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
)

// Algorithms of management keys (SP 800-78-4, table 6-2).
const (
	Alg3DES   byte = 0x03
	AlgAES128 byte = 0x08
	AlgAES192 byte = 0x0A
	AlgAES256 byte = 0x0C
)

// management is the card management key 9B.
type management struct {
	alg   byte
	key   []byte
	touch bool
}

func (m management) isFactory() bool { return bytes.Equal(m.key, FactoryManagementKey()) }

func factoryManagementAlgorithm(v Version) byte {
	if v.AtLeast(5, 7, 0) {
		return AlgAES192
	}
	return Alg3DES
}

func managementCipher(alg byte, key []byte) (cipher.Block, error) {
	want := map[byte]int{Alg3DES: 24, AlgAES128: 16, AlgAES192: 24, AlgAES256: 32}[alg]
	if want == 0 {
		return nil, fmt.Errorf("%02x is no algorithm of a management key", alg)
	}
	if len(key) != want {
		return nil, fmt.Errorf("a management key of algorithm %02x has %d bytes, not %d", alg, want, len(key))
	}
	if alg == Alg3DES {
		return des.NewTripleDESCipher(key)
	}
	return aes.NewCipher(key)
}

// authenticateManagement is GENERAL AUTHENTICATE with key 9B (SP 800-73-4 part
// 2, section 3.2.4 and appendix A.1): mutual authentication, or the external
// half of it alone.
func (c *Card) authenticateManagement(alg byte, template []byte) ([]byte, status) {
	if alg == 0 {
		alg = Alg3DES
	}
	block, err := managementCipher(c.mgm.alg, c.mgm.key)
	if err != nil || alg != c.mgm.alg {
		return nil, swWrongData
	}
	n := block.BlockSize()
	witness, hasWitness := findTLV(template, tagWitness)
	challenge, hasChallenge := findTLV(template, tagChallenge)
	response, hasResponse := findTLV(template, tagResponse)
	switch {
	case hasWitness && len(witness) == 0:
		c.mgmOK, c.challenge = false, nil
		c.witness = random(n)
		out := make([]byte, n)
		block.Encrypt(out, c.witness)
		return tlv(tagDynamic, tlv(tagWitness, out)), swOK
	case hasWitness && len(witness) == n && hasChallenge && len(challenge) == n:
		expected := c.witness
		c.witness = nil
		if s := c.managementProof(witness, expected); s != swOK {
			return nil, s
		}
		out := make([]byte, n)
		block.Encrypt(out, challenge)
		return tlv(tagDynamic, tlv(tagResponse, out)), swOK
	case hasResponse && len(response) == n:
		var expected []byte
		if c.challenge != nil {
			expected = make([]byte, n)
			block.Encrypt(expected, c.challenge)
		}
		c.challenge = nil
		return nil, c.managementProof(response, expected)
	case hasChallenge && len(challenge) == 0:
		c.mgmOK, c.witness = false, nil
		c.challenge = random(n)
		return tlv(tagDynamic, tlv(tagChallenge, c.challenge)), swOK
	}
	return nil, swWrongData
}

// managementProof checks what the client proved; nothing asked matches nothing.
func (c *Card) managementProof(got, expected []byte) status {
	if expected == nil || subtle.ConstantTimeCompare(got, expected) != 1 {
		c.mgmOK = false
		return swNotSatisfied
	}
	if c.mgm.touch && !c.waitTouch(slotManagement, touchAlways) {
		return swNotSatisfied
	}
	c.mgmOK = true
	c.counts.ManagementAuths++
	return swOK
}

// setManagementKey is Yubico's SET MANAGEMENT KEY.
func (c *Card) setManagementKey(cmd command) status {
	if !c.mgmOK {
		return swNotSatisfied
	}
	d := cmd.data
	if cmd.p1 != 0xFF || cmd.p2 != 0xFF && cmd.p2 != 0xFE {
		return swWrongP1P2
	}
	if len(d) < 3 || d[1] != slotManagement || int(d[2]) != len(d)-3 {
		return swWrongData
	}
	if d[0] != Alg3DES && !c.opts.Version.AtLeast(5, 4, 0) {
		return swWrongData
	}
	if _, err := managementCipher(d[0], d[3:]); err != nil {
		return swWrongData
	}
	c.mgm = management{alg: d[0], key: bytes.Clone(d[3:]), touch: cmd.p2 == 0xFE}
	return swOK
}

// random cannot fail: crypto/rand.Read ends the program rather than return an
// error.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
