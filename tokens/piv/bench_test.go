//go:build cgo && linux

package piv_test

import (
	"testing"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/tokentest/conformance"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// BenchmarkAgree is one operation as the daemon does it: a process, the PC/SC
// service, the card, and for the session key PIN and reset. The card answers at
// once, so this is what comes on top of a real one.
func BenchmarkAgree(b *testing.B) {
	card, err := vpiv.New(vpiv.YubiKey(5, 4, 3))
	if err != nil {
		b.Fatal(err)
	}
	if err := bench.rig.Insert(card, 0); err != nil {
		b.Fatal(err)
	}
	defer bench.rig.Remove(0)
	c := client()
	e, err := c.Enroll(b.Context(), tokens.EnrollRequest{Locator: reader(0), Classes: both, PIN: []byte(vpiv.FactoryPIN)})
	if err != nil {
		b.Fatal(err)
	}
	for _, k := range e.Keys {
		b.Run(string(k.Class), func(b *testing.B) {
			peer := conformance.Peer(b, k).PublicKey().Bytes()
			before := card.Counts().Commands
			for b.Loop() {
				if _, err := c.Agree(b.Context(), tokens.AgreeRequest{Locator: reader(0), Key: k, Peer: peer, PIN: []byte(vpiv.FactoryPIN)}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(card.Counts().Commands-before)/float64(b.N), "commands/op")
		})
	}
}
