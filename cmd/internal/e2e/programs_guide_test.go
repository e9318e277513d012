//go:build linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens/tokentest/busrig"
)

// programsBench is what docs/programs.md takes for granted: a daemon on a session
// bus with accounts, a home folder with programs on the path, and servers that ask
// for codes.
type programsBench struct {
	*Daemon
	t    *testing.T
	home string
	env  []string
	// names are what the guide says and what it is here.
	names *strings.Replacer
	ran   map[string]int
	tun   bool // OpenVPN's server can run
}

func newProgramsBench(t *testing.T) *programsBench {
	t.Helper()
	bus := newBusBench(t, busrig.Options{})
	d := NewDaemon(t, programs(t), bus.Env)
	d.Start()
	b := &programsBench{Daemon: d, t: t, home: filepath.Join(filepath.Dir(d.Socket), "home"), ran: map[string]int{}}
	b.write("bin/sudo", "#!/bin/sh\nexec \"$@\"\n")
	b.write(".config/vpn-password", vpnPassword+"\n")
	b.write(".config/tokend/pin", "a long passphrase\n")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	cert := newCertificate(t, "vpn.example.org", "reports.example.org")
	b.write("ca.pem", cert.pem)
	vpn, ovpn := serveAnyConnect(t, cert), serveOpenVPN(t, cert)
	b.tun = ovpn != ""
	b.wrap("openconnect", "/usr/sbin/openconnect", "--cafile", filepath.Join(b.home, "ca.pem"), "--resolve", "vpn.example.org:127.0.0.1")
	b.wrap("ssh", "/usr/bin/ssh", append([]string{"-F", "/dev/null", "-o", "IdentityFile=/nonexistent", "-o", "IdentitiesOnly=yes"}, serveSSH(t, b.home)...)...)
	b.wrap("curl", "/usr/bin/curl", "--cacert", filepath.Join(b.home, "ca.pem"), "--connect-to", "reports.example.org:443:"+serveReports(t, cert))
	b.names = strings.NewReplacer(
		"vpn.example.org 1194", strings.Replace(ovpn, ":", " ", 1), "ca ca.pem", "ca "+filepath.Join(b.home, "ca.pem"),
		"dev tun\n", "dev null\nverb 0\n", // nothing is to be sent
		"/run/openvpn-work.sock", filepath.Join(filepath.Dir(d.Socket), "ovpn"), "management-client-user me", "management-client-user "+me.Username,
		"vpn.example.org", "vpn.example.org:"+vpn)
	b.env = slices.Concat(os.Environ(), d.Programs.Env(), bus.Env, []string{"HOME=" + b.home, "TOKEND_SOCKET=" + d.Socket, "LC_ALL=C.UTF-8",
		"PYTHONDONTWRITEBYTECODE=1", "PATH=" + filepath.Join(b.home, "bin") + ":" + d.Programs.Dir + ":" + os.Getenv("PATH") + ":/usr/sbin:/sbin"})
	d.OK("", "init", "--token", "soft", "--pin-file", filepath.Join(b.home, ".config/tokend/pin"), "--no-recovery-password")
	for _, label := range []string{"GitHub:me@example.org", "VPN:me", "Bastion:me", "Reports:me", "Work:me"} {
		issuer, _, _ := strings.Cut(label, ":")
		d.OK("otpauth://totp/"+label+"?secret="+guideSecret+"&issuer="+issuer, "account", "add", "--uri-file", "-", "--class", "session")
	}
	bus.served(-1)
	return b
}

// write puts a file into the home folder.
func (b *programsBench) write(name, text string) {
	b.t.Helper()
	path := filepath.Join(b.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		b.t.Fatal(err)
	}
	mode := os.FileMode(0o600)
	if strings.HasPrefix(text, "#!") {
		mode = 0o700
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		b.t.Fatal(err)
	}
}

// wrap has a program find the servers of the test by the names of the guide.
func (b *programsBench) wrap(name, path string, args ...string) {
	b.t.Helper()
	b.write("bin/"+name, "#!/bin/sh\nexec "+path+" '"+strings.Join(args, "' '")+"' \"$@\"\n")
}

// command is a block as it is run.
func (b *programsBench) command(ctx context.Context, e block) *exec.Cmd {
	argv := []string{"sh", "-c", b.names.Replace(e.text)}
	if e.lang == "python" {
		argv = []string{python, "-c", e.text}
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = b.env, b.home
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal; and all of a pipe ends with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// run runs a block and compares what it prints, standard error included.
func (b *programsBench) run(e block) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	out, err := b.command(ctx, e).CombinedOutput()
	if want := b.names.Replace(e.answer); !shows(string(out), want) {
		b.t.Errorf("%s\nprints\n%s(%v)\nthe guide says\n%s", e.text, out, err, want)
	}
	b.ran[e.lang]++
}

// watch runs a block that goes on, and ends it when it has printed what it should.
// Meanwhile the vault is locked and unlocked.
func (b *programsBench) watch(e block) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cmd, out := b.command(ctx, e), new(Buffer)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	if strings.Contains(e.answer, "locked") || strings.Contains(e.answer, "Locked") {
		Eventually(b.t, time.Minute, func() error {
			if out.String() == "" {
				return fmt.Errorf("%s says nothing", e.text)
			}
			return nil
		})
		b.OK("", "lock")
		b.OK("", "unlock", "--pin-file", filepath.Join(b.home, ".config/tokend/pin"))
	}
	Eventually(b.t, time.Minute, func() error {
		if want := b.names.Replace(e.answer); !shows(out.String(), want) {
			return fmt.Errorf("%s\nprints\n%s\nthe guide says\n%s", e.text, out, want)
		}
		return nil
	})
	b.ran["watch"]++
}

