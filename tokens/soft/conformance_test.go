package soft_test

import (
	"crypto/rand"
	"testing"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/soft"
	"github.com/tokenbridge/tokend/tokens/tokentest/conformance"
)

func TestConformance(t *testing.T) {
	tok := conformance.Token{
		Locator: soft.Locator, PIN: []byte("correct horse"), WrongPIN: []byte("wrong horses"), NewPIN: []byte("battery staple"),
	}
	conformance.Run(t, conformance.Config{
		New: func(*testing.T) *conformance.Fixture {
			return &conformance.Fixture{Driver: soft.New(rand.Reader, cheap()), A: tok, B: tok}
		},
		Classes: []tokens.Class{tokens.ClassSession}, Algorithm: tokens.X25519,
	})
}
