package vfido

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"time"
)

// nextWithin is how long getNextAssertion goes on with an assertion (section 6.3).
const nextWithin = 30 * time.Second

// assertRequest are the parameters of authenticatorGetAssertion (section 6.2).
type assertRequest struct {
	RP         *string         `cbor:"1,keyasint"`
	Hash       []byte          `cbor:"2,keyasint"`
	Allow      []descriptor    `cbor:"3,keyasint"`
	Extensions extensions      `cbor:"4,keyasint"`
	Options    map[string]bool `cbor:"5,keyasint"`
	Param      []byte          `cbor:"6,keyasint"`
	Protocol   *int            `cbor:"7,keyasint"`
}

// remaining is what getNextAssertion goes on with.
type remaining struct {
	credentials []*credential
	hash        []byte
	user        userRequest
	salts       *salts
	until       time.Time
}

func (k *Key) getAssertion(params []byte) ([]byte, Status) {
	var r assertRequest
	if s := unmarshal(params, &r); s != StatusOK {
		return nil, s
	}
	if r.RP == nil || r.Hash == nil {
		return nil, StatusMissingParameter
	}
	up, has := r.Options["up"]
	user := userRequest{
		command: CommandGetAssertion, permission: permitAssert, rp: *r.RP, hash: r.Hash,
		param: r.Param, protocol: r.Protocol, uv: r.Options["uv"], up: up || !has,
	}
	if !user.up {
		k.counts.Preflights++
	}
	if s := k.checkAssert(r); s != StatusOK {
		return nil, s
	}
	if s := k.verifyUser(&user); s != StatusOK {
		return nil, s
	}
	found, s := k.locate(r, user.verified)
	if s != StatusOK {
		return nil, s
	}
	if len(found) == 0 {
		return nil, StatusNoCredentials
	}
	salts, s := k.openSalts(r.Extensions, user.up)
	if s != StatusOK {
		return nil, s
	}
	if s := k.checkPresence(&user); s != StatusOK {
		return nil, s
	}
	// A finger does not make an assertion that asked for no presence one with.
	user.present = user.present && user.up
	count := len(found)
	if len(found) > 1 {
		k.next = &remaining{found[1:], r.Hash, user, salts, k.opts.Now().Add(nextWithin)}
	}
	return k.assert(found[0], r.Hash, user, salts, count)
}

// checkAssert is section 6.2.2 up to step 5.
func (k *Key) checkAssert(r assertRequest) Status {
	if s := k.selection(r.Param, r.Protocol); s != StatusOK {
		return s
	}
	_, rk := r.Options["rk"]
	switch {
	case len(r.Hash) != sha256.Size:
		return StatusInvalidLength
	case rk:
		return StatusUnsupportedOption
	case len(r.Allow) > k.opts.MaxList:
		return StatusLimitExceeded
	}
	return StatusOK
}

// locate is section 6.2.2 steps 7 and 11: the first listed credential that is
// the key's, or all resident ones, newest first.
func (k *Key) locate(r assertRequest, uv bool) ([]*credential, Status) {
	rpHash := sha256.Sum256([]byte(*r.RP))
	if len(r.Allow) == 0 {
		var found []*credential
		for _, c := range slices.Backward(k.credentials) {
			if c.resident && c.rpHash == rpHash && c.usable(uv, false) {
				found = append(found, c)
			}
		}
		return found, StatusOK
	}
	for _, d := range r.Allow {
		if c := k.find(rpHash, d.ID); c != nil && c.usable(uv, true) {
			return []*credential{c}, StatusOK
		}
	}
	if !k.running.fault.is(FaultLie) {
		return nil, StatusOK
	}
	// The lie: a credential made up for the id.
	c, s := k.newCredential(AlgES256)
	if s != StatusOK {
		return nil, s
	}
	c.id, c.rp.ID, c.rpHash, c.hmac = r.Allow[0].ID, *r.RP, rpHash, true
	return []*credential{c}, StatusOK
}

func (k *Key) getNextAssertion() ([]byte, Status) {
	n := k.next
	if n == nil || k.opts.Now().After(n.until) {
		k.next = nil
		return nil, StatusNotAllowed
	}
	c := n.credentials[0]
	n.credentials = n.credentials[1:]
	n.until = k.opts.Now().Add(nextWithin)
	if len(n.credentials) == 0 {
		k.next = nil
	}
	return k.assert(c, n.hash, n.user, n.salts, 0)
}

// assert signs (section 6.2.2 steps 12 and 13). A count above 1 is told.
func (k *Key) assert(c *credential, hash []byte, user userRequest, salts *salts, count int) ([]byte, Status) {
	out, s := k.outputs(c, salts, user.verified)
	if s != StatusOK {
		return nil, s
	}
	flags := user.flags()
	if out != nil {
		flags |= flagED
	}
	k.counter++
	data := append(authData(c.rpHash, flags, k.counter), out...)
	signed := data
	if k.running.fault.is(FaultSignature) {
		signed = random(len(data))
	}
	signature, s := c.sign(signed, hash)
	if s != StatusOK {
		return nil, s
	}
	k.counts.Assertions++
	if user.verified {
		k.counts.UserVerified++
	}
	m := map[int]any{1: map[string]any{"id": c.id, "type": "public-key"}, 2: data, 3: signature}
	if c.resident {
		// Names only for a user who was verified (section 6.2.2 step 13).
		u := userEntity{ID: bytes.Clone(c.user.ID)}
		if user.verified && count != 1 {
			u = c.user
		}
		m[4] = u
	}
	if count > 1 {
		m[5] = count
	}
	return marshal(m)
}