// file keeps a block as the file that it is, and does with it what it is for.
func (b *programsBench) file(name string, e block) {
	b.t.Helper()
	b.write(name, b.names.Replace(e.text))
	b.ran[name]++
	switch name {
	case "work.ovpn":
		b.openVPN(filepath.Join(b.home, name))
	case "crontab":
		b.cron(e.text)
	case "report.timer": // the last of the units
		b.units()
	}
}

// openVPN runs OpenVPN until the test ends; where its server cannot run, what it
// says to who manages it.
func (b *programsBench) openVPN(config string) {
	b.t.Helper()
	path := filepath.Join(filepath.Dir(b.Socket), "ovpn")
	if !b.tun {
		manageOpenVPN(b.t, path)
		return
	}
	cmd, said := exec.Command(openvpn, "--config", config), new(Buffer)
	cmd.Env, cmd.Stdout, cmd.Stderr = b.env, said, said
	if err := cmd.Start(); err != nil {
		b.t.Fatalf("%v (packaging/setup.sh test installs it)", err)
	}
	b.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if b.t.Failed() {
			b.t.Logf("OpenVPN said:\n%s", said)
		}
	})
	Eventually(b.t, time.Minute, func() error {
		_, err := os.Stat(path)
		return err
	})
}

// cron runs the lines of a crontab as cron does: in sh, with next to nothing in the
// environment.
func (b *programsBench) cron(table string) {
	b.t.Helper()
	b.OK("", "lock")
	path := ""
	for line := range strings.Lines(strings.TrimSpace(table)) {
		if p, ok := strings.CutPrefix(line, "PATH="); ok {
			path = strings.TrimSpace(p)
			continue
		}
		command := strings.Join(strings.Fields(line)[5:], " ")
		// The folders of the test before those that the table names.
		cmd := exec.Command("/bin/sh", "-c", command)
		cmd.Env = append(b.Programs.Env(), "SHELL=/bin/sh", "LOGNAME=me", "HOME="+b.home, "TOKEND_SOCKET="+b.Socket,
			"PATH="+filepath.Join(b.home, "bin")+":"+b.Programs.Dir+":"+path)
		b.reported(cmd)
	}
}

// reported runs a job whose server hands out its report for a code.
func (b *programsBench) reported(cmd *exec.Cmd) {
	b.t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "the report\n") {
		b.t.Errorf("%v prints %q: %v", cmd.Args, out, err)
	}
}

// units has systemd read the units, and runs the service as it says.
func (b *programsBench) units() {
	b.t.Helper()
	units := filepath.Join(b.home, "units")
	if err := os.Mkdir(units, 0o700); err != nil {
		b.t.Fatal(err)
	}
	var service string
	for _, name := range []string{"report.service", "report.timer"} {
		text, err := os.ReadFile(filepath.Join(b.home, name))
		if err != nil {
			b.t.Fatal(err)
		}
		service += string(text)
		if err := os.WriteFile(filepath.Join(units, name), text, 0o600); err != nil {
			b.t.Fatal(err)
		}
		cmd := exec.Command("systemd-analyze", "--user", "--man=no", "--generators=no", "verify", filepath.Join(units, name))
		cmd.Env = append(slices.Clone(b.env), "XDG_RUNTIME_DIR="+b.home)
		if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), name) {
			b.t.Errorf("systemd says of %s: %v %s", name, err, out)
		}
	}
	value := func(key string) string {
		_, rest, found := strings.Cut(service, "\n"+key+"=")
		if !found {
			b.t.Fatalf("the unit has no %s", key)
		}
		line, _, _ := strings.Cut(rest, "\n")
		return strings.ReplaceAll(line, "%h", b.home)
	}
	id, path, _ := strings.Cut(value("LoadCredential"), ":")
	pin, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	b.write("credentials/"+id, string(pin))
	b.OK("", "lock")
	cmd := exec.Command(value("ExecStart"))
	cmd.Env = append(slices.Clone(b.env), "CREDENTIALS_DIRECTORY="+filepath.Join(b.home, "credentials"))
	b.reported(cmd)
}

// TestProgramsGuide does all that docs/programs.md says, in its order.
func TestProgramsGuide(t *testing.T) {
	t.Parallel()
	b := newProgramsBench(t)
	for _, e := range blocks(t, "programs.md") {
		name, isFile := strings.CutPrefix(e.label, "file ")
		switch {
		case isFile:
			b.file(name, e)
		case e.lang == "text", e.answer == "":
			t.Errorf("an example without its answer, or an answer without example: %s", e.text)
		case e.label == "watch":
			b.watch(e)
		default:
			b.run(e)
		}
	}
	if b.ran["sh"] < 10 || b.ran["python"] != 1 || b.ran["watch"] != 3 || b.ran["crontab"] != 1 || b.ran["report.timer"] != 1 {
		t.Errorf("the guide has other examples than this test knows: %v", b.ran)
	}
}
