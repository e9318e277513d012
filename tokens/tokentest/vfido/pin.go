package vfido

import (
	"bytes"
	"crypto/hmac"
	"slices"
	"time"
)

// missesAllowed is how many wrong PINs in a row a key takes until it is
// unplugged (section 6.5.5.6).
const missesAllowed = 3

// pinRequest are the parameters of authenticatorClientPIN (section 6.5.5).
type pinRequest struct {
	Protocol    *int     `cbor:"1,keyasint"`
	Sub         *byte    `cbor:"2,keyasint"`
	Agreement   *coseKey `cbor:"3,keyasint"`
	Param       []byte   `cbor:"4,keyasint"`
	NewPIN      []byte   `cbor:"5,keyasint"`
	PINHash     []byte   `cbor:"6,keyasint"`
	Permissions *int     `cbor:"9,keyasint"`
	RP          *string  `cbor:"10,keyasint"`
}

func (k *Key) clientPIN(params []byte) ([]byte, Status) {
	var r pinRequest
	if s := unmarshal(params, &r); s != StatusOK {
		return nil, s
	}
	if r.Sub == nil {
		return nil, StatusMissingParameter
	}
	modern := k.opts.Version == CTAP21
	switch sub := *r.Sub; {
	case sub == SubGetRetries:
		m := map[int]any{3: k.pin.tries}
		if modern {
			m[4] = k.misses >= missesAllowed
		}
		return marshal(m)
	case sub == SubGetUVRetries && k.opts.UV:
		return marshal(map[int]any{5: k.uvTries})
	case sub == SubGetKeyAgreement:
		if s := k.checkProtocol(r.Protocol); s != StatusOK {
			return nil, s
		}
		return marshal(map[int]any{1: k.agreement.public()})
	case sub == SubSetPIN:
		return nil, k.setPIN(r)
	case sub == SubChangePIN:
		return nil, k.changePIN(r)
	case sub == SubGetPINToken:
		return k.tokenByPIN(r, false)
	case sub == SubGetTokenUsingPIN && modern:
		return k.tokenByPIN(r, true)
	case sub == SubGetTokenUsingUV && modern:
		return k.tokenByUV(r)
	}
	if !modern {
		return nil, StatusInvalidParameter
	}
	return nil, StatusInvalidSubcommand
}

// checkProtocol wants a PIN/UV auth protocol that the key has.
func (k *Key) checkProtocol(p *int) Status {
	switch {
	case p == nil:
		return StatusMissingParameter
	case !slices.Contains(k.opts.Protocols, *p):
		return StatusInvalidParameter
	}
	return StatusOK
}

// agree wants protocol and key agreement, and the parts that must be there.
func (k *Key) agree(r pinRequest, must ...[]byte) (secret, Status) {
	if s := k.checkProtocol(r.Protocol); s != StatusOK {
		return secret{}, s
	}
	if r.Agreement == nil || slices.ContainsFunc(must, func(p []byte) bool { return p == nil }) {
		return secret{}, StatusMissingParameter
	}
	return k.agreement.decapsulate(*r.Protocol, *r.Agreement)
}

// setPIN is section 6.5.5.5.
func (k *Key) setPIN(r pinRequest) Status {
	shared, s := k.agree(r, r.NewPIN, r.Param)
	switch {
	case s != StatusOK:
		return s
	case k.pin.hash != nil, !shared.verify(r.Param, r.NewPIN):
		return StatusPINAuthInvalid
	}
	return k.takeNewPIN(shared, r.NewPIN)
}

// changePIN is section 6.5.5.6.
func (k *Key) changePIN(r pinRequest) Status {
	shared, s := k.agree(r, r.NewPIN, r.Param, r.PINHash)
	switch {
	case s != StatusOK:
		return s
	case k.pin.hash == nil:
		return StatusPINNotSet
	case k.pin.tries == 0:
		return StatusPINBlocked
	case !shared.verify(r.Param, r.NewPIN, r.PINHash):
		return StatusPINAuthInvalid
	}
	if s := k.tryPIN(shared, r.PINHash); s != StatusOK {
		return s
	}
	return k.takeNewPIN(shared, r.NewPIN)
}

// takeNewPIN sets the PIN that came in 64 bytes, padded with zeros.
func (k *Key) takeNewPIN(shared secret, sealed []byte) Status {
	padded, ok := shared.decrypt(sealed)
	if !ok || len(padded) != 64 {
		return StatusInvalidParameter
	}
	pin := bytes.TrimRight(padded, "\x00")
	if !k.opts.goodPIN(pin, k.opts.MinPINLength) {
		return StatusPINPolicy
	}
	hash := hashPIN(pin)
	if k.pin.mustTurn && bytes.Equal(hash, k.pin.hash) {
		return StatusPINPolicy
	}
	k.pin = pinState{hash: hash, tries: maxPINTries}
	k.misses, k.token = 0, nil
	k.counts.PINsSet++
	return StatusOK
}

