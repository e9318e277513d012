package webkey

import (
	"bytes"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

func decoding() cbor.DecOptions {
	return cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, MaxNestedLevels: 8, MaxArrayElements: 64, MaxMapPairs: 32}
}

// decodeFirst reads one item of a key's, and returns what follows. Its errors quote
// nothing.
func decodeFirst(b []byte, v any) ([]byte, error) {
	m, err := decoding().DecMode()
	if err != nil {
		return nil, fmt.Errorf("cannot decode: %w", err)
	}
	rest, err := m.UnmarshalFirst(b, v)
	if err != nil {
		return nil, because(ErrMalformed, "CBOR")
	}
	return rest, nil
}

func packed(v any) ([]byte, error) {
	m, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, fmt.Errorf("cannot encode: %w", err)
	}
	raw, err := m.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("cannot encode: %w", err)
	}
	if len(raw) > MaxStatement {
		return nil, because(ErrMalformed, "too large")
	}
	return raw, nil
}

// unpacked reads what packed would have written, and nothing else.
func unpacked(raw []byte, v any) error {
	if len(raw) > MaxStatement {
		return because(ErrMalformed, "too large")
	}
	rest, err := decodeFirst(raw, v)
	if err != nil {
		return err
	}
	again, err := packed(v)
	if err != nil || len(rest) > 0 || !bytes.Equal(raw, again) {
		return because(ErrMalformed, "not in the one encoding")
	}
	return nil
}
