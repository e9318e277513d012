package vfido

import (
	"crypto/sha256"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// extensions are the extensions' inputs.
type extensions map[string]cbor.RawMessage

// makeRequest are the parameters of authenticatorMakeCredential (section 6.1).
type makeRequest struct {
	Hash   []byte      `cbor:"1,keyasint"`
	RP     *rpEntity   `cbor:"2,keyasint"`
	User   *userEntity `cbor:"3,keyasint"`
	Params []struct {
		Type string `cbor:"type"`
		Alg  int    `cbor:"alg"`
	} `cbor:"4,keyasint"`
	Exclude    []descriptor    `cbor:"5,keyasint"`
	Extensions extensions      `cbor:"6,keyasint"`
	Options    map[string]bool `cbor:"7,keyasint"`
	Param      []byte          `cbor:"8,keyasint"`
	Protocol   *int            `cbor:"9,keyasint"`
	Enterprise *int            `cbor:"10,keyasint"`
}

func (k *Key) makeCredential(params []byte) ([]byte, Status) {
	var r makeRequest
	if s := unmarshal(params, &r); s != StatusOK {
		return nil, s
	}
	if r.Hash == nil || r.RP == nil || r.User == nil || r.Params == nil {
		return nil, StatusMissingParameter
	}
	alg, s := k.checkMake(r)
	if s != StatusOK {
		return nil, s
	}
	user := userRequest{
		command: CommandMakeCredential, permission: permitMake, rp: r.RP.ID, hash: r.Hash,
		param: r.Param, protocol: r.Protocol, uv: r.Options["uv"], up: true, required: k.makeWantsUV(r.Options["rk"]),
	}
	if s := k.verifyUser(&user); s != StatusOK {
		return nil, s
	}
	rpHash := sha256.Sum256([]byte(r.RP.ID))
	for _, d := range r.Exclude {
		if c := k.find(rpHash, d.ID); c != nil && (c.protect != protectRequired || user.verified) {
			if s := k.checkPresence(&user); s != StatusOK {
				return nil, s
			}
			return nil, StatusCredentialExcluded
		}
	}
	if s := k.checkPresence(&user); s != StatusOK {
		return nil, s
	}
	c, s := k.newCredential(alg)
	if s != StatusOK {
		return nil, s
	}
	c.rp, c.rpHash, c.user, c.resident = *r.RP, rpHash, *r.User, r.Options["rk"]
	return k.finishMake(c, r, user)
}

// checkMake does what comes before the user is asked for anything: section
// 6.1.2 up to step 9. It chooses the algorithm.
func (k *Key) checkMake(r makeRequest) (alg int, s Status) {
	if s := k.selection(r.Param, r.Protocol); s != StatusOK {
		return 0, s
	}
	for _, p := range r.Params {
		if p.Type == "public-key" && slices.Contains(k.opts.Algorithms, p.Alg) {
			alg = p.Alg
			break
		}
	}
	up, hasUP := r.Options["up"]
	switch {
	case len(r.Hash) != sha256.Size:
		return 0, StatusInvalidLength
	case alg == 0:
		return 0, StatusUnsupportedAlgorithm
	case hasUP && !up, hasUP && k.opts.Version == CTAP20:
		return 0, StatusInvalidOption
	case r.Options["rk"] && k.opts.MaxResident < 0:
		return 0, StatusUnsupportedOption
	case len(r.Exclude) > k.opts.MaxList:
		return 0, StatusLimitExceeded
	case r.Enterprise != nil:
		return 0, StatusInvalidParameter
	}
	return alg, StatusOK
}

// makeWantsUV says whether a new credential needs a verified user on a key that
// can verify (section 6.1.2 steps 6 to 8).
func (k *Key) makeWantsUV(resident bool) bool {
	return resident || k.opts.Version != CTAP21 || k.opts.MakeCredUVRequired || k.opts.AlwaysUV
}

// finishMake does the extensions, keeps the credential and answers.
func (k *Key) finishMake(c *credential, r makeRequest, user userRequest) ([]byte, Status) {
	out, s := k.makeExtensions(c, r.Extensions)
	if s != StatusOK {
		return nil, s
	}
	if s := k.add(c); s != StatusOK {
		return nil, s
	}
	flags := user.flags() | flagAT
	if out != nil {
		flags |= flagED
	}
	k.counter++
	data := append(authData(c.rpHash, flags, k.counter), c.attested(k.opts.AAGUID)...)
	data = append(data, out...)
	format, statement, s := k.attest(c, data, r.Hash)
	if s != StatusOK {
		return nil, s
	}
	k.counts.MakeCredentials++
	if user.verified {
		k.counts.UserVerified++
	}
	return marshal(map[int]any{1: format, 2: data, 3: statement})
}

// makeExtensions does credProtect (section 12.1) and hmac-secret (section
// 12.5) and returns their outputs; nil where there are none. Unknown extensions
// are ignored.
func (k *Key) makeExtensions(c *credential, in extensions) ([]byte, Status) {
	out := map[string]any{}
	if raw, ok := in["hmac-secret"]; ok && !k.opts.NoHMACSecret {
		if s := unmarshal(raw, &c.hmac); s != StatusOK {
			return nil, s
		}
		if c.hmac {
			out["hmac-secret"] = true
		}
	}
	if raw, ok := in["credProtect"]; ok && k.hasCredProtect() {
		if s := unmarshal(raw, &c.protect); s != StatusOK {
			return nil, s
		}
		if c.protect < protectOptional || c.protect > protectRequired {
			return nil, StatusInvalidOption
		}
		out["credProtect"] = c.protect
	}
	if len(out) == 0 {
		return nil, StatusOK
	}
	return marshal(out)
}

func (k *Key) hasCredProtect() bool { return !k.opts.NoCredProtect && k.opts.Version == CTAP21 }