// tryPIN compares an encrypted PIN hash and counts (section 6.5.5.7.1).
func (k *Key) tryPIN(shared secret, sealed []byte) Status {
	k.counts.PINsSeen++
	switch {
	case k.pin.tries == 0:
		k.counts.PINFailures++
		return StatusPINBlocked
	case k.misses >= missesAllowed:
		k.counts.PINFailures++
		return StatusPINAuthBlocked
	}
	k.pin.tries--
	if hash, ok := shared.decrypt(sealed); ok && hmac.Equal(hash, k.pin.hash) {
		k.pin.tries, k.misses = maxPINTries, 0
		k.uvTries = k.opts.UVTries // the PIN unblocks the reader
		return StatusOK
	}
	k.counts.PINFailures++
	agreement, err := newAgreementKey()
	if err != nil {
		return StatusOther
	}
	k.agreement = agreement
	k.misses++
	switch {
	case k.pin.tries == 0:
		return StatusPINBlocked
	case k.misses >= missesAllowed:
		return StatusPINAuthBlocked
	}
	return StatusPINInvalid
}

// Permissions of tokens (section 6.5.5.7).
const (
	permitMake   = 0x01
	permitAssert = 0x02
	permitManage = 0x04
)

// Times a token is good for (section 6.5.2.1): until its first use, over USB,
// and in all.
const (
	tokenFirstUse = 30 * time.Second
	tokenLife     = 10 * time.Minute
)

// token is a pinUvAuthToken and its state (section 6.5.2.1).
type token struct {
	value       []byte
	protocol    int
	permissions int
	rp          string
	present     bool // user present
	verified    bool // user verified
	issued      time.Time
	used        bool
}

// tokenByPIN is getPinToken (section 6.5.5.7.1) and, with permissions,
// getPinUvAuthTokenUsingPinWithPermissions (section 6.5.5.7.2).
func (k *Key) tokenByPIN(r pinRequest, permissions bool) ([]byte, Status) {
	shared, s := k.agree(r, r.PINHash)
	if s != StatusOK {
		return nil, s
	}
	permit, rp := permitMake|permitAssert, ""
	if permissions {
		if permit, rp, s = k.askedPermissions(r); s != StatusOK {
			return nil, s
		}
	} else if k.opts.Version == CTAP21 && (r.Permissions != nil || r.RP != nil) {
		return nil, StatusInvalidParameter
	}
	if k.pin.hash == nil {
		return nil, StatusPINNotSet
	}
	if s := k.tryPIN(shared, r.PINHash); s != StatusOK {
		return nil, s
	}
	if k.pin.mustTurn {
		return nil, StatusPINPolicy
	}
	return k.issue(shared, permit, rp, false)
}

// tokenByUV is getPinUvAuthTokenUsingUvWithPermissions (section 6.5.5.7.3).
func (k *Key) tokenByUV(r pinRequest) ([]byte, Status) {
	shared, s := k.agree(r)
	if s != StatusOK {
		return nil, s
	}
	permit, rp, s := k.askedPermissions(r)
	switch {
	case s != StatusOK:
		return nil, s
	case !k.opts.UV:
		return nil, StatusNotAllowed
	}
	if s := k.builtInUV(rp); s != StatusOK {
		return nil, s
	}
	return k.issue(shared, permit, rp, true)
}

func (k *Key) askedPermissions(r pinRequest) (int, string, Status) {
	if r.Permissions == nil {
		return 0, "", StatusMissingParameter
	}
	p := *r.Permissions
	known := permitMake | permitAssert
	if k.manages() {
		known |= permitManage
	}
	switch {
	case p == 0:
		return 0, "", StatusInvalidParameter
	case p&^known != 0:
		return 0, "", StatusUnauthorizedPermission
	case p&(permitMake|permitAssert) != 0 && r.RP == nil:
		return 0, "", StatusMissingParameter
	case r.RP == nil:
		return p, "", StatusOK
	}
	return p, *r.RP, StatusOK
}

// issue hands out a token; a CTAP 2.0 key the same until it loses power.
func (k *Key) issue(shared secret, permissions int, rp string, present bool) ([]byte, Status) {
	if k.token == nil || k.opts.Version == CTAP21 {
		k.token = &token{
			value: random(32), permissions: permissions, rp: rp,
			present: present, verified: true, issued: k.opts.Now(),
		}
	}
	k.token.protocol = shared.protocol
	k.counts.TokensIssued++
	sealed, err := shared.encrypt(k.token.value)
	if err != nil {
		return nil, StatusOther
	}
	return marshal(map[int]any{2: sealed})
}

// checkToken wants a MAC by a token that permits that (section 6.1.2 step 11).
func (k *Key) checkToken(protocol int, mac, message []byte, permission int, rp string) Status {
	t, modern := k.token, k.opts.Version == CTAP21
	if t == nil {
		if !modern && k.pin.hash == nil {
			return StatusPINNotSet
		}
		return StatusPINAuthInvalid
	}
	if age := k.opts.Now().Sub(t.issued); modern && (age > tokenLife || !t.used && age > tokenFirstUse) {
		k.token = nil
		return StatusPINAuthInvalid
	}
	if t.protocol != protocol || !hmac.Equal(mac, authenticate(protocol, t.value, message)) {
		return StatusPINAuthInvalid
	}
	if !modern {
		return StatusOK
	}
	if t.permissions&permission == 0 || t.rp != "" && t.rp != rp || !t.verified {
		return StatusPINAuthInvalid
	}
	t.used = true
	if t.rp == "" && permission != permitManage {
		t.rp = rp
	}
	return StatusOK
}

// spendToken is what a touch does to a token (section 6.1.2 step 14): it was
// for that one operation.
func (k *Key) spendToken() {
	if k.token != nil && k.opts.Version == CTAP21 {
		k.token.present, k.token.verified, k.token.permissions = false, false, 0
	}
}
