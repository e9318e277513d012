package hid

import (
	"fmt"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// CTAP 2 commands (CTAP 2.1, section 6).
const (
	commandInfo = 0x04
	commandPIN  = 0x06
)

// Subcommands of authenticatorClientPIN (CTAP 2.1, section 6.5.5).
const (
	pinRetries = 0x01
	uvRetries  = 0x07
)

// What a key may tell of itself, in number and in bytes.
const (
	maxStrings = 64
	maxString  = 64
)

// Info is what authenticatorGetInfo tells (CTAP 2.1, section 6.4), as far as it
// is of use. Numbers are 0 where the key does not tell.
type Info struct {
	Versions   []string
	Extensions []string
	AAGUID     [16]byte
	Options    map[string]bool
	Protocols  []uint
	MaxMessage int // bytes
	// MaxList is how many credentials an allow list may have, and MaxID how long
	// their ids may be, in bytes.
	MaxList, MaxID int
	// ForcePINChange has every PIN refused until it has been changed.
	ForcePINChange bool
	// MinPIN is in code points.
	MinPIN   int
	Firmware uint64
	// Resident is how many more resident credentials fit; below zero where the
	// key does not tell.
	Resident int
}

// Has says whether an option is there and true.
func (i *Info) Has(option string) bool { return i.Options[option] }

// Extension says whether the key knows an extension.
func (i *Info) Extension(name string) bool { return slices.Contains(i.Extensions, name) }

// decoding are the rules for what a key sends. CTAP's canonical encoding has no
// indefinite lengths and no tags (CTAP 2.1, section 8).
func decoding() (cbor.DecMode, error) {
	return cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: 8, MaxArrayElements: 1024, MaxMapPairs: 256,
	}.DecMode()
}

// Decode reads exactly one CBOR value that a key sent.
func Decode(b []byte, v any) error {
	rest, err := DecodeFirst(b, v)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes after the CBOR: %w", len(rest), ErrFormat)
	}
	return err
}

// DecodeFirst reads one CBOR value that a key sent, and returns what comes after
// it.
func DecodeFirst(b []byte, v any) ([]byte, error) {
	d, err := decoding()
	if err != nil {
		return nil, fmt.Errorf("cannot decode CBOR: %w", err)
	}
	rest, err := d.UnmarshalFirst(b, v)
	if err != nil {
		return nil, fmt.Errorf("malformed CBOR: %w", ErrFormat)
	}
	return rest, nil
}

// parseInfo reads the answer to authenticatorGetInfo.
func parseInfo(b []byte) (*Info, error) {
	var raw struct {
		Versions       []string       `cbor:"1,keyasint"`
		Extensions     []string       `cbor:"2,keyasint"`
		AAGUID         []byte         `cbor:"3,keyasint"`
		Options        map[string]any `cbor:"4,keyasint"`
		MaxMessage     uint64         `cbor:"5,keyasint"`
		Protocols      []uint         `cbor:"6,keyasint"`
		MaxList        uint64         `cbor:"7,keyasint"`
		MaxID          uint64         `cbor:"8,keyasint"`
		ForcePINChange bool           `cbor:"12,keyasint"`
		MinPIN         uint64         `cbor:"13,keyasint"`
		Firmware       uint64         `cbor:"14,keyasint"`
		Resident       *uint64        `cbor:"20,keyasint"`
	}
	if err := Decode(b, &raw); err != nil {
		return nil, err
	}
	if len(raw.AAGUID) != 16 || len(raw.Versions) == 0 {
		return nil, fmt.Errorf("neither model nor version: %w", ErrFormat)
	}
	for _, list := range [][]string{raw.Versions, raw.Extensions} {
		if len(list) > maxStrings || slices.ContainsFunc(list, func(s string) bool { return len(s) > maxString }) {
			return nil, fmt.Errorf("too many or too long names: %w", ErrFormat)
		}
	}
	if len(raw.Options) > maxStrings || len(raw.Protocols) > maxStrings {
		return nil, fmt.Errorf("too many options: %w", ErrFormat)
	}
	i := &Info{
		Versions: raw.Versions, Extensions: raw.Extensions, AAGUID: [16]byte(raw.AAGUID), Options: map[string]bool{},
		Protocols: raw.Protocols, MaxMessage: count(raw.MaxMessage), MaxList: count(raw.MaxList), MaxID: count(raw.MaxID),
		ForcePINChange: raw.ForcePINChange, MinPIN: count(raw.MinPIN), Firmware: raw.Firmware, Resident: -1,
	}
	for name, v := range raw.Options {
		if set, ok := v.(bool); ok && len(name) <= maxString {
			i.Options[name] = set
		}
	}
	if raw.Resident != nil {
		i.Resident = count(*raw.Resident)
	}
	return i, nil
}

// count makes a key's number fit; nothing of what is counted comes near it.
func count(n uint64) int { return int(min(n, 1<<20)) }

// Retries is how often a PIN or a finger may still be tried.
type Retries struct {
	// PIN and UV are below zero where the key does not tell.
	PIN, UV int
	// Paused says that no PIN is taken until the key has been pulled out and put
	// back (powerCycleState).
	Paused bool
}

// parseRetries reads the answer to getPINRetries or getUVRetries.
func parseRetries(b []byte) (Retries, error) {
	var raw struct {
		PIN    *uint64 `cbor:"3,keyasint"`
		Paused bool    `cbor:"4,keyasint"`
		UV     *uint64 `cbor:"5,keyasint"`
	}
	if err := Decode(b, &raw); err != nil {
		return Retries{}, err
	}
	r := Retries{PIN: -1, UV: -1, Paused: raw.Paused}
	if raw.PIN != nil {
		r.PIN = count(*raw.PIN)
	}
	if raw.UV != nil {
		r.UV = count(*raw.UV)
	}
	return r, nil
}
