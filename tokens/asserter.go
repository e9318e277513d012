package tokens

import "context"

// AuthorityRP is the relying party of the credentials that authorities know: the
// only one that an Asserter makes any for, or signs for.
const AuthorityRP = "authority.tokend.invalid"

// Bounds of what an Asserter is asked, in bytes and in number.
const (
	AssertHash        = 32   // the hash that is signed
	MaxCredentialID   = 1023 // WebAuthn, section 4
	MaxAssertRequests = 16   // credentials in a request
)

// CredentialRequest asks a token for a credential that it does not keep, and for an
// assertion by it.
type CredentialRequest struct {
	Locator string `json:"locator"`
	// Hash is what both sign, the hash of the client data.
	Hash []byte `json:"hash"`
	// PIN, SpendLastTry, OnTouch and OnBusy as in EnrollRequest. Both the credential
	// and the assertion wait for a touch.
	PIN          []byte `json:"pin,omitempty"`
	SpendLastTry bool   `json:"spend_last_try,omitempty"`
	OnTouch      func() `json:"-"`
	OnBusy       func() `json:"-"`
}

// NewCredential is a credential that was made. Nothing in it is secret.
type NewCredential struct {
	Token Token `json:"token"`
	// AuthData is the authenticator data of the new credential, which is in it, and
	// Proof an assertion by it.
	AuthData []byte    `json:"auth_data"`
	Proof    Assertion `json:"proof"`
}

// AssertRequest asks a token to sign by one of the credentials.
type AssertRequest struct {
	Locator     string   `json:"locator"`
	Hash        []byte   `json:"hash"`
	Credentials [][]byte `json:"credentials"`
	// PIN, SpendLastTry, OnTouch and OnBusy as in EnrollRequest.
	PIN          []byte `json:"pin,omitempty"`
	SpendLastTry bool   `json:"spend_last_try,omitempty"`
	OnTouch      func() `json:"-"`
	OnBusy       func() `json:"-"`
}

// Assertion is what a token signed (WebAuthn, section 6.3.3).
type Assertion struct {
	Credential []byte `json:"credential"` // its id
	AuthData   []byte `json:"auth_data"`
	Signature  []byte `json:"signature"`
}

// Asserter is a Driver whose tokens sign what authorities ask. A token that has a
// PIN or a finger's print verifies its user for it. Assert fails with CodeWrongToken,
// before anything waits for a touch or sees a PIN, where the token holds none of the
// credentials.
type Asserter interface {
	MakeCredential(ctx context.Context, r CredentialRequest) (NewCredential, error)
	Assert(ctx context.Context, r AssertRequest) (Assertion, error)
}
