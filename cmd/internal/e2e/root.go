//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"testing"
)

// NeedRoot makes the test run as root: where it does not, it runs itself again
// through sudo and ends as that run did. It never skips.
func NeedRoot(t *testing.T) (done bool) {
	t.Helper()
	if os.Geteuid() == 0 {
		return false
	}
	cmd := exec.Command("sudo", "-n", "-E", "env", "PATH="+os.Getenv("PATH"), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	out, err := cmd.CombinedOutput()
	t.Logf("as root:\n%s", out)
	if err != nil {
		t.Fatalf("this test needs root, by itself or through sudo -n: %v", err)
	}
	return true
}
