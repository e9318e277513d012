//go:build cgo && linux && !nofido2

package fido2_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/tokentest/conformance"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

var both = []tokens.Class{tokens.ClassSession, tokens.ClassTouch}

// bypass is another program that asks for the session key's secret without a
// PIN. A key that gives out another secret than with the PIN has given nothing.
func bypass(t *testing.T, f *conformance.Fixture, k tokens.Key, peer []byte) error {
	t.Helper()
	var p map[string]any
	if err := json.Unmarshal(k.Params, &p); err != nil {
		t.Fatal(err)
	}
	p["uv"] = false
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	k.Params = b
	_, err = f.Driver.Agree(t.Context(), tokens.AgreeRequest{Locator: f.A.Locator, Key: k, Peer: peer})
	return err
}

func fixture(o vfido.Options, drive func(paths ...string) tokens.Driver) func(t *testing.T) *conformance.Fixture {
	return func(t *testing.T) *conformance.Fixture {
		a, b := plug(t, o), plug(t, o)
		return &conformance.Fixture{Driver: drive(a.path(), b.path()), A: user(a, o.PIN), B: user(b, o.PIN)}
	}
}

// kinds are keys that differ in what CTAP leaves open.
func kinds() map[string]vfido.Options {
	return map[string]vfido.Options{
		"2.1":                {PIN: rightPIN},
		"2.1 protocol 1":     {PIN: rightPIN, Protocols: []int{1}},
		"2.1 protocol 2":     {PIN: rightPIN, Protocols: []int{2}},
		"2.1 always UV":      {PIN: rightPIN, AlwaysUV: true},
		"2.1 one secret":     {PIN: rightPIN, OneCredRandom: true},
		"2.1 PIN for new":    {PIN: rightPIN, MakeCredUVRequired: true},
		"2.1 long ids":       {PIN: rightPIN, CredentialIDLength: 1023},
		"2.1 no U2F":         {PIN: rightPIN, NoU2F: true, InitAborts: true},
		"2.0":                {PIN: rightPIN, Version: vfido.CTAP20},
		"2.0 one secret":     {PIN: rightPIN, Version: vfido.CTAP20, OneCredRandom: true},
		"2.0 no attestation": {PIN: rightPIN, Version: vfido.CTAP20, Attestation: vfido.AttestationNone},
	}
}

func TestConformance(t *testing.T) {
	for name, o := range kinds() {
		o.TouchTimeout = 600 * time.Millisecond
		parts := []string{"Enroll", "Agree", "PIN", "WrongToken", "Probe", "ChangePIN"}
		if name == "2.1" || name == "2.0" {
			parts = nil
		}
		c := conformance.Config{
			New:     fixture(o, func(paths ...string) tokens.Driver { return driver(paths...) }),
			Classes: both, Algorithm: tokens.X25519, TouchesAlways: true, CountsTries: true, Cancels: true,
			Bypass: bypass, Parts: parts, PINAlways: o.AlwaysUV,
		}
		if o.OneCredRandom || o.AlwaysUV {
			c.Bypass = nil // its secret is the same without a PIN, or there is none without
		}
		t.Run(name, func(t *testing.T) { conformance.Run(t, c) })
	}
}

func TestConformanceThroughTheHelper(t *testing.T) {
	conformance.Run(t, conformance.Config{
		New:     fixture(vfido.Options{PIN: rightPIN, TouchTimeout: time.Second}, func(paths ...string) tokens.Driver { return client(paths...) }),
		Classes: both, Algorithm: tokens.X25519, TouchesAlways: true, CountsTries: true, Cancels: true, Bypass: bypass,
	})
}

// TestConformanceThroughTheSockets is the same where the service manager starts the
// helper.
func TestConformanceThroughTheSockets(t *testing.T) {
	conformance.Run(t, conformance.Config{
		New:     fixture(vfido.Options{PIN: rightPIN, TouchTimeout: time.Second}, func(paths ...string) tokens.Driver { return connected(t, paths...) }),
		Classes: both, Algorithm: tokens.X25519, TouchesAlways: true, CountsTries: true, Cancels: true, Bypass: bypass,
	})
}
