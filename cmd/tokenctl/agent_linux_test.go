package main

import (
	"strings"
	"testing"
)

// A pinentry that is not there is told of when the agent is installed, not by a
// question that does not come; and where none runs it is said what starts one.
func TestAgentInstallAndStatus(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("XDG_RUNTIME_DIR", "")
	f := opened()
	if out := at(t, f, "agent", "status").ends(0); !strings.Contains(out, "not installed") || !strings.Contains(out, "tokenctl agent install") {
		t.Errorf("%s", out)
	}
	out := at(t, f, "agent", "install", "--pinentry", "no-such-pinentry").ends(0)
	if !strings.Contains(out, "will not be able to ask for PINs") || !strings.Contains(out, "no-such-pinentry") {
		t.Errorf("%s", out)
	}
	if out := at(t, f, "agent", "status").ends(0); strings.Contains(out, "not installed") || !strings.Contains(out, "start it: `tokenctl agent`") {
		t.Errorf("%s", out)
	}
}
