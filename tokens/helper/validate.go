package helper

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper/wire"
)

// The helper reads from devices, so its word is checked as foreign input is.

func protocolError(what string) *tokens.Error {
	return tokens.Errorf(tokens.CodeProtocol, "the token helper answered nonsense: %s", what)
}

func knownCode(c tokens.Code) bool {
	switch c {
	case tokens.CodeNotPresent, tokens.CodeWrongToken, tokens.CodePINRequired, tokens.CodePINInvalid, tokens.CodePINBlocked,
		tokens.CodeLastTry, tokens.CodeTouchTimeout, tokens.CodeTouchDenied, tokens.CodeCancelled, tokens.CodeRemoved,
		tokens.CodeBusy, tokens.CodeOccupied, tokens.CodeNoKey, tokens.CodeManagement, tokens.CodeNoService,
		tokens.CodeUnsupported, tokens.CodeInvalid, tokens.CodeTimeout, tokens.CodeProtocol,
		tokens.CodePINPaused, tokens.CodePINNotSet, tokens.CodePINChange, tokens.CodePINPolicy,
		tokens.CodeEnrolled, tokens.CodeNoSpace, tokens.CodeNoAccess:
		return true
	}
	return false
}

// checkError makes a foreign error fit to be passed on.
func checkError(e *tokens.Error) *tokens.Error {
	if !knownCode(e.Code) {
		return protocolError("an error of no known kind")
	}
	return &tokens.Error{Code: e.Code, Tries: min(max(e.Tries, -1), 255), Detail: wire.Text(e.Detail)}
}

func checkAttestation(a *tokens.Attestation) {
	if a != nil {
		a.Serial, a.Firmware = wire.Text(a.Serial), wire.Text(a.Firmware)
		a.Model, a.Maker = wire.Text(a.Model), wire.Text(a.Maker)
	}
}

func checkFinding(f *tokens.Finding) {
	if !knownCode(f.Code) {
		f.Code = tokens.CodeProtocol
	}
	f.Device, f.Locator = wire.Text(f.Device), wire.Text(f.Locator)
	f.Detail, f.Fix = wire.Text(f.Detail), wire.Text(f.Fix)
}

func checkFacts(facts []tokens.Fact) error {
	if len(facts) > wire.MaxFacts {
		return protocolError("it told too much of a token")
	}
	for i := range facts {
		facts[i].Name, facts[i].Value = wire.Text(facts[i].Name), wire.Text(facts[i].Value)
	}
	return nil
}

func (c *Client) checkToken(t *tokens.Token) error {
	if t.Kind != c.cfg.Kind {
		return protocolError("a token of another kind")
	}
	if len(t.Locator) > wire.MaxText || len(t.Keys) > wire.MaxKeys {
		return protocolError("a token's description is too large")
	}
	if t.Kind == tokens.KindFIDO2 {
		// What a key holds it has to prove, and a path becomes a device that the
		// next helper may use.
		if len(t.Keys) > 0 {
			return protocolError("a FIDO2 key that lists what it holds")
		}
		if filepath.IsAbs(t.Locator) && !isNode(t.Locator) && !slices.Contains(c.cfg.Devices, t.Locator) {
			return protocolError("a FIDO2 key where none can be")
		}
		t.Unlisted = true
	}
	t.ID, t.Model, t.Serial, t.Firmware = wire.Text(t.ID), wire.Text(t.Model), wire.Text(t.Serial), wire.Text(t.Firmware)
	if t.Problem != nil {
		t.Problem = checkError(t.Problem)
	}
	for i := range t.Keys {
		k := &t.Keys[i]
		k.Slot = wire.Text(k.Slot)
		if !validPublic(k.Algorithm, k.Public) || !validPolicy(k.PINPolicy) || !validPolicy(k.TouchPolicy) {
			return protocolError("a token's key is malformed")
		}
	}
	return nil
}

// checkTokenAt is checkToken for an answer about the token in one place: a helper
// that has been taken over speaks for no other. A software token has no place.
func (c *Client) checkTokenAt(t *tokens.Token, locator string) error {
	if c.cfg.Kind != tokens.KindSoft && t.Locator != locator {
		return protocolError("it told of a token in another place")
	}
	return c.checkToken(t)
}

// isNode says whether a path is one that the kernel gives to a HID device.
func isNode(path string) bool {
	number, ok := strings.CutPrefix(path, "/dev/hidraw")
	return ok && number != "" && len(number) <= 6 && strings.Trim(number, "0123456789") == ""
}

func validPublic(a tokens.Algorithm, public []byte) bool {
	curve := a.Curve()
	if curve == nil {
		return false
	}
	_, err := curve.NewPublicKey(public)
	return err == nil
}

func validPolicy(p tokens.Policy) bool {
	switch p {
	case tokens.PolicyUnknown, tokens.PolicyNever, tokens.PolicyOnce, tokens.PolicyAlways, tokens.PolicyCached:
		return true
	}
	return false
}

func (c *Client) checkEnrollment(e *tokens.Enrollment, r tokens.EnrollRequest) error {
	if err := c.checkTokenAt(&e.Token, r.Locator); err != nil {
		return err
	}
	if len(e.KeyFile) > wire.MaxKeyFile || len(e.Warnings) > 16 {
		return protocolError("an enrolment is too large")
	}
	for i := range e.Warnings {
		e.Warnings[i] = tokens.Warning(wire.Text(string(e.Warnings[i])))
	}
	checkAttestation(e.Attestation)
	if len(e.Keys) == 0 || len(e.Keys) > len(r.Classes) {
		return protocolError("an enrolment has the wrong number of keys")
	}
	seen := map[tokens.Class]bool{}
	for _, k := range e.Keys {
		switch {
		case k.Kind != c.cfg.Kind, !slices.Contains(r.Classes, k.Class), seen[k.Class]:
			return protocolError("an enrolment has a key that was not asked for")
		case !validPublic(k.Algorithm, k.Public):
			return protocolError("an enrolled key is malformed")
		case len(k.Params) > wire.MaxParams, k.Params != nil && !json.Valid(k.Params):
			return protocolError("an enrolled key's parameters are malformed")
		}
		seen[k.Class] = true
	}
	return nil
}

func (c *Client) checkEvent(e *tokens.Event) error {
	e.Detail = wire.Text(e.Detail)
	if e.Kind != c.cfg.Kind {
		return protocolError("an event of another kind")
	}
	switch e.Type {
	case tokens.EventReady, tokens.EventServiceLost:
		e.Token = tokens.Token{}
		return nil
	case tokens.EventInserted, tokens.EventRemoved:
		return c.checkToken(&e.Token)
	}
	return protocolError("an event of no known type")
}
