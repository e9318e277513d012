package vfido

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// manageRequest are the parameters of authenticatorCredentialManagement
// (section 6.8).
type manageRequest struct {
	Sub      *byte           `cbor:"1,keyasint"`
	Params   cbor.RawMessage `cbor:"2,keyasint"`
	Protocol *int            `cbor:"3,keyasint"`
	Param    []byte          `cbor:"4,keyasint"`
}

type manageParams struct {
	RPHash     []byte      `cbor:"1,keyasint"`
	Credential *descriptor `cbor:"2,keyasint"`
	User       *userEntity `cbor:"3,keyasint"`
}

// listing is what the GetNext subcommands go on with.
type listing struct {
	sub  byte // that began it
	left []*credential
}

func (k *Key) management(params []byte) ([]byte, Status) {
	var r manageRequest
	var p manageParams
	if s := unmarshal(params, &r); s != StatusOK {
		return nil, s
	}
	if r.Sub == nil {
		return nil, StatusMissingParameter
	}
	if len(r.Params) > 0 {
		if s := unmarshal(r.Params, &p); s != StatusOK {
			return nil, s
		}
	}
	switch *r.Sub {
	case subManageNextRP:
		return k.listNext(subManageRPs)
	case subManageNext:
		return k.listNext(subManageCredentials)
	}
	k.listing = nil
	if s := k.mayManage(r, p); s != StatusOK {
		return nil, s
	}
	switch *r.Sub {
	case subManageMetadata:
		return marshal(map[int]any{1: k.residents(), 2: k.opts.MaxResident - k.residents()})
	case subManageRPs:
		return k.listRPs()
	case subManageCredentials:
		return k.listCredentials(p)
	case subManageDelete:
		return nil, k.deleteCredential(p)
	case subManageUpdate: // the preview has it not
		if k.running.cmd == CommandManagement {
			return nil, k.updateUser(p)
		}
	}
	return nil, StatusInvalidSubcommand
}

// mayManage wants a token with the permission cm (section 6.8.2 and on): its
// MAC is over the subcommand and its parameters as they came.
func (k *Key) mayManage(r manageRequest, p manageParams) Status {
	if r.Param == nil {
		return StatusPINRequired
	}
	if s := k.checkProtocol(r.Protocol); s != StatusOK {
		return s
	}
	rp := ""
	if t := k.token; t != nil && t.rp != "" {
		// A token for one relying party manages that one's credentials alone.
		h := sha256.Sum256([]byte(t.rp))
		if !bytes.Equal(p.RPHash, h[:]) && !k.ofRP(p.Credential, h) {
			return StatusPINAuthInvalid
		}
		rp = t.rp
	}
	message := []byte{*r.Sub}
	switch *r.Sub {
	case subManageCredentials, subManageDelete, subManageUpdate:
		message = append(message, r.Params...)
	}
	return k.checkToken(*r.Protocol, r.Param, message, permitManage, rp)
}

func (k *Key) ofRP(d *descriptor, rpHash [32]byte) bool {
	return d != nil && k.find(rpHash, d.ID) != nil
}

func (k *Key) listRPs() ([]byte, Status) {
	var first []*credential
	for _, c := range k.credentials {
		same := func(o *credential) bool { return o.rpHash == c.rpHash }
		if c.resident && !slices.ContainsFunc(first, same) {
			first = append(first, c)
		}
	}
	return k.list(subManageRPs, first)
}

func (k *Key) listCredentials(p manageParams) ([]byte, Status) {
	if p.RPHash == nil {
		return nil, StatusMissingParameter
	}
	var all []*credential
	for _, c := range k.credentials {
		if c.resident && bytes.Equal(c.rpHash[:], p.RPHash) {
			all = append(all, c)
		}
	}
	return k.list(subManageCredentials, all)
}

// list answers with the first of a listing and how many there are.
func (k *Key) list(sub byte, all []*credential) ([]byte, Status) {
	if len(all) == 0 {
		return nil, StatusNoCredentials
	}
	k.listing = &listing{sub, all[1:]}
	return marshal(all[0].listed(sub, len(all)))
}

func (k *Key) listNext(sub byte) ([]byte, Status) {
	l := k.listing
	if l == nil || l.sub != sub || len(l.left) == 0 {
		return nil, StatusNotAllowed
	}
	c := l.left[0]
	l.left = l.left[1:]
	return marshal(c.listed(sub, 0))
}

// listed is a credential's entry in a listing; the first has the total.
func (c *credential) listed(sub byte, total int) map[int]any {
	if sub == subManageRPs {
		m := map[int]any{3: c.rp, 4: c.rpHash[:]}
		if total > 0 {
			m[5] = total
		}
		return m
	}
	m := map[int]any{
		6: c.user, 7: map[string]any{"id": c.id, "type": "public-key"},
		8: cbor.RawMessage(c.public), 10: c.protect,
	}
	if total > 0 {
		m[9] = total
	}
	return m
}

// resident is the resident credential that the parameters name.
func (k *Key) resident(p manageParams) (*credential, Status) {
	if p.Credential == nil {
		return nil, StatusMissingParameter
	}
	for _, c := range k.credentials {
		if c.resident && bytes.Equal(c.id, p.Credential.ID) {
			return c, StatusOK
		}
	}
	return nil, StatusNoCredentials
}

func (k *Key) deleteCredential(p manageParams) Status {
	gone, s := k.resident(p)
	if s != StatusOK {
		return s
	}
	k.credentials = slices.DeleteFunc(k.credentials, func(c *credential) bool { return c == gone })
	return StatusOK
}

func (k *Key) updateUser(p manageParams) Status {
	c, s := k.resident(p)
	switch {
	case s != StatusOK:
		return s
	case p.User == nil:
		return StatusMissingParameter
	case !bytes.Equal(p.User.ID, c.user.ID):
		return StatusInvalidParameter
	}
	c.user = *p.User
	return StatusOK
}
