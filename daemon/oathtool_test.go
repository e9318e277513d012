package daemon_test

import (
	"os/exec"
	"strings"
	"testing"
)

// oathtool is what that program says.
func oathtool(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("oathtool", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("oathtool (Debian package oathtool): %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}
