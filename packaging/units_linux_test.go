package packaging_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/packaging"
	"github.com/tokenbridge/tokend/udev"
)

// unpack writes a folder of the files into another, the programs replaced by one that
// is there.
func unpack(t *testing.T, from, to string) (files []string) {
	t.Helper()
	err := fs.WalkDir(packaging.Files, from, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := packaging.Files.ReadFile(name)
		if err != nil {
			return err
		}
		for _, program := range []string{"/usr/bin/tokend", "/usr/libexec/tokend/tokend-helper"} {
			b = bytes.ReplaceAll(b, []byte("="+program+" "), []byte("=/bin/true "))
		}
		file := filepath.Join(to, strings.TrimPrefix(name, from+"/"))
		files = append(files, file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		return os.WriteFile(file, b, 0o644)
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %d files", err, len(files))
	}
	return files
}

// TestUnitsAreVerified by systemd, which is silent about what is well.
func TestUnitsAreVerified(t *testing.T) {
	dir := t.TempDir()
	system, user := unpack(t, "systemd/system", filepath.Join(dir, "system")), unpack(t, "systemd/user", filepath.Join(dir, "user"))
	network, err := packaging.Files.ReadFile("systemd/examples/tokend-authority.conf")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		drop bool
	}{
		"system": {system, false}, "user": {append([]string{"--user"}, user...), false}, "with a network": {system, true},
	} {
		t.Run(name, func(t *testing.T) {
			if drop := filepath.Join(dir, "system", "tokend.service.d"); c.drop {
				if err := os.MkdirAll(drop, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(drop, "tokend-authority.conf"), network, 0o644); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { os.RemoveAll(drop) })
			}
			cmd := exec.Command("systemd-analyze", append([]string{"verify"}, c.args...)...)
			cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir)
			if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestServicesAreConfined: systemd counts what a service could do were it taken over.
func TestServicesAreConfined(t *testing.T) {
	checked := 0
	for _, file := range unpack(t, "systemd/system", t.TempDir()) {
		if !strings.HasSuffix(file, ".service") {
			continue
		}
		checked++
		// Tenths of its exposure levels.
		if out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", filepath.Base(file), err, out)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		devices := strings.Contains(filepath.Base(file), "fido2")
		for line, want := range map[string]bool{
			"PrivateDevices=yes": !devices, "DeviceAllow=char-hidraw rw": devices, "DevicePolicy=closed": true, "PrivateNetwork=yes": true, "User=root": false,
			"CapabilityBoundingSet=": true, "NoNewPrivileges=yes": true,
			"SyslogLevelPrefix=no": strings.Contains(filepath.Base(file), "helper"),
		} {
			if got := strings.Contains("\n"+string(b), "\n"+line+"\n"); got != want {
				t.Errorf("%s: %s: %t", filepath.Base(file), line, got)
			}
		}
	}
	if checked != 5 {
		t.Errorf("%d services", checked)
	}
}

// TestUsersAndFolders are made by systemd's programs, and nobody else may look in.
func TestUsersAndFolders(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("users are made by root")
	}
	root := t.TempDir()
	unpack(t, "sysusers.d", filepath.Join(root, "usr/lib/sysusers.d"))
	unpack(t, "tmpfiles.d", filepath.Join(root, "usr/lib/tmpfiles.d"))
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time nothing is left to do
		for _, args := range [][]string{{"systemd-sysusers", "--root=" + root, "tokend.conf"}, {"systemd-tmpfiles", "--root=" + root, "--create", "tokend.conf"}} {
			if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", args, err, out)
			}
		}
	}
	passwd, err := os.ReadFile(filepath.Join(root, "etc/passwd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tokend", "tokend-helper"} {
		if !regexp.MustCompile(`(?m)^` + name + `:.*nologin$`).Match(passwd) {
			t.Errorf("%s: %s", name, passwd)
		}
	}
	info, err := os.Stat(filepath.Join(root, "var/lib/tokend"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info, err)
	}
}

// TestUdevRules: udev takes every line, and gives no device to everybody.
func TestUdevRules(t *testing.T) {
	for _, m := range regexp.MustCompile(`MODE:?="(\d+)"`).FindAllSubmatch(udev.Rules, -1) {
		if !bytes.HasSuffix(m[1], []byte("0")) {
			t.Errorf("mode %s", m[1])
		}
	}
	if !bytes.Contains(udev.Rules, []byte(`GROUP:="tokend-helper", MODE:="0660"`)) {
		t.Error("the helper has no group of its own")
	}
	if os.Geteuid() != 0 {
		t.Skip("udev reads its own folders alone")
	}
	// Its user is not on this machine.
	rules := bytes.ReplaceAll(udev.Rules, []byte(`"tokend-helper"`), []byte(`"daemon"`))
	read := func(text []byte) string {
		t.Helper()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, udev.RulesName), text, 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c",
			`mkdir -p /etc/udev/rules.d && mount --bind "$1" /etc/udev/rules.d && exec udevadm test --action=add /sys/class/mem/null`, "sh", dir)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Reading rules file: /etc/udev/rules.d/"+udev.RulesName) {
			t.Fatalf("%v\n%s", err, out)
		}
		var said []string
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, udev.RulesName+":") {
				said = append(said, line)
			}
		}
		return strings.Join(said, "")
	}
	if said := read(rules); said != "" {
		t.Errorf("%s", said)
	}
	if said := read(append(rules, "NONSENSE=\"1\"\n"...)); said == "" {
		t.Error("udev says nothing of nonsense: this proves nothing")
	}
}

// TestFilesSayWhereTheyGo: each file names its place where a package has it.
func TestFilesSayWhereTheyGo(t *testing.T) {
	for from, to := range map[string]string{
		"systemd/system": "/usr/lib/systemd/system", "systemd/user": "/usr/lib/systemd/user", "sysusers.d": "/usr/lib/sysusers.d", "tmpfiles.d": "/usr/lib/tmpfiles.d",
	} {
		list, err := fs.ReadDir(packaging.Files, from)
		if err != nil || len(list) == 0 {
			t.Fatal(err)
		}
		for _, f := range list {
			b, err := packaging.Files.ReadFile(path.Join(from, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(b), path.Join(to, f.Name())) {
				t.Errorf("%s does not say that it goes into %s", f.Name(), to)
			}
		}
	}
	if !bytes.Contains(udev.Rules, []byte("/usr/lib/udev/rules.d/"+udev.RulesName)) {
		t.Error("the rules do not say where they go")
	}
}
