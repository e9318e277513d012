//go:build cgo && !nofido2

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// TestServeNamedFIDO2Devices: keys that flag and file name are there, and one
// plugged in later too.
func TestServeNamedFIDO2Devices(t *testing.T) {
	bin, dir := programs(t), t.TempDir()
	socket, config := filepath.Join(dir, "run", "s"), filepath.Join(dir, "tokend.toml")
	one, two := vfido.NewPort(filepath.Join(dir, "one")), vfido.NewPort(filepath.Join(dir, "two"))
	for _, port := range []*vfido.Port{one, two} {
		t.Cleanup(func() { port.Remove() })
	}
	insert := func(port *vfido.Port) {
		t.Helper()
		k, err := vfido.New(vfido.Options{PIN: "271828"})
		if err != nil {
			t.Fatal(err)
		}
		if err := port.Insert(k); err != nil {
			t.Fatal(err)
		}
	}
	insert(one)
	if err := os.WriteFile(config, []byte("[tokens]\nfido2_devices = [\""+one.Path()+"\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := launch(t, exec.Command(filepath.Join(bin, "tokend"), "serve", "--user", "--config", config, "--fido2-device", two.Path(),
		"--state-dir", filepath.Join(dir, "state"), "--socket", socket), socket)
	has := func(port *vfido.Port) func() bool {
		return func() bool {
			var l ipc.TokenList
			return r.get("tokens", &l) == nil && slices.ContainsFunc(l.Tokens, func(k ipc.Token) bool {
				return k.Kind == "fido2" && k.Locator == port.Path() && k.Present && k.Problem == nil
			})
		}
	}
	await(t, "the key of the file", has(one))
	insert(two)
	await(t, "the key of the flag", has(two))
	two.Remove()
	await(t, "its removal", func() bool { return !has(two)() })
	if strings.Contains(r.stderr.String(), "level=WARN") {
		t.Error("the daemon complains")
	}
	r.end(t)
}
