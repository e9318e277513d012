//go:build linux

package e2e

import "testing"

// TestDoctor causes what the doctor finds, types what it advises, and sees it gone.
func TestDoctor(t *testing.T) {
	t.Parallel()
	if NeedRoot(t) {
		return
	}
	for name, scene := range map[string]func(*testing.T) *ward{
		"backups": doctorBackups, "vault": doctorVault, "machine": doctorMachine, "card": doctorCard, "keys": doctorKeys, "authority": doctorAuthority, "authority key": doctorAuthorityKey,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scene(t)
		})
	}
}
