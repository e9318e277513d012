//go:build windows || (cgo && (linux || darwin))

package piv

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"errors"

	gopiv "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokenbridge/tokend/tokens"
)

// Algorithms of the management key (SP 800-78-4, table 6-2).
const (
	alg3DES   = 0x03
	algAES128 = 0x08
	algAES192 = 0x0A
	algAES256 = 0x0C
)

const slotManagement = 0x9B

// Data objects beside the certificates: what ykman keeps behind the PIN, and
// where it says so.
const (
	objectPrinted = 0x5FC109
	objectAdmin   = 0x5FFF00
)

// verify shows the PIN to the card.
func (s *session) verify(pin []byte, last bool) error {
	tries, err := s.pinTries()
	if err != nil {
		return err
	}
	if err := spend(pin, tries, last); err != nil {
		return err
	}
	padded := bytes.Repeat([]byte{0xff}, 8)
	copy(padded, pin)
	defer clear(padded)
	s.dirty = true
	if _, err := s.card.Send(insVerify, 0, 0x80, padded); err != nil {
		return s.d.refusedPIN(s.reader, "PIN", err)
	}
	return nil
}

// pinTries asks how many tries are left; below zero where the card does not
// tell.
func (s *session) pinTries() (int, error) {
	_, err := s.card.Send(insVerify, 0, 0x80, nil)
	if err == nil {
		// Another program left it authenticated. P1=FF ends that (SP 800-73-4
		// part 2, 3.2.1); cards that do not know it lose count of nothing.
		s.dirty = true
		if _, err = s.card.Send(insVerify, 0xff, 0x80, nil); s.refused(err) != nil {
			return -1, s.refused(err)
		}
		_, err = s.card.Send(insVerify, 0, 0x80, nil)
	}
	if err := s.refused(err); err != nil {
		return -1, err
	}
	if code, ok := status(err); ok {
		if tries, ok := triesLeft(code); ok {
			return tries, nil
		}
	}
	return -1, nil
}

// managementAlgorithm is what the card tells of its management key, 3DES where
// it tells nothing, and whether the key wants a touch.
func (s *session) managementAlgorithm() (alg byte, factory, touch bool, err error) {
	if !s.atLeast(5, 3) {
		return alg3DES, false, false, nil
	}
	m, err := s.metadata(slotManagement)
	if err != nil {
		return alg3DES, false, false, s.refused(err)
	}
	return m.algorithm, m.factory, m.touch == 2 || m.touch == 3, nil
}

func managementCipher(alg byte, key []byte) (cipher.Block, error) {
	sizes := map[byte]int{alg3DES: 24, algAES128: 16, algAES192: 24, algAES256: 32}
	if len(key) == 0 || sizes[alg] != len(key) {
		return nil, errors.New("the management key has the wrong size")
	}
	if alg == alg3DES {
		return des.NewTripleDESCipher(key)
	}
	return aes.NewCipher(key)
}

// authenticate proves the management key to the card, and the card to us
// (SP 800-73-4 part 2, A.1). It returns false where the key is wrong; cards
// count no tries of it.
func (s *session) authenticate(alg byte, key []byte) (bool, error) {
	block, err := managementCipher(alg, key)
	if err != nil {
		return false, nil
	}
	n := block.BlockSize()
	b, err := s.card.Send(insAuthenticate, alg, slotManagement, tlv(0x7c, tlv(0x80, nil)))
	if err != nil {
		return false, s.refused(err)
	}
	template, _ := find(b, 0x7c)
	witness, _ := find(template, 0x80)
	if len(witness) != n {
		return false, tokens.Errorf(tokens.CodeProtocol, "the card's challenge has the wrong size")
	}
	proof, challenge, want := make([]byte, n), make([]byte, n), make([]byte, n)
	block.Decrypt(proof, witness)
	if _, err := rand.Read(challenge); err != nil {
		return false, fail(tokens.CodeProtocol, "cannot make a challenge", err)
	}
	block.Encrypt(want, challenge)
	s.dirty = true
	b, err = s.card.Send(insAuthenticate, alg, slotManagement, tlv(0x7c, append(tlv(0x80, proof), tlv(0x81, challenge)...)))
	if err != nil {
		return false, s.refused(err)
	}
	template, _ = find(b, 0x7c)
	answer, _ := find(template, 0x82)
	return bytes.Equal(answer, want), nil
}

// protectedKey reads the management key that ykman keeps in the printed
// information object, which takes the PIN; nil where there is none.
func (s *session) protectedKey() ([]byte, error) {
	b, err := s.object(objectPrinted)
	if err := s.refused(err); err != nil {
		return nil, err
	}
	data, _ := find(b, 0x88)
	key, _ := find(data, 0x89)
	return key, nil
}

// managementKey is a management key that the card has accepted.
type managementKey struct {
	value   []byte
	factory bool
	touch   tokens.Policy // of each later use
}

// manage finds the management key and authenticates with it: the one behind the
// PIN (when that has been shown), the one given, the factory's, in this order.
func (s *session) manage(given []byte, pinShown bool, onTouch func()) (*managementKey, error) {
	alg, _, touch, err := s.managementAlgorithm()
	if err != nil {
		return nil, err
	}
	var candidates [][]byte
	if pinShown {
		k, err := s.protectedKey()
		if err != nil {
			return nil, err
		}
		candidates = append(candidates, k)
	}
	candidates = append(candidates, given, gopiv.DefaultManagementKey)
	policy := tokens.PolicyNever
	if touch {
		policy = tokens.PolicyUnknown // the card asks for it only after a right proof
	}
	for _, k := range candidates {
		if k == nil {
			continue
		}
		stop := announce(policy, onTouch)
		ok, err := s.authenticate(alg, k)
		stop()
		if err != nil {
			return nil, err
		}
		if ok {
			found := &managementKey{value: bytes.Clone(k), factory: bytes.Equal(k, gopiv.DefaultManagementKey), touch: tokens.PolicyNever}
			if touch {
				found.touch = tokens.PolicyAlways
			}
			return found, nil
		}
	}
	if !pinShown && s.keyIsBehindPIN() {
		return nil, tokens.Errorf(tokens.CodePINRequired, "the card keeps its management key behind its PIN")
	}
	if given != nil {
		return nil, tokens.Errorf(tokens.CodeManagement, "the management key is wrong")
	}
	return nil, tokens.Errorf(tokens.CodeManagement, "the card's management key is neither behind its PIN nor the factory's")
}

// keyIsBehindPIN reads ykman's flag for that.
func (s *session) keyIsBehindPIN() bool {
	b, err := s.object(objectAdmin)
	if err != nil {
		return false
	}
	data, _ := find(b, 0x80)
	flags, _ := find(data, 0x81)
	return len(flags) == 1 && flags[0]&0x02 != 0
}
