package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// TestRecoveredIsToldAsItIs is about a vault that is whole and not the right
// one: rolled back, another's, or without its pin.
func TestRecoveredIsToldAsItIs(t *testing.T) {
	rolled := ipc.RecoverVaultResult{Problem: "the vault was put back", Signer: "5e1f", Generation: 3, Applied: true}
	for name, test := range map[string]struct {
		res  ipc.RecoverVaultResult
		says string
		not  string
	}{
		"whole":                   {ipc.RecoverVaultResult{Generation: 3}, "the vault is whole; nothing was changed", "signed by"},
		"rolled back":             {rolled, "not the vault as it was: the vault was put back", "is whole"},
		"rolled back, and signer": {rolled, "signed by 5e1f", "nothing was changed"},
		"rolled back, applied":    {rolled, "that state is the vault again", "nothing was changed"},
	} {
		var out, errOut bytes.Buffer
		c := &cli{out: &out, err: &errOut, now: time.Now, getenv: func(string) string { return "" }}
		c.sayRecovered(test.res)
		if said := errOut.String(); !strings.Contains(said, test.says) || strings.Contains(said, test.not) {
			t.Errorf("%s: it says %q", name, said)
		}
	}
}
