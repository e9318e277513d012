package packaging_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// image is a root that rpm installs into, as one of a system that is being built:
// nothing runs there.
type image struct{ root string }

// newImage has a shell and these programs, with their libraries, and a package that
// stands for the rest of a system: what tokend requires, and polkit's folder as it is
// where its daemon alone may look in.
func newImage(t *testing.T, system string, programs ...string) image {
	t.Helper()
	i := image{t.TempDir()}
	for _, program := range append(programs, "sh") {
		path, err := exec.LookPath(program)
		if err != nil {
			t.Fatal(err)
		}
		i.copy(t, path, filepath.Join("/usr/bin", program))
		for _, library := range regexp.MustCompile(`(?m)(/\S+) \(0x`).FindAllStringSubmatch(output(t, nil, "ldd", path), -1) {
			i.copy(t, library[1], library[1])
		}
	}
	for _, dir := range []string{"etc", "var", "bin", "dev"} {
		if err := os.MkdirAll(filepath.Join(i.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	i.copy(t, filepath.Join(i.root, "usr/bin/sh"), "/bin/sh")
	if err := exec.Command("mknod", "-m", "666", filepath.Join(i.root, "dev/null"), "c", "1", "3").Run(); err != nil {
		t.Fatal(err)
	}
	if said := i.rpm(t, "-i", system); said != "" {
		t.Fatal(said)
	}
	return i
}

func (i image) copy(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	to = filepath.Join(i.root, to)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
}

// rpm gives all that it and the scripts say, but for what Debian's rpm says of itself
// and who was made.
func (i image) rpm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("rpm", append([]string{"--root", i.root}, args...)...).CombinedOutput()
	said := regexp.MustCompile(`(?m)^(rpm: (RPM should not|However assuming) .*|Creating (user|group) .*)\n`).ReplaceAllString(string(out), "")
	if err != nil {
		t.Fatalf("rpm %v: %v\n%s", args, err, said)
	}
	return said
}

// ours are the paths with our name, below a folder.
func (i image) ours(t *testing.T, below string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(i.root, below), func(path string, _ fs.DirEntry, err error) error {
		if rest := strings.TrimPrefix(path, i.root); strings.Contains(strings.ToLower(rest), "tokend") {
			paths = append(paths, rest)
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return paths
}

// systemRPM makes the package that stands for the rest of the system.
func systemRPM(t *testing.T, rpm string) string {
	t.Helper()
	dir := t.TempDir()
	spec := "Name: system\nVersion: 1\nRelease: 1\nSummary: s\nLicense: none\nBuildArch: noarch\n"
	for line := range strings.Lines(output(t, nil, "rpm", "-qp", "--requires", rpm)) {
		if !strings.HasPrefix(line, "rpmlib") {
			spec += "Provides: " + line
		}
	}
	spec += "%description\ns\n%install\nmkdir -p %{buildroot}/usr/share/polkit-1/rules.d\n%files\n%attr(0700,root,root) %dir /usr/share/polkit-1/rules.d\n"
	file := filepath.Join(dir, "system.spec")
	if err := os.WriteFile(file, []byte(spec), 0o600); err != nil {
		t.Fatal(err)
	}
	output(t, nil, "rpmbuild", "-bb", "--quiet", "--define", "_topdir "+dir, "--define", "_rpmdir "+dir, "--define", "_rpmfilename system.rpm", file)
	return filepath.Join(dir, "system.rpm")
}

// testRPMInImages installs the rpm where nothing runs: with no systemd, with one whose
// distribution enables nothing by itself, as Fedora, and with one that does. Then it is
// upgraded and removed.
func testRPMInImages(t *testing.T, rpm string) {
	if os.Geteuid() != 0 {
		t.Skip("a root of its own is changed to by root")
	}
	next := filepath.Join(t.TempDir(), "next.rpm")
	output(t, nil, "rpm/next.sh", rpm, next)
	system := systemRPM(t, rpm)
	systemd := []string{"systemctl", "systemd-sysusers", "systemd-tmpfiles"}
	for name, c := range map[string]struct {
		programs            []string
		preset, admin       string
		installed, upgraded bool // whether it is enabled
	}{
		"no systemd":   {},
		"not enabled":  {programs: systemd, preset: "disable *", admin: "enable", upgraded: true},
		"enabled":      {programs: systemd, preset: "enable *", installed: true, upgraded: true},
		"enabled, not": {programs: systemd, preset: "enable *", admin: "disable", installed: true},
	} {
		t.Run(name, func(t *testing.T) {
			i := newImage(t, system, c.programs...)
			put(t, filepath.Join(i.root, "usr/lib/systemd/system-preset/99.preset"), c.preset+"\n")
			i.install(t, rpm, len(c.programs) > 0, c.installed)
			vault, config := filepath.Join(i.root, "var/lib/tokend/users/0/vault.tokend"), filepath.Join(i.root, "etc/tokend/tokend.toml")
			put(t, vault, "a vault")
			put(t, config, "")
			if c.admin != "" {
				output(t, nil, "systemctl", "--quiet", "--root="+i.root, c.admin, "tokend.service")
			}
			if said := i.rpm(t, "-U", next); said != "" {
				t.Errorf("the upgrade says\n%s", said)
			}
			i.enabled(t, c.upgraded)
			i.remove(t)
			if b, err := os.ReadFile(vault); err != nil || string(b) != "a vault" {
				t.Errorf("the vault: %q, %v", b, err)
			}
		})
	}
}

func (i image) enabled(t *testing.T, want bool) {
	t.Helper()
	_, err := os.Lstat(filepath.Join(i.root, "etc/systemd/system/multi-user.target.wants/tokend.service"))
	if got := err == nil; got != want {
		t.Errorf("enabled: %t, want %t: %q", got, want, i.ours(t, "etc/systemd"))
	}
}

func (i image) install(t *testing.T, rpm string, users, enabled bool) {
	t.Helper()
	if said := i.rpm(t, "-i", rpm); said != "" {
		t.Errorf("the installation says\n%s", said)
	}
	if said := i.rpm(t, "-V", "tokend"); said != "" {
		t.Errorf("what is installed is not what was packed:\n%s", said)
	}
	i.enabled(t, enabled)
	passwd, err := os.ReadFile(filepath.Join(i.root, "etc/passwd"))
	if got := err == nil && strings.Contains(string(passwd), "\ntokend-helper:"); got != users {
		t.Errorf("users: %t, %v\n%s", got, err, passwd)
	}
	if info, err := os.Stat(filepath.Join(i.root, "usr/share/polkit-1/rules.d")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("polkit's folder: %v, %v", info, err)
	}
}

// remove leaves the vaults and what the administrator has written.
func (i image) remove(t *testing.T) {
	t.Helper()
	if said := i.rpm(t, "-e", "tokend"); said != "The vaults in /var/lib/tokend stay.\n" {
		t.Errorf("the removal says\n%s", said)
	}
	want := []string{
		"/etc/tokend", "/etc/tokend/tokend.toml", "/var/lib/tokend", "/var/lib/tokend/users", "/var/lib/tokend/users/0", "/var/lib/tokend/users/0/vault.tokend",
	}
	if got := i.ours(t, "/"); !slices.Equal(got, want) {
		t.Errorf("left behind are %q", got)
	}
}
