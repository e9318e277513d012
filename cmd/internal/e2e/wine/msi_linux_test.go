//go:build wine

package wine

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/cmd/internal/e2e"
)

const (
	installedFolder = `C:\Program Files\tokend\`
	environment     = `HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment`
	eventLog        = `HKLM\SYSTEM\CurrentControlSet\Services\EventLog\Application`
	products        = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall`
)

// msi has wine's installer do something with one of the two packages of wine.sh.
func msi(t *testing.T, what, version string) e2e.Result {
	t.Helper()
	return manager(t, "msiexec", what, windowsPath(filepath.Join(prepared(t), version+".msi")), "/qn")
}

// TestMSI installs the package, uses what it has installed, upgrades it and takes it
// away. The service's user is wine's only one there, and so the daemon his own.
func TestMSI(t *testing.T) {
	drive := filepath.Join(prepared(t), "prefix", "drive_c")
	folder := filepath.Join(drive, "Program Files", "tokend")
	d := &daemon{tb: t, pipe: `\\.\pipe\tokend-S-1-5-21-0-0-0-1000`, ended: make(chan struct{})}
	t.Cleanup(func() {
		manager(t, "net", "stop", "tokend")
		msi(t, "/x", "1.2.4")
		msi(t, "/x", "1.2.3")
		// With the only source in it the installer takes the folder of the log, where Windows has many.
		manager(t, "reg", "add", eventLog, "/f")
	})
	if r := msi(t, "/i", "1.2.3"); r.Exit != 0 {
		t.Fatalf("%s", r)
	}
	installed(t, folder, "1.2.3")
	for _, file := range []string{"tokenctl.exe", "tokend-helper.exe", "README.md", "LICENSE.txt", "THIRD-PARTY-LICENSES.txt", "sbom.cdx.json"} {
		if _, err := os.Stat(filepath.Join(folder, file)); err != nil {
			t.Error(err)
		}
	}
	release := d.held()
	d.until("an answer", func() bool { return d.ctl("", "status").Exit == 0 })
	_, there := newSecrets(t)
	d.ok("", "init", "--token", "soft", "--pin-file", there.pin, "--recovery-password-file", there.password)

	r := msi(t, "/i", "1.2.4")
	release()
	if r.Exit != 0 {
		t.Fatalf("%s", r)
	}
	installed(t, folder, "1.2.4")
	release = d.held()
	d.until("an answer", func() bool { return d.ctl("", "status").Exit == 0 })
	d.ok("", "unlock", "--pin-file", there.pin)
	if r := msi(t, "/i", "1.2.3"); r.Exit == 0 {
		t.Errorf("an older one is installed over it: %s", r)
	}
	installed(t, folder, "1.2.4")

	r = msi(t, "/x", "1.2.4")
	release()
	if r.Exit != 0 {
		t.Fatalf("%s", r)
	}
	removed(t, folder)
	if kept, err := filepath.Glob(filepath.Join(drive, "users", "*", "AppData", "Local", "tokend", "users", "*", "vault.tokend")); err != nil || len(kept) != 1 {
		t.Errorf("vaults that are left: %q, %v", kept, err)
	}
}

// held is holdPipe for a daemon that runs: it comes back when the pipe is held.
func (d *daemon) held() (release func()) {
	d.tb.Helper()
	said := &e2e.Buffer{}
	hold := windows(context.Background(), d.tb, "hold", d.pipe)
	hold.Stdout = said
	if err := hold.Start(); err != nil {
		d.tb.Fatal(err)
	}
	d.until("the pipe", func() bool { return strings.Contains(said.String(), "held") })
	return func() {
		_ = hold.Process.Kill()
		_ = hold.Wait()
	}
}

// installed is how the machine is with a version installed.
func installed(t *testing.T, folder, version string) {
	t.Helper()
	must(t, "RUNNING", "sc", "query", "tokend")
	must(t, installedFolder+"tokend.exe", "reg", "query", `HKLM\SYSTEM\CurrentControlSet\Services\tokend`, "/v", "ImagePath")
	must(t, "EventCreate.exe", "reg", "query", eventLog+`\tokend`, "/v", "EventMessageFile")
	must(t, ";"+installedFolder, "reg", "query", environment, "/v", "PATH")
	r := manager(t, "reg", "query", products, "/s")
	if strings.Count(r.Stdout, "DisplayName") != 1 || !strings.Contains(r.Stdout, version) {
		t.Errorf("products: %s", r)
	}
	b, err := os.ReadFile(filepath.Join(folder, "tokend.exe"))
	if err != nil || !bytes.HasSuffix(b, []byte(version)) {
		t.Errorf("tokend.exe is not that of %s: %v", version, err)
	}
}

// removed is how it is afterwards. wine's installer leaves the program of a service
// that is ending still.
func removed(t *testing.T, folder string) {
	t.Helper()
	for _, args := range [][]string{
		{"sc", "query", "tokend"}, {"reg", "query", eventLog + `\tokend`},
	} {
		if r := manager(t, args...); r.Exit == 0 {
			t.Errorf("%q: %s", args, r)
		}
	}
	if r := manager(t, "reg", "query", environment, "/v", "PATH"); strings.Contains(r.Stdout, "tokend") {
		t.Errorf("the PATH: %s", r)
	}
	if r := manager(t, "reg", "query", products, "/s"); strings.Contains(r.Stdout, "tokend") {
		t.Errorf("products: %s", r)
	}
	left, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(left) > 1 || len(left) == 1 && filepath.Base(left[0]) != "tokend.exe" {
		t.Errorf("files that are left: %q, %v", left, err)
	}
}
