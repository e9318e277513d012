//go:build cgo && linux && !nofido2

package fido2

import (
	"bytes"
	"context"
	"unicode/utf8"

	libfido2 "github.com/keys-pub/go-libfido2"
	"golang.org/x/text/unicode/norm"

	"github.com/tokenbridge/tokend/tokens"
)

// The size of a PIN (CTAP 2.1, section 6.5.1).
const (
	minPIN = 4  // Unicode code points
	maxPIN = 63 // bytes
)

const (
	pausedDetail = "the key takes no PIN until it has been pulled out and put back in"
	notSetDetail = "the key wants a PIN to be set before it is used"
	changeDetail = "the key wants its PIN to be changed before it is used"
)

func pinBlocked() *tokens.Error {
	return &tokens.Error{
		Code: tokens.CodePINBlocked, Tries: 0,
		Detail: "the key's PIN is blocked; only a reset helps, which destroys all credentials on the key",
	}
}

// prove finds out how the user can be verified, before anything waits for a
// touch and without spending a try: by the PIN if there is one in the request,
// else by the key's own means.
func (k *key) prove(pin []byte, last bool) (proof, error) {
	own := k.info.Has("uv") && k.retries.UV != 0
	if pin == nil && own {
		return proof{uv: libfido2.True}, nil
	}
	if !k.info.Has("clientPin") {
		return proof{}, tokens.Errorf(tokens.CodePINNotSet, notSetDetail)
	}
	if err := k.spend(pin, last); err != nil {
		return proof{}, err
	}
	return proof{pin: string(normal(pin))}, nil
}

// spend says whether the PIN may be shown to the key now.
func (k *key) spend(pin []byte, last bool) error {
	tries := k.retries.PIN
	switch {
	case tries == 0:
		return pinBlocked()
	case k.retries.Paused:
		return &tokens.Error{Code: tokens.CodePINPaused, Tries: tries, Detail: pausedDetail}
	case k.info.ForcePINChange:
		return &tokens.Error{Code: tokens.CodePINChange, Tries: tries, Detail: changeDetail}
	case pin == nil:
		return &tokens.Error{Code: tokens.CodePINRequired, Tries: tries, Detail: "the key needs its PIN"}
	}
	return allowed(pin, tries, last)
}

// allowed is the part of spend that has to do with the PIN itself.
func allowed(pin []byte, tries int, last bool) error {
	switch n := normal(pin); {
	case utf8.RuneCount(n) < minPIN || len(n) > maxPIN || bytes.IndexByte(n, 0) >= 0:
		return &tokens.Error{Code: tokens.CodeInvalid, Tries: tries, Detail: "a PIN has at least 4 characters and at most 63 bytes"}
	case last:
		return nil
	case tries == 1:
		return &tokens.Error{Code: tokens.CodeLastTry, Tries: 1, Detail: "one try is left; the PIN was not shown to the key"}
	case tries < 0:
		return tokens.Errorf(tokens.CodeLastTry, "the key does not tell how many tries are left; the PIN was not shown to it")
	}
	return nil
}

// normal is the form in which a PIN goes to a key (CTAP 2.1, section 6.5.1).
func normal(pin []byte) []byte {
	if !utf8.Valid(pin) {
		return pin
	}
	return norm.NFC.Bytes(pin)
}

// ChangePIN implements tokens.PINChanger. It sets the first PIN where Old is nil
// and the key has none. A FIDO2 key knows no PUK: a blocked PIN stays so until
// the key is reset.
func (d *Driver) ChangePIN(ctx context.Context, r tokens.PINRequest) ([]byte, error) {
	switch r.Which {
	case "pin":
	case "puk", "unblock":
		return nil, tokens.Errorf(tokens.CodeUnsupported, "a FIDO2 key has no PUK; a blocked PIN is mended only by a reset, which destroys all credentials on the key")
	default:
		return nil, tokens.Errorf(tokens.CodeInvalid, "a FIDO2 key has a PIN")
	}
	fresh := normal(r.New)
	if n := utf8.RuneCount(fresh); !utf8.Valid(fresh) || n < minPIN || len(fresh) > maxPIN || bytes.IndexByte(fresh, 0) >= 0 {
		return nil, tokens.Errorf(tokens.CodePINPolicy, "a new PIN has at least 4 characters and at most 63 bytes")
	}
	k, err := d.open(ctx, r.Locator, true, nil)
	if err != nil {
		return nil, err
	}
	defer k.close()
	if err := k.holdsOne(ctx, r.Keys); err != nil {
		return nil, err
	}
	old, err := k.oldPIN(r)
	if err != nil {
		return nil, err
	}
	if n := utf8.RuneCount(fresh); n < k.info.MinPIN {
		return nil, tokens.Errorf(tokens.CodePINPolicy, "the key wants a PIN of at least %d characters", k.info.MinPIN)
	}
	err = k.run(ctx, 2*d.o.Answer, func() error { return k.dev.SetPIN(string(fresh), old) })
	if err == nil {
		return nil, nil
	}
	if code, ok := statusOf(err); ok && code == statusPINPolicy {
		return nil, fail(tokens.CodePINPolicy, "the key does not accept such a PIN; nothing was changed", err)
	}
	return nil, k.explain(ctx, err)
}

// oldPIN returns the PIN to be changed, "" where none is set.
func (k *key) oldPIN(r tokens.PINRequest) (string, error) {
	set, known := k.info.Options["clientPin"]
	switch {
	case !known:
		return "", tokens.Errorf(tokens.CodeUnsupported, "the key cannot have a PIN")
	case !set && r.Old != nil:
		return "", tokens.Errorf(tokens.CodePINNotSet, "the key has no PIN yet; there is none to be changed")
	case !set:
		return "", nil
	}
	force := k.info.ForcePINChange
	k.info.ForcePINChange = false // that is what this does
	err := k.spend(r.Old, r.SpendLastTry)
	k.info.ForcePINChange = force
	if err != nil {
		return "", err
	}
	return string(normal(r.Old)), nil
}
