//go:build cgo && linux

package piv_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/tokentest/conformance"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// TestTurnsWithYkman: neither program ever finds the card in use, and ykman
// reads what enrolling has left in the slots.
func TestTurnsWithYkman(t *testing.T) {
	insert(t, vpiv.YubiKey(5, 4, 3), 0)
	c := client()
	e, err := c.Enroll(t.Context(), enrollRequest())
	if err != nil {
		t.Fatal(err)
	}
	watching(t, c)
	for i := range 15 {
		k := e.Keys[i%2]
		peer := conformance.Peer(t, k)
		got, err := c.Agree(t.Context(), tokens.AgreeRequest{Locator: reader(0), Key: k, Peer: peer.PublicKey().Bytes(), PIN: []byte(vpiv.FactoryPIN)})
		if err != nil {
			t.Fatalf("turn %d: %v", i, err)
		}
		conformance.Want(t, got, k, peer)
		cmd := exec.Command("ykman", "-r", "CCID 00 00", "piv", "certificates", "export", "82", "-")
		cmd.Env = append(os.Environ(), bench.rig.Env()...)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "BEGIN CERTIFICATE") {
			t.Fatalf("turn %d: ykman: %v\n%s", i, err, out)
		}
	}
}
