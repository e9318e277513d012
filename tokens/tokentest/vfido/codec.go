package vfido

import (
	"errors"

	"github.com/fxamacker/cbor/v2"
)

// coseKey is a public key in requests (RFC 9053 section 7.1.1).
type coseKey struct {
	Kty int    `cbor:"1,keyasint"`
	Alg int    `cbor:"3,keyasint"`
	Crv int    `cbor:"-1,keyasint"`
	X   []byte `cbor:"-2,keyasint"`
	Y   []byte `cbor:"-3,keyasint"`
}

// descriptor is a PublicKeyCredentialDescriptor.
type descriptor struct {
	Type string `cbor:"type"`
	ID   []byte `cbor:"id"`
}

type rpEntity struct {
	ID   string `cbor:"id"`
	Name string `cbor:"name,omitempty"`
}

type userEntity struct {
	ID          []byte `cbor:"id"`
	Name        string `cbor:"name,omitempty"`
	DisplayName string `cbor:"displayName,omitempty"`
}

// marshal encodes canonically (section 8).
func marshal(v any) ([]byte, Status) {
	mode, err := cbor.CTAP2EncOptions().EncMode()
	if err != nil {
		return nil, StatusOther
	}
	out, err := mode.Marshal(v)
	if err != nil {
		return nil, StatusOther
	}
	return out, StatusOK
}

// unmarshal takes parameters apart: one map, of definite length, without
// duplicate keys or tags, at most four levels deep (section 8).
func unmarshal(in []byte, v any) Status {
	if len(in) == 0 {
		return StatusMissingParameter
	}
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		TagsMd: cbor.TagsForbidden, MaxNestedLevels: 4,
	}.DecMode()
	if err != nil {
		return StatusOther
	}
	err = mode.Unmarshal(in, v)
	var wrong *cbor.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		return StatusUnexpectedType
	case err != nil:
		return StatusInvalidCBOR
	}
	return StatusOK
}

// subcommand is which subcommand a request is for, 0 where there is none.
func subcommand(cmd Command, params []byte) byte {
	var number map[int]cbor.RawMessage
	key := 1
	switch cmd {
	case CommandClientPIN:
		key = 2
	case CommandManagement, CommandManagementPreview:
	default:
		return 0
	}
	var sub byte
	if unmarshal(params, &number) != StatusOK || unmarshal(number[key], &sub) != StatusOK {
		return 0
	}
	return sub
}
