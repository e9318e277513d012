package vfido

import (
	"crypto/hmac"
	"crypto/sha256"
)

// saltSize is the length of each salt and each output of hmac-secret.
const saltSize = 32

// hmacInput is hmac-secret's input to getAssertion (section 12.5).
type hmacInput struct {
	Agreement *coseKey `cbor:"1,keyasint"`
	Salts     []byte   `cbor:"2,keyasint"`
	Param     []byte   `cbor:"3,keyasint"`
	Protocol  *int     `cbor:"4,keyasint"`
}

// salts are hmac-secret's decrypted input, and how to encrypt its output.
type salts struct {
	shared secret
	plain  []byte
}

// openSalts takes hmac-secret's input apart; nil where there is none.
func (k *Key) openSalts(in extensions, up bool) (*salts, Status) {
	raw, ok := in["hmac-secret"]
	if !ok || k.opts.NoHMACSecret {
		return nil, StatusOK
	}
	if !up {
		return nil, StatusUnsupportedOption
	}
	var r hmacInput
	if s := unmarshal(raw, &r); s != StatusOK {
		return nil, s
	}
	if r.Agreement == nil || r.Salts == nil || r.Param == nil {
		return nil, StatusMissingParameter
	}
	protocol := 1 // when it is not named
	if r.Protocol != nil {
		protocol = *r.Protocol
	}
	if s := k.checkProtocol(&protocol); s != StatusOK {
		return nil, s
	}
	shared, s := k.agreement.decapsulate(protocol, *r.Agreement)
	if s != StatusOK {
		return nil, s
	}
	if !shared.verify(r.Param, r.Salts) {
		return nil, StatusPINAuthInvalid
	}
	plain, ok := shared.decrypt(r.Salts)
	if !ok || len(plain) != saltSize && len(plain) != 2*saltSize {
		return nil, StatusInvalidParameter
	}
	return &salts{shared, plain}, StatusOK
}

// outputs are the extensions' outputs of an assertion; nil where there are none.
func (k *Key) outputs(c *credential, in *salts, uv bool) ([]byte, Status) {
	if in == nil || !c.hmac {
		return nil, StatusOK
	}
	var plain []byte
	for rest := in.plain; len(rest) > 0; rest = rest[saltSize:] {
		h := hmac.New(sha256.New, c.secretFor(uv))
		h.Write(rest[:saltSize])
		plain = h.Sum(plain)
		k.counts.HMACOutputs++
	}
	switch f := k.running.fault; {
	case f.is(FaultHMACLength):
		plain = plain[:len(plain)/2]
	case f.is(FaultHMACRandom):
		plain = random(len(plain))
	}
	sealed, err := in.shared.encrypt(plain)
	if err != nil {
		return nil, StatusOther
	}
	return marshal(map[string][]byte{"hmac-secret": sealed})
}
