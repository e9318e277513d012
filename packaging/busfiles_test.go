//go:build linux

package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// polkitDTD is what polkit's own package has of the form of its policies.
const polkitDTD = "/usr/share/polkit-1/policyconfig-1.dtd"

// TestBusFilesInstalled: the guide tells an administrator where each file goes.
func TestBusFilesInstalled(t *testing.T) {
	guide, err := os.ReadFile("../docs/dbus.md")
	if err != nil {
		t.Fatal(err)
	}
	for file, folder := range map[string]string{
		"packaging/dbus/io.github.tokenbridge.Tokend1.conf":                    "/usr/share/dbus-1/system.d",
		"packaging/dbus/system-services/io.github.tokenbridge.Tokend1.service": "/usr/share/dbus-1/system-services",
		"packaging/dbus/services/io.github.tokenbridge.Tokend1.service":        "/usr/share/dbus-1/services",
		"packaging/polkit/io.github.tokenbridge.tokend.policy":                 "/usr/share/polkit-1/actions",
		"packaging/polkit/50-tokend.rules":                                     "/usr/share/polkit-1/rules.d",
	} {
		b, err := os.ReadFile("../" + file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), folder+"/"+filepath.Base(file)) {
			t.Errorf("%s does not say that it goes into %s", file, folder)
		}
		if line := "install -D -m 644 -t " + folder + " " + file; !strings.Contains(string(guide), line+"\n") {
			t.Errorf("the guide lacks the line %q", line)
		}
	}
}

// TestBusFiles: what is installed for the message bus is well-formed, says one name,
// and polkit's policy is of polkit's form. That the bus takes its policy, and polkit
// its actions, the whole-program tests show.
func TestBusFiles(t *testing.T) {
	files := []string{"polkit/io.github.tokenbridge.tokend.policy", "dbus/io.github.tokenbridge.Tokend1.conf"}
	documents, err := filepath.Glob("../ipc/dbus/xml/*.xml")
	if err != nil || len(documents) != 5 {
		t.Fatalf("%v %v", documents, err)
	}
	for _, file := range append(files, documents...) {
		args := []string{"--noout", "--nonet", file}
		if strings.HasSuffix(file, ".policy") {
			args = append([]string{"--dtdvalid", polkitDTD}, args...)
		}
		if out, err := exec.Command("xmllint", args...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
	// systemd starts what it has a unit of.
	for file, want := range map[string][]string{
		"dbus/system-services/io.github.tokenbridge.Tokend1.service": {"Name=io.github.tokenbridge.Tokend1", "User=root", "Exec=/usr/bin/tokend serve --bus system",
			"SystemdService=dbus-io.github.tokenbridge.Tokend1.service"},
		"dbus/services/io.github.tokenbridge.Tokend1.service": {"Name=io.github.tokenbridge.Tokend1", "Exec=/usr/bin/tokend serve --user --bus session",
			"SystemdService=tokend.service"},
	} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(b), "\n")
		section := false
		for _, line := range lines {
			section = section || line == "[D-BUS Service]"
			if section && line != "" && line[0] != '[' && !slices.Contains(want, line) {
				t.Errorf("%s has the line %q", file, line)
			}
		}
		for _, w := range want {
			if !slices.Contains(lines, w) {
				t.Errorf("%s lacks %q", file, w)
			}
		}
	}
}
