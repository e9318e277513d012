package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// There is no systemd to start things in a test; in another root its programs do the
// rest for real.
func TestServiceIntoARoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("users are made by root")
	}
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		return at(t, opened(), append([]string{"service", "--root", root}, args...)...).ends(0)
	}
	status := func() (st serviceState) {
		t.Helper()
		if err := json.Unmarshal([]byte(run("status", "--json")), &st); err != nil {
			t.Fatal(err)
		}
		return st
	}
	if st := status(); st.Installed || !strings.Contains(st.Next, "service install") {
		t.Errorf("%+v", st)
	}
	out := run("install", "--network")
	for _, file := range []string{
		"etc/systemd/system/tokend.service", "etc/systemd/system/tokend.socket", "etc/systemd/system/tokend-helper-fido2-watch@.service",
		"etc/systemd/system/tokend.service.d/tokend-authority.conf", "etc/udev/rules.d/70-tokend.rules", "etc/polkit-1/rules.d/50-tokend.rules",
		"usr/share/polkit-1/actions/io.github.tokenbridge.tokend.policy", "etc/dbus-1/system.d/io.github.tokenbridge.Tokend1.conf",
		"usr/local/share/dbus-1/system-services/io.github.tokenbridge.Tokend1.service", "etc/sysusers.d/tokend.conf", "etc/tmpfiles.d/tokend.conf",
	} {
		info, err := os.Stat(filepath.Join(root, file))
		if err != nil || info.Mode().Perm() != 0o644 || !strings.Contains(out, "written: /"+file) {
			t.Errorf("%s: %v %v", file, info, err)
		}
	}
	// Enabled, in all the ways that it is started by.
	for _, link := range []string{
		"multi-user.target.wants/tokend.service", "sockets.target.wants/tokend.socket", "sockets.target.wants/tokend-helper-piv.socket",
		"sockets.target.wants/tokend-helper-fido2-watch.socket", "dbus-io.github.tokenbridge.Tokend1.service", "tokend-hotplug.service",
	} {
		if _, err := os.Lstat(filepath.Join(root, "etc/systemd/system", link)); err != nil {
			t.Error(err)
		}
	}
	if st := status(); !st.Installed || !st.Enabled || st.Packaged || st.Scope != "system" {
		t.Errorf("%+v", st)
	}
	// What uninstall would do is shown without doing it.
	if out = run("uninstall", "--print"); !strings.Contains(out, "==> first\r\nsystemctl --root="+root+" disable tokend.service tokend.socket\r\n==> removed\r\n") ||
		!strings.Contains(out, "\n/etc/systemd/system/tokend.service.d/tokend-authority.conf\r") || !status().Installed {
		t.Errorf("%s", out)
	}
	// An administrator's change outlives a second installation, and the removal.
	drop := filepath.Join(root, "etc/systemd/system/tokend.service.d/tokend-authority.conf")
	if err := os.WriteFile(drop, []byte("[Service]\n# mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	run("install", "--network")
	if out = run("uninstall", "--print"); !strings.Contains(out, "==> kept, for it was changed by hand\r\n/etc/systemd/system/tokend.service.d/tokend-authority.conf\r") {
		t.Errorf("%s", out)
	}
	if out = run("uninstall"); !strings.Contains(out, "changed by hand: /etc/systemd/system/tokend.service.d/tokend-authority.conf") || !strings.Contains(out, "/var/lib/tokend") {
		t.Errorf("%s", out)
	}
	if b, err := os.ReadFile(drop); err != nil || !strings.Contains(string(b), "mine") {
		t.Errorf("%s %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(root, "var/lib/tokend")); err != nil {
		t.Errorf("the vaults' folder: %v", err)
	}
	left, err := exec.Command("find", filepath.Join(root, "etc"), filepath.Join(root, "usr"), "-name", "*okend*", "!", "-type", "d").Output()
	if err != nil || strings.TrimSpace(string(left)) != drop {
		t.Errorf("what is left: %s %v", left, err)
	}
	if out = run("uninstall"); !strings.Contains(out, "kept") || strings.Contains(out, "are removed") { // once more is no failure
		t.Errorf("%s", out)
	}
	if err := os.Remove(drop); err != nil {
		t.Fatal(err)
	}
	if out = run("uninstall"); !strings.Contains(out, "nothing is installed") || strings.Contains(out, "are removed") {
		t.Errorf("%s", out)
	}
	// Of a package's files nothing is written or removed.
	packaged := filepath.Join(root, "usr/lib/systemd/system")
	if err := os.MkdirAll(packaged, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, unit := range []string{"tokend.service", "tokend.socket"} {
		if err := os.WriteFile(filepath.Join(packaged, unit), []byte("[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out := run("install"); !strings.Contains(out, "a package's") || strings.Contains(out, "written") {
		t.Errorf("%s", out)
	}
	if st := status(); !st.Enabled || !st.Packaged {
		t.Errorf("%+v", st)
	}
	run("uninstall")
	if st := status(); st.Enabled || !st.Installed {
		t.Errorf("%+v", st)
	}
}

// TestServiceRule: who runs a daemon of his own gets the udev rule, and nothing else.
func TestServiceRule(t *testing.T) {
	root := t.TempDir()
	at(t, opened(), "service", "install", "--udev", "--user").ends(2)
	if out := at(t, opened(), "service", "install", "--udev", "--print").ends(0); !strings.Contains(out, "==> /etc/udev/rules.d/70-tokend.rules") || !strings.Contains(out, "udevadm control --reload") {
		t.Errorf("%s", out)
	}
	at(t, opened(), "service", "--root", root, "install", "--udev").ends(0)
	found, err := exec.Command("find", root, "-type", "f", "-printf", "%P %m").Output()
	if err != nil || string(found) != "etc/udev/rules.d/70-tokend.rules 644" {
		t.Errorf("%s, %v", found, err)
	}
}

// What an installation would do is shown without doing it.
func TestServicePrint(t *testing.T) {
	root := t.TempDir()
	var p servicePlan
	out := at(t, opened(), "service", "install", "--user", "--root", root, "--print", "--json").ends(0)
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(p.Files, func(f serviceFile) bool {
		return strings.HasSuffix(f.Path, "/.config/systemd/user/tokend.service") && strings.Contains(f.Text, "ExecStart=/usr/bin/tokend serve --user")
	}) || len(p.Files) != 3 || len(p.Commands) != 1 {
		t.Errorf("%s", out)
	}
	if left, _ := os.ReadDir(root); len(left) > 0 {
		t.Errorf("%v", left)
	}
	out = at(t, opened(), "service", "install", "--system", "--root", root, "--print").ends(0)
	for _, want := range []string{"==> /etc/systemd/system/tokend.socket", "ListenStream=/run/tokend/tokend.sock", "==> then", "enable tokend.service"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	at(t, opened(), "service", "install", "--user", "--network", "--root", root, "--print").ends(2)
	at(t, opened(), "service", "install", "--user", "--system").ends(2)
}

func TestServicePrograms(t *testing.T) {
	p := programs{"/opt/t/tokend", "/opt/t/tokend-helper"}
	files, err := systemFiles(p)
	if err != nil {
		t.Fatal(err)
	}
	starts := 0
	for _, f := range files {
		if strings.Contains(f.Text, "="+packagedTokend+" ") || strings.Contains(f.Text, "="+packagedHelper+" ") {
			t.Errorf("%s has a packaged path", f.Path)
		}
		starts += strings.Count(f.Text, "=/opt/t/tokend serve ") + strings.Count(f.Text, "=/opt/t/tokend-helper ")
	}
	if starts != 6 { // five units and the bus's file
		t.Errorf("%d places", starts)
	}
	for _, bad := range []string{"/opt/a b/tokend", "/opt/a%b/tokend", "/opt/a\nb/tokend"} {
		if (programs{bad, p.helper}).check() == nil {
			t.Errorf("%q", bad)
		}
	}
	for _, path := range []string{"/home/a/tokend", "/tmp/tokend"} {
		if (programs{path, path}).safe() == nil {
			t.Errorf("%q", path)
		}
	}
	if err := (programs{"/bin/true", "/bin/true"}).safe(); err != nil && os.Geteuid() == 0 {
		t.Error(err)
	}
}

// Where no systemd starts anything, it is said, with what to do instead; what would be
// installed is shown all the same.
func TestServiceWithoutSystemd(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	run := func(exit int, args ...string) string {
		t.Helper()
		return at(t, opened(), append([]string{"service", "--user"}, args...)...).ends(exit)
	}
	for _, row := range []struct {
		exit  int
		args  []string
		words []string
	}{
		{0, []string{"install", "--print"}, []string{"only shown", "systemd/user/tokend.service", "==> then", "systemctl --user enable tokend.service"}},
		{0, []string{"status"}, []string{"does not run here: no systemd of yours answers here", "nobody answers", "tokend serve --user"}},
		{0, []string{"uninstall"}, []string{"nothing is installed"}},
		{0, []string{"uninstall", "--print"}, []string{"nothing is installed"}},
		{2, []string{"install"}, []string{"cannot install the service: no systemd of yours answers here", "`tokend serve --user`", "`tokenctl service install --user --print`"}},
		{2, []string{"start"}, []string{"cannot start the service: no systemd", "`tokend serve --user`"}},
		{2, []string{"stop"}, []string{"cannot stop the service: no systemd", "stop it as it was started"}},
	} {
		out := run(row.exit, row.args...)
		for _, w := range row.words {
			if !strings.Contains(out, w) {
				t.Errorf("%q: %q is not in\n%s", row.args, w, out)
			}
		}
	}
	var st serviceState
	if err := json.Unmarshal([]byte(run(0, "status", "--json")), &st); err != nil || st.Absent == "" || st.Next != "tokend serve --user" {
		t.Errorf("%+v %v", st, err)
	}
}

// What to do next follows from how it is.
func TestServiceNext(t *testing.T) {
	base := serviceState{Manager: "systemd", Scope: scopeSystem, Installed: true, Enabled: true, Active: "active", Listening: true}
	for want, change := range map[string]func(*serviceState){
		"sudo tokenctl service install --system": func(s *serviceState) { s.Installed = false },
		"sudo tokenctl service start --system":   func(s *serviceState) { s.Active, s.Listening = "inactive", false },
		"journalctl -u tokend -n 50":             func(s *serviceState) { s.Active = "failed" },
		"tokenctl doctor":                        func(*serviceState) {},
	} {
		st := base
		change(&st)
		if got := serviceNext(st); got != want {
			t.Errorf("%+v: %q, want %q", st, got, want)
		}
	}
	st := base
	st.Scope, st.Enabled = scopeUser, false
	if got := serviceNext(st); got != "tokenctl service install --user" {
		t.Errorf("%q", got)
	}
	if got := properties("A=b\nC=d=e\n\nnonsense\n"); got["A"] != "b" || got["C"] != "d=e" || len(got) != 2 {
		t.Errorf("%v", got)
	}
}
