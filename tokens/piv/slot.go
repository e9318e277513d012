//go:build windows || (cgo && (linux || darwin))

package piv

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"

	gopiv "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokenbridge/tokend/tokens"
)

// defaultSlot is where a class's key goes unless the caller says otherwise:
// retired slots, which no other program claims for its own use.
func defaultSlot(c tokens.Class) string {
	if c == tokens.ClassTouch {
		return "83"
	}
	return "82"
}

// keySlots are the slots that can hold a key of ours, those that enrolling uses
// by itself first.
func keySlots() []gopiv.Slot {
	var out []gopiv.Slot
	for n := uint32(0x82); n <= 0x95; n++ {
		if s, ok := gopiv.RetiredKeyManagementSlot(n); ok {
			out = append(out, s)
		}
	}
	return append(out, gopiv.SlotKeyManagement, gopiv.SlotAuthentication, gopiv.SlotSignature, gopiv.SlotCardAuthentication)
}

// parseSlot reads a slot's name, two hexadecimal digits.
func parseSlot(name string) (gopiv.Slot, error) {
	n, err := strconv.ParseUint(name, 16, 8)
	if err == nil && len(name) == 2 {
		for _, s := range keySlots() {
			if s.Key == uint32(n) {
				return s, nil
			}
		}
	}
	return gopiv.Slot{}, tokens.Errorf(tokens.CodeInvalid, "a PIV card has no slot of that name; slots are 9a, 9c, 9d, 9e and 82 to 95")
}

// params is what tokens.Key.Params holds for a key on a PIV card.
type params struct {
	Slot  string        `json:"slot"`
	PIN   tokens.Policy `json:"pin"`
	Touch tokens.Policy `json:"touch"`
	// Taken says that the key was there before it was enrolled: it may have other
	// uses, and Wipe leaves it alone.
	Taken bool `json:"taken,omitempty"`
}

func (p params) encode() (json.RawMessage, error) { return json.Marshal(p) }

// parseParams reads foreign parameters.
func parseParams(raw json.RawMessage) (params, gopiv.Slot, error) {
	bad := tokens.Errorf(tokens.CodeInvalid, "the key's parameters are not those of a PIV card")
	if len(raw) > 4096 {
		return params{}, gopiv.Slot{}, bad
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	var p params
	if err := d.Decode(&p); err != nil {
		return params{}, gopiv.Slot{}, bad
	}
	if _, err := d.Token(); err != io.EOF {
		return params{}, gopiv.Slot{}, bad
	}
	pinPolicies := []tokens.Policy{tokens.PolicyUnknown, tokens.PolicyNever, tokens.PolicyOnce, tokens.PolicyAlways}
	touchPolicies := []tokens.Policy{tokens.PolicyUnknown, tokens.PolicyNever, tokens.PolicyAlways, tokens.PolicyCached}
	if !slices.Contains(pinPolicies, p.PIN) || !slices.Contains(touchPolicies, p.Touch) {
		return params{}, gopiv.Slot{}, bad
	}
	slot, err := parseSlot(p.Slot)
	if err != nil {
		return params{}, gopiv.Slot{}, err
	}
	return p, slot, nil
}

// pinPolicy and touchPolicy read Yubico's numbers.
func pinPolicy(b byte) tokens.Policy {
	switch b {
	case 1:
		return tokens.PolicyNever
	case 2:
		return tokens.PolicyOnce
	case 3:
		return tokens.PolicyAlways
	}
	return tokens.PolicyUnknown
}

func touchPolicy(b byte) tokens.Policy {
	switch b {
	case 1:
		return tokens.PolicyNever
	case 2:
		return tokens.PolicyAlways
	case 3:
		return tokens.PolicyCached
	}
	return tokens.PolicyUnknown
}

// publicPoint is a key in the encoding of tokens.Key; false for keys that
// cannot do an ECDH of ours.
func publicPoint(k crypto.PublicKey) (tokens.Algorithm, []byte, bool) {
	pub, ok := k.(*ecdsa.PublicKey)
	if !ok {
		return "", nil, false
	}
	b, err := pub.Bytes()
	if err != nil {
		return "", nil, false
	}
	switch pub.Curve {
	case elliptic.P256():
		return tokens.P256, b, true
	case elliptic.P384():
		return tokens.P384, b, true
	}
	return "", nil, false
}

// parsePoint is the other way round; nil when public is not on the curve.
func parsePoint(a tokens.Algorithm, public []byte) *ecdsa.PublicKey {
	curve := elliptic.P256()
	switch a {
	case tokens.P256:
	case tokens.P384:
		curve = elliptic.P384()
	default:
		return nil
	}
	k, err := ecdsa.ParseUncompressedPublicKey(curve, public)
	if err != nil {
		return nil
	}
	return k
}

// model is a name for people.
func model(reader, firmware string) string {
	if !strings.Contains(strings.ToLower(reader), "yubikey") {
		return reader
	}
	major, _, _ := strings.Cut(firmware, ".")
	switch major {
	case "4", "5":
		return "YubiKey " + major
	case "1", "3":
		return "YubiKey NEO"
	}
	return "YubiKey"
}
