//go:build linux

package packaging_test

import (
	"archive/zip"
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// What the packages of the test bear.
const (
	packedVersion = "v1.2.3"
	packedEpoch   = "1790000000"
	packedProduct = "{6F0B3A52-7D0C-4E83-9C61-5B1E2D7C9A10}" // must never change
)

// output runs a program and gives what it prints.
func output(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s%s", name, args, err, out, stderr.String())
	}
	return string(out)
}

// sourceCopy lays the source tree into a folder, without git, as an archive of it
// would be unpacked.
func sourceCopy(t *testing.T, to string, mask os.FileMode) {
	t.Helper()
	for _, name := range strings.Split(strings.TrimRight(output(t, nil, "git", "-C", "..", "ls-files", "-z", "-co", "--exclude-standard"), "\x00"), "\x00") {
		from := filepath.Join("..", name)
		info, err := os.Stat(from)
		if os.IsNotExist(err) {
			continue
		}
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777&^mask); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, info.Mode().Perm()&^mask); err != nil {
			t.Fatal(err)
		}
	}
	// What the packages are made with need not be linked a second time.
	tools, err := filepath.Abs("../build/tools")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(tools, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(to, "build"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(tools, filepath.Join(to, "build/tools")); err != nil {
		t.Fatal(err)
	}
}

// build makes the packages of a copy of the source and answers with their folder.
func build(t *testing.T, where, mask, zone string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", "umask "+mask+"; exec packaging/packages.sh out")
	cmd.Dir = where
	cmd.Env = append(os.Environ(), "VERSION="+packedVersion, "SOURCE_DATE_EPOCH="+packedEpoch, "TZ="+zone)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("packages.sh: %v\n%s", err, out)
	}
	return filepath.Join(where, "out")
}

func one(t *testing.T, folder, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v %v", pattern, found, err)
	}
	return found[0]
}

