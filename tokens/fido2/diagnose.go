//go:build cgo && linux && !nofido2

package fido2

import (
	"context"
	"sync"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/fido2/hid"
)

// Diagnose implements tokens.Diagnoser: it says what stands in the way of each
// key that is plugged in.
func (d *Driver) Diagnose(ctx context.Context) ([]tokens.Finding, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	places := d.places()
	found := make([][]tokens.Finding, len(places))
	var wg sync.WaitGroup
	for i, p := range places {
		wg.Go(func() {
			k, err := d.meet(ctx, p.path, true)
			found[i] = findings(p, k, err)
		})
	}
	wg.Wait()
	if err := alive(ctx); err != nil {
		return nil, err
	}
	var out []tokens.Finding
	for _, f := range found {
		out = append(out, f...)
	}
	for _, path := range d.o.Devices {
		if err := d.absent(path); err != nil {
			out = append(out, *err)
		}
	}
	return out, nil
}

// findings says what stands in the way of one key.
func findings(p place, k *key, err error) []tokens.Finding {
	t := describe(p, k, err)
	finding := func(e *tokens.Error, fix string) []tokens.Finding {
		return []tokens.Finding{{Code: e.Code, Device: t.Model, Locator: p.path, Detail: e.Detail, Fix: fix}}
	}
	if t.Problem != nil {
		switch t.Problem.Code {
		case tokens.CodeNotPresent, tokens.CodeRemoved:
			return nil
		case tokens.CodeNoAccess:
			return finding(t.Problem, tokens.FixAccess)
		case tokens.CodePINNotSet:
			return finding(t.Problem, fixPIN)
		}
		return finding(t.Problem, "")
	}
	switch {
	case k.retries.PIN == 0:
		return finding(pinBlocked(), "")
	case k.retries.Paused:
		return finding(tokens.Errorf(tokens.CodePINPaused, pausedDetail), "")
	case k.info.ForcePINChange:
		return finding(tokens.Errorf(tokens.CodePINChange, changeDetail), fixPIN)
	case k.retries.PIN == 1:
		return finding(tokens.Errorf(tokens.CodeLastTry, "one try of the key's PIN is left"), "")
	case k.retries.UV == 0:
		return finding(tokens.Errorf(tokens.CodePINRequired, "the key takes no finger any more until its PIN was given"), "")
	}
	return nil
}

// fixPIN sets or changes a PIN.
const fixPIN = "tokenctl token pin"

// absent says that nothing is at a configured path.
func (d *Driver) absent(path string) *tokens.Finding {
	st, err := hid.Stat(path)
	switch {
	case err != nil:
		return &tokens.Finding{Code: tokens.CodeNotPresent, Locator: path, Detail: "nothing is at the path that was configured for a FIDO2 key"}
	case !st.Character:
		return &tokens.Finding{Code: tokens.CodeInvalid, Locator: path, Detail: "what is at the path that was configured for a FIDO2 key is no device"}
	}
	return nil
}
