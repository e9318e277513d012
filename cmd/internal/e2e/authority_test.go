//go:build linux

package e2e

import "testing"

// TestAuthority runs the command lines of an administrator on the real daemon,
// with passcodes that oathtool makes.
func TestAuthority(t *testing.T) {
	t.Parallel()
	tour(t, programs(t), "testdata/authority")
}