func TestPackages(t *testing.T) {
	first := filepath.Join(t.TempDir(), "where-it-was-built")
	second := filepath.Join(t.TempDir(), "another", "folder")
	sourceCopy(t, first, 0)
	sourceCopy(t, second, 0o077)
	out := build(t, first, "022", "UTC")
	again := build(t, second, "077", "Pacific/Auckland")

	t.Run("reproducible", func(t *testing.T) {
		a, err := os.ReadFile(filepath.Join(out, "SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(again, "SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) || bytes.Count(a, []byte("\n")) < 6 {
			t.Errorf("two builds differ:\n%s\n%s", a, b)
		}
	})
	deb := one(t, out, "*.deb")
	root := t.TempDir()
	output(t, nil, "dpkg-deb", "-x", deb, root)
	t.Run("deb", func(t *testing.T) { testDeb(t, deb) })
	t.Run("purge", func(t *testing.T) { testPurge(t, deb) })
	t.Run("rpm", func(t *testing.T) { testRPM(t, one(t, out, "*.rpm")) })
	t.Run("rpm in images", func(t *testing.T) { testRPMInImages(t, one(t, out, "*.rpm")) })
	t.Run("zip", func(t *testing.T) { testZip(t, one(t, out, "*.zip")) })
	t.Run("msi", func(t *testing.T) { testMSI(t, one(t, out, "*.msi")) })
	t.Run("programs", func(t *testing.T) { testPrograms(t, root) })
	t.Run("manual", func(t *testing.T) { testManual(t, root) })
	t.Run("completions", func(t *testing.T) { testCompletions(t, root) })
	t.Run("materials", func(t *testing.T) { testMaterials(t, root) })
}

// installed is what has to be in both packages for Linux.
func installed() []string {
	return []string{
		"/usr/bin/tokend", "/usr/bin/tokenctl", "/usr/libexec/tokend/tokend-helper", "/usr/lib/udev/rules.d/70-tokend.rules",
		"/usr/share/dbus-1/system.d/io.github.tokenbridge.Tokend1.conf", "/usr/share/dbus-1/system-services/io.github.tokenbridge.Tokend1.service",
		"/usr/share/polkit-1/actions/io.github.tokenbridge.tokend.policy", "/usr/share/man/man1/tokenctl.1.gz", "/usr/share/man/man5/tokend.toml.5.gz",
		"/usr/share/man/man8/tokend.8.gz", "/usr/share/bash-completion/completions/tokenctl", "/usr/share/fish/vendor_completions.d/tokenctl.fish",
		"/usr/share/doc/tokend/README.md", "/usr/share/doc/tokend/THIRD-PARTY-LICENSES", "/usr/share/doc/tokend/sbom.cdx.json",
		"/usr/share/doc/tokend/examples/tokend.toml", "/usr/share/doc/tokend/examples/tokend-authority.conf",
		"/usr/lib/systemd/system/tokend.service", "/usr/lib/systemd/system/tokend.socket", "/usr/lib/systemd/system/tokend-helper-piv@.service",
		"/usr/lib/systemd/user/tokend.socket", "/usr/lib/sysusers.d/tokend.conf", "/usr/lib/tmpfiles.d/tokend.conf", "/usr/share/polkit-1/rules.d/50-tokend.rules",
	}
}

func testDeb(t *testing.T, deb string) {
	list := output(t, nil, "dpkg-deb", "-c", deb)
	want := append(installed(), "/usr/share/zsh/vendor-completions/_tokenctl", "/usr/share/doc/tokend/copyright", "/usr/share/doc/tokend/changelog.Debian.gz")
	for _, path := range want {
		if !strings.Contains(list, " ."+path+"\n") {
			t.Errorf("the deb lacks %s", path)
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(list), "\n") {
		mode := line[:10]
		if !strings.Contains(line, " root/root ") || mode[8] == 'w' || mode[5] == 'w' || strings.ContainsAny(mode, "sS") {
			t.Errorf("not root's alone: %s", line)
		}
	}
	fields := output(t, nil, "dpkg-deb", "-f", deb)
	for _, field := range []string{"Package: tokend", "Version: 1.2.3-1", "libfido2-1", "libpcsclite1", "libc6", "Recommends: pcscd"} {
		if !strings.Contains(fields, field) {
			t.Errorf("the deb does not say %q:\n%s", field, fields)
		}
	}
	cmd := exec.Command("lintian", "--fail-on", "error", "--no-tag-display-limit", "--allow-root", deb)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
	control := t.TempDir()
	output(t, nil, "dpkg-deb", "-e", deb, control)
	for _, script := range []string{"postinst", "prerm", "postrm"} {
		path := filepath.Join(control, script)
		output(t, nil, "sh", "-n", path)
		if b, err := os.ReadFile(path); err != nil || !regexp.MustCompile(`(?m)^units="tokend-helper-.*\.socket tokend\.socket tokend\.service"$`).Match(b) {
			t.Errorf("%s does not name the units: %v\n%s", script, err, b)
		}
	}
}

// A purge names vaults and backups and moves them aside; without any it leaves
// nothing; and it can be done twice.
func testPurge(t *testing.T, deb string) {
	control, root := t.TempDir(), t.TempDir()
	output(t, nil, "dpkg-deb", "-e", deb, control)
	script, err := os.ReadFile(filepath.Join(control, "postrm"))
	if err != nil {
		t.Fatal(err)
	}
	state, backups := filepath.Join(root, "tokend"), filepath.Join(root, "backups")
	purge := func() string { return purgeIn(t, root, string(script)) }
	write := func(name, content string) { put(t, filepath.Join(state, name), content) }
	write("users/0/vault.tokend", "a vault")
	write("users/0/daemon.json", `{"version":1,"destinations":[{"id":"x","path":"/media/stick/backups","kind":"folder"}]}`)
	write("users/4711/vault.tokend", "another")
	said := purge()
	for _, want := range []string{"the vault of root (0)", "a backup was written to /media/stick/backups", "the vault of user (4711)", "NO BACKUP of it is known", "moved to " + backups + "/tokend-"} {
		if !strings.Contains(said, want) {
			t.Errorf("purge does not say %q:\n%s", want, said)
		}
	}
	if _, err := os.Stat(state); !os.IsNotExist(err) {
		t.Errorf("the state is there still: %v", err)
	}
	kept := one(t, backups, "tokend-*")
	if b, err := os.ReadFile(filepath.Join(kept, "users/0/vault.tokend")); err != nil || string(b) != "a vault" {
		t.Errorf("the vault is not kept: %q %v", b, err)
	}
	if info, err := os.Stat(kept); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("what is kept can be seen by others: %v %v", info, err)
	}
	if said := purge(); said != "" {
		t.Errorf("the second purge says %q", said)
	}
	write("lock", "")
	if said := purge(); said != "" {
		t.Errorf("purge without vaults says %q", said)
	}
	if _, err := os.Stat(state); !os.IsNotExist(err) {
		t.Errorf("the state is there still: %v", err)
	}
}

func testRPM(t *testing.T, rpm string) {
	list := output(t, nil, "rpm", "-qp", "--qf", "[%{FILENAMES}\n]", rpm)
	for _, path := range append(installed(), "/usr/share/zsh/site-functions/_tokenctl") {
		if !strings.Contains(list, path+"\n") {
			t.Errorf("the rpm lacks %s", path)
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(output(t, nil, "rpm", "-qp", "--qf", "[%{FILEMODES:perms} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILENAMES}\n]", rpm)), "\n") {
		if mode := line[:10]; !strings.Contains(line, " root root ") || mode[8] == 'w' || mode[5] == 'w' || strings.ContainsAny(mode, "sS") {
			t.Errorf("not root's alone: %s", line)
		}
	}
	for _, dir := range []string{"/usr", "/usr/bin", "/usr/lib/systemd/system", "/usr/lib/udev/rules.d", "/usr/share/dbus-1/services", "/usr/share/man/man1", "/usr/share/polkit-1/rules.d", "/etc"} {
		if strings.Contains("\n"+list, "\n"+dir+"\n") {
			t.Errorf("the rpm takes %s, which is the system's", dir)
		}
	}
	needs := output(t, nil, "rpm", "-qp", "--requires", rpm)
	for _, want := range []string{"/bin/sh\n", "libfido2.so.1()(64bit)\n", "libpcsclite.so.1()(64bit)\n", "libc.so.6(GLIBC_"} {
		if !strings.Contains(needs, want) {
			t.Errorf("the rpm does not require %q:\n%s", want, needs)
		}
	}
	if got := output(t, nil, "rpm", "-qp", "--qf", "%{NAME} %{VERSION} %{RELEASE} %{LICENSE} %{BUILDHOST}", rpm); got != "tokend 1.2.3 1 Apache-2.0 localhost" {
		t.Errorf("the rpm says %q", got)
	}
	output(t, nil, "rpm", "-K", "--nosignature", rpm)
}

func testZip(t *testing.T, path string) {
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
	}
	want := []string{"LICENSE.txt", "README.md", "THIRD-PARTY-LICENSES.txt", "sbom.cdx.json", "tokenctl.exe", "tokend-helper.exe", "tokend.exe"}
	for i := range want {
		want[i] = "tokend-1.2.3/" + want[i]
	}
	if !slices.Equal(names, want) {
		t.Errorf("the zip has %q, want %q", names, want)
	}
}

func testMSI(t *testing.T, msi string) {
	table := func(name string) string { return output(t, nil, "msiinfo", "export", msi, name) }
	for name, wants := range map[string][]string{
		"Property":       {"ProductVersion\t1.2.3\r", "UpgradeCode\t" + packedProduct + "\r", "ALLUSERS\t1\r"},
		"Upgrade":        {packedProduct + "\t\t1.2.3\t\t1\t\tWIX_UPGRADE_DETECTED"},
		"ServiceInstall": {"tokend\ttokend\t16\t2\t", "\tserve\tDaemon\t"},
		"ServiceControl": {"tokend\t163\t\t1\tDaemon"}, // started and stopped with it, deleted at removal
		"Environment":    {"=-*PATH\t[~];[INSTALLDIR]\tClient"},
		"Registry": {
			`EventLog\Application\tokend	CustomSource	#1	Daemon`, `EventLog\Application\tokend	TypesSupported	#7	Daemon`,
			`EventLog\Application\tokend	EventMessageFile	#%%SystemRoot%\System32\EventCreate.exe	Daemon`,
		},
		"InstallExecuteSequence": {"WriteRegistryValues\t", "RemoveRegistryValues\t", "WriteEnvironmentStrings\t\t5200", "RemoveEnvironmentStrings\t\t3300", "InstallServices\t", "DeleteServices\t", "RemoveExistingProducts\t"},
		"File":                   {"tokend.exe", "tokenctl.exe", "tokend-helper.exe", "LICENSE.txt"},
		"_SummaryInformation":    {"x64;1033", "2026/09/21"},
	} {
		got := table(name)
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("the msi's table %s lacks %q:\n%s", name, want, got)
			}
		}
	}
}

