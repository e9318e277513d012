//go:build !cgo || !linux || nofido2

package fido2

import (
	"context"

	"github.com/tokenbridge/tokend/tokens"
)

// Driver is the tokens.Driver of FIDO2 keys. In this build every method fails
// with tokens.CodeUnsupported.
type Driver struct{}

// New returns a Driver.
func New(Options) *Driver { return &Driver{} }

// Missing says why this build cannot drive FIDO2 keys; it is empty where it can.
func Missing() string { return missing }

func unsupported() error { return tokens.Errorf(tokens.CodeUnsupported, missing) }

// List implements tokens.Driver.
func (*Driver) List(context.Context) ([]tokens.Token, error) { return nil, unsupported() }

// Enroll implements tokens.Driver.
func (*Driver) Enroll(context.Context, tokens.EnrollRequest) (tokens.Enrollment, error) {
	return tokens.Enrollment{}, unsupported()
}

// Agree implements tokens.Driver.
func (*Driver) Agree(context.Context, tokens.AgreeRequest) ([]byte, error) { return nil, unsupported() }

// Inspect implements tokens.Inspector.
func (*Driver) Inspect(context.Context, string) (tokens.Details, error) {
	return tokens.Details{}, unsupported()
}

// ChangePIN implements tokens.PINChanger.
func (*Driver) ChangePIN(context.Context, tokens.PINRequest) ([]byte, error) {
	return nil, unsupported()
}

// Wipe implements tokens.Wiper.
func (*Driver) Wipe(context.Context, tokens.WipeRequest) ([]string, error) { return nil, unsupported() }

// Probe implements tokens.Prober.
func (*Driver) Probe(context.Context, tokens.ProbeRequest) ([]bool, error) { return nil, unsupported() }

// Diagnose implements tokens.Diagnoser.
func (*Driver) Diagnose(context.Context) ([]tokens.Finding, error) { return nil, unsupported() }

// Watch implements tokens.Watcher.
func (*Driver) Watch(context.Context, func(tokens.Event)) error { return unsupported() }
