//go:build linux

package e2e

import (
	"fmt"

	"github.com/tokenbridge/tokend/ipc"
)

func (d *Daemon) status() ipc.Status {
	d.tb.Helper()
	var s ipc.Status
	d.JSON(&s, "status")
	return s
}

// wantVault is an error unless the vault is in the state.
func (d *Daemon) wantVault(want ipc.VaultState) error {
	if s := d.status(); s.Vault.State != want {
		return fmt.Errorf("the vault is %s, not %s", s.Vault.State, want)
	}
	return nil
}

// wantToken is an error unless some token is present.
func (d *Daemon) wantToken() error {
	for _, tok := range d.status().Tokens {
		if tok.Present {
			return nil
		}
	}
	return fmt.Errorf("no token is present")
}