// Both programs are one file each that needs nothing, and not large.
func testPrograms(t *testing.T, root string) {
	for _, name := range []string{"tokend", "tokenctl"} {
		path := filepath.Join(root, "usr/bin", name)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() >= 25_000_000 {
			t.Errorf("%s has %d bytes", name, info.Size())
		}
		f, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		libraries, err := f.ImportedLibraries()
		f.Close()
		if err != nil || len(libraries) > 0 {
			t.Errorf("%s needs %v %v", name, libraries, err)
		}
		if said := output(t, nil, path, "version"); !strings.Contains(said, packedVersion) {
			t.Errorf("%s says it is %q", name, said)
		}
	}
	if said := output(t, nil, filepath.Join(root, "usr/libexec/tokend/tokend-helper"), "hello"); !strings.Contains(said, "piv") || !strings.Contains(said, "fido2") {
		t.Errorf("the helper knows %s", said)
	}
}

func testManual(t *testing.T, root string) {
	pages, err := filepath.Glob(filepath.Join(root, "usr/share/man/man*/*.gz"))
	if err != nil || len(pages) < 20 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		if out, err := exec.Command("mandoc", "-Tlint", "-Wwarning", page).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("mandoc: %v\n%s", err, out)
		}
		cmd := exec.Command("man", "--warnings", "-l", page)
		cmd.Env = append(os.Environ(), "MANWIDTH=80", "LC_ALL=C.UTF-8")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if out, err := cmd.Output(); err != nil || stderr.Len() > 0 || len(out) < 200 {
			t.Errorf("man %s: %v, %d bytes\n%s", page, err, len(out), stderr.String())
		}
	}
}

