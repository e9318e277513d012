//go:build linux

package e2e

import "testing"

func doctorAuthority(t *testing.T) *ward { return nil }
