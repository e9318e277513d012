package helper

import (
	"bytes"
	"context"
	"slices"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper/wire"
)

// MakeCredential implements tokens.Asserter. It may take as long as two touches.
func (c *Client) MakeCredential(ctx context.Context, r tokens.CredentialRequest) (tokens.NewCredential, error) {
	var out tokens.NewCredential
	req := wire.Request{Op: wire.OpMake, Make: &r}
	if err := c.call(ctx, req, call{locator: r.Locator, timeout: 2 * c.cfg.Timeout, onTouch: r.OnTouch, onBusy: r.OnBusy}, &out); err != nil {
		return tokens.NewCredential{}, err
	}
	if err := c.checkTokenAt(&out.Token, r.Locator); err != nil {
		return tokens.NewCredential{}, err
	}
	if err := checkAssertion(out.Proof); err != nil || len(out.AuthData) > maxAuthData {
		return tokens.NewCredential{}, protocolError("a new credential is malformed")
	}
	return out, nil
}

// Assert implements tokens.Asserter.
func (c *Client) Assert(ctx context.Context, r tokens.AssertRequest) (tokens.Assertion, error) {
	var out tokens.Assertion
	req := wire.Request{Op: wire.OpAssert, Assert: &r}
	if err := c.call(ctx, req, call{locator: r.Locator, timeout: c.cfg.Timeout, onTouch: r.OnTouch, onBusy: r.OnBusy}, &out); err != nil {
		return tokens.Assertion{}, err
	}
	if err := checkAssertion(out); err != nil {
		return tokens.Assertion{}, err
	}
	if !slices.ContainsFunc(r.Credentials, func(id []byte) bool { return bytes.Equal(id, out.Credential) }) {
		return tokens.Assertion{}, protocolError("it signed by a credential that was not asked for")
	}
	return out, nil
}

// The largest parts of an assertion, in bytes.
const (
	maxAuthData  = 2048
	maxSignature = 512
)

func checkAssertion(a tokens.Assertion) error {
	if len(a.Credential) == 0 || len(a.Credential) > tokens.MaxCredentialID || len(a.AuthData) > maxAuthData || len(a.Signature) > maxSignature {
		return protocolError("an assertion is malformed")
	}
	return nil
}