// The shells complete with the files where they are installed.
func testCompletions(t *testing.T, root string) {
	env := []string{"PATH=" + filepath.Join(root, "usr/bin") + ":" + os.Getenv("PATH"), "TERM=dumb", "HOME=" + t.TempDir()}
	bash := filepath.Join(root, "usr/share/bash-completion/completions/tokenctl")
	got := output(t, env, "bash", "--norc", "-c", `. /usr/share/bash-completion/bash_completion; . "$0"
COMP_WORDS=(tokenctl backup dri) COMP_CWORD=2 COMP_LINE="tokenctl backup dri" COMP_POINT=19 COMP_TYPE=9
__start_tokenctl; printf '%s\n' "${COMPREPLY[@]}"`, bash)
	if strings.TrimSpace(got) != "drill" {
		t.Errorf("bash completes %q", got)
	}
	fish := filepath.Join(root, "usr/share/fish/vendor_completions.d/tokenctl.fish")
	got = output(t, env, "fish", "--no-config", "-c", `source $argv[1]; complete -C "tokenctl backup dri"`, fish)
	if !strings.HasPrefix(got, "drill") {
		t.Errorf("fish completes %q", got)
	}
	zsh := exec.Command("zsh", "-f")
	zsh.Env = append(os.Environ(), env...)
	terminal, err := pty.Start(zsh)
	if err != nil {
		t.Fatal(err)
	}
	defer zsh.Wait()
	defer zsh.Process.Kill()
	defer terminal.Close()
	seen := make(chan bool, 1)
	go func() {
		var all bytes.Buffer
		b := make([]byte, 4096)
		for {
			n, err := terminal.Read(b)
			all.Write(b[:n])
			// What was typed is echoed, so the answer is what was not.
			if bytes.Contains(all.Bytes(), []byte("done:drill")) {
				seen <- true
				return
			}
			if err != nil {
				t.Logf("zsh: %s", all.String())
				seen <- false
				return
			}
		}
	}()
	fpath := filepath.Join(root, "usr/share/zsh/vendor-completions")
	// The line is completed and run: the function shows its last word. zsh asks it, too,
	// for what completes the line.
	for _, line := range []string{"fpath=(" + fpath + " $fpath); autoload -U compinit; compinit -u -D\n", "tokenctl() { if [[ $1 == __complete* ]]; then command tokenctl \"$@\"; else print done:$argv[-1]; fi }\n", "tokenctl backup dri\t\n"} {
		if _, err := terminal.WriteString(line); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case ok := <-seen:
		if !ok {
			t.Error("zsh does not complete")
		}
	case <-time.After(time.Minute):
		t.Error("zsh does not complete within a minute")
	}
}

// Every module that a program says it has is in the bill of materials, and in the
// file of licences.
func testMaterials(t *testing.T, root string) {
	b, err := os.ReadFile(filepath.Join(root, "usr/share/doc/tokend/sbom.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat, SpecVersion string
		Components             []struct {
			Name, Version string
			Licenses      []any
		}
	}
	if err := json.Unmarshal(b, &bom); err != nil {
		t.Fatal(err)
	}
	if bom.BOMFormat != "CycloneDX" || bom.SpecVersion != "1.6" {
		t.Errorf("it is %s %s", bom.BOMFormat, bom.SpecVersion)
	}
	licences, err := os.ReadFile(filepath.Join(root, "usr/share/doc/tokend/THIRD-PARTY-LICENSES"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, c := range bom.Components {
		listed[c.Name+" "+c.Version] = len(c.Licenses) > 0
		listed[c.Name] = true
	}
	for _, name := range []string{"usr/bin/tokend", "usr/bin/tokenctl", "usr/libexec/tokend/tokend-helper"} {
		info, err := buildinfo.ReadFile(filepath.Join(root, name))
		if err != nil || len(info.Deps) == 0 {
			t.Fatalf("%s: %v", name, err)
		}
		for _, m := range info.Deps {
			if !listed[m.Path+" "+m.Version] || !bytes.Contains(licences, []byte("  "+m.Path+" "+m.Version+": ")) {
				t.Errorf("%s has %s %s, which is not listed with its licence", name, m.Path, m.Version)
			}
		}
	}
	for _, name := range []string{"std", "libfido2.so.1", "libpcsclite.so.1"} {
		if !listed[name] {
			t.Errorf("%s is not listed", name)
		}
	}
	// Nothing of the machine that it was built on.
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && bytes.Contains(b, []byte("/where-it-was-built/")) {
			t.Errorf("%s names the folder that it was built in", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
