//go:build linux

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestAuthority runs the command lines of an administrator on the real daemon,
// with passcodes that oathtool makes.
func TestAuthority(t *testing.T) {
	t.Parallel()
	tour(t, programs(t), "testdata/authority")
}

// guideBlock is a block of a guide, with what stands behind its fence.
type guideBlock struct{ kind, text string }

// guideBlocks is the blocks of docs/authority.md, in their order.
func guideBlocks(t *testing.T) (blocks []guideBlock) {
	t.Helper()
	text, err := os.ReadFile("../../../docs/authority.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```([a-z-]+)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, guideBlock{m[1], m[2]})
	}
	return blocks
}

// guide is the same by kind.
func guide(t *testing.T) map[string][]string {
	t.Helper()
	blocks := map[string][]string{}
	for _, b := range guideBlocks(t) {
		blocks[b.kind] = append(blocks[b.kind], b.text)
	}
	if len(blocks["sh"]) < 8 || len(blocks["sh-laptop"]) != 1 || len(blocks["sh-tablet"]) != 1 || len(blocks["csv"]) != 1 || len(blocks["pam"]) != 1 || len(blocks["pam-script"]) != 1 {
		t.Fatalf("the guide has other blocks than this test knows: %q", blocks)
	}
	return blocks
}

// TestAuthorityGuide types what docs/authority.md says, from the file of fobs to
// the first reactivated user: block by block, each on the machine that it is for.
func TestAuthorityGuide(t *testing.T) {
	t.Parallel()
	blocks := guide(t)
	dir := t.TempDir()
	machines := map[string]*Daemon{}
	for _, name := range []string{"sh", "sh-laptop", "sh-tablet"} {
		machines[name] = NewDaemon(t, programs(t), nil)
		machines[name].Start()
	}
	const password = "correct horse battery staple"
	for name, text := range map[string]string{"fobs.csv": blocks["csv"][0], "password.txt": password} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	laptop := machines["sh-laptop"]
	laptop.OK("alice's long passphrase", "init", "--token", "soft", "--pin-file", "-", "--recovery-password-file", filepath.Join(dir, "password.txt"))
	said := ""
	for _, b := range guideBlocks(t) {
		d := machines[b.kind]
		if d == nil {
			continue
		}
		cmd := exec.Command("sh", "-c", "set -eux\n"+b.text)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), d.Programs.Env()...)
		cmd.Env = append(cmd.Env, "TOKEND_SOCKET="+d.Socket, "PATH="+d.Programs.Dir+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		said += string(out)
		if err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
	}
	for _, want := range []string{"accepted: fob 10001", "3 imported", "2 users added", "unchanged", "may reactivate it", "Example Ltd:vpn works on this device"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	machines["sh"].Fails(16, "755224\n", []string{"admin", "verify", "alice", "--passcode-file", "-"})
	laptop.OK("", "device", "check")
	laptop.Fails(11, "", []string{"code", "vpn"}, "tokenctl reactivate vpn")
	if t.Failed() {
		t.Logf("%s", said)
	}
}

// TestAuthorityRehearsal starts the daemons that play devices as the guide does, and
// asks each where the guide says.
func TestAuthorityRehearsal(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.TrimSpace(strings.Join(guide(t)["rehearsal"], "")), "\n")
	if len(lines) != 3 {
		t.Fatalf("the guide has other commands than this test knows: %q", lines)
	}
	p, dir := programs(t), filepath.Dir(File(t, ""))
	command := func(line string) *exec.Cmd {
		cmd := exec.Command("sh", "-ec", line)
		cmd.Dir, cmd.Env = dir, append(append(os.Environ(), p.Env()...), "HOME="+dir, "PATH="+p.Dir+":"+os.Getenv("PATH"))
		return cmd
	}
	if out, err := command(lines[0]).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, line := range lines[1:] {
		daemon := command("exec " + line)
		var said strings.Builder
		daemon.Stderr = &said
		if err := daemon.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = daemon.Process.Kill()
			_ = daemon.Wait()
			if t.Failed() {
				t.Log(said.String())
			}
		})
	}
	for _, device := range []string{"laptop", "tablet"} {
		Eventually(t, time.Minute, func() error {
			if out, err := command("export TOKEND_SOCKET=$PWD/" + device + "/socket; tokenctl --json status").CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
	}
}

// TestAuthorityCredential has a key that the guide's command made come as systemd
// hands it over; without it nothing opens.
func TestAuthorityCredential(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/authority.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`\n(head -c 32 .*) \| systemd-creds encrypt --name=(\S+) `).FindStringSubmatch(string(text))
	if m == nil {
		t.Fatal("the guide has no command for a key")
	}
	key, err := exec.Command("sh", "-c", m[1]).Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, m[2]), key, 0o600); err != nil {
		t.Fatal(err)
	}
	config := File(t, "[authority]\nkey = \"credential\"\n")
	d := NewDaemon(t, programs(t), []string{"CREDENTIALS_DIRECTORY=" + dir}, "--config", config)
	d.Start()
	if r := d.OK("", "admin", "authority", "create", "Example"); !strings.Contains(r.Stdout, "a credential of systemd") {
		t.Errorf("%s", r)
	}
	if _, err := os.Stat(filepath.Join(d.State, "authority", "key")); err == nil {
		t.Error("there is a key file all the same")
	}
	d.Stop()
	d.Start()
	d.OK("", "admin", "user", "add", "alice")
	d.Stop()
	d.Env = nil
	d.Start()
	d.Fails(18, "", []string{"admin", "user", "list"}, "the authority key is not in its place")
}

// TestAuthorityPAM has the real pam_exec ask as docs/authority.md says, called by
// root, by a login with the role verifier, and by one that is no user.
func TestAuthorityPAM(t *testing.T) {
	if NeedRoot(t) {
		return
	}
	// Logins that every Debian has; PAM's caller runs as them.
	const verifier, stranger = "games", "news"
	const seed = "3132333435363738393031323334353637383931"
	blocks := guide(t)
	d := NewDaemon(t, programs(t), nil)
	d.System = true
	dir := filepath.Dir(d.Socket)
	for _, path := range []string{dir, d.Programs.Dir} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d.Start()
	d.OK("", "admin", "authority", "create", "Example Ltd")
	d.OK("", "admin", "fob", "import", File(t, blocks["csv"][0]), "--apply", "--assign-by-file", "--add-users")
	d.OK("", "admin", "user", "add", "vpn", "--login", verifier, "--role", "verifier")

	const service = "tokend-test"
	script, program := filepath.Join(dir, "tokend-passcode"), filepath.Join(dir, "tokenctl")
	env := strings.Join(d.Programs.Env(), " ")
	logged := syslog(t, filepath.Join(dir, "log"))
	// It is installed from the source, and the log is this test's.
	theirs := strings.NewReplacer("/usr/bin/tokenctl", filepath.Join(dir, "nothing"), "/usr/local/bin/tokenctl", program, "logger ", "logger -u "+filepath.Join(dir, "log")+" ")
	files := map[string]string{
		program:                              "#!/bin/sh\nexec env " + env + " " + d.Programs.Path("tokenctl") + " --socket " + d.Socket + ` "$@"` + "\n",
		script:                               theirs.Replace(blocks["pam-script"][0]),
		filepath.Join(dir, "pam.d", service): strings.Replace(blocks["pam"][0], "/usr/local/libexec/tokend-passcode", script, 1),
	}
	if err := os.Mkdir(filepath.Join(dir, "pam.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range files {
		if !strings.Contains(text, dir) {
			t.Fatalf("the guide names other paths than this test knows: %s", text)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// In a namespace, so that the machine's own PAM stays as it is.
	authenticate := func(as, user, passcode string) (string, bool) {
		t.Helper()
		cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c",
			`mount --bind "$1/pam.d" /etc/pam.d && shift && exec setpriv --reuid="$1" --regid=nogroup --clear-groups pamtester "$2" "$3" authenticate`,
			"sh", dir, as, service, user)
		cmd.Stdin = strings.NewReader(passcode + "\n")
		out, err := cmd.CombinedOutput()
		return string(out), err == nil
	}
	next := uint64(0)
	passcode := func() string {
		t.Helper()
		out, err := exec.Command("oathtool", "-c", fmt.Sprint(next), seed).Output()
		if err != nil {
			t.Fatal(err)
		}
		next++
		return strings.TrimSpace(string(out))
	}
	used := ""
	for _, as := range []string{"root", verifier} {
		used = passcode()
		if out, ok := authenticate(as, "alice", used); !ok || !strings.Contains(out, "successfully authenticated") {
			t.Fatalf("%s is refused a right passcode: %s\n%s", as, out, d.OK("", "admin", "audit", "list").Stdout)
		}
	}
	for what, try := range map[string][3]string{
		"a passcode that was used": {verifier, "alice", used},
		"of one who is not known":  {verifier, "mallory", passcode()},
		"of a name like a flag":    {verifier, "--help", "123456"},
		"an empty one":             {verifier, "alice", ""},
	} {
		if out, ok := authenticate(try[0], try[1], try[2]); ok {
			t.Errorf("%s is accepted: %s", what, out)
		}
		if said := logged(); (what == "an empty one") != strings.Contains(said, "nobody was asked") {
			t.Errorf("%s, in the log: %q", what, said)
		}
	}
	if out, ok := authenticate(stranger, "alice", passcode()); ok {
		t.Errorf("asked by who is no user here, it is accepted: %s", out)
	}
	if said := logged(); !strings.Contains(said, service+": nobody was asked, exit code 11: ") || !strings.Contains(said, "no authority") {
		t.Errorf("asked by who is no user here, in the log: %q", said)
	}
	// None of that keeps her out.
	if out, ok := authenticate(verifier, "alice", passcode()); !ok {
		t.Errorf("then a right one is refused: %s", out)
	}
	testRoles(t, d, verifier, stranger, passcode)
	d.Stop()
	for _, why := range []string{"cannot reach a daemon", "exit code 127: tokenctl is not installed"} {
		typed := passcode()
		if out, ok := authenticate(verifier, "hunter2", typed); ok {
			t.Errorf("without a daemon it is accepted: %s", out)
		}
		if said := logged(); !strings.Contains(said, "tokend-passcode: "+service+": nobody was asked") || !strings.Contains(said, why) || strings.Contains(said, "hunter2") || strings.Contains(said, typed) {
			t.Errorf("it is to say %q, in the log: %q", why, said)
		}
		_ = os.Remove(program)
	}
}

// syslog listens where programs log to, and returns what tells the lines that came
// since.
func syslog(t *testing.T, path string) func() string {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	return func() string {
		said, buf := "", make([]byte, 4096)
		for {
			// Who logged has ended by now: what it sent is here.
			if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			n, err := conn.Read(buf)
			if err != nil {
				return said
			}
			said += string(buf[:n]) + "\n"
		}
	}
}

// testRoles runs tokenctl as logins with different roles.
func testRoles(t *testing.T, d *Daemon, verifier, stranger string, passcode func() string) {
	t.Helper()
	const helper = "backup"
	d.OK("", "admin", "user", "add", "dora", "--login", helper, "--role", "helpdesk")
	for _, c := range []struct {
		as    string
		exit  int
		stdin string
		args  string
	}{
		{verifier, 10, "", "admin user list"},
		{verifier, 10, passcode(), "admin verify alice --passcode-file -"},
		{verifier, 0, passcode(), "admin verify alice --quiet --passcode-file -"},
		{stranger, 11, "", "admin user list"},
		{stranger, 11, passcode(), "admin verify alice --quiet --passcode-file -"},
		{stranger, 11, "", "admin authority create Mine"},
		{helper, 0, "", "admin user list"},
		{helper, 0, passcode(), "admin verify alice --passcode-file -"},
		{helper, 0, passcode() + " " + passcode(), "admin fob resync 10001 --passcode-file -"},
		{helper, 0, "", "admin fob disable 10001"},
		{helper, 0, "", "admin fob enable 10001"},
		{helper, 10, "", "admin fob assign 10003 dora"},
		{helper, 10, "", "admin user role dora owner"},
		{helper, 10, "", "admin audit list"},
		{helper, 11, passcode(), "admin fob resync 10001 --own --passcode-file -"},
	} {
		argv := append([]string{"--reuid=" + c.as, "--regid=nogroup", "--clear-groups", d.Programs.Path("tokenctl"), "--socket", d.Socket}, strings.Fields(c.args)...)
		cmd := exec.Command("setpriv", argv...)
		cmd.Env = append(d.Programs.Env(), "HOME=/nonexistent")
		cmd.Stdin = strings.NewReader(c.stdin + "\n")
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != c.exit {
			t.Errorf("%s, as %s: exit code %d, not %d: %s", c.args, c.as, got, c.exit, out)
		}
	}
}
